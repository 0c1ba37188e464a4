"""The layouts of data folders: one table that says how each is recognised and read, and what is done where two fit.

A new layout is two functions, what it fits and how it is read, and a row here; the contract in `tests/data/layouts/test_rows.py` says what a row must do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from foldwise.data.cases import Dataset
from foldwise.data.formats.formats import readable
from foldwise.data.layouts import class_folders, image_folders, masks_beside, stacks
from foldwise.data.layouts.columns import reviewed, unused_columns
from foldwise.data.layouts.files import (
    MASK_FOLDERS,
    about_hidden,
    hidden_images,
    on_disk,
    other_files,
    part_named,
    refuse_broken_links,
    require_folder,
    subfolders,
    unreadable_files,
    unused,
)
from foldwise.data.layouts.groups import with_group_column, with_groups
from foldwise.data.layouts.listing import (
    JUDGE,
    Listing,
    about_unreadable,
    of_other_kinds,
)
from foldwise.data.layouts.listing import class_folders as folders_of_images
from foldwise.data.layouts.outlines import drawn
from foldwise.data.layouts.pages import stack_files
from foldwise.data.layouts.parts import refuse_part_folders, with_parts
from foldwise.data.phantoms.catalogue import PHANTOMS, cached
from foldwise.errors import DataError, SpecError, choose
from foldwise.storage import from_home, whole_path
from foldwise.study.spec import DataSpec
from foldwise.text import some


@dataclass(frozen=True)
class Layout:
    """One way in which a folder can hold a data set.

    Attributes:
        fits: by what the layout is recognised in a folder, for the user; None where it does not fit.
        read: the cases of a folder, whether it was recognised or the study states the layout.
        is_certain: whether no layout below it in the table is asked once it fits.
        names_in_images: whether tables may name images from their folder, ``images/``, on.
        in_parts: whether each folder of a split may hold the whole of it: ``train/images`` with ``train/masks``.
    """

    fits: Callable[[Listing], str | None]
    read: Callable[[Listing], Dataset]
    is_certain: bool = False
    names_in_images: bool = False
    in_parts: bool = False


LAYOUTS: dict[str, Layout] = {
    "arrays": Layout(stacks.fits, stacks.read, is_certain=True),  # a stack cannot be read as anything else
    "image_mask": Layout(
        image_folders.fits_masks, image_folders.read_masks, names_in_images=True, in_parts=True
    ),
    "masks_beside": Layout(masks_beside.fits, image_folders.read_masks_beside, in_parts=True),
    "table": Layout(image_folders.fits_table, image_folders.read_labelled, names_in_images=True),
    "class_folders": Layout(class_folders.fits_folders, class_folders.read_folders, in_parts=True),
}


def read_dataset(data: DataSpec, *, base: Path, group: str = "auto", split: str = "auto") -> Dataset:
    """The cases of a study: what is stated is used, the rest is recognised, and what is ambiguous is refused.

    Args:
        base: the folder of the study file; a relative `data.path` starts there.
        group: `validate.group`; see `with_groups`.
        split: `validate.split`: who divides the images.

    Raises:
        SpecError: the study states what does not exist in the folder.
        DataError: the folder cannot be read as one data set; names files, rows and what to do.
    """
    if data.phantom is not None:
        return _read_phantom(data, group, split)
    assert data.path is not None
    root = _data_folder(data.path, base)
    refuse_broken_links(root)
    listing = Listing(root, with_group_column(data, group), split=split, group=group)
    refuse_part_folders(listing)
    unlabelled = unused(listing.unlabelled) if listing.divided else []
    drawing = drawn(listing)
    data, listing = drawing.listing.data, drawing.listing
    layout_name, why = (data.layout, drawing.why) if data.layout != "auto" else _recognised(listing)
    layout = LAYOUTS[layout_name]
    if "" not in listing.parts and not layout.in_parts:
        problem = f"the folders {some(listing.part_folders)} hold the layout {layout_name}, which lies in one folder only"
        cure = "Put all images together, with a column that says the part, and state validate.split: that column."
        raise DataError(problem, where=str(root), cure=cure)
    passed_over = about_unreadable(listing, layout_name, drawing.files) + about_hidden(hidden_images(root))
    passed_over += unlabelled
    dataset = layout.read(listing)
    _check(dataset, data)
    folder = listing.images or "" if layout.names_in_images and "" in listing.parts else ""
    # The CSV files that may name groups, the stated one first.
    names = dict.fromkeys((data.table, "labels.csv", "metadata.csv"))
    tables = [path for name in names if name and (path := on_disk(root, name)).is_file()]
    cases, about_groups = with_groups(
        dataset.cases, root=root, group=group, data=data, tables=tables, folder=folder
    )
    cases, about_parts = with_parts(cases, listing=listing, base=base, tables=tables, folder=folder)
    cases, review = reviewed(cases, root, data, folder)
    opening = f"Layout {layout_name} ({why}), task {dataset.task}, {len(cases)} images."
    about = (*passed_over, *about_groups, *about_parts, *review.statements)
    statements = (opening, *drawing.statements, *dataset.statements, *about)
    used = [name for name in (group, split, data.group_column) if name]
    labels = listing.table if layout_name == "table" else None
    columns = unused_columns(cases, root, tables, data=data, used=used, labels=labels, folder=folder)
    dataset = replace(dataset, cases=cases, columns=columns, flagged=review.flagged)
    return replace(dataset, statements=statements, decoding=data.decoding)


def _data_folder(stated: str, base: Path) -> Path:
    """The whole path of the data folder that a study states; SpecError where it is none."""
    path = from_home(stated)
    root = whole_path(path if path.is_absolute() else on_disk(base, stated), base)
    cure = "Name a folder that is there. Relative paths start at the folder of the study file."
    require_folder(root, where="data.path", cure=cure)
    return root


def _check(dataset: Dataset, data: DataSpec) -> None:
    """Raise where no comparison is possible, however the data were read."""
    root = dataset.root
    if not dataset.cases:
        raise DataError(
            "there are no images", where=str(root), cure=f"Put images there: {readable()} files are read."
        )
    if len(dataset.classes) < 2:
        problem = f"there is one class only: {some(dataset.classes)}"
        cure = "Add images of another class: a comparison needs two at least."
        raise DataError(problem, where=str(root), cure=cure)
    if not all(name.strip() for name in dataset.classes):
        problem = "a class has no name, or only letters that cannot be seen"
        raise DataError(problem, where=str(root), cure="Name its column, its folder or its cells.")
    if data.task == "binary_classification" and len(dataset.classes) != 2:
        problem = f"there are {len(dataset.classes)} classes, not two"
        raise SpecError(problem, where="data.task", cure="State multiclass_classification.")


def _read_phantom(data: DataSpec, group: str, split: str) -> Dataset:
    """The data set of a built-in phantom, drawn into the cache if it is not there, with its true groups."""
    spec = data.phantom
    assert spec is not None
    phantom = choose(PHANTOMS, spec.kind, "phantom", where="data.phantom.kind")
    folder = cached(spec)
    settings = {key: value for key, value in phantom.reading.items() if key not in data.model_fields_set}
    own = {"phantom": None, "path": str(folder), "task": phantom.task, "classes": phantom.classes}
    # The truth of a phantom has its groups in a column of that name; a study that cuts blocks does without.
    by_column = group == "auto" and data.slices_per_group is None
    dataset = read_dataset(
        data.model_copy(update=settings | own),
        base=folder,
        group="group" if by_column else group,
        split=split,
    )
    options = "".join(f", {option} {value:g}" for option, value in spec.options.items())
    drawn = f"seed {spec.seed}, difficulty {spec.difficulty:g}{options}."
    statement = f"Built-in phantom {spec.kind}: {phantom.summary}; {drawn}"
    return replace(dataset, layout="phantom", statements=(statement, *dataset.statements))


def _recognised(listing: Listing) -> tuple[str, str]:
    """The layout that all parts of a folder have, and by what it was recognised in the first."""
    layouts = {part: recognise(inside) for part, inside in listing.parts.items()}
    if len({name for name, _ in layouts.values()}) > 1:
        problem = "the parts have different layouts: " + ", ".join(
            f"{k} {v}" for k, (v, _) in layouts.items()
        )
        raise DataError(problem, where=str(listing.root), cure="Lay all of them out in one way.")
    part, (name, why) = next(iter(layouts.items()))
    for images, masks in (listing.sides if part else {}).items():
        return name, f"{images}/ with {masks}/ and so on"
    return name, f"{part}{why}" + (" and so on" if part else "")


def recognise(listing: Listing) -> tuple[str, str]:
    """The layout of a folder, and by what it was recognised.

    Raises:
        DataError: more than one layout fits, or none does; the cure lists what to state.
    """
    fitting: dict[str, str] = {}
    for name, layout in LAYOUTS.items():
        why = layout.fits(listing)
        if why is not None and layout.is_certain:
            return name, why
        if why is not None:
            fitting[name] = why
    for pair, choose_one in CHOICES.items():
        if pair <= fitting.keys():
            return choose_one(listing)
    if not fitting:
        raise _no_layout(listing)
    return fitting.popitem()


def _masks_or_table(listing: Listing) -> tuple[str, str]:
    """Images with both masks and a table: the study must say which, by naming one of them or the task."""
    data, images, masks, table = listing.data, listing.images, listing.masks, listing.table
    assert table is not None
    layout, choice = (
        ("image_mask", f"data.masks={masks}") if masks else ("masks_beside", "data.layout=masks_beside")
    )
    shown, beside = f"{images}/" if images else "the images", f"{masks}/" if masks else "masks beside them"
    if data.masks is None and data.table is None and data.task == "auto":
        problem = f"{shown} could be segmented ({beside}) or classified ({table.name})"
        cure = (
            "State data.task: binary_segmentation or multiclass_segmentation for the masks; binary_classification,"
            " multiclass_classification or multilabel_classification for the table."
        )
        raise DataError(
            problem, where=str(listing.root), cure=cure, choices=[choice, f"data.table={table.name}"]
        )
    if data.task.endswith("classification") or (data.task == "auto" and data.table is not None):
        return "table", f"{shown} with {table.name}"
    return layout, f"{shown} with {beside}"


def _masks_or_class(listing: Listing) -> tuple[str, str]:
    """A folder called ``masks`` without one called ``images``: always refused."""
    masks, folders = listing.masks, listing.class_folders
    if len(folders) == 1 or listing.data.masks is not None:
        problem = f"there is a folder of masks, {masks}/, but none of images"
        cure = f"State data.images: one of {some(subfolders(listing.root))}."
        choices = [f"data.images={name}" for name in subfolders(listing.root) if name != masks]
        raise DataError(problem, where=str(listing.root), cure=cure, choices=choices)
    problem = f"is {masks}/ a class, or masks for the other folders ({', '.join(folders)})?"
    cure = "State data.layout: class_folders, or data.images and data.masks."
    raise DataError(problem, where=str(listing.root), cure=cure, choices=["data.layout=class_folders"])


def _table_or_folders(listing: Listing) -> tuple[str, str]:
    """Class folders beside a table: the same where they agree; else the study must say which."""
    table, folders = listing.table, listing.class_folders
    assert table is not None
    if listing.data.table is not None:
        return "table", f"{table.name} as stated"
    if not folders:  # images deeper down: of these a table may be that says something else
        is_meant = table.name == "labels.csv"
        return "table" if is_meant else "class_folders", f"images in folders beside {table.name}"
    if len(folders) == 1:
        return "table", f"{folders[0]}/ with {table.name}"
    difference = image_folders.difference_to_folders(listing)
    if difference is None:
        return "class_folders", f"{len(folders)} folders that hold images; {table.name} says the same"
    either = f"the labels could be the folders ({some(folders)}) or {table.name}"
    cure = f"State data.layout: class_folders, or data.table: {table.name}."
    choices = "data.layout=class_folders", f"data.table={table.name}"
    what = f"{either}, and they are not the same: {difference}"
    raise DataError(what, where=str(listing.root), cure=cure, choices=choices)


OTHER_TABLES = (".tsv", ".xlsx", ".xls", ".ods", ".numbers")
# What is done where two layouts fit one folder: choose by what the study states, or refuse.
CHOICES: dict[frozenset[str], Callable[[Listing], tuple[str, str]]] = {
    frozenset({"image_mask", "class_folders"}): _masks_or_class,
    frozenset({"image_mask", "table"}): _masks_or_table,
    frozenset({"table", "class_folders"}): _table_or_folders,
    frozenset({"table", "masks_beside"}): _masks_or_table,
}


def _no_layout(listing: Listing) -> DataError:
    """Why no layout fits, and what is missing for the nearest one."""
    images, root = listing.images, listing.root
    if not listing.loose_images and (files := unreadable_files(root)):
        return of_other_kinds(files, root)
    if tables := [name for name in other_files(root) if name.lower().endswith(OTHER_TABLES)]:
        problem = f"{some(tables)} may be the table of labels, and only CSV is looked for"
        text = next(
            (f", or state data.table: {name}" for name in tables if name.lower().endswith(".tsv")), ""
        )
        cure = f"Save it as CSV UTF-8, under the name labels.csv{text}."
        return DataError(problem, where=str(root), cure=cure)
    if images is None:
        loose = len(listing.loose_images)
        what = f"{loose} images, but nothing says what they show" if loose else "no images"
        cure = (
            "Make one folder per class, or images/ with masks/, or images/ with labels.csv, or images.npy with"
            " masks.npy or labels.npy."
        )
        if not loose and listing.table is not None:
            what, cure = f"no images, but {listing.table.name}", JUDGE
        return DataError(f"the folder holds {what}", where=str(root), cure=cure)
    if folders := folders_of_images(root / images):
        problem = f"{images}/ holds folders of images ({some(folders)}), but no labels.csv or masks/ is there"
        cure = f"If they are the classes, point data.path at {images}/ itself."
        if all(map(part_named, folders)):
            problem = (
                f"{images}/ holds the parts of a split ({some(folders)}), and nothing says what they show"
            )
            cure = f"Add their masks or labels, in folders of the same names: masks/{folders[0]}/, or labels/{folders[0]}/."
        return DataError(problem, where=str(root), cure=cure)
    if (inside := subfolders(root / images)) and all(map(part_named, inside)):
        cure = f"If the folders in each are the classes, point data.path at {images}/ itself."
        problem = f"{images}/ holds the parts of a split ({some(inside)}), which hold folders of images"
        return DataError(problem, where=str(root), cure=cure)
    others = [name for name in subfolders(root) if name != images]
    choices = f" State data.masks: one of {', '.join(others)}." if others else ""
    if rows := stack_files(root, listing.data.masks, MASK_FOLDERS):
        cure = "save each as a file in masks/, or the images as images.npy."
        choices = f" {rows[0]} holds masks in a row: {cure}"
    problem = f"there is {images}/, but neither masks/ nor labels.csv"
    return DataError(problem, where=str(root), cure=f"Add one of them.{choices}")
