"""What training looked like epoch by epoch: which epoch was best by what, and accuracy, IoU and confidence in lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median, median_low
from typing import Any

from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.series import HUES, Series, panel, span_of
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import cell, number, score, selecting_title
from foldwise.study.automatic import stated_loss

Record = Mapping[str, Any]
Read = Callable[[Record], float | None]


def section(data: ReportData) -> dict[str, Any] | None:
    """Best epochs of every configuration, and small multiples; None where no epoch says its accuracy."""
    fits = fits_of(data)
    rows = [
        {"name": one.name, "standing": standing(one), "cells": _best(fits[one.id])}
        for one in data.configurations
        if one.id in fits
    ]
    if not rows:
        return None
    select = next(str(fit["select"]) for fits_ in fits.values() for fit in fits_)
    drawn = _multiples(data, fits)
    return {"epochs": {"rows": rows, "select": selecting_title(select), **drawn}}


def fits_of(data: ReportData) -> dict[str, list[Record]]:
    """By configuration, best first, its fits that recorded accuracy by epoch."""
    found: dict[str, list[Record]] = {}
    for one in data.configurations:
        own = [
            result
            for result in data.results
            if result.get("configuration") == one.id and result.get("epochs")
        ]
        if own and all("accuracy" in result["epochs"][0] for result in own):
            found[one.id] = own
    return found


def _best(fits: Sequence[Record]) -> list[dict[str, Any]]:
    """Lowest loss, highest accuracy, best score, and the chosen epoch: medians over fits, with the range of epochs."""
    known = METRICS.get(str(fits[0].get("select")))
    falls = known is not None and not known.higher_is_better
    kinds = (("val_loss", True), ("accuracy", False), ("val_score", falls))
    cells = [
        _cell([_extreme(fit, key, lowest=lowest) for fit in fits], loss=key == "val_loss")
        for key, lowest in kinds
    ]
    chosen = [int(fit["best_epoch"]) for fit in fits if number(fit.get("best_epoch"))]
    told = median_low(chosen) if chosen else None
    return [*cells, cell(score(told, 0), told, _range(chosen))]


def _extreme(fit: Record, key: str, *, lowest: bool) -> tuple[float, int] | None:
    """The best value and its epoch, the earliest of equals."""
    told = [(number(record.get(key)), int(record["epoch"])) for record in fit["epochs"]]
    known = [(value, epoch) for value, epoch in told if value is not None]
    return min(known, key=lambda one: (one[0] if lowest else -one[0], one[1]), default=None)


def _cell(found: Sequence[tuple[float, int] | None], *, loss: bool) -> dict[str, Any]:
    """A loss has three digits that count: some are a hundred times smaller than others."""
    known = [one for one in found if one is not None]
    if not known:
        return cell(score(None))
    value, epochs = median(value for value, _ in known), [epoch for _, epoch in known]
    note = f"epoch {median_low(epochs)}" + (f" ({_range(epochs)})" if len(set(epochs)) > 1 else "")
    return cell(f"{value:.3g}" if loss and 1e-4 < value < 0.1 else score(value), value, note)


def _range(epochs: Sequence[int]) -> str:
    return f"{min(epochs)} to {max(epochs)}" if len(set(epochs)) > 1 else ""


def _multiples(data: ReportData, fits: Mapping[str, list[Record]]) -> dict[str, Any]:
    groups, kept = _lines(data, fits)
    reads: list[tuple[str, Read]] = [("accuracy", lambda record: number(record.get("accuracy")))]
    if data.segmentation:
        reads.append(("IoU of the foreground", lambda record: number(record.get("iou"))))
        reads.append(("confidence, foreground", lambda record: _confidence(record, 1)))
        reads.append(("confidence, background", lambda record: _confidence(record, 0, 1)))
    else:
        reads.append(("confidence in the truth", lambda record: _confidence(record, 0)))
    panels = [
        {"name": name, "drawing": _drawn(name, groups, read)}
        for name, read in reads
        if any(read(record) is not None for own in groups.values() for fit in own for record in fit["epochs"])
    ]
    return {"panels": panels, "key_of": list(enumerate(groups)), "kept": kept}


def _lines(data: ReportData, fits: Mapping[str, list[Record]]) -> tuple[dict[str, list[Record]], str]:
    """The fits behind every line: of a configuration; of a loss where those are many; else of the best few.

    Returns:
        By name, and in words what was left out or put together.
    """
    names = data.names
    if len(fits) <= HUES:
        return {names[one]: own for one, own in fits.items()}, ""
    by_loss: dict[str, list[Record]] = {}
    for one, own in fits.items():
        by_loss.setdefault(loss_name(data, one), []).extend(own)
    if 1 < len(by_loss) <= HUES:
        return by_loss, "A line is the mean of all configurations with that loss."
    return {names[one]: fits[one] for one in list(fits)[:HUES]}, f"Drawn: the best {HUES} configurations."


def loss_name(data: ReportData, configuration: str) -> str:
    """The loss that a configuration was trained with, as it is called."""
    training = data.trainings.get(configuration)
    return "" if training is None else str(stated_loss(training.loss, data.task))


def _confidence(record: Record, *classes: int) -> float | None:
    """Mean over the classes first to before last (to the end without one), of those that have pixels."""
    told = (record.get("confidence") or [])[slice(classes[0], classes[1] if len(classes) > 1 else None)]
    known = [value for value in map(number, told) if value is not None]
    return mean(known) if known else None


def _drawn(name: str, groups: Mapping[str, list[Record]], read: Read) -> Any:
    lines = [
        Series(_mean_line(own, read), hue, str(called), configuration=whose(own))
        for hue, (called, own) in enumerate(groups.items())
    ]
    values = [value for one in lines for _, value in one.points]
    last = max((epoch for one in lines for epoch, _ in one.points), default=1)
    return panel(
        f"{name} by epoch",
        lines,
        x=Scale(1, max(last, 2), whole=True),
        y=span_of(values, at_most=1.0),
        x_title="epoch →",
        y_title=f"↑ {name}",
    )


def whose(fits: Sequence[Record]) -> str | None:
    """The configuration of all these fits; None where they are of several."""
    ids = {str(fit["configuration"]) for fit in fits}
    return ids.pop() if len(ids) == 1 else None


def _mean_line(fits: Sequence[Record], read: Read) -> list[tuple[float, float]]:
    """Mean over fits by epoch, up to where the first of them stopped: beyond, it would be a mean of others."""
    points = []
    for records in zip(*(fit["epochs"] for fit in fits), strict=False):
        known = [value for value in map(read, records) if value is not None]
        if known:
            points.append((float(records[0]["epoch"]), mean(known)))
    return points
