"""Classes that some fold cannot test or learn are shown, and no average counts them."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from judged import judge
from sklearn import metrics as oracle
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.scores.rows import read_rows
from foldwise.judging.sections.warnings import rare


def relabelled(folder, labels_of):
    """Give every case other labels: `labels_of(case, fold)` says which; fold is that of the first repeat."""
    rows = read_rows(folder)
    fold_of = {int(case): split.fold for split in rows.splits if split.repeat == 0 for case in split.test}
    with folder.cases.open(newline="") as file:
        cases = list(csv.DictReader(file))
    for index, case in enumerate(cases):
        case["labels"] = " ".join(str(k) for k in labels_of(index, fold_of[index]))
    with folder.cases.open("w", newline="") as file:
        writer = csv.DictWriter(file, cases[0].keys())
        writer.writeheader()
        writer.writerows(cases)
    return read_rows(folder)


def one_fold_lacks_fibre(index, fold):
    labels = [k for k in (0, 1) if (index * 7 + k) % 3]
    return [*labels, 2] if index % 2 and fold != 0 else labels


def test_a_label_that_a_fold_lacks_is_in_no_average(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task="multilabel_classification", num_cases=90))
    rows = relabelled(folder, one_fold_lacks_fibre)
    verdict = judge(folder)
    assert rows.unscored == (2,)
    record = verdict["configurations"][0]
    assert [record["per_class"][name]["scored"] for name in verdict["classes"]] == [True, True, False]
    assert record["per_class"]["fibre"]["support"] == rows.truth[:, 2].sum()
    caution = next(one for one in verdict["warnings"] if one["code"] == "RARE_CLASS")
    assert "(fibre)" in caution["message"]
    outputs = rows.outputs(record["id"], 0)
    said = outputs.probabilities >= outputs.thresholds
    for average in ("macro", "micro", "weighted"):
        expected = oracle.f1_score(rows.truth[:, :2], said[:, :2], average=average)
        assert record["metrics"][f"f1_{average}"]["estimate"] == pytest.approx(expected)
    areas = [record["per_class"][name]["auroc"] for name in ("nucleus", "membrane")]
    assert record["metrics"]["auroc_macro"]["estimate"] == pytest.approx(np.mean(areas))
    assert record["metrics"]["exact_match"]["estimate"] == pytest.approx((rows.truth == said).all(1).mean())


def test_where_no_fold_lacks_a_class_all_are_scored(tmp_path):
    verdict = judge(make_run(tmp_path / "run", Wanted(task="multilabel_classification", num_cases=90)))
    assert all(one["scored"] for one in verdict["configurations"][0]["per_class"].values())
    assert "RARE_CLASS" not in [one["code"] for one in verdict["warnings"]]


def test_a_rare_label_is_in_no_ranking_of_any_fold(tmp_path):
    folder = make_run(tmp_path / "run", Wanted(task="multilabel_classification", num_cases=90))
    few = {0: 0, 1: 0, 2: 0}

    def labels_of(index, fold):
        few[fold] += 1
        labels = [0] * (index % 2) + [1] * (index % 3 > 0)
        return [*labels, 2] if few[fold] in (10, 20, 29) else labels

    rows = relabelled(folder, labels_of)
    record = judge(folder)["configurations"][0]
    assert (rows.unscored, rows.num_having[2]) == ((), 9)
    kept = ("nucleus", "membrane")
    whole = np.mean([record["per_class"][name]["average_precision"] for name in kept])
    assert record["estimate"] == pytest.approx(whole)
    for told in record["folds"]:  # the dots are of the same classes as the estimate
        fit = next(fit for fit in rows.done(record["id"]) if fit.fold == told["fold"])
        part = rows.fold_outputs(fit)
        scores = [oracle.average_precision_score(part.truth[:, k], part.probabilities[:, k]) for k in (0, 1)]
        assert told["score"] == pytest.approx(np.mean(scores))


def test_a_class_of_pixels_that_a_fold_lacks(tmp_path):
    task = "multiclass_segmentation"
    folder = make_run(tmp_path / "run", Wanted(task=task))
    for path in folder.root.glob("done/*/scores.npz"):
        arrays = dict(np.load(path))
        if path.parent.name.endswith("0" * 6):  # the first fold
            confusion = arrays["confusion"]
            confusion[:, 1] += confusion[:, 2]
            confusion[:, 2] = 0
            np.savez(path, **arrays)
    rows, verdict = read_rows(folder), judge(folder)
    assert rows.unscored == (2,)
    record = verdict["configurations"][0]
    assert [record["per_class"][name]["scored"] for name in CLASSES[task]] == [True, True, False]
    assert record["estimate"] == pytest.approx(record["per_class"]["nucleus"]["dice_img"])


def test_a_class_that_is_never_predicted_has_a_precision_of_0(tmp_path):
    verdict = judge(make_run(tmp_path / "run", Wanted(task="multiclass_classification")))
    majority = next(one for one in verdict["baselines"] if one["id"] == "majority")
    sensitivity = majority["metrics"]["precision_macro"]["estimate"]
    assert (
        sensitivity <= 1 / 3 + 1e-9
    )  # left out, the two other classes would make it the better the fewer are named


@pytest.mark.parametrize("num_folds", [1, 5])
def test_a_single_split_is_not_told_to_state_fewer_folds(num_folds):
    rows = SimpleNamespace(
        classes=("nucleus", "fibre"), unscored=(1,), num_having=(), num_folds=num_folds, family="multiclass"
    )
    caution = rare(rows)
    assert ("state fewer folds" in caution.cure) == (num_folds > 1)
    assert ("fold" in caution.message + caution.cure) == (num_folds > 1)
