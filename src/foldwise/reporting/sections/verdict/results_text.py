"""The results paragraph of a paper, every sentence from the verdict; `foldwise claims` finds each of them to be so."""

from __future__ import annotations

from typing import Any

from foldwise.judging.results_text import results
from foldwise.reporting.report_data import ReportData


def section(data: ReportData) -> dict[str, Any] | None:
    """The paragraphs, for the page; None while no configuration is complete."""
    paragraphs = results(data.verdict)
    return {"results": paragraphs} if paragraphs else None
