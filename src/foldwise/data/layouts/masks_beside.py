"""Images and their masks in one folder, told apart by their names: all in one, or in one folder for each patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldwise.data.layouts.files import IMAGE_FOLDERS, MASK_FOLDERS, PICKLE, errors_about, part_named, stem
from foldwise.data.layouts.pairing import commonest_ending, holds_masks, is_called_mask
from foldwise.errors import DataError

if TYPE_CHECKING:
    from foldwise.data.layouts.listing import Listing

STATED = "data.layout=masks_beside"
# The folders of an image, but for those that are called images or masks, and its stem.
Name = tuple[tuple[str, ...], str]


@dataclass(frozen=True)
class ImagesAndMasks:
    """The paths of images and of masks by what both are called, and what the names of masks have at the end."""

    images: dict[Name, str]
    masks: dict[Name, str]
    ending: str
    twice: list[str]  # paths of what would be called as another
    folders: list[str]  # the outermost that they lie in, but for those of a part, or called images or masks

    @property
    def pairs(self) -> list[Name]:
        """What images and masks are called that have one another."""
        return [name for name in self.images if name in self.masks]

    @property
    def is_likely(self) -> bool:
        """Whether half of the images have a mask, and half of the masks an image."""
        return 0 < max(len(self.images), len(self.masks)) <= 2 * len(self.pairs)


def images_and_masks_of(folders_of: Mapping[str, tuple[str, ...]]) -> ImagesAndMasks:
    """Images and masks among images at some paths, by the folders that they lie in.

    A mask lies in a folder called masks or the like, or is called as an image with more at the end: ``a.png`` and
    ``a_mask.png``, with the ending that is most frequent.
    """
    places = {path: tuple(path.split("/")[:-1]) for path in folders_of if not path.endswith(PICKLE)}
    names = {path: (without_kinds(folders), stem(path)) for path, folders in places.items()}
    in_masks = {path for path, folders in places.items() if {*map(str.casefold, folders)} & {*MASK_FOLDERS}}
    whole = {"/".join((*folders, name)) for folders, name in names.values()}
    ending, number = commonest_ending(whole, whole)
    ending = ending if 4 * number > len(names) else ""
    within = dict.fromkeys(name for folders in folders_of.values() for name in without_kinds(folders)[:1])
    both = ImagesAndMasks({}, {}, ending, [], list(within))
    for path, (folders, name) in names.items():
        is_called_so = bool(ending) and name.endswith(ending)
        files = both.masks if path in in_masks or is_called_so else both.images
        key = folders, name.removesuffix(ending) if files is both.masks else name
        if key in files:
            both.twice.append(path)
        files.setdefault(key, path)
    return both


def without_kinds(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The names of folders but for those that are called images, masks or the like."""
    return tuple(name for name in folders if name.casefold() not in IMAGE_FOLDERS + MASK_FOLDERS)


def fits(listing: Listing) -> str | None:
    """That masks lie beside their images in one folder; where they lie in several, a study states it when it is asked."""
    is_pair = listing.images is not None and listing.masks is not None
    if is_pair or isinstance(listing.data.channels, tuple) or not (listing.loose_images or listing.images):
        return None
    both = images_and_masks_of(listing.folders_of_images)
    if both.folders or not both.is_likely or not both.ending:
        return None
    images, masks = list(both.images.values()), list(both.masks.values())
    by_content = holds_masks(listing.root, masks) and not holds_masks(listing.root, images)
    return (
        f"masks called *{both.ending} beside their images"
        if is_called_mask(both.ending) or by_content
        else None
    )


def about_masks(problem: str, listing: Listing) -> DataError:
    """The error about masks in further folders; it offers this layout where they go together with images by their names."""
    both = images_and_masks_of(listing.folders_of_images)
    if both.is_likely and both.folders[1:] and not all(map(part_named, both.folders)):
        first = both.pairs[0]
        cure = f"State data.layout: masks_beside, which pairs them by folder and name ({both.images[first]} with {both.masks[first]})."
        return DataError(problem, where=str(listing.root), cure=cure, choices=[STATED])
    cure = "Put images into images/ and masks into masks/, one mask an image, of its name."
    return DataError(problem, where=str(listing.root), cure=cure)


def pairing_errors(both: ImagesAndMasks, where: str) -> list[DataError]:
    """What is wrong where not every image has a mask of its own."""
    if not both.masks:
        cure = "Call every mask as its image, with an ending such as _mask."
        return [DataError("no mask lies beside an image", where=where, cure=cure)]
    lacking = [path for name, path in both.images.items() if name not in both.masks]
    alone = [path for name, path in both.masks.items() if name not in both.images]
    cure = f"Add its mask, called as the image with {both.ending or 'an ending such as _mask'} at the end, or take the image out."
    errors = errors_about(lacking, "image has", "images have", "no mask", where=where, cure=cure)
    cure = "Add the image, or take the mask out."
    errors += errors_about(alone, "mask has", "masks have", "no image", where=where, cure=cure)
    cure = "Keep one of them, or rename the others."
    return errors + errors_about(
        both.twice, "file is", "files are", "called as others but for the suffix", where=where, cure=cure
    )
