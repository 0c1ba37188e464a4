"""AUROC and average precision against scikit-learn, hand-worked numbers, and brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from foldwise.metrics.ranking import (
    AUROC,
    AVERAGE_PRECISION,
    average_precision,
    histogram_ap,
    histogram_auroc,
    placements,
    ranked,
)

FOUR = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])


def delong(positive, scores):
    """AUROC and its DeLong variance, from the structural components."""
    parts = placements(positive, scores)
    return float(parts[0].mean()), sum(part.var(ddof=1) / len(part) for part in parts)


def test_four_cases_by_hand():
    assert delong(*FOUR) == pytest.approx((0.75, 0.125))
    assert average_precision(*FOUR)[0] == pytest.approx(0.8333, abs=5e-5)


# 113 patients, 72 of them with a good outcome, then 41 with a poor one: WFNS grade, and rank of S100B (ties that no
# patient of the other outcome stands between may be one). Turck et al. 2010, Intensive Care Medicine 36:107, as R's pROC has it.
POOR = np.arange(113) >= 72
WFNS = np.array([
    1, 1, 1, 1, 5, 1, 2, 2, 1, 2, 2, 1, 1, 1, 2, 1, 2, 1, 1, 3, 4, 1, 4, 1, 5, 5, 1, 1, 2, 4, 1, 1, 2, 2, 1, 2, 1, 2, 2, 1,
    1, 1, 1, 2, 1, 2, 1, 1, 3, 2, 4, 2, 1, 4, 1, 1, 5, 4, 2, 2, 1, 1, 1, 3, 1, 2, 2, 4, 4, 1, 1, 1,
    3, 2, 4, 5, 5, 5, 5, 2, 5, 2, 1, 2, 5, 4, 4, 2, 5, 5, 5, 2, 5, 2, 5, 2, 4, 5, 4, 4, 1, 4, 4, 2, 2, 5, 5, 2, 2, 5, 5, 5, 5,
], float)  # fmt: skip
S100B = np.array([
    10, 11, 7, 3, 35, 16, 7, 7, 3, 5, 3, 6, 8, 4, 16, 4, 8, 10, 16, 3, 13, 11, 27, 6, 38, 35, 13, 4, 31, 35, 8, 5, 6, 5, 3, 10,
    7, 11, 12, 3, 3, 6, 3, 6, 5, 13, 6, 5, 26, 8, 23, 4, 7, 25, 4, 3, 19, 29, 7, 12, 5, 11, 7, 4, 3, 16, 12, 35, 16, 12, 38, 36,
    10, 7, 13, 9, 32, 39, 37, 4, 26, 6, 4, 30, 28, 36, 39, 20, 39, 39, 39, 4, 39, 24, 0, 6, 17, 39, 20, 39, 5, 20, 10, 7, 8, 17,
    39, 11, 39, 25, 39, 39, 32,
], float)  # fmt: skip


def test_delong_of_113_patients_is_that_of_r():
    area, squared = delong(POOR, S100B)
    assert area == pytest.approx(0.7314, abs=5e-5)
    assert squared == pytest.approx(0.002668682, abs=5e-10)
    assert np.sqrt(squared) == pytest.approx(0.05165929, abs=5e-9)
    ends = area + np.array([-1, 1]) * norm.ppf(0.975) * np.sqrt(squared)
    assert ends == pytest.approx([0.6301, 0.8326], abs=5e-5)


def test_two_scores_of_the_same_patients_differ_as_in_r():
    apart = [one - other for one, other in zip(placements(POOR, WFNS), placements(POOR, S100B), strict=True)]
    error = np.sqrt(sum(values.var(ddof=1) / len(values) for values in apart))
    z = apart[0].mean() / error
    assert z == pytest.approx(2.209, abs=5e-4)
    assert 2 * norm.sf(z) == pytest.approx(0.02718, abs=5e-6)
    one, other = (ranked(AUROC, POOR, scores, np.zeros(113, dtype=int)).values for scores in (WFNS, S100B))
    assert (one - other).mean() / np.sqrt((one - other).var(ddof=1) / 113) == pytest.approx(z, rel=0.01)


def drawn(seed, n=40, ties=True):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    positive[:2] = [True, False]
    scores = rng.random(n)
    return positive, np.round(scores, 1) if ties else scores


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=50)
def test_against_scikit_learn(seed, ties):
    positive, scores = drawn(seed, ties=ties)
    assert delong(positive, scores)[0] == pytest.approx(roc_auc_score(positive, scores))
    assert average_precision(positive, scores)[0] == pytest.approx(average_precision_score(positive, scores))


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None, max_examples=20)
def test_leaving_one_out_is_exact(seed, ties):
    positive, scores = drawn(seed, n=15, ties=ties)
    positive[:4] = True
    without = average_precision(positive, scores)[1]
    for left_out in range(15):
        kept = np.arange(15) != left_out
        assert without[left_out] == pytest.approx(average_precision_score(positive[kept], scores[kept]))


@pytest.mark.parametrize("ranking", [AUROC, AVERAGE_PRECISION])
def test_values_have_the_score_as_their_mean(ranking):
    positive, scores = drawn(1, n=100, ties=False)
    fold = np.arange(100) % 5
    found = ranked(ranking, positive, scores, fold)
    assert found.values.mean() == pytest.approx(found.estimate)


def test_influence_scatters_as_delong_says():
    positive, scores = drawn(2, n=400, ties=False)
    area, known = delong(positive, scores)
    found = ranked(AUROC, positive, scores, np.zeros(400, dtype=int))
    assert found.estimate == pytest.approx(area)
    assert found.values.var(ddof=1) / 400 == pytest.approx(known, rel=0.01)


def test_average_precision_scatters_as_a_bootstrap_says():
    rng = np.random.default_rng(3)
    positive = rng.random(400) < 0.3
    scores = rng.normal(positive * 1.0, 1)
    found = ranked(AVERAGE_PRECISION, positive, scores, np.zeros(400, dtype=int))
    resampled = [rng.integers(0, 400, 400) for _ in range(400)]
    spread = np.std([average_precision_score(positive[one], scores[one]) for one in resampled])
    assert np.sqrt(found.values.var(ddof=1) / 400) == pytest.approx(spread, rel=0.15)


def test_folds_are_never_pooled():
    # Each fold ranks perfectly, but one fold's scores are all higher.
    positive = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    assert ranked(AUROC, positive, scores, np.array([0, 0, 1, 1])).estimate == 1
    assert ranked(AUROC, positive, scores, np.zeros(4, dtype=int)).estimate == 0.75


def test_auroc_of_hard_labels_is_balanced_accuracy():
    truth = np.repeat([True, False], 11)
    said = np.concatenate([np.repeat([True, False], [7, 4]), np.zeros(11)])
    assert delong(truth, said)[0] == pytest.approx(0.81818, abs=5e-6)


def test_an_absent_class_is_undefined():
    nobody = np.zeros(5, dtype=bool)
    assert np.isnan(ranked(AUROC, nobody, np.arange(5.0), np.zeros(5, dtype=int)).estimate)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_histograms_are_exact_to_a_bin(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(3000) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.2 * positive, 0.15), 0, 1)
    place = np.minimum((scores * 256).astype(int), 255)
    histogram = np.stack([np.bincount(place[positive == kind], minlength=256) for kind in (False, True)])
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, scores), abs=1e-3)
    assert histogram_ap(histogram) == pytest.approx(average_precision_score(positive, scores), abs=5e-3)


@pytest.mark.parametrize(("negatives", "positives"), [((3, 1), (1, 2)), ((0, 2), (1, 0)), ((4, 0), (2, 3))])
def test_bins_of_few_are_the_mean_over_all_orders(negatives, positives):
    # Between empty bins nothing tells of slopes.
    histogram = np.zeros((2, 5), dtype=int)
    histogram[:, 1::2] = negatives, positives
    scores = []
    for upper in {*permutations([False] * negatives[1] + [True] * positives[1])}:
        for lower in {*permutations([False] * negatives[0] + [True] * positives[0])}:
            order = np.array([*upper, *lower])
            scores.append(average_precision_score(order, -np.arange(len(order))))
    assert histogram_ap(histogram) == pytest.approx(np.mean(scores))


def test_empty_histograms_are_nan():
    assert np.isnan(histogram_auroc(np.zeros((3, 2, 256)))).all()
    assert np.isnan(histogram_ap(np.zeros((3, 2, 256)))).all()
