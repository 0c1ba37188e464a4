"""Metrics that are any smooth function of the confusion matrix of all images together.

No such metric is a mean over images, nor a ratio of two sums over them, so each gives its own derivative by every
count, from which the influence of an image follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foldwise.metrics.outputs import Floats, Ints, Outputs, predicted, totals


@dataclass(frozen=True)
class ConfusionFunction:
    """A function of (..., K, K) counts by [true, predicted]: its value (...), and its derivative (..., K, K) by every count.

    The value is the same where all counts are multiplied by a number, and nan where it is undefined.
    """

    of: Callable[[Floats], tuple[Floats, Floats]]


def mcc(counts_KK: Floats) -> tuple[Floats, Floats]:
    """Matthews correlation of truth and decisions, for any number of classes, and its derivative.

    0 where all decisions are the same class, as in scikit-learn: they say nothing of the truth. Its influences are 0
    there, too, as it has no slope.

    Returns:
        nan where fewer than two classes are there.

    Source: R_K of Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006; of two classes the phi coefficient.
    """
    total, right = counts_KK.sum(axis=(-2, -1)), np.einsum("...kk->...", counts_KK)
    true_K, decided_K = counts_KK.sum(axis=-1), counts_KK.sum(axis=-2)
    spread_true, spread_decided = (total**2 - np.vecdot(part, part) for part in (true_K, decided_K))
    flat = (spread_true == 0) | (spread_decided == 0)
    safe_true, safe_decided = (np.where(flat, 1.0, spread) for spread in (spread_true, spread_decided))
    scale = np.sqrt(safe_true * safe_decided)
    # The covariance of truth and decisions over the root of their spreads, summed over classes.
    value = (right * total - np.vecdot(true_K, decided_K)) / scale
    total, right, scale = total[..., None], right[..., None, None], scale[..., None, None]
    by_covariance = right + total[..., None] * np.eye(true_K.shape[-1])
    by_covariance = by_covariance - decided_K[..., :, None] - true_K[..., None, :]
    by_spreads = ((total - true_K) / safe_true[..., None])[..., :, None]
    by_spreads = by_spreads + ((total - decided_K) / safe_decided[..., None])[..., None, :]
    slope = by_covariance / scale - value[..., None, None] * by_spreads
    undefined = np.where(spread_true == 0, np.nan, 0.0)
    return np.where(flat, undefined, value), np.where(flat[..., None, None], 0.0, slope)


def kappa(power: int) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Cohen's kappa, 1 - errors / errors by chance, and its derivative.

    Args:
        power: of the number of classes that an error is off, which it counts by: 0 (all count alike), 1 or 2.

    Returns:
        nan where fewer than two classes are there.

    Source: Cohen 1968, doi:10.1037/h0026256.
    """

    def of(counts_KK: Floats) -> tuple[Floats, Floats]:
        true_K, decided_K = counts_KK.sum(axis=-1), counts_KK.sum(axis=-2)
        classes = np.arange(true_K.shape[-1])
        off_KK = np.abs(classes[:, None] - classes).astype(np.float64)
        weight_KK = (off_KK > 0).astype(np.float64) if power == 0 else off_KK**power
        # Of a single true class kappa would be 0 whatever is decided.
        flat = np.count_nonzero(true_K, axis=-1) < 2
        total, errors = counts_KK.sum(axis=(-2, -1)), (weight_KK * counts_KK).sum(axis=(-2, -1))
        of_true, of_decided = true_K @ weight_KK, decided_K @ weight_KK
        chance = np.where(flat, 1.0, np.vecdot(of_true, decided_K))
        value = np.where(flat, np.nan, 1 - total * errors / chance)
        total, errors, chance = (part[..., None, None] for part in (total, errors, chance))
        by_chance = of_decided[..., :, None] + of_true[..., None, :]
        slope = -(errors + total * weight_KK) / chance + total * errors / chance**2 * by_chance
        return value, np.where(flat[..., None, None], 0.0, slope)

    return of


def cells(outputs: Outputs) -> tuple[Floats, Callable[[Floats], Floats]]:
    """The counts of all cases (..., K, K), and what sums values of the cells (..., K, K) over those of each case: (..., n).

    An image of a classification is in one cell, so that its matrix need not be made: with many classes all of them
    would not fit into memory.
    """
    if outputs.confusion is not None:
        confusion_nKK = outputs.confusion.astype(np.float64)
        return confusion_nKK.sum(axis=-3), lambda value_KK: np.einsum(
            "...nij,...ij->...n", confusion_nKK, value_KK
        )
    assert outputs.truth is not None
    K, decided = outputs.num_classes, predicted(outputs).argmax(axis=-1)
    cell_n = outputs.truth.argmax(axis=-1) * K + decided
    total_KK = totals(cell_n, K * K).reshape(*cell_n.shape[:-1], K, K)

    def of_case(value_KK: Floats) -> Floats:
        return np.take_along_axis(value_KK.reshape(*value_KK.shape[:-2], K * K), cell_n, axis=-1)

    return total_KK, of_case


def pooled_confusion(outputs: Outputs) -> Ints:
    """(K, K) counts by [true, predicted], images or pixels; several labels: (K, 2, 2), each label by itself."""
    if outputs.family != "multilabel":
        return cells(outputs)[0].astype(np.int64)
    outcomes = outputs.counts
    tn, fp, fn, tp = (part.sum(axis=0) for part in (outcomes.tn, outcomes.fp, outcomes.fn, outcomes.tp))
    return np.stack([tn, fp, fn, tp], axis=-1).reshape(-1, 2, 2).astype(np.int64)
