"""The fits of a study: how they learnt, what they warned about, and which failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.series import learning_panel, learning_scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import clipped, number, selecting_title

MAX_LEARNING = 30  # configurations with learning curves drawn
MESSAGE_LENGTH = 160


def learning_section(data: ReportData) -> dict[str, Any] | None:
    """One small drawing per configuration with all its folds, best first."""
    trained = [result for result in data.results if result.get("epochs")]
    scores = learning_scale(trained)
    select = next((selecting_title(str(fit["select"])) for fit in trained if fit.get("select")), "")
    panels = []
    for result in data.configurations[:MAX_LEARNING]:
        fits = [fit for fit in trained if fit.get("configuration") == result.id]
        if fits:
            title = f"Learning curves of {result.name}"
            panels.append(
                {
                    "name": result.name,
                    "standing": standing(result),
                    "drawing": learning_panel(title, fits, scores=scores, select=select),
                    "note": _chosen_epochs(fits),
                }
            )
    left_out = max(0, len(data.configurations) - MAX_LEARNING)
    learning = {"panels": panels, "select": select, "left_out": left_out}
    return {"learning": learning, "fit_warnings": _warnings(data)} if panels else None


def _chosen_epochs(fits: Sequence[Mapping[str, Any]]) -> str:
    chosen = sorted(int(fit["best_epoch"]) for fit in fits if number(fit.get("best_epoch")) is not None)
    if not chosen:
        return ""
    last = max(len(fit["epochs"]) for fit in fits)
    at_end = sum(epoch >= last for epoch in chosen)
    span = f"epoch {chosen[0]}" if chosen[0] == chosen[-1] else f"epochs {chosen[0]} to {chosen[-1]}"
    late = ""
    if at_end * 2 > len(chosen) and last > 1:
        late = f"; {at_end} of {len(chosen)} at the last: more epochs may help"
    return f"chosen: {span} of {last}{late}"


def _warnings(data: ReportData) -> list[tuple[str, int]]:
    """What fits warned about, each with how many did."""
    return Counter(str(words) for fit in data.results for words in fit.get("warnings", [])).most_common()


def failures_section(data: ReportData) -> dict[str, Any] | None:
    """Fits, and other items, that ended with an error."""
    errors = {fit.get("item"): fit.get("error") or {} for fit in data.results}
    fits = [
        failure.model_dump()
        | {
            "name": result.name,
            "short": clipped(failure.message, MESSAGE_LENGTH),
            "traceback": errors.get(failure.item, {}).get("traceback", ""),
        }
        for result in data.configurations
        for failure in result.failures
    ]
    others = data.verdict.failed_items
    return {"failures": fits, "failed_items": others} if fits or others else None
