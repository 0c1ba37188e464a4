"""The pieces metrics are made of: ratios of sums over cases, from the counts and probabilities of each case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foldwise.metrics.outputs import CLIP, Bools, Counts, Floats, Ints, Outputs
from foldwise.metrics.ranking import histogram_ap, histogram_auroc


@dataclass(frozen=True)
class Ratio:
    """sum_p weight_p * (sum_i numerator_ip / sum_i denominator_ip), over the p that are defined.

    Attributes:
        numerator, denominator: (..., n, P) per case; 0 / 0 where a case does not count.
        weight: (..., P), made to sum to 1 over what is defined.
        zero: (..., P) what counts 0, and is not left out, where the sum of the denominators is 0.
    """

    numerator: Floats
    denominator: Floats
    weight: Floats
    zero: Bools | None = None

    @property
    def undefined(self) -> Bools:
        """(..., P) what is left out, as no case counts for it."""
        empty: Bools = self.denominator.sum(axis=-2) == 0
        return empty if self.zero is None else empty & ~self.zero


RatioOf = Callable[[Outputs], Ratio]

# Numerator and denominator of every share of outcomes; all rows and tables that show one take it from here.
SHARES: dict[str, Callable[[Counts], tuple[Floats, Floats]]] = {
    "sensitivity": lambda outcomes: (outcomes.tp, outcomes.tp + outcomes.fn),
    "specificity": lambda outcomes: (outcomes.tn, outcomes.tn + outcomes.fp),
    "precision": lambda outcomes: (outcomes.tp, outcomes.tp + outcomes.fp),
    "f1": lambda outcomes: (2 * outcomes.tp, 2 * outcomes.tp + outcomes.fp + outcomes.fn),  # of pixels: Dice
    "iou": lambda outcomes: (outcomes.tp, outcomes.tp + outcomes.fp + outcomes.fn),
}


def divided(top: Floats, bottom: Floats) -> Floats:
    """The quotient; nan for 0 / 0."""
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return quotient


def pooled_by_class(outputs: Outputs) -> dict[str, Floats]:
    """(..., K) every share of `SHARES` of each class against the rest, images or pixels pooled; nan for 0 / 0."""
    outcomes = outputs.counts
    totals = Counts(*(part.sum(axis=-2) for part in (outcomes.tp, outcomes.fp, outcomes.fn, outcomes.tn)))
    return {name: divided(*share(totals)) for name, share in SHARES.items()}


def of_classes(name: str, which: str, averaging: Literal["macro", "micro", "weighted"] = "macro") -> RatioOf:
    """A share of `SHARES` over the classes of `which`: positive, foreground or all.

    A class that is there and never predicted counts 0 in precision, as in scikit-learn: left out, it would pay not
    to predict it.
    """

    def ratio(outputs: Outputs) -> Ratio:
        outcomes, chosen = outputs.counts, outputs.averaged(which)
        top, bottom = (np.take(part, chosen, axis=-1) for part in SHARES[name](outcomes))
        if averaging == "micro":
            return _column(top.sum(axis=-1), bottom.sum(axis=-1))
        support = np.take(outcomes.tp + outcomes.fn, chosen, axis=-1)
        weight = support.sum(axis=-2) if averaging == "weighted" else np.ones(len(chosen))
        return Ratio(top, bottom, weight, np.asarray(support.any(axis=-2)) if name == "precision" else None)

    return ratio


def _column(numerator: Floats, denominator: Floats | None = None) -> Ratio:
    """A ratio from (..., n) arrays; every case counts once unless stated."""
    bottom = np.ones_like(numerator) if denominator is None else denominator
    return Ratio(numerator[..., None], bottom[..., None], np.ones(1))


def accuracy(outputs: Outputs) -> Ratio:
    """Images with the right class; of a multilabel task, with every label right."""
    outcomes = outputs.counts
    if outputs.family == "multilabel":
        return _column((outcomes.fp + outcomes.fn == 0).all(axis=-1).astype(float))
    return _column(outcomes.tp.sum(axis=-1))


def label_accuracy(outputs: Outputs) -> Ratio:
    """The share of labels that are right in an image."""
    outcomes = outputs.counts
    return _column((outcomes.tp + outcomes.tn).mean(axis=-1))


def balanced_labels(outputs: Outputs) -> Ratio:
    """Sensitivity and specificity of every label; one that all images have, or none, counts by what is defined of it."""
    # As two columns, so that a label with only one of them defined counts with that.
    both = [of_classes(name, "all")(outputs) for name in ("sensitivity", "specificity")]
    tops, bottoms = ([getattr(ratio, end) for ratio in both] for end in ("numerator", "denominator"))
    top, bottom = np.concatenate(tops, axis=-1), np.concatenate(bottoms, axis=-1)
    return Ratio(top, bottom, np.ones(top.shape[-1]))


def image_dice(outputs: Outputs, *, empty: Literal["excluded", "one", "truth"] = "excluded") -> Floats:
    """(..., n, K) Dice per image and class; nan where there is nothing to overlap.

    Args:
        outputs: of a segmentation.
        empty: truth and prediction both empty: ``excluded`` (nan), or ``one``; ``truth``: every image without the
            class in its truth is nan, whatever was predicted.
    """
    outcomes = outputs.counts
    dice = divided(*SHARES["f1"](outcomes))
    if empty == "one":
        return np.where(np.isnan(dice), 1.0, dice)
    if empty == "truth":
        return np.where(outcomes.tp + outcomes.fn == 0, np.nan, dice)
    return dice


def image_iou(outputs: Outputs) -> Floats:
    """(..., n, K) intersection over union per image and class; nan where truth and prediction are both empty."""
    return divided(*SHARES["iou"](outputs.counts))


def foreground_mean(outputs: Outputs, scores: Floats) -> Floats:
    """(..., n) mean of (..., n, K) scores over the foreground classes that are defined in an image; nan where none is."""
    foreground = np.take(scores, outputs.averaged("foreground"), axis=-1)
    defined = ~np.isnan(foreground)
    return divided(np.where(defined, foreground, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


def per_image(measure: Callable[[Outputs], Floats]) -> RatioOf:
    """The mean over images of the mean over foreground classes; undefined images are left out."""

    def ratio(outputs: Outputs) -> Ratio:
        scores = foreground_mean(outputs, measure(outputs))
        defined = ~np.isnan(scores)
        return _column(np.where(defined, scores, 0.0), defined.astype(float))

    return ratio


def surface_dice(outputs: Outputs) -> Floats:
    """(..., n, K) the share of the boundaries within the tolerance; nan where truth and prediction are both empty."""
    assert outputs.nsd is not None
    return outputs.nsd


def pixel_auroc(outputs: Outputs) -> Floats:
    """(..., n, K) AUROC over the pixels of each image, from their histogram."""
    return _of_histogram(histogram_auroc, outputs)


def pixel_ap(outputs: Outputs) -> Floats:
    """(..., n, K) average precision over the pixels of each image, from their histogram."""
    return _of_histogram(histogram_ap, outputs)


def _of_histogram(ranking: Callable[[Ints], Floats], outputs: Outputs) -> Floats:
    """Computed once: averages and the table of classes both have it, and it takes most of judging a segmentation."""
    assert outputs.histogram is not None
    if ranking not in outputs.ranked:
        outputs.ranked[ranking] = ranking(outputs.histogram)
    made: Floats = outputs.ranked[ranking]
    return made


def pixel_accuracy_pooled(outputs: Outputs) -> Ratio:
    """Right pixels over all pixels."""
    assert outputs.confusion is not None
    right = np.einsum("...kk->...", outputs.confusion).astype(float)
    return _column(right, outputs.confusion.sum(axis=(-2, -1)).astype(float))


def pixel_accuracy_img(outputs: Outputs) -> Ratio:
    """The mean over images of the share of right pixels."""
    return _per_pixel(outputs, pixel_accuracy_pooled(outputs).numerator[..., 0])


def false_positive_images(outputs: Outputs) -> Ratio:
    """Images without a class in which it is predicted, of all images without it."""
    outcomes, chosen = outputs.counts, outputs.averaged("foreground")
    empty, wrong = (
        np.take(part, chosen, axis=-1) for part in (outcomes.tp + outcomes.fn == 0, outcomes.fp > 0)
    )
    return Ratio((empty & wrong).astype(float), empty.astype(float), np.ones(len(chosen)))


def log_loss(outputs: Outputs) -> Ratio:
    """Mean -log p of the truth, clipped at `CLIP`; multilabel: mean over labels; segmentation: per pixel, per image."""
    if outputs.log_loss_sum is not None:
        return _per_pixel(outputs, outputs.log_loss_sum)
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    # A single confident error would make the mean infinite.
    clipped = np.clip(outputs.probabilities, CLIP, 1 - CLIP)
    if outputs.family == "multilabel":
        return _column(-np.where(outputs.truth, np.log(clipped), np.log1p(-clipped)).mean(axis=-1))
    return _column(-np.log(of_truth(clipped, outputs.truth)))


def of_truth(values: Floats, truth: Bools) -> Floats:
    """(..., n) that of (..., n, K) values which is of the true class, one for each case."""
    true = np.broadcast_to(truth.argmax(axis=-1)[..., None], (*values.shape[:-1], 1))
    return np.take_along_axis(values, true, axis=-1)[..., 0]


def brier(outputs: Outputs) -> Ratio:
    """Squared error of the probabilities: of the positive class (binary), mean over labels (multilabel), else summed over classes."""
    if outputs.brier_sum is not None:
        return _per_pixel(outputs, outputs.brier_sum)
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    squares = (outputs.probabilities - outputs.truth) ** 2
    if outputs.family == "binary":
        return _column(squares[..., -1])
    return _column(squares.mean(axis=-1) if outputs.family == "multilabel" else squares.sum(axis=-1))


def _per_pixel(outputs: Outputs, sums: Floats) -> Ratio:
    assert outputs.confusion is not None
    pixels = outputs.confusion.sum(axis=(-2, -1)).astype(float)
    return _column(np.where(pixels > 0, sums, 0) / np.maximum(pixels, 1), (pixels > 0).astype(float))
