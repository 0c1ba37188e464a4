"""The table of what the parts of the folds hold: images, groups, classes and brightness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from foldwise.reporting.report_data import ReportData

PARTS = {"all": "all", "train": "training", "validation": "inner validation", "test": "test"}
SPAN = "\u2013"  # between the ends of a range


def statistics_table(data: ReportData) -> dict[str, Any] | None:
    """Rows of quantities by columns of parts; each cell the median of the folds with its range. None without numbers."""
    by_part = {part: [row for row in data.statistics if _role(row) == part] for part in PARTS}
    if not all(by_part.values()):
        return None
    first = by_part["all"][0]
    keys = [key for key in first if key not in ("repeat", "fold", "part") and not key.startswith("std ")]
    rows = [
        {"name": title, "cells": [_cell(rows, key) for rows in by_part.values()], "share": _share(first, key)}
        for key, title in ((key, _title(key, first)) for key in keys)
    ]
    return {"parts": list(PARTS.values()), "rows": rows, "folds": len(by_part["test"])}


def _role(row: Mapping[str, str]) -> str:
    """Which part a row is of; runs made earlier call the validation part inner."""
    return "validation" if row["part"] == "inner" else row["part"]


def _title(key: str, row: Mapping[str, str]) -> str:
    kind, _, name = key.partition(" ")
    if kind == "mean":
        single = sum(other.startswith("mean ") for other in row) == 1
        return "intensity" if single else f"intensity, channel {name}"
    return f"{kind} of {name}" if name else kind


def _share(row: Mapping[str, str], key: str) -> str:
    """Of all pixels, or of all images, that are of this class; empty for other quantities."""
    kind, _, name = key.partition(" ")
    if not name or kind not in ("pixels", "images"):
        return ""
    total = (
        sum(float(row[k]) for k in row if k.startswith("pixels "))
        if kind == "pixels"
        else float(row["images"])
    )
    if not total:
        return ""
    share = 100 * float(row[key]) / total
    return f"{share:.1f}\u00a0%" if share >= 0.1 else f"{share:.1g}\u00a0%"


def _cell(rows: Sequence[Mapping[str, str]], key: str) -> str:
    values = [float(row[key]) for row in rows]
    if key.startswith("mean "):
        spread = median(float(row[f"std {key.removeprefix('mean ')}"]) for row in rows)
        return f"{_range(values, _brightness)} ± {_brightness(spread)}"
    return _range(values, _count)


def _range(values: Sequence[float], words: Any) -> str:
    middle, low, high = words(median(values)), words(min(values)), words(max(values))
    return str(middle) if low == high else f"{middle} ({low}{SPAN}{high})"


def _brightness(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _count(value: float) -> str:
    """A count with three digits: 912, 12.4 k, 3.1 M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * size or (unit == "M" and value >= size):
            return f"{value / size:.3g}\u00a0{unit}"
    return f"{value:.0f}"
