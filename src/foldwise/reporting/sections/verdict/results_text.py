"""The results paragraph of a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.judging.results_text import results
from foldwise.judging.verdict import Verdict
from foldwise.reporting.report_data import ReportData


def section(data: ReportData) -> Mapping[str, Any] | None:
    """The paragraphs, for the page; None while no configuration is complete."""
    paragraphs = results(Verdict.load(dict(data.verdict)))
    return {"results": paragraphs} if paragraphs else None
