"""Images and masks from where they are: a file, a slice of a stack, or a file for every channel."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from foldwise.data.formats.formats import decode, open_stack, stack_suffixes
from foldwise.data.formats.pixels import Pixels, Step, is_coloured, joined, mask_values_of, to_channels
from foldwise.data.formats.shapes import DRAWING_VERSION, Shape, Tally, drawn_mask
from foldwise.data.formats.steps import carried_out
from foldwise.resources import usable
from foldwise.storage import cache_root, folder_cached
from foldwise.study.spec import AS_SHOWN, Decoding

MAX_DECODERS = 4  # at a time: beyond that the disk decides
_CHANNELS = re.compile(r"\{([^{}]*,[^{}]*)\}")
_SLICE = re.compile(r"(.+)\[(\d+)\]")


def num_decoders() -> int:
    """How many threads decode at a time; decoders let go of the interpreter's lock."""
    return min(MAX_DECODERS, usable().cores)


def channel_files(location: str) -> list[str]:
    """The files at a location, in the order of their channels: one, but for ``a_{red,green}.png`` and its like."""
    match = _CHANNELS.search(location)
    if match is None:
        return [location]
    return [location[: match.start()] + name + location[match.end() :] for name in match[1].split(",")]


def split_slice(location: str) -> tuple[str, int | None]:
    """The file of a location such as ``images.npy[3]`` and its slice; the slice is None for a file of its own."""
    match = _SLICE.fullmatch(location)
    if match and match[1].lower().endswith(stack_suffixes()):
        return match[1], int(match[2])
    return location, None


def read_pixels(root: Path, location: str, decoding: Decoding = AS_SHOWN) -> Pixels:
    """The decoded file, slice of a stack, or channel files in their order, at a location below `root`; see `Case`."""
    files = channel_files(location)
    if len(files) > 1:
        return joined([decode(root / name, decoding) for name in files], files, where=location)
    name, index = split_slice(location)
    return decode(root / name, decoding) if index is None else read_slice(root / name, index, decoding)


def as_image(pixels: Pixels, channels: str, *, where: str) -> tuple[Pixels, np.ndarray]:
    """The pixels, with all steps that lead to the image, and the image; see `read_image`."""
    image_CHW = to_channels(pixels, channels, where=where)
    if channels == "gray" and is_coloured(pixels):
        pixels = replace(pixels, steps=(*pixels.steps, Step("grey")))
    return pixels, image_CHW


def read_slice(path: Path, index: int, decoding: Decoding = AS_SHOWN) -> Pixels:
    """Slice `index` of a stack, as `decode` reads a file."""
    return carried_out(open_stack(path).slice(index), decoding, where=str(path))


def read_image(path: Path, *, channels: str) -> np.ndarray:
    """The picture in a file as (C, H, W), in the file's own dtype: uint8, uint16 or float32.

    Palette files become colour; 1-bit files 0 and 255. An alpha channel is dropped, not blended: what lies under
    transparent pixels is what was recorded, and any background to blend with would be our invention.

    Args:
        path: a PNG, JPEG, TIFF or BMP file; its EXIF orientation is honoured.
        channels: ``native`` keeps the channels of the file; ``gray`` gives one (BT.601 luma; a grey picture saved
            as RGB gives the very values it had, so that the colour mode tells nothing); ``rgb`` gives three.

    Raises:
        DataError: the file is missing, empty, damaged, no image, or has no such channels.
    """
    return to_channels(decode(path), channels, where=str(path))


def read_mask(path: Path, *, palette: Literal["index", "colour"] = "index") -> np.ndarray:
    """The values of a mask file: (H, W) uint8 or uint16, or (H, W, 3) uint8 where its channels differ.

    Colours with equal channels are grey; 1-bit masks hold 0 and 255; an opaque alpha channel is dropped.

    Args:
        path: a PNG, TIFF, BMP or (not advised) JPEG file.
        palette: whether a palette file is read as its indices or as the colours they stand for.

    Raises:
        DataError: as `read_image`; or the alpha channel varies; or the values are no whole numbers.
    """
    return mask_values_of(decode(path), palette=palette, where=str(path))


# Of compressed masks; those beyond it are decoded again, so that memory stays bounded.
MAX_DECODED_BYTES = 2**29


@dataclass(frozen=True)
class _Compressed:
    """The pixels of a mask file, and the time and size that the file had when it was decoded."""

    pixels: Pixels  # without values
    values: bytes
    shape: tuple[int, ...]
    dtype: np.dtype
    written: tuple[int, int]


class DecodedMasks:
    """Masks that were decoded for the census of their values, compressed, so that packing need not decode them again.

    Each mask is handed out once, and only while its file is as it was.
    """

    def __init__(self) -> None:
        self._masks: dict[Path, _Compressed] = {}
        self._num_bytes = 0

    def decode(self, root: Path, location: str, decoding: Decoding = AS_SHOWN) -> Pixels:
        """The pixels at a location, kept for `take`; slices are not, since their stack stays open."""
        path = root / location
        if not path.is_file():  # a slice, or channel files
            return read_pixels(root, location, decoding)
        written = _written(path)
        pixels = read_pixels(root, location, decoding)
        # Masks are flat areas: the fastest level makes them about a hundredth, in less time than a PNG takes to decode.
        values = zlib.compress(pixels.values.tobytes(), level=1)
        if self._num_bytes + len(values) <= MAX_DECODED_BYTES:
            self._num_bytes += len(values)
            empty = replace(pixels, values=np.empty(0, pixels.values.dtype))
            self._masks[path] = _Compressed(empty, values, pixels.values.shape, pixels.values.dtype, written)
        return pixels

    def take(self, root: Path, location: str) -> Pixels | None:
        """The pixels at a location; None where they are not kept, or the file was written since."""
        mask = self._masks.pop(root / location, None)
        if mask is None or _written(root / location) != mask.written:
            return None
        self._num_bytes -= len(mask.values)
        values = np.frombuffer(zlib.decompress(mask.values), mask.dtype).reshape(mask.shape)
        return replace(mask.pixels, values=values)

    def clear(self) -> None:
        """Forget all masks."""
        self._masks.clear()
        self._num_bytes = 0


def _written(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


def masks_in_cache(
    root: Path,
    objects: Mapping[str, list[Shape]],
    names: Mapping[str, str],
    classes: tuple[str, ...],
    decoding: Decoding,
    source: list[Any],
) -> Path:
    """The folder in the cache with masks/, of the size of the images, and notes.json with what there is to say.

    Args:
        objects: of each image, by where it is from `root`; `names` are those of their masks.
        source: what the objects were read from, with digests of the files.
    """
    status = [[(root / file).stat() for file in channel_files(image)] for image in objects]
    written = [[(each.st_mtime_ns, each.st_size) for each in own] for own in status]
    # Class names of YOLO stand in another file, and the order of runs in none.
    kinds = [[(shape.name, shape.by_rows) for shape in shapes] for shapes in objects.values()]
    content = [DRAWING_VERSION, source, list(objects), written, classes, decoding.model_dump(), kinds]
    folder = cache_root() / "outlines" / hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    if folder.is_dir():
        return folder
    with folder_cached(folder) as scratch:
        (scratch / "masks").mkdir()
        tally = Tally()
        for image, shapes in objects.items():
            size_hw = read_pixels(root, image, decoding).values.shape[1:]
            mask = drawn_mask(shapes, classes, (size_hw[0], size_hw[1]), tally, where=image)
            Image.fromarray(mask).save(scratch / "masks" / names[image])
        notes = {"over": tally.over, "images": tally.images, "outside": tally.outside}
        (scratch / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
    return folder
