"""AUROC and average precision, within folds, with the influence of every case on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from foldwise.metrics.outputs import Bools, Floats, Ints

MIN_POSITIVES = 10  # below this many positive units a class is described, not tested (statistics.md 1.4)
# Pixels in a bin between two empty ones. Where scores vary smoothly, a third of three bins' pixels is in the middle one:
# all of 20 are there once in 3e9 times.
MIN_TIED = 20
_ROWS = 256  # of histograms at once
# Of Gauss-Legendre quadrature, from 0 to 1.
_NODES, _WEIGHTS = (0.5 + 0.15**0.5, 0.5, 0.5 - 0.15**0.5), (5 / 18, 8 / 18, 5 / 18)


@dataclass(frozen=True)
class Ranked:
    """A ranking score (...) and (..., n) values per case whose mean it is and whose scatter is that of the score."""

    estimate: Floats
    values: Floats


def placements(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """The structural components of DeLong 1988: of every positive, the share of negatives it beats; of every negative, the share of positives that beat it.

    Ties count half. Of `positive` (n,) and `scores` (..., n). Source: DeLong, DeLong & Clarke-Pearson 1988.
    """
    falling = _Falling.of(positive, scores)
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    # Those above, and half of those that are tied.
    true_above, above = ((part[0] + part[1]) / 2 for part in (falling.true_counts, falling.counts))
    beating = falling.unsorted(1 - (num_positive - true_above) / max(num_positive, 1))
    beaten = falling.unsorted((num_negative - (above - true_above)) / max(num_negative, 1))
    lost = np.isnan(scores).any(axis=-1, keepdims=True)  # has no place among others
    beaten, beating = np.where(lost, np.nan, beaten), np.where(lost, np.nan, beating)
    return beaten.compress(positive, axis=-1), beating.compress(~positive, axis=-1)


@dataclass(frozen=True)
class _Falling:
    """Scores (..., n) from the highest down.

    Attributes:
        order: the case at each place.
        positive: whether it is of the class.
        first, last: the first and the last place with the same score.
    """

    order: Ints
    positive: Bools
    first: Ints
    last: Ints

    @classmethod
    def of(cls, positive: Bools, scores: Floats) -> _Falling:
        order = np.argsort(-scores, axis=-1, kind="stable")
        falling, places = np.take_along_axis(scores, order, axis=-1), np.arange(scores.shape[-1])
        left, right = falling[..., :-1], falling[..., 1:]
        ends = np.ones(scores.shape, dtype=bool)
        ends[..., :-1] = (left != right) & ~(np.isnan(left) & np.isnan(right))
        begins = np.roll(ends, 1, axis=-1)
        first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
        last = np.where(ends, places, len(places))[..., ::-1]
        return cls(order, positive[order], first, np.minimum.accumulate(last, axis=-1)[..., ::-1])

    @property
    def counts(self) -> tuple[Ints, Ints]:
        """How many cases have a higher score than each place, and how many one as high."""
        return self.first, self.last + 1

    @property
    def true_counts(self) -> tuple[Ints, Ints]:
        """The same of the positives."""
        return self.before(self.positive), self.through(self.positive)

    def before(self, values: NDArray[Any]) -> NDArray[Any]:
        """The sum of the values at all higher scores."""
        summed = np.zeros((*values.shape[:-1], values.shape[-1] + 1), dtype=np.cumsum(values[..., :1]).dtype)
        np.cumsum(values, axis=-1, out=summed[..., 1:])
        return np.take_along_axis(summed, self.first, axis=-1)

    def through(self, values: NDArray[Any]) -> NDArray[Any]:
        """The sum of the values at all scores as high or higher."""
        return np.take_along_axis(np.cumsum(values, axis=-1), self.last, axis=-1)

    def rest(self, values: Floats) -> Floats:
        """The sum of the values at all scores as high or lower."""
        return np.asarray(values.sum(axis=-1, keepdims=True) - self.before(values))

    def unsorted(self, values: Floats) -> Floats:
        """Values by place, by case."""
        by_case = np.empty_like(values)
        np.put_along_axis(by_case, self.order, values, axis=-1)
        return by_case


def average_precision(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Average precision (...) and (..., n) what it would be without each case (exact, in one pass); nan without positives.

    Of `positive` (n,) and `scores` (..., n). Ties share a threshold, as in scikit-learn. Where only one positive is left
    to leave out, the score stays.
    """
    num_positive = int(positive.sum())
    if num_positive == 0:
        return np.full(scores.shape[:-1], np.nan), np.full(scores.shape, np.nan)
    falling = _Falling.of(positive, scores)
    num_above = falling.last + 1.0  # cases at or above the threshold
    true_above = falling.through(falling.positive).astype(np.float64)
    fewer = np.maximum(num_above - 1, 1)
    precision = falling.positive * true_above / num_above
    unchanged = falling.before(precision)
    without_negative = falling.rest(falling.positive * true_above / fewer)
    own = falling.positive * (true_above - 1) / fewer
    without_positive = falling.rest(own) - own
    whole = precision.sum(axis=-1) / num_positive
    if num_positive == 1:
        less = np.where(falling.positive, whole[..., None], unchanged + without_negative)
    else:
        left = (unchanged + without_positive) / (num_positive - 1)
        less = np.where(falling.positive, left, (unchanged + without_negative) / num_positive)
    return np.asarray(whole), falling.unsorted(less)


def _auroc_in_fold(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    of_positives, of_negatives = placements(positive, scores)
    area, total = of_positives.mean(axis=-1), len(positive)
    scatter = np.empty(scores.shape)
    for side, components in ((positive, of_positives), (~positive, of_negatives)):
        size = components.shape[-1]
        # Centred within the fold, m values have m-1 degrees of freedom; a lone one says nothing about scatter.
        correction = np.sqrt(size / (size - 1)) if size > 1 else 0.0
        scatter[..., side] = total * correction * (components - area[..., None]) / size
    return area, scatter


def _ap_in_fold(positive: Bools, scores: Floats) -> tuple[Floats, Floats]:
    score, without = average_precision(positive, scores)
    jackknifed = (len(positive) - 1) * (without.mean(axis=-1, keepdims=True) - without)
    return score, jackknifed


@dataclass(frozen=True)
class Ranking:
    """A score of a ranking within one fold, and the weight of that fold in the mean over folds.

    Attributes:
        weight: positives (n,) bool to the weight; 0 where the fold cannot be scored.
        in_fold: positives (n,) and scores (..., n) to the score (...) and (..., n) its scatter over cases, which sums to 0.
    """

    weight: Callable[[Bools], float]
    in_fold: Callable[[Bools, Floats], tuple[Floats, Floats]]


AUROC = Ranking(lambda positive: float(positive.sum()) * float((~positive).sum()), _auroc_in_fold)
AVERAGE_PRECISION = Ranking(lambda positive: float(positive.sum()), _ap_in_fold)


def ranked(ranking: Ranking, positive: Bools, scores: Floats, fold: Ints) -> Ranked:
    """The mean over folds of a ranking score within each fold; scores of different folds are never pooled.

    `AUROC` weighs folds by positives x negatives, `AVERAGE_PRECISION` by positives. `scores` are (..., n), the others (n,).

    Returns:
        nan where no fold can be scored. The mean of `values` over a fold follows the score of that fold, so that
        the run variance sees how folds differ.
    """
    members = {int(number): fold == number for number in np.unique(fold)}
    weights = {number: ranking.weight(positive[cases]) for number, cases in members.items()}
    total = sum(weights.values())
    if total == 0:
        return Ranked(np.full(scores.shape[:-1], np.nan), np.full(scores.shape, np.nan))
    in_folds = {
        number: ranking.in_fold(positive[members[number]], scores.compress(members[number], axis=-1))
        for number, weight in weights.items()
        if weight
    }
    estimate = np.asarray(sum(weights[number] * score for number, (score, _) in in_folds.items()) / total)
    values = np.empty(scores.shape)
    values[...] = estimate[..., None]
    for number, (score, scatter) in in_folds.items():
        share = weights[number] / total * scores.shape[-1] / members[number].sum()
        values[..., members[number]] += share * (scatter + score[..., None] - estimate[..., None])
    return Ranked(estimate, values)


def histogram_auroc(histogram: Ints) -> Floats:
    """AUROC from (..., 2, bins) counts of negatives and positives by score; nan where one of them is empty.

    Within a bin, densities go up or down in a straight line, as the neighbouring bins have it.
    """
    negative, positive = histogram[..., 0, :].astype(np.float64), histogram[..., 1, :].astype(np.float64)
    beaten = np.cumsum(negative, axis=-1) - negative / 2
    # Two densities 1 + a t and 1 + b t, t from -1/2 to 1/2: the first one is above the second 1/2 + (a - b) / 12 often.
    inside = (_slopes(positive) * negative - positive * _slopes(negative)) / 12
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (positive * beaten + inside).sum(-1) / (positive.sum(-1) * negative.sum(-1))
    return area


def histogram_ap(histogram: Ints) -> Floats:
    """Average precision from (..., 2, bins) counts of negatives and positives by score; nan without positives.

    Within a bin it is the mean over all orders, with densities as in `histogram_auroc`. Scores that are tied share a
    threshold, as in scikit-learn: those of the outermost bins, and `MIN_TIED` or more between two empty bins.
    """
    rows = histogram.reshape(-1, *histogram.shape[-2:])
    # A thousand images have histograms of megabytes, and this takes twenty times as much.
    parts = [_ap_of_rows(rows[start : start + _ROWS]) for start in range(0, max(len(rows), 1), _ROWS)]
    return np.concatenate(parts).reshape(histogram.shape[:-2])


def _ap_of_rows(histogram: Ints) -> Floats:
    falling = histogram[..., ::-1].astype(np.float64)
    positive, every = falling[..., 1, :], falling.sum(-2)
    true_above, all_above = np.cumsum(positive, -1) - positive, np.cumsum(every, -1) - every
    step = positive * (true_above + positive) / np.maximum(all_above + every, 1)
    parts = np.where(_tied(every), step, _ap_of_mixed(positive, every, true_above, all_above))
    slopes = _slopes(positive), _slopes(falling[..., 0, :])
    parts += _ap_of_slopes((positive, every), (true_above, all_above), (slopes[0], slopes[0] + slopes[1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        score: Floats = parts.sum(-1) / positive.sum(-1)
    return score


def _slopes(counts: Floats) -> Floats:
    """By how much a density rises from one end of its bin to the other; 0 at peaks and in the outermost bins.

    The limited slopes of van Leer 1977, doi:10.1016/0021-9991(77)90095-X: no density falls below 0.
    """
    steps = np.diff(counts, axis=-1)
    left, right = steps[..., :-1], steps[..., 1:]
    size = np.minimum(2 * np.minimum(np.abs(left), np.abs(right)), np.abs(left + right) / 2)
    slopes = np.zeros_like(counts)
    slopes[..., 1:-1] = np.where(left * right > 0, np.copysign(size, left), 0.0)
    return slopes


def _tied(every: Floats) -> Bools:
    """Whether the scores of each bin are held to be equal."""
    tied = np.ones(every.shape, dtype=bool)
    empty = every == 0
    tied[..., 1:-1] = (every[..., 1:-1] >= MIN_TIED) & empty[..., :-2] & empty[..., 2:]
    return tied


def _ap_of_mixed(positive: Floats, every: Floats, true_above: Floats, all_above: Floats) -> Floats:
    """(..., bins) the sum of the precision at each positive of a bin, the mean over all orders within it."""
    # The i-th of a bin is a positive with probability positive / every; then so many more are expected before it:
    further = np.where(every > 1, (positive - 1) / np.maximum(every - 1, 1), 0.0)
    # The sum of 1 / (all_above + i), i from 1 to every. Of many, the logarithm is exact to 1e-9, and loses no digits.
    harmonic = np.log1p(every / (all_above + 0.5))
    few = all_above < 1e4
    harmonic[few] = digamma(all_above[few] + every[few] + 1) - digamma(all_above[few] + 1)
    sums = further * every + (true_above + 1 - further * (1 + all_above)) * harmonic
    return np.asarray(positive / np.maximum(every, 1) * sums)


def _ap_of_slopes(
    inside: tuple[Floats, Floats], above: tuple[Floats, Floats], slopes: tuple[Floats, Floats]
) -> Floats:
    """(..., bins) what slopes of the density change of it; each pair is of positives and of all pixels."""
    changed = np.zeros_like(inside[0])
    for share, weight in zip(_NODES, _WEIGHTS, strict=True):
        bend = (share**2 - share) / 2
        even = [before + share * own for before, own in zip(above, inside, strict=True)]
        bent = [without + bend * slope for without, slope in zip(even, slopes, strict=True)]
        rising = inside[0] + (share - 0.5) * slopes[0]
        # Where nothing lies above, both of a quotient are 0.
        changed += weight * rising * bent[0] / np.where(bent[1] > 0, bent[1], 1)
        changed -= weight * inside[0] * even[0] / np.where(even[1] > 0, even[1], 1)
    return changed
