"""`foldwise doctor`: what it finds on machines of all kinds, which are played here, and the cure."""

import os
import socket
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from foldwise.interface.cli import app
from foldwise.pipeline.doctor import clusters, machine
from foldwise.pipeline.doctor.machine import examine
from foldwise.resources import CGROUP, Resources


@pytest.fixture
def played(monkeypatch, tmp_path):
    """A machine without GPU and without clusters, whose commands and files say what a test says."""
    commands = {}

    def answer_of(*command):
        said = commands.get(" ".join(command[:3]), commands.get(command[0], ""))
        return said if isinstance(said, tuple) else (said, "")

    for module in (machine, clusters):
        monkeypatch.setattr(module, "answer_of", answer_of)
        monkeypatch.setattr(module, "text_of", lambda path: commands.get(str(path), ""))
    monkeypatch.setattr(clusters.shutil, "which", lambda name: name if name in commands else None)
    monkeypatch.setattr(clusters, "CONTAINERS", {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o700)
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
        ("12.2", None, "the driver is too old", "Start the machine again"),
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


@pytest.mark.parametrize(
    ("context", "may", "severity", "words"),
    [
        ("", "", "warning", "kubectl is here, and knows no cluster"),
        ("lab", "yes", "note", "kubectl speaks to lab, and jobs may be created there"),
        ("lab", "no - no RBAC policy matched", "warning", "no jobs may be created in its namespace"),
        (
            "lab",
            ("", "Unable to connect to the server: dial tcp: i/o timeout"),
            "warning",
            "does not answer: Unable",
        ),
        ("lab", ("", ""), "warning", "does not answer: it took longer than"),
    ],
)
def test_kubernetes_is_asked_whether_jobs_may_be_created(played, context, may, severity, words):
    played |= {"kubectl": "", "kubectl config current-context": context, "kubectl auth can-i": may}
    (symptom,) = found("Kubernetes")
    assert symptom.severity == severity
    assert words in symptom.message
    assert (symptom.cure is None) == (severity == "note")


@pytest.mark.timeout(90)
def test_a_cluster_behind_a_network_that_is_not_here_is_not_waited_for(monkeypatch, tmp_path):
    """A kubectl that hangs, as it does where packets are dropped."""
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\n[ $1 = config ] && echo lab || exec sleep 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(
        clusters, "COMMAND_S", 4
    )  # in which the one that answers has started, on a busy machine, too
    (symptom,) = clusters._kubernetes()
    assert "does not answer" in symptom.message


LAYERS = "22 1 0:21 / / rw - overlay overlay rw\n"
PLAIN = "22 1 254:0 / / rw - ext4 /dev/vda rw\n"


@pytest.mark.parametrize(("mounts", "lost"), [(LAYERS, True), (PLAIN, False)])
def test_what_lies_within_a_container_is_lost_with_it(played, monkeypatch, tmp_path, mounts, lost):
    monkeypatch.setattr(clusters, "CONTAINERS", {"a container of Docker": ("IN_A_TEST", "")})
    assert found("container") == []
    monkeypatch.setenv("IN_A_TEST", "1")
    played["/proc/self/mountinfo"] = mounts
    inside = Path("/nowhere/cache")  # on the same file system as the root
    monkeypatch.setenv("FOLDWISE_CACHE", str(inside))
    (symptom,) = found("container")
    assert symptom.message == "this is a container of Docker"
    assert any("is lost with it" in symptom.message for symptom in found("cache")) == lost


@pytest.mark.parametrize(
    ("mode", "severity", "words"),
    [
        (0o755, None, ""),
        (0o700, None, ""),
        (0o777, "warning", "everybody on this computer may write in"),
        (0o1777, None, ""),  # others may add files, and change none
        (0o773, "warning", "everybody on this computer may write in"),
    ],
)
def test_a_folder_into_which_others_may_write_is_warned_of(played, tmp_path, mode, severity, words):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    about = [
        symptom
        for symptom in examine([shared])
        if symptom.about == "folder" and "change results" in symptom.message
    ]
    assert [symptom.severity for symptom in about] == ([severity] if severity else [])
    assert all(
        words in symptom.message
        and symptom.cure == (f"chmod o-w {shared}; docs/security.md says what others could change.")
        for symptom in about
    )


def test_a_folder_of_a_group_or_of_somebody_else_is_said(played, monkeypatch, tmp_path):
    tmp_path.chmod(0o770)
    monkeypatch.setattr(machine, "_num_members", lambda number: 3)
    monkeypatch.setattr(machine, "_group", lambda number: "lab")
    assert any("the group lab may write in" in symptom.message for symptom in found("runs"))
    monkeypatch.setattr(
        machine, "_num_members", lambda number: 1
    )  # a group of one's own, as Debian makes them
    assert not any("may write in" in symptom.message for symptom in found("runs"))
    monkeypatch.setattr(machine.os, "geteuid", lambda: 12345)
    if os.getuid():  # what belongs to root is no news
        assert any("belongs to" in symptom.message for symptom in found("runs"))


@pytest.mark.parametrize(
    ("cuda", "driver", "message", "cure"),
    [
        (
            "13.2",
            "535.104.05",
            "it is built for CUDA 13.2, which needs a driver 580 or newer",
            "or a build of torch for CUDA 12",
        ),
        (
            "12.8",
            "470.82.01",
            "it is built for CUDA 12.8, which needs a driver 525 or newer",
            "or a build of torch for CUDA 11",
        ),
        (
            "12.1",
            "390.157",
            "it is built for CUDA 12.1, which needs",
            "Install a driver 525 or newer and start the machine again;",
        ),
        ("12.8", "580.65", "unknown error", "Start the machine again"),
        ("14.0", "580.65", "unknown error", "Start the machine again"),
    ],
)
def test_a_driver_that_is_too_old_is_told_by_the_versions(monkeypatch, cuda, driver, message, cure):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    symptom = machine._gpu_unused(driver, cuda, why="unknown error")
    assert symptom.severity == "error"
    assert message in symptom.message
    assert cure in symptom.cure


@pytest.mark.parametrize(
    ("arch", "builds", "refused"),
    [
        ("86", ["sm_80", "sm_90"], False),
        ("89", ["sm_75", "sm_80", "sm_90"], False),
        ("70", ["sm_75", "sm_80"], True),
        ("61", ["sm_75", "sm_80", "compute_90"], True),
        ("120", ["sm_80", "sm_90"], True),
        ("120", ["sm_80", "compute_90"], False),
        ("100", ["sm_90", "sm_100", "sm_120"], False),
        ("90", ["sm_90a"], False),
        ("90", [], False),  # a build that does not say
    ],
)
def test_a_gpu_for_which_a_build_has_no_code_is_known(arch, builds, refused):
    assert machine._refused_by(arch, builds) == refused


def test_a_gpu_without_code_is_an_error_with_its_cure(played, monkeypatch):
    class About:
        name, total_memory, major, minor = "Tesla P100", 16e9, 6, 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: About)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    (symptom,) = found("GPU")
    assert symptom.severity == "error"
    assert "sm_60" in symptom.message


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user who has never started Ray."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(clusters, "find_spec", lambda name: name)
    monkeypatch.setattr(clusters, "version", lambda name: "2.60.0")
    return tmp_path


def test_a_ray_is_told_by_its_version_and_whether_it_answers(played, home, monkeypatch):
    assert [symptom.message for symptom in found("Ray")] == [
        "2.60.0; no RAY_ADDRESS, so that --on ray starts one here"
    ]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert found("Ray")[0].message == f"2.60.0; one listens at {address}"
    (symptom,) = found("Ray")
    assert symptom.severity == "warning"
    assert symptom.message == f"2.60.0; RAY_ADDRESS is {address}, where none answers: Connection refused"
    assert symptom.cure == "Start one there (ray start --head), or unset RAY_ADDRESS."


def test_a_token_of_an_earlier_ray_that_will_not_be_sent_has_a_cure(played, home, monkeypatch):
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("x")
    assert found("Ray")[1].cure == "export RAY_AUTH_MODE=token on every node before ray start, and here."
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert len(found("Ray")) == 1


def test_a_ray_that_is_not_installed_says_how_to_install_it(played, monkeypatch):
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    assert found("Ray")[0].message == "not installed (pip install 'foldwise[ray]')"


def test_the_command_prints_it_and_ends_with_an_error_where_something_is_wrong(played, tmp_path):
    said = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path)])
    assert said.exit_code == 0
    assert f"· folder: {tmp_path}: a file that is replaced is read whole" in said.output
    said = CliRunner().invoke(app, ["doctor", "--folder", str(tmp_path / "no")])
    assert said.exit_code != 0
    assert "✗ folder" in said.output
