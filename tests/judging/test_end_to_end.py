"""results.csv against scikit-learn and plain numpy, on the arrays that the fits saved."""

import csv

import numpy as np
import pytest
from judged import judge
from repository import ROOT
from sklearn import metrics as oracle
from tiny_run import CLASSES, Wanted, make_run

from foldwise.judging.scores.rows import read_rows

REPEATS = 2


@pytest.fixture(scope="module", params=CLASSES)
def run(request, tmp_path_factory):
    """The task, what results.csv says of the first configuration, and the saved arrays of its fits by repeat."""
    # At one half, so that what the oracle is asked does not depend on ours.
    judging = "{thresholds: half}" if request.param.startswith("multilabel") else "{}"
    wanted = Wanted(
        task=request.param, skills=(0.6, 0.9), num_cases=90, repeats=REPEATS, seed=3, judge=judging
    )
    folder = make_run(tmp_path_factory.mktemp("judged") / "run", wanted)
    judge(folder)
    rows = read_rows(folder)
    one = rows.configurations[0].id
    with folder.results.open(newline="") as file:
        told = next(row for row in csv.DictReader(file) if row["configuration"] == one)
    with folder.cases.open(newline="") as file:
        labels = [[int(k) for k in row["labels"].split()] for row in csv.DictReader(file)]
    arrays = [
        [dict(np.load(fit.path / "scores.npz")) for fit in rows.done(one, repeat)] for repeat in rows.repeats
    ]
    return request.param, told, arrays, labels


def mean(measure, repeats):
    return pytest.approx(np.mean([measure(folds) for folds in repeats]), abs=1e-9)


def truth_of(labels, case, K):
    truth = np.zeros((len(case), K), dtype=bool)
    for place, index in enumerate(case):
        truth[place, labels[index]] = True
    return truth


def ranking(score, weigh, labels, k, K):
    """The mean over folds of a score within each fold, weighted."""

    def measure(folds):
        pairs = [
            (truth_of(labels, one["case"], K)[:, k], one["probabilities"][:, k].astype(float))
            for one in folds
        ]
        return np.average([score(*pair) for pair in pairs], weights=[weigh(true) for true, _ in pairs])

    return measure


def pooled(folds, labels, K):
    case = np.concatenate([one["case"] for one in folds])
    said = np.concatenate([one["probabilities"] for one in folds]).astype(float)
    return truth_of(labels, case, K), said


def log_loss(truth, said):
    return oracle.log_loss(
        truth.argmax(axis=1), said / said.sum(axis=1, keepdims=True)
    )  # float32 sums to 1 - 1e-8


def test_every_classification_metric(run):
    task, told, repeats, labels = run
    if task.endswith("segmentation"):
        pytest.skip("of segmentation below")
    K = len(CLASSES[task])
    binary, several = task.startswith("binary"), task.startswith("multilabel")
    rankings = {
        "auroc": (oracle.roc_auc_score, lambda true: true.sum() * (~true).sum()),
        "average_precision": (oracle.average_precision_score, lambda true: true.sum()),
    }
    for name, (score, weigh) in rankings.items():
        chosen = [1] if binary else range(K)
        expected = np.mean(
            [np.mean([ranking(score, weigh, labels, k, K)(folds) for folds in repeats]) for k in chosen]
        )
        assert float(told[name if binary else f"{name}_macro"]) == pytest.approx(expected, abs=1e-9)

    def decided(score, **how):
        def measure(folds):
            true, said = pooled(folds, labels, K)
            if several:
                return score(true, said >= 0.5, **how)
            return score(true.argmax(axis=1), said.argmax(axis=1), **how)

        return mean(measure, repeats)

    for average in ("macro", "micro", "weighted"):
        assert float(told[f"f1_{average}"]) == decided(oracle.f1_score, average=average)
    assert float(told["precision_macro"]) == decided(oracle.precision_score, average="macro")
    assert float(told["exact_match" if several else "accuracy"]) == decided(oracle.accuracy_score)
    if not binary:
        assert float(told["recall_macro"]) == decided(oracle.recall_score, average="macro")
    if not several:
        assert float(told["balanced_accuracy"]) == decided(oracle.balanced_accuracy_score)
        assert float(told["log_loss"]) == pytest.approx(
            np.mean([log_loss(*pooled(folds, labels, K)) for folds in repeats]), abs=1e-6
        )
    if binary:
        assert float(told["sensitivity"]) == decided(oracle.recall_score)
        assert float(told["specificity"]) == decided(oracle.recall_score, pos_label=0)
        assert float(told["precision"]) == decided(oracle.precision_score)
        assert float(told["f1"]) == decided(oracle.f1_score)


def overlap(jaccard, pool):
    def measure(folds):
        confusion = np.concatenate([one["confusion"] for one in folds]).astype(float)
        if pool:
            confusion = confusion.sum(axis=0, keepdims=True)
        scores = []
        for image in confusion:
            found = []
            for k in range(1, len(image)):
                both, true, said = image[k, k], image[k].sum(), image[:, k].sum()
                if true + said > 0:
                    found.append(both / (true + said - both) if jaccard else 2 * both / (true + said))
            if found:  # truth and prediction both empty: the image is left out
                scores.append(np.mean(found))
        return np.mean(scores)

    return measure


def test_every_overlap(run):
    task, told, repeats, _ = run
    if not task.endswith("segmentation"):
        pytest.skip("of classification above")
    assert float(told["dice_img_macro"]) == mean(overlap(False, False), repeats)
    assert float(told["iou_img_macro"]) == mean(overlap(True, False), repeats)
    assert float(told["dice_pooled_macro"]) == mean(overlap(False, True), repeats)
    assert float(told["iou_pooled_macro"]) == mean(overlap(True, True), repeats)


def test_every_column_is_listed_in_the_docs(run):
    page = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    names = [name.removesuffix("_low") for name in run[1] if name.endswith("_low")]
    assert [name for name in names if f"`{name}`" not in page and name != "difference"] == []
