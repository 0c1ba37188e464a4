"""One file decoded: the pixels as they were saved, with what the file says about them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from foldwise.data.formats.tiff_parts import is_whole
from foldwise.data.formats.tiff_stacks import open_tiff_stack
from foldwise.errors import DataError

COPY_AGAIN = "Copy it again from its source, or take it out."
TIFF = (".tif", ".tiff")
MAX_CHANNELS = 16  # an unnamed axis this short is taken as channels; no picture side is


@dataclass(frozen=True)
class Pixels:
    """A decoded file, upright (the EXIF orientation is applied).

    Attributes:
        values: (C, H, W) in the file's own dtype; a palette file holds its indices (1, H, W) here.
        mode: ``1``, ``L``, ``LA``, ``RGB``, ``RGBA``, ``P`` as Pillow names them, or ``C4`` for four plain channels.
        palette: (256, 3) uint8 colours of a ``P`` file, else None.
        bit_depth: of one sample in the file: 1, 8, 16 or 32.
    """

    values: np.ndarray
    mode: str
    format: str
    bit_depth: int
    palette: np.ndarray | None = None


def decode(path: Path) -> Pixels:
    """The pixels of an image file; DataError with the file and a cure where they cannot be had."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror})",
            where=str(path),
            cure="Check that it is there and may be read.",
        ) from None
    if size == 0:
        raise DataError(
            "the file is empty (0 bytes)",
            where=str(path),
            cure=COPY_AGAIN,
        )
    try:
        return _decode_tiff(path) if _is_tiff(path) else _decode_picture(path)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise DataError(
            "the image has more than 178 million pixels", where=str(path), cure="Cut it into tiles first."
        ) from None
    except UnidentifiedImageError:
        raise DataError(
            "the file is no image that can be read (PNG, JPEG, TIFF and BMP can)",
            where=str(path),
            cure="Open it in an image viewer; save it again as PNG or TIFF, or take it out.",
        ) from None
    # Decoders raise whatever they meet in broken bytes: OSError, struct.error, ValueError, zlib.error, their own.
    except Exception as error:
        raise DataError(
            f"the file is damaged or cut short ({type(error).__name__}: {_first_line(error)})",
            where=str(path),
            cure=COPY_AGAIN,
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no more is known"])[0]


def _is_tiff(path: Path) -> bool:
    """By its first bytes, since a name can lie."""
    with path.open("rb") as file:
        return file.read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def _decode_picture(path: Path) -> Pixels:
    """PNG, JPEG or BMP."""
    with Image.open(path, formats=["PNG", "JPEG", "BMP"]) as image:
        kind, orientation = str(image.format), int(image.getexif().get(0x0112, 1))
        wide = kind == "PNG" and _png_bit_depth(path) == 16
        if wide:  # Pillow would cut 16-bit colour to 8 bit without a word
            return _from_array(
                np.asarray(imagecodecs.png_decode(path.read_bytes())), kind, 16, orientation, path
            )
        if image.mode == "P":
            palette = np.zeros((256, 3), np.uint8)
            colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            palette[: len(colours)] = colours
            return Pixels(_upright(np.asarray(image)[None], orientation), "P", kind, 8, palette)
        if image.mode == "1":
            return Pixels(_upright(np.asarray(image.convert("L"))[None], orientation), "1", kind, 1)
        if image.mode not in {"L", "LA", "RGB", "RGBA"}:
            raise DataError(
                f"the colour mode {image.mode} is not supported",
                where=str(path),
                cure="Save it as grey or RGB.",
            )
        return _from_array(np.asarray(image), kind, 8, orientation, path)


def _png_bit_depth(path: Path) -> int:
    """Bits per sample, from the header chunk that every PNG begins with."""
    with path.open("rb") as file:
        return int(struct.unpack("B", file.read(25)[24:25])[0])


def _from_array(array: np.ndarray, kind: str, bit_depth: int, orientation: int, path: Path) -> Pixels:
    """Pixels of an (H, W) or (H, W, C) array whose channels mean L, LA, RGB or RGBA."""
    values = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    return Pixels(_upright(_plain(values, path), orientation), modes[len(values)], kind, bit_depth)


def _decode_tiff(path: Path) -> Pixels:
    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise DataError("the TIFF holds no image", where=str(path), cure="Save it again, or take it out.")
        series, page = file.series[0], file.pages.first
        if len(file.series) > 1:
            raise DataError(
                f"the TIFF holds {len(file.series)} images of different kinds",
                where=str(path),
                cure="Save each as a file of its own, or take the extra ones (a preview?) out.",
            )
        if not is_whole(file, series, path):
            raise DataError(
                "the file is damaged or cut short (parts of the TIFF are not there)",
                where=str(path),
                cure=COPY_AGAIN,
            )
        values = _channels_first(series.asarray(), series.axes, path)
        orientation = int(page.tags.valueof(274, 1))
        bits, photometric = int(page.bitspersample), getattr(page.photometric, "name", "")
        num_extra = len(page.extrasamples)
        if photometric == "PALETTE" and len(values) == 1:
            colours = (np.asarray(page.colormap).reshape(3, -1).T >> 8).astype(np.uint8)[:256]
            palette = np.zeros((256, 3), np.uint8)
            palette[: len(colours)] = colours
            return Pixels(_upright(values, orientation), "P", "TIFF", bits, palette)
    if photometric in {"SEPARATED", "CIELAB"}:
        raise DataError(
            f"the colour mode {photometric} is not supported", where=str(path), cure="Save it as grey or RGB."
        )
    if photometric == "MINISWHITE":
        values = np.iinfo(values.dtype).max - values if values.dtype.kind == "u" else ~values
    if bits == 1:
        values = (values != 0).astype(np.uint8) * np.uint8(255)
    values = _upright(_plain(values, path), orientation)
    return Pixels(values, _tiff_mode(len(values), photometric, num_extra, bits), "TIFF", bits)


def _tiff_mode(num_channels: int, photometric: str, num_extra: int, bits: int) -> str:
    """What the channels of a TIFF mean: colour only where the file says so."""
    if num_channels == 1:
        return "1" if bits == 1 else "L"
    if photometric in {"RGB", "YCBCR"} and num_channels == 3 + num_extra and num_channels <= 4:
        return "RGBA" if num_extra else "RGB"
    if num_channels == 2 and num_extra == 1:
        return "LA"
    return f"C{num_channels}"


def _channels_first(array: np.ndarray, axes: str, path: Path) -> np.ndarray:
    """(C, H, W) of an array with named axes; a stack in depth or time is refused."""
    keep = [place for place, length in enumerate(array.shape) if length > 1 or axes[place] in "YX"]
    named = "".join(axes[place] for place in keep)
    array = array.reshape([array.shape[place] for place in keep])
    if named == "YX":
        return array[None]
    if len(named) == 3 and set(named) - {"Y", "X"} <= {"C", "S", "Q", "I"}:
        channel = (
            _channel_axis(array.shape[0], array.shape[-1])
            if set(named) & {"Q", "I"}
            else named.find((set(named) - {"Y", "X"}).pop())
        )
        if channel is not None:
            return np.moveaxis(array, channel, 0)
    raise DataError(
        f"the TIFF is a stack (axes {axes}, shape {'×'.join(map(str, array.shape))}), not one picture",
        where=str(path),
        cure="Save its planes as files of their own, or its channels with a channel axis (OME or ImageJ). Volumes"
        " are read slice by slice with data.layout: arrays.",
    )


def _channel_axis(first: int, last: int) -> int | None:
    """0 if `first`, -1 if `last` is the length that must be channels: short, and shorter than the other; else None."""
    if min(first, last) > MAX_CHANNELS or first == last:
        return None
    return 0 if first < last else -1


def _plain(values: np.ndarray, path: Path) -> np.ndarray:
    """The same values as uint8, uint16 or float32, where that loses nothing."""
    if values.dtype in (np.uint8, np.uint16, np.float32):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype in (np.float16, np.float64):
        return values.astype(np.float32)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return values.astype(np.uint16)
    raise DataError(
        f"values from {low} to {high} of type {values.dtype} fit neither 16 bit nor float",
        where=str(path),
        cure="Save it as 16-bit unsigned or 32-bit float.",
    )


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """(C, H, W) turned and flipped as the orientation tag (1..8) asks; other tags mean 1."""
    turns: dict[int, Any] = {
        2: lambda v: v[:, :, ::-1],
        3: lambda v: v[:, ::-1, ::-1],
        4: lambda v: v[:, ::-1],
        5: lambda v: v.transpose(0, 2, 1),
        6: lambda v: v.transpose(0, 2, 1)[:, :, ::-1],
        7: lambda v: v.transpose(0, 2, 1)[:, ::-1, ::-1],
        8: lambda v: v.transpose(0, 2, 1)[:, ::-1],
    }
    return np.ascontiguousarray(turns[orientation](values) if orientation in turns else values)


def read_slice(path: Path, index: int) -> Pixels:
    """Slice `index` of a ``.npy`` or TIFF stack."""
    stack = open_stack(path)
    array = np.asarray(stack[index])
    if array.ndim == 3:
        axis = stack_channel_axis(stack.shape, path)
        array = np.moveaxis(array, axis - 1, 0)
    else:
        array = array[None]
    values = np.ascontiguousarray(_plain(array, path))
    mode = {1: "L", 3: "RGB"}.get(len(values), f"C{len(values)}")
    kind = "NPY" if path.suffix == ".npy" else "TIFF"
    return Pixels(values, mode, kind, values.dtype.itemsize * 8)


def open_stack(path: Path) -> np.ndarray:
    """A ``.npy`` or TIFF file as a read-only array, mapped where that is possible; DataError where it is no stack."""
    if path.suffix.lower() in TIFF:
        return open_tiff_stack(path)
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise DataError("the file is not there", where=str(path)) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"the .npy file cannot be read ({_first_line(error)})",
            where=str(path),
            cure="Save it with numpy.save as a plain array of numbers or text, not of objects.",
        ) from None


def stack_channel_axis(shape: tuple[int, ...], path: Path) -> int:
    """Which axis (1 or 3) of a 4-D stack holds the channels; DataError where both or neither could."""
    axis = _channel_axis(shape[1], shape[3])
    if axis is not None:
        return 1 if axis == 0 else 3
    raise DataError(
        f"it is not clear which axis of shape {'×'.join(map(str, shape))} holds the channels",
        where=str(path),
        cure=f"Save it as images × height × width × channels with at most {MAX_CHANNELS} channels.",
    )
