"""One variance model for every answer: images (or groups) and runs, paired over configurations.

The steps are those of statistics.md section 0. Scores come as S of shape (C, R, n): C configurations, R repeats, n
units, higher is better; folds as (R, n), the same for every configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm, t

from foldwise.judging.moderation import at_least_moderated
from foldwise.judging.outputs import Bools, Floats, Ints
from foldwise.judging.run_variance import SharedRuns, between_runs, independent_runs_in_mean, runs_in_mean

DRAWS = 2000
TIE = 1e-12  # estimates closer than this are the same: they differ by rounding alone
POWER = 0.84  # the normal quantile of 80 % power


@dataclass(frozen=True)
class Variance:
    """Steps 1 to 5: how far the estimates could be off, and together.

    Attributes:
        estimate: (C,) mean over units of the mean over repeats.
        image: (C, C) covariance of the estimates over units.
        image_factor: (C, C) root of `image` without what all configurations share, which no difference sees.
        run: (C,) variance of a score between runs (seed, fold), as used.
        run_of_mean: (C,) what it adds to the variance of the estimate, with overlapping training sets.
        pair_floor: added to the variance of every difference; 1 / n^2 for scores of 0 and 1.
        df_image, df_run: degrees of freedom.
        shared: where a few configurations share one variance between runs, what is known of it.
        independent: the share of `run_of_mean` that is of runs which have nothing in common; the rest is what overlapping
            training sets are assumed to share.
    """

    estimate: Floats
    image: Floats
    image_factor: Floats
    run: Floats
    run_of_mean: Floats
    pair_floor: float
    df_image: float
    df_run: float
    shared: SharedRuns | None = None
    independent: float = 1.0

    @property
    def standard_error(self) -> Floats:
        """(C,) of every estimate."""
        return np.sqrt(np.diag(self.image) + self.run_of_mean)

    @property
    def df(self) -> Floats:
        """(C,) Satterthwaite degrees of freedom of the two parts, at most those of the units."""
        image, total = np.diag(self.image), np.diag(self.image) + self.run_of_mean
        parts = image**2 / max(self.df_image, 1) + self.run_of_mean**2 / max(self.df_run, 1)
        joint = np.divide(total**2, parts, out=np.full(len(total), self.df_image), where=parts > 0)
        return np.asarray(np.minimum(joint, self.df_image))

    def of_differences(self) -> Floats:
        """(C, C) standard errors of all differences; 0 on the diagonal."""
        own = np.diag(self.image) + self.run_of_mean
        squares = own[:, None] + own[None, :] - 2 * (self.image + np.diag(self.run_of_mean)) + self.pair_floor
        np.fill_diagonal(squares, 0.0)
        return np.sqrt(np.maximum(squares, 0.0))

    def among_all_pairs(self) -> Floats:
        """(C, C) standard errors of all differences where the largest of all t values is looked for.

        Those whose images differ by luck too little are what `at_least_moderated` makes of them.
        """
        own = np.diag(self.image)
        apart = np.maximum(own[:, None] + own[None, :] - 2 * self.image, 0.0)
        above = np.triu_indices(len(own), 1)
        more = np.zeros_like(apart)
        more[above] = at_least_moderated(apart[above], self.df_image) - apart[above]
        return np.sqrt(self.of_differences() ** 2 + more + more.T)


def variance(scores_CRn: Floats, folds_Rn: Ints, *, floor: float = 0.0) -> Variance:
    """Steps 1 to 5 of the pipeline.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
        floor: least variance of a difference; 1 / n^2 for scores of 0 and 1, whose scatter vanishes when all agree.
    """
    n = scores_CRn.shape[2]
    means_Cn = scores_CRn.mean(axis=1)
    estimate = means_Cn.mean(axis=1)
    centred = means_Cn - estimate[:, None]
    image = centred @ centred.T / (n * max(n - 1, 1))
    runs = between_runs(scores_CRn, folds_Rn)
    in_mean = runs_in_mean(folds_Rn)
    return Variance(
        estimate=estimate,
        image=image,
        image_factor=_factor(image),
        run=runs.used,
        run_of_mean=runs.used * in_mean,
        pair_floor=floor,
        df_image=float(n - 1),
        df_run=runs.df,
        shared=runs.shared,
        independent=independent_runs_in_mean(folds_Rn) / in_mean if in_mean else 1.0,
    )


def beside(known: Variance, scores_CRn: Floats, fixed_Rn: Floats) -> Variance:
    """The variance with one more row, last: a predictor that learns nothing, so that its runs do not vary.

    Args:
        known: from `variance` of `scores_CRn`.
        scores_CRn: as given there.
        fixed_Rn: what the predictor scores on the same units.
    """
    fixed_n = fixed_Rn.mean(axis=0)
    n, apart = len(fixed_n), fixed_n - fixed_n.mean()
    shared_C = (scores_CRn @ apart).mean(axis=1) / (n * max(n - 1, 1))
    own = apart @ apart / (n * max(n - 1, 1))
    image = np.block([[known.image, shared_C[:, None]], [shared_C[None, :], np.array([[own]])]])
    return replace(
        known,
        estimate=np.append(known.estimate, fixed_n.mean()),
        image=image,
        image_factor=_factor(image),
        run=np.append(known.run, 0.0),
        run_of_mean=np.append(known.run_of_mean, 0.0),
        shared=known.shared and known.shared.beside_one_without(),
    )


def _factor(covariance: Floats) -> Floats:
    """The symmetric root of what the configurations do not share: only differences are ever drawn."""
    apart = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    values, vectors = np.linalg.eigh((apart + apart.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


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


def compare(known: Variance, *, seed: int = 0, alpha: float = 0.05, draws: int = DRAWS) -> Comparison:
    """Who could be best, from draws of all estimates together under the estimated covariance.

    Args:
        known: from `variance`; two or more configurations.
        seed: of the draws.
        alpha: 1 - confidence.
        draws: 2000 give p values to about 0.005.
    """
    estimate, C = known.estimate, len(known.estimate)
    error_CC, all_CC = known.of_differences(), known.among_all_pairs()
    rng = np.random.default_rng(seed)
    drawn = _drawn(known, rng=rng, draws=draws)
    if known.pair_floor > 0:  # errors have the floor, so what they are compared with must have it too
        drawn = drawn + rng.normal(scale=np.sqrt(known.pair_floor / 2), size=drawn.shape)
    t_CC = studentized(estimate[None, :] - estimate[:, None], error_CC)
    p, limit, largest = _rivals(drawn, error_CC, all_CC, t_CC.max(axis=1), alpha=alpha)
    winner = int((estimate >= estimate.max() - TIE).argmax())
    difference, error = estimate - estimate[winner], error_CC[:, winner]
    all_pairs = float(np.quantile(largest, 1 - alpha))
    t_all = studentized(estimate[None, :] - estimate[:, None], all_CC)
    above = t_all > all_pairs
    quantile = max(float(norm.ppf(1 - alpha / 2)), float(limit[winner]))
    alone, p_alone = _each_alone(known, drawn, error_CC, np.abs(t_CC), alpha=alpha)
    return Comparison(
        winner=winner,
        could_be_best=p > alpha,
        p=p,
        ruled_out_by=t_CC.argmax(axis=1),
        difference=difference,
        low=difference - limit * error,
        high=difference + limit * error,
        p_wins=np.bincount((estimate + drawn).argmax(axis=1), minlength=C) / draws,
        error_all=all_CC,
        rank_low=1 + above.sum(axis=1),
        rank_high=C - above.sum(axis=0),
        p_pairs=tail(np.sort(largest), np.abs(t_all)),
        alone=alone,
        p_alone=p_alone,
        pairs_quantile=all_pairs,
        minimal_detectable_difference=float((quantile + POWER) * np.median(np.delete(error, winner))),
        run_share=_run_share(known, error, winner),
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
    inverse, inverse_all = (
        np.divide(1, error, out=np.zeros((C, C)), where=error > 0).astype(np.float32)
        for error in (error_CC, all_CC)
    )
    for c in range(C):
        apart = drawn - drawn[:, c : c + 1]
        rivals = (apart * inverse[c]).max(axis=1)
        p[c] = (1 + (rivals >= against_C[c]).sum()) / (draws + 1)
        limit[c] = np.quantile(rivals, 1 - alpha)
        np.maximum(largest, (apart * inverse_all[c]).max(axis=1), out=largest)
    return p, limit, largest


def _drawn(known: Variance, *, rng: np.random.Generator, draws: int) -> Floats:
    """(draws, C) centred draws of all estimates."""
    run_root = np.diag(np.sqrt(known.run_of_mean))
    if known.shared is None:
        return joint_draws(known, known.image_factor, run_root, rng=rng, draws=draws)
    image = joint_draws(known, known.image_factor, np.zeros_like(run_root), rng=rng, draws=draws)
    return image + known.shared.drawn(rng=rng, draws=draws)


def _each_alone(
    known: Variance, drawn: Floats, error_CC: Floats, size_CC: Floats, *, alpha: float
) -> tuple[Floats, Floats]:
    """(C, C) the quantile of |t| and the p value of every pair by itself; of many configurations those of Student's t.

    Of a few, from the draws: their variance between runs is known too badly for any t distribution.
    """
    if known.shared is None:
        df = max(known.df_image, 1.0)
        return np.full(size_CC.shape, t.ppf(1 - alpha / 2, df)), np.asarray(2 * t.sf(size_CC, df))
    apart = np.abs(drawn[:, :, None] - drawn[:, None, :])
    size = np.divide(apart, error_CC, out=np.zeros_like(apart), where=error_CC > 0)
    above = (size >= size_CC).sum(axis=0)
    return np.quantile(size, 1 - alpha, axis=0), (1 + above) / (len(drawn) + 1)


def _run_share(known: Variance, error_C: Floats, winner: int) -> float:
    """The share of variance between runs in the differences to the winner; the median over rivals."""
    runs = known.run_of_mean + known.run_of_mean[winner]
    share = np.divide(runs, error_C**2, out=np.zeros(len(runs)), where=error_C > 0)
    return float(min(np.median(np.delete(share, winner)), 1.0))


def joint_draws(
    known: Variance, image_root: Floats, run_root: Floats, *, rng: np.random.Generator, draws: int
) -> Floats:
    """(draws, P) centred draws of P numbers whose covariance is the sum of two parts, each (P, C) its root.

    Chi-square draws of both scales carry the smallness of the sample.
    """
    C = len(known.estimate)
    image = rng.standard_normal((draws, C), dtype=np.float32) @ image_root.T.astype(np.float32)
    run = rng.standard_normal((draws, C), dtype=np.float32) @ run_root.T.astype(np.float32)
    scales = [
        np.sqrt(df / rng.chisquare(df, size=(draws, 1))).astype(np.float32)
        for df in (max(known.df_image, 1.0), known.df_run)
    ]
    return np.asarray(image * scales[0] + run * scales[1])


def studentized(difference: Floats, error: Floats) -> Floats:
    """Difference / error; without error, 0 where there is no difference and infinite where there is."""
    small = error <= TIE
    tiny = np.abs(difference) <= TIE
    ratio = np.divide(difference, error, out=np.zeros_like(difference), where=~small)
    return np.where(small & ~tiny, np.copysign(np.inf, difference), ratio)


def tail(ascending: Floats, observed: Floats) -> Floats:
    """The share of draws at or above each observed value."""
    above = len(ascending) - np.searchsorted(ascending, observed, side="left")
    return np.asarray((1 + above) / (len(ascending) + 1))
