"""results.csv: one typed row for each configuration, with the counts behind every score."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
from judged import judge
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix
from tiny_run import CLASSES, Wanted, make_run

CLASSIFY = [task for task in CLASSES if task.endswith("classification")]


def judged(tmp_path, **wanted):
    folder = make_run(tmp_path / "run", Wanted(**wanted))
    return folder, judge(folder)


@pytest.mark.parametrize("task", CLASSIFY)
def test_the_confusion_is_that_of_every_repeat_together(tmp_path, task):
    folder, _ = judged(tmp_path, task=task, repeats=2)
    table, scores = pd.read_csv(folder.results), pd.read_csv(folder.scores)
    for configuration, own in scores.groupby("configuration"):
        images = own.pivot(index=["repeat", "case"], columns="class")[["true", "predicted"]]
        true, said = (images[part][list(CLASSES[task])].to_numpy() for part in ("true", "predicted"))
        expected = (
            multilabel_confusion_matrix(true, said)
            if task.startswith("multilabel")
            else confusion_matrix(true.argmax(axis=1), said.argmax(axis=1))
        )
        told = json.loads(table.set_index("configuration").loc[configuration, "confusion"])
        assert told == expected.tolist()


def test_the_confusion_of_a_segmentation_counts_its_pixels(tmp_path):
    _, verdict = judged(tmp_path, task="multiclass_segmentation", num_cases=24)
    counts = np.array(verdict["configurations"][0]["confusion"])
    assert counts.shape == (3, 3)
    assert counts.sum() == 24 * 16 * 16


def test_numbers_are_numbers_and_every_averaging_is_named(tmp_path):
    folder, _ = judged(tmp_path, missing=((1, 0, 0),))
    table = pd.read_csv(folder.results)
    for name in [
        "accuracy",
        "precision",
        "recall_macro",
        "recall_weighted",
        "precision_macro",
        "precision_weighted",
        "auroc",
        "estimate",
        "low",
        "high",
        "train_s",
        "shared_features_s",
        "shared_pretrain_s",
        "latency_ms",
        "peak_memory_mb",
    ]:
        assert pd.api.types.is_numeric_dtype(table[name]), name
    with folder.results.open(encoding="utf-8") as file:
        assert not any("%" in cell for row in csv.reader(file) for cell in row)
    assert list(table["verdict"][:2]) == ["winner", "incomplete"]
    assert table["optimizer"][0].startswith("adam")


def test_a_class_too_rare_to_rank_is_marked(tmp_path):
    _, verdict = judged(tmp_path, num_cases=18)  # nine images of each class
    assert [one["ranked"] for one in verdict["configurations"][0]["per_class"].values()] == [False, False]
    _, verdict = judged(tmp_path / "more", num_cases=48)
    assert [one["ranked"] for one in verdict["configurations"][0]["per_class"].values()] == [True, True]


def test_the_factor_of_a_run_stands_in_its_verdict(tmp_path):
    folder, verdict = judged(tmp_path, skills=(0.5, 2.0, 2.0))
    (one,) = verdict["factors"]["factors"]
    assert (one["factor"], len(one["levels"]), len(one["pairs"])) == ("optimizer", 3, 3)
    means = {level["level"]: level["mean"] for level in one["levels"]}
    assert means == {row["name"]: pytest.approx(row["estimate"]) for row in verdict["configurations"]}
    assert verdict["factors"]["shares"] is None  # of one factor it would be all
    assert json.loads(folder.verdict.read_text(encoding="utf-8"))["factors"] == verdict["factors"]
