"""AUROC and average precision from bins against scikit-learn on every pixel, and the bins themselves."""

import numpy as np
import pytest
from numpy_bins import bins_of
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, roc_auc_score

from foldwise.metrics.pixel_bins import HALF, LEAST, NUM_BINS, bin_edges
from foldwise.metrics.ranking import histogram_ap, histogram_auroc

PIXELS = 1 << 20
FEWER = 1 << 16  # where bins lose nothing, and the number of pixels is no matter


def counted(logits, positive):
    """(2, bins) as fits count them: of float32 probabilities, and of those of the other class."""
    logits = logits.astype(np.float64)
    bins = bins_of(expit(logits).astype(np.float32), expit(-logits).astype(np.float32))
    return np.stack([np.bincount(bins[positive == kind], minlength=NUM_BINS) for kind in (False, True)])


def two_classes(rng, *, share, apart, spread=1.0, scale=1.0, shift=0.0, num=PIXELS):
    """Logits drawn about -`apart` and `apart`, then scaled and shifted."""
    positive = rng.random(num) < share
    return rng.normal(np.where(positive, apart, -apart), spread) * scale + shift, positive


def calibrated(rng, *, mean, spread):
    logits = rng.normal(mean, spread, PIXELS)
    return logits, rng.random(PIXELS) < expit(logits)


SMOOTH = {
    "mild": lambda rng: two_classes(rng, share=0.2, apart=0.3, spread=0.5),
    "good": lambda rng: two_classes(rng, share=0.1, apart=2, spread=1.2),
    "sure and often wrong": lambda rng: two_classes(rng, share=0.1, apart=5, spread=5),
    "very sure": lambda rng: two_classes(rng, share=0.1, apart=2, spread=1.5, scale=5),
    "surer than a float32": lambda rng: two_classes(rng, share=0.1, apart=2, spread=1.5, scale=10),
    "hardly trained": lambda rng: two_classes(rng, share=0.2, apart=0.05, spread=0.08),
    "shifted": lambda rng: two_classes(rng, share=0.05, apart=2, spread=1.5, shift=-6),
    "calibrated": lambda rng: calibrated(rng, mean=-1, spread=2),
    "calibrated and sure": lambda rng: calibrated(rng, mean=-2, spread=8),
}


# Of a million pixels, the chance order within wide bins, or of few positives, is more than what bins lose.
NEAR = dict.fromkeys(SMOOTH, 1e-4) | {"hardly trained": 4e-4, "shifted": 3e-4}


@pytest.mark.parametrize("family", SMOOTH)
def test_scores_of_a_million_pixels_are_those_of_scikit_learn(family):
    logits, positive = SMOOTH[family](np.random.default_rng(len(family)))
    histogram = counted(logits, positive)
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, logits), abs=NEAR[family])
    assert histogram_ap(histogram) == pytest.approx(
        average_precision_score(positive, logits), abs=NEAR[family]
    )


@pytest.mark.parametrize("scale", [1, 4])
def test_of_rare_positives_only_their_chance_order_within_bins_is_lost(scale):
    off = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        logits, positive = two_classes(rng, share=1e-4, apart=2, spread=1.5, scale=scale, shift=-4)
        histogram = counted(logits, positive)
        exact = roc_auc_score(positive, logits), average_precision_score(positive, logits)
        off.append([float(histogram_auroc(histogram)) - exact[0], float(histogram_ap(histogram)) - exact[1]])
    assert np.abs(off).max() < 4e-3
    assert np.abs(np.mean(off, axis=0)).max() < 2e-3


def few_levels(rng):
    logits, positive = two_classes(rng, share=0.1, apart=2, spread=1.5, num=FEWER)
    return logit(np.round(expit(logits) * 10) / 10), positive


def hard(rng):
    logits, positive = two_classes(rng, share=0.1, apart=2, spread=1.5, num=FEWER)
    return np.where(logits > 0, np.inf, -np.inf), positive


def constant(rng):
    return np.zeros(FEWER), rng.random(FEWER) < 0.3


@pytest.mark.parametrize("family", [few_levels, hard, constant])
def test_ties_share_a_threshold(family):
    logits, positive = family(np.random.default_rng(0))
    histogram, p = counted(logits, positive), expit(logits)
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, p), abs=1e-9)
    assert histogram_ap(histogram) == pytest.approx(average_precision_score(positive, p), abs=1e-9)


@pytest.mark.parametrize(("steps", "near"), [(255, 2e-3), (1000, 5e-4)])
def test_ties_finer_than_bins_count_as_in_no_order(steps, near):
    logits, positive = two_classes(np.random.default_rng(0), share=0.1, apart=2, spread=1.5)
    p = np.round(expit(logits) * steps) / steps
    histogram = counted(logit(p), positive)
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, p), abs=1e-4)
    assert histogram_ap(histogram) == pytest.approx(average_precision_score(positive, p), abs=near)


@pytest.mark.parametrize("num", [1, 2, 5, 30, 1000])
def test_few_pixels_are_not_off_to_one_side(num):
    rng, off = np.random.default_rng(num), []
    for _ in range(300):
        logits, positive = two_classes(rng, share=0.3, apart=0.8, num=num)
        if positive.any():
            off.append(
                float(histogram_ap(counted(logits, positive))) - average_precision_score(positive, logits)
            )
    assert abs(np.mean(off)) < 5e-4
    assert np.abs(off).max() < (1e-2 if num >= 1000 else 0.3)


def test_a_single_class():
    logits = np.random.default_rng(0).normal(0, 3, 1000)
    everything, nothing = (counted(logits, np.full(1000, kind)) for kind in (True, False))
    assert histogram_ap(everything) == pytest.approx(1)
    assert np.isnan(histogram_ap(nothing))
    assert np.isnan(histogram_auroc(np.stack([everything, nothing]))).all()


def test_every_probability_is_between_the_edges_of_its_bin():
    edges = bin_edges()
    assert len(edges) == NUM_BINS + 1
    assert (edges[0], edges[HALF], edges[-1]) == (0, 0.5, 1)
    low = edges[: HALF + 1]
    assert np.all(np.diff(low) > 0)
    p = expit(np.random.default_rng(0).uniform(-85, 0, 100_000)).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(bins_of(p), np.searchsorted(low, p, side="right") - 1)
    np.testing.assert_array_equal(bins_of(1 - p, p), NUM_BINS - 1 - bins_of(p))
    np.testing.assert_array_equal(bins_of(low[:-1]), np.arange(HALF))
    assert bins_of(np.array([0, LEAST / 2, LEAST, 0.5, 1.0])).tolist() == [0, 0, 1, HALF, NUM_BINS - 1]


def test_bins_are_as_even_as_said():
    middle = bin_edges()[HALF - 15 : HALF + 16]
    assert np.diff(middle).max() < 0.007
    lower = logit(bin_edges()[1 : HALF - 40])
    assert np.abs(np.diff(lower) / lower[:-1]).max() < 0.055


def test_other_numbers_of_bins_are_even():
    np.testing.assert_array_equal(bin_edges(256), np.arange(257) / 256)
