"""The winner's score, freed from the luck of being chosen."""

import numpy as np
import pytest
from scipy.stats import binom

from foldwise.judging.intervals import plain_t
from foldwise.judging.selection import selected_score


def around(corrected):
    return plain_t(corrected, 0.02, 50)


def test_one_configuration_has_no_optimism():
    scores = np.random.default_rng(0).random((1, 200))
    found = selected_score(scores, around)
    assert found.corrected == pytest.approx(found.naive, abs=0.005)
    assert (found.low, found.high) == around(found.corrected)


def test_equal_configurations_lose_what_luck_gave_them():
    rng = np.random.default_rng(1)
    scores = (rng.random((24, 92)) < 0.75).astype(float)
    found = selected_score(scores, around)
    assert found.naive == pytest.approx(0.835, abs=0.04)  # E[max] of the design
    assert found.corrected < found.naive - 0.03
    assert found.optimism == pytest.approx(found.naive - found.corrected)


@pytest.mark.parametrize(("n", "expected"), [(22, 0.91395), (92, 0.83472)])
def test_the_luck_of_the_best_of_24_is_that_of_the_design_and_is_taken_off(n, expected):
    beyond = 1 - binom.cdf(np.arange(n), n, 0.75) ** 24  # E[max] = sum of P(max > k)
    assert beyond.sum() / n == pytest.approx(expected, abs=5e-6)
    drawn = np.random.default_rng(n).random((80, 24, n)) < 0.75
    found = [selected_score(scores.astype(float), around) for scores in drawn]
    assert np.mean([one.naive for one in found]) == pytest.approx(expected, abs=0.012)
    assert np.mean([one.corrected for one in found]) == pytest.approx(0.75, abs=0.03)


def test_the_same_seed_gives_the_same_numbers():
    scores = np.random.default_rng(2).random((5, 40))
    assert selected_score(scores, around, seed=3) == selected_score(scores, around, seed=3)
