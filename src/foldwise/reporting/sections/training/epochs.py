"""What training looked like: learning curves and failures of fits, and epoch by epoch which was best by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, median, median_low
from typing import Any

from markupsafe import Markup

from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing import series
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import Cell, cell, clipped, number, score, selecting_title
from foldwise.study.training import stated_loss

Epoch = Mapping[str, Any]
Fit = Mapping[str, Any]
Read = Callable[[Epoch], float | None]
MAX_LEARNING = 30  # configurations with learning curves drawn
MESSAGE_LENGTH = 160


def section(data: ReportData) -> dict[str, Any] | None:
    """Best epochs of every configuration, and small multiples; None where no epoch has its accuracy."""
    fits = fits_of(data)
    rows = [
        {"name": result.name, "standing": standing(result), "cells": _best(fits[result.id])}
        for result in data.configurations
        if result.id in fits
    ]
    if not rows:
        return None
    select = next(str(fit["select"]) for fits_of_one in fits.values() for fit in fits_of_one)
    return {"epochs": {"rows": rows, "select": selecting_title(select), **_multiples(data, fits)}}


def fits_of(data: ReportData) -> dict[str, list[Fit]]:
    """By configuration, best first, its fits that recorded accuracy by epoch."""
    recorded = {}
    for result in data.configurations:
        fits = trained_fits(data, result.id)
        if fits and all("accuracy" in fit["epochs"][0] for fit in fits):
            recorded[result.id] = fits
    return recorded


def trained_fits(data: ReportData, configuration: str) -> list[Fit]:
    """Those with a record of their epochs."""
    return [fit for fit in data.results_of.get(configuration, ()) if fit.get("epochs")]


def _best(fits: Sequence[Fit]) -> list[Cell]:
    """Lowest loss, highest accuracy, best score, and the chosen epoch: medians over fits, with the range of epochs."""
    metric = METRICS.get(str(fits[0].get("select")))
    falls = metric is not None and not metric.higher_is_better
    kinds = (("val_loss", True), ("accuracy", False), ("val_score", falls))
    cells = [
        _cell([_extreme(fit, key, lowest=lowest) for fit in fits], loss=key == "val_loss")
        for key, lowest in kinds
    ]
    chosen = [int(fit["best_epoch"]) for fit in fits if number(fit.get("best_epoch"))]
    middle = median_low(chosen) if chosen else None
    return [*cells, cell(score(middle, 0), middle, _range(chosen))]


def _extreme(fit: Fit, key: str, *, lowest: bool) -> tuple[float, int] | None:
    """The best value and its epoch, the earliest of equals."""
    sign = 1 if lowest else -1
    values = [(number(epoch.get(key)), int(epoch["epoch"])) for epoch in fit["epochs"]]
    ranked = [(sign * value, epoch) for value, epoch in values if value is not None]
    best = min(ranked, default=None)
    return None if best is None else (sign * best[0], best[1])


def _cell(extremes: Sequence[tuple[float, int] | None], *, loss: bool) -> Cell:
    """A loss has three digits that count: some are a hundred times smaller than others."""
    best = [extreme for extreme in extremes if extreme is not None]
    if not best:
        return cell(score(None))
    value, epochs = median(value for value, _ in best), [epoch for _, epoch in best]
    note = f"epoch {median_low(epochs)}" + (f" ({_range(epochs)})" if len(set(epochs)) > 1 else "")
    return cell(f"{value:.3g}" if loss and 1e-4 < value < 0.1 else score(value), value, note)


def _range(epochs: Sequence[int]) -> str:
    return f"{min(epochs)} to {max(epochs)}" if len(set(epochs)) > 1 else ""


def _multiples(data: ReportData, fits: Mapping[str, list[Fit]]) -> dict[str, Any]:
    groups, note = _lines(data, fits)
    reads: dict[str, Read] = {"accuracy": lambda epoch: number(epoch.get("accuracy"))}
    if data.segmentation:
        reads["IoU of the foreground"] = lambda epoch: number(epoch.get("iou"))
        # Apart, as background is most of the pixels: the mean of both would be its confidence.
        reads["confidence, foreground"] = lambda epoch: _confidence(epoch, slice(1, None))
        reads["confidence, background"] = lambda epoch: _confidence(epoch, slice(0, 1))
    else:
        reads["confidence in the truth"] = lambda epoch: _confidence(epoch, slice(None))
    epochs = [epoch for fits_of_line in groups.values() for fit in fits_of_line for epoch in fit["epochs"]]
    panels = [
        {"name": name, "drawing": _drawn(name, groups, read)}
        for name, read in reads.items()
        if any(read(epoch) is not None for epoch in epochs)
    ]
    return {"panels": panels, "key_of": list(enumerate(groups)), "note": note}


def _lines(data: ReportData, fits: Mapping[str, list[Fit]]) -> tuple[dict[str, list[Fit]], str]:
    """The fits behind every line: of a configuration; of a loss where those are many; else of the best few.

    Returns:
        By name, and in words what was left out or put together.
    """
    if len(fits) <= series.HUES:
        return {data.names[configuration]: own for configuration, own in fits.items()}, ""
    by_loss: dict[str, list[Fit]] = {}
    for configuration, own in fits.items():
        by_loss.setdefault(loss_name(data, configuration), []).extend(own)
    if 1 < len(by_loss) <= series.HUES:
        return by_loss, "A line is the mean of all configurations with that loss."
    best = list(fits)[: series.HUES]
    return {data.names[name]: fits[name] for name in best}, f"Drawn: the best {series.HUES} configurations."


def loss_name(data: ReportData, configuration: str) -> str:
    """The loss that a configuration was trained with, as it is called."""
    training = data.trainings.get(configuration)
    return "" if training is None or data.task is None else str(stated_loss(training.loss, data.task))


def _confidence(epoch: Epoch, classes: slice) -> float | None:
    """Mean over those of the classes that have pixels."""
    values = [number(value) for value in (epoch.get("confidence") or [])[classes]]
    counted = [value for value in values if value is not None]
    return mean(counted) if counted else None


def _drawn(name: str, groups: Mapping[str, list[Fit]], read: Read) -> Markup:
    lines = [
        series.Series(_mean_line(fits, read), hue, str(group), configuration=only_configuration(fits))
        for hue, (group, fits) in enumerate(groups.items())
    ]
    last = max((int(epoch) for line in lines for epoch, _ in line.points), default=1)
    y = series.span_of([value for line in lines for _, value in line.points], at_most=1.0)
    return series.epoch_panel(f"{name} by epoch", lines, y=y, y_title=f"↑ {name}", last=last)


def only_configuration(fits: Sequence[Fit]) -> str | None:
    """The configuration of all these fits; None where they are of several."""
    ids = {str(fit["configuration"]) for fit in fits}
    return ids.pop() if len(ids) == 1 else None


def _mean_line(fits: Sequence[Fit], read: Read) -> list[tuple[float, float]]:
    """Mean over fits by epoch, up to where the first of them stopped: beyond, it would be a mean of others."""
    points = []
    for epochs in zip(*(fit["epochs"] for fit in fits), strict=False):
        values = [value for value in map(read, epochs) if value is not None]
        if values:
            points.append((float(epochs[0]["epoch"]), mean(values)))
    return points


def learning_section(data: ReportData) -> dict[str, Any] | None:
    """One small drawing per configuration with all its folds, best first."""
    trained = [result for result in data.results if result.get("epochs")]
    scores = series.learning_scale(trained)
    select = next((selecting_title(str(fit["select"])) for fit in trained if fit.get("select")), "")
    panels = []
    for result in data.configurations[:MAX_LEARNING]:
        fits = [fit for fit in trained if fit.get("configuration") == result.id]
        if fits:
            title = f"Learning curves of {result.name}"
            panels.append(
                {
                    "name": result.name,
                    "standing": standing(result),
                    "drawing": series.learning_panel(title, fits, scores=scores, select=select),
                    "note": _chosen_epochs(fits),
                }
            )
    left_out = max(0, len(data.configurations) - MAX_LEARNING)
    learning = {"panels": panels, "select": select, "left_out": left_out}
    return {"learning": learning, "fit_warnings": _warnings(data)} if panels else None


def _chosen_epochs(fits: Sequence[Mapping[str, Any]]) -> str:
    chosen = sorted(int(fit["best_epoch"]) for fit in fits if number(fit.get("best_epoch")) is not None)
    if not chosen:
        return ""
    last = max(len(fit["epochs"]) for fit in fits)
    at_end = sum(epoch >= last for epoch in chosen)
    span = f"epoch {chosen[0]}" if chosen[0] == chosen[-1] else f"epochs {chosen[0]} to {chosen[-1]}"
    late = ""
    # Where most fits chose their last epoch, training may have ended before it was done.
    if at_end * 2 > len(chosen) and last > 1:
        late = f"; {at_end} of {len(chosen)} at the last: more epochs may help"
    return f"chosen: {span} of {last}{late}"


def _warnings(data: ReportData) -> list[tuple[str, int]]:
    """What fits warned about, each with how many did."""
    return Counter(str(words) for fit in data.results for words in fit.get("warnings", [])).most_common()


def failures_section(data: ReportData) -> dict[str, Any] | None:
    """Fits, and other items, that ended with an error."""
    errors = {fit.get("item"): fit.get("error") or {} for fit in data.results}
    fits = [
        failure.model_dump()
        | {
            "name": result.name,
            "short": clipped(failure.message, MESSAGE_LENGTH),
            "traceback": errors.get(failure.item, {}).get("traceback", ""),
        }
        for result in data.configurations
        for failure in result.failures
    ]
    others = data.verdict.failed_items
    return {"failures": fits, "failed_items": others} if fits or others else None
