"""From a folder to a data set: which layout it has, said back to the user, and refused where two would fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from foldwise.data.cache_folder import cache_root
from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, suspected_channels, with_channels
from foldwise.data.layouts.class_folders import class_folders, read_class_folders, table_agrees
from foldwise.data.layouts.groups import with_groups
from foldwise.data.layouts.labels import read_labels
from foldwise.data.layouts.listing import Finder, image_files, image_files_below, subfolders
from foldwise.data.layouts.mask_pairs import image_folder, mask_folder, read_mask_pairs
from foldwise.data.layouts.stacks import holds_stacks, read_stacks
from foldwise.data.layouts.tables import image_column, match_rows, read_table, unlisted
from foldwise.data.phantoms.catalogue import PHANTOMS, VERSION, make
from foldwise.errors import DataError, RunError, SpecError, choose
from foldwise.study.spec import DataSpec
from foldwise.text import some

# Tables that describe a set but do not label its images, unless they are stated.
SIDE_TABLES = frozenset({"metadata.csv", "class_names.csv", "classes.csv"})


def read_dataset(data: DataSpec, *, base: Path, group: str = "auto") -> Dataset:
    """The cases of a study: what is stated is used, the rest is recognised, and what is ambiguous is refused.

    Args:
        data: the `data` part of a study.
        base: the folder of the study file; a relative `data.path` starts there.
        group: ``auto`` uses `data.group_column` if stated; a column of the table or of a metadata.csv;
            ``pattern:<regex with one group>`` on file names; ``none`` or ``near-duplicates`` for none.

    Raises:
        SpecError: the study states what does not exist in the folder.
        DataError: the folder cannot be read as one data set; names files, rows and what to do.
    """
    if data.phantom is not None:
        return _read_phantom(data, group)
    root = _root(data, base)
    layout, why = (data.layout, "as stated") if data.layout != "auto" else recognise(root, data)
    dataset = READERS[layout](root, data)
    if not dataset.cases:
        raise DataError(
            "there are no images", where=str(root), cure="PNG, JPEG, TIFF and BMP files are read."
        )
    if len(dataset.classes) < 2:
        raise DataError(
            f"there is one class only: {some(dataset.classes)}",
            where=str(root),
            cure="A comparison needs two classes at least.",
        )
    if data.task == "binary_classification" and len(dataset.classes) != 2:
        raise SpecError(
            f"there are {len(dataset.classes)} classes, not two",
            where="data.task",
            cure="State multiclass_classification.",
        )
    folder = image_folder(root, data) or "" if layout in {"image_mask", "table"} else ""
    cases, said = with_groups(
        dataset.cases, root=root, group=group, data=data, tables=_tables(root, data), folder=folder
    )
    opening = f"Layout {layout} ({why}), task {dataset.task}, {len(cases)} images."
    return replace(dataset, cases=cases, statements=(opening, *dataset.statements, *said))


def _read_phantom(data: DataSpec, group: str) -> Dataset:
    """The data set of a built-in phantom, drawn into the cache if it is not there, with its true groups."""
    asked = data.phantom
    assert asked is not None
    name = f"{asked.kind}-{asked.images}-{asked.size}-{asked.difficulty:g}-{asked.seed}-v{VERSION}"
    name += "".join(f"-{option}-{value:g}" for option, value in sorted(asked.options.items()))
    folder = cache_root() / "phantoms" / name
    phantom = choose(PHANTOMS, asked.kind, "phantom", where="data.phantom.kind")
    if not folder.is_dir():
        try:
            make(
                asked.kind,
                folder,
                images=asked.images,
                size=asked.size,
                difficulty=asked.difficulty,
                seed=asked.seed,
                options=asked.options,
            )
        except OSError as error:
            # Another process may have drawn the very same folder meanwhile.
            if not folder.is_dir():
                raise RunError(
                    f"the phantom cannot be written ({error.strerror})",
                    where=str(folder),
                    cure="Set FOLDWISE_CACHE to a folder with room.",
                ) from None
    read = {key: part for key, part in phantom.reading.items() if key not in data.model_fields_set}
    own = {"phantom": None, "path": str(folder), "task": phantom.task, "classes": phantom.classes}
    drawn = data.model_copy(update=read | own)
    by_column = group == "auto" and data.slices_per_group is None
    dataset = read_dataset(drawn, base=folder, group="group" if by_column else group)
    said = f"Built-in phantom {asked.kind}: {phantom.summary}; seed {asked.seed}, difficulty {asked.difficulty:g}"
    said += "".join(f", {option} {value:g}" for option, value in asked.options.items()) + "."
    return replace(dataset, layout="phantom", statements=(said, *dataset.statements))


def _root(data: DataSpec, base: Path) -> Path:
    assert data.path is not None
    root = (base / Path(data.path).expanduser()).resolve()
    if root.is_dir():
        return root
    what = "is a file, not a folder" if root.exists() else "does not exist"
    raise SpecError(
        f"the data folder {root} {what}",
        where="data.path",
        cure="Relative paths start at the folder of the study file.",
    )


def _tables(root: Path, data: DataSpec) -> list[Path]:
    """The CSV files that may name groups: the stated one, labels.csv, metadata.csv."""
    names = [data.table, "labels.csv", "metadata.csv"]
    return [root / name for name in dict.fromkeys(names) if name is not None and (root / name).is_file()]


def recognise(root: Path, data: DataSpec) -> tuple[str, str]:
    """The layout of a folder, and by what it was recognised.

    Raises:
        DataError: more than one layout fits, or none does; the cure lists what to state.
    """
    stack = holds_stacks(root, data)
    if stack is not None:
        return "arrays", stack
    table, images, masks = _label_table(root, data), image_folder(root, data), mask_folder(root, data)
    if images is not None:
        return _images_with(root, data, table, images, masks)
    folders = class_folders(root)
    if folders and masks in folders and not image_files(root):
        if len(folders) == 1 or data.masks is not None:
            raise DataError(
                f"there is a folder of masks, {masks}/, but none of images",
                where=str(root),
                cure=f"State data.images: one of {some(subfolders(root))}.",
            )
        cure = "State data.layout: class_folders, or data.images and data.masks."
        raise DataError(
            f"is {masks}/ a class, or masks for the other folders ({', '.join(folders)})?",
            where=str(root),
            cure=cure,
        )
    if folders and table is not None:
        return _folders_with_table(root, data, table, folders)
    if folders or any("/" in path for path in image_files_below(root)):
        return "class_folders", "folders that hold images"
    if table is not None and image_files(root):
        return "table", f"images beside {table.name}"
    raise _no_layout(root)


def _images_with(
    root: Path, data: DataSpec, table: Path | None, images: str, masks: str | None
) -> tuple[str, str]:
    """The layout of a folder with `images/`, by whether masks or a table say what they show."""
    if (
        masks is not None
        and table is not None
        and data.masks is None
        and data.table is None
        and data.task == "auto"
    ):
        raise DataError(
            f"{images}/ could be segmented ({masks}/) or classified ({table.name})",
            where=str(root),
            cure="State data.task: binary_segmentation or multiclass_segmentation for the masks;"
            " binary_classification, multiclass_classification or multilabel_classification for the table.",
        )
    wants_table = data.task.endswith("classification") or (data.task == "auto" and data.table is not None)
    if table is not None and (masks is None or wants_table):
        return "table", f"{images}/ with {table.name}"
    if masks is not None:
        return "image_mask", f"{images}/ with {masks}/"
    if class_folders(root / images):
        cure = f"If they are the classes, point data.path at {images}/ itself."
        raise DataError(
            f"{images}/ holds folders of images ({some(class_folders(root / images))}), but no labels.csv or masks/ is there",
            where=str(root),
            cure=cure,
        )
    others = [name for name in subfolders(root) if name != images]
    choices = f" State data.masks: one of {', '.join(others)}." if others else ""
    raise DataError(
        f"there is {images}/, but neither masks/ nor labels.csv",
        where=str(root),
        cure=f"Add one of them.{choices}",
    )


def _folders_with_table(root: Path, data: DataSpec, table: Path, folders: list[str]) -> tuple[str, str]:
    """Class folders beside a table: the same where they agree; else the user must choose."""
    if data.table is not None:
        return "table", f"{table.name} as stated"
    if len(folders) == 1:
        return "table", f"{folders[0]}/ with {table.name}"
    differs = table_agrees(root, table, data)
    if differs is None:
        return "class_folders", f"{len(folders)} folders that hold images; {table.name} says the same"
    raise DataError(
        f"the labels could be the folders ({some(folders)}) or {table.name}, and they are not the same: {differs}",
        where=str(root),
        cure=f"State data.layout: class_folders, or data.table: {table.name}.",
    )


def _no_layout(root: Path) -> DataError:
    loose = image_files(root)
    what = f"{len(loose)} images, but nothing says what they show" if loose else "no images"
    return DataError(
        f"the folder holds {what}",
        where=str(root),
        cure="Make one folder per class, or images/ with masks/, or images/ with labels.csv, or images.npy with masks.npy or labels.npy.",
    )


def _label_table(root: Path, data: DataSpec) -> Path | None:
    """The CSV file with the labels: the stated one, labels.csv, or the only one there is."""
    if data.table is not None:
        if not (root / data.table).is_file():
            names = sorted(path.name for path in root.glob("*.csv"))
            raise SpecError(
                f"there is no table {data.table!r} in {root}",
                where="data.table",
                cure=f"CSV files there: {', '.join(names) or 'none'}.",
            )
        return root / data.table
    if (root / "labels.csv").is_file():
        return root / "labels.csv"
    found = sorted(
        path for path in root.glob("*.csv") if path.name not in SIDE_TABLES and not path.name.startswith(".")
    )
    if len(found) > 1:
        raise DataError(
            f"{len(found)} tables could hold the labels: {some(path.name for path in found)}",
            where=str(root),
            cure=f"State data.table: {found[0].name}, or name the right one labels.csv.",
        )
    return found[0] if found else None


def read_table_layout(root: Path, data: DataSpec) -> Dataset:
    """The data set of images and a table of their labels; every image has one row and every row one image."""
    path = _label_table(root, data)
    if path is None:
        raise DataError(
            "there is no table of labels",
            where=str(root),
            cure="Add labels.csv with the columns image and label, or state data.table.",
        )
    table, folder = read_table(path), (image_folder(root, data) or "").removeprefix(".")
    names = image_column(table, data.image_column)
    found = [f"{folder}/{name}" if folder else name for name in image_files_below(root / folder)]
    joined = images_at(found, data, where=str(root))
    finder = Finder(list(joined.names.values()), folder)
    labels = read_labels(table, data, names)
    rows, errors = match_rows(table, names, finder)
    errors += unlisted(table, rows, finder)
    if errors and data.channels == "native" and (words := suspected_channels(found)):
        cure = f"State data.channels: [{', '.join(words)}], in the order that they are to have."
        errors = [DataError(f"the file names end in {', '.join(words)}, as channels do", cure=cure), *errors]
    if errors:
        raise DataError.together(errors)
    cases = tuple(
        Case(i, name, place, None, labels.rows[rows[name]])
        for i, (place, name) in enumerate(joined.names.items())
    )
    idle = [name for name in subfolders(root) if folder and name != folder.split("/")[0]]
    said = (f"Folders that were not used: {', '.join(idle)}.",) if idle else ()
    dataset = Dataset(root, labels.task, labels.classes, cases, "table", (*labels.statements, *said), None)
    return with_channels(dataset, data, [joined])


READERS: dict[str, Callable[[Path, DataSpec], Dataset]] = {
    "class_folders": read_class_folders,
    "image_mask": read_mask_pairs,
    "table": read_table_layout,
    "arrays": read_stacks,
}
