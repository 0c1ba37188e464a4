"""The pieces metrics are made of: ratios of sums over cases, from the counts and probabilities of each case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from foldwise.metrics.outputs import CLIP, Bools, Floats, Outputs, counts
from foldwise.metrics.ranking import histogram_ap, histogram_auroc


@dataclass(frozen=True)
class Ratio:
    """sum_p weight_p * (sum_i numerator_ip / sum_i denominator_ip), over the p whose denominator is not 0.

    Attributes:
        numerator, denominator: (n, P) per case; 0 / 0 where a case does not count.
        weight: (P,), made to sum to 1 over the defined parts.
        zero: (P,) the parts that count 0, and not nothing, where the sum of the denominators is 0.
    """

    numerator: Floats
    denominator: Floats
    weight: Floats
    zero: Bools | None = None


Parts = Callable[[Outputs], Ratio]


def _columns(numerator: Floats, denominator: Floats, weight: Floats | None = None) -> Ratio:
    """A ratio from (n,) or (n, P) arrays; equal weights unless stated."""
    top, bottom = (part[:, None] if part.ndim == 1 else part for part in (numerator, denominator))
    return Ratio(top, bottom, np.ones(top.shape[1]) if weight is None else weight)


def accuracy(outputs: Outputs) -> Ratio:
    """Images with the right class; of a multilabel task, with every label right."""
    found = counts(outputs)
    if outputs.family == "multilabel":
        return _columns((found.fp + found.fn == 0).all(axis=1).astype(float), np.ones(len(found.tp)))
    return _columns(found.tp.sum(axis=1), np.ones(len(found.tp)))


def label_accuracy(outputs: Outputs) -> Ratio:
    """The share of labels that are right in an image."""
    found = counts(outputs)
    return _columns((found.tp + found.tn).mean(axis=1), np.ones(len(found.tp)))


def sensitivity(which: str) -> Parts:
    """Sensitivity, tp / (tp + fn), of every class of `which`: positive, foreground or all."""

    def parts(outputs: Outputs) -> Ratio:
        found, chosen = counts(outputs), outputs.averaged(which)
        return _columns(found.tp[:, chosen], (found.tp + found.fn)[:, chosen])

    return parts


def specificity(which: str) -> Parts:
    """Specificity, tn / (tn + fp) of every class of `which`."""

    def parts(outputs: Outputs) -> Ratio:
        found, chosen = counts(outputs), outputs.averaged(which)
        return _columns(found.tn[:, chosen], (found.tn + found.fp)[:, chosen])

    return parts


def recall_weighted(outputs: Outputs) -> Ratio:
    """Sensitivity weighted by the images of a class: of all labels that are true, those that were found."""
    found, chosen = counts(outputs), outputs.averaged("all")
    return _columns(found.tp[:, chosen].sum(axis=1), (found.tp + found.fn)[:, chosen].sum(axis=1))


def precision(which: str, averaging: Literal["macro", "weighted"] = "macro") -> Parts:
    """Precision, tp / (tp + fp), of every class of `which`.

    A class that is there and never predicted counts 0, as in scikit-learn: left out, it would pay not to predict it.
    """

    def parts(outputs: Outputs) -> Ratio:
        found, chosen = counts(outputs), outputs.averaged(which)
        support = (found.tp + found.fn)[:, chosen]
        weight = support.sum(axis=0) if averaging == "weighted" else None
        ratio = _columns(found.tp[:, chosen], (found.tp + found.fp)[:, chosen], weight)
        return replace(ratio, zero=np.asarray(support.any(axis=0)))

    return parts


def f1(which: str, averaging: Literal["macro", "micro", "weighted"] = "macro") -> Parts:
    """2TP / (2TP + FP + FN), which for pixels is the pooled Dice."""

    def parts(outputs: Outputs) -> Ratio:
        found, chosen = counts(outputs), outputs.averaged(which)
        top = 2 * found.tp[:, chosen]
        bottom = top + (found.fp + found.fn)[:, chosen]
        if averaging == "micro":
            return _columns(top.sum(axis=1), bottom.sum(axis=1))
        support = (found.tp + found.fn)[:, chosen].sum(axis=0)
        return _columns(top, bottom, support if averaging == "weighted" else None)

    return parts


def iou_pooled(outputs: Outputs) -> Ratio:
    """Intersection over union, tp / (tp + fp + fn), of the pixels of all images, per foreground class."""
    found, chosen = counts(outputs), outputs.averaged("foreground")
    return _columns(found.tp[:, chosen], (found.tp + found.fp + found.fn)[:, chosen])


def image_dice(outputs: Outputs, *, empty: Literal["excluded", "one", "truth"] = "excluded") -> Floats:
    """(n, K) Dice per image and class; nan where there is nothing to overlap.

    Args:
        outputs: of a segmentation.
        empty: truth and prediction both empty: ``excluded`` (nan), or ``one``; ``truth``: every image without the
            class in its truth is nan, whatever was predicted.
    """
    found = counts(outputs)
    dice = _divided(2 * found.tp, 2 * found.tp + found.fp + found.fn)
    if empty == "one":
        return np.where(np.isnan(dice), 1.0, dice)
    if empty == "truth":
        return np.where(found.tp + found.fn == 0, np.nan, dice)
    return dice


def image_iou(outputs: Outputs) -> Floats:
    """(n, K) intersection over union per image and class; nan where truth and prediction are both empty."""
    found = counts(outputs)
    return _divided(found.tp, found.tp + found.fp + found.fn)


def _divided(top: Floats, bottom: Floats) -> Floats:
    shares: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return shares


def foreground_mean(outputs: Outputs, scores: Floats) -> Floats:
    """(n,) mean of (n, K) scores over the foreground classes that are defined in an image; nan where none is."""
    foreground = scores[:, outputs.averaged("foreground")]
    defined = ~np.isnan(foreground)
    return _divided(np.where(defined, foreground, 0.0).sum(axis=1), defined.sum(axis=1).astype(float))


def per_image(measure: Callable[[Outputs], Floats]) -> Parts:
    """The mean over images of the mean over foreground classes; undefined images are left out."""

    def parts(outputs: Outputs) -> Ratio:
        scores = foreground_mean(outputs, measure(outputs))
        defined = ~np.isnan(scores)
        return _columns(np.where(defined, scores, 0.0), defined.astype(float))

    return parts


def surface_dice(outputs: Outputs) -> Floats:
    """(n, K) the share of the boundaries within the tolerance; nan where truth and prediction are both empty."""
    assert outputs.nsd is not None
    return outputs.nsd


def pixel_auroc(outputs: Outputs) -> Floats:
    """(n, K) AUROC over the pixels of each image, exact to the width of a histogram bin (1/256)."""
    assert outputs.histogram is not None
    return histogram_auroc(outputs.histogram)


def pixel_ap(outputs: Outputs) -> Floats:
    """(n, K) average precision over the pixels of each image, to the width of a histogram bin."""
    assert outputs.histogram is not None
    return histogram_ap(outputs.histogram)


def pixel_accuracy_pooled(outputs: Outputs) -> Ratio:
    """Right pixels over all pixels."""
    assert outputs.confusion is not None
    right = np.einsum("nkk->n", outputs.confusion).astype(float)
    return _columns(right, outputs.confusion.sum(axis=(1, 2)).astype(float))


def pixel_accuracy_img(outputs: Outputs) -> Ratio:
    """The mean over images of the share of right pixels."""
    pooled = pixel_accuracy_pooled(outputs)
    defined = pooled.denominator > 0
    return Ratio(
        np.where(defined, pooled.numerator, 0) / np.maximum(pooled.denominator, 1),
        defined.astype(np.float64),
        pooled.weight,
    )


def false_positive_images(outputs: Outputs) -> Ratio:
    """Images without a class in which it is predicted, of all images without it."""
    found, chosen = counts(outputs), outputs.averaged("foreground")
    empty = (found.tp + found.fn == 0)[:, chosen]
    return _columns((empty & (found.fp[:, chosen] > 0)).astype(float), empty.astype(float))


def log_loss(outputs: Outputs) -> Ratio:
    """Mean -log p of the truth, clipped at `CLIP`; multilabel: mean over labels; segmentation: per pixel, per image."""
    if outputs.log_loss_sum is not None:
        return _per_pixel(outputs, outputs.log_loss_sum)
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    clipped = np.clip(outputs.probabilities, CLIP, 1 - CLIP)
    if outputs.family == "multilabel":
        loss = -np.where(outputs.truth, np.log(clipped), np.log1p(-clipped)).mean(axis=1)
    else:
        loss = -np.log(clipped[outputs.truth])
    return _columns(loss, np.ones(len(loss)))


def brier(outputs: Outputs) -> Ratio:
    """Squared error of the probabilities: of the positive class (binary), mean over labels (multilabel), else summed over classes."""
    if outputs.brier_sum is not None:
        return _per_pixel(outputs, outputs.brier_sum)
    assert outputs.probabilities is not None
    assert outputs.truth is not None
    squares = (outputs.probabilities - outputs.truth) ** 2
    score = {"binary": squares[:, -1], "multilabel": squares.mean(axis=1)}.get(
        outputs.family, squares.sum(axis=1)
    )
    return _columns(score, np.ones(len(score)))


def _per_pixel(outputs: Outputs, sums: Floats) -> Ratio:
    assert outputs.confusion is not None
    pixels = outputs.confusion.sum(axis=(1, 2)).astype(float)
    return _columns(np.where(pixels > 0, sums, 0) / np.maximum(pixels, 1), (pixels > 0).astype(float))
