"""Configurations by metrics: a map coloured by rank, and bars on axes from zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from foldwise.metrics.table import METRICS
from foldwise.reporting.drawing.bars import bar_cell, bar_head
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import brief_duration, in_text, metric_title, milliseconds, number, score

MOST = 30  # configurations
SHORT = 12  # configurations, up to which the bars are shown at once
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
Record = Mapping[str, Any]
Bar = tuple[
    float | None, tuple[float | None, float | None], str
]  # the value, the ends of its interval, its words


def section(data: ReportData) -> dict[str, Any] | None:
    """The map and the bars; None for fewer than two configurations with scores."""
    told = [one for one in data.configurations if number(one.get("estimate")) is not None]
    if len(told) < 2:
        return None
    shown, family = told[:MOST], _family(data)
    columns = _columns(data, shown, SHOWN[family].split())
    ranked = [_ranked(name, shown) for name, _ in columns]
    rows = [
        {
            "name": one["name"],
            "cells": [
                _cell(one, name, ranks[place]) for (name, _), ranks in zip(columns, ranked, strict=True)
            ],
        }
        for place, one in enumerate(shown)
    ]
    heads = [_head(data, name, same) for name, same in columns]
    bars = _bars(data, shown, BARS[family].split())
    held = {"heads": heads, "rows": rows, "left_out": len(told) - len(shown)}
    return {"metrics": held | {"bars": bars, "open": len(shown) <= SHORT}}


def _family(data: ReportData) -> str:
    if data.segmentation:
        return "segmentation"
    if data.multilabel:
        return "multilabel"
    return "binary" if len(data.classes) == 2 else "multiclass"


def _value(one: Record, name: str) -> float | None:
    return number(((one.get("metrics") or {}).get(name) or {}).get("estimate"))


def _columns(data: ReportData, shown: Sequence[Record], wanted: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The deciding metric and those wanted; metrics with the same numbers share a column, and are named in it."""
    columns: list[tuple[str, list[str]]] = []
    seen: dict[tuple[float | None, ...], list[str]] = {}
    for name in dict.fromkeys([str(data.verdict["metric"]["name"]), *wanted]):
        values = tuple(
            None if value is None else round(value, 9) for value in (_value(one, name) for one in shown)
        )
        if all(value is None for value in values):
            continue
        if values in seen and len(shown) > 2:  # of two, equal numbers are often chance
            seen[values].append(name)
            continue
        seen[values] = []
        columns.append((name, seen[values]))
    return columns


def _head(data: ReportData, name: str, same: Sequence[str]) -> dict[str, str]:
    about = (data.verdict.get("metrics") or {}).get(name) or {}
    arrow = "↑" if about.get("higher_is_better", METRICS[name].higher_is_better) else "↓"
    note = str(about.get("averaging", METRICS[name].averaging))
    equal = ", ".join(in_text(METRICS[other].title) for other in same)
    return {"title": f"{arrow}\u00a0{METRICS[name].title}", "note": note, "same": equal}


def _ranked(name: str, shown: Sequence[Record]) -> list[float | None]:
    """1 for the best of a column, 0 for the last; equal scores have equal ranks."""
    sign = 1 if METRICS[name].higher_is_better else -1
    values = [_value(one, name) for one in shown]
    known = sorted({round(sign * value, 9) for value in values if value is not None})
    if len(known) < 2:
        return [None] * len(values)
    return [
        None if value is None else known.index(round(sign * value, 9)) / (len(known) - 1) for value in values
    ]


def _cell(one: Record, name: str, rank: float | None) -> dict[str, Any]:
    return {"shown": score(_value(one, name), 3), "value": _value(one, name), "share": rank or 0.0}


def _bars(data: ReportData, shown: Sequence[Record], wanted: Sequence[str]) -> dict[str, Any]:
    """One column of bars for each metric and cost, on an axis from zero."""
    columns: list[tuple[str, str, float, list[Bar]]] = []
    for name in wanted:
        held = [(one.get("metrics") or {}).get(name) or {} for one in shown]
        told = [number(one.get("estimate")) for one in held]
        if any(value is not None for value in told):
            title = metric_title(
                (data.verdict.get("metrics") or {}).get(name) or {"title": METRICS[name].title}
            )
            ends = [(number(one.get("low")), number(one.get("high"))) for one in held]
            words = [score(value, 2) for value in told]
            averaging = str(((data.verdict.get("metrics") or {}).get(name) or {}).get("averaging", ""))
            columns.append((title, averaging, 1.0, list(zip(told, ends, words, strict=True))))
    for key, (title, unit, write) in COSTS.items():
        paid = [number((one.get("cost") or {}).get(key)) for one in shown]
        if any(paid):
            most = max(value or 0.0 for value in paid)
            columns.append((title, unit, most, [(value, (None, None), write(value)) for value in paid]))
    scales = [Scale(0.0, most, 4.0, 104.0) for _, _, most, _ in columns]
    heads = [
        {"title": title, "note": note, "axis": bar_head(scale)}
        for (title, note, _, _), scale in zip(columns, scales, strict=True)
    ]
    rows = [
        {
            "name": one["name"],
            "cells": [
                {"drawing": _bar(column[3][place], scale), "held": column[3][place]}
                for column, scale in zip(columns, scales, strict=True)
            ],
        }
        for place, one in enumerate(shown)
    ]
    return {"heads": heads, "rows": rows}


def _bar(held: Bar, scale: Scale) -> Markup:
    value, (low, high), words = held
    return bar_cell(value, scale, words=words, low=low, high=high)
