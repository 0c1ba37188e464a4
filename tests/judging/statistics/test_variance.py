"""Variances from few units, steadied: as drawn, where nothing is to be steadied, and what it does for tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import polygamma

from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import _inverse_trigamma, at_least_moderated, estimate_variance


@given(st.floats(1e-3, 1e5))
def test_trigamma_is_inverted(x):
    assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_variances_that_differ_by_luck_alone_become_at_least_the_usual_one():
    rng = np.random.default_rng(0)
    drawn = 2.0 * rng.chisquare(6, 4000) / 6
    found = at_least_moderated(drawn, 6.0)
    assert (found >= drawn).all()
    assert found.min() == pytest.approx(2.0, rel=0.1)


def test_the_usual_variance_is_worth_what_it_was_drawn_with():
    # s0^2 = 3 with 8 degrees of freedom: true variances are 8 * 3 / chi2(8), each known from 5.
    rng = np.random.default_rng(1)
    drawn = 8 * 3.0 / rng.chisquare(8, 40_000) * rng.chisquare(5, 40_000) / 5
    small = drawn < 0.3
    assert at_least_moderated(drawn, 5.0)[small] == pytest.approx((8 * 3.0 + 5 * drawn[small]) / 13, rel=0.05)


@given(st.integers(0, 10_000))
def test_unequal_variances_known_well_hardly_move(seed):
    rng = np.random.default_rng(seed)
    drawn = np.exp(rng.normal(0, 1, 30))
    assert (at_least_moderated(drawn, 400.0) - drawn).max() < 0.02 * drawn.mean()
    assert (at_least_moderated(drawn, 1000.0) == drawn).all()


def test_what_is_the_same_stays_the_same():
    variances = np.array([0.0, 1.0, 1.2, 0.9, 1.1])
    found = at_least_moderated(variances, 5.0)
    assert found[0] == 0
    assert (found[1:] >= variances[1:]).all()
    assert (at_least_moderated(np.zeros(6), 5.0) == 0).all()
    assert (at_least_moderated(variances[:2], 5.0) == variances[:2]).all()


def test_of_few_units_equals_are_rarely_called_different_by_the_test_of_all_pairs():
    """24 equal configurations on 7 units: 5 in 100 studies may have a pair that is told apart."""
    alarms = unsteadied = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        scores = 0.8 + 0.05 * rng.normal(size=7) + 0.02 * rng.standard_t(5, size=(24, 1, 7))
        known = estimate_variance(scores, np.arange(7)[None] % 5)
        found = compare(known, seed=seed)
        alarms += found.better.any()
        apart = np.abs(known.estimate[:, None] - known.estimate) / np.maximum(known.of_differences(), 1e-12)
        unsteadied += apart.max() > found.pairs_limit
    assert alarms <= 9  # 6 are expected at most
    assert unsteadied > 2 * max(alarms, 1)
