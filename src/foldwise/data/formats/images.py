"""Images and masks as arrays: what a file holds, brought to the channels that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

from foldwise.data.formats.pixels import Pixels
from foldwise.errors import DataError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and OpenCV turn colour to grey


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
    raise DataError(
        f"an image of {num_channels} channels cannot be made {channels}",
        where=where,
        cure="State data.channels: native, or save the channels that are wanted as grey or RGB.",
    )


def plane(pixels: Pixels, *, where: str) -> np.ndarray:
    """The one channel (1, H, W) of a channel file; a grey picture that was saved as RGB has one.

    Raises:
        DataError: the file has several channels that differ.
    """
    image_CHW = to_channels(pixels, "native", where=where)
    # Viewers save a grey channel as RGB: three equal channels are one.
    if (image_CHW == image_CHW[:1]).all():
        return image_CHW[:1]
    raise DataError(
        f"a channel file has one channel, {where} has {len(image_CHW)}",
        where=where,
        cure="Save it as grey; or leave out the list of data.channels if the file is a picture of its own.",
    )


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
            raise DataError(
                f"{name} is {kinds[0]}, {names[0]} is {kinds[1]}",
                where=where,
                cure="The channel files of one image must be of one size and bit depth: save them again.",
            )
    values = np.concatenate(planes)
    return Pixels(values, f"C{len(values)}", parts[0].format, parts[0].bit_depth)


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
        raise DataError(
            f"the mask has {len(values)} channels",
            where=where,
            cure="Save it with one channel of class numbers.",
        )
    if len(values) == 3 and values.dtype != np.uint8:
        raise DataError(
            "the mask has three channels of more than 8 bit",
            where=where,
            cure="Save it with one channel of class numbers.",
        )
    return values[0] if len(values) == 1 else _grey_if_equal(np.moveaxis(values, 0, -1))


def _grey_if_equal(colours_HW3: np.ndarray) -> np.ndarray:
    """(H, W) where the three channels are equal everywhere; else the colours."""
    first = colours_HW3[..., 0]
    if (first == colours_HW3[..., 1]).all() and (first == colours_HW3[..., 2]).all():
        return np.ascontiguousarray(first)
    return np.ascontiguousarray(colours_HW3)


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
    resized = np.stack(planes)
    if image_CHW.dtype.kind == "u":
        resized = np.rint(resized).clip(0, np.iinfo(image_CHW.dtype).max)
    return resized.astype(image_CHW.dtype)


def resize_mask(mask_HW: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """A class map (H, W) uint8 at another size, by its nearest pixels: no class is invented between two."""
    if mask_HW.shape == size_hw:
        return mask_HW
    height, width = size_hw
    return np.asarray(Image.fromarray(mask_HW).resize((width, height), Image.Resampling.NEAREST))
