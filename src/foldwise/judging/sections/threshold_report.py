"""What became of the thresholds of several labels: those of the winner over its folds, and all methods side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.thresholds import MANY, THRESHOLDS, Cut
from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Ints, Outputs
from foldwise.metrics.table import METRICS

COMPARED = ("f1_macro", "f1_micro")


def thresholds_record(rows: Rows, winner: str | None) -> dict[str, Any] | None:
    """``thresholds`` of the verdict; None where the task has none, or there is no winner yet.

    Args:
        rows: of the run.
        winner: the configuration that the answer names.
    """
    if rows.thresholds is None or winner is None:
        return None
    cuts = [rows.cut(fit, rows.thresholds) for fit in rows.done(winner)]
    positives = np.median(_validation_positives(rows), axis=0)
    return {
        "method": rows.thresholds,
        "sentence": THRESHOLDS[rows.thresholds].sentence,
        "configuration": winner,
        "classes": {
            name: _over_folds(cuts, k) | {"validation_positives": float(positives[k])}
            for k, name in enumerate(rows.classes)
        },
        "compared": [_compared(rows, winner, method) for method in THRESHOLDS],
    }


def _over_folds(cuts: list[Cut], k: int) -> dict[str, Any]:
    """One label's threshold over the fits; those in which it is never said have none."""
    all_of_them = np.array([cut.thresholds[k] for cut in cuts])
    known = all_of_them[np.isfinite(all_of_them)]
    measures: dict[str, Any] = {"mean": np.mean, "median": np.median, "low": np.min, "high": np.max}
    return {name: float(of(known)) if len(known) else None for name, of in measures.items()} | {
        "num_fits": len(cuts),
        "num_never": len(cuts) - len(known),
        "num_matched": sum(bool(cut.matched[k] and np.isfinite(cut.thresholds[k])) for cut in cuts),
    }


def _validation_positives(rows: Rows) -> Ints:
    """(splits, K) images of each class in every inner validation."""
    assert rows.truth is not None
    return np.stack([rows.truth[split.validation].sum(axis=0) for split in rows.splits])


def _compared(rows: Rows, configuration: str, method: str) -> dict[str, Any]:
    """What the test folds say of one method; for the reader only, as nothing is chosen by it."""
    known = [_redecided(rows, configuration, repeat, method) for repeat in rows.repeats]
    outputs = [one for one in known if one is not None]
    scores = {
        name: float(np.mean([unit_scores(METRICS[name], one, rows.units).estimate for one in outputs]))
        for name in COMPARED
    }
    return {"method": method, "sentence": THRESHOLDS[method].sentence} | scores


def _redecided(rows: Rows, configuration: str, repeat: int, method: str) -> Outputs | None:
    outputs = rows.outputs(configuration, repeat)
    if outputs is None:
        return None
    limits = np.empty((len(outputs.case), len(rows.classes)))
    for fit in rows.done(configuration, repeat):
        limits[outputs.fold == fit.fold] = rows.cut(fit, method).thresholds
    return replace(outputs, thresholds=limits)


def scarce(rows: Rows) -> tuple[str, ...]:
    """Classes whose own best threshold is taken although an inner validation has fewer than 100 of them."""
    if rows.thresholds != "per_class":
        return ()
    least = _validation_positives(rows).min(axis=0)
    return tuple(name for name, number in zip(rows.classes, least, strict=True) if number < MANY)
