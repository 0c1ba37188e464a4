"""A file that gathers rows of many runs: one header, whole rows, and nothing of another schema."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from foldwise.errors import RunError
from foldwise.judging.tables import collect

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
