"""What one configuration said in one repeat about the cases it was tested on, and the counts that follow."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

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
THRESHOLD = 0.5  # of a label of its own (multilabel); single-label tasks take the most probable class
CLIP = 1e-7  # a probability of 0 for the truth counts as this one, so that a log-loss stays finite


@dataclass(frozen=True)
class Outputs:
    """Test-fold outputs of one configuration in one repeat; n cases, K classes, every case once.

    Attributes:
        family: ``binary``, ``multiclass``, ``multilabel`` or ``segmentation``.
        case: (n,) case indices, ascending.
        fold: (n,) the test fold each case is in.
        truth: (n, K) bool for classification, else None.
        probabilities: (n, K) for classification, else None.
        confusion: (n, K, K) pixels by [true, predicted] for segmentation, else None.
        histogram: (n, K, 2, 256) pixels by probability of the class; second axis 1 where the pixel is of it.
        log_loss_sum, brier_sum: (n,) sums over the pixels of each image, segmentation only.
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

    @property
    def num_classes(self) -> int:
        """K."""
        known = self.truth if self.truth is not None else self.confusion
        assert known is not None
        return int(known.shape[1])


def of_fold(outputs: Outputs, fold: int) -> Outputs:
    """The part of `outputs` that was tested in one fold."""
    members = outputs.fold == fold
    arrays = {field.name: getattr(outputs, field.name) for field in fields(outputs) if field.name != "family"}
    return replace(outputs, **{name: array[members] for name, array in arrays.items() if array is not None})


@dataclass(frozen=True)
class Counts:
    """One-against-rest counts per case and class, each (n, K); cases are images, what is counted images or pixels."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def predicted(outputs: Outputs) -> Bools:
    """(n, K) the classes a classifier decides for: the most probable one, or every one at `THRESHOLD` or above."""
    assert outputs.probabilities is not None
    if outputs.family == "multilabel":
        return np.asarray(outputs.probabilities >= THRESHOLD)
    chosen = outputs.probabilities.argmax(axis=1)
    return np.asarray(np.arange(outputs.num_classes)[None, :] == chosen[:, None])


def counts(outputs: Outputs) -> Counts:
    """True and false positives and negatives of every case and class."""
    if outputs.confusion is not None:
        confusion = outputs.confusion.astype(np.float64)
        tp = np.einsum("nkk->nk", confusion)
        fp, fn = confusion.sum(axis=1) - tp, confusion.sum(axis=2) - tp
        return Counts(tp, fp, fn, confusion.sum(axis=(1, 2))[:, None] - tp - fp - fn)
    said, true = predicted(outputs), outputs.truth
    assert true is not None
    parts = (true & said, ~true & said, true & ~said, ~true & ~said)
    return Counts(*(part.astype(np.float64) for part in parts))
