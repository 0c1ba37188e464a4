"""Reliability curves against scikit-learn, what a perfect model shows by simulation, and temperatures against torch."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from foldwise.judging.statistics.calibration import (
    COLDEST,
    HOTTEST,
    PRIOR,
    bin_of,
    ece,
    fit_temperatures,
    logits,
    num_bins,
    perfect_ece,
    pixel_curve,
    reliability_curve,
    tempered,
)
from foldwise.judging.statistics.intervals import wilson


def fit_temperature(said, truth, family):
    return float(fit_temperatures([(said, truth)], family)[0])


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


@pytest.mark.parametrize("n", [40, 900, 500_000])  # many in one bin; so many that draws are made one by one
def test_what_a_perfect_model_shows_is_counted_draw_by_draw(n):
    said = np.random.default_rng(1).random(n) ** 3
    ascending, rng = np.sort(said), np.random.default_rng(7)
    draws = int(np.clip(4_000_000 // n, 20, 1000))
    apart = []
    for came_true in (rng.random(n) < ascending for _ in range(draws)):
        sums = np.bincount(bin_of(ascending, 7), weights=came_true - ascending, minlength=7)
        apart.append(np.abs(sums).sum() / n)
    assert perfect_ece(said, bins=7, seed=7) == pytest.approx(np.mean(apart), rel=1e-9)


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


def classifier(family, n=300, *, sharp=3.0, seed=0):
    """Probabilities whose logits are `sharp` times too large, and the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 4))
    if family == "multilabel":
        return expit(sharp * logits).astype(np.float32), rng.random((n, 4)) < expit(logits)
    p = torch.from_numpy(logits).softmax(1).numpy()
    chosen = (rng.random(n)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    said = torch.from_numpy(sharp * logits).softmax(1).float().numpy()
    return said, np.eye(4, dtype=bool)[chosen]


def test_logits_three_times_too_large_have_a_temperature_of_three():
    rng = np.random.default_rng(0)
    z = rng.normal(size=200_000)
    true = rng.random(len(z)) < expit(z)
    two = np.stack([expit(-3 * z), expit(3 * z)], axis=1)
    assert fit_temperature(two, np.stack([~true, true], axis=1), "binary") == pytest.approx(3, abs=0.04)
    label = fit_temperature(two[:, 1:], true[:, None], "multilabel")
    assert label == pytest.approx(3, abs=0.04)


@pytest.mark.parametrize("family", ["multiclass", "multilabel"])
def test_the_minimum_is_that_of_torch(family):
    said, truth = classifier(family)
    told, true = torch.from_numpy(said).double(), torch.from_numpy(truth).double()
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        if family == "multilabel":
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                told.logit() / log_t.exp(), true, reduction="sum"
            )
        else:
            loss = torch.nn.functional.cross_entropy(
                told.log() / log_t.exp(), true.argmax(1), reduction="sum"
            )
        loss = loss + log_t**2 / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    assert fit_temperature(said, truth, family) == pytest.approx(float(log_t.detach().exp()), rel=1e-4)


def by_scipy(said, truth, family):
    """The logarithm of one temperature, from the losses as they are defined."""
    own = logits(said, family)

    def loss(log_t):
        cooled = own / np.exp(log_t)
        if family == "multilabel":
            return np.logaddexp(0, np.where(truth, -cooled, cooled)).sum() + PRIOR / 2 * log_t**2
        return -log_softmax(cooled, axis=1)[truth].sum() + PRIOR / 2 * log_t**2

    ends = np.log([COLDEST, HOTTEST])
    return minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-5}).x


# Skill, spread of the logits and bias to the first class: sharp networks, ones that know nothing, and ones whose loss
# has two minima, since they say nearly the same of every image.
NETWORKS = [(1, 1, 0), (3, 3, 0), (1, 10, 0), (0, 5, 0), (20, 20, 0), (0, 0.01, 0.02), (2, 0.01, 0.01)]


@pytest.mark.parametrize(("family", "K"), [("binary", 2), ("multiclass", 4), ("multilabel", 3)])
def test_fits_together_have_the_temperatures_that_scipy_finds_one_by_one(family, K):
    rng, fits = np.random.default_rng(0), []
    for skill, spread, bias in NETWORKS * 4:
        n = int(rng.choice([8, 40, 41, 400]))
        classes = rng.choice(K, n, p=softmax(-np.arange(K)))
        truth = rng.random((n, K)) < 0.3 if family == "multilabel" else np.arange(K) == classes[:, None]
        own = spread * (skill * truth + rng.normal(size=(n, K))) + bias * (np.arange(K) == 0)
        p = expit(own) if family == "multilabel" else softmax(own, axis=1)
        fits.append((p.astype(np.float32), truth))
    together = fit_temperatures(fits, family)
    expected = [by_scipy(said, truth, family) for said, truth in fits]
    np.testing.assert_allclose(np.log(together), expected, atol=2e-5)
    assert len(set(together.round(3))) > 10
    assert [fit_temperature(*fit, family) for fit in fits] == together.tolist()


@pytest.mark.parametrize("family", ["multiclass", "multilabel"])
def test_a_temperature_lowers_the_log_loss_where_it_was_set(family):
    said, truth = classifier(family)
    after = tempered(said, fit_temperature(said, truth, family), family)
    pairs = zip(truth.T, said.T, after.T, strict=True) if family == "multilabel" else [(truth, said, after)]
    before, better = np.mean([(log_loss(t, a), log_loss(t, b)) for t, a, b in pairs], axis=0)
    assert better < before - 0.1


@pytest.mark.parametrize("temperature", [0.5, 3.0, HOTTEST])  # below, probabilities of 1 - 1e-17 become equal
def test_decisions_and_rankings_stay(temperature):
    for family in ("multiclass", "multilabel"):
        said, truth = classifier(family)
        after = tempered(said, temperature, family)
        if family == "multilabel":
            assert ((after >= 0.5) == (said >= 0.5)).all()
            for k in range(4):
                expected = roc_auc_score(truth[:, k], said[:, k])
                assert roc_auc_score(truth[:, k], after[:, k]) == pytest.approx(expected, abs=1e-12)
        else:
            assert (after.argmax(axis=1) == said.argmax(axis=1)).all()
            np.testing.assert_allclose(after.sum(axis=1), 1)
    two = np.stack([1 - said[:, 0], said[:, 0]], axis=1)
    ranked = roc_auc_score(truth[:, 0], tempered(two, temperature, "binary")[:, 1])
    assert ranked == pytest.approx(roc_auc_score(truth[:, 0], said[:, 0]), abs=1e-12)


def test_one_changes_nothing_and_a_saturated_network_stays_finite():
    said, _ = classifier("multiclass")
    np.testing.assert_allclose(tempered(said, 1.0, "multiclass"), said, atol=1e-6)
    sure = np.array([[1.0, 0.0]], np.float32)
    for family in ("binary", "multilabel"):
        assert np.isfinite(tempered(sure, HOTTEST, family)).all()
        assert (tempered(sure, HOTTEST, family)[0] != 0.5).all()


def test_few_images_that_are_all_right_do_not_make_a_fit_certain():
    said = np.tile([[0.95, 0.05], [0.05, 0.95]], (6, 1))
    alone = fit_temperature(said, said > 0.5, "binary")
    assert 0.5 < alone < 1  # without the prior it would be the coldest there is
    many = np.tile(said, (200, 1))
    assert fit_temperature(many, many > 0.5, "binary") < alone / 1.5
