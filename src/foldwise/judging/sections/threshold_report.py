"""What became of the thresholds of several labels: those of the winner over its folds, and all methods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.thresholds import MANY, THRESHOLDS, LabelThresholds
from foldwise.judging.verdict_sections import ClassThreshold, ThresholdMethodScores, ThresholdsSection
from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Ints
from foldwise.metrics.table import METRICS


def thresholds_section(rows: Rows, winner: str | None) -> ThresholdsSection | None:
    """None where the task has no thresholds, or there is no winner yet."""
    if rows.thresholds is None or winner is None:
        return None
    of_fits = [rows.thresholds_of(fit, rows.thresholds) for fit in rows.done(winner)]
    # The median: splits differ by a few images, and a label may be rare in one of them.
    positives = np.median(_validation_positives(rows), axis=0)
    return ThresholdsSection(
        method=rows.thresholds,
        sentence=THRESHOLDS[rows.thresholds].sentence,
        configuration=winner,
        classes={name: _over_folds(of_fits, k, float(positives[k])) for k, name in enumerate(rows.classes)},
        compared=tuple(_compared(rows, winner, method) for method in THRESHOLDS),
    )


def _over_folds(of_fits: Sequence[LabelThresholds], k: int, positives: float) -> ClassThreshold:
    """One label's threshold over the fits; those in which it is never predicted have none."""
    every = np.array([fit.thresholds[k] for fit in of_fits])
    finite = every[np.isfinite(every)]
    mean, median, low, high = (
        (np.mean(finite), np.median(finite), np.min(finite), np.max(finite)) if len(finite) else (None,) * 4
    )
    return ClassThreshold(
        mean=mean,
        median=median,
        low=low,
        high=high,
        num_fits=len(every),
        num_never=len(every) - len(finite),
        num_matched=sum(bool(fit.matched[k] and np.isfinite(fit.thresholds[k])) for fit in of_fits),
        validation_positives=positives,
    )


def _validation_positives(rows: Rows) -> Ints:
    """(splits, K) images of each class in every validation part."""
    assert rows.truth is not None
    return np.stack([rows.truth[split.validation].sum(axis=0) for split in rows.splits])


def _compared(rows: Rows, configuration: str, method: str) -> ThresholdMethodScores:
    """What the test folds say of one method; for the reader only, as nothing is chosen by it."""
    outputs = []
    for repeat, decided in rows.outputs_by_repeat(configuration):
        limits = np.empty((len(decided.case), len(rows.classes)))
        for fit in rows.done(configuration, repeat):
            limits[decided.fold == fit.fold] = rows.thresholds_of(fit, method).thresholds
        outputs.append(replace(decided, thresholds=limits))
    f1_macro, f1_micro = (
        float(np.mean([unit_scores(METRICS[name], repeat, rows.units).estimate for repeat in outputs]))
        for name in ("f1_macro", "f1_micro")
    )
    sentence = THRESHOLDS[method].sentence
    return ThresholdMethodScores(method=method, sentence=sentence, f1_macro=f1_macro, f1_micro=f1_micro)


def scarce(rows: Rows) -> tuple[str, ...]:
    """Classes whose own best threshold is taken although a validation part has fewer than 100 of them."""
    if rows.thresholds != "per_class":
        return ()
    least = _validation_positives(rows).min(axis=0)
    return tuple(name for name, number in zip(rows.classes, least, strict=True) if number < MANY)
