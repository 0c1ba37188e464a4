"""AUROC and average precision against scikit-learn, hand-worked numbers, and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from foldwise.judging.ranking import average_precision, delong, histogram_ap, histogram_auroc, ranked

FOUR = np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])


def test_four_cases_by_hand():
    assert delong(*FOUR) == pytest.approx((0.75, 0.125))
    assert average_precision(*FOUR)[0] == pytest.approx(0.8333, abs=5e-5)


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


@pytest.mark.parametrize("kind", ["auroc", "average_precision"])
def test_values_have_the_score_as_their_mean(kind):
    positive, scores = drawn(1, n=100, ties=False)
    fold = np.arange(100) % 5
    found = ranked(kind, positive, scores, fold)
    assert found.values.mean() == pytest.approx(found.estimate)


def test_influence_scatters_as_delong_says():
    positive, scores = drawn(2, n=400, ties=False)
    area, known = delong(positive, scores)
    found = ranked("auroc", positive, scores, np.zeros(400, dtype=int))
    assert found.estimate == pytest.approx(area)
    assert found.values.var(ddof=1) / 400 == pytest.approx(known, rel=0.01)


def test_average_precision_scatters_as_a_bootstrap_says():
    rng = np.random.default_rng(3)
    positive = rng.random(400) < 0.3
    scores = rng.normal(positive * 1.0, 1)
    found = ranked("average_precision", positive, scores, np.zeros(400, dtype=int))
    resampled = [rng.integers(0, 400, 400) for _ in range(400)]
    spread = np.std([average_precision_score(positive[one], scores[one]) for one in resampled])
    assert np.sqrt(found.values.var(ddof=1) / 400) == pytest.approx(spread, rel=0.15)


def test_folds_are_never_pooled():
    # Each fold ranks perfectly, but one fold's scores are all higher.
    positive = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    assert ranked("auroc", positive, scores, np.array([0, 0, 1, 1])).estimate == 1
    assert ranked("auroc", positive, scores, np.zeros(4, dtype=int)).estimate == 0.75


def test_auroc_of_hard_labels_is_balanced_accuracy():
    truth = np.repeat([True, False], 11)
    said = np.concatenate([np.repeat([True, False], [7, 4]), np.zeros(11)])
    assert delong(truth, said)[0] == pytest.approx(0.81818, abs=5e-6)


def test_an_absent_class_is_undefined():
    nobody = np.zeros(5, dtype=bool)
    assert np.isnan(ranked("auroc", nobody, np.arange(5.0), np.zeros(5, dtype=int)).estimate)
    assert np.isnan(delong(nobody, np.arange(5.0))[0])


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_histograms_are_exact_to_a_bin(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(3000) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.2 * positive, 0.15), 0, 1)
    place = np.minimum((scores * 256).astype(int), 255)
    histogram = np.stack(
        [np.bincount(place[~positive], minlength=256), np.bincount(place[positive], minlength=256)]
    )
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, scores), abs=1 / 256)
    assert histogram_ap(histogram) == pytest.approx(average_precision_score(positive, scores), abs=0.01)
    assert histogram_auroc(histogram) == pytest.approx(roc_auc_score(positive, place))


def test_empty_histograms_are_nan():
    assert np.isnan(histogram_auroc(np.zeros((3, 2, 256)))).all()
    assert np.isnan(histogram_ap(np.zeros((3, 2, 256)))).all()
