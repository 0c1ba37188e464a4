"""Contour plots of loss surfaces: bands of colour on the common scale, and the path of training on its plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, LineType, contour_generator
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing.svg import Scale, drawing, element, marker, text, tick_text

# On the common scale: 0 is the solution, 1 the trivial predictor. Steps grow, because most is to be seen near 0.
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# One colour for each band between the levels, the classes band0 .. band8 of the style sheet: each is lighter than the
# one before, and they are told apart by every kind of colour vision. Nine samples of viridis (public domain, CC0).
RAMP = (
    "#440154",
    "#472d7b",
    "#3b528b",
    "#2c728e",
    "#21918c",
    "#28ae80",
    "#5ec962",
    "#addc30",
    "#fde725",
)
SAME = 1e-5  # below a level counts as at it: a metric is often exactly what it is at the solution
TRIVIAL = 1.0  # the level with a dashed line of its own
SIDE, LEFT, TOP = 150.0, 34.0, 8.0
FINENESS = 4  # a path is written in whole quarters of a pixel


@dataclass(frozen=True)
class Plane:
    """Values on the common scale over a grid.

    Attributes:
        x, y: (G,) and (G,), rising.
        values: (G, G), rows are y; nan where there is no finite number.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    values: NDArray[Any]


@dataclass(frozen=True)
class Trail:
    """The path of training in a plane: its points (C, 2), the epochs of them, and the chosen one if it is among them."""

    points: NDArray[Any]
    epochs: Sequence[int]
    chosen: int | None


def contour_panel(
    title: str, plane: Plane, *, x_title: str = "", y_title: str = "", trail: Trail | None = None
) -> Markup:
    """Bands between `LEVELS` with a line at each, the trivial predictor's dashed; crosses where there is no number."""
    x = Scale(float(plane.x[0]), float(plane.x[-1]), LEFT, LEFT + SIDE)
    y = Scale(float(plane.y[0]), float(plane.y[-1]), TOP + SIDE, TOP)
    parts = [*_bands(plane, x, y), _absent(plane, x, y), _frame(x, y, x_title, y_title)]
    parts += _trail(trail, x, y) if trail else [_centre(x, y)]
    height = TOP + SIDE + (32 if x_title else 18)
    return drawing(*parts, width=LEFT + SIDE + 8, height=height, title=title, class_="chart contour")


def _bands(plane: Plane, x: Scale, y: Scale) -> list[Markup]:
    """Every band is painted over the one below it, so that each line is written once."""
    masked = np.ma.masked_invalid(np.asarray(plane.values, dtype=np.float64))
    if masked.count() < 3:
        return []
    lines: Any = contour_generator(  # what it returns depends on the types that are asked for
        plane.x, plane.y, masked, fill_type=FillType.OuterOffset, line_type=LineType.Separate
    )
    parts = []
    reached = [level for level in LEVELS if level - SAME < masked.max()]
    lowest = sum(1 for level in reached if level - SAME < masked.min())  # the band of the whole ground
    for place, level in list(enumerate([-np.inf, *reached]))[lowest:]:
        polygons, offsets = lines.filled(-np.inf if place == lowest else level - SAME, np.inf)
        path = "".join(
            _path([(x(a), y(b)) for a, b in polygon[start:end]], closed=True)
            for polygon, ends in zip(polygons, offsets, strict=True)
            for start, end in pairwise(ends)
        )
        if path:
            parts.append(element("path", d=path, class_=f"band band{place}"))
    if TRIVIAL in reached:
        opened = "".join(_path([(x(a), y(b)) for a, b in one]) for one in lines.lines(TRIVIAL - SAME))
        parts.append(element("path", d=opened, class_="triviallimit"))
    scale = f"scale({1 / FINENESS:g})"
    return [element("g", *parts, transform=scale, class_="bands")]


def _path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """A path in whole steps, each from the last one: a third of what coordinates would take."""
    whole = [(round(a * FINENESS), round(b * FINENESS)) for a, b in points]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(whole) if a != b]
    merged: list[tuple[int, int]] = []
    for step in steps:
        if merged and _straight(merged[-1], step):
            merged[-1] = (merged[-1][0] + step[0], merged[-1][1] + step[1])
        else:
            merged.append(step)
    if len(merged) < (3 if closed else 1):
        return ""
    listed = " ".join(f"{a} {b}" for a, b in (merged[:-1] if closed else merged))
    return f"M{whole[0][0]} {whole[0][1]}l{listed}{'z' if closed else ''}"


def _straight(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two steps go the same way."""
    return one[0] * other[1] == one[1] * other[0] and one[0] * other[0] + one[1] * other[1] > 0


def _absent(plane: Plane, x: Scale, y: Scale) -> Markup:
    rows, columns = np.nonzero(~np.isfinite(plane.values))
    strokes = "".join(
        f"M{x(float(plane.x[j])) - 1.5:.1f} {y(float(plane.y[i])) - 1.5:.1f}l3 3m-3 0l3-3"
        for i, j in zip(rows, columns, strict=True)
    )
    return element("path", d=strokes, class_="absent") if strokes else Markup("")


def _frame(x: Scale, y: Scale, x_title: str, y_title: str) -> Markup:
    width, height = x.end - x.start, y.start - y.end
    parts = [element("rect", x=x.start, y=y.end, width=width, height=height, class_="contourframe")]
    x_ticks, y_ticks = x.ticks(4), y.ticks(4)
    parts += [text(_number(one, x_ticks), x(one), y.start + 12, anchor="middle") for one in x_ticks]
    parts += [text(_number(one, y_ticks), x.start - 4, y(one) + 3, anchor="end") for one in y_ticks]
    if x_title:
        parts.append(text(x_title, x.end, y.start + 26, anchor="end"))
    if y_title:
        turned = f"rotate(-90 {x.start - 24:g} {y.end:g})"
        parts.append(
            element(
                "text", y_title, x=x.start - 24, y=y.end, class_="tick", text_anchor="end", transform=turned
            )
        )
    return Markup("").join(parts)


def _number(value: float, ticks: Sequence[float]) -> str:
    return tick_text(value, ticks).replace("-", "−")


def _centre(x: Scale, y: Scale) -> Markup:
    return marker(x(0.0), y(0.0), shape="circle", class_="here", size=3)


def _trail(trail: Trail, x: Scale, y: Scale) -> list[Markup]:
    """A line with a dot at every checkpoint: hollow before training, a diamond at the chosen epoch."""
    places = [(x.clamped(float(a)), y.clamped(float(b))) for a, b in trail.points]
    drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    parts = [element("polyline", points=drawn, class_=kind) for kind in ("trailback", "trail")]
    last = len(places) - 1
    for number, ((a, b), epoch) in enumerate(zip(places, trail.epochs, strict=True)):
        shape = "diamond" if epoch == trail.chosen else "circle"
        size = 4.5 if epoch == trail.chosen else 3.0 if number in (0, last) else 1.8
        kind = "step first" if number == 0 else "step picked" if epoch == trail.chosen else "step"
        parts.append(marker(a, b, shape=shape, class_=kind, size=size, title=f"epoch {epoch}"))
    for number in {0, last}:
        (a, b), epoch = places[number], trail.epochs[number]
        left = a > (x.start + x.end) / 2
        words = "start" if number == 0 else f"{epoch}"
        parts.append(
            text(
                words, a + (-6 if left else 6), b - 5, class_="name haloed", anchor="end" if left else "start"
            )
        )
    return parts


def colour_bar() -> Markup:
    """What the bands mean: the levels between them, and the two that have a name."""
    step, left = 38.0, 58.0
    parts = [
        element("rect", x=left + n * step, y=4, width=step, height=13, class_=f"band{n}")
        for n in range(len(RAMP))
    ]
    for n, level in enumerate(LEVELS, start=1):
        parts.append(text(f"{level:g}", left + n * step, 30, anchor="middle"))
    parts.append(text("lower", left - 5, 14.5, anchor="end"))
    parts.append(text("this solution", left + step, 43, anchor="middle"))
    parts.append(text("trivial predictor", left + step * (1 + LEVELS.index(TRIVIAL)), 43, anchor="middle"))
    parts.append(text("higher", left + step * len(RAMP) + 5, 14.5))
    return drawing(
        *parts,
        width=left + step * len(RAMP) + 44,
        height=48,
        title="Colours: from lower than this solution, through the trivial predictor at 1, to higher than 2",
    )
