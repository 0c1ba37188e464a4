"""Every pair of configurations: which is better, whether they are equivalent, or what it would take to tell.

All statements hold together: a pair is told apart, or called equivalent, by an interval that is simultaneous over all
pairs, so that with confidence 1 - alpha not one of them is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from foldwise.judging.statistics.inference import POWER, Comparison
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import Conclusion


@dataclass(frozen=True)
class Pair:
    """The configuration with the higher estimate, `a`, against another, `b`; both by their place.

    Attributes:
        conclusion: ``better``: a, beyond chance and by more than the margin leaves open. ``equivalent``: the whole interval
            lies within the margin, whether or not the two differ beyond chance. Else ``not distinguishable``.
        difference: estimate of a minus that of b, 0 or more.
        low, high: of this pair alone.
        low_all, high_all: simultaneous over all pairs; `conclusion` rests on it.
        p, p_all: of this pair alone, and adjusted for all pairs by max |t|.
        minimal_detectable_difference: what a test of all pairs would have seen with 80 % power.
    """

    a: int
    b: int
    conclusion: Conclusion
    difference: float
    low: float
    high: float
    low_all: float
    high_all: float
    p: float
    p_all: float
    minimal_detectable_difference: float


def all_pairs(variance: Variance, comparison: Comparison, *, alpha: float, margin: float) -> list[Pair]:
    """One `Pair` for every two configurations, best first.

    Args:
        variance: from `estimate_variance`; higher is better.
        comparison: from `inference.compare` of it.
        alpha: 1 - confidence.
        margin: a difference within it is of no consequence.
    """
    order = np.argsort(-variance.estimate, kind="stable")
    quantile, alone_CC = comparison.pairs_quantile, comparison.alone * variance.of_differences()
    # 80 % power; never below what one planned pair takes, as the quantile of few pairs in few draws can be.
    seen = max(quantile, float(norm.ppf(1 - alpha / 2))) + POWER
    made = []
    for rank, a in enumerate(order):
        for b in order[rank + 1 :]:
            difference = float(variance.estimate[a] - variance.estimate[b])
            error, alone = float(comparison.error_all[a, b]), float(alone_CC[a, b])
            together = quantile * error
            made.append(
                Pair(
                    a=int(a),
                    b=int(b),
                    conclusion=conclusion_of(difference, together, margin),
                    difference=difference,
                    low=max(difference - alone, -variance.reach),
                    high=min(difference + alone, variance.reach),
                    low_all=max(difference - together, -variance.reach),
                    high_all=min(difference + together, variance.reach),
                    p=float(comparison.p_alone[a, b]),
                    p_all=float(comparison.p_pairs[a, b]),
                    minimal_detectable_difference=seen * error,
                )
            )
    return made


def conclusion_of(difference: float, half: float, margin: float) -> Conclusion:
    """What an interval of this half width says of a difference that is 0 or more."""
    if difference + half <= margin:  # its other end is nearer to 0 or beyond it by less
        return "equivalent"
    return "better" if difference - half > 0 else "not distinguishable"
