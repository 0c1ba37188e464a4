"""Trivial predictors, which never look at the image; judged like every configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from foldwise.metrics.outputs import CLIP, Floats, Outputs
from foldwise.metrics.pixel_bins import NUM_BINS

if TYPE_CHECKING:
    from foldwise.judging.scores.rows import Rows

Predict = Callable[["Rows", Outputs], Outputs]


@dataclass(frozen=True)
class Baseline:
    """A row of the table: its name for the reader, what it does, and how it predicts one repeat."""

    id: str
    name: str
    sentence: str
    families: tuple[str, ...]
    predict: Predict


def _by_fold(say: Callable[[Floats], Floats]) -> Predict:
    """Gives every case of a fold `say(share of each class in the training part of the fold)`."""

    def predict(rows: Rows, like: Outputs) -> Outputs:
        assert rows.truth is not None
        assert like.probabilities is not None
        probabilities = np.zeros(like.probabilities.shape)
        for fold in np.unique(like.fold):
            members = like.fold == fold
            split = next(split for split in rows.splits if np.isin(like.case[members], split.test).all())
            # Of the training and validation part of the fold: frequencies of the test fold would be peeking.
            learned = np.concatenate([split.train, split.validation])
            probabilities[members] = say(rows.truth[learned].mean(axis=0))
        return replace(like, probabilities=probabilities, thresholds=None)

    return predict


def _majority(rows: Rows, like: Outputs) -> Outputs:
    # One class for all folds. Of nearly equal classes, the most frequent one of a training part is the rarer one of its
    # test fold: a balanced accuracy of 0.3 stood here for 0.5, and networks that guess looked better than a guess.
    assert rows.truth is not None
    share = rows.truth.mean(axis=0)
    return _by_fold(lambda _: np.asarray(np.arange(len(share)) == share.argmax(), dtype=np.float64))(
        rows, like
    )


def commonest(share: Floats) -> Floats:
    """1 for the most frequent labels, as many as an image has on average (at least one), 0 for the others."""
    chosen = np.argsort(-share, kind="stable")[: max(1, round(float(share.sum())))]
    return np.isin(np.arange(len(share)), chosen).astype(float)


def _all_foreground(rows: Rows, like: Outputs) -> Outputs:
    assert like.confusion is not None
    pixels = like.confusion.sum(axis=(0, 2))
    return _one_class(like, 1 + int(pixels[1:].argmax()))


def _one_class(like: Outputs, chosen: int) -> Outputs:
    """Every pixel is of the class `chosen`, with certainty."""
    assert like.confusion is not None
    true = like.confusion.sum(axis=2)
    confusion = np.zeros_like(like.confusion)
    confusion[:, :, chosen] = true
    n, K = true.shape
    histogram = np.zeros((n, K, 2, NUM_BINS), dtype=np.int64)
    for k in range(K):
        step = NUM_BINS - 1 if k == chosen else 0
        histogram[:, k, 1, step], histogram[:, k, 0, step] = true[:, k], true.sum(axis=1) - true[:, k]
    # Certainty is right or wrong by a full step in every pixel; clipped as the losses of networks are.
    wrong = (true.sum(axis=1) - true[:, chosen]).astype(float)
    brier = wrong * 2 if K > 2 else wrong  # of two classes an error counts once, as where models are scored
    if like.nsd is not None:
        # Where nothing is predicted the boundary is missed; that of a whole image of one class is not scored.
        missed = np.where(true > 0, 0.0, np.nan) if chosen == 0 else np.full(true.shape, np.nan)
        like = replace(like, nsd=missed, hd95=np.full(true.shape, np.nan))
    return replace(
        like, confusion=confusion, histogram=histogram, log_loss_sum=-np.log(CLIP) * wrong, brier_sum=brier
    )


_LABELLED = ("binary", "multiclass", "multilabel")
BASELINES = (
    Baseline("majority", "always the most frequent class", "says the most frequent class, without looking", ("binary", "multiclass"), _majority),
    Baseline("prior", "class frequencies", "gives every image the class frequencies of the training images", _LABELLED, _by_fold(lambda share: share)),
    Baseline("all_ones", "every label", "says every label of every image", ("multilabel",), _by_fold(np.ones_like)),
    Baseline("commonest", "the commonest labels", "says the most frequent labels of the training images, as many as an image has on average", ("multilabel",), _by_fold(commonest)),
    Baseline("all_background", "all background", "calls every pixel background", ("segmentation",), lambda rows, like: _one_class(like, 0)),
    Baseline("all_foreground", "all foreground", "calls every pixel the most frequent foreground class", ("segmentation",), _all_foreground),
)  # fmt: skip


def baselines_of(rows: Rows, repeats: list[Outputs]) -> list[tuple[Baseline, list[Outputs]]]:
    """The trivial predictors of a task and what they say about the same cases, repeat by repeat.

    Of the outputs in every of the `repeats`, of any configuration, only cases, folds and truth are used.
    """
    chosen = [baseline for baseline in BASELINES if rows.family in baseline.families]
    return [(baseline, [baseline.predict(rows, outputs) for outputs in repeats]) for baseline in chosen]
