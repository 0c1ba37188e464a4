"""The main job on tiny phantoms: check, run, kill, run again, edit, predict; from the command line as a user types it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typed import foldwise

from foldwise.data.phantoms.catalogue import make
from foldwise.interface import api
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import Engine
from foldwise.runs.launchers.table import LAUNCHERS, Inline

SEGMENTATION = """
study: tiny
data:
  phantom: {kind: bacteria, images: 12, size: 64, difficulty: 0.3}
compare:
  model: [{conv: {width: 4}}, {unet: {width: 4}}]
train: {epochs: 2, batch_size: 4, augment: flips}
validate: {folds: 2}
"""
CLASSIFICATION = """
study: tiny
data:
  phantom: {kind: gels, images: 24, size: 64, difficulty: 0.3}
  channels: gray
  size: 48
compare:
  head: [linear, {mlp: {hidden: [8], dropout: [0.1]}}]
train: {model: "timm:test_resnet", freeze: encoder, normalize: imagenet, epochs: 2, batch_size: 8}
validate: {folds: 2}
"""
MULTILABEL = """
study: tiny
data:
  phantom: {kind: proteins, images: 32, size: 64, difficulty: 0.3}
train: {model: {conv: {width: 4}}, epochs: 2, batch_size: 8}
validate: {folds: 2}
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The segmentation study, checked and run without disturbance: (study file, run folder, what check and run printed).

    Tests share it; those that change anything work in a copy.
    """
    root = tmp_path_factory.mktemp("whole")
    study = root / "study.yaml"
    study.write_text(SEGMENTATION, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        checked = foldwise("check", study, cwd=root).out
        assert not (root / "runs").exists()  # a check writes no run
        printed = foldwise("run", study, "--launcher", "inline", cwd=root).out
    return study, root / "runs" / "tiny", checked, printed


@pytest.fixture
def again(whole, tmp_path):
    """A copy of that run, under the same name in a folder of its own."""
    shutil.copytree(whole[1], tmp_path / "runs" / "tiny")
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def study_file(tmp_path):
    def write(text, name="study.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def rows(run: Path):
    """Everything that was scored, by item: what must be the same however it was run."""
    scores = {}
    for path in sorted((run / "done").rglob("scores.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            scores[path.parent.name] = {name: arrays[name] for name in arrays.files}
    return scores


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert one
    for item in one:
        for name in one[item]:
            np.testing.assert_array_equal(one[item][name], other[item][name], err_msg=f"{item} {name}")


def finished_times(run: Path):
    return {
        path.parent.name: json.loads(path.read_text())["finished"]
        for path in (run / "done").rglob("result.json")
    }


def test_a_study_runs_to_its_report(whole):
    _, run, checked, printed = whole
    assert "Plan:" in checked
    assert f"Report:  {Path('runs/tiny/report.html')}" in printed
    assert_reported(run, "dice_img_macro")


def assert_reported(run, metric):
    verdict = json.loads((run / "verdict.json").read_text())
    assert verdict["metric"]["name"] == metric
    assert all(0 <= row["estimate"] <= 1 for row in verdict["configurations"])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert verdict["answer"]["sentence"].split(".")[0][:20] in page
    assert "://" not in page.replace("http://www.w3.org", "")  # one file, offline
    with (run / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) >= len(verdict["configurations"])


def test_same_rows_of_two_runs_at_once(whole, tmp_path, forked):
    command = "run", whole[0], "--launcher", "inline", "--out", "both"
    both = [forked.start(*command, cwd=tmp_path) for _ in range(2)]
    assert [forked.wait(pid) for pid in both] == [0, 0]
    assert_same(rows(whole[1]), rows(tmp_path / "both"))


def test_a_second_run_does_nothing_and_an_edited_study_only_what_is_new(again, tmp_path, study_file):
    study, run = study_file(SEGMENTATION), again
    first = finished_times(run)
    printed = foldwise("run", study, cwd=tmp_path).out
    assert "All 5 items were done already." in printed  # four fits and the pictures of their augmentation
    assert "Report:" in printed
    assert finished_times(run) == first
    study.write_text(SEGMENTATION.replace("{unet: {width: 4}}", "{unet: {width: 4}}, {unet: {width: 6}}"))
    foldwise("run", study, "--launcher", "inline", cwd=tmp_path)
    edited = finished_times(run)
    assert len(edited) == len(first) + 2
    assert {item: edited[item] for item in first} == first


# Looked for again and again, so only what is there for long or for good: scratch folders come and go.
MOMENTS = {
    "the run is laid out": lambda run: (run / "plan.json").exists(),
    "an item is in progress": lambda run: bool(RunFolder(run).beats()),
    "an item is done": lambda run: any(run.glob("done/*/result.json")),
    "two items are done": lambda run: len([*run.glob("done/*/result.json")]) > 1,
}


def test_killed_at_any_time_it_goes_on_with_the_same_numbers(whole, tmp_path, forked):
    run = tmp_path / "killed"
    command = "run", whole[0], "--launcher", "inline", "--out", run
    for moment, has_come in MOMENTS.items():
        pid, deadline = forked.start(*command, cwd=tmp_path), time.monotonic() + 400
        while not has_come(run):
            assert time.monotonic() < deadline, moment
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)  # the worker, too: it is the same process
        assert forked.wait(pid) == -signal.SIGKILL, moment
    assert forked.wait(forked.start(*command, cwd=tmp_path)) == 0
    assert_same(rows(whole[1]), rows(run))
    assert contents(run) == contents(whole[1])
    assert list(run.rglob(".*")) == []
    assert list((run / "scratch").iterdir()) == []


def test_a_failed_item_is_shown_and_the_rest_is_done(tmp_path, study_file):
    study = study_file(SEGMENTATION.replace("{unet: {width: 4}}", '"broken_model:build"'))
    (tmp_path / "broken_model.py").write_text(
        "import torch\n"
        "class Breaks(torch.nn.Conv2d):\n"
        "    def forward(self, x):\n"
        "        if x.device.type == 'cpu' and x.shape[0] == 4 and x.any():  # a check shows it nothing but zeros\n"
        "            raise RuntimeError('this network does not like batches of four')\n"
        "        return super().forward(x)\n"
        "def build(in_channels, num_classes):\n"
        "    return Breaks(in_channels, num_classes, 3, padding=1)\n"
    )
    ended = foldwise("run", study, "--launcher", "inline", cwd=tmp_path, code=6)
    assert "does not like batches of four" in ended.errors
    verdict = json.loads((tmp_path / "runs/tiny/verdict.json").read_text())
    states = {row["name"]: row["num_done"] for row in verdict["configurations"]}
    assert sorted(states.values()) == [0, 2]
    assert "does not like batches of four" in (tmp_path / "runs/tiny/report.html").read_text()
    printed = foldwise("status", "runs/tiny", cwd=tmp_path).out
    assert "2 failed" in printed
    assert "does not like batches of four" in printed


def test_frozen_features_are_shared_and_predict_works(tmp_path, study_file):
    study = study_file(CLASSIFICATION)
    printed = foldwise("run", study, "--launcher", "inline", cwd=tmp_path).out
    assert "1 pass of frozen encoders shared by 4 fits" in printed
    make("gels", tmp_path / "new", images=6, size=64, difficulty=0.3, seed=9)
    foldwise("predict", "runs/tiny", tmp_path / "new", "--out", "predictions", cwd=tmp_path)
    with (tmp_path / "predictions" / "predictions.csv").open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == 6
    numbers = [float(value) for name, value in predicted[0].items() if name.startswith("probability")]
    assert sum(numbers) == pytest.approx(1, abs=1e-4)


def test_a_bad_study_ends_with_its_exit_code_before_any_training(tmp_path, study_file):
    ended = foldwise("run", study_file(SEGMENTATION.replace("unet", "unte")), cwd=tmp_path, code=2)
    assert "Did you mean 'unet'?" in ended.errors
    assert "Traceback" not in ended.errors
    assert not (tmp_path / "runs").exists()


def contents(run: Path):
    """Files of a run folder, and the JSON of those that must be the same whoever ran it."""
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    names = "study.json", "plan.json", "audit.json", "environment.json"
    plain = {name: json.loads((run / name).read_text()) for name in names}
    return {name for name in files if not name.startswith(("logs/", "leases/"))}, plain


def test_the_shell_with_two_workers_writes_the_same_run_folder_and_python_opens_it(
    whole, tmp_path, study_file
):
    study = study_file(SEGMENTATION)
    command = [sys.executable, "-m", "foldwise", "run", study.name, "--workers", "2"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    of_shell = tmp_path / "runs" / "tiny"
    assert contents(of_shell) == contents(whole[1])
    assert_same(rows(of_shell), rows(whole[1]))
    finished = finished_times(of_shell)
    once_more = api.run(study, out=of_shell)  # nothing is left to do
    assert once_more.verdict == api.open(of_shell).verdict
    assert finished_times(of_shell) == finished
    assert once_more.folder.root == of_shell


def test_the_python_names_do_the_same(tmp_path, study_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crews = []

    def launch(crew, work):
        crews.append(crew)
        return Inline(crew, work)

    monkeypatch.setitem(LAUNCHERS, "local", Engine(launch))  # what a run takes where nothing is said of it
    run = api.run(study_file(MULTILABEL), workers=3)
    assert [crew.workers for crew in crews] == [3]
    assert len(run.leaderboard) >= 1
    assert run.report.exists()
    assert_reported(run.folder.root, "average_precision_macro")
    assert api.open(run.folder.root).verdict == run.verdict
