"""Curves against scikit-learn, and the shapes the report draws from."""

import numpy as np
import pytest
from judged import judge
from sklearn import metrics as oracle
from tiny_run import CLASSES, Wanted, make_run

from foldwise.errors import RunError
from foldwise.judging import judge as runs
from foldwise.judging.curves import Line, read_curves
from foldwise.judging.scores.curve_scores import (
    MAX_POINTS,
    _from_recall_zero,
    _thinned,
    confusion_matrix,
    curves_of,
    image_scores,
    pr,
    roc,
)
from foldwise.judging.scores.rows import read_rows
from foldwise.metrics.ranking import histogram_ap, histogram_auroc


def rows_of(tmp_path, task):
    rows = read_rows(make_run(tmp_path / "run", Wanted(task=task, skills=(0.7,), repeats=2)))
    return rows, rows.configurations[0].id


@pytest.mark.parametrize("task", ["binary_classification", "multilabel_classification"])
def test_fold_curves_are_those_of_scikit_learn(tmp_path, task):
    rows, one = rows_of(tmp_path, task)
    drawn, recalled = roc(rows, one, 1), pr(rows, one, 1)
    areas, precisions = [], []
    for repeat in rows.repeats:
        folds = [rows.fold_outputs(fit) for fit in rows.done(one, repeat)]
        truths, said = [part.truth[:, 1] for part in folds], [part.probabilities[:, 1] for part in folds]
        positives = [true.sum() for true in truths]
        pairs = [true.sum() * (~true).sum() for true in truths]
        areas.append(np.average(list(map(oracle.roc_auc_score, truths, said)), weights=pairs))
        found = list(map(oracle.average_precision_score, truths, said))
        precisions.append(np.average(found, weights=positives))
    assert drawn.area == pytest.approx(np.mean(areas))
    assert recalled.area == pytest.approx(np.mean(precisions))
    assert len(drawn.folds) == len(recalled.folds) == 6


@pytest.mark.parametrize("task", ["binary_classification", "multilabel_classification"])
def test_a_curve_says_the_number_of_the_table(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, skills=(0.7,), repeats=2))
    rows, verdict = read_rows(folder), judge(folder)
    record = verdict["configurations"][0]
    table = record["per_class"][verdict["classes"][1]]
    assert roc(rows, record["id"], 1).area == pytest.approx(table["auroc"])
    assert pr(rows, record["id"], 1).area == pytest.approx(table["average_precision"])


@pytest.mark.parametrize("task", CLASSES)
def test_curves_run_from_corner_to_corner(tmp_path, task):
    rows, one = rows_of(tmp_path, task)
    drawn, recalled = roc(rows, one, 1), pr(rows, one, 1)
    for x, y in [*drawn.folds, drawn.mean]:
        assert (x[0], y[0], x[-1], y[-1]) == pytest.approx((0, 0, 1, 1))
        assert np.all(np.diff(x) >= 0)
        assert np.all(np.diff(y) >= -1e-12)
    for x, y in [*recalled.folds, recalled.mean]:
        assert (x[0], x[-1]) == pytest.approx((0, 1))
        assert 0 <= min(y) <= max(y) <= 1


def test_areas_of_pixels_are_those_of_their_bins(tmp_path):
    rows, one = rows_of(tmp_path, "binary_segmentation")
    folds = [rows.fold_outputs(fit).histogram[:, 1].sum(axis=0) for fit in rows.done(one, rows.repeats[0])]
    later = [rows.fold_outputs(fit).histogram[:, 1].sum(axis=0) for fit in rows.done(one, rows.repeats[1])]
    for curve, score, weigh in (
        (roc, histogram_auroc, lambda bins: bins.sum(axis=1).prod()),
        (pr, histogram_ap, lambda bins: bins[1].sum()),
    ):
        means = [
            np.average([score(bins) for bins in repeat], weights=[weigh(bins) for bins in repeat])
            for repeat in (folds, later)
        ]
        assert curve(rows, one, 1).area == pytest.approx(np.mean(means))


def test_confusion_of_one_label(tmp_path):
    rows, one = rows_of(tmp_path, "multiclass_classification")
    expected = np.zeros((3, 3))
    for repeat in (0, 1):
        outputs = rows.outputs(one, repeat)
        expected += oracle.confusion_matrix(
            outputs.truth.argmax(axis=1), outputs.probabilities.argmax(axis=1)
        )
    assert np.array_equal(confusion_matrix(rows, one), expected)


def test_confusion_of_several_labels(tmp_path):
    rows, one = rows_of(tmp_path, "multilabel_classification")
    pairs = [rows.outputs(one, repeat) for repeat in (0, 1)]
    expected = sum(
        oracle.multilabel_confusion_matrix(part.truth, part.probabilities >= part.thresholds)
        for part in pairs
    )
    assert np.array_equal(confusion_matrix(rows, one), expected)


def test_confusion_of_pixels(tmp_path):
    rows, one = rows_of(tmp_path, "binary_segmentation")
    assert confusion_matrix(rows, one).sum() == 2 * 48 * 256


@pytest.mark.parametrize("task", CLASSES)
def test_image_scores_lie_between_0_and_1(tmp_path, task):
    rows, one = rows_of(tmp_path, task)
    scores = image_scores(rows, one)
    assert list(scores) == sorted(scores)
    assert 0 <= min(scores.values()) <= max(scores.values()) <= 1
    assert len(scores) == 48 or task.endswith("segmentation")


def test_a_precision_recall_line_is_level_up_to_its_first_recall():
    assert _from_recall_zero(Line([0, 0, 0, 0.1, 1.0], [0, 0, 0, 0.67, 0.2])) == (
        [0, 0.1, 1.0],
        [0.67, 0.67, 0.2],
    )
    assert _from_recall_zero(Line([0.0, 0.0], [0.0, 0.0])) == ([0.0, 0.0], [0.0, 0.0])


def test_a_line_keeps_its_ends_and_as_many_points_as_a_drawing_shows():
    x = np.linspace(0, 1, 5000)
    thin = _thinned(Line(x.tolist(), (x**2).tolist()))
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (0, 0, 1, 1)
    assert len(thin.x) == len(thin.y) <= MAX_POINTS


@pytest.mark.parametrize("task", CLASSES)
def test_curves_are_read_as_they_were_judged(tmp_path, task):
    folder = make_run(tmp_path / "run", Wanted(task=task, skills=(0.7, 1.5)))
    verdict = runs.judge(folder)
    curves, read = curves_of(read_rows(folder), verdict), read_curves(folder.curves)
    for name in ("classes", "roc", "pr", "f1", "image_scores", "images"):
        assert getattr(read, name) == getattr(curves, name)
    for name in ("confusion", "decisions"):
        np.testing.assert_equal(getattr(read, name), getattr(curves, name))
    best = verdict.configurations[0].id
    assert {next(iter(held)) for held in (read.roc, read.confusion, read.image_scores)} == {best}
    assert bool(read.f1) == bool(read.decisions) == (task == "multilabel_classification")


def test_curves_that_are_missing_or_damaged_are_judged_again(tmp_path):
    folder = make_run(tmp_path / "run", Wanted())
    with pytest.raises(RunError, match="cannot be read"):
        read_curves(folder.curves)
    folder.curves.write_bytes(b"half")
    with pytest.raises(RunError, match="cannot be read"):
        read_curves(folder.curves)
    judge(folder)
    assert read_curves(folder.curves).classes == (1,)
