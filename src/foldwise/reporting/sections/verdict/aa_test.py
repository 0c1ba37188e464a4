"""The section on the A/A test: how far equals lie apart, beside the configurations, and how often they were told apart."""

from __future__ import annotations

from typing import Any

from foldwise.reporting.drawing.strips import Dot, class_strip
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import count, metric_title, number


def section(data: ReportData) -> dict[str, Any] | None:
    """The sentence and a drawing; None where no A/A test was made."""
    told = data.verdict.get("aa_test")
    if not told:
        return None
    first = next(one for one in data.configurations if one["id"] == told["configuration"])
    equals = [float(value) for value in told["estimates"]]
    scores = [
        Dot(value, str(one["name"]), str(one["id"]))
        for one in data.configurations
        if (value := number(one.get("estimate"))) is not None
    ]
    rows = [
        (f"the same, {len(equals)} times", None, [Dot(value, str(k)) for k, value in enumerate(equals, 1)]),
        (count(len(scores), "configuration"), None, scores),
    ]
    return {
        "again": {
            "name": first["name"],
            "sentence": told["sentence"],
            "missing": told["num_planned"] - len(equals) + 1,
            "drawing": class_strip(rows, title=metric_title(data.verdict["metric"])),
        }
    }
