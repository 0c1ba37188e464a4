"""From outputs to one value per unit (image or group) whose mean is the metric and whose scatter is its uncertainty.

For a mean over units the value is the score itself; for every other metric it is the metric plus the influence of
the unit on it, so that one machinery of variances serves all (statistics.md section 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from foldwise.metrics.confusion import ConfusionFunction, cells
from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs, stacked, totals
from foldwise.metrics.ranking import Ranked, Ranking, ranked
from foldwise.metrics.ratios import Ratio
from foldwise.metrics.table import Metric


@dataclass(frozen=True)
class Units:
    """What is sampled independently: groups where there are any, images otherwise.

    Attributes:
        of_case: (n,) the unit of every case, from 0; -1 of a case that is never tested.
        count: G, the number of units.
        grouped: whether some unit has more than one case.
    """

    of_case: Ints
    count: int
    grouped: bool

    @classmethod
    def from_groups(cls, groups: Sequence[str], tested: Ints | None = None) -> Units:
        """Units of (n,) group names; an empty name is a group of its own.

        Args:
            tested: the cases that are scored, all where None; the others are of no unit.
        """
        names = np.array([name or f"\0{index}" for index, name in enumerate(groups)], dtype=str)
        chosen = np.arange(len(names)) if tested is None else tested
        distinct, unit = np.unique(names[chosen], return_inverse=True)
        of_case = np.full(len(names), -1, np.int64)
        of_case[chosen] = unit.reshape(-1)
        return cls(of_case, len(distinct), len(distinct) < len(chosen))

    @property
    def sizes(self) -> Ints:
        """(G,) tested cases of every unit."""
        return np.bincount(self.of_case[self.of_case >= 0], minlength=self.count)

    def sums(self, values: Floats, case: Ints) -> Floats:
        """(..., G) sums over the cases of every unit of (..., n') values of the cases `case`."""
        return totals(self.of_case[case], self.count, values)

    @property
    def step(self) -> float:
        """How far one case moves its unit, as a mean over units: 1 where every image stands alone."""
        return float((1 / self.sizes).mean())

    def rarer(self, present: Bools, case: Ints) -> int:
        """Units of the cases `case` with a class, or without it, whichever are fewer; `present` is (n',)."""
        having = [
            np.count_nonzero(self.sums((present == wanted).astype(float), case)) for wanted in (True, False)
        ]
        return int(min(having))

    def folds(self, outputs: Outputs) -> Ints:
        """(G,) the test fold of every unit; a group is never in two."""
        fold = np.zeros(self.count, dtype=np.int64)
        fold[self.of_case[outputs.case]] = outputs.fold
        return fold


@dataclass(frozen=True)
class UnitScores:
    """A metric of one configuration in one repeat.

    Attributes:
        estimate: nan where it is undefined.
        values: (G,) with mean `estimate`.
        support: the number of units it rests on; of a mean over classes the harmonic one.
        num_undefined: classes (or images, for a score per image) that could not be scored and are left out.
        num_positives: of the rarest class scored, for rankings; else None.
    """

    estimate: float
    values: Floats
    support: float
    num_undefined: int
    num_positives: int | None = None


def unit_scores(metric: Metric, outputs: Outputs, units: Units) -> UnitScores:
    """The metric, and what every unit adds to it."""
    return unit_scores_of_each(metric, stacked([outputs]), units)[0]


def unit_scores_of_each(metric: Metric, outputs: Outputs, units: Units) -> list[UnitScores]:
    """As `unit_scores`, of every configuration of `stacked` outputs."""
    if isinstance(metric.formula, Ranking):
        return _of_ranking(metric.formula, outputs, units)
    if isinstance(metric.formula, ConfusionFunction):
        return _of_confusion(metric.formula, outputs, units)
    assert metric.formula is not None, f"{metric.name} is averaged only, by mean_score"
    ratio = metric.formula(outputs)
    undefined = ratio.undefined.sum(axis=-1)
    if metric.groups_equal:
        undefined = (ratio.denominator == 0).sum(axis=(-2, -1))
    return _of_ratio(_by_unit(ratio, outputs.case, units, equal=metric.groups_equal), undefined)


def value_of(metric: Metric, outputs: Outputs) -> float:
    """The metric of a set of images, each counted once whatever its group; nan where it is undefined."""
    images = np.arange(len(outputs.case))
    alone = Units(images, len(images), grouped=False)
    if isinstance(metric.formula, (Ranking, ConfusionFunction)):
        return unit_scores(metric, replace(outputs, case=images), alone).estimate
    assert metric.formula is not None
    ratio = metric.formula(outputs)
    # Images that do not count would change the order of the sums, and with it the last digit.
    counts = ratio.denominator.any(axis=1)
    counted = replace(ratio, numerator=ratio.numerator[counts], denominator=ratio.denominator[counts])
    return float(_estimate(counted)[0])


def mean_score(scores_n: Floats, units: Units) -> UnitScores:
    """The mean of a score per case, every unit once; cases where it is nan are left out, and counted."""
    defined = np.isfinite(scores_n)
    values_n, counts_n = np.where(defined, scores_n, 0.0), defined.astype(float)
    ratio = Ratio(values_n[None, :, None], counts_n[None, :, None], np.ones(1))
    cases, undefined = np.arange(len(scores_n)), (~defined).sum(keepdims=True)
    return _of_ratio(_by_unit(ratio, cases, units, equal=True), undefined)[0]


def _by_unit(ratio: Ratio, case: Ints, units: Units, *, equal: bool) -> Ratio:
    """A ratio of sums over cases as one of sums over units; `equal`: every unit counts once, with its mean."""
    top, bottom = (
        np.ascontiguousarray(np.moveaxis(units.sums(np.moveaxis(part, -2, -1), case), -1, -2))
        for part in (ratio.numerator, ratio.denominator)
    )
    if equal:
        defined = bottom > 0
        top, bottom = np.divide(top, bottom, out=np.zeros_like(top), where=defined), defined.astype(float)
    return replace(ratio, numerator=top, denominator=bottom)


def _estimate(ratio: Ratio) -> tuple[Floats, Floats, Floats]:
    """(...) the weighted mean of the ratios, nan where none is defined; and (..., P) the ratios and their weights."""
    weight = np.where(ratio.undefined, 0.0, ratio.weight)
    whole = weight.sum(axis=-1, keepdims=True)
    weight = weight / np.where(whole > 0, whole, 1.0)
    total = ratio.denominator.sum(axis=-2)
    ratios = ratio.numerator.sum(axis=-2) / np.where(total > 0, total, 1.0)
    return np.where(whole[..., 0] > 0, np.vecdot(weight, ratios), np.nan), ratios, weight


def _of_ratio(ratio: Ratio, num_undefined: Ints) -> list[UnitScores]:
    """The delta method: moved by one unit, N / D changes by (n_i - N/D d_i) / D, to first order."""
    estimate, ratios, weight = _estimate(ratio)
    total = ratio.denominator.sum(axis=-2, keepdims=True)
    apart = ratio.numerator - ratios[..., None, :] * ratio.denominator
    influence = ratio.numerator.shape[-2] * apart / np.where(total > 0, total, 1.0)
    values = estimate[..., None] + np.matmul(influence, weight[..., None])[..., 0]
    num_units = np.maximum((ratio.denominator > 0).sum(axis=-2), 1)
    worth = (weight**2 / num_units).sum(axis=-1)
    support = np.divide(1, worth, out=np.zeros_like(worth), where=worth > 0)
    return _each(estimate, values, support, num_undefined)


def _each(
    estimate: Floats, values: Floats, support: Floats, num_undefined: Ints, num_positives: Ints | None = None
) -> list[UnitScores]:
    """The scores of every configuration, from arrays that have them along the first axis."""
    positives = [None] * len(estimate) if num_positives is None else num_positives.tolist()
    return [
        UnitScores(*own)
        for own in zip(
            estimate.tolist(), values, support.tolist(), num_undefined.tolist(), positives, strict=True
        )
    ]


def _of_confusion(function: ConfusionFunction, outputs: Outputs, units: Units) -> list[UnitScores]:
    """To first order a unit adds to the metric its counts times the derivative by each count.

    These influences sum to zero, since no such metric changes where all counts are doubled (Euler's theorem).
    """
    total_KK, of_case = cells(outputs)
    value, derivative_KK = function.of(total_KK)
    influence = units.sums(of_case(derivative_KK), outputs.case) * units.count
    counting = units.sums(of_case(np.ones_like(total_KK)), outputs.case)
    support = np.where(np.isnan(value), 0.0, np.count_nonzero(counting, axis=-1))
    return _each(value, value[..., None] + influence, support, np.isnan(value).astype(np.int64))


def ranked_class(ranking: Ranking, outputs: Outputs, k: int) -> Ranked:
    """The ranking of one class against the rest; computed once, as averages and the table of classes both have it."""
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    if (ranking, k) not in outputs.ranked:
        pair = outputs.truth[:, k], outputs.probabilities[..., k]
        outputs.ranked[ranking, k] = ranked(ranking, *pair, outputs.fold)
    made: Ranked = outputs.ranked[ranking, k]
    return made


def _of_ranking(ranking: Ranking, outputs: Outputs, units: Units) -> list[UnitScores]:
    assert outputs.truth is not None
    averaged = outputs.averaged("positive" if outputs.family == "binary" else "all")
    chosen = [k for k in averaged if k not in outputs.unranked] or averaged
    scores = [ranked_class(ranking, outputs, k) for k in chosen]
    estimates = np.stack([score.estimate for score in scores], axis=-1)
    defined = ~np.isnan(estimates)
    number = defined.sum(axis=-1)
    some = np.maximum(number, 1)
    estimate = np.where(number > 0, np.where(defined, estimates, 0.0).sum(axis=-1) / some, np.nan)
    apart = [
        np.where(np.isnan(estimate_of_class), 0.0, score.values.T - estimate_of_class).T
        for estimate_of_class, score in zip(estimates.T, scores, strict=True)
    ]
    influence = np.sum(apart, axis=0) / some[:, None]
    by_unit = units.sums(influence, outputs.case) * units.count / len(outputs.case)
    rarest = np.array([units.rarer(outputs.truth[:, k], outputs.case) for k in chosen])
    # Twice the rarer side, which is every unit where both sides are equally many.
    seldom = np.where(defined, 1 / np.maximum(rarest, 1), 0.0).sum(axis=-1)
    support = 2 * number / np.where(number > 0, seldom, 1.0)
    fewest = np.where(number > 0, np.where(defined, rarest, rarest.max()).min(axis=-1), 0)
    return _each(estimate, estimate[:, None] + by_unit, support, len(averaged) - number, fewest)
