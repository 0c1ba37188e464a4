"""What the winner would score on new images, freed from the luck that made it the winner (BBC-CV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foldwise.judging.intervals import Interval
from foldwise.judging.outputs import Floats

BOOTSTRAPS, FEWER, MANY_UNITS = 1000, 300, 5000
CHUNK = 50


@dataclass(frozen=True)
class Selected:
    """The winner's expected score, corrected for having been selected.

    Attributes:
        naive: the highest estimate, as it stands in the table.
        corrected: the mean score of the bootstrap's winners on the units they were not chosen on.
        low, high: the interval that a score has, around the corrected one.
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


def selected_score(scores_Cn: Floats, around: Callable[[float], Interval], *, seed: int = 0) -> Selected:
    """Choose on bootstrapped units, score on the rest, many times; Tsamardinos, Greasidou & Borboudakis 2018.

    The percentiles of theirs are not used: they know of images and not of runs, which on many images is most of what is
    not known, and near a perfect score they are far too narrow.

    Args:
        scores_Cn: (C, n) of every configuration and unit, mean over repeats, higher is better.
        around: the interval of the winner's score, had it been this.
        seed: of the bootstrap.
    """
    n = scores_Cn.shape[1]
    rng = np.random.default_rng(seed)
    total = FEWER if n > MANY_UNITS else BOOTSTRAPS
    # The chance that a bootstrap leaves nothing out only matters below ten units.
    found = np.concatenate([_out_of_bag(scores_Cn, rng, size) for size in _chunks(total)])
    naive = float(scores_Cn.mean(axis=1).max())
    corrected = float(found.mean())
    return Selected(naive, corrected, *around(corrected))


def _chunks(total: int) -> list[int]:
    return [CHUNK] * (total // CHUNK)


def _out_of_bag(scores_Cn: Floats, rng: np.random.Generator, size: int) -> Floats:
    n = scores_Cn.shape[1]
    drawn = rng.integers(0, n, size=(size, n))
    weight = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(float)
    left_out = weight == 0
    some = left_out.any(axis=1)
    weight, left_out = weight[some], left_out[some]
    chosen = (weight @ scores_Cn.T).argmax(axis=1)
    scored = np.where(left_out, scores_Cn[chosen], 0.0).sum(axis=1)
    return np.asarray(scored / left_out.sum(axis=1))
