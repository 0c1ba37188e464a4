"""Thresholds of several labels: each method against brute force, scikit-learn, and new images."""

import numpy as np
import pytest
import sklearn.metrics as oracle
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from foldwise.errors import SpecError
from foldwise.judging.scores.thresholds import (
    FEW,
    NEVER,
    THRESHOLDS,
    ValidationOutputs,
    calibrate,
    candidates,
    choose_thresholds,
    expected_f1,
    f1_at,
    log_odds,
)

K = 28


def drawn(rng, n, *, flat=0.6):
    """Labels from 40 % down to 0.4 %, equally hard, and probabilities that are right but for their slope."""
    share = np.geomspace(0.4, 0.004, K)
    truth = rng.random((n, K)) < share
    evidence = np.where(truth, 1.0, -1.0) + rng.normal(0, 1.2, (n, K))
    return expit(flat * (2 * evidence / 1.2**2 + np.log(share / (1 - share)))), truth


def seen(rng, n, **how):
    probabilities, truth = drawn(rng, n, **how)
    return ValidationOutputs(probabilities, truth, truth.mean(axis=0))


def macro_f1(probabilities, truth, thresholds):
    return oracle.f1_score(truth, probabilities >= thresholds, average="macro", zero_division=0)


def test_f1_at_a_threshold_is_that_of_scikit_learn():
    known = seen(np.random.default_rng(0), 80)
    said, true = known.probabilities[:, 3].round(1), known.truth[:, 3]  # with ties, some on a threshold
    limits = np.linspace(0, 1, 11)
    expected = [oracle.f1_score(true, said >= limit, zero_division=0) for limit in limits]
    assert f1_at(said, true, limits) == pytest.approx(expected)


def test_the_best_of_each_class_and_of_all_are_those_of_brute_force():
    known = seen(np.random.default_rng(1), 60)
    own = THRESHOLDS["per_class"].decide(known).thresholds
    tried = np.linspace(0, 1, 4001)[1:]
    for k in np.flatnonzero(known.positives)[::4]:
        said, true = known.probabilities[:, k], known.truth[:, k]
        best = max(oracle.f1_score(true, said >= limit) for limit in candidates(said))
        assert oracle.f1_score(true, said >= own[k]) == pytest.approx(best)
        assert best >= np.nanmax(f1_at(said, true, tried))
    there = known.positives > 0
    common = THRESHOLDS["global"].decide(known).thresholds
    assert len(set(common)) == 1
    found = macro_f1(known.probabilities[:, there], known.truth[:, there], common[0])
    probabilities, truth = known.probabilities[:, there], known.truth[:, there]
    said = probabilities >= np.unique(probabilities)[:, None, None]
    every_f1 = 2 * (said & truth).sum(axis=1) / (said.sum(axis=1) + truth.sum(axis=0))
    assert found == pytest.approx(every_f1.mean(axis=1).max())


def test_the_expected_f1_is_the_best_of_all_cuts_and_twice_the_threshold():
    p = np.random.default_rng(2).beta(0.5, 2, 200)
    best = max(2 * p[p >= limit].sum() / ((p >= limit).sum() + p.sum()) for limit in p)
    assert expected_f1(p) == pytest.approx(best)
    chosen = p >= best / 2
    assert 2 * p[chosen].sum() / (chosen.sum() + p.sum()) == pytest.approx(best)


def test_calibration_is_the_logistic_regression_of_scikit_learn():
    probabilities, truth = drawn(np.random.default_rng(3), 400)
    known = calibrate(probabilities, truth)
    # One row for each image and label; the penalty is 1 on the offsets, and next to none on the widened slope.
    wide = 1e3 * log_odds(probabilities).reshape(-1, 1)
    features = np.hstack([wide, np.tile(np.eye(K), (len(truth), 1))])
    other = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10).fit(features, truth.ravel())
    assert known.slope == pytest.approx(1e3 * other.coef_[0, 0], rel=1e-3)
    assert known.offsets == pytest.approx(other.intercept_[0] + other.coef_[0, 1:], abs=2e-3)
    assert known.slope == pytest.approx(1 / 0.6, rel=0.05)
    assert known.undone(known.applied(probabilities)[5]) == pytest.approx(probabilities[5])


def test_calibration_of_nothing_to_learn_stays_finite():
    same = np.full((20, 3), 0.3)
    truth = np.zeros((20, 3), dtype=bool)
    truth[:6, 0] = True
    known = calibrate(same, truth)
    assert np.isfinite(known.offsets).all()
    assert known.applied(same).mean(axis=0)[0] > known.applied(same).mean(axis=0)[1]


def test_prevalence_says_a_label_as_often_as_it_is_there():
    known = seen(np.random.default_rng(4), 500)
    said = known.probabilities >= THRESHOLDS["prevalence"].decide(known).thresholds
    assert said.sum(axis=0).tolist() == known.positives.tolist()


def test_shrunk_lies_between_the_own_and_the_common_threshold():
    known = seen(np.random.default_rng(5), 300)
    own, common, between = (
        THRESHOLDS[name].decide(known).thresholds for name in ("per_class", "global", "shrunk")
    )
    n, there = known.positives, known.positives > 0
    assert between[there] == pytest.approx((n * own + 10 * common)[there] / (n + 10)[there])
    assert between[~there] == pytest.approx(common[~there])


@pytest.mark.parametrize("name", THRESHOLDS)
def test_no_method_says_a_label_of_every_image_because_none_has_it(name):
    rng = np.random.default_rng(6)
    probabilities, truth = drawn(rng, 200)
    truth[:, [0, 20]] = False
    nowhere = ValidationOutputs(probabilities, truth, truth.mean(axis=0))
    cut = THRESHOLDS[name].decide(nowhere)
    assert (cut.thresholds > 0).all()
    if name in ("per_class", "prevalence", "calibrated"):
        assert cut.thresholds[[0, 20]].tolist() == [NEVER, NEVER]
    # Absent from the inner validation by chance only: it is in the training part.
    rare = ValidationOutputs(probabilities, truth, np.where(truth.any(axis=0), nowhere.share, 0.02))
    said = probabilities >= THRESHOLDS[name].decide(rare).thresholds
    if name in ("per_class", "prevalence", "calibrated"):
        assert said[:, [0, 20]].sum(axis=0).tolist() == [4, 4]


def test_labels_with_few_positives_are_matched():
    known = seen(np.random.default_rng(7), 300)
    cut, matched = THRESHOLDS["calibrated"].decide(known), THRESHOLDS["prevalence"].decide(known)
    few = known.positives < FEW
    assert few.any()
    assert not few.all()
    assert cut.matched.tolist() == few.tolist()
    assert cut.thresholds[few].tolist() == matched.thresholds[few].tolist()


def test_on_new_images_the_default_beats_the_raw_optimum_which_flatters_itself():
    """The simulation behind the default: macro F1 on new images, and on the images the thresholds were set on."""
    new, own = {name: [] for name in THRESHOLDS}, {name: [] for name in THRESHOLDS}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        known, (fresh, truth) = seen(rng, 300), drawn(rng, 6000)
        for name, method in THRESHOLDS.items():
            limits = method.decide(known).thresholds
            new[name].append(macro_f1(fresh, truth, limits))
            own[name].append(macro_f1(known.probabilities, known.truth, limits))
    there = {name: np.mean(scores) for name, scores in new.items()}
    optimism = {name: np.mean(own[name]) - there[name] for name in THRESHOLDS}
    assert min(there["calibrated"], there["prevalence"], there["shrunk"]) > there["per_class"] + 0.01
    assert there["calibrated"] > max(there["half"], there["global"])
    assert optimism["per_class"] > 0.06
    assert abs(optimism["calibrated"]) < 0.03


def test_thresholds_are_asked_for_by_name_and_of_several_labels_only():
    assert choose_thresholds("auto", "multilabel") == "calibrated"
    assert choose_thresholds("half", "multilabel") == "half"
    assert choose_thresholds("auto", "binary") is None
    with pytest.raises(SpecError) as raised:
        choose_thresholds("half", "multiclass")
    assert str(raised.value) == (
        "thresholds are for several labels; here every image gets its likeliest class\n"
        "  → Leave judge.thresholds out."
    )
    with pytest.raises(SpecError, match="no method for thresholds is called 'shrink'"):
        choose_thresholds("shrink", "multilabel")
