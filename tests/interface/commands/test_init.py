"""`foldwise init` and `demo`: what is printed and asked, as text and as JSON, and what points to them."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from foldwise.interface import cli
from foldwise.interface.commands import init as commands
from foldwise.learning.networks import weights
from foldwise.pipeline.drafting import Question
from foldwise.study.reading import open_study

LETTERS = "abcdefghijkl"


@pytest.fixture(autouse=True)
def _no_weights_here(monkeypatch):
    monkeypatch.setattr(weights, "pretrained_here", lambda: None)


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """Runs a command beside a folder `cells` of two classes: exit code, standard output, standard error."""
    rng = np.random.default_rng(0)
    for name in ("healthy", "infected"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        for letter in LETTERS:
            image = Image.fromarray(rng.integers(0, 255, (20, 20), np.uint8))
            image.save(tmp_path / "cells" / name / f"{name[0]}{letter}.png")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return ended.value.code, out.out, out.err

    return run


def test_a_folder_becomes_a_study_with_the_next_command(said, tmp_path):
    code, out, _ = said("init", "cells")
    assert code == 0
    assert "Layout class_folders" in out
    assert out.rstrip().endswith("Next:     foldwise run study.yaml")
    assert open_study(tmp_path / "study.yaml").study.data.path == "cells"


def test_programs_get_the_same_as_json(said, tmp_path):
    code, out, _ = said("init", "cells", "--json", "--out", "s.yaml", "--set", "validate.folds=3")
    record = json.loads(out)
    assert code == 0
    assert record["task"] == "binary_classification"
    assert (record["images"], record["classes"]) == (24, ["healthy", "infected"])
    assert record["next"] == "foldwise run s.yaml"
    assert record["answers"] == ["validate.folds=3"]
    assert open_study(tmp_path / "s.yaml").study.validate_.folds == 3


def test_a_study_that_is_there_is_replaced_only_when_forced(said, tmp_path):
    (tmp_path / "study.yaml").write_text("mine")
    code, _, error = said("init", "cells")
    assert code == 5
    assert "--force" in error
    assert (tmp_path / "study.yaml").read_text() == "mine"
    assert said("init", "cells", "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cells"], "foldwise init cells"),
        (["check", "cells"], "foldwise init cells"),
        (["run", "cells"], "foldwise init cells"),
        (["cells/healthy/ha.png"], "is a file, and no command"),
    ],
)
def test_a_folder_where_a_study_should_stand_points_to_init(said, arguments, words):
    code, _, error = said(*arguments)
    assert code == 2
    assert words in error


def asked(monkeypatch, answers, question):
    monkeypatch.setattr(commands.typer, "prompt", lambda *_, **__: answers.pop(0))

    class Quiet:
        def pause(self):
            pass

    return commands._Asking(Quiet())(question)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["2"], "data.table=labels.csv"),
        (["9", "none", "1"], "data.masks=masks"),
        (["data.task=x"], "data.task=x"),
        (["labels.csv"], "data.table=labels.csv"),
        (["data.masks: masks"], "data.masks=masks"),
        ([""], None),
        (["0"], None),
    ],
)
def test_answers_are_numbers_or_keys_of_the_study(monkeypatch, capsys, answers, expected):
    question = Question(
        "masks or table?", "State one.", ("data.masks=masks", "data.table=labels.csv"), "error"
    )
    assert asked(monkeypatch, answers, question) == expected
    assert "2  data.table: labels.csv" in capsys.readouterr().out


def test_a_question_without_answers_asks_for_a_key_only(monkeypatch, capsys):
    prompts, answers = [], ["1", "data.task=x"]
    monkeypatch.setattr(commands.typer, "prompt", lambda hint, **_: prompts.append(hint) or answers.pop(0))

    class Quiet:
        def pause(self):
            pass

    question = Question("what is it?", "State data.task.", (), "error")
    assert commands._Asking(Quiet())(question) == "data.task=x"
    assert "a number" not in prompts[0]
    assert "That is not KEY=VALUE." in capsys.readouterr().out


def test_the_demo_is_the_worked_study(said, tmp_path, monkeypatch):
    taken = {}

    def run(file, options, observer):
        taken["study"] = file.study.study
        raise KeyboardInterrupt

    monkeypatch.setattr("foldwise.pipeline.pipeline.run", run)
    assert said("demo")[0] == 130
    assert taken["study"] == "demo"


def test_what_is_left_open_is_said_once_and_a_test_part_is_called_one(said, tmp_path):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, mode in (("a", "L"), ("b", "RGB")):
            (tmp_path / "parts" / part / name).mkdir(parents=True)
            for letter in LETTERS:
                image = Image.fromarray(rng.integers(0, 255, (20, 20), np.uint8)).convert(mode)
                image.save(tmp_path / "parts" / part / name / f"{part[:2]}{letter}{name}.png")
    code, out, _ = said("init", "parts", "--set", "validate.split=folders", "--set", "data.channels=rgb")
    assert code == 0
    assert out.count("The colour mode of a file alone") == 1
    assert "on the test part, 5 times" in " ".join(out.split())


def test_a_cure_is_a_line_of_its_own_below_its_question(monkeypatch, capsys):
    question = Question("folder: two things\n  → State one of them.", "", ("a.b=c",), "error")
    assert asked(monkeypatch, ["c"], question) == "a.b=c"
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == ["? folder: two things", "  → State one of them.", "  1  a.b: c"]
