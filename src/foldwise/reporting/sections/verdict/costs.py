"""What the configurations cost: score against time, memory and energy, and a table of all of it."""

from __future__ import annotations

from typing import Any

from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.reporting.drawing.costs import OTHERS, cost_chart, most_memory
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.leaderboard import shared_pass
from foldwise.reporting.wording import (
    Cell,
    amount,
    cell,
    duration,
    energy,
    estimate,
    memory,
    milliseconds,
)

MEASURED = (
    "train_s", "evaluate_s", "shared_features_s", "shared_pretrain_s", "parameters", "trainable_parameters",
    "peak_memory_mb", "shared_peak_memory_mb", "reserved_memory_mb", "energy_j", "shared_energy_j", "latency_ms",
)  # fmt: skip


def section(data: ReportData) -> dict[str, Any] | None:
    """Time, memory and parameters, and score against each of them; None where nothing was measured."""
    costs = [result.cost for result in data.configurations]
    with_energy = any(cost.energy_j for cost in costs)
    # What was not measured is a dash, and a configuration without any measure has no row.
    rows = [
        _row(result, with_energy=with_energy)
        for result in data.configurations
        if any(getattr(result.cost, key) for key in MEASURED)
    ]
    if not rows:
        return None
    metric = data.verdict.metric
    title = f"{'↑' if metric.higher_is_better else '↓'} {metric.title}"
    # What takes the same of all configurations is no reason to choose, and has no chart.
    others = [cost_chart(data.configurations, title=title, price=price, width=310) for price in OTHERS]
    return {
        "cost": {
            "drawing": cost_chart(data.configurations, title=title),
            "others": [drawn for drawn in others if drawn is not None],
            "rows": rows,
            "pretrained": any(cost.shared_pretrain_s for cost in costs),
            "memory_is": _kinds([cost.peak_memory_is for cost in costs]),
            "energy_is": _kinds([cost.energy_is for cost in costs]) if with_energy else "",
        }
    }


def _kinds(counted: list[str | None]) -> str:
    """What a cost counts, in words; most often it is the same for all configurations."""
    return ", or ".join(dict.fromkeys(words for words in counted if words))


def _row(result: ConfigurationResult, *, with_energy: bool) -> dict[str, Any]:
    cost = result.cost
    cells = [
        cell(estimate(result), result.estimate, ends=(result.low, result.high)),
        cell(milliseconds(cost.latency_ms), cost.latency_ms),
        cell(duration(cost.train_s), cost.train_s, shared_pass(cost)),
        cell(duration(cost.evaluate_s), cost.evaluate_s),
        peak_memory(cost),
        *([_energy(cost)] if with_energy else []),
        cell(amount(cost.parameters), cost.parameters),
        cell(amount(cost.trainable_parameters), cost.trainable_parameters),
    ]
    return {"name": result.name, "standing": standing(result), "cells": cells}


def _energy(cost: Cost) -> Cell:
    note = f"+ {energy(cost.shared_energy_j)} shared" if cost.shared_energy_j else ""
    return cell(energy(cost.energy_j), cost.energy_j, note)


def peak_memory(cost: Cost) -> Cell:
    """The most memory at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    most, note = most_memory(cost), ""
    if cost.shared_peak_memory_mb is not None and most == cost.shared_peak_memory_mb:
        note = "shared encoder"
    elif cost.reserved_memory_mb is not None:
        note = f"{memory(cost.reserved_memory_mb)} reserved"
    return cell(memory(most), most, note)
