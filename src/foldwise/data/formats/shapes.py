"""Objects as programs write them, outlines and runs of pixels, as the pixels that they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from foldwise.errors import DataError

FOREGROUND = "foreground"  # the class of objects that are given none
NOT_COUNTED = "ignore"  # of pixels that do not count, as data.mask_values has it
Ring = (
    np.ndarray
)  # (N, 2) x and y of the corners of an outline, in pixels from the upper left corner of the image


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        name: its class.
        areas: outlines; the rings of each are its border and its holes, whichever way they turn.
        runs: starts and lengths of runs of pixels, counted from 0 down the columns, in place of outlines.
    """

    name: str
    areas: tuple[tuple[Ring, ...], ...] = ()
    runs: np.ndarray | None = None

    def pixels(self, size_hw: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray]:
        """Where in an image the object lies, and which pixels it covers there; what lies outside is cut off.

        Raises:
            DataError: a run goes beyond the image, which no outline of the right image does.
        """
        height, width = size_hw
        if self.runs is not None:
            return (slice(0, height), slice(0, width)), _of_runs(self.runs, size_hw)
        corners = [ring for area in self.areas for ring in area]
        every = np.concatenate(corners) if corners else np.zeros((1, 2))
        low = np.floor(every.min(0)).clip(0, (width, height)).astype(int)
        high = np.ceil(every.max(0)).clip(0, (width, height)).astype(int)
        here = slice(low[1], high[1]), slice(low[0], high[0])
        inside = np.zeros((high[1] - low[1], high[0] - low[0]), bool)
        for area in self.areas:
            inside |= filled([ring - low for ring in area], inside.shape)
        return here, inside


@dataclass
class Tally:
    """What happened while objects were drawn: pixels that two classes claim, by the class that has them; and what lies outside."""

    images: int = 0
    over: Counter[str] = field(default_factory=Counter)
    outside: int = 0


def drawn_mask(
    shapes: list[Shape], classes: tuple[str, ...], size_hw: tuple[int, int], tally: Tally, *, where: str
) -> np.ndarray:
    """(H, W) uint8: the class of each pixel, 255 where it does not count; of objects that overlap the last has it."""
    mask, overlaps = np.zeros(size_hw, np.uint8), False
    for shape in shapes:
        value = (
            255 if shape.name == NOT_COUNTED else classes.index(shape.name) if shape.name in classes else 0
        )
        try:
            here, inside = shape.pixels(size_hw)
        except DataError as error:
            raise DataError(error.what, where=where, cure=error.cure) from None
        if not inside.any():
            tally.outside += 1
        before = mask[here][inside]
        if clash := int(((before != 0) & (before != value)).sum()):
            tally.over[shape.name] += clash
            overlaps = True
        mask[here][inside] = value
    tally.images += overlaps
    return mask


def filled(rings: Sequence[Ring], size_hw: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: the pixels whose centres lie within an odd number of rings; a centre on a left or upper edge does."""
    height, width = size_hw
    changes = np.zeros((height, width + 1), np.int32)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            top, bottom = sorted((y0, y1))
            first, end = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (top, bottom))
            rows = np.arange(first, end)
            if not len(rows):
                continue
            crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            changes[rows, np.ceil(crossing - 0.5).clip(0, width).astype(int)] += 1
    inside: np.ndarray = changes[:, :-1].cumsum(1) % 2 == 1
    return inside


def _of_runs(runs_N2: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    height, width = size_hw
    ends = runs_N2.sum(1)
    if len(ends) and (ends.max() > height * width or runs_N2.min() < 0):
        problem = f"a run of pixels ends at {ends.max():,}, and the image has {height * width:,}"
        raise DataError(problem, cure="Check that the labels are of this very image, at its full size.")
    changes = np.zeros(height * width + 1, np.int32)
    np.add.at(changes, runs_N2[:, 0], 1)
    np.add.at(changes, ends, -1)
    inside: np.ndarray = (changes[:-1].cumsum() > 0).reshape(width, height).T
    return inside


def runs_of_cell(text: str) -> np.ndarray:
    """(N, 2) starts from 0 and lengths in a cell of Kaggle's tables: ``start length start length``, counted from 1.

    Empty, ``nan`` and ``-1`` mean that there is no object. ValueError where it is no such cell.
    """
    if text.strip().casefold() in ("", "nan", "-1", "none"):
        return np.zeros((0, 2), np.int64)
    numbers = np.array([int(word) for word in text.split()], np.int64)
    if len(numbers) % 2 or (numbers < 1).any():
        raise ValueError("no pairs of a start and a length")
    runs: np.ndarray = numbers.reshape(-1, 2) - (1, 0)
    return runs


def runs_of_counts(counts: Sequence[int] | str) -> np.ndarray:
    """(N, 2) starts and lengths of COCO's counts: pixels without and with the object in turns, as numbers or packed in text."""
    numbers = _unpacked(counts) if isinstance(counts, str) else [int(count) for count in counts]
    edges = np.concatenate([[0], np.cumsum(np.array(numbers, np.int64))])
    starts, lengths = edges[1:-1:2], np.array(numbers[1::2], np.int64)
    return np.stack([starts, lengths], 1) if len(lengths) else np.zeros((0, 2), np.int64)


def _unpacked(text: str) -> list[int]:
    """COCO's text of counts: five bits a letter, the lowest first; from the third on, differences to the one before last."""
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
            value = shift = 0
    return numbers
