"""`foldwise judge` as it is called: what it prints, what it writes, its exit codes, and that it needs no torch."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import typer.main
from repository import ROOT
from scipy.stats import binomtest, friedmanchisquare, ttest_rel

from foldwise.interface import cli

PAGE = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")

ROWS = "algorithm,case,value\n" + "".join(
    f"{name},c{case},{base + (case * step % 7) / 50}\n"
    for name, base, step in (("unet", 0.8, 3), ("vit", 0.5, 3), ("mlp", 0.79, 5))
    for case in range(35)
)


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """Runs the command in a folder with a table: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.csv").write_text(ROWS, encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["foldwise", "judge", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_textbook_tests_are_told_and_kept_on_request(said, tmp_path):
    code, told, _ = said("scores.csv", "--textbook", "--out", "verdict")
    assert code == 0
    assert "Textbook tests against unet, p (Holm's in brackets); foldwise does not decide by them:" in told
    verdict = json.loads((tmp_path / "verdict/verdict.json").read_text(encoding="utf-8"))
    kept = verdict["textbook"]
    by_name = {
        name: [float(row.split(",")[2]) for row in ROWS.splitlines() if row.startswith(name)]
        for name in ("unet", "vit", "mlp")
    }
    for pair in kept["pairs"]:
        apart = np.subtract(by_name["unet"], by_name[pair["id"]])
        expected = ttest_rel(by_name["unet"], by_name[pair["id"]]).pvalue if np.ptp(apart) > 1e-9 else 0.0
        assert pair["paired_t"]["p"] == pytest.approx(expected)
        assert pair["corrected_t"] is None  # there are no folds
        assert f"{pair['paired_t']['p']:.3g} ({pair['paired_t']['p_holm']:.3g})" in told
    found = friedmanchisquare(*by_name.values())
    assert kept["friedman"]["chi2"] == pytest.approx(found.statistic)
    assert said("scores.csv")[1].count("Textbook") == 0


def test_right_and_wrong_answers_from_elsewhere_have_mcnemars_test(said, tmp_path):
    rng = np.random.default_rng(0)
    right = {name: (rng.random(60) < share).astype(int) for name, share in (("a", 0.9), ("b", 0.6))}
    rows = [f"{name},{case},{one}" for name in right for case, one in enumerate(right[name])]
    (tmp_path / "right.csv").write_text("\n".join(["model,image,accuracy", *rows]), encoding="utf-8")
    assert said("right.csv", "--textbook", "--out", "verdict")[0] == 0
    test = json.loads((tmp_path / "verdict/verdict.json").read_text())["textbook"]["pairs"][0]["mcnemar"]
    only = int((right["a"] > right["b"]).sum()), int((right["a"] < right["b"]).sum())
    assert (test["only_winner"], test["only_other"]) == only
    assert test["p"] == pytest.approx(binomtest(only[0], sum(only)).pvalue)


def test_the_leaderboard_then_the_answer_then_what_to_know(said, tmp_path):
    code, told, _ = said("scores.csv", "--out", "verdict")
    assert code == 0
    lines = told.splitlines()
    assert lines[:3] == [
        "  scores.csv: one row per score; configuration from 'algorithm', case, score from 'value'",
        "  score: higher is taken to be better, as of most scores between 0 and 1; if not: --lower-is-better",
        "  3 configurations, 35 cases; score, higher is better; differences within 0.01 are of no consequence",
    ]
    assert [line.split()[0] for line in lines[5:8]] == ["unet", "mlp", "vit"]
    assert "best estimate" in lines[5]
    assert "ruled out" in lines[7]
    assert lines[9].startswith("No single winner: unet has the best estimate, score 0.86 (95 % interval ")
    assert "NO_RUN_VARIANCE" in told
    verdict = json.loads((tmp_path / "verdict/verdict.json").read_text(encoding="utf-8"))
    assert verdict["answer"]["sentence"] in told
    assert (
        (tmp_path / "verdict/leaderboard.csv")
        .read_text(encoding="utf-8")
        .startswith("configuration,verdict,")
    )


def test_every_option_reaches_the_judge(said, tmp_path):
    table = "net,who,x,y,seed,part,mouse\n" + "".join(
        f"{net},{case},{(case * 7 + ord(net)) % 10 / 10},1,{seed},{case % 2},{case // 2}\n"
        for net in "ab"
        for seed in (1, 2)
        for case in range(8)
    )
    (tmp_path / "own.csv").write_text(table, encoding="utf-8")
    asked = "--configuration net --case who --score x --repeat seed --fold none --group mouse --metric loss"
    asked += " --lower-is-better --unbounded --equivalent-within 0.2 --alpha 0.1 --out out"
    code, told, error = said("own.csv", *asked.split())
    assert code == 0, error
    verdict = json.loads((tmp_path / "out/verdict.json").read_text(encoding="utf-8"))
    assert (verdict["repeats"], verdict["folds"], verdict["num_groups"]) == (2, 1, 4)
    metric = {
        key: verdict["metric"][key] for key in ("name", "higher_is_better", "bounded", "equivalent_within")
    }
    assert metric == {"name": "loss", "higher_is_better": False, "bounded": False, "equivalent_within": 0.2}
    assert "90 % interval" in told
    assert "not used: y, part" in told


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("none.csv", 2, "there is no file none.csv"),
        ("scores.csv --case img", 2, "no column of scores.csv is called 'img'"),
        ("scores.csv --alpha 2", 2, "2 is no alpha\n  → Write a number from 0.0001 to less than 0.5"),
        ("scores.csv --alpha nan", 2, "nan is no alpha"),
        ("scores.csv --equivalent-within 5", 2, "Write a number of 0 to 0.5"),
        ("scores.csv --equivalent-within inf --unbounded", 2, "Write a number of 0 or more"),
        (".", 0, ""),  # the folder of the table
        ("scores.csv --case value --score case", 3, "no number"),
    ],
)
def test_exit_codes_and_words(said, command, code, words):
    ended, _, error = said(*command.split())
    assert ended == code, error
    assert words in error
    assert "Traceback" not in error


def test_nothing_of_it_needs_torch(tmp_path):
    (tmp_path / "scores.csv").write_text(ROWS, encoding="utf-8")
    code = (
        "import sys; from typer.testing import CliRunner; from foldwise.interface.cli import app\n"
        "for asked in ('--help', 'scores.csv'):\n"
        "    found = CliRunner().invoke(app, ['judge', asked])\n"
        "    assert found.exit_code == 0, found.output\n"
        "    assert 'torch' not in sys.modules, asked\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_page_names_every_option_and_no_other():
    command = typer.main.get_command(cli.app).commands["judge"]
    known = {
        name for option in command.params for name in (*option.opts, *option.secondary_opts) if "--" in name
    }
    assert set(re.findall(r"`(--[a-z-]+)`", PAGE)) == known - {"--help"}


def test_the_tables_of_the_page_are_judged(said, tmp_path):
    tables = re.findall(r"^```csv\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(tables) == 2
    for table in tables:
        (tmp_path / "scores.csv").write_text(table, encoding="utf-8")
        code, told, error = said("scores.csv")
        assert code == 0, error
        assert "2 configurations, 3 cases" in told


def test_what_is_written_is_what_a_run_writes_and_nothing_of_a_training(said, tmp_path):
    code, told, _ = said("scores.csv", "--out", "verdict")
    assert code == 0
    out = tmp_path / "verdict"
    assert {path.name for path in out.iterdir()} == {
        "figures", "leaderboard.csv", "report.html", "results.csv", "scores.csv", "verdict.json"
    }  # fmt: skip
    assert all(str(out.name) + "/" + name in told for name in ("report.html", "results.csv", "scores.csv"))
    assert (out / "figures/leaderboard-0-intervals.svg").read_text(encoding="utf-8").startswith("<svg")
    page = (out / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'<section id="([\w-]+)"', page)
    assert shown == ["answer", "leaderboard", "warnings", "methods", "results"]
    sentence = json.loads((out / "verdict.json").read_text(encoding="utf-8"))["answer"]["sentence"]
    assert sentence.split(":")[0] in page
    for word in ("foldwise predict", "foldwise status", "ms/image", "no image is in two folds", "None"):
        assert word not in page
    # The scores as they were read give the same verdict.
    assert said("verdict/scores.csv")[1].split("\n\n")[1:] == said("scores.csv")[1].split("\n\n")[1:]


def test_a_model_that_lacks_a_score_is_named_before_the_answer(said, tmp_path):
    (tmp_path / "short.csv").write_text("".join(ROWS.splitlines(True)[:-1]), encoding="utf-8")
    _, told, _ = said("short.csv", "--out", "verdict")
    left_out = "1 configuration is left out of the comparison: mlp lacks 1 of 35 scores"
    assert told.index(left_out) < told.index("Use unet")
    assert told.count(left_out) == 1
    page = (tmp_path / "verdict/report.html").read_text(encoding="utf-8")
    assert page.index(left_out) < page.index("Use this model")
    assert "34 of 35 scores" in page
