"""Lines by epoch, and curves of formulas, told apart by colour; and the learning curves of every fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from foldwise.reporting.drawing import svg
from foldwise.reporting.wording import number

LEFT, RIGHT, TOP, BOTTOM = 40, 242, 22, 140
HUES = 9  # kinds of line that can be told apart, by colour and dashes
MAX_POINTS = 60  # of a line: a panel is some 200 pixels wide
FAR_ABOVE = 5.0  # times the usual losses, before the axis ends below the highest
LOSS_TITLES = {"train_loss": "training loss", "val_loss": "validation loss"}
Epoch = Mapping[str, Any]


@dataclass(frozen=True)
class Series:
    """One line: its points, the number of its colour, what a pointer held over it says, and whose it is."""

    points: svg.Points
    hue: int
    name: str = ""
    thin: bool = False
    configuration: str | None = None


def panel(
    title: str, lines: Sequence[Series], *, x: svg.Scale, y: svg.Scale, x_title: str, y_title: str
) -> Markup:
    """The lines within the values of both scales; what lies beyond is drawn at the edge."""
    x, y = x.between(LEFT, RIGHT), y.between(BOTTOM, TOP)
    parts = [svg.axes(x, y, x_title=x_title, y_title=y_title, count=4)]
    parts += [_series(series, x, y) for series in lines]
    shown = [(series.name, a, b) for series in lines for a, b in _few_points(series.points)]
    numbers = svg.Numbers(("line", x_title.strip("→ "), y_title.strip("↑ ")), shown)
    return svg.drawing(*parts, width=250, height=176, title=title, numbers=numbers)


def epoch_panel(
    title: str, lines: Sequence[Series], *, y: svg.Scale, y_title: str, last: int, first: int = 1
) -> Markup:
    """`panel` from the first to the last epoch; two epochs at least, since an axis needs a length even after one."""
    x = svg.Scale(first, max(last, first + 1), whole=True)
    return panel(title, lines, x=x, y=y, x_title="epoch →", y_title=y_title)


def _series(series: Series, x: svg.Scale, y: svg.Scale) -> Markup:
    """A line, or a dot where there is a single point."""
    points = [(x(a), y.clamped(b)) for a, b in _few_points(series.points) if math.isfinite(b) and x.inside(a)]
    kind = f"series hue{series.hue % HUES}{' thin' if series.thin else ''}"
    if len(points) > 1:
        drawn = svg.line(points, kind)
    else:
        drawn = Markup("").join(svg.element("circle", cx=a, cy=b, r=2, class_=kind) for a, b in points)
    if not series.name:
        return drawn
    return svg.element("g", svg.element("title", series.name), drawn, data_configuration=series.configuration)


def _few_points(points: svg.Points) -> svg.Points:
    """At most about `MAX_POINTS` of them, the last one always."""
    step = max(1, len(points) // MAX_POINTS)
    return [point for index, point in enumerate(points) if index % step == 0 or index == len(points) - 1]


def span_of(values: Sequence[float], *, log_beyond: float = math.inf, at_most: float = math.inf) -> svg.Scale:
    """A scale over the values with some air; logarithmic where the ratio of highest to lowest is larger.

    Args:
        values: those that are not finite are left out; without any, 0 to 1.
        log_beyond: the ratio beyond which the axis is logarithmic, if all values are positive.
        at_most: the axis does not go beyond it, nor below 0 where no value does.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return svg.Scale(0.0, 1.0)
    low, high = min(finite), max(finite)
    if low > 0 and high > log_beyond * low:
        return svg.scale_over(finite, margin=0.04, log=True)
    scale = svg.scale_over(finite)
    floor = 0.0 if low >= 0 else scale.low
    return replace(scale, low=max(scale.low, floor), high=min(scale.high, max(at_most, high)))


def learning_panel(
    title: str, results: Sequence[Mapping[str, Any]], *, scores: svg.Scale | None, select: str = ""
) -> Markup:
    """Above, training and inner-validation loss of every fold; below, the validation score, on one scale for all.

    Args:
        results: result.json of its fits; each gives one thin line of either kind, and a mark at the chosen epoch.
        scores: of the lower drawing; None leaves it out.
    """
    fits = [_with_losses(result) for result in results]
    last = max((len(epochs) for epochs in fits), default=1)
    # Two epochs at least: an axis needs a length even after one.
    x, (y, highest) = svg.Scale(1, max(last, 2), 40, 250, whole=True), _loss_scale(fits)
    parts = [svg.axes(x, y, y_title="loss", x_title="" if scores else "epoch →", count=3)]
    if highest is not None:
        parts.append(svg.text(f"▴ cut off: up to {_peak(highest)}", x.end, y.end - 7, anchor="end"))
    for epochs, result in zip(fits, results, strict=True):
        parts += _run(epochs, "train_loss", x, y, "learn train", None)
        parts += _run(epochs, "val_loss", x, y, "learn validation", result.get("best_epoch"))
    keys = ("train_loss", "val_loss") if scores is None else ("train_loss", "val_loss", "val_score")
    numbers = _numbers(results, keys, select)
    if scores is None:
        return svg.drawing(*parts, width=258, height=136, title=title, numbers=numbers)
    parts.append(svg.axes(x, scores, y_title=f"validation {select or 'score'}", x_title="epoch →", count=3))
    for epochs, result in zip(fits, results, strict=True):
        parts += _run(epochs, "val_score", x, scores, "learn validation", result.get("best_epoch"))
    return svg.drawing(*parts, width=258, height=246, title=title, numbers=numbers)


def _with_losses(result: Mapping[str, Any]) -> list[Epoch]:
    return [epoch for epoch in result.get("epochs", []) if number(epoch.get("train_loss")) is not None]


def _numbers(results: Sequence[Mapping[str, Any]], keys: Sequence[str], select: str) -> svg.Numbers:
    """Repeat, fold and epoch, and what is drawn of it."""
    columns = [LOSS_TITLES.get(key, f"validation {select or 'score'}") for key in keys]
    rows = [
        [int(result.get("repeat") or 0) + 1, int(result.get("fold") or 0) + 1, int(epoch["epoch"])]
        + [number(epoch.get(key)) for key in keys]
        for result in results
        for epoch in _few_epochs(result.get("epochs", []), result.get("best_epoch"))
    ]
    return svg.Numbers(("repeat", "fold", "epoch", *columns), rows)


def _peak(loss: float) -> str:
    """Two digits that count, and none after the point from 10 on."""
    return f"{loss:,.0f}" if loss >= 10 else f"{loss:.2g}"


def _loss_scale(fits: Sequence[Sequence[Epoch]]) -> tuple[svg.Scale, float | None]:
    """The scale of the losses, and the highest where the scale ends below it.

    It does where the first third of the epochs lies far above all later ones: those would be one flat line.
    """
    losses = [
        (3 * index >= len(epochs), value)
        for epochs in fits
        for index, epoch in enumerate(epochs)
        for key in LOSS_TITLES
        if (value := number(epoch.get(key))) is not None
    ]
    later, values = [value for settled, value in losses if settled], [value for _, value in losses]
    # Not the highest of the later ones: a single spike would set the scale.
    usual = float(np.percentile(later, 95)) if later else 0.0
    if usual <= 0 or max(values) <= FAR_ABOVE * usual:
        return svg.scale_over(values, 104, 20), None
    return svg.scale_over([min(value, 1.2 * usual) for value in values], 104, 20, margin=0.02), max(values)


def learning_scale(results: Sequence[Mapping[str, Any]]) -> svg.Scale | None:
    """The scale of the validation scores of every fit; None when none was written."""
    values = [number(epoch.get("val_score")) for result in results for epoch in result.get("epochs", [])]
    scores = [value for value in values if value is not None]
    return svg.scale_over(scores, 212, 150) if scores else None


def _few_epochs(epochs: Sequence[Epoch], chosen: Any) -> list[Epoch]:
    """About `MAX_POINTS` of the epochs, and the chosen one."""
    step = max(1, len(epochs) // MAX_POINTS)
    return [epoch for index, epoch in enumerate(epochs) if index % step == 0 or epoch["epoch"] == chosen]


def _run(
    epochs: Sequence[Epoch], key: str, x: svg.Scale, y: svg.Scale, class_: str, chosen: Any
) -> list[Markup]:
    """One line of one fit, and its mark at the chosen epoch."""
    points = [
        (int(epoch["epoch"]), value)
        for epoch in _few_epochs(epochs, chosen)
        if (value := number(epoch.get(key))) is not None
    ]
    marks = [
        svg.element("circle", cx=x(epoch), cy=y.clamped(value), r=2.6, class_="chosen")
        for epoch, value in points
        if epoch == chosen
    ]
    return [svg.line([(x(epoch), y.clamped(value)) for epoch, value in points], class_), *marks]
