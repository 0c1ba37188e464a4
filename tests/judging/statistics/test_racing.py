"""What a look may rule out: by the test of the verdict, never the last few, and never by images alone."""

from dataclasses import replace

import numpy as np
import pytest

from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.racing import InterimScores, ruled_out
from foldwise.judging.statistics.run_moments import independent_runs_in_mean, runs_in_mean
from foldwise.judging.statistics.variance import estimate_variance

ALPHA = 0.0025


def seen(behind, *, folds=2, units=60, repeats=1, run_sd=0.005, seed=0):
    """The scores of a look at so many folds of five, of configurations so far behind the best."""
    rng = np.random.default_rng(seed)
    fold = np.stack([rng.permutation(np.arange(units) % folds) for _ in range(repeats)])
    runs = run_sd * rng.normal(size=(len(behind), repeats, folds))
    luck = runs[:, np.arange(repeats)[:, None], fold]
    images = 0.05 * rng.normal(size=units) + 0.02 * rng.normal(size=(len(behind), 1, units))
    scores = 0.8 - np.array(behind)[:, None, None] + images + luck
    return InterimScores(scores + 0.02 * rng.normal(size=scores.shape), fold, 5, 0.0, (0.0, 1.0))


def test_those_far_behind_are_ruled_out_and_those_near_are_not():
    out = ruled_out(seen([0, 0, 0.3, 0.001, 0.25, 0.2, 0.002]), alpha=ALPHA, least_left=2)
    assert set(out) == {2, 4, 5}
    assert all(p <= ALPHA for p in out.values())


def test_the_first_step_is_that_of_the_verdict_at_the_error_of_the_look():
    look = seen([0, 0.02, 0.05, 0.08, 0.11, 0.14, 0.2])
    known = estimate_variance(look.scores_CRn, look.folds_Rn, bounds=look.bounds, num_folds=5)
    verdict = compare(known, alpha=ALPHA)
    out = ruled_out(look, alpha=ALPHA, least_left=1)
    assert set(np.flatnonzero(~verdict.could_be_best)) <= set(out)
    left = [c for c in range(7) if c not in out]
    again = estimate_variance(look.scores_CRn[left], look.folds_Rn, bounds=look.bounds, num_folds=5)
    assert len(left) == 1 or compare(again, alpha=ALPHA).could_be_best.all()


def test_some_are_always_left_and_the_worst_go_first():
    look = seen([0, 0.2, 0.4, 0.6])
    assert set(ruled_out(look, alpha=ALPHA, least_left=1)) == {1, 2, 3}
    assert set(ruled_out(look, alpha=ALPHA, least_left=2)) == {2, 3}
    assert set(ruled_out(look, alpha=ALPHA, least_left=3)) == {3}
    assert ruled_out(look, alpha=ALPHA, least_left=4) == {}


def test_those_exempt_stay():
    assert set(ruled_out(seen([0, 0.2, 0.4, 0.6]), alpha=ALPHA, least_left=1, exempt=[2])) == {1, 3}


def test_one_fold_once_rules_nothing_out_as_nothing_is_known_of_runs():
    look = seen([0, 0.2, 0.4, 0.6], folds=1)
    assert ruled_out(look, alpha=ALPHA, least_left=1) == {}
    twice = seen([0, 0.2, 0.4, 0.6], folds=1, repeats=2)
    assert ruled_out(replace(twice, num_folds=1), alpha=ALPHA, least_left=1)


def test_training_sets_overlap_as_in_the_whole_study():
    folds = np.array([[0, 1] * 20])
    assert runs_in_mean(folds, 5) - independent_runs_in_mean(folds) == pytest.approx(1 / 4)
    assert runs_in_mean(folds) - independent_runs_in_mean(folds) == pytest.approx(1.0)


def test_equals_are_ruled_out_no_more_often_than_the_error_of_the_look():
    alpha, worlds = 0.02, 100
    lost = [
        bool(ruled_out(seen([0.0] * 8, run_sd=0.02, seed=seed), alpha=alpha, least_left=2, most=2000))
        for seed in range(worlds)
    ]
    assert sum(lost) <= 6  # of 2 expected: more by chance in one of 200 such tests


def test_the_order_of_configurations_changes_nothing():
    look = seen([0, 0.02, 0.05, 0.08, 0.11, 0.14, 0.2])
    order = np.array([3, 6, 0, 5, 1, 4, 2])
    turned = ruled_out(replace(look, scores_CRn=look.scores_CRn[order]), alpha=ALPHA, least_left=2)
    assert {int(order[c]) for c in turned} == set(ruled_out(look, alpha=ALPHA, least_left=2))
