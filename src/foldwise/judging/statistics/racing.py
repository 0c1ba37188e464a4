"""Which configurations a look into a study that still runs may rule out: those that the verdict's own test does.

The test is `inference.compare` of what all have in common so far, at the error of one look. So a look keeps, with
confidence 1 - alpha, everything that is truly as good as the best; and however looks hang together, all of them and the
comparison at the end keep it with confidence 1 - the sum of their errors (Bonferroni). Where some are ruled out, the
others are compared again, without them: the first one lost that is as good as the best would be lost to a test of all that
were left, whose limit is that of no fewer than all of the best (as in the model confidence set of Hansen, Lunde and
Nason 2011, Econometrica 79:453).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from foldwise.judging.statistics.draws import MOST_DRAWS
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.power import DRAWS, Design, Scatter, foretold
from foldwise.judging.statistics.variance import UNBOUNDED, estimate_variance
from foldwise.metrics.outputs import Floats, Ints

SPREAD = 0.15  # from the best to the worst configuration, of the range of the metric, where nothing is known of them


@dataclass(frozen=True)
class InterimScores:
    """What a look has before it.

    Attributes:
        scores_CRn: of every configuration, repeat and unit so far; higher is better, no nan.
        folds_Rn: the test fold of every unit in every repeat.
        num_folds: of the study, of which these may be some.
        floor, bounds: as of `estimate_variance`.
    """

    scores_CRn: Floats
    folds_Rn: Ints
    num_folds: int
    floor: float = 0.0
    bounds: tuple[float, float] = UNBOUNDED


def ruled_out(
    look: InterimScores,
    *,
    alpha: float,
    least_left: int,
    exempt: Collection[int] = (),
    most: int = MOST_DRAWS,
) -> dict[int, float]:
    """The rows that are shown not to be best, each with its p value.

    Args:
        look: what is known.
        alpha: the error of this look.
        least_left: rows that are left in any case: of more that could go, those with the least p values go.
        exempt: rows that are never ruled out.
        most: draws, as of `compare`.
    """
    out: dict[int, float] = {}
    left = np.arange(len(look.scores_CRn))
    while len(left) > least_left and _knows_runs(look):
        variance = estimate_variance(
            look.scores_CRn[left],
            look.folds_Rn,
            floor=look.floor,
            bounds=look.bounds,
            num_folds=look.num_folds,
        )
        comparison = compare(variance, alpha=alpha, most=most)
        lost = [c for c in np.flatnonzero(~comparison.could_be_best) if left[c] not in exempt]
        lost.sort(key=lambda c: (comparison.p[c], variance.estimate[c]))
        lost = lost[: len(left) - least_left]
        if not lost:
            break
        out |= {int(left[c]): float(comparison.p[c]) for c in lost}
        left = np.delete(left, lost)
    return out


def _knows_runs(look: InterimScores) -> bool:
    """Whether folds or repeats tell of the luck of a run: where they do not, a test would know of images only."""
    repeats = len(look.folds_Rn)
    return repeats > 1 or len(np.unique(look.folds_Rn)) > 1


def expected_share(
    scatter: Scatter, design: Design, looks: Sequence[tuple[int, int]], units: Sequence[int], *, alpha: float
) -> float:
    """The share of the fits of a study that a race is expected to spare, before anything is trained.

    Configurations are taken to lie evenly from the best down to `SPREAD` below it. One is ruled out at the first look at
    which a difference as large as its own is beyond the limit, which half of such studies see.

    Args:
        scatter, design: as of `power.planned`.
        looks: repeat and fold of each.
        units: images, or groups of them, that are tested in the first folds: of one, of two, and so on to all.
        alpha: the error of one look.
    """
    behind = np.linspace(0.0, SPREAD, design.num_configurations)
    spared, total = np.zeros(len(behind)), design.folds * design.repeats
    for repeat, fold in reversed(looks):
        counted = design.units * units[fold] / units[-1]  # of unbalanced classes fewer count
        part = replace(design, units=counted, folds=fold + 1, repeats=repeat + 1)
        variance = foretold(scatter, part, num_folds=design.folds)
        comparison = compare(variance, alpha=alpha, draws=DRAWS, most=DRAWS)
        far = comparison.pairs_limit * float(comparison.error_all[0, 1])
        spared[behind > far] = 1 - (repeat * design.folds + fold + 1) / total
    return float(spared.mean())
