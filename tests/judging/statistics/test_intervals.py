"""Intervals against the textbook, statsmodels and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from foldwise.judging.statistics.intervals import Spread, effective_size, interval, logit_t, moved, wilson
from foldwise.metrics.influence import Units, unit_scores
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.table import METRICS


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (81, 263, 0.25529, 0.36621),
        (21, 22, 0.78202, 0.99193),
        (20, 22, 0.72185, 0.97470),
        (22, 22, 0.85135, 1.0),
    ],
)
def test_wilson(right, total, low, high):
    assert wilson(right / total, total) == pytest.approx((low, high), abs=6e-6)
    assert wilson(right / total, total) == pytest.approx(proportion_confint(right, total, method="wilson"))


@pytest.mark.parametrize(
    ("right", "total", "low", "high"), [(21, 22, 0.77156, 0.99885), (11, 11, 0.71509, 1.0)]
)
def test_the_exact_interval_of_clopper_and_pearson_is_wider(right, total, low, high):
    exact = binomtest(right, total).proportion_ci()
    assert (exact.low, exact.high) == pytest.approx((low, high), abs=6e-6)
    ours = wilson(right / total, total)
    assert low < ours[0] < right / total <= ours[1] <= high


def spread(p, n, *, image=None, run=0.0, num_cases=None, grouped=False):
    image = p * (1 - p) / (n - 1) if image is None else image
    return Spread(p, image, run, n, num_cases or n, n, n - 1, grouped)


@pytest.mark.parametrize("right", [11, 21, 22])
def test_a_share_of_images_is_wilson(right):
    assert interval("wilson", spread(right / 22, 22)) == pytest.approx(wilson(right / 22, 22))


def test_groups_lower_the_effective_size_and_take_t():
    grouped = spread(0.8, 20, image=0.16 / 40, num_cases=200, grouped=True)
    assert effective_size(grouped) == pytest.approx(40 * 20 / 19)
    low, high = interval("wilson", grouped)
    assert (low, high) != pytest.approx(wilson(0.8, 40 * 20 / 19))
    assert effective_size(spread(0.8, 20, image=1e-9, num_cases=200)) == pytest.approx(200)
    assert effective_size(spread(0.8, 20, image=1.0, num_cases=200)) == pytest.approx(20)


def test_run_variance_widens_a_share():
    assert effective_size(spread(0.5, 1000, run=0.25 / 1000)) == pytest.approx(500)


def test_logit_t_stays_inside_and_agrees_with_t_in_the_middle():
    low, high = logit_t(0.98, 0.02, 20)
    assert 0 < low < 0.98 < high < 1
    assert logit_t(0.5, 0.001, 1e9) == pytest.approx((0.5 - 0.00196, 0.5 + 0.00196), abs=1e-6)


def test_a_perfect_bounded_mean_is_not_certain():
    low, high = interval("logit", spread(1.0, 22, image=0.0))
    assert (low, high) == pytest.approx((0.85135, 1), abs=6e-6)


def test_near_an_end_a_bounded_mean_keeps_a_useful_interval():
    low, high = interval("logit", spread(0.99, 16, image=0.0004))
    assert 0.7 < low < 0.95
    assert 0.99 < high <= 1


def test_a_rare_mistake_is_not_worth_more_images_than_there_are():
    # One of 92 images was wrong in one of three repeats: fewer mistakes make no wider interval than none at all.
    share = 1 - 1 / 276
    for image in (0.9, 1.1):  # a variance on either side of where the logit is no straight line any more
        rare = replace(spread(share, 92, image=(image / 276) ** 2), counted=True)
        assert interval("logit", rare)[0] < interval("logit", spread(1.0, 92, image=0.0))[0]
        assert interval("logit", rare)[0] == pytest.approx(wilson(share, 92, quantile=1.98638)[0], abs=1e-4)


def test_nothing_known_gives_no_interval():
    assert np.isnan(interval("logit", spread(float("nan"), 22))).all()


def test_plain_is_symmetric():
    low, high = interval("plain", spread(1.7, 30, image=0.01))
    assert 1.7 - low == pytest.approx(high - 1.7)
    assert high - 1.7 == pytest.approx(2.0452 * 0.1, abs=1e-4)


def test_a_loss_is_never_negative():
    low, high = interval("plain", spread(0.01, 30, image=0.01))
    assert (low, high > 0.2) == (0.0, True)


def test_a_perfect_score_moved_down_scatters_as_its_images_would():
    perfect = Spread(
        1.0, 0.0, 0.0, num_units=92, num_cases=92, support=92, df=91, grouped=False, counted=True
    )
    lower = moved(perfect, 0.99)
    assert lower.image_variance == pytest.approx(0.99 * 0.01 / 92)
    low, high = interval("logit", lower)
    assert low < 0.96
    assert high > 0.995
    wide = replace(perfect, estimate=0.9, image_variance=0.01)
    assert moved(wide, 0.8).image_variance == 0.01
    assert moved(replace(perfect, counted=False), 0.99).image_variance == 0.0


def test_a_correlation_has_the_interval_of_fishers_z():
    low, high = interval("signed", spread(-0.3, 101, image=0.0081))
    half = 1.98397 * 0.09 / (1 - 0.3**2)
    assert (low, high) == pytest.approx(
        (np.tanh(np.arctanh(-0.3) - half), np.tanh(np.arctanh(-0.3) + half)), abs=1e-5
    )


@pytest.mark.parametrize("estimate", [-1.0, -0.98, 0.0, 0.98, 1.0])
def test_a_correlation_stays_between_its_bounds(estimate):
    low, high = interval("signed", spread(estimate, 20, image=0.01))
    assert -1 <= low <= estimate <= high <= 1
    assert high - low > 0.1


def test_intervals_of_correlations_hold_their_promise():
    rng, metric, held = np.random.default_rng(0), METRICS["mcc"], []
    chance_KK = (
        np.diag([0.4, 0.3, 0.2]) @ np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.05, 0.1, 0.85]]) / 0.9
    )
    true = metric.formula.of(chance_KK)[0]
    for _ in range(300):
        cell = rng.choice(9, 80, p=chance_KK.ravel())
        truth, decided = np.eye(3)[cell // 3] > 0, np.eye(3)[cell % 3]
        outputs = Outputs("multiclass", np.arange(80), np.zeros(80, int), truth, decided)
        values = unit_scores(metric, outputs, Units(np.arange(80), 80, grouped=False)).values
        low, high = interval("signed", spread(values.mean(), 80, image=values.var(ddof=1) / 80))
        held.append(low <= true <= high)
    assert 0.92 < np.mean(held) < 0.985
