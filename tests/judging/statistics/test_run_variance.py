"""Which configurations are unsteady: found where one is, rarely where all are equal, and never where nobody can know."""

import numpy as np
import pytest

from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.pairs import all_pairs
from foldwise.judging.statistics.run_variance import between_runs, run_moments, unsteady
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
    assert used.min() == pytest.approx(max(own.mean(), 0))
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


def test_where_the_estimate_is_nothing_the_draws_still_know_of_runs():
    for seed in range(200):
        scores, fold = drawn([0.01, 0.01], n=60, seed=seed)
        found = between_runs(scores, fold)
        if found.used[0] == 0:
            break
    assert found.used.tolist() == [0, 0]
    assert found.shared.drawn(rng=np.random.default_rng(0), draws=500).std() > 0
