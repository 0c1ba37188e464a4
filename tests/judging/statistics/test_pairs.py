"""Every pair, told apart by one family of intervals."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from make_variance import exact_variance
from scipy.stats import ttest_rel

from foldwise.judging.statistics.differences import all_pairs
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import estimate_variance


def independent(num, *, error=1.0, df=1e9, estimate=None):
    estimate = np.zeros(num) if estimate is None else np.array(estimate)
    square = error**2 * np.eye(num)
    return exact_variance(estimate, square, df_image=df)


def told(known, *, margin=0.01, alpha=0.05):
    pairs = all_pairs(known, compare(known, alpha=alpha), alpha=alpha, margin=margin)
    return {(pair.a, pair.b): pair for pair in pairs}


@pytest.mark.parametrize(("num", "critical"), [(3, 2.3437), (10, 3.1637), (24, 3.6373)])
def test_the_family_of_all_pairs_has_tukeys_quantile(num, critical):
    assert compare(independent(num), draws=40_000).pairs_limit == pytest.approx(critical, abs=0.04)


def test_every_two_configurations_once_the_better_one_first():
    known = independent(4, estimate=[0.1, 0.4, 0.2, 0.3])
    found = told(known)
    assert list(found) == [(1, 3), (1, 2), (1, 0), (3, 2), (3, 0), (2, 0)]
    assert all(pair.difference >= 0 for pair in found.values())


def test_far_apart_is_better_close_and_sure_is_equivalent_and_the_rest_cannot_be_told():
    known = independent(3, error=0.001, estimate=[0.9, 0.901, 0.5])
    found = told(known, margin=0.01)
    assert [found[pair].conclusion for pair in ((1, 0), (1, 2), (0, 2))] == ["equivalent", "better", "better"]
    unsure = told(independent(3, error=0.2, estimate=[0.9, 0.901, 0.5]), margin=0.01)
    assert {pair.conclusion for pair in unsure.values()} == {"not distinguishable"}


def test_a_sure_difference_within_the_margin_is_of_no_consequence():
    found = told(independent(2, error=0.0001, estimate=[0.5, 0.504]), margin=0.01)[1, 0]
    assert (found.conclusion, found.p_all < 0.01) == ("equivalent", True)


def test_one_pair_of_image_scores_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(2, 1, 30)) + np.array([0.3, 0.0])[:, None, None]
    known = estimate_variance(scores, np.arange(30)[None, :] % 5)
    alone = replace(known, run=np.zeros(2), run_of_mean=np.zeros(2), shared=None)
    pair = all_pairs(alone, compare(alone), alpha=0.05, margin=0.01)[0]
    oracle = ttest_rel(scores[pair.a, 0], scores[pair.b, 0])
    assert pair.p == pytest.approx(oracle.pvalue)
    assert (pair.low, pair.high) == pytest.approx(tuple(oracle.confidence_interval(0.95)))


def test_the_smallest_difference_that_could_be_seen_is_seen_four_times_in_five():
    num, error = 5, 0.02
    known = independent(num, error=error)
    pair = told(known)[0, 1]
    rng = np.random.default_rng(0)
    beyond = compare(known).pairs_limit * error * np.sqrt(2)
    drawn = rng.normal(pair.minimal_detectable_difference, error * np.sqrt(2), size=4000)
    seen = np.mean(drawn > beyond)
    assert seen == pytest.approx(0.8, abs=0.03)


def test_a_duplicate_cannot_be_told_apart_and_all_equal_scores_give_numbers():
    rng = np.random.default_rng(1)
    one = rng.random((1, 2, 40))
    folds = np.tile(np.arange(40) % 4, (2, 1))
    twin = estimate_variance(np.concatenate([one, one, rng.random((1, 2, 40))]), folds)
    pair = told(twin)[0, 1]
    assert (pair.difference, pair.p_all) == (0.0, 1.0)
    flat = told(estimate_variance(np.full((3, 2, 40), 0.7), folds))
    assert len(flat) == len(list(combinations(range(3), 2)))
    assert all(np.isfinite([row.low, row.high, row.p, row.low_all]).all() for row in flat.values())
