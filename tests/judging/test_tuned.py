"""Tuned configurations among equals: what the folds chose by validation is judged without optimism, other ways are not.

The numbers of docs/statistics.md are of 300 worlds; their standard errors are 0.003 and 0.013.
"""

import pytest
from tuned_worlds import (
    World,
    choose_by_all,
    choose_by_fold,
    choose_by_test,
    simulate,
    simulate_arms,
)

WORLDS = 300


@pytest.mark.parametrize("world", [World(), World(num_trials=100), World(num_images=300, run=0.1)])
def test_a_fold_that_chooses_by_its_own_validation_part_leaves_no_optimism(world):
    optimism, covered = simulate(world, choose_by_fold, WORLDS)
    assert abs(optimism) < 0.007
    assert covered >= 0.92


def test_one_choice_for_all_folds_is_too_good_and_one_by_test_scores_much_too_good():
    by_all, _ = simulate(World(), choose_by_all, WORLDS)
    by_test, covered = simulate(World(), choose_by_test, WORLDS)
    assert 0.01 < by_all < 0.03
    assert 0.05 < by_test < 0.08
    assert covered < 0.87


def test_two_arms_that_are_equal_are_rarely_told_apart():
    assert simulate_arms(World(num_images=200), choose_by_fold, 150) <= 0.05
