"""results.csv with the counts behind every score, and a file that gathers whole rows of one schema from many runs."""

import csv
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from judged import judge
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix
from tiny_run import CLASSES, Wanted, make_run

from foldwise.errors import RunError
from foldwise.judging.tables import CLASSIFIED, collect, write_outputs
from foldwise.metrics.outputs import Outputs

CLASSIFY = [task for task in CLASSES if task.endswith("classification")]


def judged(tmp_path, **wanted):
    folder = make_run(tmp_path / "run", Wanted(**wanted))
    return folder, judge(folder)


def test_probabilities_have_six_digits_and_are_numbers_with_a_point(tmp_path):
    p = np.array([0.0, 1.0, 0.5, 1 / 3, 1e-7, 1.23456789e-5, 0.99999999, 0.1234567, np.nan, 0.000123456789])
    cases = np.arange(len(p))
    outputs = Outputs("multilabel", cases, cases % 2, truth=p[:, None] > 0.4, probabilities=p[:, None])
    names = [f'{case} %s, "{case}"' for case in cases]
    every = [(("c %d", "one, %s", 3), outputs)]
    write_outputs(tmp_path / "scores.csv", CLASSIFIED, every, (["a"], names, [""] * len(p)))
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = ["0.0", "1.0", "0.5", "0.333333", "1e-07", "1.23457e-05", "1.0", "0.123457", "", "0.000123457"]
    assert [row["probability"] for row in rows] == said
    assert [row["image"] for row in rows] == names
    about = {(row["configuration"], row["configuration_name"], row["repeat"]) for row in rows}
    assert about == {("c %d", "one, %s", "3")}
    assert [row["fold"] for row in rows] == ["0", "1"] * 5
    assert [(row["true"], row["predicted"]) for row in rows[:3]] == [("0", "0"), ("1", "1"), ("1", "1")]


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


ROW = {"model_id": "1", "accuracy": 0.954545, "epochs": 20, "auroc": None, "note": 'a, "b"'}


def test_the_header_stands_once_and_the_numbers_are_numbers(tmp_path):
    path = tmp_path / "new" / "results.csv"
    assert collect(path, ROW)
    assert collect(path, ROW | {"model_id": "2", "auroc": 0.5})
    table = pd.read_csv(path)
    assert list(table.columns) == list(ROW)
    assert table["accuracy"].tolist() == [0.954545, 0.954545]
    assert table["epochs"].dtype == int
    assert table["auroc"].isna().tolist() == [True, False]
    assert table["note"].tolist() == ['a, "b"'] * 2


def test_a_command_that_is_repeated_adds_no_row(tmp_path):
    assert collect(tmp_path / "r.csv", ROW)
    assert not collect(tmp_path / "r.csv", ROW)
    assert len(pd.read_csv(tmp_path / "r.csv")) == 1


def test_a_file_with_other_columns_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("model_id,accuracy\n1,81.82%\n")
    with pytest.raises(RunError, match=r"it lacks epochs, auroc, note\n") as raised:
        collect(path, ROW)
    assert raised.value.cure.startswith("Name another file")
    path.write_text("accuracy,model_id,epochs,auroc,note\n")
    with pytest.raises(RunError, match="in another order"):
        collect(path, ROW)
    assert path.read_text() == "accuracy,model_id,epochs,auroc,note\n"


def test_a_last_line_without_its_end_gets_one(tmp_path):
    path = tmp_path / "r.csv"
    collect(path, ROW)
    path.write_text(path.read_text().rstrip("\n"))  # as some editors leave it
    collect(path, ROW | {"model_id": "2"})
    assert pd.read_csv(path)["model_id"].tolist() == [1, 2]


def test_many_commands_at_once_lose_nothing(tmp_path):
    path = tmp_path / "r.csv"
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda number: collect(path, ROW | {"model_id": number}), range(40)))
    assert all(added)
    assert sorted(pd.read_csv(path)["model_id"]) == list(range(40))


def test_a_full_disk_leaves_no_half_row(tmp_path, monkeypatch):
    path = tmp_path / "r.csv"
    collect(path, ROW)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        collect(path, ROW | {"model_id": "2"})
    assert path.read_bytes() == before
