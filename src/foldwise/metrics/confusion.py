"""Metrics that are any smooth function of the confusion matrix of all images together.

No such metric is a mean over images, nor a ratio of two sums over them, so each gives its own derivative by every
count, from which the influence of an image follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foldwise.metrics.outputs import Floats, Ints, Outputs, counts, predicted


@dataclass(frozen=True)
class ConfusionFunction:
    """A function of (K, K) counts by [true, predicted]: its value, and its derivative (K, K) by every count.

    The value is the same where all counts are multiplied by a number, and nan where it is undefined.
    """

    of: Callable[[Floats], tuple[float, Floats]]


def mcc(counts_KK: Floats) -> tuple[float, Floats]:
    """Matthews correlation of truth and decisions, for any number of classes, and its derivative.

    0 where all decisions are the same class, as in scikit-learn: they say nothing of the truth. Its influences are 0
    there, too, as it has no slope.

    Returns:
        nan where fewer than two classes are there.

    Source: R_K of Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006; of two classes the phi coefficient.
    """
    total, right = counts_KK.sum(), np.trace(counts_KK)
    true_K, decided_K = counts_KK.sum(axis=1), counts_KK.sum(axis=0)
    spread_true, spread_decided = total**2 - true_K @ true_K, total**2 - decided_K @ decided_K
    if spread_true == 0 or spread_decided == 0:
        return (np.nan if spread_true == 0 else 0.0), np.zeros_like(counts_KK)
    scale = np.sqrt(spread_true * spread_decided)
    # The covariance of truth and decisions over the root of their spreads, summed over classes.
    value = (right * total - true_K @ decided_K) / scale
    by_covariance = right + total * np.eye(len(true_K)) - decided_K[:, None] - true_K
    by_spreads = (total - true_K)[:, None] / spread_true + (total - decided_K) / spread_decided
    return float(value), by_covariance / scale - value * by_spreads


def kappa(power: int) -> Callable[[Floats], tuple[float, Floats]]:
    """Cohen's kappa, 1 - errors / errors by chance, and its derivative.

    Args:
        power: of the number of classes that an error is off, which it counts by: 0 (all count alike), 1 or 2.

    Returns:
        nan where fewer than two classes are there.

    Source: Cohen 1968, doi:10.1037/h0026256.
    """

    def of(counts_KK: Floats) -> tuple[float, Floats]:
        true_K, decided_K = counts_KK.sum(axis=1), counts_KK.sum(axis=0)
        classes = np.arange(len(true_K))
        off_KK = np.abs(classes[:, None] - classes).astype(np.float64)
        weight_KK = (off_KK > 0).astype(np.float64) if power == 0 else off_KK**power
        # Of a single true class kappa would be 0 whatever is decided.
        if np.count_nonzero(true_K) < 2:
            return np.nan, np.zeros_like(counts_KK)
        total, errors, chance = counts_KK.sum(), (weight_KK * counts_KK).sum(), true_K @ weight_KK @ decided_K
        by_chance = (weight_KK @ decided_K)[:, None] + true_K @ weight_KK
        slope = -(errors + total * weight_KK) / chance + total * errors / chance**2 * by_chance
        return float(1 - total * errors / chance), slope

    return of


def cells(outputs: Outputs) -> tuple[Floats, Callable[[Floats], Floats]]:
    """The counts of all cases (K, K), and what sums a value of every cell (K, K) over the counts of each case: (n,).

    An image of a classification is in one cell, so that its matrix need not be made: with many classes all of them
    would not fit into memory.
    """
    if outputs.confusion is not None:
        confusion_nKK = outputs.confusion.astype(np.float64)
        return confusion_nKK.sum(axis=0), lambda value_KK: np.einsum("nij,ij->n", confusion_nKK, value_KK)
    assert outputs.truth is not None
    true, decided = outputs.truth.argmax(axis=1), predicted(outputs).argmax(axis=1)
    total_KK = np.zeros((outputs.num_classes, outputs.num_classes))
    np.add.at(total_KK, (true, decided), 1.0)
    return total_KK, lambda value_KK: value_KK[true, decided]


def pooled_confusion(outputs: Outputs) -> Ints:
    """(K, K) counts by [true, predicted], images or pixels; several labels: (K, 2, 2), each label by itself."""
    if outputs.family != "multilabel":
        return cells(outputs)[0].astype(np.int64)
    outcomes = counts(outputs)
    tn, fp, fn, tp = (part.sum(axis=0) for part in (outcomes.tn, outcomes.fp, outcomes.fn, outcomes.tp))
    return np.stack([tn, fp, fn, tp], axis=-1).reshape(-1, 2, 2).astype(np.int64)
