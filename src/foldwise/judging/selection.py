"""What the winner would score on new images, freed from the luck that made it the winner (BBC-CV)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foldwise.judging.outputs import Floats

BOOTSTRAPS, FEWER, MANY_UNITS = 1000, 300, 5000
CHUNK = 50


@dataclass(frozen=True)
class Selected:
    """The winner's expected score, corrected for having been selected.

    Attributes:
        naive: the highest estimate, as it stands in the table.
        corrected: the mean score of the bootstrap's winners on the units they were not chosen on.
        low, high: its percentile interval.
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


def selected_score(scores_Cn: Floats, *, seed: int = 0, alpha: float = 0.05) -> Selected:
    """Choose on bootstrapped units, score on the rest, many times; Tsamardinos, Greasidou & Borboudakis 2018.

    Args:
        scores_Cn: (C, n) of every configuration and unit, mean over repeats, higher is better.
        seed: of the bootstrap.
        alpha: 1 - confidence.
    """
    n = scores_Cn.shape[1]
    rng = np.random.default_rng(seed)
    total = FEWER if n > MANY_UNITS else BOOTSTRAPS
    # The chance that a bootstrap leaves nothing out only matters below ten units.
    found = np.concatenate([_out_of_bag(scores_Cn, rng, size) for size in _chunks(total)])
    naive = float(scores_Cn.mean(axis=1).max())
    low, high = np.quantile(found, [alpha / 2, 1 - alpha / 2])
    return Selected(naive, float(found.mean()), float(low), float(high))


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
