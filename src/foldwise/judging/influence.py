"""From outputs to one value per unit (image or group) whose mean is the metric and whose scatter is its uncertainty.

For a mean over units the value is the score itself; for every other metric it is the metric plus the influence of
the unit on it, so that one machinery of variances serves all (statistics.md section 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from foldwise.metrics.outputs import Bools, Floats, Ints, Outputs
from foldwise.metrics.ranking import ranked
from foldwise.metrics.ratios import Ratio
from foldwise.metrics.table import Metric


@dataclass(frozen=True)
class Units:
    """What is sampled independently: groups where there are any, images otherwise.

    Attributes:
        of_case: (n,) the unit of every case, from 0.
        count: G, the number of units.
        grouped: whether some unit has more than one case.
    """

    of_case: Ints
    count: int
    grouped: bool

    @classmethod
    def from_groups(cls, groups: Sequence[str]) -> Units:
        """Units of (n,) group names; an empty name is a group of its own."""
        names = [name or f"\0{index}" for index, name in enumerate(groups)]
        distinct, of_case = np.unique(names, return_inverse=True)
        return cls(of_case.astype(np.int64).reshape(-1), len(distinct), len(distinct) < len(names))

    def sums(self, values: Floats, case: Ints) -> Floats:
        """(G, ...) sums over the cases of every unit of (n', ...) values of the cases `case`."""
        flat = values.reshape(len(values), -1)
        unit = self.of_case[case]
        columns = [
            np.bincount(unit, weights=flat[:, place], minlength=self.count) for place in range(flat.shape[1])
        ]
        return np.stack(columns, axis=1).reshape(self.count, *values.shape[1:]).astype(np.float64)

    @property
    def step(self) -> float:
        """How far one case moves its unit, as a mean over units: 1 where every image stands alone."""
        return float((1 / np.bincount(self.of_case, minlength=self.count)).mean())

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
    if metric.ranking is not None:
        return _ranking(metric.ranking, outputs, units)
    assert metric.parts is not None
    parts = metric.parts(outputs)
    none = parts.denominator.sum(axis=0) == 0
    num_undefined = int((none if parts.zero is None else none & ~parts.zero).sum())
    if metric.groups_equal:
        num_undefined = int((parts.denominator == 0).sum())
    return _ratio(_collapsed(parts, outputs.case, units, equal=metric.groups_equal), num_undefined)


def mean_score(scores_n: Floats, units: Units) -> UnitScores:
    """The mean of a score per case, every unit once; cases where it is nan are left out, and counted."""
    defined = np.isfinite(scores_n)
    parts = Ratio(np.where(defined, scores_n, 0.0)[:, None], defined.astype(float)[:, None], np.ones(1))
    every = np.arange(len(scores_n))
    return _ratio(_collapsed(parts, every, units, equal=True), int((~defined).sum()))


def _collapsed(parts: Ratio, case: Ints, units: Units, *, equal: bool) -> Ratio:
    top, bottom = units.sums(parts.numerator, case), units.sums(parts.denominator, case)
    if equal:  # every unit counts once, with the mean of its images
        defined = bottom > 0
        top, bottom = np.divide(top, bottom, out=np.zeros_like(top), where=defined), defined.astype(float)
    return replace(parts, numerator=top, denominator=bottom)


def _ratio(parts: Ratio, num_undefined: int) -> UnitScores:
    total = parts.denominator.sum(axis=0)
    counts = total > 0 if parts.zero is None else (total > 0) | parts.zero
    weight = np.where(counts, parts.weight, 0.0)
    if weight.sum() == 0:
        return UnitScores(float("nan"), np.full(len(parts.numerator), np.nan), 0.0, num_undefined)
    weight = weight / weight.sum()
    safe = np.where(total > 0, total, 1.0)
    ratios = parts.numerator.sum(axis=0) / safe
    estimate = float(weight @ ratios)
    influence = len(parts.numerator) * (parts.numerator - ratios * parts.denominator) / safe
    num_units = np.maximum((parts.denominator > 0).sum(axis=0), 1)
    return UnitScores(
        estimate, estimate + influence @ weight, float(1 / (weight**2 / num_units).sum()), num_undefined
    )


def _ranking(kind: str, outputs: Outputs, units: Units) -> UnitScores:
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    asked = outputs.averaged("positive" if outputs.family == "binary" else "all")
    chosen = [k for k in asked if k not in outputs.unranked] or asked
    done = [ranked(kind, outputs.truth[:, k], outputs.probabilities[:, k], outputs.fold) for k in chosen]
    kept = [(k, one) for k, one in zip(chosen, done, strict=True) if not np.isnan(one.estimate)]
    num_undefined = len(asked) - len(kept)
    if not kept:
        return UnitScores(float("nan"), np.full(units.count, np.nan), 0.0, num_undefined, 0)
    estimate = float(np.mean([one.estimate for _, one in kept]))
    influence = np.mean([one.values - one.estimate for _, one in kept], axis=0)
    collapsed = units.sums(influence, outputs.case) * units.count / len(outputs.case)
    rarest = [units.rarer(outputs.truth[:, k], outputs.case) for k, _ in kept]
    support = 2 * len(kept) / sum(1 / max(number, 1) for number in rarest)
    return UnitScores(estimate, estimate + collapsed, support, num_undefined, min(rarest))
