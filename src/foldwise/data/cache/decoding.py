"""The image and class map of a case, decoded as the study asks for them: once for all, or anew each time as a plain script does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from foldwise.data.cache.packed import Packed, Remembered, check_room, open_packed
from foldwise.data.cases import NO_CLASS, Case, Dataset
from foldwise.data.formats.pixels import (
    MaskKey,
    Pixels,
    colour_codes,
    mask_values_of,
    plane,
    resize_image,
    resize_mask,
)
from foldwise.data.formats.reading import as_image, read_pixels
from foldwise.data.masks.census import as_colour
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec, Decoding
from foldwise.text import some


def read_image(dataset: Dataset, case: Case, data: DataSpec) -> tuple[Pixels, np.ndarray]:
    """The file of a case, and its image (C, H, W) in the channels that were asked for, as large as the file."""
    pixels = _read(dataset.root, case.image, data.decoding)
    if len(dataset.channels) == 1:
        return pixels, plane(pixels, where=case.image)
    # Channel files stay as they were joined.
    channels = data.channels if isinstance(data.channels, str) else "native"
    return as_image(pixels, channels, where=case.image)


def read_mask(dataset: Dataset, case: Case, data: DataSpec) -> Pixels:
    """The decoded mask of a case: the one that was kept when its values were counted, or else read now."""
    assert case.mask is not None
    masks = dataset.decoded_masks
    decoded = None if masks is None else masks.take(dataset.root, case.mask)
    return _read(dataset.root, case.mask, data.decoding.of_masks()) if decoded is None else decoded


def size_hw(data: DataSpec, original_hw: tuple[int, ...]) -> tuple[int, int]:
    """The (height, width) of a decoded image: what `data.size` states, or that of its file."""
    if data.size == "native":
        return original_hw[0], original_hw[1]
    return (data.size, data.size) if isinstance(data.size, int) else (data.size[0], data.size[1])


def sized_image(image_CHW: np.ndarray, data: DataSpec) -> np.ndarray:
    """The image at the size that was asked for."""
    return resize_image(image_CHW, size_hw(data, image_CHW.shape[1:]))


def sized_target(
    dataset: Dataset, case: Case, data: DataSpec, original_hw: tuple[int, ...], pixels: Pixels
) -> np.ndarray:
    """The class map (H, W) uint8 of a case, at the size that the study states.

    Args:
        original_hw: the size of its image file, which its mask must have.
        pixels: its decoded mask.
    """
    assert case.mask is not None
    assert dataset.mask_values is not None
    coloured = any(isinstance(value, tuple) for value in dataset.mask_values)
    mask = mask_values_of(pixels, palette="colour" if coloured else "index", where=case.mask)
    if mask.shape[:2] != original_hw:
        sizes = [f"{width}×{height}" for height, width in (mask.shape[:2], original_hw)]
        is_turned = mask.shape[:2] == original_hw[::-1]
        problem = f"the mask is {sizes[0]} pixels, its image {case.image} is {sizes[1]}"
        cure = "Save the mask at the size of its image (nearest neighbour)."
        if is_turned:
            cure += " If the image is turned by its orientation tag, and the mask was drawn on the stored pixels, state"
            cure += " data.decoding: {orientation: ignore}."
        raise DataError(problem, where=case.mask, cure=cure)
    target = class_indices(mask, dataset.mask_values, where=case.mask)
    return resize_mask(target, size_hw(data, original_hw))


def class_indices(mask: np.ndarray, values: dict[MaskKey, int], *, where: str) -> np.ndarray:
    """The class map (H, W) uint8 of a raw mask (H, W) or (H, W, 3).

    Raises:
        DataError: the mask holds a value that `values` does not name.
    """
    if not any(isinstance(value, tuple) for value in values):
        if mask.ndim == 3:
            raise DataError(
                "the mask is coloured, the others are grey", where=where, cure="Save all masks in one way."
            )
        raw, num_values = mask, 65536
        class_of = {value: k for value, k in values.items() if isinstance(value, int)}
    else:
        raw = colour_codes(mask if mask.ndim == 3 else np.repeat(mask[..., None], 3, -1))
        num_values = 1 << 24
        class_of = {
            red << 16 | green << 8 | blue: k
            for (red, green, blue), k in ((as_colour(v), k) for v, k in values.items())
        }
    # One look-up per pixel instead of a comparison per class; 16 MB for colours is little beside an image.
    lookup = np.full(num_values, NO_CLASS, np.uint8)
    lookup[list(class_of)] = list(class_of.values())
    target: np.ndarray = lookup[raw]
    if (target == NO_CLASS).any():
        strange = np.unique(raw[target == NO_CLASS])
        problem = f"the mask holds values without a meaning: {some(map(str, strange))}"
        raise DataError(problem, where=where, cure="State data.mask_values.")
    return target


def _read(root: Path, location: str, decoding: Decoding) -> Pixels:
    """The pixels at a location; errors name the file from the data folder, not from the root of the disk."""
    try:
        return read_pixels(root, location, decoding)
    except DataError as error:
        raise DataError(error.what, where=location, cure=error.cure) from None


class FromFiles(Packed):
    """A packed data set whose images are read and decoded from their files each time, as a plain script does.

    `dataset` and `data` say where the files are and how they were read when they were packed.
    """

    cache = "none"

    def __init__(self, folder: Path, dataset: Dataset, data: DataSpec) -> None:
        super().__init__(folder)
        # Every read decodes anew, masks too: that is what this cache measures.
        self.dataset, self.data = replace(dataset, decoded_masks=None), data
        self._checked: set[tuple[str, int]] = set()
        if len(dataset.cases) != len(self):
            raise _changed(f"there are {len(dataset.cases)} images, and {len(self)} were packed", None)

    def image(self, index: int) -> np.ndarray:
        """Image `index` as (C, H, W), decoded now.

        Raises:
            DataError: its file is not what it was when it was packed.
        """
        case = self.dataset.cases[index]
        _, image = read_image(self.dataset, case, self.data)
        image = sized_image(image, self.data)
        self._check("image", index, image, super().image)
        return image

    def target(self, index: int) -> np.ndarray:
        """The class map (H, W) uint8 of image `index`, decoded now; segmentation only.

        Raises:
            DataError: its file is not what it was when it was packed.
        """
        measure = self.measures[index]
        original = (measure.original_height, measure.original_width)
        case = self.dataset.cases[index]
        target = sized_target(
            self.dataset, case, self.data, original, read_mask(self.dataset, case, self.data)
        )
        self._check("mask", index, target, super().target)
        return target

    def _check(self, kind: str, index: int, decoded: np.ndarray, packed: Callable[[int], np.ndarray]) -> None:
        """Compare with what was packed, once: the scores of all three ways are the same, or there are none."""
        if (kind, index) in self._checked:
            return
        # Each image once: afterwards a comparison would be a second read of what is measured as the plain way.
        saved = packed(index)
        if decoded.dtype != saved.dtype or not np.array_equal(
            decoded, saved, equal_nan=decoded.dtype.kind == "f"
        ):
            case = self.dataset.cases[index]
            where = case.mask if kind == "mask" else case.image
            raise _changed(f"the {kind} has changed since it was packed", where)
        self._checked.add((kind, index))


def _changed(change: str, where: str | None) -> DataError:
    return DataError(change, where=where, cure="Run the study again: it packs the images as they are now.")


def open_cached(digest: str, cache: str, files: Callable[[], tuple[Dataset, DataSpec]]) -> Packed:
    """The packed data set of a digest, with its pixels from where `cache` says: disk, memory or none.

    Where the files are is asked of `files`, for ``none`` only.

    Raises:
        RunError: the packed data set is not there.
        SpecError: it is to be cached in memory, and is larger than what is free.
        DataError: its files differ from those that were packed.
    """
    packed = open_packed(digest)
    if cache == "none":
        return FromFiles(packed.folder, *files())
    if cache == "memory":
        check_room(packed)
        return Remembered(packed.folder)
    return packed
