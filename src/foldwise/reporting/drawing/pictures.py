"""Images of any type as small pictures; masks, errors, tints, outlines and hatching drawn over them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foldwise.data.overlays import CLASS_COLOURS, RGB, Pixels
from foldwise.data.overlays import displayed as displayed
from foldwise.study.ranges import IGNORE

LONGEST_PX = 224
QUALITY = 72
TINT = 0.45  # how much of the class colour
HATCH_PX = 6
DARK, LIGHT = 88, 150  # the greys of the hatching

FALSE_POSITIVE: RGB = (230, 140, 0)  # orange: predicted, not there
FALSE_NEGATIVE: RGB = (0, 130, 220)  # blue: there, not predicted
WRONG_CLASS: RGB = (204, 121, 167)  # purple: something is there, and predicted as something else


def class_colour(index: int) -> RGB:
    """Of a foreground class, from 1; the colours repeat after seven."""
    return CLASS_COLOURS[(index - 1) % len(CLASS_COLOURS)]


def hex_colour(colour: RGB) -> str:
    """As a style sheet has it: #0072b2."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def mask_picture(mask_HW: NDArray[np.uint8], *, binary: bool) -> Pixels:
    """A label map: white on black for two classes, class colours for more; what does not count is grey."""
    picture = np.full((*mask_HW.shape, 3), 16, dtype=np.uint8)
    for index in np.unique(mask_HW):
        if index == IGNORE:
            picture[mask_HW == index] = 96
        elif index:
            picture[mask_HW == index] = (240, 240, 240) if binary else class_colour(int(index))
    return picture


def error_picture(image: Pixels, truth_HW: NDArray[np.uint8], predicted_HW: NDArray[np.uint8]) -> Pixels:
    """The image in grey with the wrong pixels in colour: orange added, blue missed, purple taken for another class."""
    picture = np.repeat(image.astype(np.float64).max(axis=2, keepdims=True) * 0.75, 3, axis=2)
    counts = truth_HW != IGNORE
    wrong = (truth_HW != predicted_HW) & counts
    kinds = (
        (wrong & (truth_HW == 0), FALSE_POSITIVE),
        (wrong & (predicted_HW == 0), FALSE_NEGATIVE),
        (wrong & (truth_HW != 0) & (predicted_HW != 0), WRONG_CLASS),
    )
    for where, colour in kinds:
        # Some of the image shines through, so that a reader sees what lies there.
        picture[where] = picture[where] * 0.15 + np.array(colour) * 0.85
    picture[~counts] = 96
    return picture.astype(np.uint8)


def data_uri(picture: Pixels, *, longest_px: int = LONGEST_PX, flat: bool = False) -> str:
    """A WebP picture, at most `longest_px` on its longer side, as a data URI.

    Args:
        longest_px: larger pictures are made smaller, smaller ones stay.
        flat: a mask: its edges are kept hard.
    """
    shown = Image.fromarray(np.ascontiguousarray(picture), "RGB")
    size = size_within(picture.shape, longest_px)
    if size != shown.size:
        shown = shown.resize(size, Image.Resampling.BOX if flat else Image.Resampling.LANCZOS)
    return stored_uri(shown, "webp", quality=QUALITY, method=4)


def stored_uri(picture: Image.Image, kind: Literal["png", "webp"], **options: Any) -> str:
    """A picture as a data URI, so that the page needs no other file."""
    stored = BytesIO()
    picture.save(stored, kind, **options)
    return f"data:image/{kind};base64,{b64encode(stored.getvalue()).decode('ascii')}"


def size_within(shape_HW: Sequence[int], longest_px: int) -> tuple[int, int]:
    """Width and height of a picture made small enough; smaller ones stay."""
    factor = min(1.0, longest_px / max(shape_HW[:2]))
    return max(1, round(shape_HW[1] * factor)), max(1, round(shape_HW[0] * factor))


def tinted(picture: Pixels, labels_HW: NDArray[np.uint8]) -> Pixels:
    """The picture with every class but the background in its colour, half transparent."""
    made = picture.astype(np.float64)
    for index in np.unique(labels_HW):
        if index not in (0, IGNORE):
            here = labels_HW == index
            made[here] = made[here] * (1 - TINT) + np.array(class_colour(int(index))) * TINT
    return np.asarray(made, dtype=np.uint8)


def grey(picture: Pixels) -> Pixels:
    """The picture without its colours, somewhat darker, so that colours drawn over it are told apart."""
    lightest = picture.astype(np.float64).max(axis=2, keepdims=True) * 0.85
    return np.asarray(np.repeat(lightest, 3, axis=2), dtype=np.uint8)


def edges(labels_HW: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) the innermost pixels of every class but the background; the border of the picture is none."""
    padded = np.pad(labels_HW, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    differs = np.any([(side != middle) & (side != IGNORE) for side in sides], axis=0)
    return np.asarray(differs & (labels_HW != 0) & (labels_HW != IGNORE))


def outlined(picture: Pixels, labels_HW: NDArray[np.uint8], *, coloured: bool) -> Pixels:
    """The picture with the outline of every class, in its colour or in white."""
    made, edge = picture.copy(), edges(labels_HW)
    for index in np.unique(labels_HW[edge]):
        made[edge & (labels_HW == index)] = class_colour(int(index)) if coloured else (255, 255, 255)
    return made


def enlarged(array: NDArray[Any], least_px: int) -> NDArray[Any]:
    """(H, W, ...) with every pixel a square of several, until the longer side has `least_px` or more."""
    times = max(1, -(-least_px // max(array.shape[:2])))
    return np.asarray(np.repeat(np.repeat(array, times, axis=0), times, axis=1))


def hatched(picture: Pixels, where_HW: NDArray[np.bool_]) -> Pixels:
    """The picture with grey stripes over some pixels."""
    y, x = np.indices(where_HW.shape)
    stripes = np.where((x + y) % HATCH_PX < HATCH_PX // 2, DARK, LIGHT)[..., None]
    return np.asarray(np.where(where_HW[..., None], stripes, picture), dtype=np.uint8)


def displayed_alike(images_CHW: Sequence[NDArray[Any]]) -> list[Pixels]:
    """Images of any sizes as RGB, all stretched between the same values, so that brighter is brighter."""
    flat = [image.reshape(len(image), 1, -1) for image in images_CHW]
    joined = displayed(np.concatenate(flat, axis=2))
    ends = np.cumsum([part.shape[2] for part in flat])[:-1]
    return [
        np.ascontiguousarray(part.reshape(*image.shape[1:], 3))
        for part, image in zip(np.split(joined, ends, axis=1), images_CHW, strict=True)
    ]
