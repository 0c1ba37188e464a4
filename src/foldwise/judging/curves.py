"""Curves and tables behind the verdict, computed when the report asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foldwise.judging.rows import Rows
from foldwise.metrics.outputs import Floats, Ints, Outputs, counts, predicted
from foldwise.metrics.ratios import foreground_mean, image_dice

Curve = tuple[Floats, Floats]
GRID = np.linspace(0, 1, 201)


def roc(rows: Rows, configuration: str, class_index: int) -> dict[str, Any]:
    """ROC curves of one class against the rest: ``folds`` [(fpr, tpr)], their vertical ``mean``, and the ``auroc``.

    A fold without the class, or without others, has no curve. Segmentation: pixels of the fold pooled, in 256 steps.
    """
    ladders = [one for one in _ladders(rows, configuration, class_index) if one[1][-1] and one[2][-1]]
    curves = [(_from_zero(false / false[-1]), _from_zero(true / true[-1])) for _, true, false in ladders]
    areas = [float(np.trapezoid(tpr, fpr)) for fpr, tpr in curves]
    pairs = [(repeat, true[-1] * false[-1]) for repeat, true, false in ladders]
    return {"folds": curves, "mean": _mean(curves, _interpolated), "auroc": _over_folds(areas, pairs)}


def pr(rows: Rows, configuration: str, class_index: int) -> dict[str, Any]:
    """Precision over recall of one class: ``folds`` [(recall, precision)], ``mean``, ``ap``, ``prevalence``."""
    ladders = [one for one in _ladders(rows, configuration, class_index) if one[1][-1]]
    curves = [
        (_from_zero(true / true[-1]), _led(true / np.maximum(true + false, 1))) for _, true, false in ladders
    ]
    scores = [float((np.diff(recall) * precision[1:]).sum()) for recall, precision in curves]
    shares = [true[-1] / (true[-1] + false[-1]) for _, true, false in ladders]
    return {
        "folds": curves,
        "mean": _mean(curves, _stepped),
        "ap": _over_folds(scores, [(repeat, true[-1]) for repeat, true, _ in ladders]),
        "prevalence": float(np.mean(shares)) if shares else None,
    }


def _over_folds(scores: list[float], weights: list[tuple[int, float]]) -> float | None:
    """The mean over repeats of the weighted mean over folds, which is the number that the tables have."""
    repeats = sorted({repeat for repeat, _ in weights})
    means = []
    for chosen in repeats:
        known = [
            (score, weight)
            for score, (repeat, weight) in zip(scores, weights, strict=True)
            if repeat == chosen
        ]
        means.append(np.average([score for score, _ in known], weights=[weight for _, weight in known]))
    return float(np.mean(means)) if means else None


def _ladders(rows: Rows, configuration: str, k: int) -> list[tuple[int, Floats, Floats]]:
    """Per fold its repeat, and the true and false positives at every threshold, from the highest down."""
    return [(fit.repeat, *_ladder(rows.fold_outputs(fit), k)) for fit in rows.done(configuration)]


def _ladder(outputs: Outputs, k: int) -> Curve:
    if outputs.histogram is not None:
        falling = outputs.histogram[:, k].sum(axis=0)[:, ::-1].astype(float)
        return np.cumsum(falling[1]), np.cumsum(falling[0])
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    scores, positive = outputs.probabilities[:, k], outputs.truth[:, k]
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    return np.cumsum(positive[order])[last].astype(float), np.cumsum(~positive[order])[last].astype(float)


def _from_zero(values: Floats) -> Floats:
    return np.concatenate([[0.0], values])


def _led(precision: Floats) -> Floats:
    """A curve starts at the precision of its first step, not at an invented 1."""
    return np.concatenate([precision[:1], precision])


def _interpolated(x: Floats, y: Floats) -> Floats:
    found = np.asarray(np.interp(GRID, x, y))
    found[0] = 0.0
    return found


def _stepped(x: Floats, y: Floats) -> Floats:
    """Precision at the smallest recall that reaches each grid point; a straight line between would flatter."""
    return np.asarray(y[np.minimum(np.searchsorted(x, GRID - 1e-12), len(y) - 1)])


def _mean(curves: list[Curve], at_grid: Callable[[Floats, Floats], Floats]) -> Curve | None:
    return (GRID, np.mean([at_grid(x, y) for x, y in curves], axis=0)) if curves else None


def confusion_matrix(rows: Rows, configuration: str) -> Ints:
    """(K, K) counts by [true, predicted], images or pixels, summed over folds and repeats.

    Multilabel: (K, 2, 2) by [label, true, predicted], for every label is a question of its own.
    """
    outputs = _all(rows, configuration)
    K = len(rows.classes)
    if rows.family == "multilabel":
        return sum((_label_counts(one) for one in outputs), np.zeros((K, 2, 2), dtype=np.int64))
    return sum((_class_counts(one) for one in outputs), np.zeros((K, K), dtype=np.int64))


def _class_counts(outputs: Outputs) -> Ints:
    if outputs.confusion is not None:
        return np.asarray(outputs.confusion.sum(axis=0), dtype=np.int64)
    assert outputs.truth is not None
    return outputs.truth.T.astype(np.int64) @ predicted(outputs).astype(np.int64)


def _label_counts(outputs: Outputs) -> Ints:
    found = counts(outputs)
    tp, fp, fn, tn = (part.sum(axis=0) for part in (found.tp, found.fp, found.fn, found.tn))
    return np.stack([np.stack([tn, fp], axis=-1), np.stack([fn, tp], axis=-1)], axis=-2).astype(np.int64)


def _all(rows: Rows, configuration: str) -> list[Outputs]:
    known = [rows.outputs(configuration, repeat) for repeat in rows.repeats]
    return [outputs for outputs in known if outputs is not None]


def image_scores(rows: Rows, configuration: str) -> dict[int, float]:
    """Case index -> how well it went, mean over repeats; the pictures of the report are chosen by it.

    Segmentation: Dice, mean over foreground classes; images without any are left out. Single label: probability of
    the true class. Multilabel: mean probability given to what is so.
    """
    seen: dict[int, list[float]] = {}
    for outputs in _all(rows, configuration):
        for case, value in zip(outputs.case.tolist(), _goodness(outputs).tolist(), strict=True):
            if not np.isnan(value):
                seen.setdefault(case, []).append(value)
    return {case: float(np.mean(values)) for case, values in sorted(seen.items())}


def _goodness(outputs: Outputs) -> Floats:
    if outputs.family == "segmentation":
        return foreground_mean(outputs, image_dice(outputs))
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    if outputs.family == "multilabel":
        return np.asarray(
            np.where(outputs.truth, outputs.probabilities, 1 - outputs.probabilities).mean(axis=1)
        )
    return np.asarray(outputs.probabilities[outputs.truth])
