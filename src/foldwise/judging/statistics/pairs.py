"""Every pair of configurations: which is better, whether they are equivalent, or what it would take to tell.

All statements hold together: a pair is told apart, or called equivalent, by its interval in `inference.Comparison`, which
is simultaneous over all comparisons with the best or over all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from foldwise.judging.statistics.inference import POWER, Comparison
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import Conclusion, Family


@dataclass(frozen=True)
class Pair:
    """The configuration with the higher estimate, `a`, against another, `b`; both by their place.

    Attributes:
        conclusion: ``better``: a, beyond chance. ``equivalent``: the whole interval
            lies within the margin, whether or not the two differ beyond chance. Else ``not distinguishable``.
        difference: estimate of a minus that of b, 0 or more.
        low, high: of this pair alone.
        family: over what `low_all` and `high_all` are simultaneous; `conclusion` rests on them.
        p, p_all: of this pair alone, and adjusted for the family.
        minimal_detectable_difference: what a test of that family would have seen with 80 % power.
    """

    a: int
    b: int
    conclusion: Conclusion
    family: Family
    difference: float
    low: float
    high: float
    low_all: float
    high_all: float
    p: float
    p_all: float
    minimal_detectable_difference: float


def all_pairs(
    variance: Variance, comparison: Comparison, *, alpha: float, margin: float, of: int | None = None
) -> list[Pair]:
    """One `Pair` for every two configurations, best first.

    Args:
        variance: from `estimate_variance`; higher is better.
        comparison: from `inference.compare` of it.
        alpha: 1 - confidence.
        margin: a difference within it is of no consequence.
        of: only pairs of this configuration; of 500 all are 124,750.
    """
    order = np.argsort(-variance.estimate, kind="stable")
    planned = float(norm.ppf(1 - alpha / 2))
    a, b = (order[rank] for rank in np.triu_indices(len(order), 1))
    if of is not None:
        own = (a == of) | (b == of)
        a, b = a[own], b[own]
    best = (a == comparison.winner) & comparison.clear
    # 80 % power; never below what one planned pair takes, as the limit of few pairs in few draws can be.
    limit = np.maximum(np.where(best, comparison.best_limit, comparison.pairs_limit), planned)
    difference = variance.estimate[a] - variance.estimate[b]
    alone = comparison.alone[a, b] * variance.of_differences()[a, b]
    columns: dict[str, NDArray[Any]] = {
        "a": a,
        "b": b,
        "family": np.where(best, "best", "all pairs"),
        "difference": difference,
        "low": np.maximum(difference - alone, -variance.reach),
        "high": np.minimum(difference + alone, variance.reach),
        "low_all": comparison.low[a, b],
        "high_all": -comparison.low[b, a],
        "p": comparison.p_alone[a, b],
        "p_all": comparison.p_better[a, b],
        "minimal_detectable_difference": (limit + POWER) * comparison.error_all[a, b],
    }
    names, rows = list(columns), zip(*(column.tolist() for column in columns.values()), strict=True)
    pairs = (dict(zip(names, row, strict=True)) for row in rows)
    return [
        Pair(conclusion=conclusion_of(pair["low_all"], pair["high_all"], margin), **pair) for pair in pairs
    ]


def conclusion_of(low: float, high: float, margin: float) -> Conclusion:
    """What an interval of a difference says of it."""
    if -margin <= low and high <= margin:
        return "equivalent"
    return "better" if low > 0 else "not distinguishable"
