"""A folder of images with a folder of masks: which mask belongs to which image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from foldwise.data.cases import Case, Dataset
from foldwise.data.layouts.channel_files import images_at, with_channels
from foldwise.data.layouts.listing import (
    image_files,
    image_files_below,
    one_per_stem,
    other_files,
    stem,
    subfolders,
)
from foldwise.data.layouts.masks import read_meaning
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec
from foldwise.text import counted, natural, some

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "segmentations", "segmentation")


def named_folder(root: Path, stated: str | None, usual: tuple[str, ...], key: str) -> str | None:
    """The folder that is stated, or the one with a usual name; None where there is none.

    Raises:
        SpecError: the stated folder does not exist.
        DataError: more than one folder has a usual name.
    """
    if stated is not None:
        if not (root / stated).is_dir():
            raise SpecError(
                f"there is no folder {stated!r} in {root}",
                where=key,
                cure=f"Folders: {', '.join(subfolders(root)) or 'none'}.",
            )
        return PurePosixPath(stated).as_posix()
    found = [name for name in subfolders(root) if name.casefold() in usual and image_files_below(root / name)]
    if len(found) > 1:
        raise DataError(
            f"the folders {' and '.join(found)} could both be meant",
            where=str(root),
            cure=f"State {key}: {found[0]}.",
        )
    return found[0] if found else None


def image_folder(root: Path, data: DataSpec) -> str | None:
    """The folder that holds the images, if there is one apart from the root, or the root that has one per channel."""
    by_channel = isinstance(data.channels, tuple) and set(data.channels) <= set(subfolders(root))
    if data.images is None and by_channel:
        return "."
    return named_folder(root, data.images, IMAGE_FOLDERS, "data.images")


def mask_folder(root: Path, data: DataSpec) -> str | None:
    """The folder that holds the masks, if there is one."""
    return named_folder(root, data.masks, MASK_FOLDERS, "data.masks")


def read_mask_pairs(root: Path, data: DataSpec) -> Dataset:
    """The data set of `images/` and `masks/`, paired by file name without suffix.

    Raises:
        SpecError: a stated folder, class or task does not fit.
        DataError: a folder is missing; images and masks do not pair up; mask values are unclear.
    """
    images, masks = image_folder(root, data), mask_folder(root, data)
    if images is None or masks is None:
        missing, key = ("images", "data.images") if images is None else ("masks", "data.masks")
        raise DataError(
            f"there is no folder of {missing}",
            where=str(root),
            cure=f"State {key}: one of {', '.join(subfolders(root)) or '(no folders)'}.",
        )
    by_channel = isinstance(data.channels, tuple)
    errors = _misplaced(root, (masks,) if by_channel else (images, masks))
    joined = images_at(_image_paths(root, images, masks, deep=by_channel), data, where=str(root))
    names, mask_of = list(joined.names.values()), _paths(root, masks)
    errors += one_per_stem(names, "images") + one_per_stem(mask_of, "masks")
    errors += _unpaired(names, mask_of, masks)
    if errors:
        raise DataError.together(errors)
    by_stem = {stem(path): path for path in mask_of}
    pairs = [(name, place, by_stem[stem(name)]) for place, name in joined.names.items()]
    meaning = read_meaning(root, [mask for _, _, mask in pairs], data)
    cases = tuple(Case(i, name, place, mask, ()) for i, (name, place, mask) in enumerate(pairs))
    said = [
        f"{len(cases)} images of {'the folder itself' if images == '.' else f'{images}/'} were paired with masks of the same name in {masks}/."
    ]
    if idle := [name for name in subfolders(root) if name not in {images.split("/")[0], masks.split("/")[0]}]:
        said.append(f"Folders that were not used: {', '.join(idle)}.")
    if strange := [
        f"{folder}/{file}" for folder in (images, masks) for file in other_files(root / folder)[1]
    ]:
        said.append(
            f"{counted(len(strange), 'file that is no image was', 'files that are no images were')} ignored: {some(strange)}."
        )
    dataset = Dataset(
        root, meaning.task, meaning.classes, cases, "image_mask", (*said, *meaning.statements), meaning.values
    )
    return with_channels(dataset, data, [joined])


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
    errors = []
    for folder in folders:
        # The root itself may be stated, and then has the masks below it.
        deep = [path for path in image_files_below(root / folder) if "/" in path and folder != "."]
        if deep:
            errors.append(
                DataError(
                    f"{counted(len(deep), 'image lies', 'images lie')} in folders below {folder}/: {some(deep)}",
                    where=str(root),
                    cure=f"Put them directly into {folder}/.",
                )
            )
        if foreign := other_files(root / folder)[0]:
            errors.append(
                DataError(
                    f"{len(foreign)} file(s) in {folder}/ are of kinds that cannot be read: {some(foreign)}",
                    where=str(root),
                    cure="Save them as PNG or TIFF.",
                )
            )
    return errors


def _unpaired(images: list[str], masks: list[str], folder: str) -> list[DataError]:
    """Errors for images without a mask, and masks without an image."""
    image_stems, mask_stems = {stem(path) for path in images}, {stem(path) for path in masks}
    lonely = [path for path in images if stem(path) not in mask_stems]
    idle = [path for path in masks if stem(path) not in image_stems]
    hint = _naming_hint(image_stems - mask_stems, mask_stems - image_stems)
    errors = []
    if lonely:
        cure = f"Give every image a mask of the same name in {folder}/, or take it out.{hint}"
        errors.append(
            DataError(
                f"{counted(len(lonely), 'image has', 'images have')} no mask of the same name: {some(lonely)}",
                cure=cure,
            )
        )
    if idle:
        cure = f"Give every mask its image, or take it out.{hint}"
        errors.append(
            DataError(
                f"{counted(len(idle), 'mask has', 'masks have')} no image of the same name: {some(idle)}",
                cure=cure,
            )
        )
    return errors


def _naming_hint(images: set[str], masks: set[str]) -> str:
    """What makes the names differ, if it is the same for all: upper and lower case, or an ending such as ``_mask``."""
    if not images or not masks:
        return ""
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
