"""The reliability curve and its error against scikit-learn, and what a perfect model shows by the design's simulation."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve

from foldwise.judging.statistics.calibration import ece, num_bins, perfect_ece, pixel_curve, reliability_curve
from foldwise.judging.statistics.intervals import wilson


def events(n=500, seed=0):
    rng = np.random.default_rng(seed)
    said = expit(rng.normal(0, 2, n))
    return said, rng.random(n) < said**1.5


def test_the_curve_is_that_of_scikit_learn_and_its_intervals_are_wilson():
    said, hit = events()
    made = reliability_curve(said, hit, bins=15, worth=np.ones(len(said)), alpha=0.05)
    share, mean = calibration_curve(hit, said, n_bins=15)
    np.testing.assert_allclose([one.share for one in made], share)
    np.testing.assert_allclose([one.mean for one in made], mean)
    assert sum(one.count for one in made) == len(said)
    for one in made:
        assert (one.low, one.high) == pytest.approx(wilson(one.share, one.count))


def test_an_image_seen_twice_is_one_image():
    said, hit = events()
    once = reliability_curve(said, hit, bins=10, worth=np.ones(len(said)), alpha=0.05)
    twice = reliability_curve(
        np.tile(said, 2), np.tile(hit, 2), bins=10, worth=np.full(2 * len(said), 0.5), alpha=0.05
    )
    for one, two in zip(once, twice, strict=True):
        assert (one.low, one.high, 2 * one.count) == (
            pytest.approx(two.low),
            pytest.approx(two.high),
            two.count,
        )


def test_the_error_is_the_weighted_distance_of_the_curve():
    said, hit = events()
    share, mean = calibration_curve(hit, said, n_bins=15)
    weight = np.histogram(said, np.linspace(0, 1, 16))[0]
    assert ece(said, hit, bins=15) == pytest.approx(
        (np.abs(share - mean) * weight[weight > 0]).sum() / len(said)
    )
    assert ece(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]), bins=15) == 0


@pytest.mark.parametrize(("n", "expected"), [(22, 0.129), (92, 0.067), (300, 0.037), (1000, 0.020)])
def test_what_a_perfect_model_shows(n, expected):
    """Confidences of logits with a standard deviation of 4.2, which is where the numbers of the design are met."""
    rng = np.random.default_rng(0)
    draws = []
    for seed in range(30):
        p = expit(rng.normal(0, 4.2, n))
        draws.append(perfect_ece(np.maximum(p, 1 - p), bins=15, seed=seed))
    assert np.mean(draws) == pytest.approx(expected, abs=0.005)


def test_a_perfect_model_by_hand_and_by_seed():
    # Two coins in one bin: 2 * (1/4 * 1 + 1/2 * 0 + 1/4 * 1) / 2 is half of a distance of one.
    assert perfect_ece(np.array([0.5, 0.5]), bins=1, seed=0) == pytest.approx(0.25, abs=0.03)
    said, _ = events()
    assert perfect_ece(said, bins=15, seed=3) == perfect_ece(said, bins=15, seed=3)
    assert perfect_ece(np.array([0.0, 1.0]), bins=15, seed=0) == 0


@pytest.mark.parametrize(("images", "bins"), [(8, 5), (60, 6), (149, 14), (150, 15), (30_000, 15)])
def test_few_images_have_fewer_bins(images, bins):
    assert num_bins(images) == bins


def test_pixels_are_pooled_over_images_and_classes():
    rng = np.random.default_rng(0)
    said = (rng.integers(0, 256, 4000) + 0.5) / 256
    hit = rng.random(4000) < said**2
    histogram = np.zeros((2, 1, 2, 256), dtype=np.int64)
    np.add.at(histogram, (np.arange(4000) % 2, 0, hit.astype(int), (said * 256).astype(int)), 1)
    made = pixel_curve([histogram[:1], histogram[1:]])
    share, mean = calibration_curve(hit, said, n_bins=15)
    np.testing.assert_allclose([one.share for one in made], share)
    np.testing.assert_allclose([one.mean for one in made], mean)
    assert made[0].low is None
