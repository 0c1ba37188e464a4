"""Outputs of one configuration in one repeat for the cases it was tested on, and the counts that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAMILIES = {
    "binary_classification": "binary",
    "multiclass_classification": "multiclass",
    "multilabel_classification": "multilabel",
    "binary_segmentation": "segmentation",
    "multiclass_segmentation": "segmentation",
}
THRESHOLD = 0.5  # of a label, where none was set for it; single-label tasks take the most probable class
# Axes that a field has after that of its cases, and fields that the data and not a configuration make.
AFTER_CASE = {
    "truth": 1, "probabilities": 1, "thresholds": 1, "nsd": 1, "hd95": 1, "confusion": 2, "histogram": 3,
}  # fmt: skip
SHARED = ("case", "fold", "truth")
CLIP = 1e-7  # a probability of 0 for the truth counts as this one, so that a log-loss stays finite


@dataclass(frozen=True)
class Outputs:
    """Test-fold outputs of one configuration in one repeat; n cases, K classes, every case once.

    What is predicted may have one more axis, before all others: that of several configurations, which were tested on the
    same cases in the same folds (`stacked`). What is computed of such outputs has it, too.

    Attributes:
        family: ``binary``, ``multiclass``, ``multilabel`` or ``segmentation``.
        case: (n,) case indices, ascending.
        fold: (n,) the test fold each case is in.
        truth: (n, K) bool for classification, else None.
        probabilities: (n, K) for classification, else None.
        confusion: (n, K, K) pixels by [true, predicted] for segmentation, else None.
        histogram: (n, K, 2, B) pixels by probability of the class, in `pixel_bins.bin_edges(B)`; second axis 1 where the
            pixel is of it.
        log_loss_sum, brier_sum: (n,) sums over the pixels of each image, segmentation only.
        nsd, hd95: (n, K) boundary scores of each image and class, segmentation, where a study has them; nan for the
            background, and where a class is neither there nor predicted.
        thresholds: (n, K) at which each case gets each label (multilabel), as they were set for its fit; None: `THRESHOLD`.
        unscored: classes that some fold lacks; they are shown, and no average over classes counts them.
        unranked: classes too rare, or too common, for a ranking that is tested; averages of rankings leave them out.
    """

    family: str
    case: Ints
    fold: Ints
    truth: Bools | None = None
    probabilities: Floats | None = None
    confusion: Ints | None = None
    histogram: Ints | None = None
    log_loss_sum: Floats | None = None
    brier_sum: Floats | None = None
    nsd: Floats | None = None
    hd95: Floats | None = None
    thresholds: Floats | None = None
    unscored: tuple[int, ...] = ()
    unranked: tuple[int, ...] = ()

    @cached_property
    def ranked(self) -> dict[Any, Any]:
        """What rankings were computed of these outputs already; see `influence.ranked_class`."""
        return {}

    @cached_property
    def counts(self) -> Counts:
        """True and false positives and negatives of every case and class; counted once, as most metrics are made of them."""
        if self.confusion is not None:
            confusion = self.confusion.astype(np.float64)
            tp = np.einsum("...kk->...k", confusion)
            fp, fn = confusion.sum(axis=-2) - tp, confusion.sum(axis=-1) - tp
            return Counts(tp, fp, fn, confusion.sum(axis=(-2, -1))[..., None] - tp - fp - fn)
        # One image, one count: for masks the same cells hold pixels.
        decided, true = predicted(self), self.truth
        assert true is not None
        outcomes = (true & decided, ~true & decided, true & ~decided, ~true & ~decided)
        return Counts(*(outcome.astype(np.float64) for outcome in outcomes))

    @property
    def num_classes(self) -> int:
        """K."""
        by_class = self.truth if self.truth is not None else self.confusion
        assert by_class is not None
        return int(by_class.shape[-1])

    def averaged(self, which: str = "all") -> list[int]:
        """The classes an average is over: the ``positive`` one, the ``foreground``, or ``all``, without the unscored."""
        first = 0 if which == "all" else 1
        classes = range(first, 2 if which == "positive" else self.num_classes)
        # Where folds lack every class, a mean over all is still a number; a warning says what it is worth.
        return [k for k in classes if k not in self.unscored] or list(classes)


def of_fold(outputs: Outputs, fold: int) -> Outputs:
    """The part of `outputs` that was tested in one fold."""
    members = outputs.fold == fold
    per_case: dict[str, Any] = {
        name: value.compress(members, axis=value.ndim - AFTER_CASE.get(name, 0) - 1)
        for name, value in _arrays(outputs).items()
    }
    return replace(outputs, **per_case)


def _arrays(outputs: Outputs) -> dict[str, NDArray[Any]]:
    values = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def stacked(every: Sequence[Outputs]) -> Outputs:
    """Outputs of several configurations as one, which have the same cases, folds and truth, those of the first."""
    arrays: dict[str, Any] = {
        name: np.stack([getattr(outputs, name) for outputs in every])
        for name in _arrays(every[0])
        if name not in SHARED
    }
    return replace(every[0], **arrays)


def can_be_stacked(outputs: Outputs, other: Outputs) -> bool:
    """Whether two were tested on the same cases in the same folds."""
    return np.array_equal(outputs.case, other.case) and np.array_equal(outputs.fold, other.fold)


def totals(number: Ints, num: int, values: NDArray[Any] | None = None) -> Floats:
    """(..., num) the sum of the values (..., n) that have each number (..., n), from 0; how many have it by default."""
    shape = number.shape if values is None else np.broadcast_shapes(number.shape, values.shape)
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    # One count for all rows: a number of a row has so many more for every row before it.
    apart = np.broadcast_to(number, shape).reshape(rows, -1) + num * np.arange(rows)[:, None]
    weights = None if values is None else np.broadcast_to(values, shape).ravel()
    summed = np.bincount(apart.ravel(), weights, minlength=rows * num)
    return np.asarray(summed.reshape(*shape[:-1], num), dtype=np.float64)


@dataclass(frozen=True)
class Counts:
    """One-against-rest counts per case and class, each (..., n, K); cases are images, what is counted images or pixels."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def predicted(outputs: Outputs) -> Bools:
    """(n, K) the classes a classifier decides for: the most probable one, or every one at its threshold or above."""
    assert outputs.probabilities is not None
    if outputs.family == "multilabel":
        limits = THRESHOLD if outputs.thresholds is None else outputs.thresholds
        return np.asarray(outputs.probabilities >= limits)
    chosen = outputs.probabilities.argmax(axis=-1)
    return np.asarray(np.arange(outputs.num_classes) == chosen[..., None])
