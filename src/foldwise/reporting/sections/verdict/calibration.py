"""The section on calibration: whether the probabilities mean what they say, before and after temperature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.drawing.reliability import reliability_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import difference, score, shown

MAX_ROWS = 60
STEPS = {"before": "as the fits gave them", "after": "at the temperature of each fold"}
NAMED = {"binary": "probability said", "multilabel": "probability said", "multiclass": "confidence"}


def section(data: ReportData) -> dict[str, Any] | None:
    """None while no configuration is complete, and for verdicts of older versions."""
    told, winner = data.verdict.get("calibration"), data.winner
    if not told or winner is None:
        return None
    records = {one["id"]: one for one in told["configurations"]}
    own = records.get(winner["id"])
    if own is None:
        return None
    ranked = [one for one in data.configurations if one["id"] in records][:MAX_ROWS]
    named = NAMED.get(str(data.verdict["task"]).partition("_")[0], "probability said")
    return {
        "calibration": {
            "of": told["of"],
            "descriptive": told["descriptive"],
            "sentence": "" if told["descriptive"] else sentence(own),
            "panels": [
                (
                    words,
                    _panel(own, step, told["num_bins"], "probability said" if told["descriptive"] else named),
                )
                for step, words in STEPS.items()
                if own[step] and own[step]["bins"]
            ],
            "rows": []
            if told["descriptive"]
            else [_row(records[one["id"]], standing(one)) for one in ranked],
            "grouped": data.verdict["num_groups"] is not None,
            "left_out": len(records) - len(ranked),
        }
    }


def _panel(own: Mapping[str, Any], step: str, num_bins: int, named: str) -> Any:
    title = f"Reliability of {own['name']}, {STEPS[step]}"
    return reliability_panel(title, own[step]["bins"], num_bins=num_bins, named=named)


def sentence(own: Mapping[str, Any]) -> str:
    """What chance leaves to say of a configuration, before and after temperature."""
    before, after = (own[step]["overconfidence"] for step in STEPS)
    name = own["name"]
    found = {
        "over-confident": f"{name} is over-confident: it is right less often than it says, by {_away(before)}.",
        "under-confident": f"{name} is under-confident: it is right more often than it says, by {_away(before)}.",
        "undecided": f"Whether {name} is over- or under-confident cannot be told: what it says of its decisions, "
        f"minus how often they are right, is {_signed(before)}.",
    }[before["conclusion"]]
    rest = {
        "over-confident": "it is over-confident, by",
        "under-confident": "it is under-confident, by",
        "undecided": "no more is left than chance gives:",
    }[after["conclusion"]]
    amount = _signed(after) if after["conclusion"] == "undecided" else _away(after)
    return f"{found} At its temperature, {score(own['temperature']['median'], 2)} (median of the folds), {rest} {amount}."


def _signed(one: Mapping[str, Any]) -> str:
    return f"{difference(one['estimate'])}{_interval(one['low'], one['high'])}"


def _away(one: Mapping[str, Any]) -> str:
    """The size of a difference whose sign the words say."""
    ends = sorted((abs(one["low"]), abs(one["high"])))
    return f"{shown(abs(one['estimate']))} ({shown(ends[0])} to {shown(ends[1])})"


def _interval(low: Any, high: Any) -> str:
    return "" if low is None else f" ({difference(low)} to {difference(high)})"


def _row(one: Mapping[str, Any], kind: str) -> dict[str, Any]:
    heat = one["temperature"]
    cells = [_cell(heat["median"], f"{score(heat['low'], 2)} to {score(heat['high'], 2)}", digits=2)]
    cells += [_cell(one["before"][key], f"after {score(one['after'][key])}") for key in ("log_loss", "brier")]
    cells += [_cell(one[step]["ece"], f"perfect {score(one[step]['ece_perfect'])}") for step in STEPS]
    for step in STEPS:
        gap = one[step]["overconfidence"]
        note = "" if gap["low"] is None else f"{difference(gap['low'])} to {difference(gap['high'])}"
        cells.append({"value": gap["estimate"], "shown": difference(gap["estimate"]), "note": note})
    return {"name": one["name"], "standing": kind, "cells": cells}


def _cell(value: Any, note: str, *, digits: int = 3) -> dict[str, Any]:
    return {"value": value, "shown": score(value, digits), "note": note}
