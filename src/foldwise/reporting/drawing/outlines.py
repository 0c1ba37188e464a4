"""Class maps drawn over pictures: tints, outlines, and hatching where nothing counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.pictures import Pixels, class_colour, displayed
from foldwise.study.spec import IGNORE

TINT = 0.45  # how much of the class colour
HATCH_PX = 6
DARK, LIGHT = 88, 150  # the greys of the hatching


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
