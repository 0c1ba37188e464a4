"""A panel of lines that are told apart by colour: numbers by epoch, and curves of formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from foldwise.reporting.drawing.svg import Numbers, Points, Scale, axes, drawing, element, line

WIDTH, HEIGHT = 250, 176
LEFT, RIGHT, TOP, BOTTOM = 40, 242, 22, 140
HUES = 9  # kinds of line that can be told apart, by colour and dashes
MAX_POINTS = 60


@dataclass(frozen=True)
class Series:
    """One line: its points, the number of its colour, what a pointer held over it says, and whose it is."""

    points: Points
    hue: int
    name: str = ""
    thin: bool = False
    configuration: str | None = None


@dataclass(frozen=True)
class Span:
    """The range of an axis, and whether it is logarithmic."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


def panel(title: str, lines: Sequence[Series], *, x: Span, y: Span, x_title: str, y_title: str) -> Markup:
    """The lines within both spans; what lies beyond is drawn at the edge."""
    across = Scale(x.low, x.high, LEFT, RIGHT, log=x.log, whole=x.whole)
    up = Scale(y.low, y.high, BOTTOM, TOP, log=y.log)
    parts = [axes(across, up, x_title=x_title, y_title=y_title, count=4)]
    for one in lines:
        places = [
            (across(a), up.clamped(b))
            for a, b in _thinned(one.points)
            if math.isfinite(b) and across.inside(a)
        ]
        kind = f"series hue{one.hue % HUES}{' thin' if one.thin else ''}"
        drawn = (
            line(places, kind)
            if len(places) > 1
            else Markup("").join(element("circle", cx=a, cy=b, r=2, class_=kind) for a, b in places)
        )
        named = element("g", element("title", one.name), drawn, data_configuration=one.configuration)
        parts.append(named if one.name else drawn)
    shown = [(one.name, a, b) for one in lines for a, b in _thinned(one.points)]
    numbers = Numbers(("line", x_title.strip("→ "), y_title.strip("↑ ")), shown)
    return drawing(*parts, width=WIDTH, height=HEIGHT, title=title, numbers=numbers)


def _thinned(points: Points) -> Points:
    """At most about `MAX_POINTS` of them, the last one always."""
    step = max(1, len(points) // MAX_POINTS)
    return [point for place, point in enumerate(points) if place % step == 0 or place == len(points) - 1]


def span_of(values: Sequence[float], *, log_beyond: float = math.inf, at_most: float = math.inf) -> Span:
    """From the lowest to the highest value with some air; logarithmic where the ratio of the two is larger.

    Args:
        values: those that are not finite are left out; without any, 0 to 1.
        log_beyond: the ratio of highest to lowest beyond which the axis is logarithmic, if all values are positive.
        at_most: the axis does not go beyond it, nor below 0 where no value does.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return Span(0.0, 1.0)
    low, high = min(known), max(known)
    if low > 0 and high > log_beyond * low:
        air = (high / low) ** 0.04
        return Span(low / air, high * air, log=True)
    air = (high - low) * 0.06 or abs(high) * 0.05 or 0.05
    floor = 0.0 if low >= 0 else low - air
    return Span(max(low - air, floor), min(high + air, max(at_most, high)))
