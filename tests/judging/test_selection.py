"""The winner's score, freed from the luck of being chosen."""

import numpy as np
import pytest

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


def test_the_same_seed_gives_the_same_numbers():
    scores = np.random.default_rng(2).random((5, 40))
    assert selected_score(scores, around, seed=3) == selected_score(scores, around, seed=3)
