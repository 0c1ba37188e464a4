"""The variance between runs (seed x fold): how far scores of one and the same configuration would lie apart on equal images.

It is seen in fold means that differ by more than their images explain. From a handful of folds it is known badly, so
every estimate is moderated by a weak prior, and the rules here say what is used of it. A difference of two configurations
knows only of luck that they do not share; a score knows of all luck: `score_run_variance`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from foldwise.judging.statistics.run_moments import (
    PRIOR_DF,
    PRIOR_OWN_SD,
    PRIOR_SD,
    Moments,
    left_in_deviations,
    moderated,
    moments_around,
    run_moments,
    runs_in_mean,
)
from foldwise.metrics.outputs import Bools, Floats, Ints

OWN_FROM = 6  # configurations: from here on each has a variance of its own, but never below the mean of the steady ones
STEADY_ENOUGH = 3  # steady configurations: fewer say nothing of what is usual
FEWEST = 3  # configurations: of two, nobody knows which one is the odd one
TIMES = 4.0  # the median variance between runs
RARE = 0.99  # how seldom the scatter of fold means of an equal would be as large

# Times the prior's sd, and the quantile of the folds' scatter that is then beyond belief.
APART, CONFLICT = 2.0, 0.95


def unsteady(scores_CRn: Floats, folds_Rn: Ints) -> Bools:
    """(C,) whether the variance between runs is that of no equal of the others.

    It is more than `TIMES` the median, and the scatter of fold means, which is about a chi-square of
    d = folds - 1 or (repeats - 1) * folds degrees of freedom, is beyond the `RARE` quantile of an equal of the median.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
    """
    return _odd(run_moments(scores_CRn, folds_Rn))


def _odd(moments: Moments) -> Bools:
    if len(moments.between) < FEWEST or moments.df < 1:
        return np.zeros(len(moments.between), dtype=bool)
    far = _far(moments.df)
    # Both must speak: with few degrees of freedom four times the median is nothing rare, and with many a scatter that is
    # rare may still be close to the others'.
    usual = np.median(np.maximum(moments.own, 0.0))
    return np.asarray((moments.own > TIMES * usual) & (moments.between > far * np.median(moments.between)))


@dataclass(frozen=True)
class Runs:
    """What is used of the variance between runs.

    Attributes:
        used: (C,) variance of a score between runs.
        df: degrees of freedom of what is pooled.
        shared: of fewer than `OWN_FROM` configurations, what draws are made from.
    """

    used: Floats
    df: float
    shared: SharedRuns | None


@dataclass(frozen=True)
class SharedRuns:
    """One variance between runs for a few configurations, and how badly it is known.

    From few folds its estimate is 0 or less in a good part of studies, though runs differ: then an interval by the
    estimate alone knows of no runs at all. Draws of it are those of a generalised pivot: the scatter of fold means is
    divided by a chi-square, what images add to it is taken off, and what is left below 0 is 0 (Weerahandi 1993).

    Attributes:
        between, noise, factor: (C,) as in `Moments`; the mean over those that share them.
        df: (C,) degrees of freedom.
        in_mean: from `runs_in_mean`.
    """

    between: Floats
    noise: Floats
    factor: float
    df: Floats
    in_mean: float

    def drawn(self, *, rng: np.random.Generator, draws: int) -> Floats:
        """(draws, C) centred draws of what runs add to the estimates."""
        scale = np.empty((draws, len(self.df)))
        for df in np.unique(self.df):  # one draw for all that share a variance
            scale[:, self.df == df] = (df / rng.chisquare(df, size=(draws, 1))) if df > 0 else 0.0
        variances = np.maximum(self.between * scale - self.noise, 0.0) * self.factor * self.in_mean
        return np.asarray(rng.standard_normal(variances.shape) * np.sqrt(variances))

    def with_row(self, variance: float, df: float) -> SharedRuns:
        """The same, and last one more row with this variance between runs, known with so many degrees of freedom."""
        between, noise, dfs = (
            np.append(values, last)
            for values, last in ((self.between, variance / self.factor), (self.noise, 0.0), (self.df, df))
        )
        return SharedRuns(between, noise, self.factor, dfs, self.in_mean)


def between_runs(
    scores_CRn: Floats, folds_Rn: Ints, *, scale: float = 1.0, num_folds: int | None = None
) -> Runs:
    """The variances between runs to use in differences.

    Few configurations share the mean of their own estimates; of many, each has its own but at least that mean. Of those
    that are `unsteady` the mean counts no more than what would just not be: one that broke down in a fold must not
    hide all others, and one that only looks as if must not be forgotten. The mean is moderated by the prior.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
        scale: from `scale_of`.
        num_folds: as of `runs_in_mean`.
    """
    C, moments = len(scores_CRn), run_moments(scores_CRn, folds_Rn)
    odd = _odd(moments)
    if (~odd).sum() < STEADY_ENOUGH:
        odd[:] = False
    # A mean that one broken-down network dominates made the intervals of all steady ones 1.8 times too wide in simulations,
    # and moderating every variance kept only 92 % of promises; so odd ones are bounded, and the others kept apart.
    own, between, noise = moments.own, moments.between.copy(), moments.noise.copy()
    if (
        odd.any()
    ):  # the steady ones by themselves, and each of the others beside them, whose mean it must not move
        usual_Rn, num = scores_CRn[~odd].mean(axis=0), int((~odd).sum())
        moments = moments_around(scores_CRn[~odd], usual_Rn, folds_Rn, num=num)
        own[~odd], between[~odd], noise[~odd] = moments.own, moments.between, moments.noise
        for c in np.flatnonzero(odd):
            with_it_Rn = (num * usual_Rn + scores_CRn[c]) / (num + 1)
            apart = moments_around(scores_CRn[c : c + 1], with_it_Rn, folds_Rn, num=num + 1)
            own[c], noise[c] = apart.own[0], apart.noise[0]
            between[c] = apart.between[0] * apart.factor / moments.factor
    counted = np.where(odd, np.minimum(between, _far(moments.df) * np.median(moments.between)), between)
    df = max(C - 1, 1) * moments.df
    prior = (scale * PRIOR_OWN_SD) ** 2 / moments.factor if df else 0.0
    common = float(moderated(counted.mean(), noise.mean(), df=df, prior=prior))
    usual = max(common - float(noise.mean()), 0.0) * moments.factor
    # Of six or more, each at least the mean: variances of a handful of folds are far too small as often as too large.
    used = np.where(odd | (C >= OWN_FROM), np.maximum(own, usual), usual)
    if C >= OWN_FROM or not moments.df:
        return Runs(used, df + PRIOR_DF, None)
    own_between = moderated(between, noise, df=moments.df, prior=prior)
    of = [np.where(odd, each, mean) for each, mean in ((own_between, common), (noise, noise.mean()))]
    dfs = np.where(odd, moments.df, df) + PRIOR_DF
    return Runs(
        used, df + PRIOR_DF, SharedRuns(of[0], of[1], moments.factor, dfs, runs_in_mean(folds_Rn, num_folds))
    )


def expected_runs(
    C: int,
    *,
    folds: int,
    repeats: int,
    units: float,
    noise: float,
    scale: float,
    num_folds: int | None = None,
) -> tuple[Runs, float]:
    """What `between_runs` is expected to say of a study that is not trained yet, and its `runs_in_mean`.

    The variance is what the prior expects, and its degrees of freedom are those that the study will have.

    Args:
        C: configurations; two or more.
        folds, repeats: of the study, or of the part of it that is asked about.
        units: that are tested; more than folds.
        noise: what images are expected to add to the scatter of fold means.
        scale: as of `scale_of`.
        num_folds: as of `runs_in_mean`.
    """
    overlap = 1 / ((num_folds or folds) - 1) if folds > 1 else 0.0
    in_mean = (1 - folds / units) / (repeats * folds) + overlap
    each = folds - 1 if repeats == 1 else (repeats - 1) * folds
    if not each:  # one split, trained once: runs are never seen
        return Runs(np.zeros(C), PRIOR_DF, None), in_mean
    factor = C / (C - 1)
    if repeats > 1:
        factor /= left_in_deviations(repeats, folds, folds / units)
    variance, df = (scale * PRIOR_OWN_SD) ** 2, (C - 1) * each + PRIOR_DF
    used, dfs = np.full(C, variance), np.full(C, df)
    if C >= OWN_FROM:
        return Runs(used, df, None), in_mean
    between = np.full(C, noise + variance / factor)
    return Runs(used, df, SharedRuns(between, np.full(C, noise), factor, dfs, in_mean)), in_mean


@dataclass(frozen=True)
class ScoreRuns:
    """The variance between runs of scores: what all configurations share, and their own.

    Attributes:
        used: (C,) variance of a score between runs, moderated by the prior.
        by_folds: the same of a steady configuration by the folds alone, without the prior; 0 or more.
        df: degrees of freedom of `used`; those of the folds are `PRIOR_DF` fewer.
        conflict: whether the folds lie farther apart than the prior can believe.
    """

    used: Floats
    by_folds: float
    df: float
    conflict: bool


def score_run_variance(scores_CRn: Floats, folds_Rn: Ints, own: Floats, *, scale: float = 1.0) -> ScoreRuns:
    """How far scores, not differences, lie apart between runs.

    A training set that is poor for one network is often poor for all. Differences do not see it and scores do: intervals
    that forgot it held 36 % of true scores (2 configurations, 2 folds, shared standard deviation 0.1). More
    configurations tell nothing more of what they share, so degrees of freedom are those of the folds of one.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
        own: (C,) the variances of `between_runs`, without what is shared.
        scale: from `scale_of`.
    """
    moments = moments_around(scores_CRn, np.zeros_like(scores_CRn[0]), folds_Rn, num=1)
    if not moments.df:  # one fold, one repeat: nothing can be known of runs, and a warning says so
        return ScoreRuns(own, 0.0, PRIOR_DF, conflict=False)
    # The usual configuration: a median, so that one which broke down in a fold does not count for all.
    between, noise = float(np.median(moments.between)), float(moments.noise.mean())
    prior = (scale * PRIOR_SD) ** 2 / moments.factor
    common = max(float(moderated(between, noise, df=moments.df, prior=prior)) - noise, 0.0) * moments.factor
    far = float(chi2.ppf(CONFLICT, moments.df) / moments.df)
    return ScoreRuns(
        # What is shared is 0 or more, so a score is never surer than a difference knows of its own runs.
        used=np.maximum(common + own - own.min(), own),
        by_folds=max(between - noise, 0.0) * moments.factor,
        df=moments.df + PRIOR_DF,
        conflict=between > far * (noise + APART**2 * prior),
    )


def _far(df: int) -> float:
    """How many times the median a scatter of `df` degrees of freedom is that is beyond the `RARE` quantile."""
    return float(chi2.ppf(RARE, df) / chi2.ppf(0.5, df)) if df > 0 else 1.0
