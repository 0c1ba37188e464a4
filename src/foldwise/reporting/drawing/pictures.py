"""Small pictures: images with masks, errors, tints, outlines and hatching over them; and numbers as colours, with their scale."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from foldwise.data.overlays import CLASS_COLOURS, RGB, Pixels
from foldwise.data.overlays import displayed as displayed
from foldwise.reporting.drawing.svg import drawing, element, text
from foldwise.study.ranges import IGNORE

LONGEST_PX = 224
QUALITY = 72
TINT = 0.45  # how much of the class colour
HATCH_PX = 6
DARK, LIGHT = 88, 150  # the greys of the hatching

FALSE_POSITIVE: RGB = (230, 140, 0)  # orange: predicted, not there
FALSE_NEGATIVE: RGB = (0, 130, 220)  # blue: there, not predicted
WRONG_CLASS: RGB = (204, 121, 167)  # purple: something is there, and predicted as something else
# Of a map; the sixteenth colour is for what does not count, so that a pixel takes four bits.
NUM_COLOURS = 15
NOT_COUNTED: RGB = (110, 110, 110)
RIGHT: RGB = (240, 228, 66)  # yellow: predicted, and there
NOTHING: RGB = (16, 16, 16)
# From dark to bright, each step lighter than the one before, so that it can be read without colours too.
STOPS: tuple[RGB, ...] = (
    (8, 8, 28), (70, 18, 105), (150, 38, 105), (220, 80, 60), (248, 155, 40), (252, 250, 190),
)  # fmt: skip


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
