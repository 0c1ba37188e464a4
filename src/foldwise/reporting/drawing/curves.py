"""Curves of what was predicted: ROC, precision-recall, thresholds and reliability; and of speed by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from foldwise.judging.curves import Line, RankingCurve, ThresholdCurve
from foldwise.judging.verdict_sections import ReliabilityBin
from foldwise.reporting.drawing import svg
from foldwise.reporting.wording import amount, interval, score

AXES = {"roc": ("1 − specificity →", "↑ sensitivity"), "pr": ("recall →", "↑ precision")}
RELIABILITY_HEIGHT = 308
TALLEST_PX = 34.0  # the highest bar below a reliability diagram
SHAPES = ("circle", "square", "triangle")
AIR = 1.3  # factor that the scale of batch sizes goes on beyond them
APART_PX = 3.0  # between lines at one batch size, so that no range covers another
Measured = tuple[int, float, float, float]  # batch size; median, slowest and fastest images per second


def curve_panel(
    title: str, lines: Sequence[tuple[str, RankingCurve]], *, kind: str, chance: float | None = None
) -> Markup:
    """ROC (kind "roc") or precision-recall (kind "pr") of one class: the first line is the winner, with its folds."""
    x, y = svg.Scale(0, 1, 34, 214), svg.Scale(0, 1, 196, 16)
    names = AXES[kind]
    parts = [svg.axes(x, y, x_title=names[0], y_title=names[1], count=4)]
    if kind == "roc":
        parts.append(svg.line([(x(0), y(0)), (x(1), y(1))], "chance"))
    elif chance is not None:
        parts.append(svg.line([(x(0), y(chance)), (x(1), y(chance))], "chance"))
    # The winner last, on top of all others.
    for configuration, other in reversed(lines[1:]):
        if other.mean:
            parts.append(_of(configuration, svg.curve(other.mean, x, y, "curve other")))
    for configuration, winner in lines[:1]:
        parts += [svg.curve(fold, x, y, "curve fold") for fold in winner.folds]
        if winner.mean:
            parts.append(_of(configuration, svg.curve(winner.mean, x, y, "curve winner")))
    numbers = svg.Numbers(("configuration", "fold", *(name.strip("→↑ ") for name in names)), _points(lines))
    return svg.drawing(*parts, width=224, height=228, title=title, numbers=numbers)


def _of(configuration: str, drawn: Markup) -> Markup:
    return svg.element("g", drawn, data_configuration=configuration) if configuration else drawn


def _points(lines: Sequence[tuple[str, RankingCurve]]) -> list[tuple[str | float | None, ...]]:
    """Configuration, fold (or "mean"), and both coordinates of every point that is drawn."""
    drawn: list[tuple[str, str | float, Line]] = []
    for index, (configuration, curves) in enumerate(lines):
        drawn += [(configuration, fold, points) for fold, points in enumerate(curves.folds, 1) if not index]
        drawn += [(configuration, "mean", curves.mean)] if curves.mean else []
    return [(name, fold, a, b) for name, fold, points in drawn for a, b in zip(*points, strict=True)]


def threshold_panel(title: str, curves: ThresholdCurve) -> Markup:
    """F1 of one label against its threshold: every fit thin, their mean thick, and a mark at each threshold chosen."""
    # Logarithmic, since the best threshold of a rare label is far below one half.
    x, y = svg.Scale(0.001, 1, 30, 216, log=True), svg.Scale(0, 1, 110, 14)
    parts = [svg.axes(x, y, x_title="threshold →", y_title="↑ F1", count=2)]
    parts += [svg.curve(fold, x, y, "curve fold") for fold in curves.folds]
    if curves.mean is not None:
        parts.append(svg.curve(curves.mean, x, y, "curve winner"))
    parts += [svg.upright(x.clamped(limit), y.start, y.start - 12, "limit") for limit in curves.chosen]
    lines: list[tuple[str | int, Line]] = [*enumerate(curves.folds, 1)]
    lines += [("mean", curves.mean)] if curves.mean is not None else []
    rows = [(fit, float(a), float(b)) for fit, points in lines for a, b in zip(*points, strict=True)]
    numbers = svg.Numbers(("fit", "threshold", "F1"), rows)
    return svg.drawing(*parts, width=226, height=142, title=title, numbers=numbers)


def reliability_panel(title: str, bins: Sequence[ReliabilityBin], *, num_bins: int, axis: str) -> Markup:
    """Points with their intervals, the diagonal of a perfect model, and bars of counts under the same axis.

    Args:
        bins: of the verdict, those that hold something.
        num_bins: how many there are between 0 and 1, also those that hold nothing.
        axis: its title: what the probabilities are of.
    """
    x, y = svg.Scale(0, 1, 38, 240), svg.Scale(0, 1, 216, 22)
    parts = [svg.axes(x, y, x_title=f"{axis} →", y_title="↑ share that came true", count=4)]
    parts.append(svg.line([(x(0), y(0)), (x(1), y(1))], "chance"))
    points = [(x(group.mean), y(group.share)) for group in bins]
    parts.append(svg.line(points, "curve winner"))
    for group, (left, top) in zip(bins, points, strict=True):
        words = f"predicted {score(group.mean, 2)}, came true {score(group.share, 2)}"
        if group.interval:
            low, high = map(y, group.interval)
            parts.append(svg.upright(left, low, high, "bar winner"))
            words += f" ({interval(*group.interval)})"
        words += f"; {amount(group.count)} times"
        parts.append(svg.marker(left, top, shape="circle", class_="mark winner", size=3.4, title=words))
    parts += _counts(bins, x, num_bins)
    rows = [(group.mean, group.share, group.low, group.high, group.count) for group in bins]
    numbers = svg.Numbers((axis, "share that came true", "low", "high", "count"), rows)
    return svg.drawing(*parts, width=250, height=RELIABILITY_HEIGHT, title=title, numbers=numbers)


def _counts(bins: Sequence[ReliabilityBin], x: svg.Scale, num_bins: int) -> list[Markup]:
    """Bars below the axis: a bin of few predictions says little."""
    most = max((group.count for group in bins), default=1)
    width, parts = (x.end - x.start) / num_bins, []
    for group in bins:
        left = x.start + width * min(int(group.mean * num_bins), num_bins - 1)
        tall = max(TALLEST_PX * group.count / most, 1.0)
        top = RELIABILITY_HEIGHT - 4 - tall
        parts.append(svg.element("rect", x=left + 0.5, y=top, width=width - 1, height=tall, class_="filled"))
    words = f"how often, up to {amount(most)}"
    return [*parts, svg.text(words, x.start, RELIABILITY_HEIGHT - 11 - TALLEST_PX, class_="tick title")]


@dataclass(frozen=True)
class Sizes(svg.Scale):
    """A logarithmic scale whose ticks are the batch sizes that were measured."""

    shown: tuple[int, ...] = ()

    def ticks(self, count: int = 5) -> list[float]:
        """The batch sizes; every second one where they are many."""
        return [float(size) for size in self.shown[:: 1 + len(self.shown) // 9]]


def speed_panel(
    title: str, lines: Mapping[int, Sequence[Measured | None]], limits: Mapping[int, float]
) -> Markup:
    """One model: a line with ranges for each hue, and the limit dashed; the axis of the speeds begins at 0.

    Args:
        lines: by the number of a hue, what was measured at every batch size; None where it could not be.
        limits: by batch size, images per second of the bare step.
    """
    measured = {hue: [row for row in rows if row] for hue, rows in sorted(lines.items())}
    every = [row for rows in measured.values() for row in rows]
    sizes = sorted({size for size, *_ in every} | set(limits)) or [1]
    x = Sizes(sizes[0] / AIR, sizes[-1] * AIR, 46, 272, log=True, shown=tuple(sizes))
    top = max([*(high for *_, high in every), *limits.values()], default=1.0)
    # From 0, so that half the height is half the speed.
    y = svg.Scale(0, top * 1.05, 168, 22)
    parts = [svg.axes(x, y, x_title="images in a batch →", y_title="↑ images per second", count=4)]
    parts.append(svg.line([(x(size), y(value)) for size, value in sorted(limits.items())], "chance"))
    for index, (hue, rows) in enumerate(measured.items()):
        parts += _speeds(rows, hue, x, y, (index - (len(measured) - 1) / 2) * APART_PX)
    table: list[tuple[str | float | None, ...]] = [
        (SHAPES[hue % len(SHAPES)], *row) for hue, rows in measured.items() for row in rows
    ]
    table += [("limit", size, value, None, None) for size, value in sorted(limits.items())]
    numbers = svg.Numbers(("line", "images in a batch", "images per second", "slowest", "fastest"), table)
    return svg.drawing(*parts, width=280, height=206, title=title, numbers=numbers)


def _speeds(rows: Sequence[Measured], hue: int, x: svg.Scale, y: svg.Scale, aside: float) -> list[Markup]:
    """A line through the medians, and at each a range and a mark."""
    points = [(x(size) + aside, y(median)) for size, median, *_ in rows]
    parts = [svg.line(points, f"series hue{hue}")]
    for (size, median, low, high), (left, top) in zip(rows, points, strict=True):
        parts.append(svg.upright(left, y(low), y(high), f"series thin hue{hue}"))
        words = f"batches of {size}: {median:.3g} images per second, {low:.3g} to {high:.3g}"
        shape = SHAPES[hue % len(SHAPES)]
        parts.append(svg.marker(left, top, shape=shape, class_=f"speed hue{hue}", size=3.4, title=words))
    return parts
