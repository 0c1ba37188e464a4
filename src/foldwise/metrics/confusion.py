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
