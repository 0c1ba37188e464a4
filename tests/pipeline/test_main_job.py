"""The main job on tiny phantoms: check, run, kill, run again, edit, predict; from the command line as a user types it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from foldwise.interface import api

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


def foldwise(*arguments, cwd, check=True, **options):
    command = [sys.executable, "-m", "foldwise", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=400, check=False, **options
    )
    if check and done.returncode:
        pytest.fail(
            f"foldwise {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The segmentation study, checked and run without disturbance: (study file, run folder, what check and run said).

    Tests share it; those that change anything work in a copy.
    """
    place = tmp_path_factory.mktemp("whole")
    study = place / "study.yaml"
    study.write_text(SEGMENTATION, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setenv("FOLDWISE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    checked = foldwise("check", study, cwd=place).stdout
    assert not (place / "runs").exists()  # a check writes no run
    said = foldwise("run", study, "--workers", "1", cwd=place).stdout
    patch.undo()
    return study, place / "runs" / "tiny", checked, said


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
    _, run, checked, said = whole
    assert "Plan:" in checked
    assert f"Report:  {Path('runs/tiny/report.html')}" in said
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


def test_same_rows_whatever_the_workers_and_the_order_and_two_runs_at_once(whole, tmp_path):
    command = [sys.executable, "-m", "foldwise", "run", str(whole[0]), "--workers", "1", "--out", "both"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [running.communicate(timeout=400)[1] for running in both]
    assert [running.returncode for running in both] == [0, 0], said
    assert_same(rows(whole[1]), rows(tmp_path / "both"))


def test_a_second_run_does_nothing_and_an_edited_study_only_what_is_new(again, tmp_path, study_file):
    study, run = study_file(SEGMENTATION), again
    first = finished_times(run)
    said = foldwise("run", study, cwd=tmp_path).stdout
    assert "All 5 items were done already." in said  # four fits and the pictures of their augmentation
    assert "Report:" in said
    assert finished_times(run) == first
    study.write_text(SEGMENTATION.replace("{unet: {width: 4}}", "{unet: {width: 4}}, {unet: {width: 6}}"))
    foldwise("run", study, cwd=tmp_path)
    edited = finished_times(run)
    assert len(edited) == len(first) + 2
    assert {item: edited[item] for item in first} == first


def finished_items(run):
    """Only what is committed: scratch folders come and go while one looks."""
    return list((run / "done").glob("*/result.json"))


def test_killed_at_any_time_it_goes_on_with_the_same_numbers(whole, tmp_path):
    study = whole[0]
    command = [sys.executable, "-m", "foldwise", "run", study, "--workers", "2", "--out", "killed"]
    for _ in range(2):
        before = len(finished_items(tmp_path / "killed"))
        running = subprocess.Popen(
            command,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 400
        while running.poll() is None and len(finished_items(tmp_path / "killed")) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with suppress(ProcessLookupError):  # a slow look may come after the end
            os.killpg(running.pid, signal.SIGKILL)  # parent and workers at once, as a power cut would
        running.wait()
    foldwise("run", study, "--workers", "2", "--out", "killed", cwd=tmp_path)
    assert_same(rows(whole[1]), rows(tmp_path / "killed"))
    assert list((tmp_path / "killed").rglob(".*")) == []
    assert list((tmp_path / "killed" / "scratch").iterdir()) == []


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
    path = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = foldwise("run", study, cwd=tmp_path, check=False, env=path)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "does not like batches of four" in done.stderr
    verdict = json.loads((tmp_path / "runs/tiny/verdict.json").read_text())
    states = {row["name"]: row["num_done"] for row in verdict["configurations"]}
    assert sorted(states.values()) == [0, 2]
    assert "does not like batches of four" in (tmp_path / "runs/tiny/report.html").read_text()
    said = foldwise("status", "runs/tiny", cwd=tmp_path).stdout
    assert "2 failed" in said
    assert "does not like batches of four" in said


def test_frozen_features_are_shared_and_predict_works(tmp_path, study_file):
    study = study_file(CLASSIFICATION)
    said = foldwise("run", study, cwd=tmp_path).stdout
    assert "1 pass of frozen encoders shared by 4 fits" in said
    from foldwise.data.phantoms.catalogue import make

    make("gels", tmp_path / "new", images=6, size=64, difficulty=0.3, seed=9)
    foldwise("predict", "runs/tiny", tmp_path / "new", "--out", "predictions", cwd=tmp_path)
    with (tmp_path / "predictions" / "predictions.csv").open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == 6
    numbers = [float(value) for name, value in predicted[0].items() if name.startswith("probability")]
    assert sum(numbers) == pytest.approx(1, abs=1e-4)


def test_a_bad_study_ends_with_its_exit_code_before_any_training(tmp_path, study_file):
    done = foldwise("run", study_file(SEGMENTATION.replace("unet", "unte")), cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "Did you mean 'unet'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def contents(run: Path):
    """Files of a run folder, and the JSON of those that must be the same whoever ran it."""
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    names = "study.json", "plan.json", "audit.json", "environment.json"
    plain = {name: json.loads((run / name).read_text()) for name in names}
    return {name for name in files if not name.startswith(("logs/", "leases/"))}, plain


def test_python_and_the_shell_write_the_same_run_folder(whole, tmp_path, study_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = api.run(study_file(SEGMENTATION), workers=1, launcher="inline")
    assert contents(run.folder.root) == contents(whole[1])
    assert_same(rows(run.folder.root), rows(whole[1]))
    assert api.open_run(run.folder.root).verdict == run.verdict


def test_the_python_names_do_the_same(tmp_path, study_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = api.run(study_file(MULTILABEL), workers=1)
    assert len(run.leaderboard) >= 1
    assert run.report.exists()
    assert_reported(run.folder.root, "average_precision_macro")
    assert api.open_run(run.folder.root).verdict == run.verdict
