"""Precision, recall and F1 on the three parts of the images: trained on, chosen on, and tested on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foldwise.judging.scores.rows import PlannedFit, Rows
from foldwise.judging.verdict_configurations import (
    ClassPrecisionRecall,
    PrecisionRecall,
    ScoresBySplit,
    SplitScores,
)
from foldwise.metrics.outputs import THRESHOLD, Floats, Ints, Outputs

STORED = {"train": "train_confusion", "validation": "validation_confusion"}  # in scores.npz


def scores_by_split(rows: Rows, configuration: str) -> ScoresBySplit | None:
    """Scores on every part; None where no fit is done, or where one has counted its test fold only.

    Images, or pixels, are pooled over the folds and repeats that are done, so an image counts once for every fit that
    has it in that part. Several labels are decided at one half, as no part may set the thresholds of another.
    """
    counts = [_counts(rows, fit) for fit in rows.done(configuration)]
    complete = [of_fit for of_fit in counts if of_fit is not None]
    if not complete or len(complete) < len(counts):
        return None
    pooled = {split: np.sum([of_fit[split] for of_fit in complete], axis=0) for split in (*STORED, "test")}
    return ScoresBySplit(**{split: measured(matrix, rows.classes) for split, matrix in pooled.items()})


def _counts(rows: Rows, fit: PlannedFit) -> dict[str, Ints] | None:
    """(K, K), of several labels (K, 2, 2), counts of each part by truth and prediction."""
    outputs = rows.fold_outputs(fit)
    with np.load(fit.path / "scores.npz", allow_pickle=False) as arrays:
        if "train_confusion" not in arrays or len(arrays["train_confusion"]) != len(rows.classes):
            return None
        counts = {split: np.asarray(arrays[key], dtype=np.int64) for split, key in STORED.items()}
    return counts | {"test": _tested(outputs)}


def _tested(outputs: Outputs) -> Ints:
    if outputs.confusion is not None:
        return np.asarray(outputs.confusion.sum(axis=0), dtype=np.int64)
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    true, K = outputs.truth, outputs.num_classes
    if outputs.family == "multilabel":
        predicted = outputs.probabilities >= THRESHOLD
        cells = [((true == t) & (predicted == p)).sum(axis=0) for t in (False, True) for p in (False, True)]
        return np.stack(cells, axis=-1).reshape(-1, 2, 2).astype(np.int64)
    likeliest = np.eye(K, dtype=np.int64)[outputs.probabilities.argmax(axis=1)]
    return np.asarray(true.T.astype(np.int64) @ likeliest)


def measured(counts: Ints, classes: Sequence[str]) -> SplitScores:
    """Precision, recall, F1 and support of every class, and their macro and weighted means over all classes.

    What is 0 / 0 is None: the precision of a class that is never predicted, the recall of one that is never there.
    The means are over the classes that are there or predicted; in them a class that is there and never predicted has a
    precision of 0, and the weighted one weighs by the support.

    Args:
        counts: (K, K) by [true, predicted], or (K, 2, 2) by [label, true, predicted].
        classes: K names; of a segmentation the background is one of them.
    """
    if counts.ndim == 3:
        tp, fp, fn = counts[:, 1, 1], counts[:, 0, 1], counts[:, 1, 0]
    else:
        tp = np.diagonal(counts)
        fp, fn = counts.sum(axis=0) - tp, counts.sum(axis=1) - tp
    support = tp + fn
    precision, recall, f1 = _ratio(tp, tp + fp), _ratio(tp, support), _ratio(2 * tp, 2 * tp + fp + fn)
    never_predicted_is_0 = np.where(support > 0, np.nan_to_num(precision), precision)

    def mean(weights: Floats) -> PrecisionRecall:
        return PrecisionRecall(
            precision=_mean(never_predicted_is_0, weights),
            recall=_mean(recall, weights),
            f1=_mean(f1, weights),
        )

    return SplitScores(
        classes={
            name: ClassPrecisionRecall(precision=precision[k], recall=recall[k], f1=f1[k], support=support[k])
            for k, name in enumerate(classes)
        },
        macro=mean(np.ones(len(classes))),
        weighted=mean(support.astype(np.float64)),
    )


def _ratio(part: Ints, whole: Ints) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: Floats, weights: Floats) -> float:
    """Over the values that are defined; nan where none is, or where all weigh nothing."""
    defined = ~np.isnan(values)
    total = weights[defined].sum()
    return float((values[defined] * weights[defined]).sum() / total) if total else float("nan")
