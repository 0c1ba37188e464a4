"""The tables of fits: what they took, which failed and why, and what they warned about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.evidence import Evidence
from foldwise.reporting.tables import Cell, cell, ends_of, shared_pass
from foldwise.reporting.words import amount, clipped, duration, estimate, memory, milliseconds, number


def cost(evidence: Evidence) -> list[dict[str, Any]]:
    """What every configuration takes; what was not measured is a dash, and without any measure no row."""
    rows = []
    for one in evidence.configurations:
        held = one.get("cost") or {}
        if not any(number(value) for value in held.values()):
            continue
        cells = [
            cell(estimate(one), one.get("estimate"), "", ends_of(one)),
            cell(milliseconds(held.get("latency_ms")), held.get("latency_ms")),
            cell(duration(held.get("train_s")), held.get("train_s"), shared_pass(evidence, one["id"])),
            cell(duration(held.get("evaluate_s")), held.get("evaluate_s")),
            peak_memory(held),
            cell(amount(held.get("parameters")), held.get("parameters")),
            cell(amount(held.get("trainable_parameters")), held.get("trainable_parameters")),
        ]
        rows.append({"name": one["name"], "standing": standing(one), "cells": cells})
    return rows


def peak_memory(held: Mapping[str, Any]) -> Cell:
    """The most memory at a time: of the fit, or of the shared pass of a frozen encoder where that needs more."""
    own, shared = number(held.get("peak_memory_mb")), number(held.get("shared_peak_memory_mb"))
    most = max((value for value in (own, shared) if value is not None), default=None)
    notes = []
    if shared is not None and most == shared:
        notes.append("shared encoder")
    elif (reserved := number(held.get("reserved_memory_mb"))) is not None:
        notes.append(f"{memory(reserved)} reserved")
    return cell(memory(most), most, ", ".join(notes))


def failures(evidence: Evidence) -> list[dict[str, Any]]:
    """Every fit that failed, with its cause."""
    tracebacks = {
        result["item"]: (result.get("error") or {}).get("traceback", "")
        for result in evidence.results
        if result.get("item")
    }
    return [
        {
            **failed,
            "name": one["name"],
            "short": clipped(str(failed.get("message", "")), 160),
            "traceback": tracebacks.get(failed.get("item"), ""),
        }
        for one in evidence.configurations
        for failed in one.get("failures", [])
    ]


def warnings_of_fits(evidence: Evidence) -> list[tuple[str, int]]:
    """What fits warned about, each with how many did."""
    told: dict[str, int] = {}
    for result in evidence.results:
        for words in result.get("warnings", []):
            told[str(words)] = told.get(str(words), 0) + 1
    return sorted(told.items(), key=lambda pair: -pair[1])
