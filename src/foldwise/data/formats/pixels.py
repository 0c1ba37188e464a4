"""The pixels of one file, which every decoder ends with, and the image or mask that is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from foldwise.errors import DataError

COPY_AGAIN = "Copy it again from its source, or take it out."
MaskKey = int | tuple[int, int, int]  # a value of a mask: grey, or red, green and blue
PixelUm = tuple[float, float]  # height and width of a pixel, in µm
# Of lengths that programs of microscopes state, in µm.
UNITS_UM = {"µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0, "nm": 1e-3} | {
    "nanometer": 1e-3, "nanometre": 1e-3, "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "m": 1e6, "meter": 1e6,
}  # fmt: skip
# What printers, screens and cameras are set to has up to 2,400 pixels an inch; what microscopes see has more.
MIN_PER_CM = 2401 / 2.54
MAX_RATIO = 1.01  # of two sizes that are the same but for rounding
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


VARIES = "varies"  # the detail of a step that drops a plane which is not the same everywhere


@dataclass(frozen=True)
class Step:
    """One lossy or geometric step of decoding: the name of a row of `steps.STEPS`, and how it was with this file."""

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Pixels:
    """A decoded file.

    Attributes:
        values: (C, H, W) in the file's own dtype; a palette file holds its indices (1, H, W) here.
        mode: ``1``, ``L``, ``LA``, ``RGB``, ``RGBA``, ``P`` as Pillow names them, or ``C4`` for four plain channels.
        format: the name of a row of `formats.FORMATS`.
        palette: (256, 3) uint8 colours of a ``P`` file, else None.
        bit_depth: of one sample in the file: 1, 8, 16 or 32.
        steps: of a decoder, those that the file asks for and that are still to be done; later those that were done.
    """

    values: np.ndarray
    mode: str
    format: str
    bit_depth: int
    palette: np.ndarray | None = None
    steps: tuple[Step, ...] = ()

    def has_palette(self, num_channels: int) -> bool:
        """Whether there is a palette, and it can colour the values: those of one channel of 8 bits."""
        return self.palette is not None and num_channels == 1 and self.bit_depth <= 8


def pixel_of_resolution(down_per_cm: float, across_per_cm: float) -> PixelUm | None:
    """The pixel size that a resolution of pixels in a centimetre means; None of what is one for printing."""
    if min(down_per_cm, across_per_cm) < MIN_PER_CM:
        return None
    return 1e4 / down_per_cm, 1e4 / across_per_cm


def is_same_size(first: PixelUm, second: PixelUm) -> bool:
    """Whether two pixels are of one size, but for rounding."""
    return all(max(a, b) <= MAX_RATIO * min(a, b) for a, b in zip(first, second, strict=True))


def in_um(size: PixelUm) -> str:
    """A pixel in words: ``0.65 µm``, or height and width."""
    height, width = (f"{side:.4g}" for side in size)
    return f"{width} µm" if height == width else f"{height} × {width} µm (height × width)"


def full_palette(colours_N3: np.ndarray) -> np.ndarray:
    """(256, 3) uint8: the colours of a palette, then black; files store only as many as they use."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours_N3)] = colours_N3
    return palette


def plain(values: np.ndarray) -> np.ndarray:
    """The same values as uint8, uint16 or float32, where that loses nothing; DataError where it would."""
    # ImageJ writes the high byte first; to NumPy that is another type.
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype in (np.uint8, np.uint16, np.float32):
        return values
    if values.dtype in (np.float16, np.float64):
        return values.astype(np.float32)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    # Integers of other widths are common in exports (int32 label maps, int16 scans): what counts is the values, not the type.
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return values.astype(np.uint16)
    problem = f"values from {low} to {high} of type {values.dtype} fit neither 16 bit nor float"
    raise DataError(problem, cure="Save it as 16-bit unsigned or 32-bit float.")


# The tag -> how (C, H, W) is turned and flipped.
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda v: v[:, :, ::-1],
    3: lambda v: v[:, ::-1, ::-1],
    4: lambda v: v[:, ::-1],
    5: lambda v: v.transpose(0, 2, 1),
    6: lambda v: v.transpose(0, 2, 1)[:, :, ::-1],
    7: lambda v: v.transpose(0, 2, 1)[:, ::-1, ::-1],
    8: lambda v: v.transpose(0, 2, 1)[:, ::-1],
}


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """(C, H, W) turned and flipped as the orientation tag (2..8) asks; other tags mean no turn."""
    return np.ascontiguousarray(TURNS[orientation](values) if orientation in TURNS else values)


LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and OpenCV turn colour to grey


def is_coloured(pixels: Pixels) -> bool:
    """Whether a picture has three channels that are not the same everywhere."""
    return len(image_CHW := to_channels(pixels, "native", where="")) == 3 and bool(
        (image_CHW != image_CHW[:1]).any()
    )


def to_channels(pixels: Pixels, channels: str, *, where: str) -> np.ndarray:
    """The pixels as (C, H, W) with the channels asked for; see `reading.read_image`."""
    image_CHW = pixels.values
    if pixels.palette is not None:
        image_CHW = np.moveaxis(pixels.palette[image_CHW[0]], -1, 0)
        if (image_CHW[0] == image_CHW[1]).all() and (image_CHW[0] == image_CHW[2]).all():
            image_CHW = image_CHW[:1]  # a grey palette is a grey picture
    elif pixels.mode in {"LA", "RGBA"}:
        image_CHW = image_CHW[:-1]
    num_channels = len(image_CHW)
    if channels == "native" or (channels, num_channels) in {("gray", 1), ("rgb", 3)}:
        return np.ascontiguousarray(image_CHW)
    if channels == "rgb" and num_channels == 1:
        return np.repeat(image_CHW, 3, axis=0)
    if channels == "gray" and num_channels == 3:
        return luma(image_CHW)
    cure = "State data.channels: native, or save the channels that are wanted as grey or RGB."
    raise DataError(f"an image of {num_channels} channels cannot be made {channels}", where=where, cure=cure)


def plane(pixels: Pixels, *, where: str) -> np.ndarray:
    """The one channel (1, H, W) of a channel file; a grey picture that was saved as RGB has one.

    Raises:
        DataError: the file has several channels that differ.
    """
    image_CHW = to_channels(pixels, "native", where=where)
    # Viewers save a grey channel as RGB: three equal channels are one.
    if (image_CHW == image_CHW[:1]).all():
        return image_CHW[:1]
    cure = "Save it as grey; or leave out the list of data.channels if the file is a picture of its own."
    raise DataError(f"a channel file has one channel, {where} has {len(image_CHW)}", where=where, cure=cure)


def joined(parts: Sequence[Pixels], names: Sequence[str], *, where: str) -> Pixels:
    """The channel files of one image as one picture, in their order.

    Raises:
        DataError: a file has several channels, another size, or another bit depth than the first; it is named.
    """
    planes = [plane(part, where=name) for part, name in zip(parts, names, strict=True)]
    first = planes[0]
    for other, name in zip(planes, names, strict=True):
        if other.shape != first.shape or other.dtype != first.dtype:
            kinds = [f"{array.shape[2]}×{array.shape[1]} of {array.dtype}" for array in (other, first)]
            cure = "The channel files of one image must be of one size and bit depth: save them again."
            raise DataError(f"{name} is {kinds[0]}, {names[0]} is {kinds[1]}", where=where, cure=cure)
    values = np.concatenate(planes)
    steps = tuple(dict.fromkeys(step for part in parts for step in part.steps))
    return Pixels(values, f"C{len(values)}", parts[0].format, parts[0].bit_depth, steps=steps)


def luma(image_3HW: np.ndarray) -> np.ndarray:
    """The grey (1, H, W) of a colour picture, rounded, in its dtype; equal channels give exactly that value."""
    weights = np.array(LUMA)[:, None, None]
    grey_1HW: np.ndarray = (image_3HW.astype(np.float64) * weights).sum(0, keepdims=True)
    if image_3HW.dtype.kind == "u":
        grey_1HW = np.rint(grey_1HW)
    return grey_1HW.astype(image_3HW.dtype)


def mask_values_of(pixels: Pixels, *, palette: Literal["index", "colour"], where: str) -> np.ndarray:
    """The mask (H, W) or (H, W, 3) in decoded pixels; see `reading.read_mask`."""
    values = pixels.values
    if pixels.palette is not None and palette == "colour":
        return _grey_if_equal(pixels.palette[values[0]])
    if pixels.mode in {"LA", "RGBA"}:
        # Some programs draw the mask into the alpha channel and leave the colour empty, others the reverse.
        if values[-1].min() != values[-1].max():
            raise DataError(
                "the mask has an alpha channel that varies: is the drawing in the colour or in the alpha?",
                where=where,
                cure="Save the mask without alpha, as one grey channel.",
            )
        values = values[:-1]
    # Label maps from numerical programs are often saved as floats that are all whole.
    if values.dtype.kind == "f":
        if (
            not np.isfinite(values).all()
            or (values != np.rint(values)).any()
            or values.min() < 0
            or values.max() > 65535
        ):
            raise DataError(
                f"the mask holds values that are no whole numbers from 0 to 65535 ({values.min():g} to {values.max():g})",
                where=where,
                cure="Save the mask with class numbers, as 8-bit or 16-bit grey.",
            )
        values = values.astype(np.uint16)
    if len(values) not in {1, 3}:
        problem = f"the mask has {len(values)} channels"
        cure = "Save it with one channel of class numbers; masks of slices, a page each, are read with data.layout: arrays."
        raise DataError(problem, where=where, cure=cure)
    if len(values) == 3 and values.dtype != np.uint8:
        problem = "the mask has three channels of more than 8 bit"
        raise DataError(problem, where=where, cure="Save it with one channel of class numbers.")
    return values[0] if len(values) == 1 else _grey_if_equal(np.moveaxis(values, 0, -1))


def _grey_if_equal(colours_HW3: np.ndarray) -> np.ndarray:
    """(H, W) where the three channels are equal everywhere; else the colours."""
    first = colours_HW3[..., 0]
    if (first == colours_HW3[..., 1]).all() and (first == colours_HW3[..., 2]).all():
        return np.ascontiguousarray(first)
    return np.ascontiguousarray(colours_HW3)


def value_counts(mask: np.ndarray) -> dict[MaskKey, int]:
    """How many pixels of a mask (H, W) or (H, W, 3) hold each value."""
    if mask.ndim == 2:
        counts = np.bincount(mask.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    codes, numbers = np.unique(colour_codes(mask), return_counts=True)
    counted = zip(codes.tolist(), numbers.tolist(), strict=True)
    return {(code >> 16, code >> 8 & 255, code & 255): number for code, number in counted}


def colour_codes(mask_HW3: np.ndarray) -> np.ndarray:
    """(H, W) uint32: of every pixel, its colour as one number, 0xRRGGBB."""
    wide = mask_HW3.astype(np.uint32)
    codes: np.ndarray = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes


def resize_image(image_CHW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The image at another size, bilinear with antialiasing, in its own dtype."""
    if image_CHW.shape[1:] == size_hw:
        return image_CHW
    height, width = size_hw
    # Pillow resizes one channel of floats at a time, whatever the number and type of channels.
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for plane in image_CHW
    ]
    return of_type(np.stack(planes), image_CHW.dtype)


def of_type(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The values in another type; of whole numbers the nearest that there are."""
    if dtype.kind == "u":
        values = np.rint(values).clip(0, np.iinfo(dtype).max)
    return values.astype(dtype)


def resize_mask(mask_HW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """A class map (H, W) uint8 at another size, by its nearest pixels: no class is invented between two."""
    if mask_HW.shape == size_hw:
        return mask_HW
    height, width = size_hw
    return np.asarray(Image.fromarray(mask_HW).resize((width, height), Image.Resampling.NEAREST))


# What no broken bytes raise in code of ours: a mistake in it, whatever the file is like.
_FAULTS = (TypeError, AttributeError, NameError, AssertionError)


def undecoded(path: Path, error: Exception) -> DataError:
    """What to say of a file whose decoder raised: whether it is damaged, too large, of a kind not read, or we are at fault."""
    where, frame = str(path), error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    is_ours = frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith("foldwise.")
    reason = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, Image.DecompressionBombError):
        what = "the image has more than 178 million pixels"
        cure = "Cut it into tiles first; or, to predict masks, save it as a TIFF in tiles, which is read part by part."
        return DataError(what, where=where, cure=cure)
    if isinstance(error, MemoryError):
        return DataError("the image does not fit into memory", where=where, cure="Cut it into tiles first.")
    if isinstance(error, _FAULTS) and is_ours:
        what = f"foldwise fails on this file, which may be sound ({reason})"
        return DataError(
            what, where=where, cure="Please report it; until it is mended, save it as plain PNG."
        )
    if isinstance(error, NotImplementedError | ImportError) or "requires the" in str(error):
        what = f"the file is stored in a way that is not read ({reason})"
        return DataError(what, where=where, cure="Save it again without compression, or as PNG.")
    return DataError(f"the file is damaged or cut short ({reason})", where=where, cure=COPY_AGAIN)


def first_line(error: Exception) -> str:
    """What an error says, as far as its first line."""
    return (str(error).strip().splitlines() or ["no more is known"])[0]
