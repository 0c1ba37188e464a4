"""`foldwise doctor`: what it finds on machines of all kinds, which are played here, and the cure."""

import pytest
import torch
from typer.testing import CliRunner

from foldwise.interface.cli import app
from foldwise.pipeline import machine
from foldwise.pipeline.machine import examine
from foldwise.resources import CGROUP, Resources


@pytest.fixture
def played(monkeypatch, tmp_path):
    """A machine without GPU and without clusters, whose commands print what a test says."""
    commands = {}
    monkeypatch.setattr(machine, "_output", lambda *command: commands.get(command[0], ""))
    monkeypatch.setattr(machine.shutil, "which", lambda name: name if name in commands else None)
    monkeypatch.setattr(machine, "text_of", lambda path: commands.get(str(path), ""))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    return commands


def found(about):
    return [symptom for symptom in examine() if symptom.about == about]


def test_a_machine_where_all_is_well_has_no_errors(played):
    assert {symptom.severity for symptom in examine()} <= {"note", "warning"}
    assert found("GPU")[0].message == "none here: fits run on the CPU"
    assert found("Slurm")[0].message == "not here (no sbatch)"


@pytest.mark.parametrize(
    ("cuda", "visible", "message", "cure"),
    [
        (None, None, "it is a build for the CPU", "Install a build of torch for CUDA"),
        ("13.2", "", "CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES"),
        ("13.2", None, "the driver is too old", "Install a driver for CUDA 13.2 or newer"),
    ],
)
def test_a_gpu_that_torch_does_not_find_has_a_cure(played, monkeypatch, cuda, visible, message, cure):
    played["/proc/driver/nvidia/version"] = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug"
    )
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    def init():
        raise RuntimeError("the driver is too old\nand more")

    monkeypatch.setattr(torch.cuda, "init", init)
    (symptom,) = found("GPU")
    assert symptom.severity in ("error", "warning")
    assert symptom.message == f"one is here (driver 535.104.05), and torch does not find it: {message}"
    assert symptom.cure.startswith(cure)


@pytest.mark.parametrize(
    ("flags", "words"), [("avx2 avx512_bf16", "bf16 by avx512_bf16"), ("avx2", "no bf16 of its own")]
)
def test_what_of_the_processor_decides_precision_is_said(played, flags, words):
    played["/proc/cpuinfo"] = f"model name\t: x\nflags\t\t: fpu {flags} sse\n"
    assert words in found("CPU")[0].message


def test_little_memory_and_the_limits_of_a_container_are_said(played, monkeypatch):
    limited = Resources(2, CGROUP, int(8e9), CGROUP, int(2e9))
    monkeypatch.setattr(machine, "usable", lambda: limited)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 64)
    (symptom,) = found("memory")
    assert symptom.severity == "warning"
    assert symptom.message.startswith(
        "2 GB free of the 8 GB that the cgroup of this container or job leaves: room"
    )
    assert "2 of 64 cores usable (the cgroup of this container or job sets that)" in found("CPU")[0].message


def test_a_cache_that_may_not_be_written_is_an_error_with_its_cure(played, monkeypatch):
    monkeypatch.setattr(machine.os, "access", lambda path, how: False)
    (symptom,) = found("cache")
    assert (symptom.severity, symptom.cure) == (
        "error", "Set FOLDWISE_CACHE to a folder with room that may be written.",
    )  # fmt: skip


def test_a_slurm_that_answers_shows_its_partitions_and_one_that_does_not_says_what_to_ask(played):
    played["sbatch"] = ""
    assert found("Slurm")[0].cure.startswith("Ask whether the controller is up")
    played["sinfo"] = "gpu*|up|12|1-00:00:00|gpu:a100:4\ncpu|down|1|infinite|(null)"
    assert [symptom.message for symptom in found("Slurm")] == [
        "partition gpu (up): 12 nodes, at most 1-00:00:00, gpu:a100:4",
        "partition cpu (down): 1 node, at most infinite",
    ]


def test_kubernetes_is_told_by_its_context(played):
    played["kubectl"] = ""
    assert found("Kubernetes")[0].severity == "warning"
    played["kubectl"] = "lab"
    assert found("Kubernetes")[0].message == "kubectl speaks to lab"


def test_the_command_prints_it_and_ends_with_an_error_where_something_is_wrong(played, tmp_path):
    said = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path)])
    assert said.exit_code == 0
    assert f"· folder: {tmp_path}: a file that is replaced is read whole" in said.output
    said = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path / "no")])
    assert said.exit_code != 0
    assert "✗ folder" in said.output
