"""The Python API: a run from a dict in a script, in a function and in a notebook; what it prints, and what comes back."""

import inspect
import re
import subprocess
import sys
import urllib.request
import warnings
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import foldwise
from foldwise.data.phantoms.catalogue import make
from foldwise.interface import cli
from foldwise.interface.calls import RENAMED
from foldwise.judging.external.options import ScoreOptions
from foldwise.pipeline import pipeline
from foldwise.study.spec import Looking

SINGLE = ("data", "model", "head", "augment", "freeze", "size")  # of measure: one model as options
# Commands that have no function, and why.
OF_THE_SHELL = {
    "work": "a worker is a process of its own",
    "fit": "a dict of one configuration is a study",
    "doctor": "it looks at the machine from without",
    "demo": "it prints a first meeting",
}
# What is called otherwise, as it is several, a value and no sign, or the run's own word.
CALLED = RENAMED | {"files": "scores"}
# Options of a command that its function has not, and why.
LEFT_OUT = {
    "phantom": "variants=['phantom']",
    "quick": "variants=['quick']",
    "open_": "whoever calls has the page, or its address",
    "try_it": "formats=['try-it']",
    ("init", "as_json"): "a Draft is data",
    ("run", "dry_run"): "a script is for a shell",
    ("report", "serve"): "it waits for Ctrl-C",
    ("report", "port"): "of --serve",
    **{("measure", key): "a dict of one configuration is a study" for key in SINGLE},
    ("measure", "as_json"): "Speeds are data",
    ("evaluate", "set_"): "labels, by keyword",
    ("judge", "out"): "a Judged is kept as data and figures",
    ("claims", "every"): "all findings are given",
    ("claims", "out"): "findings are data",
}
ONLY_FROM_PYTHON = {
    "progress": "a bar of the terminal",
    "decoded": "the same",
    "quiet": "commands speak",
    "labels": "--set of evaluate",
    ("check", "device"): "a check of the command is of this machine",
    ("look", "options"): "all others by keyword",
    ("judge", "options"): "of ScoreOptions",
}
COMMANDS = {command.__name__: command for command in cli.COMMANDS if command.__name__ not in OF_THE_SHELL}
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
import urllib.request
import foldwise
STUDY = {STUDY!r}
def compare():
    return foldwise.run(STUDY, workers=2)
def give(run):
    given = run.export(formats=["torchscript"], fold=1)
    with run.app() as address:
        return given, urllib.request.urlopen(address).status
run = compare()
print("board:", list(run.leaderboard.columns[:3]))
given, status = give(run)
print("gave:", sorted(path.name for path in given.folder.iterdir()), "page:", status)
foldwise.app(run)  # and nobody stops it
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return foldwise.run(STUDY, out=tmp_path_factory.mktemp("api") / "run", launcher="inline", quiet=True)


def test_everything_public_is_there_and_documented():
    for name in foldwise.__all__:
        assert getattr(foldwise, name).__doc__, name
    assert foldwise.__version__.count(".") >= 1
    assert issubclass(foldwise.SpecError, foldwise.FoldwiseError)


def parameters(function):
    return {name: row.default for name, row in inspect.signature(function).parameters.items()}


def plain(default):
    """A default, however it is spelled: a list or a tuple; --no-fetch or fetch=True."""
    if isinstance(default, Path):
        return str(default)
    return list(default) or None if isinstance(default, list | tuple) else default


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_function_have_the_same_options(name):
    command, function = parameters(COMMANDS[name]), parameters(getattr(foldwise, name))
    if name == "judge":
        function |= {field.name: field.default for field in fields(ScoreOptions)}
    if name == "look":
        function |= dict.fromkeys(
            set(Looking.model_fields) - {"configurations"}
        )  # a look by hand is of one fit
    left = {key for key in command if key in LEFT_OUT or (name, key) in LEFT_OUT}
    more = {key for key in function if key in ONLY_FROM_PYTHON or (name, key) in ONLY_FROM_PYTHON}
    names = {key: CALLED.get(key, key) for key in command if key not in left}
    assert set(names.values()) == set(function) - more
    for key, other in names.items():
        needed = inspect.Parameter.empty in (command[key], function[other])
        if key != "no_fetch" and not needed:
            assert plain(command[key]) == plain(function[other]), key


def test_every_command_has_a_function_or_a_reason_to_have_none():
    commands = {command.__name__ for command in cli.COMMANDS}
    assert set(OF_THE_SHELL) < commands
    assert not set(OF_THE_SHELL) & set(foldwise.__all__)
    used = {key for name, command in COMMANDS.items() for key in parameters(command)}
    assert {key if isinstance(key, str) else key[1] for key in LEFT_OUT} | set(CALLED) <= used


@pytest.mark.parametrize("name", ["predict", "evaluate", "load", "export", "app"])
def test_a_method_of_a_run_is_the_function(name):
    assert getattr(foldwise.Run, name) is getattr(foldwise, name)


def test_a_study_may_be_a_dict_and_stands_in_the_run_folder_as_a_file(run):
    text = run.folder.study_file.read_text()
    assert text.startswith("study: tiny\n")
    again = foldwise.run(run.folder.study_file, out=run.folder.root, launcher="inline", quiet=True)
    assert again.verdict == run.verdict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"train": {"epcohs": 1}},
            "train.epcohs: no key is called 'epcohs' in train\n  → Did you mean 'epochs'?",
        ),
        ({"train": {"epochs": np.int64(0)}}, "train.epochs must be at least 1, got 0"),
        ({"compare": {"model": []}}, "compare.model has no levels"),
        ({"train": "x"}, "train must have keys, got 'x'\n  → Give a dict of its keys."),
        ({"train": None}, "train must have keys, got nothing\n  → Give a dict of its keys, or leave it out."),
        ({"variants": {"quick": 3}}, "2 problems:\n1. variants.quick: variant quick must have keys, got 3"),
        ({"seed": object()}, "seed is of the type object, which cannot stand in a study file"),
        ({"compare": {"loss": ["dice", {1}]}}, "compare.loss[1] is of the type set, which cannot"),
        ({"data": {(1, 2): 3}}, "data has the key [1, 2], which cannot"),
    ],
)
def test_a_dict_with_a_mistake_is_refused_by_its_key_and_by_no_line(change, message):
    with pytest.raises(foldwise.SpecError) as refused:
        foldwise.check(STUDY | change)
    assert str(refused.value).startswith(message)
    assert not re.search(r"the study:\d|\d \| |below it|indented", str(refused.value))


def test_a_dict_may_hold_what_numpy_has_and_not_itself():
    study = STUDY | {"compare": {"batch_size": np.array([4, 8])}, "train": {"epochs": np.int64(1)}}
    study["train"]["model"] = {"conv": {"width": 4, "depth": 1}}
    assert [row.training.batch_size for row in foldwise.check(study).configurations] == [4, 8]
    study["data"] = study
    with pytest.raises(foldwise.SpecError, match="nested too deeply"):
        foldwise.check(study)


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
    table = pd.read_csv(run.folder.results)
    both = [column for column in table.columns if column in board.columns and column != "configuration"]
    assert len(both) > 30
    pd.testing.assert_frame_equal(board[both], table[both], check_dtype=False, rtol=1e-9)
    empty = table.columns[table.isna().all()]
    assert set(table.columns) - set(board.columns) <= {"name", "metric", "confusion", *empty}


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
    assert f'Predict: foldwise.predict("{run.folder.root}", NEW_IMAGES, out="predictions")' in out


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


def test_a_run_is_planned_watched_and_stopped_and_its_speed_measured(tmp_path):
    planned = foldwise.plan(STUDY, out=tmp_path / "run")
    seen = foldwise.status(planned)
    assert (seen.items.waiting, seen.items.done) == (4, 0)
    assert repr(seen).splitlines()[0].endswith(": 4 items: 4 waiting")
    assert foldwise.stop(planned) == 0
    assert "stopped  by `foldwise stop`" in repr(foldwise.status(planned))
    with pytest.raises(foldwise.SpecError, match="out=… is for studies"):
        foldwise.measure(planned, out=tmp_path / "speed")
    how = {"batch_sizes": [1], "caches": "memory", "precisions": ["fp32"], "device": ["cpu"]}
    speeds = foldwise.measure(STUDY, seconds=3, out=tmp_path / "speed", **how)
    assert [point.batch_size for row in speeds.rows for point in row.points] == [1] * len(speeds.rows)
    assert (tmp_path / "speed" / "speed.html").is_file()
    assert "of speeds in" in repr(speeds)


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
    unclear = foldwise.judge(table.rename(columns={"dice": "value"}), score="value", case="image")
    assert "if not: higher_is_better=False" in " ".join(unclear.verdict.recognised)
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
    files = ["MODEL_CARD.md", "export.json", "model.torchscript.pt"]
    assert f"gave: {files} page: 200" in done.stdout
    assert (tmp_path / "tiny-fold-1-export").is_dir()


SPAWNED = """
import multiprocessing, sys, urllib.request
from concurrent.futures import ProcessPoolExecutor
import foldwise
def give(run, out, name):
    exported = run.export(out, formats=[name])
    with run.app() as address:
        return [each.file for each in exported.exported], urllib.request.urlopen(address).status
if __name__ == "__main__":
    run = foldwise.open(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        asked = [pool.submit(give, run, name, name) for name in ("torchscript", "onnx")]
        print(sorted(future.result() for future in asked))
"""


def test_a_run_goes_to_a_spawned_worker_which_exports_it_and_serves_its_page(run, tmp_path):
    pytest.importorskip("onnxscript")
    (tmp_path / "give.py").write_text(SPAWNED)
    command = [sys.executable, "give.py", str(run.folder.root)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[(['model.onnx'], 200), (['model.torchscript.pt'], 200)]"


def test_a_study_is_drafted_from_python_and_replaces_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make("gels", tmp_path / "gels", images=24, size=32, difficulty=0.3, seed=0)
    drafted = foldwise.init("gels", overrides=["validate.group=none"])
    assert drafted.path == Path("study.yaml")
    assert foldwise.check(drafted.path).configurations
    assert "stated: validate.group: none" in str(drafted)
    assert "study.yaml: compares " in str(drafted).splitlines()[-1]
    with pytest.raises(foldwise.RunError, match="a file of this name already"):
        foldwise.init("gels")


def test_a_page_from_python_is_served_until_it_is_stopped(run):
    page = foldwise.app(run)
    with urllib.request.urlopen(page.address, timeout=30) as answer:
        assert b"<html" in answer.read()
    assert page.address in page._repr_html_()
    page.stop()
    page.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(page.address, timeout=5)
    with run.app() as address:
        assert address != page.address


def test_predictions_from_python_warn_as_the_command_does(run, tmp_path):
    image = np.zeros((32, 32), np.uint8)
    Image.fromarray(image).save(tmp_path / "new.png")
    seen = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        out = run.predict(
            tmp_path / "new.png", tmp_path / "out", fold=1, flips=True, progress=lambda *n: seen.append(n)
        )
    assert (out / "predictions.csv").is_file()
    assert seen[-1] == (1, 1)
    assert any("less certain than 2 to 1" in str(each.message) for each in warned)


def test_what_comes_back_is_shown_in_a_few_lines(run, tmp_path):
    """A notebook shows what a cell ends with, and none of these is to fill it."""
    name = run.verdict.configurations[0].name
    make("gels", tmp_path / "elsewhere", images=12, size=32, difficulty=0.3, seed=5)
    shown = {
        "check": foldwise.check(STUDY),
        "verdict": run.verdict,
        "run": run,
        "judged": foldwise.judge(scores(), configuration="model", case="image", score="dice"),
        "claims": foldwise.claims(run, f"{name} is the best."),
        "model": run.load(),
        "exported": run.export(tmp_path / "export", formats=["torchscript"]),
        "evaluated": run.evaluate(tmp_path / "elsewhere", tmp_path / "evaluated"),
    }
    for what, value in shown.items():
        assert len(repr(value)) < 4000, what
        assert len(repr(value).splitlines()) < 30, what
    assert "4 fits" in repr(shown["check"])
    assert repr(shown["claims"]).endswith(f": {name} is the best.")
    assert run.verdict.answer.sentence in repr(run.verdict)


def test_a_run_stands_for_its_folder(run):
    assert foldwise.report(run).verdict == run.verdict
    assert foldwise.open(run) == run
    judged = foldwise.judge(run)
    assert [row.name for row in judged.verdict.configurations] == [
        row.name for row in run.verdict.configurations
    ]


def test_a_notebook_runs_a_study(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [
        "import foldwise",
        f"run = foldwise.run({STUDY!r})",
        "run",
        "run.figure('leaderboard')",
        "page = run.app()\npage",
        "from urllib.request import urlopen\nurlopen(page.address).status",
        "page.stop()",
        "print(run.export(formats=['torchscript']))",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
        client.execute()
    printed = "".join(output.get("text", "") for output in book.cells[1].outputs)
    shown = [output["data"]["text/html"] for cell in book.cells[2:5] for output in cell.outputs]
    assert "http://127.0.0.1:" in shown[2]
    assert book.cells[5].outputs[0]["data"]["text/plain"] == "200"
    assert "labels agree" in book.cells[7].outputs[0]["text"]
    assert "Report:" in printed
    assert "<table" in shown[0]
    assert shown[1].startswith("<svg")
