"""Precision, recall and F1 on the three parts of the images: trained on, chosen on, and tested on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Fit, Rows
from foldwise.metrics.outputs import THRESHOLD, Floats, Ints, Outputs

PARTS = ("train", "validation", "test")
STORED = {"train": "train_confusion", "validation": "inner_confusion"}  # in scores.npz


def parts_of(rows: Rows, configuration: str) -> dict[str, Any] | None:
    """By part what `measured` says of it; None where no fit is done, or where one has counted its test fold only.

    Images, or pixels, are pooled over the folds and repeats that are done, so an image counts once for every fit that
    has it in that part. Several labels are decided at one half, as no part may set the thresholds of another.
    """
    counts = [_counts(rows, fit) for fit in rows.done(configuration)]
    known = [one for one in counts if one is not None]
    if not known or len(known) < len(counts):
        return None
    return {part: measured(np.sum([one[part] for one in known], axis=0), rows.classes) for part in PARTS}


def _counts(rows: Rows, fit: Fit) -> dict[str, Ints] | None:
    """(K, K), of several labels (K, 2, 2), counts of each part by truth and prediction."""
    outputs = rows.fold_outputs(fit)
    with np.load(fit.path / "scores.npz", allow_pickle=False) as arrays:
        if "train_confusion" not in arrays or len(arrays["train_confusion"]) != len(rows.classes):
            return None
        found = {part: np.asarray(arrays[key], dtype=np.int64) for part, key in STORED.items()}
    return found | {"test": _tested(outputs)}


def _tested(outputs: Outputs) -> Ints:
    if outputs.confusion is not None:
        return np.asarray(outputs.confusion.sum(axis=0), dtype=np.int64)
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    true, K = outputs.truth, outputs.num_classes
    if outputs.family == "multilabel":
        said = outputs.probabilities >= THRESHOLD
        cells = [((true == t) & (said == s)).sum(axis=0) for t in (False, True) for s in (False, True)]
        return np.stack(cells, axis=-1).reshape(-1, 2, 2).astype(np.int64)
    said = np.eye(K, dtype=np.int64)[outputs.probabilities.argmax(axis=1)]
    return np.asarray(true.T.astype(np.int64) @ said)


def measured(counts: Ints, classes: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1 and support of every class, and their ``macro`` and ``weighted`` means over all classes.

    Args:
        counts: (K, K) by [true, predicted], or (K, 2, 2) by [label, true, predicted].
        classes: K names; of a segmentation the background is one of them.

    Returns:
        ``classes``, ``macro`` and ``weighted``. What is 0 / 0 is nan: the precision of a class that is never predicted,
        the recall of one that is never there. The means are over the classes that are there or predicted; in them a
        class that is there and never predicted has a precision of 0, and ``weighted`` weighs by the support.
    """
    if counts.ndim == 3:
        tp, fp, fn = counts[:, 1, 1], counts[:, 0, 1], counts[:, 1, 0]
    else:
        tp = np.diagonal(counts)
        fp, fn = counts.sum(axis=0) - tp, counts.sum(axis=1) - tp
    support = tp + fn
    values = {
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, support),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }
    each = {
        name: {key: float(value[k]) for key, value in values.items()} | {"support": int(support[k])}
        for k, name in enumerate(classes)
    }
    meant = values | {
        "precision": np.where(support > 0, np.nan_to_num(values["precision"]), values["precision"])
    }
    even = np.ones(len(classes))
    return {
        "classes": each,
        "macro": {key: _mean(value, even) for key, value in meant.items()},
        "weighted": {key: _mean(value, support.astype(np.float64)) for key, value in meant.items()},
    }


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: Floats, weights: Floats) -> float:
    """Over the values that are known; nan where none is, or where all weigh nothing."""
    known = ~np.isnan(values)
    total = weights[known].sum()
    return float((values[known] * weights[known]).sum() / total) if total else float("nan")
