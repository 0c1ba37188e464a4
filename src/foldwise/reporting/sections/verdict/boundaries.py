"""The section on boundaries: how near the predicted outlines are to the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import NOTHING, count, estimate, interval, number

METRIC = "nsd_img_macro"
MAX_ROWS = 60


def section(data: ReportData) -> dict[str, Any] | None:
    """A row for every complete configuration, the best first; None where boundaries were not asked for."""
    told = data.verdict.get("boundary")
    if not told:
        return None
    distances = {one["id"]: one["hd95"] for one in told["configurations"]}
    shown = [data.classes[k] for k in data.shown_classes()]
    known = [one for one in data.configurations if one["id"] in distances]
    return {
        "boundary": {
            "grouped": data.verdict["num_groups"] is not None,
            "tolerance": f"{told['tolerance_px']:g}",
            "classes": shown,
            "rows": [
                {
                    "name": one["name"],
                    "standing": standing(one),
                    "cells": [_share(one), *(_far(distances[one["id"]][name]) for name in shown)],
                }
                for one in known[:MAX_ROWS]
            ],
            "left_out": max(0, len(known) - MAX_ROWS),
        }
    }


def _share(one: Mapping[str, Any]) -> dict[str, Any]:
    held = one["metrics"][METRIC]
    ends = interval(held["low"], held["high"])
    return {
        "value": number(held["estimate"]),
        "shown": estimate(held),
        "note": ends if ends != NOTHING else "",
    }


def _far(held: Mapping[str, Any]) -> dict[str, Any]:
    """Distances are said to a tenth of a pixel: boundaries are no finer."""
    median, low, high = (number(held[key]) for key in ("median", "low", "high"))
    notes = [f"{low:.1f} to {high:.1f}"] if low is not None and high is not None else []
    if held["num_capped"]:
        notes.append(f"{count(held['num_capped'], 'image')} capped")
    return {
        "value": median,
        "shown": NOTHING if median is None else f"{median:.1f}",
        "note": "; ".join(notes),
    }
