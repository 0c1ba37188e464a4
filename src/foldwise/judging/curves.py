"""Curves and tables behind the verdict, computed when the report asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foldwise.judging.outputs import Floats, Ints, Outputs, counts, predicted
from foldwise.judging.ratios import foreground_mean, image_dice
from foldwise.judging.rows import Rows

Curve = tuple[Floats, Floats]
GRID = np.linspace(0, 1, 201)
BINS = 256


def roc(rows: Rows, configuration: str, class_index: int) -> dict[str, Any]:
    """ROC curves of one class against the rest: ``folds`` [(fpr, tpr)], their vertical ``mean``, and the mean ``auroc``.

    A fold without the class, or without others, has no curve. Segmentation: pixels of the fold pooled, in 256 steps.
    """
    ladders = _ladders(rows, configuration, class_index)
    curves = [
        (_from_zero(false / false[-1]), _from_zero(true / true[-1]))
        for true, false in ladders
        if true[-1] and false[-1]
    ]
    areas = [float(np.trapezoid(tpr, fpr)) for fpr, tpr in curves]
    return {
        "folds": curves,
        "mean": _mean(curves, _interpolated),
        "auroc": float(np.mean(areas)) if areas else None,
    }


def pr(rows: Rows, configuration: str, class_index: int) -> dict[str, Any]:
    """Precision over recall of one class: ``folds`` [(recall, precision)], ``mean``, ``ap``, ``prevalence``."""
    ladders = [(true, false) for true, false in _ladders(rows, configuration, class_index) if true[-1]]
    curves = [
        (_from_zero(true / true[-1]), _led(true / np.maximum(true + false, 1))) for true, false in ladders
    ]
    scores = [float((np.diff(recall) * precision[1:]).sum()) for recall, precision in curves]
    shares = [true[-1] / (true[-1] + false[-1]) for true, false in ladders]
    return {
        "folds": curves,
        "mean": _mean(curves, _stepped),
        "ap": float(np.mean(scores)) if scores else None,
        "prevalence": float(np.mean(shares)) if shares else None,
    }


def _ladders(rows: Rows, configuration: str, k: int) -> list[Curve]:
    """Per fold, true and false positives at every threshold, from the highest down."""
    return [_ladder(rows.fold_outputs(fit), k) for fit in rows.done(configuration)]


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
        return foreground_mean(image_dice(outputs))
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    if outputs.family == "multilabel":
        return np.asarray(
            np.where(outputs.truth, outputs.probabilities, 1 - outputs.probabilities).mean(axis=1)
        )
    return np.asarray(outputs.probabilities[outputs.truth])


def learning_curves(rows: Rows, configuration: str) -> list[dict[str, Any]]:
    """One entry per done fit: repeat, fold, best_epoch, select, and its epochs as lists by name."""
    return [
        {
            "repeat": fit.repeat,
            "fold": fit.fold,
            "best_epoch": fit.result.get("best_epoch"),
            "select": fit.result.get("select"),
            "epochs": {
                key: [epoch.get(key) for epoch in fit.result["epochs"]] for key in fit.result["epochs"][0]
            },
        }
        for fit in rows.done(configuration)
        if fit.result.get("epochs")
    ]


def reliability(
    rows: Rows, configuration: str, class_index: int, *, bins: int = 10
) -> list[dict[str, float]]:
    """Per bin of stated probability: mean ``probability``, observed ``share`` and ``count``; empty bins are left out."""
    tables = [_stated(outputs, class_index) for outputs in _all(rows, configuration)]
    if not tables:
        return []
    probability, count, true = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    place = np.minimum((probability * bins).astype(int), bins - 1)
    number, hits, total = (
        np.bincount(place, weights=part, minlength=bins) for part in (count, true, probability * count)
    )
    return [
        {
            "probability": float(total[b] / number[b]),
            "share": float(hits[b] / number[b]),
            "count": float(number[b]),
        }
        for b in range(bins)
        if number[b] > 0
    ]


def _stated(outputs: Outputs, k: int) -> tuple[Floats, Floats, Floats]:
    """Stated probabilities with how many cases (or pixels) had each, and how many of those were of the class."""
    if outputs.histogram is not None:
        both = outputs.histogram[:, k].sum(axis=0).astype(float)
        return (np.arange(BINS) + 0.5) / BINS, both.sum(axis=0), both[1]
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    return outputs.probabilities[:, k], np.ones(len(outputs.case)), outputs.truth[:, k].astype(float)
