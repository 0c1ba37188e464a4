"""What the configurations cost: score against time, memory and energy, and a table of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.drawing.costs import OTHERS, cost_chart, most_memory
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.tables import Cell, cell, ends_of, shared_pass
from foldwise.reporting.wording import (
    amount,
    duration,
    energy,
    estimate,
    memory,
    metric_title,
    milliseconds,
    number,
)


def section(data: ReportData) -> dict[str, Any] | None:
    """Time, memory and parameters, and score against time."""
    rows = table(data)
    pretrained = any((one.get("cost") or {}).get("shared_pretrain_s") for one in data.configurations)
    drawn, *others = _drawings(data)
    held = {
        "drawing": drawn,
        "others": [one for one in others if one is not None],
        "rows": rows,
        "pretrained": pretrained,
        "memory_is": _counted(data, "peak_memory_is"),
        "energy_is": _counted(data, "energy_is") if _energy_was_measured(data) else "",
    }
    return {"cost": held} if rows else None


def _counted(data: ReportData, key: str) -> str:
    """What a cost counts, in words; most often all configurations say the same."""
    told = (str((one.get("cost") or {}).get(key) or "") for one in data.configurations)
    return ", or ".join(dict.fromkeys(words for words in told if words))


def _drawings(data: ReportData) -> list[Any]:
    """Score against the time of an image, and against all else it takes; None where that was not measured."""
    metric = data.verdict["metric"]
    arrow = "↑" if metric.get("higher_is_better", True) else "↓"
    told, title = data.configurations, f"{arrow} {metric_title(metric)}"
    others = [cost_chart(told, title=title, price=price, width=310) for price in OTHERS]
    return [cost_chart(told, title=title), *others]


def table(data: ReportData) -> list[dict[str, Any]]:
    """What every configuration takes; what was not measured is a dash, and without any measure no row."""
    rows, measured = [], _energy_was_measured(data)
    for one in data.configurations:
        held = one.get("cost") or {}
        if not any(number(value) for value in held.values()):
            continue
        cells = [
            cell(estimate(one), one.get("estimate"), "", ends_of(one)),
            cell(milliseconds(held.get("latency_ms")), held.get("latency_ms")),
            cell(duration(held.get("train_s")), held.get("train_s"), shared_pass(data, one["id"])),
            cell(duration(held.get("evaluate_s")), held.get("evaluate_s")),
            peak_memory(held),
            *([_energy(held)] if measured else []),
            cell(amount(held.get("parameters")), held.get("parameters")),
            cell(amount(held.get("trainable_parameters")), held.get("trainable_parameters")),
        ]
        rows.append({"name": one["name"], "standing": standing(one), "cells": cells})
    return rows


def _energy_was_measured(data: ReportData) -> bool:
    """Of any configuration."""
    return any(number((one.get("cost") or {}).get("energy_j")) for one in data.configurations)


def _energy(held: Mapping[str, Any]) -> Cell:
    shared = number(held.get("shared_energy_j"))
    note = f"+ {energy(shared)} shared" if shared else ""
    return cell(energy(held.get("energy_j")), held.get("energy_j"), note)


def peak_memory(held: Mapping[str, Any]) -> Cell:
    """The most memory at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    most, shared = most_memory(held), number(held.get("shared_peak_memory_mb"))
    notes = []
    if shared is not None and most == shared:
        notes.append("shared encoder")
    elif (reserved := number(held.get("reserved_memory_mb"))) is not None:
        notes.append(f"{memory(reserved)} reserved")
    return cell(memory(most), most, ", ".join(notes))
