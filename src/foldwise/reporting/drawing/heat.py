"""Numbers as colours: small PNG pictures with a palette, and the bar that says what its colours mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from foldwise.data.overlays import RGB
from foldwise.reporting.drawing.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    WRONG_CLASS,
    class_colour,
    hex_colour,
    size_within,
    stored_uri,
)
from foldwise.reporting.drawing.svg import drawing, element, text
from foldwise.study.ranges import IGNORE

# Of a map; the sixteenth colour is for what does not count, so that a pixel takes four bits.
NUM_COLOURS = 15
NOT_COUNTED: RGB = (110, 110, 110)
RIGHT: RGB = (240, 228, 66)  # yellow: predicted, and there
NOTHING: RGB = (16, 16, 16)
# From dark to bright, each step lighter than the one before, so that it can be read without colours too.
STOPS: tuple[RGB, ...] = (
    (8, 8, 28), (70, 18, 105), (150, 38, 105), (220, 80, 60), (248, 155, 40), (252, 250, 190),
)  # fmt: skip


def ramp() -> list[RGB]:
    """The `NUM_COLOURS` colours of a map."""
    places = np.linspace(0, len(STOPS) - 1, NUM_COLOURS)
    channels = [np.interp(places, range(len(STOPS)), [stop[c] for stop in STOPS]) for c in range(3)]
    return [(int(r), int(g), int(b)) for r, g, b in zip(*channels, strict=True)]


@dataclass(frozen=True)
class HeatScale:
    """From 0 to `most` by the square root, so that small numbers are told apart beside large ones."""

    most: float

    def level(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """0 .. `NUM_COLOURS` - 1; what is above `most` gets the highest, nan `NUM_COLOURS`."""
        shares = np.sqrt(np.nan_to_num(values, nan=0.0).clip(0) / self.most)
        levels = np.minimum((shares * NUM_COLOURS).astype(int), NUM_COLOURS - 1)
        return np.asarray(np.where(np.isnan(values), NUM_COLOURS, levels), dtype=np.uint8)

    def ticks(self) -> list[float]:
        """Round values along the bar, the last one the end."""
        ticks, last = [0.0], 0.0
        for value in (step * 10.0**power for power in range(-3, 4) for step in (1, 2, 5)):
            share = (value / self.most) ** 0.5
            # So that no two numbers touch.
            if share - last >= 0.16 and share <= 0.86:
                ticks.append(value)
                last = share
        return [*ticks, self.most]


def heat_uri(values_HW: NDArray[Any], scale: HeatScale) -> str:
    """A map of numbers; what is nan is grey."""
    return flat_uri(scale.level(values_HW), [*ramp(), NOT_COUNTED])


def flat_uri(indices_HW: NDArray[Any], colours: Sequence[RGB]) -> str:
    """A PNG with a palette of at most 256 colours, as a data URI; as few bits a pixel as they need."""
    picture = Image.fromarray(np.ascontiguousarray(indices_HW, dtype=np.uint8), "P")
    picture.putpalette([channel for colour in colours for channel in colour])
    bits = next(bits for bits in (1, 2, 4, 8) if len(colours) <= 2**bits)
    return stored_uri(picture, "png", bits=bits, optimize=True)


def classes_uri(mask_HW: NDArray[Any], num_classes: int) -> str:
    """A label map: white on black for two classes, class colours for more; what does not count is grey."""
    colours = [NOTHING, *(class_colour(k) for k in range(1, num_classes))]
    if num_classes == 2:
        colours[1] = (240, 240, 240)
    # The palette is full; such masks have no pixels that do not count.
    if num_classes > IGNORE:
        return flat_uri(mask_HW, colours)
    return flat_uri(np.where(mask_HW == IGNORE, num_classes, mask_HW), [*colours, NOT_COUNTED])


def errors_uri(truth_HW: NDArray[Any], predicted_HW: NDArray[Any]) -> str:
    """Yellow where a foreground class is found, blue where missed, orange where added, purple where taken for another."""
    there, predicted = truth_HW > 0, predicted_HW > 0
    kind = np.zeros(truth_HW.shape, dtype=np.uint8)
    kind[there & predicted] = 1
    kind[there & ~predicted] = 2
    kind[~there & predicted] = 3
    kind[there & predicted & (truth_HW != predicted_HW)] = 4
    kind[truth_HW == IGNORE] = 5
    return flat_uri(kind, [NOTHING, RIGHT, FALSE_NEGATIVE, FALSE_POSITIVE, WRONG_CLASS, NOT_COUNTED])


def scale_bar(scale: HeatScale, title: str, *, open_ended: bool = True) -> Markup:
    """The colours in a row with their numbers; the last one is for it and all above, where `open_ended`."""
    width, left, top = 300.0, 6.0, 6.0
    parts = swatches(left, top, width)
    ticks = scale.ticks()
    for value in ticks:
        x = left + (value / scale.most) ** 0.5 * width
        words = f"{value:g}" + ("+" if open_ended and value == ticks[-1] else "")
        parts.append(element("line", x1=x, x2=x, y1=top + 12, y2=top + 16, class_="axis"))
        parts.append(text(words, x, top + 27, anchor="middle"))
    return drawing(*parts, width=left * 2 + width + 12, height=36, title=title)


def swatches(left: float, top: float, width: float, *, strongest: float | None = None) -> list[Markup]:
    """The colours in a row; with `strongest` the lower ones are the more transparent, and the last is so opaque."""
    step = width / NUM_COLOURS
    return [
        element(
            "rect",
            x=left + n * step,
            y=top,
            width=step + 0.3,
            height=12,
            fill=hex_colour(colour),
            fill_opacity=None if strongest is None else strongest * (n + 0.5) / NUM_COLOURS,
        )
        for n, colour in enumerate(ramp())
    ]


def smaller(values_HW: NDArray[np.float64], longest_px: int) -> NDArray[np.float64]:
    """Means of neighbouring pixels, so that the mean of the map stays what it is."""
    size = size_within(values_HW.shape, longest_px)
    if size == values_HW.shape[::-1]:
        return values_HW
    counts = np.isfinite(values_HW)
    # Pillow would spread nan: the sum of what counts is divided by how much does.
    total, weight = (_boxes(part, size) for part in (np.where(counts, values_HW, 0.0), counts))
    return np.where(weight > 0, total / np.maximum(weight, 1e-9), np.nan)


def picked(labels_HW: NDArray[np.uint8], longest_px: int) -> NDArray[np.uint8]:
    """The commonest label under each pixel of the smaller map, so that thin lines stay lines where they can."""
    size = size_within(labels_HW.shape, longest_px)
    if size == labels_HW.shape[::-1]:
        return labels_HW
    labels = np.unique(labels_HW)
    shares = np.stack([_boxes(labels_HW == label, size) for label in labels])
    return np.asarray(labels[shares.argmax(axis=0)], dtype=np.uint8)


def _boxes(values_HW: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Means of the pixels under each pixel of a smaller picture."""
    picture = Image.fromarray(values_HW.astype(np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float64)
