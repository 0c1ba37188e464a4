"""The winner's score, freed from the luck of being chosen."""

import numpy as np
import pytest
from make_variance import exact_variance
from scipy.stats import binom

from foldwise.judging.statistics.intervals import plain_t
from foldwise.judging.statistics.selection import run_luck, selected_score
from foldwise.judging.statistics.variance import estimate_variance


def around(corrected):
    return plain_t(corrected, 0.02, 50)


def steady(scores_Cn):
    """What is known of scores of one run without folds: nothing of runs."""
    return estimate_variance(scores_Cn[:, None], np.zeros((1, scores_Cn.shape[1]), dtype=int))


def test_one_configuration_has_no_optimism():
    scores = np.random.default_rng(0).random((1, 200))
    found = selected_score(scores, steady(scores), around)
    assert found.corrected == pytest.approx(found.naive, abs=0.005)
    assert (found.low, found.high) == around(found.corrected)


def test_equal_configurations_lose_what_luck_gave_them():
    rng = np.random.default_rng(1)
    scores = (rng.random((24, 92)) < 0.75).astype(float)
    found = selected_score(scores, steady(scores), around)
    assert found.naive == pytest.approx(0.835, abs=0.04)  # E[max] of the design
    assert found.corrected < found.naive - 0.03
    assert found.optimism == pytest.approx(found.naive - found.corrected)


@pytest.mark.parametrize(("n", "expected"), [(22, 0.91395), (92, 0.83472)])
def test_the_luck_of_the_best_of_24_is_that_of_the_design_and_is_taken_off(n, expected):
    beyond = 1 - binom.cdf(np.arange(n), n, 0.75) ** 24  # E[max] = sum of P(max > k)
    assert beyond.sum() / n == pytest.approx(expected, abs=5e-6)
    drawn = np.random.default_rng(n).random((80, 24, n)) < 0.75
    found = [selected_score(scores.astype(float), steady(scores.astype(float)), around) for scores in drawn]
    assert np.mean([one.naive for one in found]) == pytest.approx(expected, abs=0.012)
    assert np.mean([one.corrected for one in found]) == pytest.approx(0.75, abs=0.03)


def test_the_same_seed_gives_the_same_numbers():
    scores = np.random.default_rng(2).random((5, 40))
    assert selected_score(scores, steady(scores), around, seed=3) == selected_score(
        scores, steady(scores), around, seed=3
    )


def unsteady(estimate, run_of_mean, image=1e-12):
    return exact_variance(
        estimate, image * np.eye(len(estimate)), run_of_mean=run_of_mean, df_image=99.0, df_run=8.0
    )


def test_the_luck_with_runs_of_the_best_of_24_equals_is_the_expected_maximum():
    known = unsteady(np.zeros(24), np.full(24, 0.01**2))
    # E[max] of 24 standard normal numbers is 1.9477 (Harter 1961).
    assert run_luck(known, np.random.default_rng(0)) == pytest.approx(0.019477, rel=0.03)


def test_luck_is_shared_with_that_of_images_and_is_none_without_a_rival():
    rng = np.random.default_rng(1)
    runs = np.full(24, 0.01**2)
    both = run_luck(unsteady(np.zeros(24), runs, image=0.01**2), rng)
    assert both == pytest.approx(0.019477 / np.sqrt(2), rel=0.06)  # half of the variance of the winner's luck
    far = np.zeros(24)
    far[3] = 1.0
    assert run_luck(unsteady(far, runs), rng) == pytest.approx(0, abs=1e-12)
    assert run_luck(unsteady(np.zeros(24), np.zeros(24)), rng) == 0


def test_runs_that_flatter_the_winner_are_taken_off_its_score():
    rng = np.random.default_rng(2)
    folds = np.arange(600) % 5
    apart = []
    for _ in range(40):  # equal configurations on many images: nearly all luck is that of independent runs
        runs = rng.normal(0, 0.02, (24, 3, 5))[:, :, folds]
        scores = np.clip(0.8 + rng.normal(0, 0.02, 600) + runs, 0, 1)
        known = estimate_variance(scores, np.tile(folds, (3, 1)))
        assert known.independent == pytest.approx((1 / 15) / (1 / 15 + 1 / 4), rel=0.01)
        found = selected_score(scores.mean(axis=1), known, around)
        assert found.low < around(found.corrected)[0]  # were the luck shared, more of it would have to go
        apart.append((found.naive - 0.8, found.corrected - 0.8))
    naive, corrected = np.mean(apart, axis=0)
    assert naive > 0.009
    assert abs(corrected) < naive / 3
