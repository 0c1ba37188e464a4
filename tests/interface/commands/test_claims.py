"""`foldwise claims` as it is called: what it prints, what it writes, its exit codes, and that it needs no torch."""

import io
import json
import re
import subprocess
import sys

import pytest
import typer.main
from repository import ROOT

from foldwise.interface import cli
from foldwise.judging.claim_check.grammar import GRAVEST
from foldwise.judging.claim_check.lookups import FORMS

PAGE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
TABLE = """name,model,head,accuracy
1,resnet18,single,81.82%
2,resnet18,multi,90.91%
3,vgg16,single,50.00%
4,vgg16,multi,77.27%
"""
TEXT = """# Results

Model 2 reached an accuracy of 90.91 %. VGG16 is better than ResNet18. We used Python.

ResNet18 is better than VGG16. DenseNet is better than VGG16.
"""


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """Runs the command in a folder with a table and a text: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "text.md").write_text(TEXT, encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", "claims", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_what_is_not_true_is_said_with_its_line_and_the_evidence(said):
    code, told, error = said("results.csv", "text.md")
    assert code == 7
    assert error == (
        "foldwise: text.md: 1 sentence is false\n  → Correct it by the numbers above, or leave it out.\n"
    )
    lines = told.splitlines()
    assert lines[0] == "✗ false, line 3: VGG16 is better than ResNet18."
    assert lines[1].startswith(
        "    ✗ It is so in 0 of 2 matched pairs, the other way round in 2 (mean difference −0.23;"
    )
    assert lines[3] == "! not supported, line 5: ResNet18 is better than VGG16."
    assert lines[6] == "? cannot check, line 5: DenseNet is better than VGG16."
    assert "90.91 %" not in told
    assert lines[-2] == (
        "5 sentences: 1 true, 1 cannot check, 1 not supported, 1 false; 1 without a claim that numbers could bear out."
    )


def test_all_of_it_and_as_json(said, tmp_path):
    code, told, _ = said("results.csv", "text.md", "--all", "--out", "found.json")
    assert code == 7
    lines = told.splitlines()
    assert lines[0] == "✓ true, line 3: Model 2 reached an accuracy of 90.91 %."
    assert lines[1].endswith("0.9091. Holds for this table only: nothing in it was tested.")
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["counts"] == {"true": 1, "cannot check": 1, "not supported": 1, "false": 1}
    assert [one["verdict"] for one in found["findings"]] == ["true", "false", "not supported", "cannot check"]
    assert found["findings"][0]["checks"][0]["why"] == "It is #2 (resnet18 · multi) 0.9091."
    assert found["limit"] == "Holds for this table only: nothing in it was tested."
    assert (found["num_sentences"], found["tested"], found["metric"]) == (5, False, "accuracy")


def test_nothing_false_ends_with_0_and_text_may_come_from_standard_input(said, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("Model 2 reached 90.91 %. ResNet18 is better than VGG16."))
    code, told, error = said("results.csv", "-")
    assert (code, error) == (0, "")
    assert "2 sentences: 1 true, 0 cannot check, 1 not supported, 0 false; 0 without" in told


def test_a_word_may_be_said_to_mean_a_name(said, tmp_path):
    (tmp_path / "text.md").write_text("The residual net is better than VGG16.", encoding="utf-8")
    assert "1 cannot check" in said("results.csv", "text.md")[1]
    code, told, _ = said("results.csv", "text.md", "--same", "residual net=resnet18")
    assert code == 0
    assert "1 not supported" in told


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("none.csv text.md", 2, "there is no file none.csv"),
        ("results.csv none.md", 2, "there is no file none.md"),
        ("results.csv text.md --metric dice", 2, "no metric of results.csv is called 'dice'"),
        ("results.csv text.md --same TPU", 2, "--same 'TPU' is not WORD=NAME"),
        ("results.csv text.md --same TPU=gpu", 2, "'TPU' is to mean 'gpu', which results.csv does not have"),
        (". text.md", 5, "there is no verdict.json in this folder"),
    ],
)
def test_exit_codes_and_words(said, command, code, words):
    ended, _, error = said(*command.split())
    assert ended == code, error
    assert words in error
    assert "Traceback" not in error


def test_nothing_of_it_needs_torch(tmp_path):
    (tmp_path / "results.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "text.md").write_text("Model 2 reached 90.91 %.", encoding="utf-8")
    code = (
        "import sys; from typer.testing import CliRunner; from foldwise.interface.cli import app\n"
        "found = CliRunner().invoke(app, ['claims', 'results.csv', 'text.md'])\n"
        "assert found.exit_code == 0, found.output\n"
        "assert 'torch' not in sys.modules\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_page_names_every_option_kind_and_verdict():
    command = typer.main.get_command(cli.app).commands["claims"]
    known = {name for option in command.params for name in option.opts if "--" in name}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) == known - {"--help"}
    rows = set(re.findall(r"^\| `([a-z][a-z ]+)` \|", PAGE, re.MULTILINE))
    assert rows == {form.name for form in FORMS} | {"own words"} | set(GRAVEST)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_page_has_the_example_of_every_form(form):
    assert f"| `{form.name}` | {form.example} |" in PAGE


def test_the_worked_example_says_what_the_page_says(said, tmp_path):
    table, text, output = re.findall(r"^```(?:csv|text|)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[-3:]
    (tmp_path / "results.csv").write_text(table, encoding="utf-8")
    (tmp_path / "text.md").write_text(text, encoding="utf-8")
    _, told, _ = said("results.csv", "text.md")
    assert told == output


def test_a_text_and_a_run_in_the_other_order_are_told_so(said, tmp_path):
    (tmp_path / "run").mkdir()
    code, _, error = said("text.md", "run")
    assert code == 2
    assert error == (
        "foldwise: run is a folder, and no text\n"
        "  → The run comes first, then the text: foldwise claims run text.md\n"
    )
