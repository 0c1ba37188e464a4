"""One variance model for every answer: images (or groups) and runs, paired over configurations.

Scores come as S of shape (C, R, n): C configurations, R repeats, n units, higher is better; folds as (R, n), the same
for every configuration. What is concluded from it is in `inference`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from foldwise.judging.statistics.run_moments import independent_runs_in_mean, runs_in_mean, scale_of
from foldwise.judging.statistics.run_variance import ScoreRuns, SharedRuns, between_runs, score_run_variance
from foldwise.metrics.outputs import Floats, Ints

DF_ENOUGH = 500.0  # degrees of freedom: from here on variances are known well by themselves
MIN_VARIANCES = 3  # variances: from fewer nobody knows what is usual
UNBOUNDED = (-np.inf, np.inf)
NO_VARIANCE = 1e-12  # of the largest variance: there is none, two configurations are the same


@dataclass(frozen=True)
class Variance:
    """Steps 1 to 5: how far the estimates could be off, and together.

    Attributes:
        estimate: (C,) mean over units of the mean over repeats.
        image: (C, C) covariance of the estimates over units.
        run: (C,) variance between runs (seed, fold) as used in differences: what configurations share is not in it.
        run_of_mean: (C,) what it adds to the variance of a difference, with overlapping training sets.
        score_runs: the variance of scores between runs: what configurations share is in it.
        in_mean: what a variance between runs is multiplied by in that of an estimate; `runs_in_mean`.
        pair_floor: added to the variance of every difference; 1 / n^2 for scores of 0 and 1.
        df_image, df_run: degrees of freedom.
        shared: where a few configurations share one variance between runs, what is known of it.
        independent: the share of `run_of_mean` that is of runs which have nothing in common; the rest is what overlapping
            training sets are assumed to share.
        reach: the largest difference that two scores can have; no interval of a difference is wider.
        root: (C, C) what `image_factor` is, where it is known beforehand.
    """

    estimate: Floats
    image: Floats
    run: Floats
    run_of_mean: Floats
    pair_floor: float
    df_image: float
    df_run: float
    score_runs: ScoreRuns
    in_mean: float
    shared: SharedRuns | None = None
    independent: float = 1.0
    reach: float = np.inf
    root: Floats | None = None

    @cached_property
    def image_factor(self) -> Floats:
        """(C, C) root of `image` without what all configurations share, which no difference sees."""
        return _factor(self.image) if self.root is None else self.root

    @cached_property
    def score_run_of_mean(self) -> Floats:
        """(C,) what runs add to the variance of every estimate."""
        return self.score_runs.used * self.in_mean

    @cached_property
    def standard_error(self) -> Floats:
        """(C,) of every estimate."""
        return np.sqrt(np.diag(self.image) + self.score_run_of_mean)

    @cached_property
    def df(self) -> Floats:
        """(C,) Satterthwaite degrees of freedom of the two parts of a score, at most those of the units."""
        image, total = np.diag(self.image), np.diag(self.image) + self.score_run_of_mean
        parts = image**2 / max(self.df_image, 1) + self.score_run_of_mean**2 / max(self.score_runs.df, 1)
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
        # Only upwards: less variance than a pair shows itself would be borrowed from the others.
        more[above] = at_least_moderated(apart[above], self.df_image) - apart[above]
        return np.sqrt(self.of_differences() ** 2 + more + more.T)


def estimate_variance(
    scores_CRn: Floats,
    folds_Rn: Ints,
    *,
    floor: float = 0.0,
    bounds: tuple[float, float] = UNBOUNDED,
    num_folds: int | None = None,
) -> Variance:
    """Steps 1 to 5 of the pipeline.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
        floor: least variance of a difference; 1 / n^2 for scores of 0 and 1, whose scatter vanishes when all agree.
        bounds: the least and the greatest that a score can be.
        num_folds: of the study, where these are the units of some of its folds only.
    """
    n = scores_CRn.shape[2]
    means_Cn = scores_CRn.mean(axis=1)
    estimate = means_Cn.mean(axis=1)
    centred = means_Cn - estimate[:, None]
    # Units are not shared between test folds, so nothing inflates this part. Nadeau and Bengio inflate the whole
    # variance of fold scores: valid, but on 92 images in 3 repeats it saw 9 % of the true differences, and this 48 %.
    image = centred @ centred.T / (n * max(n - 1, 1))
    in_mean, scale = runs_in_mean(folds_Rn, num_folds), scale_of(scores_CRn, bounds)
    runs = between_runs(scores_CRn, folds_Rn, scale=scale, num_folds=num_folds)
    score_runs = score_run_variance(scores_CRn, folds_Rn, runs.used, scale=scale)
    return Variance(
        estimate=estimate,
        image=image,
        run=runs.used,
        run_of_mean=runs.used * in_mean,
        pair_floor=floor,
        df_image=float(n - 1),
        df_run=runs.df,
        score_runs=score_runs,
        in_mean=in_mean,
        shared=runs.shared,
        reach=bounds[1] - bounds[0],
        independent=independent_runs_in_mean(folds_Rn) / in_mean if in_mean else 1.0,
    )


def with_fixed_row(variance: Variance, scores_CRn: Floats, fixed_Rn: Floats) -> Variance:
    """The variance with one more row, last: a predictor that learns nothing.

    Its runs do not vary, so a difference to it has all luck of the other's runs, also what configurations share. The new
    row stands for that: it varies as much as they do together, and differences between them stay as they are.

    Args:
        variance: from `estimate_variance` of `scores_CRn`.
        scores_CRn: as given there.
        fixed_Rn: what the predictor scores on the same units.
    """
    fixed_n = fixed_Rn.mean(axis=0)
    n, apart = len(fixed_n), fixed_n - fixed_n.mean()
    shared_C = (scores_CRn @ apart).mean(axis=1) / (n * max(n - 1, 1))
    own = apart @ apart / (n * max(n - 1, 1))
    image = np.block([[variance.image, shared_C[:, None]], [shared_C[None, :], np.array([[own]])]])
    runs = variance.score_runs
    common = float(np.maximum(runs.used - variance.run, 0.0).min())
    return replace(
        variance,
        estimate=np.append(variance.estimate, fixed_n.mean()),
        image=image,
        root=None,
        run=np.append(variance.run, common),
        run_of_mean=np.append(variance.run_of_mean, common * variance.in_mean),
        score_runs=replace(runs, used=np.append(runs.used, 0.0)),
        shared=variance.shared and variance.shared.with_row(common, runs.df),
    )


def _factor(covariance: Floats) -> Floats:
    """The symmetric root of what the configurations do not share: only differences are ever drawn."""
    apart = covariance - covariance.mean(axis=0) - covariance.mean(axis=1)[:, None] + covariance.mean()
    values, vectors = np.linalg.eigh((apart + apart.T) / 2)
    # Rounding can make the smallest eigenvalues negative; such a direction has no variance.
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def at_least_moderated(variances: Floats, df: float) -> Floats:
    """The variances, each at least what it is after moderation; those without any stay as they are.

    Of the many pairs of a study some have by luck far too small a variance, and the largest of many t values is one of
    theirs: with seven groups of images, a test of all pairs that believed them called equals different in one study of
    seven. Moderation takes the average of a variance and the usual one, weighted with its degrees of freedom and with those that
    the usual one is worth: few where variances differ by more than luck, and without end where they do not.

    Args:
        variances: any shape; 0 or more, each about a chi-square of `df` degrees of freedom.
        df: of every one.

    Source: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3, section 6.
    """
    there = variances > NO_VARIANCE * variances.max(initial=0.0)
    if df >= DF_ENOUGH or df <= 0 or there.sum() < MIN_VARIANCES:
        return variances
    logs = np.log(variances[there]) - digamma(df / 2) + np.log(df / 2)
    beyond_luck = float(logs.var(ddof=1) - polygamma(1, df / 2))
    worth = _inverse_trigamma(beyond_luck)
    if np.isinf(worth):
        moderated = np.full_like(variances, np.exp(logs.mean()))
    else:
        usual = np.exp(logs.mean() + digamma(worth) - np.log(worth))
        moderated = (2 * worth * usual + df * variances) / (2 * worth + df)
    return np.where(there, np.maximum(variances, moderated), variances)


def _inverse_trigamma(value: float) -> float:
    """Where trigamma is `value`; infinite where that is 0 or less, or next to it."""
    low, high = 1e-4, 1e6
    if value <= polygamma(1, high):
        return float("inf")
    return low if value >= polygamma(1, low) else float(brentq(lambda x: polygamma(1, x) - value, low, high))
