"""Studies and tables at random, whole and spoiled: read as they stand, or refused with a cure; nothing else, and soon.

`FOLDWISE_FUZZ=1000` in the environment, or `make fuzz`, tries so many of each; a few are tried otherwise.
"""

import csv
import io
import json
import math
import os
import signal
import warnings
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from random import Random
from unicodedata import normalize

import numpy as np
import pytest
from judged import judge_files
from ruamel.yaml import YAML
from small_sets import labelled
from spoiled import places_in, spoiled_bytes, spoiled_study, spoiled_table

from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import FoldwiseError
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.network import DataShape
from foldwise.study.configurations import configurations
from foldwise.study.reading import open_study
from foldwise.study.spec import DataSpec, Study

ROOT = Path(__file__).parents[1]
NUM = int(os.environ.get("FOLDWISE_FUZZ", "40"))
SECONDS = 5


@contextmanager
def soon(what):
    """Fail where it takes longer than any user would wait for a message."""

    def hang(*_):
        pytest.fail(f"no end after {SECONDS} s: {what}")

    before = signal.signal(signal.SIGVTALRM, hang)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def in_words(error):
    """An error that a user can act on: not too long, and without jargon of libraries."""
    text = str(error)
    assert len(text) < 100_000
    assert not any(word in text for word in ("Traceback", "pydantic", "object at 0x", "NoneType"))
    text.encode("utf-8")  # can be printed


@lru_cache
def studies():
    paths = [*sorted((ROOT / "studies").glob("*.yaml"))]
    return [YAML(typ="safe").load(path.read_text(encoding="utf-8")) for path in paths]


def written_study(rng):
    """A study as a file has it: spoiled key by key, or as text."""
    study = rng.choice(studies())
    if rng.random() < 0.8:
        study = spoiled_study(rng, study, studies())
    text = io.StringIO()
    # JSON is YAML, but for nan and what is infinite.
    if rng.random() < 0.3:
        text.write(json.dumps(study))
    else:
        YAML(typ="safe").dump(study, text)
    raw = text.getvalue().encode("utf-8", "surrogatepass")
    return spoiled_bytes(rng, raw) if rng.random() < 0.4 else raw


def is_sound(study: Study):
    """No number that means nothing, and nothing is lost when it is written down and read again."""
    dump = study.model_dump(mode="json", by_alias=True)
    for at in places_in(dump):
        value = dump
        for key in at:
            value = value[key]
        if isinstance(value, float):
            assert math.isfinite(value), at
        if isinstance(value, int):
            assert abs(value) < 2**63, at
    again = Study.model_validate_json(json.dumps(dump), strict=True)
    assert again.model_dump(mode="json", by_alias=True) == dump
    judge, division = study.judge, study.validate_
    assert 0 < judge.alpha < 0.5
    assert 0 <= judge.equivalent_within <= 0.5
    assert 1 <= division.folds <= 1000
    assert 1 <= division.repeats <= 1000


def try_study(seed, folder):
    """Whether a study at random was taken."""
    path = folder / "study.yaml"
    path.write_bytes(written_study(Random(f"study {seed}")))
    try:
        file = open_study(path)
        is_sound(file.study)
        compared = configurations(file.study)
    except FoldwiseError as error:
        in_words(error)
        return False
    shape = DataShape("multiclass_classification", 3, 4, (64, 64))
    for row in compared[:: max(1, len(compared) // 2)]:
        assert 1 <= row.training.epochs <= 100_000
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                describe(row.training.model_copy(update={"weights": "none"}), shape)
            except FoldwiseError as error:
                in_words(error)
    return True


LABELS = [
    [["image", "label"], *([f"i{i}.png", "ab"[i % 2]] for i in range(6))],
    [["image", "label", "patient"], *([f"i{i}.png", "abc"[i % 3], f"p{i // 2}"] for i in range(6))],
    [["image", "x", "y"], *([f"i{i}.png", str(i % 2), str(i // 3)] for i in range(6))],
    [["image", "label"], *([f"i{i}.png", "a|b" if i % 2 else "a"] for i in range(6))],
]


def table_bytes(rng, rows):
    text = io.StringIO()
    csv.writer(text, delimiter=rng.choice(",,,;\t"), lineterminator=rng.choice(["\n", "\r\n"])).writerows(
        rows
    )
    raw = text.getvalue().encode("utf-8", "surrogatepass")
    return spoiled_bytes(rng, raw) if rng.random() < 0.5 else raw


def try_labels(seed, folder):
    """Whether a table of labels at random was taken."""
    if not (folder / "images").is_dir():
        labelled(folder, "", num_images=6)
    rng = Random(f"labels {seed}")
    rows = rng.choice(LABELS)
    rows = spoiled_table(rng, rows) if rng.random() < 0.8 else rows
    raw = table_bytes(rng, rows)
    (folder / "labels.csv").write_bytes(raw)
    stated = rng.choice([{}, {}, {"label_columns": ("label",)}, {"group_column": "patient"}])
    try:
        dataset = read_dataset(DataSpec(path=str(folder), **stated), base=folder)
    except FoldwiseError as error:
        in_words(error)
        return False
    # What was read stands in the table, and every image has it.
    text = normalize("NFC", raw.decode("utf-8-sig"))
    assert len(dataset.cases) == 6
    assert len(dataset.classes) > 1
    several = dataset.task.startswith("multilabel")
    for name in dataset.classes:
        assert name
        assert name == name.strip()
        assert name in text
    for case in dataset.cases:
        assert case.labels or several
        assert all(0 <= label < len(dataset.classes) for label in case.labels)
        assert Path(case.name).name in text
    if not several and is_written(raw, rows):
        for case in dataset.cases:
            own = [row for row in rows[1:] if any(case.name.endswith(cell) for cell in row if cell)]
            label = dataset.classes[case.labels[0]]
            assert any(normalize("NFC", cell).strip(" \"'") == label for row in own for cell in row)
    return True


def is_written(raw, rows):
    """Whether a table was written as it is, and not spoiled byte by byte."""
    read = []
    for mark in ",;\t":
        with suppress(csv.Error):
            read.append(list(csv.reader(io.StringIO(raw.decode("utf-8", "replace")), delimiter=mark)))
    return rows in read


def scores(rng):
    """A table of two models and twelve cases, wide or long."""
    drawn = np.random.default_rng(rng.randrange(99)).uniform(0.3, 0.9, (12, 2)).round(4)
    if rng.random() < 0.5:
        return [["image", "unet", "vit"], *([f"c{i}", str(a), str(b)] for i, (a, b) in enumerate(drawn))]
    rows = [[f"c{i}", model, str(drawn[i, m])] for m, model in enumerate(("unet", "vit")) for i in range(12)]
    return [["image", "model", rng.choice(["dice", "accuracy", "hd95_mm"])], *rows]


def try_scores(seed, folder):
    """Whether a table of scores at random was taken."""
    rng = Random(f"scores {seed}")
    rows = scores(rng)
    rows = spoiled_table(rng, rows) if rng.random() < 0.8 else rows
    raw = table_bytes(rng, rows)
    (folder / "scores.csv").write_bytes(raw)
    try:
        verdict = judge_files([folder / "scores.csv"])
    except FoldwiseError as error:
        in_words(error)
        return False
    text = raw.decode("utf-8-sig")
    assert 1 <= verdict["num_images"] <= 13
    for row in verdict["configurations"]:
        # A name stands in the table as it is, or its parts do.
        assert all(part.strip() in text for part in row["name"].split(" · "))
        # A row called mean is left out, and said to be.
        whole = b"mean" not in raw and is_written(raw, rows)
        if whole and row["name"] in rows[0] and row["estimate"] is not None:
            cells = [line[rows[0].index(row["name"])] for line in rows[1:] if len(line) == len(rows[0])]
            assert row["estimate"] == pytest.approx(np.mean([float(cell) for cell in cells if number(cell)]))
    return True


def number(cell):
    """Whether a cell is a number that has an end."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


KINDS = {"study": try_study, "labels": try_labels, "scores": try_scores}
PARTS = 8  # so that several processes share the work


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_at_random_is_taken_as_it_stands_or_refused(kind, part, tmp_path):
    for seed in range(part, NUM, PARTS):
        with soon(f"{kind} {seed}"):
            try:
                KINDS[kind](seed, tmp_path)
            except Exception as error:
                raise AssertionError(f"{kind} {seed}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("kind", KINDS)
def test_some_of_it_is_taken(kind, tmp_path):
    assert any(KINDS[kind](seed, tmp_path) for seed in range(100))
