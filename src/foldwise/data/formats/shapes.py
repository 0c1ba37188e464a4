"""Objects as programs write them, outlines and runs of pixels, as the pixels that they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from foldwise.errors import DataError

DRAWING_VERSION = 2  # of how objects are drawn
FOREGROUND = "foreground"  # the class of objects that are given none
OTHER_IMAGE = "Check that the labels are of this very image, at its full size."
CLEARLY = 1.5  # times as long are outlines in the wrong order: squares of 2 x 2 pixels, the smallest that tear, become 1.5
NOT_COUNTED = "ignore"  # of pixels that do not count, as data.mask_values has it
# (N, 2) x and y of the corners of an outline, in pixels from the upper left corner of the image.
Ring = np.ndarray


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        name: its class.
        areas: outlines; the rings of each are its border and its holes, whichever way they turn.
        are_shares: whether their corners are shares of the width and the height, 0 to 1, in place of pixels.
        runs: starts and lengths of runs of pixels, counted from 0, in place of outlines.
        by_rows: whether these count along the rows, in place of down the columns.
        of_size: height and width of the image as the runs have it, where they say.
    """

    name: str
    areas: tuple[tuple[Ring, ...], ...] = ()
    are_shares: bool = False
    runs: np.ndarray | None = None
    by_rows: bool = False
    of_size: tuple[int, int] | None = None

    def pixels(
        self, size_hw: tuple[int, ...], *, where: str | None = None
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """Where in an image the object lies, and which pixels it covers there; what lies outside is cut off.

        Raises:
            DataError: runs are of an image of another size, or go beyond it, which no outline of the right image does.
        """
        height, width = size_hw
        if self.runs is not None:
            if self.of_size not in (None, size_hw):
                problem = f"runs of pixels are of an image of {self.of_size} pixels (height, width), and it has {size_hw}"
                raise DataError(problem, where=where, cure=OTHER_IMAGE)
            inside = _of_runs(self.runs, size_hw, by_rows=self.by_rows, where=where)
            return (slice(0, height), slice(0, width)), inside
        if self.are_shares:
            areas = tuple(tuple(ring * (width, height) for ring in area) for area in self.areas)
            return Shape(self.name, areas).pixels(size_hw)
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
        here, inside = shape.pixels(size_hw, where=where)
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


def _of_runs(
    runs_N2: np.ndarray, size_hw: tuple[int, ...], *, by_rows: bool, where: str | None
) -> np.ndarray:
    height, width = size_hw
    ends = runs_N2.sum(1)
    if len(ends) and (ends.max() > height * width or runs_N2.min() < 0):
        problem = f"a run of pixels ends at {ends.max():,}, and the image has {height * width:,}"
        raise DataError(problem, where=where, cure=OTHER_IMAGE)
    changes = np.zeros(height * width + 1, np.int32)
    np.add.at(changes, runs_N2[:, 0], 1)
    np.add.at(changes, ends, -1)
    inside: np.ndarray = changes[:-1].cumsum() > 0
    return inside.reshape(height, width) if by_rows else inside.reshape(width, height).T


def order_of_runs(
    examples: Iterable[tuple[str, list[Shape], np.ndarray]], *, in_table: bool
) -> tuple[bool, str]:
    """Whether runs of pixels count along the rows, and why.

    In the wrong order objects are torn to lines, but those of square images are mirrored whole. COCO's count down the
    columns by its description; tables are of either order.

    Args:
        examples: an image by its name, its objects, and its values (H, W).
        in_table: whether they stand in a table, which has no description.

    Raises:
        DataError: nothing tells the order of a table, or the objects of COCO contradict it.
    """
    torn, contrast = _by_columns(examples)
    ratio = f"{max(torn, 1 / torn):.1f}"
    is_told = max(torn, 1 / torn) > CLEARLY
    if is_told and (in_table or torn > 1):
        return (
            torn < 1,
            f"in the other order the outlines of objects were {ratio} times as long, torn to lines",
        )
    if not is_told and not in_table:
        return False, "as COCO has them"
    orders = ["rows", "columns"] if is_told or contrast < 1 else ["columns", "rows"]
    problem = f"runs of pixels of COCO count down the columns, and so the outlines of these objects are {ratio} times as long as along the rows"
    if not is_told:
        problem = (
            "runs of pixels may count down the columns, as most tables of Kaggle have them, or along the rows, and the"
            f" shapes of objects do not tell; images change {max(contrast, 1 / contrast):.1f} times as much across the"
            f" outlines by {orders[0]}"
        )
    cure = f"Look where the labels are from, and state data.run_order: {' or '.join(orders)}."
    choices = [f"data.run_order={name}" for name in orders]
    raise DataError(problem, where="data.run_order", cure=cure, choices=choices)


def _by_columns(examples: Iterable[tuple[str, list[Shape], np.ndarray]]) -> tuple[float, float]:
    """The length of all outlines by rows over that by columns; and what images change across them, columns over rows."""
    lengths, steps = np.ones(2), np.ones(2)
    for name, shapes, image in examples:
        across = [np.abs(np.diff(image.astype(float), axis=axis)) for axis in (0, 1)]
        typical = float(np.mean([each.mean() for each in across if each.size])) or 1.0
        for by_rows in (0, 1):
            for shape in (replace(each, by_rows=bool(by_rows)) for each in shapes if each.runs is not None):
                _, inside = shape.pixels(image.shape, where=name)
                borders = [np.diff(inside, axis=axis) for axis in (0, 1)]
                lengths[by_rows] += sum(map(np.sum, borders))
                steps[by_rows] += (
                    sum(change[border].sum() for change, border in zip(across, borders, strict=True))
                    / typical
                )
    strength = steps / lengths
    return float(lengths[1] / lengths[0]), float(strength[0] / strength[1])


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
