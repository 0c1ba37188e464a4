"""Lines through loss surfaces: a median with its band over directions, from start to end, and between two fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing.svg import Scale, axes, drawing, element, line, text

WIDTH, HEIGHT = 232, 158
LEFT, RIGHT, TOP, BOTTOM = 38, 224, 20, 122
FARTHEST = 2.0  # on the common scale: an axis does not go beyond twice the trivial predictor
SPARE = 0.08


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
    held = [curve.values for cut in cuts for curve in cut.curves]
    held += [cut.band for cut in cuts if cut.band is not None]
    known = np.concatenate([np.ravel(one) for one in held]) if held else np.zeros(1)
    known = known[np.isfinite(known)]
    low, high = float(min(known.min(initial=0.0), 0.0)), float(max(known.max(initial=1.0), 1.0))
    low, high = max(low, -FARTHEST), min(high, FARTHEST)
    return low - SPARE * (high - low), high + SPARE * (high - low)


def cut_panel(title: str, cut: Cut, ends: tuple[float, float], *, x_title: str) -> Markup:
    """The curves between two ends of the vertical scale; what lies beyond is drawn at the edge, and said."""
    x, y = Scale(float(cut.x[0]), float(cut.x[-1]), LEFT, RIGHT), Scale(*ends, BOTTOM, TOP)
    parts = [axes(x, y, x_title=x_title, count=4)]
    parts.append(line([(x.start, y(1.0)), (x.end, y(1.0))], "chance"))
    for place, words in cut.marks:
        parts.append(element("line", x1=x(place), x2=x(place), y1=y.start, y2=y.end, class_="cutmark"))
        parts.append(text(words, x(place), y.end - 4, anchor="middle"))
    if cut.band is not None:
        parts.append(_band(cut, x, y))
    parts += [_curve(cut, curve, x, y) for curve in cut.curves]
    highest = max((float(np.nanmax(curve.values, initial=-math.inf)) for curve in cut.curves), default=0.0)
    if highest > ends[1]:
        middle = (x.start + x.end) / 2
        parts.append(text(f"▴ up to {highest:.3g}", middle, y.end - 4, anchor="middle"))
    return drawing(*parts, width=WIDTH, height=HEIGHT, title=title)


def _band(cut: Cut, x: Scale, y: Scale) -> Markup:
    assert cut.band is not None
    low, high = cut.band
    known = np.isfinite(low) & np.isfinite(high)
    above = [(x(float(a)), y.clamped(float(b))) for a, b in zip(cut.x[known], high[known], strict=True)]
    below = [(x(float(a)), y.clamped(float(b))) for a, b in zip(cut.x[known], low[known], strict=True)]
    listed = " ".join(f"{a:.1f},{b:.1f}" for a, b in [*above, *reversed(below)])
    return element("polygon", points=listed, class_="spread")


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
