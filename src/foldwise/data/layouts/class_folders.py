"""One folder per class, with the images of the class directly in it."""

from __future__ import annotations

from pathlib import Path

from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, with_channels
from foldwise.data.layouts.labels import stated_task
from foldwise.data.layouts.listing import Listing, image_files, image_files_below, other_files, subfolders
from foldwise.errors import DataError, SpecError
from foldwise.text import count, some

SPLIT_NAMES = frozenset(
    ["train", "training", "test", "testing", "val", "valid", "validation", "dev", "holdout"]
)


def fits(listing: Listing) -> str | None:
    """That folders hold images, where none of them is called ``images``."""
    folders = listing.images is None and (listing.class_folders or listing.has_nested_images)
    return "folders that hold images" if folders else None


def read(listing: Listing) -> Dataset:
    """The data set of a folder of class folders.

    Raises:
        SpecError: a class in data.classes has no folder, or the stated task does not fit.
        DataError: fewer than two classes; images deeper down; files of image kinds that cannot be read.
    """
    root, data, folders = listing.root, listing.data, listing.class_folders
    errors = [*_misplaced(root), *_split_names(listing)]
    if errors:
        raise DataError.together(errors)
    if data.classes is not None:
        absent = [name for name in data.classes if name not in folders]
        if absent:
            raise SpecError(
                f"no folder of images is called {some(absent)}",
                where="data.classes",
                cure=f"Folders: {', '.join(folders)}.",
            )
    classes = data.classes or tuple(folders)
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
    images = [(image, name, k) for k, part in enumerate(joined) for image, name in part.names.items()]
    cases = tuple(Case(i, name, image, None, (k,)) for i, (image, name, k) in enumerate(images))
    statements = tuple(_statements(listing, classes))
    return with_channels(Dataset(root, task, classes, cases, "class_folders", statements, None), data, joined)


def _split_names(listing: Listing) -> list[DataError]:
    """An error where the folders are named like a split and nothing states that they are classes."""
    folders = listing.class_folders
    stated = listing.data.layout == "class_folders" or listing.data.classes is not None
    if stated or not folders or not {name.casefold() for name in folders} <= SPLIT_NAMES:
        return []
    return [
        DataError(
            f"the folders {', '.join(folders)} are named like parts of a split, not like classes",
            where=str(listing.root),
            cure="Make one folder per class (foldwise makes the folds), or state data.layout: class_folders.",
        )
    ]


def _statements(listing: Listing, classes: tuple[str, ...]) -> list[str]:
    """Which folders are classes, and what was passed over, in sentences."""
    root, folders = listing.root, listing.class_folders
    counts = ", ".join(f"{name} {len(image_files(root / name))}" for name in classes)
    statements = [f"One folder per class was recognised: {counts}."]
    if left := [name for name in folders if name not in classes]:
        statements.append(f"Folders left out because data.classes does not name them: {', '.join(left)}.")
    if idle := [name for name in subfolders(root) if name not in folders]:
        statements.append(f"Folders without images were ignored: {', '.join(idle)}.")
    if loose := listing.loose_images:
        statements.append(
            f"{count(len(loose), 'image beside the class folders was', 'images beside the class folders were')} ignored: {some(loose)}."
        )
    if strange := [f"{name}/{file}" for name in classes for file in other_files(root / name)[1]]:
        statements.append(
            f"{count(len(strange), 'file that is no image was', 'files that are no images were')} ignored: {some(strange)}."
        )
    return statements


def _misplaced(root: Path) -> list[DataError]:
    """Errors for what would be lost without a word: images deeper down, and kinds that cannot be read."""
    errors = []
    # A class that is a folder of folders would silently be empty.
    deep = [path for path in image_files_below(root) if path.count("/") > 1]
    if deep:
        errors.append(
            DataError(
                f"{count(len(deep), 'image lies', 'images lie')} deeper than one folder: {some(deep)}",
                where=str(root),
                cure="Let every class be one folder with its images directly in it, or point data.path at the right folder.",
            )
        )
    foreign = [f"{name}/{file}" for name in subfolders(root) for file in other_files(root / name)[0]]
    if foreign:
        errors.append(
            DataError(
                f"{count(len(foreign), 'file is', 'files are')} of kinds that cannot be read: {some(foreign)}",
                where=str(root),
                cure="Save them as PNG or TIFF, or move them elsewhere.",
            )
        )
    return errors
