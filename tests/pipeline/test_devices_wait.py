"""A study that compares devices: what this machine does not have waits for a worker that has it."""

import pytest
from typer.testing import CliRunner

from foldwise.errors import MissingExtra
from foldwise.interface.cli import app
from foldwise.pipeline import devices
from foldwise.pipeline import worker as work_module
from foldwise.pipeline.devices import all_settled
from foldwise.pipeline.pipeline import finish
from foldwise.pipeline.preflight import preflight
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.pipeline.worker import work
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan, waiting, waiting_sentence
from foldwise.study.reading import open_study

STUDY = """
study: devices
data: {phantom: {kind: gels, images: 20, size: 32}}
compare: {head: [linear, mlp], device: DEVICES}
train: {model: {conv: {width: 4, depth: 1}}, epochs: 1}
validate: {folds: 2}
"""
ASKED = "2 of 4 configurations ask for cuda, which this machine does not have: they wait for a worker that has it."


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """`machine(name, ...)` makes these devices, beside the CPU, those that are here."""
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def has(*names):
        monkeypatch.setattr(devices, "device_is_here", lambda name: name in names)

    has()
    return has


def fit(number, device, needs=(), kind="fit"):
    settings = {
        "configuration": f"c-{device}",
        "training": {"device": device},
        "repeat": 0,
        "fold": number,
        "seed": 1,
    }
    return Item(f"{kind}-{device}-{number}", kind, needs, f"{kind} {number} on {device}", settings)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    after = Item("robustness-1", "robustness", ("fit-cuda-0",), "robustness", {"configuration": "c-cuda"})
    fits = [fit(number, device) for number in range(2) for device in ("cpu", "cuda")]
    made = RunFolder(tmp_path / "run")
    made.save_plan(Plan((*fits, after), ()))
    monkeypatch.setattr(work_module, "TASKS", dict.fromkeys(("fit", "robustness"), lambda job: {}))
    return made


def test_a_worker_leaves_what_it_cannot_do_and_ends(machine, folder):
    said = []
    assert work(folder, log=said.append) == 2
    assert folder.settled() == ({"fit-cpu-0", "fit-cpu-1"}, set())
    assert all_settled(folder, folder.load_plan())
    assert not any("cuda" in line for line in said)


def test_a_worker_that_has_the_device_does_the_rest(machine, folder):
    work(folder, log=lambda line: None)
    machine("cuda")
    assert not all_settled(folder, folder.load_plan())
    assert work(folder, log=lambda line: None) == 3  # with what needs a fit on that device
    assert len(folder.settled()[0]) == 5


def test_where_no_fit_can_be_done_nothing_waits():
    only = Plan((fit(0, "cuda"),), ())
    assert waiting(only, ["cuda"]) == frozenset()
    assert waiting_sentence(only, frozenset()) == ""


def study(tmp_path, devices="[cpu, cuda]"):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("DEVICES", devices), encoding="utf-8")
    return path


def test_check_says_what_waits_and_counts_no_time_for_it(machine, tmp_path):
    prepared = prepare(open_study(study(tmp_path)))
    here = preflight(prepared)
    assert here.notes[0] == ASKED
    own = sum(
        here.of[one.id].seconds_per_fit for one in prepared.configurations if one.training.device == "cpu"
    )
    assert here.seconds(prepared.plan) == pytest.approx(2 * own)
    assert len(here.waits) == 4


def test_check_refuses_a_study_of_which_nothing_can_be_done_here(machine, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(MissingExtra, match="the device 'cuda' was asked for"):
        preflight(prepare(open_study(study(tmp_path, "[cuda]"))))


def test_a_study_on_two_devices_is_judged_by_what_is_there_and_finished_elsewhere(
    machine, tmp_path, monkeypatch
):
    prepared = prepare(open_study(study(tmp_path)))
    folder = lay_out(prepared, tmp_path / "run")
    work(folder, log=lambda line: None)
    verdict = finish(folder).dump()
    assert (verdict["state"], verdict["num_done"], verdict["num_planned"]) == ("incomplete", 4, 8)
    (missing,) = [one for one in verdict["warnings"] if one["code"] == "MISSING_RUNS"]
    assert missing["cure"] == "Run the study again on a machine that has cuda; what is done is kept."
    said = CliRunner().invoke(app, ["status", str(folder.root)]).output
    assert f"  waiting  {ASKED}" in said
    machine("cuda")
    pick = "foldwise.learning.training.devices.pick_device"
    import torch

    monkeypatch.setattr(pick, lambda *_: torch.device("cpu"))  # in the place of a GPU
    work(folder, log=lambda line: None)
    verdict = finish(folder).dump()
    assert verdict["num_done"] == 8
    device = next(one for one in verdict["factors"]["factors"] if one["factor"] == "device")
    assert device["covariate"]
    assert device["sentence"].startswith("Hardware cannot cause accuracy: the same code ran")
    assert device["pairs"][0]["difference"] == 0  # here it was the same device, so the same numbers
    assert read_json(folder.verdict)["factors"]["full"]


def test_a_run_here_does_what_it_can_and_a_second_one_says_what_waits(machine, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "foldwise.pipeline.pipeline.drive", lambda folder, *_, **__: work(folder, log=lambda line: None)
    )
    path = study(tmp_path)
    first = CliRunner().invoke(app, ["run", str(path), "--workers", "1"])
    assert (first.exit_code, ASKED in first.output) == (0, True), first.output
    assert "So far" in first.output
    again = CliRunner().invoke(app, ["run", str(path), "--workers", "1"])
    assert again.exit_code == 0
    assert f"All that this machine can do was done already.\n{ASKED}" in again.output
