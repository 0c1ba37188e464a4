"""A folder of images with a folder of masks: which mask belongs to which image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, with_channels
from foldwise.data.layouts.listing import (
    Listing,
    errors_about,
    image_files,
    image_files_below,
    one_per_stem,
    other_files,
    stem,
    subfolders,
)
from foldwise.data.layouts.masks import read_meaning
from foldwise.errors import DataError
from foldwise.text import listed, natural, some


def fits(listing: Listing) -> str | None:
    """The two folders, where both are there; masks without images are something else only if they are no class."""
    if listing.masks is None:
        return None
    if listing.images is not None:
        return f"{listing.images}/ with {listing.masks}/"
    alone = listing.masks in listing.class_folders and not listing.loose_images
    return f"{listing.masks}/" if alone else None


def read(listing: Listing) -> Dataset:
    """The data set of `images/` and `masks/`, paired by file name without suffix.

    Raises:
        SpecError: a stated folder, class or task does not fit.
        DataError: a folder is missing; images and masks do not pair up; mask values are unclear.
    """
    root, data, images, masks = listing.root, listing.data, listing.images, listing.masks
    if images is None or masks is None:
        missing, key = ("images", "data.images") if images is None else ("masks", "data.masks")
        cure = f"State {key}: one of {', '.join(subfolders(root)) or '(no folders)'}."
        raise DataError(f"there is no folder of {missing}", where=str(root), cure=cure)
    by_channel = isinstance(data.channels, tuple)
    errors = _misplaced(root, (masks,) if by_channel else (images, masks))
    joined = images_at(_image_paths(root, images, masks, deep=by_channel), data, where=str(root))
    names, mask_of = list(joined.names.values()), _paths(root, masks)
    errors += one_per_stem(names, "images") + one_per_stem(mask_of, "masks")
    errors += _unpaired(names, mask_of, masks)
    if errors:
        raise DataError.together(errors)
    by_stem = {stem(path): path for path in mask_of}
    pairs = [(name, image, by_stem[stem(name)]) for image, name in joined.names.items()]
    meaning = read_meaning(root, [mask for _, _, mask in pairs], data)
    cases = tuple(Case(i, name, image, mask, ()) for i, (name, image, mask) in enumerate(pairs))
    statements = (*_pairing(root, images, masks, len(cases)), *meaning.statements)
    dataset = Dataset(root, meaning.task, meaning.classes, cases, "image_mask", statements, meaning.values)
    return with_channels(replace(dataset, decoded_masks=meaning.decoded), data, [joined])


def _pairing(root: Path, images: str, masks: str, num_cases: int) -> list[str]:
    """What was paired and what was passed over, in sentences."""
    folder = "the folder itself" if images == "." else f"{images}/"
    statements = [f"{num_cases} images of {folder} were paired with masks of the same name in {masks}/."]
    if idle := [name for name in subfolders(root) if name not in {images.split("/")[0], masks.split("/")[0]}]:
        statements.append(f"Folders that were not used: {', '.join(idle)}.")
    if strange := [
        f"{folder}/{file}" for folder in (images, masks) for file in other_files(root / folder)[1]
    ]:
        statements.append(
            f"{listed(strange, 'file that is no image was', 'files that are no images were', 'ignored')}."
        )
    return statements


def _paths(root: Path, folder: str) -> list[str]:
    return sorted(
        ((PurePosixPath(folder) / name).as_posix() for name in image_files(root / folder)), key=natural
    )


def _image_paths(root: Path, images: str, masks: str, *, deep: bool) -> list[str]:
    """Files of images, from the root: those directly in their folder, or below it where it has one per channel."""
    if not deep:
        return _paths(root, images)
    below = ((PurePosixPath(images) / name).as_posix() for name in image_files_below(root / images))
    return [path for path in below if not path.startswith(f"{masks}/")]


def _misplaced(root: Path, folders: tuple[str, ...]) -> list[DataError]:
    """Errors for images that would be passed over: in folders deeper down, or of kinds that cannot be read."""
    errors: list[DataError] = []
    for folder in folders:
        # The root itself may be stated, and then has the masks below it.
        deep = [path for path in image_files_below(root / folder) if "/" in path and folder != "."]
        below, cure = f"in folders below {folder}/", f"Put them directly into {folder}/."
        errors += errors_about(deep, "image lies", "images lie", below, where=str(root), cure=cure)
        if foreign := other_files(root / folder)[0]:
            problem = f"{len(foreign)} file(s) in {folder}/ are of kinds that cannot be read: {some(foreign)}"
            errors.append(DataError(problem, where=str(root), cure="Save them as PNG or TIFF."))
    return errors


def _unpaired(images: list[str], masks: list[str], folder: str) -> list[DataError]:
    """Errors for images without a mask, and masks without an image."""
    image_stems, mask_stems = {stem(path) for path in images}, {stem(path) for path in masks}
    lonely = [path for path in images if stem(path) not in mask_stems]
    idle = [path for path in masks if stem(path) not in image_stems]
    hint = _naming_hint(image_stems - mask_stems, mask_stems - image_stems)
    cure = f"Give every image a mask of the same name in {folder}/, or take it out.{hint}"
    errors = errors_about(lonely, "image has", "images have", "no mask of the same name", cure=cure)
    cure = f"Give every mask its image, or take it out.{hint}"
    return errors + errors_about(idle, "mask has", "masks have", "no image of the same name", cure=cure)


def _naming_hint(images: set[str], masks: set[str]) -> str:
    """What makes the names differ, if it is the same for all: upper and lower case, or an ending such as ``_mask``."""
    if not images or not masks:
        return ""
    # A disk that ignores case hides this until the data are copied to one that does not.
    if {name.casefold() for name in images} & {name.casefold() for name in masks}:
        return " Some names differ only in upper and lower case."
    for name in images:
        longer = [mask for mask in masks if mask.startswith(name)]
        if (
            longer
            and (ending := longer[0].removeprefix(name))
            and {image + ending for image in images} == masks
        ):
            return f" All masks end in {ending!r}: rename them without it."
    return ""
