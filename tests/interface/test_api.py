"""The Python API: a run from a dict in a script, in a function and in a notebook; what it prints, and what comes back."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import foldwise
from foldwise.pipeline import pipeline

STUDY = {
    "study": "tiny",
    "data": {"phantom": {"kind": "gels", "images": 16, "size": 32}, "channels": "gray"},
    "compare": {
        "model": [{"conv": {"width": 4, "depth": 2}}, {"resnet": {"width": 4, "stages": 1, "blocks": 1}}]
    },
    "train": {"epochs": 1, "batch_size": 8},
    "validate": {"folds": 2},
}
SCRIPT = f"""
import foldwise
STUDY = {STUDY!r}
def compare():
    return foldwise.run(STUDY, workers=2)
run = compare()
print("board:", list(run.leaderboard.columns[:3]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return foldwise.run(STUDY, out=tmp_path_factory.mktemp("api") / "run", launcher="inline", quiet=True)


def test_everything_public_is_there_and_documented():
    for name in foldwise.__all__:
        assert getattr(foldwise, name).__doc__, name
    assert foldwise.__version__.count(".") >= 1
    assert issubclass(foldwise.SpecError, foldwise.FoldwiseError)


def test_a_study_may_be_a_dict_and_stands_in_the_run_folder_as_a_file(run):
    text = run.folder.study_file.read_text()
    assert text.startswith("study: tiny\n")
    again = foldwise.run(run.folder.study_file, out=run.folder.root, launcher="inline", quiet=True)
    assert again.verdict == run.verdict


def test_a_dict_with_a_mistake_is_refused_with_its_key():
    with pytest.raises(foldwise.SpecError, match="Did you mean 'epochs'"):
        foldwise.check(STUDY | {"train": {"epcohs": 1}})
    with pytest.raises(foldwise.SpecError, match="cannot stand in a study file"):
        foldwise.check(STUDY | {"seed": object()})


def test_the_leaderboard_has_names_and_no_ids(run):
    board = run.leaderboard
    ids = {row.id for row in run.verdict.configurations}
    assert list(board.columns[:2]) == ["configuration", "model"]
    assert not ids & set(board.astype(str).to_numpy().ravel())
    rows = (*run.verdict.configurations, *run.verdict.baselines)
    assert list(board["configuration"]) == [row.name for row in rows]
    assert set(board["verdict"][2:]) == {"trivial"}
    row = run.verdict.configurations[0]
    assert board.loc[0, "balanced_accuracy_low"] == row.metrics["balanced_accuracy"].low
    assert (board["train_s"][:2] > 0).all()


def test_a_run_without_a_verdict_says_so(run, tmp_path):
    file_ = tmp_path / "study.yaml"
    file_.write_bytes(run.folder.study_file.read_bytes())
    from foldwise.pipeline.options import RunOptions, Silent
    from foldwise.study.reading import open_study

    folder = pipeline.plan(open_study(file_), RunOptions(tmp_path / "planned"), Silent())
    planned = foldwise.open(folder.root)
    for look in (lambda: planned.leaderboard, lambda: planned.verdict, lambda: planned.figures):
        with pytest.raises(foldwise.RunError, match="no verdict yet"):
            look()
    assert "no verdict yet" in planned._repr_html_()


def test_figures_by_name_are_svg_that_a_notebook_shows(run, tmp_path):
    assert "leaderboard-0-intervals" in run.figures
    figure = run.figure("leaderboard")
    assert figure._repr_html_().startswith("<svg")
    assert figure.save(tmp_path / "a.svg").read_text() == figure.svg
    with pytest.raises(foldwise.SpecError, match="no figure is called 'leaderbored'"):
        run.figure("leaderbored")


def test_a_notebook_shows_answer_warnings_and_table(run):
    html = run._repr_html_()
    assert run.verdict.answer.sentence.split(" ")[0] in html
    assert html.count("<li>") == len(run.verdict.warnings)
    assert "<table" in html


def test_progress_answer_and_warnings_are_printed(run, capsys):
    foldwise.run(STUDY, out=run.folder.root, launcher="inline")
    out = capsys.readouterr().out
    assert run.verdict.answer.sentence in out
    assert run.verdict.warnings[0].message[:40] in out


def test_failed_fits_are_warned_of_and_listed(tmp_path, monkeypatch):
    from foldwise.learning.training import fit

    def fail(*_, **__):
        raise ValueError("no luck")

    monkeypatch.setattr(fit, "fit_item", fail)
    with pytest.warns(UserWarning, match="4 items failed"):
        run = foldwise.run(STUDY, out=tmp_path / "run", launcher="inline", quiet=True)
    assert len(run.failures) == 4
    assert "no luck" in run.failures[0].message
    assert "fold 0" in run.failures[0].what


def test_ctrl_c_says_that_the_same_call_goes_on(tmp_path, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        foldwise.run(STUDY, out=tmp_path)
    assert "the same call goes on" in capsys.readouterr().out


def scores(seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {"model": model, "image": f"i{k}", "dice": float(np.clip(0.7 + add + rng.normal(0, 0.05), 0, 1))}
        for model, add in (("a", 0.1), ("b", 0.0))
        for k in range(30)
    ]
    return pd.DataFrame(rows)


def test_scores_from_elsewhere_are_judged_as_frames_and_as_files(tmp_path):
    table = scores()
    table.to_csv(tmp_path / "s.csv", index=False)
    of_frame = foldwise.judge(table, configuration="model", case="image", score="dice")
    of_file = foldwise.judge(tmp_path / "s.csv", configuration="model", case="image", score="dice")
    assert of_frame.leaderboard.equals(of_file.leaderboard)
    assert list(of_frame.leaderboard["configuration"]) == ["a", "b"]
    assert of_frame.verdict.answer.sentence == str(of_frame)
    assert of_frame.figure("leaderboard").svg.startswith("<svg")
    with pytest.raises(foldwise.SpecError, match="Did you mean 'metric'"):
        foldwise.judge(table, metrik="dice")


def test_sentences_are_checked_against_a_run(run):
    name = run.verdict.configurations[0].name
    checked = foldwise.claims(run, f"{name} has a balanced accuracy of 1.7.")
    assert [finding.verdict for finding in checked.findings] == ["false"]


def test_a_script_without_a_main_guard_runs_workers_of_its_own(tmp_path):
    (tmp_path / "compare.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "compare.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("board: ['configuration', 'model', 'estimate']") == 1
    assert "Report:" in done.stdout


def test_a_notebook_runs_a_study(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["import foldwise", f"run = foldwise.run({STUDY!r})", "run", "run.figure('leaderboard')"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
        client.execute()
    printed = "".join(output.get("text", "") for output in book.cells[1].outputs)
    shown = [output["data"]["text/html"] for cell in book.cells[2:] for output in cell.outputs]
    assert "Report:" in printed
    assert "<table" in shown[0]
    assert shown[1].startswith("<svg")
