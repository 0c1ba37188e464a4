"""The files of a case: their digests, and its image and class map decoded as the study asks for them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from foldwise.data.cache.packed import PACK_VERSION
from foldwise.data.cases import Case, Dataset
from foldwise.data.formats.formats import open_stack
from foldwise.data.formats.pixels import (
    MaskKey,
    Pixels,
    colour_codes,
    mask_values_of,
    plane,
    resize_image,
    resize_mask,
    to_channels,
)
from foldwise.data.formats.reading import channel_files, read_pixels, split_slice
from foldwise.data.layouts.masks import NO_CLASS, as_colour
from foldwise.errors import DataError, limited
from foldwise.study.spec import DataSpec
from foldwise.text import some


def read_image(dataset: Dataset, case: Case, data: DataSpec) -> tuple[Pixels, np.ndarray]:
    """The file of a case, and its image (C, H, W) in the channels that were asked for, as large as the file."""
    pixels = _read(dataset.root, case.image)
    if len(dataset.channels) == 1:
        return pixels, plane(pixels, where=case.image)
    # Channel files stay as they were joined.
    channels = data.channels if isinstance(data.channels, str) else "native"
    return pixels, to_channels(pixels, channels, where=case.image)


def size_hw(data: DataSpec, original_hw: tuple[int, ...]) -> tuple[int, int]:
    """The (height, width) of a decoded image: what `data.size` states, or that of its file."""
    if data.size == "native":
        return original_hw[0], original_hw[1]
    return (data.size, data.size) if isinstance(data.size, int) else (data.size[0], data.size[1])


def sized_image(image_CHW: np.ndarray, data: DataSpec) -> np.ndarray:
    """The image at the size that was asked for."""
    return resize_image(image_CHW, size_hw(data, image_CHW.shape[1:]))


def sized_target(
    dataset: Dataset,
    case: Case,
    data: DataSpec,
    original_hw: tuple[int, ...],
    *,
    decoded: Pixels | None = None,
) -> np.ndarray:
    """The class map (H, W) uint8 of a case, at the size that the study states.

    Args:
        original_hw: the size of its image file, which its mask must have.
        decoded: its mask, where it was decoded before.
    """
    assert case.mask is not None
    assert dataset.mask_values is not None
    coloured = any(isinstance(value, tuple) for value in dataset.mask_values)
    pixels = _read(dataset.root, case.mask) if decoded is None else decoded
    mask = mask_values_of(pixels, palette="colour" if coloured else "index", where=case.mask)
    if mask.shape[:2] != original_hw:
        sizes = [f"{width}×{height}" for height, width in (mask.shape[:2], original_hw)]
        is_turned = mask.shape[:2] == original_hw[::-1]
        hint = " The image may have been turned by its EXIF orientation." if is_turned else ""
        problem = f"the mask is {sizes[0]} pixels, its image {case.image} is {sizes[1]}"
        cure = f"Save the mask at the size of its image (nearest neighbour).{hint}"
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


def _read(root: Path, location: str) -> Pixels:
    """The pixels at a location; errors name the file from the data folder, not from the root of the disk."""
    try:
        return read_pixels(root, location)
    except DataError as error:
        raise DataError(error.what, where=location, cure=error.cure) from None


def file_digests(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of every image and mask file, or slice of a stack, by its location.

    Raises:
        DataError: files cannot be read; all at once.
    """
    digests: dict[str, str] = {}
    errors = []
    for location in (name for case in dataset.cases for name in (case.image, case.mask) if name is not None):
        try:
            digests[location] = _digest_of(dataset.root, location)
        except OSError as error:
            problem = f"the file cannot be read ({error.strerror})"
            errors.append(DataError(problem, where=location, cure="Check that it is there and may be read."))
    if errors:
        raise limited(errors)
    return digests


def _digest_of(root: Path, location: str) -> str:
    parts = channel_files(location)
    if len(parts) > 1:
        digests = "".join(_digest_of(root, part) for part in parts)
        return hashlib.sha256(f"channels {digests}".encode()).hexdigest()
    name, index = split_slice(location)
    path = root / name
    # Of the values and not of the file: slices of a stack that is saved anew, or grows, keep their digests.
    if index is not None:
        array = np.ascontiguousarray(open_stack(path)[index])
        return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()
    if path.is_dir():  # an image that is a folder: all its files, by their names
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [(file.relative_to(path).as_posix(), file_digest(file)) for file in files]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return file_digest(path)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_digest(dataset: Dataset, data: DataSpec, files: dict[str, str]) -> str:
    """Thirty-two digits that change when, and only when, the packed folder would."""
    # The words do not count: which file is which channel stands in the digests of the files.
    channels = data.channels if isinstance(data.channels, str) else len(data.channels)
    values = sorted((str(key), k) for key, k in (dataset.mask_values or {}).items())
    cases = [(files[c.image], files[c.mask] if c.mask else None, c.labels) for c in dataset.cases]
    content = [PACK_VERSION, dataset.task, dataset.classes, channels, data.size, values, cases]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
