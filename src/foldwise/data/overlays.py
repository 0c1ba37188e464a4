"""Pictures of a prediction on its image.

Here, since the prediction that draws them and the page that explains their colours are on floors of their own.
"""

from __future__ import annotations

import numpy as np

# Okabe & Ito's colours, which colour-blind readers tell apart too; the background has none.
COLOURS = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    np.float32,
)
STRENGTH = 0.35


def overlay(image_CHW: np.ndarray, labels_HW: np.ndarray) -> np.ndarray:
    """An RGB picture (H, W, 3) uint8: the image, each foreground class tinted, its outline in full colour."""
    picture = displayable(image_CHW).astype(np.float32)
    foreground = labels_HW > 0
    colour_HW3 = COLOURS[(labels_HW.astype(np.int64) - 1) % len(COLOURS)]
    strength_HW1 = np.where(outlines(labels_HW), 1.0, STRENGTH)[..., None] * foreground[..., None]
    blended: np.ndarray = np.rint(picture * (1 - strength_HW1) + colour_HW3 * strength_HW1)
    return blended.astype(np.uint8)


def outlines(labels_HW: np.ndarray) -> np.ndarray:
    """Pixels (H, W) that have a neighbour above, below, left or right of another class."""
    padded = np.pad(labels_HW, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.any([neighbour != middle for neighbour in neighbours], axis=0))


def displayable(image_CHW: np.ndarray) -> np.ndarray:
    """The image as RGB (H, W, 3) uint8: 8-bit values as they are, others from their 0.5 to their 99.5 percentile."""
    channels = image_CHW[:3] if len(image_CHW) >= 3 else image_CHW[:1]
    if channels.dtype != np.uint8:
        low, high = np.percentile(channels, [0.5, 99.5])
        channels = ((channels - low) / max(high - low, 1e-12)).clip(0, 1) * 255
    return np.moveaxis(np.broadcast_to(channels, (3, *channels.shape[1:])), 0, -1).astype(np.uint8)
