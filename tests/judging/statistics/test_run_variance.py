"""Which configurations are unsteady: found where one is, rarely where all are equal, and never where nobody can know."""

import numpy as np
import pytest
from scipy.stats import t

from foldwise.judging.statistics.differences import all_pairs
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.run_moments import PRIOR_DF, PRIOR_OWN_SD, moderated, run_moments
from foldwise.judging.statistics.run_variance import between_runs, score_run_variance, unsteady
from foldwise.judging.statistics.variance import estimate_variance


def drawn(sds, *, n=200, folds=5, repeats=1, seed=0):
    """Scores of images with noise of every run: (C, R, n), and the folds (R, n)."""
    rng = np.random.default_rng(seed)
    fold = np.stack([rng.permutation(n) % folds for _ in range(repeats)])
    image = rng.normal(0.7, 0.1, n)
    runs = rng.normal(size=(len(sds), repeats, folds)) * np.array(sds)[:, None, None]
    own = np.stack([[runs[c, r, fold[r]] for r in range(repeats)] for c in range(len(sds))])
    return image + own + rng.normal(0, 0.05, own.shape), fold


@pytest.mark.parametrize("repeats", [1, 3])
def test_one_that_jumps_from_run_to_run_is_found(repeats):
    found = np.mean(
        [unsteady(*drawn([0.2, *[0.01] * 7], repeats=repeats, seed=s)) for s in range(60)], axis=0
    )
    assert found[0] > 0.85
    assert found[1:].max() < 0.1


@pytest.mark.parametrize("repeats", [1, 3])
def test_equals_are_rarely_called_unsteady(repeats):
    found = np.mean([unsteady(*drawn([0.03] * 8, repeats=repeats, seed=s)) for s in range(150)])
    assert found < 0.04


def test_of_two_nobody_knows_which_and_one_run_says_nothing():
    assert not unsteady(*drawn([0.3, 0.01])).any()
    scores, _ = drawn([0.3, 0.01, 0.01])
    assert not unsteady(scores, np.zeros((1, 200), int)).any()


def test_moments_are_unbiased_and_their_df_are_counted():
    found = [run_moments(*drawn([0.05] * 6, repeats=2, seed=s)) for s in range(200)]
    assert np.mean([one.own for one in found]) == pytest.approx(0.05**2, rel=0.1)
    assert found[0].df == 5
    assert run_moments(*drawn([0.05] * 6)).df == 4


@pytest.mark.parametrize("num", [5, 12])
def test_an_unsteady_one_widens_its_own_interval_and_not_those_of_the_others(num):
    steady, odd = (drawn([sd, *[0.02] * (num - 1)], seed=3) for sd in (0.02, 0.4))
    assert unsteady(*odd).tolist() == [True] + [False] * (num - 1)
    before, after = between_runs(*steady).used, between_runs(*odd).used
    assert after[0] > 100 * before[0]
    assert np.median(after[1:]) < 4 * np.median(before)


@pytest.mark.parametrize("num", [6, 24])
def test_of_many_none_has_less_than_the_mean_of_the_steady(num):
    scores, fold = drawn([0.03] * num, seed=1)
    used, own = between_runs(scores, fold).used, run_moments(scores, fold).own
    assert not unsteady(scores, fold).any()
    # 4 degrees of freedom of each but one, and the prior's one.
    df = 4 * (num - 1)
    assert used.min() == pytest.approx((df * own.mean() + PRIOR_DF * PRIOR_OWN_SD**2) / (df + PRIOR_DF))
    assert (used >= own - 1e-15).all()


def alarms(num, *, studies=400, repeats=1):
    """How often two equal configurations, alone and as a family, are called different."""
    alone = family = 0
    for seed in range(studies):
        known = estimate_variance(*drawn([0.03] * num, n=92, repeats=repeats, seed=seed))
        pairs = all_pairs(known, compare(known, seed=seed), alpha=0.05, margin=0.0)
        alone += pairs[-1].p <= 0.05 if num == 2 else np.mean([pair.p <= 0.05 for pair in pairs])
        family += any(pair.p_all <= 0.05 for pair in pairs)
    return alone / studies, family / studies


@pytest.mark.parametrize(("num", "repeats"), [(2, 1), (4, 1), (2, 3), (12, 1)])
def test_equals_are_called_different_no_more_often_than_promised(num, repeats):
    alone, family = alarms(num, repeats=repeats)
    assert alone < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert family < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def with_shared_luck(shared_sd, *, configurations, folds, repeats=1, own_sd=0.01, n=200, seed=0):
    """Scores between 0 and 1 whose truth is 0.7: all configurations share the luck of a run, and each has some of its own."""
    rng = np.random.default_rng(seed)
    fold = np.stack([rng.permutation(n) % folds for _ in range(repeats)])
    own = own_sd * rng.normal(size=(configurations, repeats, folds))
    runs = shared_sd * rng.normal(size=(repeats, folds)) + own
    luck = np.stack([[runs[c, r, fold[r]] for r in range(repeats)] for c in range(configurations)])
    return 0.7 + 0.12 * rng.normal(size=n) + luck + 0.04 * rng.normal(size=luck.shape), fold


@pytest.mark.parametrize(("configurations", "folds", "repeats", "shared_sd"), [
    (2, 2, 1, 0.1), (3, 5, 1, 0.05), (3, 5, 1, 0.03), (1, 3, 1, 0.06), (24, 5, 3, 0.1), (2, 2, 3, 0.06),
])  # fmt: skip
def test_a_score_counts_the_luck_that_all_configurations_share(configurations, folds, repeats, shared_sd):
    held = []
    for seed in range(300):
        scores, fold = with_shared_luck(
            shared_sd, configurations=configurations, folds=folds, repeats=repeats, seed=seed
        )
        variance = estimate_variance(scores, fold, bounds=(0.0, 1.0))
        off = np.abs(variance.estimate - 0.7)
        held.append(np.mean(off <= t.ppf(0.975, variance.df) * variance.standard_error))
    assert np.mean(held) > 0.93 - 2 * np.sqrt(0.93 * 0.07 / 300)


def test_a_score_is_not_made_sure_by_a_fold_that_is_bad_for_all():
    image = np.random.default_rng(0).normal(0, 0.1, 220)
    fold = np.arange(220)[None] % 2
    scores = np.stack(
        [(mean + image)[None] for mean in (np.where(fold[0], 0.776, 0.517), np.where(fold[0], 0.735, 0.448))]
    )
    variance = estimate_variance(scores, fold, bounds=(0.0, 1.0))
    assert variance.run.max() < 0.05**2  # the difference is 0.069 in one fold and 0.041 in the other
    assert variance.score_runs.used.min() > 0.1**2
    assert variance.score_runs.conflict
    assert t.ppf(0.975, variance.df).min() * variance.standard_error.min() > 0.25


def test_what_all_share_is_in_no_difference():
    scores, fold = with_shared_luck(0.0, configurations=4, folds=5, seed=1)
    luck = np.array([0.3, -0.2, 0.1, 0.0, -0.2])  # on average nothing, so that the prior is the same
    moved = scores + luck[fold]
    before, after = (estimate_variance(one, fold, bounds=(0.0, 1.0)) for one in (scores, moved))
    np.testing.assert_allclose(before.of_differences(), after.of_differences(), atol=1e-12)
    assert (after.score_runs.used > 10 * before.score_runs.used).all()


def test_of_one_fold_nothing_is_known_of_runs():
    scores, _ = with_shared_luck(0.1, configurations=2, folds=5)
    runs = score_run_variance(scores, np.zeros((1, 200), int), np.zeros(2))
    assert runs.used.tolist() == [0, 0]
    assert not runs.conflict


def test_the_prior_counts_as_much_as_its_degrees_of_freedom():
    assert moderated(0.5, 0.1, df=3, prior=0.02) == pytest.approx((0.12 + 3 * 0.5) / 4)
    assert moderated(0.5, 0.1, df=0, prior=0.02) == pytest.approx(0.12)


def test_where_the_folds_show_nothing_the_prior_still_knows_of_runs():
    for seed in range(200):
        scores, fold = drawn([0.01, 0.01], n=60, seed=seed)
        runs, own = between_runs(scores, fold), run_moments(scores, fold).own
        if own.mean() < 0:
            break
    assert own.mean() < 0
    assert runs.shared.drawn(rng=np.random.default_rng(0), draws=500).std() > 0
