"""Loss surfaces on the common scale: contour plots with the path of training, and lines through the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, LineType, contour_generator
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing.svg import (
    Scale,
    axes,
    drawing,
    element,
    line,
    marker,
    polygon,
    text,
    tick_text,
    upright,
)

# On the common scale: 0 is the solution, 1 the trivial predictor. Steps grow, because most is to be seen near 0.
LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# One colour for each band between the levels, the classes band0 .. band8 of the style sheet: each is lighter than the
# one before, and they are told apart by every kind of colour vision. Nine samples of viridis (public domain, CC0).
RAMP = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
SAME = 1e-5  # below a level counts as at it: a metric is often exactly what it is at the solution
TRIVIAL = 1.0  # the level with a dashed line of its own
SIDE, LEFT, TOP = 150.0, 34.0, 8.0
FINENESS = 4  # a path is written in whole quarters of a pixel
CUT_LEFT, CUT_RIGHT, CUT_TOP, CUT_BOTTOM = 38, 224, 20, 122  # of the panel of a line
FARTHEST = 2.0  # an axis does not go beyond twice the trivial predictor: what blew up would flatten all else
SPARE = 0.08


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
    parts += _trail(trail, x, y) if trail else [marker(x(0.0), y(0.0), shape="circle", class_="here", size=3)]
    height = TOP + SIDE + (32 if x_title else 18)
    return drawing(*parts, width=LEFT + SIDE + 8, height=height, title=title, class_="chart contour")


def _bands(plane: Plane, x: Scale, y: Scale) -> list[Markup]:
    """Every band is painted over the one below it, so that each line is written once."""
    masked = np.ma.masked_invalid(np.asarray(plane.values, dtype=np.float64))
    # Two points span no area.
    if masked.count() < 3:
        return []
    lines: Any = contour_generator(  # what it returns depends on the types that are asked for
        plane.x, plane.y, masked, fill_type=FillType.OuterOffset, line_type=LineType.Separate
    )
    parts = []
    reached = [level for level in LEVELS if level - SAME < masked.max()]
    # The band of the whole ground.
    lowest = sum(1 for level in reached if level - SAME < masked.min())
    for index, level in list(enumerate([-np.inf, *reached]))[lowest:]:
        polygons, offsets = lines.filled(-np.inf if index == lowest else level - SAME, np.inf)
        path = "".join(
            _path([(x(a), y(b)) for a, b in polygon[start:end]], closed=True)
            for polygon, ends in zip(polygons, offsets, strict=True)
            for start, end in pairwise(ends)
        )
        if path:
            parts.append(element("path", d=path, class_=f"band band{index}"))
    if TRIVIAL in reached:
        opened = "".join(_path([(x(a), y(b)) for a, b in points]) for points in lines.lines(TRIVIAL - SAME))
        parts.append(element("path", d=opened, class_="triviallimit"))
    scale = f"scale({1 / FINENESS:g})"
    return [element("g", *parts, transform=scale, class_="bands")]


def _path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """A path in whole steps, each from the last one: a third of what coordinates would take."""
    whole = [(round(a * FINENESS), round(b * FINENESS)) for a, b in points]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(whole) if a != b]
    # A straight run becomes one step: fewer bytes that look the same.
    merged: list[tuple[int, int]] = []
    for step in steps:
        (a, b), (c, d) = merged[-1] if merged else (0, 0), step
        # Parallel, and not backwards.
        if merged and a * d == c * b and a * c + b * d > 0:
            merged[-1] = (a + c, b + d)
        else:
            merged.append(step)
    if len(merged) < (3 if closed else 1):
        return ""
    listed = " ".join(f"{a} {b}" for a, b in (merged[:-1] if closed else merged))
    return f"M{whole[0][0]} {whole[0][1]}l{listed}{'z' if closed else ''}"


def _absent(plane: Plane, x: Scale, y: Scale) -> Markup:
    rows, columns = np.nonzero(~np.isfinite(plane.values))
    strokes = "".join(
        f"M{x(float(plane.x[j])) - 1.5:.1f} {y(float(plane.y[i])) - 1.5:.1f}l3 3m-3 0l3-3"
        for i, j in zip(rows, columns, strict=True)
    )
    return element("path", d=strokes, class_="absent") if strokes else Markup("")


def _frame(x: Scale, y: Scale, x_title: str, y_title: str) -> Markup:
    width, height = x.end - x.start, y.start - y.end
    x_ticks, y_ticks = x.ticks(4), y.ticks(4)
    left = x.start - 24
    parts = [element("rect", x=x.start, y=y.end, width=width, height=height, class_="contourframe")]
    parts += [text(_number(tick, x_ticks), x(tick), y.start + 12, anchor="middle") for tick in x_ticks]
    parts += [text(_number(tick, y_ticks), x.start - 4, y(tick) + 3, anchor="end") for tick in y_ticks]
    if x_title:
        parts.append(text(x_title, x.end, y.start + 26, anchor="end"))
    if y_title:
        turned = {"text_anchor": "end", "transform": f"rotate(-90 {left:g} {y.end:g})"}
        parts.append(element("text", y_title, x=left, y=y.end, class_="tick", **turned))
    return Markup("").join(parts)


def _number(value: float, ticks: Sequence[float]) -> str:
    return tick_text(value, ticks).replace("-", "−")


def _trail(trail: Trail, x: Scale, y: Scale) -> list[Markup]:
    """A line with a dot at every checkpoint: hollow before training, a diamond at the chosen epoch."""
    points = [(x.clamped(float(a)), y.clamped(float(b))) for a, b in trail.points]
    listed = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    # Twice, a broad one below the thin one: it is to be seen on every colour.
    parts = [element("polyline", points=listed, class_=kind) for kind in ("trailback", "trail")]
    last = len(points) - 1
    for index, ((a, b), epoch) in enumerate(zip(points, trail.epochs, strict=True)):
        chosen = epoch == trail.chosen
        shape = "diamond" if chosen else "circle"
        size = 4.5 if chosen else 3.0 if index in (0, last) else 1.8
        kind = "step first" if index == 0 else "step picked" if chosen else "step"
        parts.append(marker(a, b, shape=shape, class_=kind, size=size, title=f"epoch {epoch}"))
    for index in {0, last}:
        words = "start" if index == 0 else f"{trail.epochs[index]}"
        a, b = points[index]
        # Where there is room for the word.
        left = a > (x.start + x.end) / 2
        anchor = "end" if left else "start"
        parts.append(text(words, a + (-6 if left else 6), b - 5, class_="name haloed", anchor=anchor))
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


@dataclass(frozen=True)
class Curve:
    """One line of a panel: its values on the common scale, its class, and what a pointer held over it says."""

    values: NDArray[Any]
    class_: str
    name: str = ""


@dataclass(frozen=True)
class Cut:
    """What is drawn over one line through the weights.

    Attributes:
        x: (P,) where along the line.
        curves: over it.
        band: (2, P) lowest and highest over direction seeds; None for no band.
        marks: places along the line with a stroke, and their words.
    """

    x: NDArray[Any]
    curves: Sequence[Curve]
    band: NDArray[Any] | None = None
    marks: Sequence[tuple[float, str]] = field(default=())


def reach(cuts: Sequence[Cut]) -> tuple[float, float]:
    """One vertical scale for several panels: it holds 0 and 1, and ends at `FARTHEST` where values go beyond."""
    drawn = [curve.values for cut in cuts for curve in cut.curves]
    drawn += [cut.band for cut in cuts if cut.band is not None]
    values = np.concatenate([np.ravel(values) for values in drawn]) if drawn else np.zeros(1)
    values = values[np.isfinite(values)]
    low = max(float(values.min(initial=0.0)), -FARTHEST)
    high = min(float(values.max(initial=1.0)), FARTHEST)
    return low - SPARE * (high - low), high + SPARE * (high - low)


def cut_panel(title: str, cut: Cut, ends: tuple[float, float], *, x_title: str) -> Markup:
    """The curves between two ends of the vertical scale; what lies beyond is drawn at the edge, and said."""
    x, y = Scale(float(cut.x[0]), float(cut.x[-1]), CUT_LEFT, CUT_RIGHT), Scale(*ends, CUT_BOTTOM, CUT_TOP)
    parts = [axes(x, y, x_title=x_title, count=4)]
    parts.append(line([(x.start, y(1.0)), (x.end, y(1.0))], "chance"))
    for index, words in cut.marks:
        parts.append(upright(x(index), y.start, y.end, "cutmark"))
        parts.append(text(words, x(index), y.end - 4, anchor="middle"))
    if cut.band is not None:
        parts.append(_band(cut.x, cut.band, x, y))
    parts += [_curve(cut, curve, x, y) for curve in cut.curves]
    highest = max((float(np.nanmax(curve.values, initial=-math.inf)) for curve in cut.curves), default=0.0)
    if highest > ends[1]:
        middle = (x.start + x.end) / 2
        parts.append(text(f"▴ up to {highest:.3g}", middle, y.end - 4, anchor="middle"))
    return drawing(*parts, width=232, height=158, title=title)


def _band(t: NDArray[Any], band: NDArray[Any], x: Scale, y: Scale) -> Markup:
    finite = np.isfinite(band).all(axis=0)
    below, above = (
        [(x(float(a)), y.clamped(float(b))) for a, b in zip(t[finite], edge[finite], strict=True)]
        for edge in band
    )
    return polygon([*above, *reversed(below)], "spread")


def _curve(cut: Cut, curve: Curve, x: Scale, y: Scale) -> Markup:
    """Pieces between the points that are no finite numbers, so that no line is drawn across a gap."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(cut.x, curve.values, strict=True):
        if np.isfinite(b):
            pieces[-1].append((x(float(a)), y.clamped(float(b))))
        elif pieces[-1]:
            pieces.append([])
    drawn = [line(piece, curve.class_) for piece in pieces if len(piece) > 1]
    return element("g", element("title", curve.name), *drawn) if curve.name else Markup("").join(drawn)
