"""`foldwise fit`: one model from its options to a report, a row, curves and a model; the same study as a file."""

import sys
from dataclasses import fields

import pandas as pd
import pytest
from typer.testing import CliRunner

from foldwise.data.phantoms.catalogue import make
from foldwise.interface import cli
from foldwise.interface.commands.fit import Fit
from foldwise.interface.study_options import HELP
from foldwise.pipeline import preparing
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.table import LAUNCHERS
from foldwise.study.reading import open_study

OPTIONS = "--data gels --head multi --optimizer adam --learning-rate 0.01 --batch-size 8 --epochs 1 --folds 2 --size 24 --channels gray --group group --workers 1"  # fmt: skip


@pytest.fixture
def foldwise(monkeypatch, capsys, tmp_path):
    """Runs a command in a folder with pictures of gels, items in this process: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(LAUNCHERS, "local", LAUNCHERS["inline"])
    make("gels", tmp_path / "gels", images=24, size=32, difficulty=0.2, seed=0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_a_fit_is_a_study_and_hands_over_what_was_asked(foldwise, tmp_path):
    asked = [*OPTIONS.split(), "--model", "{conv: {width: 4, depth: 2}}"]
    places = "--model-id 7 --model-path models/7 --plots-path plots --results-file results.csv --save-study seven.yaml"
    code, said, error = foldwise("fit", *asked, *places.split())
    assert code == 0, error
    assert "balanced accuracy" in said
    assert "95 % interval" in said
    for place in ("runs/7/report.html", "models/7", "plots/7.svg", "results.csv", "seven.yaml"):
        assert place in said
        assert (tmp_path / place).exists()

    [row] = pd.read_csv("results.csv").to_dict("records")
    [judged] = pd.read_csv("runs/7/results.csv").query("verdict != 'trivial'").to_dict("records")
    assert (row["model_id"], row["head"], row["epochs"], row["learning_rate"]) == (7, "multi", 1, 0.01)
    for number in ("estimate", "low", "auroc", "f1_macro", "train_s", "parameters"):
        assert row[number] == judged[number]

    # No special path: the file that it saved is the same study, of which all is done.
    prepared = preparing.prepare(open_study(tmp_path / "seven.yaml"))
    done, failed = RunFolder(tmp_path / "runs/7").settled()
    assert {item.id for item in prepared.plan.items} == done
    assert not failed

    code, said, error = foldwise("fit", *asked, *places.split())
    assert code == 0, error
    assert "done already" in said
    assert len(pd.read_csv("results.csv")) == 1

    code, said, error = foldwise("predict", "models/7", "gels", "--out", "told", "--pictures")
    assert code == 0, error
    assert "told/pictures.html" in said
    assert "24 of 24" not in (tmp_path / "told/pictures.html").read_text()  # one epoch knows little
    assert "of 24 as their folders say" in (tmp_path / "told/pictures.html").read_text()


def test_a_fit_of_masks_needs_no_head(foldwise, tmp_path):
    make("bacteria", tmp_path / "dishes", images=12, size=32, difficulty=0.2, seed=0)
    asked = "--data dishes --epochs 1 --folds 2 --batch-size 4 --group group --workers 1 --results-file r.csv"
    code, said, error = foldwise("fit", *asked.split(), "--model", "{unet: {width: 4, depth: 2}}")
    assert code == 0, error
    assert "Dice" in said
    [row] = pd.read_csv("r.csv").to_dict("records")
    assert row["task"] == "binary_segmentation"
    assert row["dice_img_macro"] == row["estimate"]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--model resnet18", 2, "--data"),
        ("--data none --model conv", 2, "does not exist"),
        ("--data gels --model conv --optimizer adma --size 32 --channels gray", 2, "Did you mean 'adam'?"),
        ("--data gels --size big", 2, "--size: 'big' is no size"),
        ("--data gels --model-path gels", 2, "--model-path: gels is no model"),
        ("--data gels --model-id a/b", 2, "'a/b' cannot name a run"),
        ("--data gels --device gpu", 2, "Write cuda"),
    ],
)
def test_what_cannot_be_is_refused_before_training(foldwise, options, code, words):
    ended, _, error = foldwise("fit", *options.split())
    assert (ended, words in error) == (code, True), error


def test_every_option_has_its_words():
    assert set(HELP) == {field.name for field in fields(Fit)}
    shown = CliRunner().invoke(cli.app, ["fit", "--help"]).output
    for field in fields(Fit):
        assert f"--{field.name.replace('_', '-')}" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--epochs 0", "--epochs 0: train.epochs must be at least 1, got 0"),
        ("--folds 1", "--folds 1: validate.folds must be at least 2, got 1"),
        (
            "--learning-rate 1e9",
            "--optimizer adam --learning-rate 1000000000.0: train.optimizer has lr: 1000000000.0",
        ),
        ("--optimizer adm", "the options, timm:resnet18: no optimizer is called 'adm'"),
        ("--model {conv:{width:4}", "--model: "),
        ("--model no-such", "the options, no-such: no model is called 'no-such'"),
        ("--weights w.safetensors", "--weights: there is no w.safetensors"),
        ("--metric guess", "--metric guess: no metric for binary tasks is called 'guess'"),
        ("--group patient", "--group patient: "),
        ("--group pattern:x", "--group pattern:x: 'x' has 0 groups in parentheses, not one"),
        ("--channels cmyk", "--channels cmyk: data.channels must be native, gray"),
        ("--data nowhere", "--data: there is no nowhere"),
        ("--folds 20", "20 folds need at least 20 groups, and there are 16.\n  → State --folds 16, or add"),
    ],
)
def test_errors_name_what_was_typed_and_no_file_that_was_not_written_by_hand(foldwise, options, words):
    code, said, error = foldwise("fit", *OPTIONS.split(), "--model-id", "nets", *options.split(" "))
    assert code in (2, 3), said
    assert words in error
    assert "study.yaml" not in error
    assert "runs" not in error
