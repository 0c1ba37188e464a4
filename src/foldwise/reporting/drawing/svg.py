"""SVG by hand: elements whose text is always escaped, scales, ticks and frames.

Colours are class names, and `templates/styles/` gives them their value, so that dark mode and print come free.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup, escape

from foldwise.csv_cells import TableWriter

Points = Sequence[tuple[float, float]]
MAX_DECADES = 6  # a logarithmic axis of more has a tick at every second one, or third ...
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def element(tag: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """``<tag ...>children</tag>``; values and plain text are escaped, `Markup` is taken as it is.

    Args:
        attributes: ``stroke_width`` becomes ``stroke-width`` and ``class_`` becomes ``class``; None is left out.
    """
    listed = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(short(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    # `Markup` was made here, so its text is escaped already.
    inside = "".join(str(escape(child)) for child in children)
    return Markup(f"<{tag}{listed}>{inside}</{tag}>" if children else f"<{tag}{listed}/>")


def short(value: str | float) -> str:
    """Coordinates to a tenth of a pixel, so that 24 configurations x 5 folds stay a small file."""
    if isinstance(value, str):
        return value
    return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"


@dataclass(frozen=True)
class Numbers:
    """What is drawn, as a table: it is saved as CSV. Values that are not finite are empty cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]

    def csv(self) -> str:
        """A line of columns, then the rows; numbers with seven digits that count, far more than a drawing shows."""
        text = io.StringIO()
        lines = TableWriter(text, end="\n")
        lines.row(self.columns)
        lines.rows([_plain(value) for value in row] for row in self.rows)
        return text.getvalue().rstrip("\n")


def _plain(value: str | float | None) -> str:
    if isinstance(value, str):
        # A row is one line.
        return " ".join(value.split())
    return "" if value is None or not math.isfinite(value) else f"{value:.7g}"


def drawing(
    *children: Markup,
    width: float,
    height: float,
    title: str,
    class_: str = "chart",
    text: str = "",
    numbers: Numbers | None = None,
) -> Markup:
    """A whole picture with its title, a description where a title does not say it all, and the numbers it shows."""
    described = [element("desc", text)] if text else []
    return element(
        "svg",
        element("title", title),
        *described,
        *children,
        viewBox=f"0 0 {short(width)} {short(height)}",
        width=width,
        height=height,
        role="img",
        class_=class_,
        data_numbers=numbers.csv() if numbers is not None and numbers.rows else None,
    )


@dataclass(frozen=True)
class Scale:
    """From data to pixels; `log` takes decimal logarithms first, and ticks of `whole` are whole numbers."""

    low: float
    high: float
    start: float = 0.0
    end: float = 1.0
    log: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)

    def inside(self, value: float) -> bool:
        """Whether a value is drawn at all."""
        return self.low <= value <= self.high

    def clamped(self, value: float) -> float:
        """The pixel of a value, or of the nearer end of the scale."""
        return self(min(max(value, self.low), self.high))

    def between(self, start: float, end: float) -> Scale:
        """The same values from one pixel to another."""
        return replace(self, start=start, end=end)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round values inside the scale."""
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _round_step((self.high - self.low) / max(count, 1))
        step = max(1.0, float(round(step))) if self.whole else step
        # Division leaves ticks at the very ends of a scale a rounding error outside of it.
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _round_step(rough: float) -> float:
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    # A hair of tolerance: a rough step of 0.2500001 is to be 0.25, not 0.5.
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1, max(1, math.ceil((last - first) / MAX_DECADES)))
    # Finer steps until there are three ticks: two do not show that an axis is logarithmic.
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [
            part * 10.0**decade for decade in decades for part in parts if low <= part * 10.0**decade <= high
        ]
        if len(ticks) >= 3:
            return ticks
    return ticks


def scale_over(
    values: Iterable[float], start: float = 0.0, end: float = 1.0, *, margin: float = 0.06, log: bool = False
) -> Scale:
    """A scale that holds every finite value with some air on both sides; 0 to 1 where there is none."""
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not finite:
        return Scale(0.1 if log else 0.0, 1.0, start, end, log)
    low, high = min(finite), max(finite)
    if log:
        # 1.5 at least, so that equal values have a span, too.
        ratio = max(high / low, 1.5) ** margin
        return Scale(low / ratio, high * ratio, start, end, log=True)
    # A single value needs a span as well, and so does 0.
    air = (high - low) * margin or abs(high) * 0.05 or 0.05
    return Scale(low - air, high + air, start, end)


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """The true value of a tick, with as many digits for all as one of them takes; logarithmic ones each their own."""
    if abs(value) >= 1e6 and math.log10(abs(value)).is_integer():
        return f"{'-' if value < 0 else ''}10{str(round(math.log10(abs(value)))).translate(RAISED)}"
    if abs(value) >= 1000:
        return f"{value / 1000:g}k"
    steps = [abs(b - a) for a, b in pairwise(ticks)]
    step = min(steps, default=abs(value)) or 1.0
    # Unequal steps are those of a logarithmic axis.
    if steps and max(steps) > 1.5 * step:
        return f"{value:g}"
    whole = (digits for digits in range(12) if all(_has_digits(tick, digits, step) for tick in ticks))
    return f"{value:.{next(whole, 12)}f}"


def _has_digits(tick: float, digits: int, step: float) -> bool:
    return abs(round(tick, digits) - tick) < 1e-3 * step


def fitted(name: str, length: int) -> str:
    """A name with at most so many letters, the last of them an ellipsis where it is longer."""
    return name if len(name) <= length else name[: length - 1] + "…"


def line(points: Points, class_: str) -> Markup:
    """A polyline; points that are not finite are left out."""
    listed = " ".join(f"{short(x)},{short(y)}" for x, y in points if math.isfinite(x) and math.isfinite(y))
    return element("polyline", points=listed, class_=class_)


def curve(points: Sequence[Sequence[float]], x: Scale, y: Scale, class_: str) -> Markup:
    """A polyline through points given as all x, then all y."""
    return line([(x(float(a)), y(float(b))) for a, b in zip(*points, strict=True)], class_)


def polygon(points: Points, class_: str) -> Markup:
    """A filled area."""
    listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polygon", points=listed, class_=class_)


def text(words: str, x: float, y: float, class_: str = "tick", anchor: str = "start") -> Markup:
    """A label."""
    return element("text", words, x=x, y=y, class_=class_, text_anchor=None if anchor == "start" else anchor)


def upright(x: float, top: float, bottom: float, class_: str) -> Markup:
    """A vertical line."""
    return element("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def grid(scale: Scale, top: float, bottom: float, count: int) -> list[Markup]:
    """A vertical line at every tick."""
    return [upright(scale(value), top, bottom, "grid") for value in scale.ticks(count)]


def tick_labels(scale: Scale, y: float, count: int) -> list[Markup]:
    """The value of every tick, below or above it."""
    ticks = scale.ticks(count)
    return [text(tick_text(value, ticks), scale(value), y, anchor="middle") for value in ticks]


def axes(x: Scale, y: Scale, *, x_title: str = "", y_title: str = "", count: int = 4) -> Markup:
    """Grid lines with their values below and to the left; titles at the ends of the axes."""
    parts: list[Markup] = []
    y_ticks = y.ticks(count)
    for value in y_ticks:
        parts.append(element("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), class_="grid"))
        parts.append(text(tick_text(value, y_ticks), x.start - 5, y(value) + 3, anchor="end"))
    for value, label in zip(x.ticks(count), tick_labels(x, y.start + 14, count), strict=True):
        parts += [upright(x(value), y.start, y.start + 3, "axis"), label]
    parts.append(element("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"))
    if x_title:
        parts.append(text(x_title, x.end, y.start + 27, anchor="end", class_="tick title"))
    if y_title:
        parts.append(text(y_title, x.start, y.end - 7, class_="tick title"))
    return Markup("").join(parts)


def marker(
    x: float,
    y: float,
    *,
    shape: str,
    class_: str,
    size: float = 5.0,
    title: str = "",
    configuration: str | None = None,
) -> Markup:
    """A point in one of the shapes of `SHAPES`, with the words that a pointer held over it shows; whose point it is."""
    path = SHAPES[shape].format(*(short(size * factor) for factor in (1, 2)))
    inside = [element("title", title)] if title else []
    drawn = f"M{short(x)},{short(y)}{path}"
    return element("path", *inside, d=drawn, class_=class_, data_configuration=configuration)


# Relative paths from the centre; {0} is the half width, {1} the whole.
SHAPES = {
    "circle": "m-{0},0a{0},{0} 0 1 0 {1},0a{0},{0} 0 1 0 -{1},0z",
    "square": "m-{0},-{0}h{1}v{1}h-{1}z",
    "diamond": "m0,-{0}l{0},{0}l-{0},{0}l-{0},-{0}z",
    "triangle": "m0,-{0}l{0},{1}h-{1}z",
}
