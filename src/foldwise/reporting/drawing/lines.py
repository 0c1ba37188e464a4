"""Drawings of curves: ROC, precision-recall, and learning curves of every fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from foldwise.judging.curves import Line, RankingCurve
from foldwise.reporting.drawing.svg import Numbers, Scale, axes, drawing, element, line, scale_over, text
from foldwise.reporting.wording import number

LEARNING_POINTS = 60
FAR_ABOVE = 5.0  # times the usual losses, before the axis ends below the highest


def curve_panel(
    title: str, lines: Sequence[tuple[str, RankingCurve]], *, kind: str, chance: float | None = None
) -> Markup:
    """ROC (kind "roc") or precision-recall (kind "pr") of one class: the first line is the winner, with its folds."""
    x, y = Scale(0, 1, 34, 214), Scale(0, 1, 196, 16)
    named = {"roc": ("1 − specificity →", "↑ sensitivity"), "pr": ("recall →", "↑ precision")}[kind]
    parts = [axes(x, y, x_title=named[0], y_title=named[1], count=4)]
    if kind == "roc":
        parts.append(line([(x(0), y(0)), (x(1), y(1))], "chance"))
    elif chance is not None:
        parts.append(line([(x(0), y(chance)), (x(1), y(chance))], "chance"))
    for configuration, curve in reversed(lines[1:]):
        if curve.mean:
            parts.append(_curve(curve.mean, x, y, "curve other", configuration))
    for configuration, curve in lines[:1]:
        parts += [_curve(fold, x, y, "curve fold") for fold in curve.folds]
        if curve.mean:
            parts.append(_curve(curve.mean, x, y, "curve winner", configuration))
    numbers = Numbers(("configuration", "fold", *(words.strip("→↑ ") for words in named)), _points(lines))
    return drawing(*parts, width=224, height=228, title=title, numbers=numbers)


def _curve(
    points: Sequence[Sequence[float]], x: Scale, y: Scale, class_: str, configuration: str | None = None
) -> Markup:
    drawn = line([(x(a), y(b)) for a, b in zip(points[0], points[1], strict=True)], class_)
    return element("g", drawn, data_configuration=configuration) if configuration else drawn


def _points(lines: Sequence[tuple[str, RankingCurve]]) -> list[tuple[str | float | None, ...]]:
    """Configuration, fold (or "mean"), and both coordinates of every point that is drawn."""
    drawn: list[tuple[str, str | float, Line]] = []
    for place, (configuration, curve) in enumerate(lines):
        drawn += [(configuration, fold, points) for fold, points in enumerate(curve.folds, 1) if not place]
        drawn += [(configuration, "mean", curve.mean)] if curve.mean else []
    return [
        (configuration, fold, a, b)
        for configuration, fold, points in drawn
        for a, b in zip(*points, strict=True)
    ]


def learning_panel(
    title: str, results: Sequence[Mapping[str, Any]], *, scores: Scale | None, select: str = ""
) -> Markup:
    """Above, training and inner-validation loss of every fold; below, the validation score, on one scale for all.

    Args:
        title: name of the configuration.
        results: result.json of its fits; each gives one thin line of either kind, and a mark at the chosen epoch.
        scores: of the lower drawing; None leaves it out.
        select: the name of the validation score.
    """
    told = [
        [row for row in result.get("epochs", []) if number(row.get("train_loss")) is not None]
        for result in results
    ]
    last = max((len(rows) for rows in told), default=1)
    x, (y, highest) = Scale(1, max(last, 2), 40, 250, whole=True), _loss_scale(told)
    parts = [axes(x, y, y_title="loss", x_title="" if scores else "epoch →", count=3)]
    if highest is not None:
        parts.append(text(f"▴ cut off: up to {_peak(highest)}", x.end, y.end - 7, anchor="end"))
    for rows, result in zip(told, results, strict=True):
        parts += _run(rows, "train_loss", x, y, "learn train", None)
        parts += _run(rows, "val_loss", x, y, "learn validation", result.get("best_epoch"))
    keys = ("train_loss", "val_loss") if scores is None else ("train_loss", "val_loss", "val_score")
    numbers = _numbers(results, keys, select)
    if scores is None:
        return drawing(*parts, width=258, height=136, title=title, numbers=numbers)
    parts.append(axes(x, scores, y_title=f"validation {select or 'score'}", x_title="epoch →", count=3))
    for rows, result in zip(told, results, strict=True):
        parts += _run(rows, "val_score", x, scores, "learn validation", result.get("best_epoch"))
    return drawing(*parts, width=258, height=246, title=title, numbers=numbers)


def _numbers(results: Sequence[Mapping[str, Any]], keys: Sequence[str], select: str) -> Numbers:
    """Repeat, fold and epoch, and what is drawn of it."""
    titles = {"train_loss": "training loss", "val_loss": "validation loss"}
    columns = [titles.get(key, f"validation {select or 'score'}") for key in keys]
    rows = [
        [int(result.get("repeat") or 0) + 1, int(result.get("fold") or 0) + 1, int(row["epoch"])]
        + [number(row.get(key)) for key in keys]
        for result in results
        for row in _thinned(result.get("epochs", []), result.get("best_epoch"))
    ]
    return Numbers(("repeat", "fold", "epoch", *columns), rows)


def _peak(loss: float) -> str:
    """Two digits that count, and none after the point from 10 on."""
    return f"{loss:,.0f}" if loss >= 10 else f"{loss:.2g}"


def _loss_scale(told: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[Scale, float | None]:
    """The scale of the losses, and the highest where the scale ends below it.

    It does where the first third of the epochs lies far above all later ones: those would be one flat line.
    """
    kept = [
        (3 * place >= len(rows), value)
        for rows in told
        for place, row in enumerate(rows)
        for key in ("train_loss", "val_loss")
        if (value := number(row.get(key))) is not None
    ]
    later = [value for settled, value in kept if settled]
    losses = [value for _, value in kept]
    usual = float(np.percentile(later, 95)) if later else 0.0
    if usual <= 0 or max(losses) <= FAR_ABOVE * usual:
        return scale_over(losses, 104, 20), None
    return scale_over([min(value, 1.2 * usual) for value in losses], 104, 20, margin=0.02), max(losses)


def learning_scale(results: Sequence[Mapping[str, Any]]) -> Scale | None:
    """The scale of the validation scores of every fit; None when none was written."""
    values = [number(row.get("val_score")) for result in results for row in result.get("epochs", [])]
    known = [value for value in values if value is not None]
    return scale_over(known, 212, 150) if known else None


def _thinned(rows: Sequence[Mapping[str, Any]], chosen: Any) -> list[Mapping[str, Any]]:
    """About `LEARNING_POINTS` of the epochs, and the chosen one."""
    step = max(1, len(rows) // LEARNING_POINTS)
    return [row for place, row in enumerate(rows) if place % step == 0 or row["epoch"] == chosen]


def _run(
    rows: Sequence[Mapping[str, Any]], key: str, x: Scale, y: Scale, class_: str, chosen: Any
) -> list[Markup]:
    kept = [
        (int(row["epoch"]), value)
        for row in _thinned(rows, chosen)
        if (value := number(row.get(key))) is not None
    ]
    parts = [line([(x(epoch), y.clamped(value)) for epoch, value in kept], class_)]
    marks = [(epoch, value) for epoch, value in kept if epoch == chosen]
    return parts + [
        element("circle", cx=x(epoch), cy=y.clamped(value), r=2.6, class_="chosen") for epoch, value in marks
    ]
