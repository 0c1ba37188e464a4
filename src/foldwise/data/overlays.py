"""Pictures of a prediction on its image.

Here, since the prediction that draws them and the page that explains their colours are on floors of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3)
RGB = tuple[int, int, int]

# Of foreground classes, here and in the report; the background has none. Far from one another and from the colours of
# errors (orange, blue, purple), also for readers who see no difference of red and green: tested.
CLASS_COLOURS: tuple[RGB, ...] = (
    (0, 150, 80),
    (240, 228, 66),
    (60, 230, 230),
    (225, 30, 50),
    (110, 60, 230),
    (250, 235, 190),
    (150, 0, 90),
)
# Channels beyond three are given these lights and added up, as a microscopist overlays stains.
LIGHTS: tuple[RGB, ...] = (
    (0, 90, 255),
    (0, 255, 60),
    (255, 40, 40),
    (255, 220, 0),
    (255, 0, 220),
    (0, 230, 230),
)
# Of 255. An 8-bit image with no more than a 200th of its values above the first, and this range, is shown brighter.
DARK_UP_TO, LEAST_RANGE = 80, 10
STRENGTH = 0.35
ROWS = 256  # that are blended at once


def overlay(image_CHW: np.ndarray, labels_HW: np.ndarray) -> np.ndarray:
    """An RGB picture (H, W, 3) uint8: the image, each foreground class tinted, its outline in full colour."""
    picture = np.array(displayed(image_CHW))
    edges, colours = outlines(labels_HW), np.array(CLASS_COLOURS, np.float32)
    # Some rows at a time: floats of all pixels at once would take 80 bytes a pixel, more than their prediction.
    for top in range(0, len(labels_HW), ROWS):
        rows = slice(top, top + ROWS)
        labels_hW = labels_HW[rows].astype(np.int64)
        strength_hW1 = (np.where(edges[rows], 1.0, STRENGTH) * (labels_hW > 0))[..., None]
        tint_hW3 = colours[(labels_hW - 1) % len(colours)] * strength_hW1
        picture[rows] = np.rint(picture[rows].astype(np.float32) * (1 - strength_hW1) + tint_hW3)
    return picture


def outlines(labels_HW: np.ndarray) -> np.ndarray:
    """Pixels (H, W) that have a neighbour above, below, left or right of another class."""
    padded = np.pad(labels_HW, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    edges = np.zeros(middle.shape, bool)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edges |= neighbour != middle
    return edges


def displayed(image_CHW: NDArray[Any]) -> Pixels:
    """An image of any type and number of channels as RGB.

    8-bit grey and RGB are shown as they are; dark ones are stretched, all channels alike, so that colours stay.
    Everything else is stretched between its 0.5 and 99.5 percentiles, channel by channel; NaN is black. Two channels
    become green and magenta, four and more a sum of coloured lights.
    """
    channels = len(image_CHW)
    if image_CHW.dtype == np.uint8 and channels in (1, 3):
        shown = _stretched(image_CHW) * 255 + 0.5 if is_dark(image_CHW) else image_CHW
        plain = np.asarray(shown, dtype=np.uint8)
        return np.ascontiguousarray(np.broadcast_to(plain.transpose(1, 2, 0), (*plain.shape[1:], 3)))
    stretched = np.stack([_stretched(channel) for channel in image_CHW])
    if channels in (1, 3):
        return _bytes(np.broadcast_to(stretched.transpose(1, 2, 0), (*stretched.shape[1:], 3)))
    lights = ((0, 255, 0), (255, 0, 255)) if channels == 2 else LIGHTS
    mixed = np.zeros((*stretched.shape[1:], 3))
    for number, channel in enumerate(stretched):
        mixed += channel[..., None] * (np.array(lights[number % len(lights)]) / 255)
    return _bytes(mixed)


def is_dark(image_CHW: NDArray[Any]) -> bool:
    """Whether an 8-bit grey or RGB image is so dark that it is shown brighter; not where there is only noise to see."""
    if image_CHW.dtype != np.uint8 or len(image_CHW) not in (1, 3):
        return False
    low, high = np.percentile(image_CHW, (0.5, 99.5))
    return bool(high <= DARK_UP_TO and high - low >= LEAST_RANGE)


def _stretched(stored: NDArray[Any]) -> NDArray[np.float64]:
    values = stored.astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape)
    # Not the extremes: one hot pixel would darken all the others.
    low, high = np.percentile(finite, (0.5, 99.5))
    # Nearly constant: what little differs is all there is to see.
    if high <= low:
        low, high = finite.min(), finite.max()
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1.0)
    return np.asarray(np.clip(scaled, 0, 1))


def _bytes(shares: NDArray[Any]) -> Pixels:
    return np.asarray(np.clip(shares, 0, 1) * 255 + 0.5, dtype=np.uint8)
