"""Precision, recall and F1 of training, validation and test beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import amount, number, score

MEASURES = ("precision", "recall", "f1")
TITLES = {"train": "training", "validation": "validation", "test": "test"}
MOST = 30  # configurations
MAX_CLASSES = 40  # rows of a table; of more only the means


def section(data: ReportData) -> dict[str, Any] | None:
    """A table for every configuration, the winner first; None where the fits counted their test fold only."""
    first = (data.winner or {}).get("id")
    tables = [
        {"name": one["name"], "standing": standing(one), "rows": _rows(one["split_scores"])}
        for one in sorted(data.configurations, key=lambda one: one["id"] != first)
        if one.get("split_scores")
    ]
    held = {"tables": tables[:MOST], "parts": list(TITLES.values()), "left_out": max(0, len(tables) - MOST)}
    return held if tables else None


def _rows(parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One per class, then the two means; every row has support, precision, recall and F1 of each part."""
    names = list(parts["test"]["classes"])
    listed = names if len(names) <= MAX_CLASSES else []
    rows = [
        {"name": name, "mean": False, "cells": _cells([parts[part]["classes"][name] for part in TITLES])}
        for name in listed
    ]
    for kind, title in (("macro", "mean over classes"), ("weighted", "weighted by support")):
        rows.append({"name": title, "mean": True, "cells": _cells([parts[part][kind] for part in TITLES])})
    return rows


def _cells(told: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By part: the number of images or pixels, and the three measures; of a mean, no number."""
    cells = []
    for part in told:
        support = number(part.get("support"))
        cells.append({"value": support, "shown": "" if support is None else amount(support), "note": ""})
        cells += [{"value": number(part[key]), "shown": score(part[key]), "note": ""} for key in MEASURES]
    return cells
