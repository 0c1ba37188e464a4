"""This machine as a run finds it: torch, devices, processor, memory, disks, clusters; and what cures what is wrong."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from foldwise.processes import processor_name, text_of
from foldwise.resources import MACHINE, usable
from foldwise.runs.launchers.local import default_workers
from foldwise.runs.share import try_folder
from foldwise.storage import cache_root
from foldwise.text import count

GB = 1e9
LITTLE_DISK, LITTLE_MEMORY = 10 * GB, 4 * GB
COMMAND_S = 20
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86, x86 and ARM, as Linux calls them


@dataclass(frozen=True)
class Symptom:
    """One thing that was looked at.

    Attributes:
        severity: `note` where all is well.
        about: a word or two.
        message: what is so.
        cure: what to do where that is wrong.
    """

    severity: Literal["note", "warning", "error"]
    about: str
    message: str
    cure: str | None = None


def examine(folders: Sequence[Path] = ()) -> Iterator[Symptom]:
    """Everything that decides whether, where and how fast a study runs here, one after the other.

    Args:
        folders: paths of one folder that is to hold a run, such as two mounts of it.
    """
    for look in (_python, _torch, _processor, _memory, _disks, _slurm, _kubernetes, _ray):
        yield from look()
    if folders:
        yield from _folder(folders)


def _python() -> Iterator[Symptom]:
    yield Symptom(
        "note", "foldwise", f"{version('foldwise')} on Python {platform.python_version()} ({sys.executable})"
    )


def _torch() -> Iterator[Symptom]:
    try:
        import torch
    except (ImportError, OSError) as error:  # a library that is missing, or of another system
        yield Symptom(
            "error",
            "torch",
            f"cannot be imported: {error}",
            "Install it again: pip install --force-reinstall torch torchvision",
        )
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "a build for the CPU"
    yield Symptom(
        "note", "torch", f"{torch.__version__}, {build}; {count(torch.get_num_threads(), 'thread')}"
    )
    driver = nvidia_driver()
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16, so fp32"
            yield Symptom(
                "note", "GPU", f"{about.name}, {about.total_memory / GB:.0f} GB, driver {driver}; {bf16}"
            )
    elif driver:
        yield _gpu_unused(driver, torch.version.cuda, why=_why_no_cuda(torch.cuda.init))
    elif torch.backends.mps.is_available():
        yield Symptom("note", "GPU", "of Apple (mps)")
    else:
        yield Symptom("note", "GPU", "none here: fits run on the CPU")


def _gpu_unused(driver: str, cuda: str | None, *, why: str) -> Symptom:
    """Why torch does not find a GPU that is here."""
    what = f"one is here (driver {driver}), and torch does not find it"
    if cuda is None:
        cure = "Install a build of torch for CUDA: the page of PyTorch, Get Started, says the command."
        return Symptom("error", "GPU", f"{what}: it is a build for the CPU", cure)
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return Symptom(
            "warning", "GPU", f"{what}: CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES"
        )
    cure = f"Install a driver for CUDA {cuda} or newer, or a build of torch for an older CUDA; then start the machine again."
    return Symptom("error", "GPU", f"{what}: {why}", cure)


def _why_no_cuda(init: Callable[[], object]) -> str:
    try:
        init()
    except Exception as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return "it does not say why"


def nvidia_driver() -> str:
    """The version of the NVIDIA driver of this machine; empty where there is none."""
    stated = re.search(r"Kernel Module\D*([\d.]+)", text_of(Path("/proc/driver/nvidia/version")))
    if stated:
        return stated[1]
    return _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").partition("\n")[0]


def _processor() -> Iterator[Symptom]:
    here = usable()
    flags = set(re.findall(r"^(?:flags|Features)\s*:(.*)$", text_of(Path("/proc/cpuinfo")), re.M)[:1] or [""])
    words = {word for line in flags for word in line.split()}
    bf16 = next((flag for flag in BF16_FLAGS if flag in words), None)
    speed = f"bf16 by {bf16}" if bf16 else "no bf16 of its own, so that precision: bf16 is slow here"
    of = f" of {os.cpu_count()}" if here.cores != os.cpu_count() else ""
    by = f" ({here.cores_by} sets that)" if of else ""
    yield Symptom(
        "note",
        "CPU",
        f"{processor_name()}, {here.cores}{of} cores usable{by}; {speed}; precision: auto is fp32 on a CPU",
    )


def _memory() -> Iterator[Symptom]:
    here = usable()
    limited = (
        f" of the {here.memory / GB:.0f} GB that {here.memory_by} leaves" if here.memory_by != MACHINE else ""
    )
    workers = count(default_workers("cpu", 1), "worker")
    said = f"{here.free / GB:.0f} GB free{limited}: room for {workers} on the CPU"
    if here.free < LITTLE_MEMORY:
        yield Symptom("warning", "memory", said, "Close other programs, or run with --workers 1.")
    else:
        yield Symptom("note", "memory", said)


def _disks() -> Iterator[Symptom]:
    for about, folder, cure in (
        ("cache", cache_root(), "Set FOLDWISE_CACHE to a folder with room that may be written."),
        ("runs", Path("runs").absolute(), "Run where there is room, or say where with --out."),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        said = f"{folder}, {free / GB:.0f} GB free"
        if not os.access(there, os.W_OK | os.X_OK):
            yield Symptom("error", about, f"{folder} may not be written", cure)
        elif free < LITTLE_DISK:
            yield Symptom("warning", about, said, cure)
        else:
            yield Symptom("note", about, said)


def _output(*command: str) -> str:
    """What a command prints; empty where there is no such command, or it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout.strip() if ended.returncode == 0 else ""


def _slurm() -> Iterator[Symptom]:
    if not shutil.which("sbatch"):
        yield Symptom("note", "Slurm", "not here (no sbatch)")
        return
    rows = [line.split("|") for line in _output("sinfo", "-h", "-o", "%P|%a|%D|%l|%G").splitlines()]
    if not rows:
        cure = "Ask whether the controller is up (scontrol ping); SLURM_CONF may lead to another cluster."
        yield Symptom("warning", "Slurm", "sbatch is here, and the cluster does not answer", cure)
        return
    for partition, state, nodes, limit, gres in rows:
        gpus = f", {gres}" if gres not in ("(null)", "") else ""
        yield Symptom(
            "note",
            "Slurm",
            f"partition {partition.rstrip('*')} ({state}): {count(int(nodes), 'node')}, at most {limit}{gpus}",
        )


def _kubernetes() -> Iterator[Symptom]:
    if not shutil.which("kubectl"):
        yield Symptom("note", "Kubernetes", "not here (no kubectl)")
    elif context := _output("kubectl", "config", "current-context"):
        yield Symptom("note", "Kubernetes", f"kubectl speaks to {context}")
    else:
        yield Symptom(
            "warning", "Kubernetes", "kubectl is here, and knows no cluster", "kubectl config get-contexts"
        )


def _ray() -> Iterator[Symptom]:
    if find_spec("ray") is None:
        yield Symptom("note", "Ray", "not installed")
        return
    try:
        yield Symptom("note", "Ray", version("ray"))
    except PackageNotFoundError:
        yield Symptom(
            "warning", "Ray", "a module is called ray, and no such package is installed", "Rename ray.py."
        )


def _folder(folders: Sequence[Path]) -> Iterator[Symptom]:
    where = " and ".join(map(str, folders))
    try:
        trials = try_folder(folders)
    except OSError as error:
        yield Symptom(
            "error", "folder", f"{where}: {error.strerror}", "Name a folder that is there and may be written."
        )
        return
    cure = "Keep runs on a POSIX file system: a local disk, NFS, Lustre, GPFS or sshfs; docs/clusters.md."
    for trial in trials:
        yield Symptom(
            "note" if trial.holds else "error",
            "folder",
            f"{where}: {trial.what}",
            None if trial.holds else cure,
        )
