"""One folder per class, with the images of the class directly in it."""

from __future__ import annotations

from pathlib import Path

from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, with_channels
from foldwise.data.layouts.labels import read_labels, stated_task
from foldwise.data.layouts.listing import Finder, image_files, image_files_below, other_files, subfolders
from foldwise.data.layouts.tables import image_column, match_rows, read_table
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.study.spec import DataSpec
from foldwise.text import counted, some

SPLIT_NAMES = frozenset(
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "holdout"]
)


def class_folders(root: Path) -> list[str]:
    """Names of the folders in `root` that hold images directly."""
    return [name for name in subfolders(root) if image_files(root / name)]


def read_class_folders(root: Path, data: DataSpec) -> Dataset:
    """The data set of a folder of class folders.

    Raises:
        SpecError: a class in data.classes has no folder, or the stated task does not fit.
        DataError: fewer than two classes; images deeper down; files of image kinds that cannot be read.
    """
    found = class_folders(root)
    errors = [*_misplaced(root), *_split_names(root, found, data)]
    if errors:
        raise DataError.together(errors)
    if data.classes is not None:
        absent = [name for name in data.classes if name not in found]
        if absent:
            raise SpecError(
                f"no folder of images is called {some(absent)}",
                where="data.classes",
                cure=f"Folders: {', '.join(found)}.",
            )
    classes = data.classes or tuple(found)
    if len(classes) < 2:
        raise DataError(
            f"one class only: {', '.join(classes) or 'no folder holds images'}",
            where=str(root),
            cure="Put the images of every class into a folder of its own.",
        )
    task = stated_task(data, "binary_classification" if len(classes) == 2 else "multiclass_classification")
    joined = [
        images_at([f"{name}/{file}" for file in image_files(root / name)], data, where=str(root))
        for name in classes
    ]
    images = [(place, name, k) for k, part in enumerate(joined) for place, name in part.names.items()]
    cases = tuple(Case(i, name, place, None, (k,)) for i, (place, name, k) in enumerate(images))
    said = tuple(_said(root, classes, found))
    return with_channels(Dataset(root, task, classes, cases, "class_folders", said, None), data, joined)


def _split_names(root: Path, found: list[str], data: DataSpec) -> list[DataError]:
    """An error where the folders are named like a split and nothing states that they are classes."""
    stated = data.layout == "class_folders" or data.classes is not None
    if stated or not found or not {name.casefold() for name in found} <= SPLIT_NAMES:
        return []
    return [
        DataError(
            f"the folders {', '.join(found)} are named like parts of a split, not like classes",
            where=str(root),
            cure="Make one folder per class (foldwise makes the folds), or state data.layout: class_folders.",
        )
    ]


def _said(root: Path, classes: tuple[str, ...], found: list[str]) -> list[str]:
    counts = ", ".join(f"{name} {len(image_files(root / name))}" for name in classes)
    said = [f"One folder per class was recognised: {counts}."]
    if left := [name for name in found if name not in classes]:
        said.append(f"Folders left out because data.classes does not name them: {', '.join(left)}.")
    if idle := [name for name in subfolders(root) if name not in found]:
        said.append(f"Folders without images were ignored: {', '.join(idle)}.")
    if loose := image_files(root):
        said.append(
            f"{counted(len(loose), 'image beside the class folders was', 'images beside the class folders were')} ignored: {some(loose)}."
        )
    if strange := [f"{name}/{file}" for name in classes for file in other_files(root / name)[1]]:
        said.append(
            f"{counted(len(strange), 'file that is no image was', 'files that are no images were')} ignored: {some(strange)}."
        )
    return said


def _misplaced(root: Path) -> list[DataError]:
    """Errors for what would be lost without a word: images deeper down, and kinds that cannot be read."""
    errors = []
    deep = [path for path in image_files_below(root) if path.count("/") > 1]
    if deep:
        errors.append(
            DataError(
                f"{counted(len(deep), 'image lies', 'images lie')} deeper than one folder: {some(deep)}",
                where=str(root),
                cure="Let every class be one folder with its images directly in it, or point data.path at the right folder.",
            )
        )
    foreign = [f"{name}/{file}" for name in subfolders(root) for file in other_files(root / name)[0]]
    if foreign:
        errors.append(
            DataError(
                f"{counted(len(foreign), 'file is', 'files are')} of kinds that cannot be read: {some(foreign)}",
                where=str(root),
                cure="Save them as PNG or TIFF, or move them elsewhere.",
            )
        )
    return errors


def table_agrees(root: Path, table_path: Path, data: DataSpec) -> str | None:
    """None if a table beside class folders says the same as the folders; else how it differs, in words."""
    try:
        table = read_table(table_path)
        column = image_column(table, data.image_column)
        folders = class_folders(root)
        finder = Finder([f"{name}/{file}" for name in folders for file in image_files(root / name)])
        labels = read_labels(table, data, column)
        rows, errors = match_rows(table, column, finder)
    except FoldwiseError as error:
        return f"it cannot be taken as labels ({error.what})"
    if errors:
        return f"its rows do not fit the files ({errors[0].what})"
    if labels.task == "multilabel_classification":
        return "it gives several labels per image"
    for path, row in rows.items():
        name = labels.classes[labels.rows[row][0]]
        if name != path.split("/")[0]:
            return f"it calls {path} {name!r} (line {table.lines[row]})"
    return None
