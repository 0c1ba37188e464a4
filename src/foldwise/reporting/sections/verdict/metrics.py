"""Configurations by metrics: a map coloured by rank, and bars on axes from zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foldwise.judging.verdict import Verdict
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import ExternalSection
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing.rows import bar_cell, bar_head
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import brief_duration, milliseconds, score, score_cell
from foldwise.text import in_text

MAX_SHOWN = 30  # configurations
MAX_OPEN = 12  # configurations, up to which the bars are shown at once
SHOWN = {  # by how many classes an image can have, in this order; all others stand in the table of every metric
    "binary": "accuracy precision precision_weighted sensitivity recall_weighted specificity f1 auroc average_precision",
    "multiclass": "accuracy precision_macro precision_weighted recall_macro recall_weighted f1_macro auroc_macro log_loss",
    "multilabel": "f1_macro f1_micro precision_macro recall_macro auroc_macro average_precision_macro label_accuracy exact_match",
    "segmentation": "dice_img_macro nsd_img_macro iou_img_macro dice_pooled_macro pixel_accuracy_img pixel_sensitivity_pooled_macro "
    "pixel_specificity_pooled_macro pixel_precision_pooled_macro pixel_auroc_img_macro",
}
BARS = {
    "binary": "accuracy precision recall_weighted auroc",
    "multiclass": "accuracy precision_macro recall_macro auroc_macro",
    "multilabel": "label_accuracy precision_macro recall_macro auroc_macro",
    "segmentation": "pixel_accuracy_img pixel_precision_pooled_macro pixel_sensitivity_pooled_macro pixel_auroc_img_macro",
}
COSTS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "train_s": ("training time", "s", brief_duration),
    "latency_ms": ("inference time", "ms/image", milliseconds),
}
Bar = tuple[float | None, str, float | None, float | None]  # a value, its words, the ends of its interval
Column = tuple[dict[str, Any], list[dict[str, Any]]]  # its head, and a cell for each configuration


def section(data: ReportData) -> dict[str, Any] | None:
    """The map and the bars; None for fewer than two configurations with scores, and for scores from elsewhere."""
    scored = [result for result in data.configurations if result.estimate is not None]
    if len(scored) < 2 or data.task is None:
        return None
    shown, family = scored[:MAX_SHOWN], FAMILIES[data.task]
    columns = _columns(data, shown, SHOWN[family].split())
    ranked = [_ranked(name, shown) for name, _ in columns]
    rows = []
    for index, result in enumerate(shown):
        cells = []
        # Without ranks, as where all scores are equal, no cell is coloured.
        for (name, _), ranks in zip(columns, ranked, strict=True):
            value = _value(result, name)
            cells.append({"shown": score(value), "value": value, "share": ranks[index] or 0.0})
        rows.append({"name": result.name, "cells": cells})
    heads = [_head(data, name, same) for name, same in columns]
    bars = _bars(data, shown, BARS[family].split())
    table = {"heads": heads, "rows": rows, "left_out": len(scored) - len(shown)}
    return {"metrics": table | {"bars": bars, "open": len(shown) <= MAX_OPEN}}


def _value(result: ConfigurationResult, name: str) -> float | None:
    return result.metrics[name].estimate if name in result.metrics else None


def _columns(
    data: ReportData, shown: Sequence[ConfigurationResult], wanted: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """The deciding metric and those wanted; metrics with the same numbers share a column, and are named in it."""
    columns: list[tuple[str, list[str]]] = []
    seen: dict[tuple[float | None, ...], list[str]] = {}
    for name in dict.fromkeys([data.verdict.metric.name, *wanted]):
        # Rounded as for ranks: equal scores of two fits differ in their last bits.
        values = tuple(
            None if value is None else round(value, 9) for value in (_value(result, name) for result in shown)
        )
        if all(value is None for value in values):
            continue
        # Of two, equal numbers are often chance.
        if values in seen and len(shown) > 2:
            seen[values].append(name)
            continue
        seen[values] = []
        columns.append((name, seen[values]))
    return columns


def _head(data: ReportData, name: str, same: Sequence[str]) -> dict[str, str]:
    facts = data.verdict.metrics.get(name) or METRICS[name]
    arrow = "↑" if facts.higher_is_better else "↓"
    equal = ", ".join(in_text(METRICS[other].title) for other in same)
    return {"title": f"{arrow}\u00a0{METRICS[name].title}", "note": facts.averaging, "same": equal}


def _ranked(name: str, shown: Sequence[ConfigurationResult]) -> list[float | None]:
    """1 for the best of a column, 0 for the last; equal scores have equal ranks."""
    sign = 1 if METRICS[name].higher_is_better else -1
    values = [_value(result, name) for result in shown]
    # Rounded, since equal scores of two fits differ in their last bits by the order in which sums were taken.
    levels = sorted({round(sign * value, 9) for value in values if value is not None})
    if len(levels) < 2:
        return [None] * len(values)
    return [
        None if value is None else levels.index(round(sign * value, 9)) / (len(levels) - 1)
        for value in values
    ]


def _bars(data: ReportData, shown: Sequence[ConfigurationResult], wanted: Sequence[str]) -> dict[str, Any]:
    """One column of bars for each metric and cost, on an axis from zero."""
    columns = [
        _metric_column(data, shown, name)
        for name in wanted
        if any(_value(result, name) is not None for result in shown)
    ]
    for key, (title, unit, words) in COSTS.items():
        paid = [getattr(result.cost, key) for result in shown]
        if any(paid):
            bars = [(cost, words(cost), None, None) for cost in paid]
            columns.append(_column(title, unit, max(cost or 0.0 for cost in paid), bars))
    rows = [
        {"name": result.name, "cells": [cells[index] for _, cells in columns]}
        for index, result in enumerate(shown)
    ]
    return {"heads": [head for head, _ in columns], "rows": rows}


def _metric_column(data: ReportData, shown: Sequence[ConfigurationResult], name: str) -> Column:
    metrics = [result.metrics.get(name) for result in shown]
    bars = [
        (metric.estimate, score(metric.estimate, 2), metric.low, metric.high)
        if metric
        else (None, score(None), None, None)
        for metric in metrics
    ]
    facts = data.verdict.metrics.get(name)
    title, averaging = (facts.title, facts.averaging) if facts else (METRICS[name].title, "")
    return _column(title, averaging, 1.0, bars)


def _column(title: str, note: str, top: float, bars: Sequence[Bar]) -> Column:
    scale = Scale(0.0, top, 4.0, 104.0)
    cells = []
    for value, words, low, high in bars:
        drawn = bar_cell(value, scale, words=words, low=low, high=high)
        cells.append({"drawing": drawn, "value": value, "low": low, "high": high})
    return {"title": title, "note": note, "axis": bar_head(scale)}, cells


def external_section(data: ReportData) -> dict[str, Any] | None:
    """The winner's scores on the external set beside those on the test images; None where there is none."""
    external = data.verdict.external
    if external is None:
        return None
    return {"external": of_external(external, data.verdict)}


def of_external(external: ExternalSection, verdict: Verdict) -> dict[str, Any]:
    """Scores on an external set beside those on the test images, for a template."""
    own = verdict.configuration(external.configuration).metrics
    rows = [
        {"title": verdict.metrics[name].title, "external": score_cell(scored), "own": score_cell(own[name])}
        for name, scored in external.metrics.items()
    ]
    single = ", ".join(score(value) for value in external.by_model)
    title = verdict.metric.title
    models = f"{title} of each model alone: {single}." if external.num_models > 1 else ""
    return {"sentence": external.sentence, "path": external.path, "rows": rows, "models": models}
