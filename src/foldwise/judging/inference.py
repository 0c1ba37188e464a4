"""One variance model for every answer: images (or groups) and runs, paired over configurations.

The steps are those of statistics.md section 0. Scores come as S of shape (C, R, n): C configurations, R repeats, n
units, higher is better; folds as (R, n), the same for every configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from foldwise.judging.outputs import Bools, Floats, Ints

DRAWS = 2000
MEDIAN_FROM = 6  # configurations: from here on a run variance is its own, but never below the median's
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
    """

    estimate: Floats
    image: Floats
    image_factor: Floats
    run: Floats
    run_of_mean: Floats
    pair_floor: float
    df_image: float
    df_run: float

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


def variance(scores_CRn: Floats, folds_Rn: Ints, *, floor: float = 0.0) -> Variance:
    """Steps 1 to 5 of the pipeline.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
        floor: least variance of a difference; 1 / n^2 for scores of 0 and 1, whose scatter vanishes when all agree.
    """
    C, R, n = scores_CRn.shape
    num_folds = len(np.unique(folds_Rn))
    means_Cn = scores_CRn.mean(axis=1)
    estimate = means_Cn.mean(axis=1)
    centred = means_Cn - estimate[:, None]
    image = centred @ centred.T / (n * max(n - 1, 1))
    run = _shared(run_variances(scores_CRn, folds_Rn))
    run_of_mean = run * runs_in_mean(folds_Rn)
    free_configurations = max(C - 1, 1)
    df_run = free_configurations * ((num_folds - 1) if R == 1 else (R - 1) * num_folds)
    return Variance(
        estimate, image, _factor(image), run, run_of_mean, floor, float(n - 1), float(max(df_run, 1))
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
    )


def runs_in_mean(folds_Rn: Ints) -> float:
    """What a variance between runs is multiplied by in the variance of a mean over folds and repeats."""
    (R, n), num_folds = folds_Rn.shape, len(np.unique(folds_Rn))
    # Training sets overlap, so runs are not independent: Nadeau & Bengio 2003, on this part only.
    overlap = 1 / (num_folds - 1) if num_folds > 1 else 0.0
    return float((1 - num_folds / n) / (R * num_folds) + overlap)


def run_variances(scores_CRn: Floats, folds_Rn: Ints) -> Floats:
    """(C,) own moment estimates of the variance between runs; they may be negative."""
    return run_moments(scores_CRn, folds_Rn)[0]


def run_moments(scores_CRn: Floats, folds_Rn: Ints) -> tuple[Floats, Floats]:
    """(C,) own estimates of the variance between runs, and (C,) the scatter of fold means they come from.

    What all rows share is taken off first; one row alone must be a difference, in which nothing is shared.
    """
    C, R, n = scores_CRn.shape
    _, fold = np.unique(folds_Rn, return_inverse=True)
    fold = fold.reshape(R, n)
    K = int(fold.max()) + 1
    if R == 1 and K == 1:
        return np.zeros(C), np.zeros(C)
    cell = (fold + K * np.arange(R)[:, None]).ravel()
    size = np.bincount(cell, minlength=R * K).astype(float)
    shared_Rn = scores_CRn.mean(axis=0) if C > 1 else np.zeros((R, n))
    mended = C / (C - 1) if C > 1 else 1.0
    pieces = [_between_and_within(one - shared_Rn, cell, size) for one in scores_CRn]
    between, within = np.array(pieces).T
    noise = within * (1 / size).mean()
    if R == 1:
        return np.asarray((between - noise) * mended), between
    q = 1 - 1 / R
    share = q * (q + 1 / (R * K)) - (1 / size).mean() * (R - 1) / R**2 * (1 - 1 / K)
    return np.asarray((between - noise) / share * mended), between


def _between_and_within(scores_Rn: Floats, cell: Ints, size: Floats) -> tuple[float, float]:
    """Scatter of the fold means and pooled scatter in the folds, of one configuration's centred scores."""
    R = len(scores_Rn)
    deviation = (scores_Rn - scores_Rn.mean(axis=0)).ravel() if R > 1 else scores_Rn.ravel()
    means = np.bincount(cell, weights=deviation, minlength=len(size)) / size
    within = float(((deviation - means[cell]) ** 2).sum() / max(len(deviation) - len(size), 1))
    between = float((means**2).mean() if R > 1 else means.var(ddof=1))
    return between, within


def _shared(own: Floats) -> Floats:
    """Run variances to use: few configurations share one; of many, each has its own but at least the median."""
    if len(own) >= MEDIAN_FROM:
        return np.asarray(np.maximum(own, np.median(np.maximum(own, 0.0))))
    return np.full(len(own), max(float(own.mean()), 0.0))


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
        rank_low, rank_high: (C,) ranks that all pairs together leave open.
        p_pairs: (C, C) p values of all pairs, adjusted for all pairs by max |t|.
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
    rank_low: Ints
    rank_high: Ints
    p_pairs: Floats
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
    error_CC = known.of_differences()
    roots = known.image_factor, np.diag(np.sqrt(known.run_of_mean))
    rng = np.random.default_rng(seed)
    drawn = joint_draws(known, *roots, rng=rng, draws=draws)
    if known.pair_floor > 0:  # errors have the floor, so what they are compared with must have it too
        drawn = drawn + rng.normal(scale=np.sqrt(known.pair_floor / 2), size=drawn.shape)
    t_CC = studentized(estimate[None, :] - estimate[:, None], error_CC)
    p, limit, largest = np.empty(C), np.empty(C), np.zeros(draws)
    inverse = np.divide(1, error_CC, out=np.zeros((C, C)), where=error_CC > 0).astype(np.float32)
    for c in range(C):
        rivals = ((drawn - drawn[:, c : c + 1]) * inverse[c]).max(axis=1)
        p[c] = (1 + (rivals >= t_CC[c].max()).sum()) / (draws + 1)
        limit[c] = np.quantile(rivals, 1 - alpha)
        np.maximum(largest, rivals, out=largest)
    winner = int((estimate >= estimate.max() - TIE).argmax())
    difference, error = estimate - estimate[winner], error_CC[:, winner]
    all_pairs = float(np.quantile(largest, 1 - alpha))
    above = t_CC > all_pairs
    quantile = max(float(norm.ppf(1 - alpha / 2)), float(limit[winner]))
    return Comparison(
        winner=winner,
        could_be_best=p > alpha,
        p=p,
        ruled_out_by=t_CC.argmax(axis=1),
        difference=difference,
        low=difference - limit * error,
        high=difference + limit * error,
        p_wins=np.bincount((estimate + drawn).argmax(axis=1), minlength=C) / draws,
        rank_low=1 + above.sum(axis=1),
        rank_high=C - above.sum(axis=0),
        p_pairs=tail(np.sort(largest), np.abs(t_CC)),
        pairs_quantile=all_pairs,
        minimal_detectable_difference=float((quantile + POWER) * np.median(np.delete(error, winner))),
        run_share=_run_share(known, error, winner),
    )


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
