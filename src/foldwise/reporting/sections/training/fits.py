"""Which fits failed and why, and what they warned about."""

from __future__ import annotations

from typing import Any

from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import clipped


def failures(data: ReportData) -> list[dict[str, Any]]:
    """Every fit that failed, with its cause."""
    tracebacks = {
        result["item"]: (result.get("error") or {}).get("traceback", "")
        for result in data.results
        if result.get("item")
    }
    return [
        {
            **failed,
            "name": one["name"],
            "short": clipped(str(failed.get("message", "")), 160),
            "traceback": tracebacks.get(failed.get("item"), ""),
        }
        for one in data.configurations
        for failed in one.get("failures", [])
    ]


def warnings_of_fits(data: ReportData) -> list[tuple[str, int]]:
    """What fits warned about, each with how many did."""
    told: dict[str, int] = {}
    for result in data.results:
        for words in result.get("warnings", []):
            told[str(words)] = told.get(str(words), 0) + 1
    return sorted(told.items(), key=lambda pair: -pair[1])
