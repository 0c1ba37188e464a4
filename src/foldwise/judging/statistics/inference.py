"""Who could be the best, and which pairs can be told apart, from draws under the variance model.

The steps are those of statistics.md section 0; `estimate_variance` makes the first five of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from foldwise.judging.statistics.variance import Variance
from foldwise.metrics.outputs import Bools, Floats, Ints

DRAWS = 2000
TIE = 1e-12  # estimates closer than this are the same: they differ by rounding alone
POWER = 0.84  # the normal quantile of 80 % power


@dataclass(frozen=True)
class Comparison:
    """Step 6: who could be the best, and by how much the others fall short of the winner.

    Attributes:
        winner: the configuration with the highest estimate; of several with the same, the first.
        could_be_best: (C,) Hsu's set: it holds a truly best configuration with confidence 1 - alpha.
        p: (C,) the largest alpha at which a configuration stays in that set; 1 for the winner.
        ruled_out_by: (C,) the rival that tells most against it.
        difference: (C,) estimate minus that of the winner; 0 for the winner.
        low, high: (C,) ends of the differences, each on its own with confidence 1 - alpha, simultaneous over all
            rivals of that configuration; `high` below 0 is the same statement as not `could_be_best`.
        p_wins: (C,) how often each would come first if the study were repeated.
        error_all: (C, C) standard errors of the differences, as the test of all pairs uses them.
        rank_low, rank_high: (C,) ranks that all pairs together leave open.
        p_pairs: (C, C) p values of all pairs, adjusted for all pairs by max |t|.
        alone: (C, C) how many standard errors a difference of this pair alone must be from 0 to be beyond chance.
        p_alone: (C, C) p values of each pair alone.
        pairs_quantile: how many standard errors a difference must be from 0 to be beyond chance among all pairs.
        minimal_detectable_difference: to the winner, with 80 % power.
        run_share: the share of its square that is variance between runs, which more images do not lower.
    """

    winner: int
    could_be_best: Bools
    p: Floats
    ruled_out_by: Ints
    difference: Floats
    low: Floats
    high: Floats
    p_wins: Floats
    error_all: Floats
    rank_low: Ints
    rank_high: Ints
    p_pairs: Floats
    alone: Floats
    p_alone: Floats
    pairs_quantile: float
    minimal_detectable_difference: float
    run_share: float

    def times_as_many(self, difference: float) -> float:
        """How many times the images it takes to see a difference; infinite where the runs alone hide it.

        Only what comes from images falls with their number n, as 1 / n; what comes from runs stays.
        """
        square = self.minimal_detectable_difference**2
        left = difference**2 - self.run_share * square
        return (1 - self.run_share) * square / left if left > 0 else float("inf")


def compare(variance: Variance, *, seed: int = 0, alpha: float = 0.05, draws: int = DRAWS) -> Comparison:
    """Who could be best, from draws of all estimates together under the estimated covariance.

    Args:
        variance: from `estimate_variance`; two or more configurations.
        seed: of the draws.
        alpha: 1 - confidence.
        draws: 2000 give p values to about 0.005.
    """
    estimate, C = variance.estimate, len(variance.estimate)
    error_CC, all_CC = variance.of_differences(), variance.among_all_pairs()
    rng = np.random.default_rng(seed)
    drawn = _drawn(variance, rng=rng, draws=draws)
    if variance.pair_floor > 0:  # errors have the floor, so what they are compared with must have it too
        drawn = drawn + rng.normal(scale=np.sqrt(variance.pair_floor / 2), size=drawn.shape)
    t_CC = studentized(estimate[None, :] - estimate[:, None], error_CC)
    p, limit, largest = _rivals(drawn, error_CC, all_CC, t_CC.max(axis=1), alpha=alpha)
    # The first of those that differ by rounding alone, so that the order of the study breaks ties on every machine.
    winner = int((estimate >= estimate.max() - TIE).argmax())
    difference, error = estimate - estimate[winner], error_CC[:, winner]
    all_pairs = float(np.quantile(largest, 1 - alpha))
    t_all = studentized(estimate[None, :] - estimate[:, None], all_CC)
    above = t_all > all_pairs
    # One-sided limits against many rivals; of two configurations the two-sided quantile of a planned pair is larger.
    quantile = max(float(norm.ppf(1 - alpha / 2)), float(limit[winner]))
    alone, p_alone = _each_alone(variance, drawn, error_CC, np.abs(t_CC), alpha=alpha)
    return Comparison(
        winner=winner,
        could_be_best=p > alpha,
        p=p,
        ruled_out_by=t_CC.argmax(axis=1),
        difference=difference,
        low=np.maximum(difference - limit * error, -variance.reach),
        high=np.minimum(difference + limit * error, variance.reach),
        p_wins=np.bincount((estimate + drawn).argmax(axis=1), minlength=C) / draws,
        error_all=all_CC,
        rank_low=1 + above.sum(axis=1),
        rank_high=C - above.sum(axis=0),
        p_pairs=tail(np.sort(largest), np.abs(t_all)),
        alone=alone,
        p_alone=p_alone,
        pairs_quantile=all_pairs,
        minimal_detectable_difference=float((quantile + POWER) * np.median(np.delete(error, winner))),
        run_share=_run_share(variance, error, winner),
    )


def _rivals(
    drawn: Floats, error_CC: Floats, all_CC: Floats, against_C: Floats, *, alpha: float
) -> tuple[Floats, Floats, Floats]:
    """What draws say of the strongest rival of each, (C,) p and limit, and (draws,) the largest t of all pairs.

    Args:
        drawn: (draws, C) centred.
        error_CC, all_CC: standard errors of differences, for the rivals of one and for all pairs.
        against_C: the largest t that speaks against each.
        alpha: 1 - confidence of the limit.
    """
    draws, C = drawn.shape
    p, limit, largest = np.empty(C), np.empty(C), np.zeros(draws)
    # float32 halves the memory of 500 configurations, and its rounding is far below that of 2000 draws.
    inverse, inverse_all = (
        np.divide(1, error, out=np.zeros((C, C)), where=error > 0).astype(np.float32)
        for error in (error_CC, all_CC)
    )
    for c in range(C):
        apart = drawn - drawn[:, c : c + 1]
        rivals = (apart * inverse[c]).max(axis=1)
        # The observed value counts as one more draw, so that no p value is 0.
        p[c] = (1 + (rivals >= against_C[c]).sum()) / (draws + 1)
        limit[c] = np.quantile(rivals, 1 - alpha)
        np.maximum(largest, (apart * inverse_all[c]).max(axis=1), out=largest)
    return p, limit, largest


def _drawn(variance: Variance, *, rng: np.random.Generator, draws: int) -> Floats:
    """(draws, C) centred draws of all estimates."""
    run_root = np.diag(np.sqrt(variance.run_of_mean))
    # With a variance of its own, each run part is scaled like the images; where few share one, its estimate is often 0
    # although runs differ, so it is drawn itself.
    if variance.shared is None:
        return joint_draws(variance, variance.image_factor, run_root, rng=rng, draws=draws)
    image = joint_draws(variance, variance.image_factor, np.zeros_like(run_root), rng=rng, draws=draws)
    return image + variance.shared.drawn(rng=rng, draws=draws)


def _each_alone(
    variance: Variance, drawn: Floats, error_CC: Floats, size_CC: Floats, *, alpha: float
) -> tuple[Floats, Floats]:
    """(C, C) the quantile of |t| and the p value of every pair by itself; of many configurations those of Student's t.

    Of a few, from the draws: their variance between runs is known too badly for any t distribution.
    """
    if variance.shared is None:
        df = max(variance.df_image, 1.0)
        return np.full(size_CC.shape, t.ppf(1 - alpha / 2, df)), np.asarray(2 * t.sf(size_CC, df))
    apart = np.abs(drawn[:, :, None] - drawn[:, None, :])
    size = np.divide(apart, error_CC, out=np.zeros_like(apart), where=error_CC > 0)
    above = (size >= size_CC).sum(axis=0)
    return np.quantile(size, 1 - alpha, axis=0), (1 + above) / (len(drawn) + 1)


def _run_share(variance: Variance, error_C: Floats, winner: int) -> float:
    """The share of variance between runs in the differences to the winner; the median over rivals."""
    runs = variance.run_of_mean + variance.run_of_mean[winner]
    share = np.divide(runs, error_C**2, out=np.zeros(len(runs)), where=error_C > 0)
    return float(min(np.median(np.delete(share, winner)), 1.0))


def joint_draws(
    variance: Variance, image_root: Floats, run_root: Floats, *, rng: np.random.Generator, draws: int
) -> Floats:
    """(draws, P) centred draws of P numbers whose covariance is the sum of two parts, each (P, C) its root.

    Chi-square draws of both scales carry the smallness of the sample.
    """
    C = len(variance.estimate)
    image = rng.standard_normal((draws, C), dtype=np.float32) @ image_root.T.astype(np.float32)
    run = rng.standard_normal((draws, C), dtype=np.float32) @ run_root.T.astype(np.float32)
    scales = [
        np.sqrt(df / rng.chisquare(df, size=(draws, 1))).astype(np.float32)
        for df in (max(variance.df_image, 1.0), variance.df_run)
    ]
    return np.asarray(image * scales[0] + run * scales[1])


def studentized(difference: Floats, error: Floats) -> Floats:
    """Difference / error; without error, 0 where there is no difference and infinite where there is."""
    small = error <= TIE
    tiny = np.abs(difference) <= TIE
    # Two configurations that agree on every unit have no error: equal ones are never apart, others always.
    ratio = np.divide(difference, error, out=np.zeros_like(difference), where=~small)
    return np.where(small & ~tiny, np.copysign(np.inf, difference), ratio)


def tail(ascending: Floats, observed: Floats) -> Floats:
    """The share of draws at or above each observed value."""
    above = len(ascending) - np.searchsorted(ascending, observed, side="left")
    return np.asarray((1 + above) / (len(ascending) + 1))
