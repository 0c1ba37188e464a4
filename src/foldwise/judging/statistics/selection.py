"""What the winner would score on new images, freed from the luck that made it the winner (BBC-CV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foldwise.judging.statistics.intervals import Interval
from foldwise.judging.statistics.variance import Variance
from foldwise.metrics.outputs import Floats

BOOTSTRAPS, FEWER, MANY_UNITS = 1000, 300, 5000
DRAWS = 1000  # of the luck with runs, and as many with all signs turned
CHUNK = 50


@dataclass(frozen=True)
class Selected:
    """The winner's expected score, corrected for having been selected.

    Attributes:
        naive: the highest estimate, as it stands in the table.
        corrected: the mean score of the bootstrap's winners on the units they were not chosen on, less the luck with
            runs that makes a winner.
        low, high: the interval that a score has, around the corrected one; the lower end also around what is left if
            overlapping training sets share as much luck as is assumed of them.
        optimism: naive - corrected.
    """

    naive: float
    corrected: float
    low: float
    high: float

    @property
    def optimism(self) -> float:
        """How much of the naive score is the luck of selection."""
        return self.naive - self.corrected


def selected_score(
    scores_Cn: Floats, variance: Variance, around: Callable[[float], Interval], *, seed: int = 0
) -> Selected:
    """Choose on bootstrapped units, score on the rest, many times; Tsamardinos, Greasidou & Borboudakis 2018.

    That frees the score of the luck with images. The weights are the same in every bootstrap, so the luck with runs is
    left, which on many images is most of it: `run_luck` is taken off too. How much of that luck training sets share which
    overlap, no study can see; networks that were really trained showed little of it, so the corrected score has lost the
    luck of independent runs only, and the interval allows for both. The percentiles of theirs are not used: they know of images and not of runs, which on many images is most of what is
    not known, and near a perfect score they are far too narrow.

    Args:
        scores_Cn: (C, n) of every configuration and unit, mean over repeats, higher is better.
        variance: how far the estimates could be off.
        around: the interval of the winner's score, had it been this.
        seed: of the bootstrap.
    """
    n = scores_Cn.shape[1]
    rng = np.random.default_rng(seed)
    total = FEWER if n > MANY_UNITS else BOOTSTRAPS
    # The chance that a bootstrap leaves nothing out only matters below ten units.
    scores = np.concatenate([_out_of_bag(scores_Cn, rng, size) for size in [CHUNK] * (total // CHUNK)])
    naive = float(scores_Cn.mean(axis=1).max())
    mean = float(scores.mean())
    corrected = mean - run_luck(variance, rng, share=variance.independent)
    least = mean - run_luck(variance, rng)
    low, high = around(corrected)
    return Selected(naive, corrected, min(low, around(least)[0]), high)


def run_luck(variance: Variance, rng: np.random.Generator, *, share: float = 1.0) -> float:
    """What the luck with runs adds to the score of the winner on average, were the estimates the truth; 0 or more.

    Estimates are drawn around themselves, and what runs gave to the one that comes first is averaged. Every run part is
    as large as the least of them: it is what all configurations have together, and known best; with the larger ones of
    some, the score was corrected by too much in simulations of few images.

    Args:
        variance: how far the estimates could be off.
        rng: of the draws.
        share: of the variance of the run part that counts.
    """
    C = len(variance.estimate)
    halves = rng.standard_normal((2, DRAWS, C))
    runs, images = np.concatenate([halves, -halves], axis=1)  # so that one without a rival has no luck at all
    runs = runs * np.sqrt(share * variance.run_of_mean.min())
    first = (variance.estimate + runs + images @ variance.image_factor.T).argmax(axis=1)
    return float(np.take_along_axis(runs, first[:, None], axis=1).mean())


def _out_of_bag(scores_Cn: Floats, rng: np.random.Generator, size: int) -> Floats:
    n = scores_Cn.shape[1]
    drawn = rng.integers(0, n, size=(size, n))
    weight = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(float)
    left_out = weight == 0
    some = left_out.any(axis=1)  # at ten units one bootstrap in 2,800 leaves nothing out to be scored
    weight, left_out = weight[some], left_out[some]
    chosen = (weight @ scores_Cn.T).argmax(axis=1)
    scored = np.where(left_out, scores_Cn[chosen], 0.0).sum(axis=1)
    return np.asarray(scored / left_out.sum(axis=1))
