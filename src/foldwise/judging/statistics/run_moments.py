"""What the variance between runs is estimated from: the scatter of fold means, and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foldwise.metrics.outputs import Floats, Ints

# The prior: the luck of a run has a standard deviation of 0.03 of the range of the metric (of scores in its middle, see
# `scale_of`), and what of it is not shared with other configurations 0.02, and this counts as much as one more degree of freedom. Networks really trained in
# `benchmarks/validation` had 0.02 to 0.06, and 0.02 to 0.05. In worlds with a shared standard deviation of 0 to 0.1 and
# 2 to 10 folds, intervals of scores so made held the truth in 95 % and more; with 0.04 they were a fifth wider where
# nothing is shared, and with two or three degrees of freedom they lost it where 0.1 is.
PRIOR_SD, PRIOR_OWN_SD, PRIOR_DF = 0.03, 0.02, 1.0
USUAL_SPREAD = 0.12  # between images, of the range: by it the prior is scaled where a metric has no range


@dataclass(frozen=True)
class Moments:
    """Of every configuration, (C,): the variance between runs is (between - noise) * factor, and may be negative.

    Attributes:
        between: scatter of the fold means of centred scores.
        noise: what images alone add to it.
        factor: from that scatter to the variance of a run.
        df: degrees of freedom of one `between`.
    """

    between: Floats
    noise: Floats
    factor: float
    df: int

    @property
    def own(self) -> Floats:
        """(C,) unbiased estimates of the variance between runs; they may be negative."""
        return np.asarray((self.between - self.noise) * self.factor)


def scale_of(scores_CRn: Floats, bounds: tuple[float, float]) -> float:
    """What a standard deviation of the prior is multiplied by: the range of the metric, or what stands for it.

    Near the ends of the range there is less room for luck. It shrinks there as that of a share does, by the root of
    4 p (1 - p): of a score of 0.97, three tenths are left.

    Args:
        scores_CRn: of every unit, higher is better.
        bounds: the least and the greatest that a score can be; infinite where the metric has none.
    """
    low, high = bounds
    if np.isfinite(high - low):
        share = float(np.clip((scores_CRn.mean() - low) / (high - low), 0.0, 1.0))
        return (high - low) * 2 * float(np.sqrt(share * (1 - share)))
    apart_CRn = scores_CRn - scores_CRn.mean(axis=0) if len(scores_CRn) > 1 else scores_CRn
    return float(apart_CRn.mean(axis=1).std(axis=1).mean()) / USUAL_SPREAD


def moderated(between: Floats | float, noise: Floats | float, *, df: float, prior: float) -> Floats:
    """The scatter of fold means, averaged with what the prior expects, weighted by degrees of freedom.

    Args:
        between, noise: as in `Moments`.
        df: of `between`.
        prior: what a run's variance is expected to add to `between`; 0 adds nothing.

    Source: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3, with a prior that is stated.
    """
    return np.asarray((PRIOR_DF * (noise + prior) + df * between) / (PRIOR_DF + df))


def runs_in_mean(folds_Rn: Ints, num_folds: int | None = None) -> float:
    """What a variance between runs is multiplied by in the variance of a mean over folds and repeats.

    Args:
        folds_Rn: the test fold of every unit in every repeat.
        num_folds: of the study, where not all of them are there: by it training sets overlap.
    """
    num_folds = num_folds or len(np.unique(folds_Rn))
    # Training sets overlap, so runs are not independent: Nadeau & Bengio 2003, on this part only.
    overlap = 1 / (num_folds - 1) if num_folds > 1 else 0.0
    return independent_runs_in_mean(folds_Rn) + overlap


def independent_runs_in_mean(folds_Rn: Ints) -> float:
    """The part of `runs_in_mean` that more repeats make smaller, as if no two runs had anything in common."""
    (R, n), num_folds = folds_Rn.shape, len(np.unique(folds_Rn))
    return float((1 - num_folds / n) / (R * num_folds))


def run_moments(scores_CRn: Floats, folds_Rn: Ints) -> Moments:
    """What the variances between runs are estimated from.

    What all rows share is taken off first; one row alone must be a difference, in which nothing is shared.
    """
    C = len(scores_CRn)
    shared_Rn = scores_CRn.mean(axis=0) if C > 1 else np.zeros_like(scores_CRn[0])
    return moments_around(scores_CRn, shared_Rn, folds_Rn, num=C)


def moments_around(scores_CRn: Floats, shared_Rn: Floats, folds_Rn: Ints, *, num: int) -> Moments:
    """Of rows from which the mean of `num` rows is taken off, themselves among them."""
    C, R, n = scores_CRn.shape
    _, fold = np.unique(folds_Rn, return_inverse=True)
    fold = fold.reshape(R, n)
    K = int(fold.max()) + 1
    if R == 1 and K == 1:
        return Moments(np.zeros(C), np.zeros(C), 1.0, 0)
    cell = (fold + K * np.arange(R)[:, None]).ravel()
    size = np.bincount(cell, minlength=R * K).astype(float)
    between, within = np.empty(C), np.empty(C)
    for rows in blocks(C, R * n):
        between[rows], within[rows] = _between_and_within(scores_CRn[rows] - shared_Rn, cell, size)
    factor = num / (num - 1) if num > 1 else 1.0
    if R > 1:
        factor /= left_in_deviations(R, K, float((1 / size).mean()))
    return Moments(between, within * (1 / size).mean(), factor, (K - 1) if R == 1 else (R - 1) * K)


def left_in_deviations(R: int, K: int, per_fold: float) -> float:
    """The share of a run's variance that is left in fold means of deviations from the mean over repeats.

    `per_fold` is the mean over folds of 1 / units in it.
    """
    q = 1 - 1 / R
    return q * (q + 1 / (R * K)) - per_fold * (R - 1) / R**2 * (1 - 1 / K)


def blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of ``range(rows)``, each of as many rows of this width as fit into 32 MB."""
    step = max(1, (1 << 22) // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def _between_and_within(scores_CRn: Floats, cell: Ints, size: Floats) -> tuple[Floats, Floats]:
    """(C,) scatter of the fold means, and pooled scatter in the folds, of centred scores."""
    C, R, _ = scores_CRn.shape
    apart = scores_CRn - scores_CRn.mean(axis=1, keepdims=True) if R > 1 else scores_CRn
    deviation = apart.reshape(C, -1)
    # One count for all rows: a cell of a row has the number of the cell, and so many more for every row before it.
    numbers = (cell + len(size) * np.arange(C)[:, None]).ravel()
    means = np.bincount(numbers, deviation.ravel(), C * len(size)).reshape(C, -1) / size
    within = ((deviation - means[:, cell]) ** 2).sum(axis=1) / max(deviation.shape[1] - len(size), 1)
    between = (means**2).mean(axis=1) if R > 1 else means.var(axis=1, ddof=1)
    return np.asarray(between), np.asarray(within)
