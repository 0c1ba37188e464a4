"""Calibration in the verdict: the numbers of every configuration against scikit-learn on the saved arrays."""

import numpy as np
import pytest
from judged import judge
from sklearn import metrics as oracle
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.calibration import Confidence, overconfidence
from foldwise.judging.statistics.calibration import fit_temperatures, tempered


def record_of(folder):
    return read_rows(folder), judge(folder)["calibration"]


@pytest.mark.parametrize("task", [task for task in CLASSES if task.endswith("classification")])
def test_losses_before_and_after_are_those_of_scikit_learn(task, tmp_path):
    judging = "{thresholds: half}" if task.startswith("multilabel") else "{}"
    folder = make_run(tmp_path / "run", Wanted(task, num_cases=60, repeats=2, judge=judging))
    rows, told = record_of(folder)
    one = told["configurations"][0]
    for step in ("before", "after"):
        losses, squares = [], []
        for repeat in rows.repeats:
            truth, said = [], []
            for fit in rows.done(one["id"], repeat):
                saved = np.load(fit.path / "scores.npz")
                validation = saved["validation_probabilities"], rows.truth[saved["validation_case"]]
                (heat,) = fit_temperatures([validation], rows.family)
                stated = next(
                    part["temperature"]
                    for part in one["temperature"]["folds"]
                    if (part["repeat"], part["fold"]) == (fit.repeat, fit.fold)
                )
                assert stated == heat
                p = saved["probabilities"].astype(float)
                said.append(tempered(p, heat, rows.family) if step == "after" else p)
                truth.append(rows.truth[saved["case"]])
            t, p = np.concatenate(truth), np.concatenate(said)
            if rows.family == "multilabel":
                losses.append(np.mean([oracle.log_loss(a, b) for a, b in zip(t.T, p.T, strict=True)]))
                squares.append(
                    np.mean([oracle.brier_score_loss(a, b) for a, b in zip(t.T, p.T, strict=True)])
                )
            else:
                losses.append(oracle.log_loss(t.argmax(1), p / p.sum(axis=1, keepdims=True)))
                squares.append(
                    oracle.brier_score_loss(t[:, 1], p[:, 1])
                    if rows.family == "binary"
                    else ((p - t) ** 2).sum(axis=1).mean()
                )
        assert one[step]["log_loss"] == pytest.approx(np.mean(losses), abs=1e-6)
        assert one[step]["brier"] == pytest.approx(np.mean(squares), abs=1e-6)
    assert one["temperature"]["low"] <= one["temperature"]["median"] <= one["temperature"]["high"]


def test_the_verdict_has_every_complete_configuration_and_a_winner_s_temperature(tmp_path):
    wanted = Wanted(skills=(0.5, 1.0, 2.0), num_cases=60, missing=((1, 0, 2),))
    verdict = judge(make_run(tmp_path / "run", wanted))
    told = verdict["calibration"]
    assert told["of"] == "the probability of the class 'yes'"
    complete = [one["id"] for one in verdict["configurations"] if one["num_done"] == one["num_planned"]]
    assert [one["id"] for one in told["configurations"]] == complete
    best = told["configurations"][0]
    metrics = verdict["configurations"][0]["metrics"]
    assert best["before"]["brier"] == pytest.approx(metrics["brier"]["estimate"])
    assert best["before"]["log_loss"] == pytest.approx(metrics["log_loss"]["estimate"])
    assert sum(one["count"] for one in best["after"]["bins"]) == 60
    assert 0 < best["before"]["ece_perfect"] < 0.2


def test_nothing_is_told_where_nothing_is_complete(tmp_path):
    wanted = Wanted(skills=(1.0,), missing=((0, 0, 0),))
    assert judge(make_run(tmp_path / "run", wanted))["calibration"] is None


def test_pixels_have_a_curve_and_no_temperature(tmp_path):
    _, told = record_of(make_run(tmp_path / "run", Wanted("multiclass_segmentation", num_cases=12)))
    one = told["configurations"][0]
    assert told["descriptive"]
    assert one["temperature"] is one["after"] is one["before"]["ece"] is None
    assert sum(part["count"] for part in one["before"]["bins"]) == 12 * 16 * 16 * 2  # two foreground classes


def told(probability, share_right, *, n=200, folds=5, seed=0):
    """One configuration that says `probability` of all its decisions, of which `share_right` are right."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(np.arange(n) < round(share_right * n))
    values = probability - right.astype(float)
    return Confidence(values[None], probability * (1 - probability) / n), np.arange(n)[None] % folds


@pytest.mark.parametrize(
    ("probability", "share", "words"),
    [
        (0.95, 0.7, "over-confident"),
        (0.6, 0.9, "under-confident"),
        (0.8, 0.79, "undecided"),
        (0.995, 1.0, "undecided"),  # nothing scatters, and yet a perfect model would often show this
    ],
)
def test_over_and_under_confidence(probability, share, words):
    one, folds = told(probability, share)
    found = overconfidence([one], folds, num_cases=200, alpha=0.05)[0]
    assert found.conclusion == words
    assert found.estimate == pytest.approx(probability - share)
    assert found.low <= found.estimate <= found.high


def test_a_perfect_model_is_seldom_called_anything_else():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        p = rng.uniform(0.5, 1, 60)
        values = p - (rng.random(60) < p)
        one = Confidence(values[None], float((p * (1 - p)).sum() / 60**2))
        found = overconfidence([one], np.arange(60)[None] % 5, num_cases=60, alpha=0.05)[0]
        wrong += found.conclusion != "undecided"
    assert wrong / 400 <= 0.05
