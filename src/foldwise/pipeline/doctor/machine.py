"""This machine as a run finds it: torch, devices, processor, memory, disks, clusters; and what cures what is wrong."""

from __future__ import annotations

import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from foldwise.pipeline.doctor.clusters import Symptom, answer_of, clusters, container
from foldwise.processes import processor_name, text_of
from foldwise.resources import MACHINE, usable
from foldwise.runs.launchers.local import default_workers
from foldwise.runs.share import try_folder
from foldwise.storage import NO_ROOM, cache_root
from foldwise.text import count

GB = 1e9
LITTLE_MEMORY = 4 * GB
# Of NVIDIA, by the major version of CUDA: its minor versions share one (CUDA Compatibility, section 2).
LEAST_DRIVERS = {11: 450, 12: 525, 13: 580}
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86, x86 and ARM, as Linux calls them


def examine(folders: Sequence[Path] = ()) -> Iterator[Symptom]:
    """Everything that decides whether, where and how fast a study runs here, one after the other.

    Args:
        folders: paths of one folder that is to hold a run, such as two mounts of it.
    """
    for look in (_python, container, _torch, _processor, _memory, disks, clusters):
        yield from look()
    if folders:
        yield from folder(folders)


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
            arch = f"{about.major}{about.minor}"
            if _refused_by(arch, torch.cuda.get_arch_list()):
                yield Symptom(
                    "error",
                    "GPU",
                    f"{about.name} is of an architecture (sm_{arch}) that this build of torch has no code for",
                    "Install a build of torch for another CUDA: the page of PyTorch, Get Started, lists them; or run with --device cpu.",
                )
                continue
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
    least = LEAST_DRIVERS.get(int(cuda.partition(".")[0]))
    if least and int(driver.partition(".")[0]) < least:
        able = max(
            (major for major, number in LEAST_DRIVERS.items() if int(driver.partition(".")[0]) >= number),
            default=None,
        )
        older = f", or a build of torch for CUDA {able}" if able else ""
        cure = f"Install a driver {least} or newer and start the machine again{older}; the page of PyTorch, Get Started, says the command."
        return Symptom(
            "error",
            "GPU",
            f"{what}: it is built for CUDA {cuda}, which needs a driver {least} or newer",
            cure,
        )
    cure = (
        "Start the machine again: after an update the driver that runs is not the one that is installed. In a container, "
        "hand the GPU over (docker run --gpus all, apptainer exec --nv)."
    )
    return Symptom("error", "GPU", f"{what}: {why}", cure)


def _refused_by(arch: str, builds: Sequence[str]) -> bool:
    """Whether a build of torch has nothing that runs on a GPU: neither code of its generation nor text to make it of.

    Args:
        arch: of the GPU, ``86`` for 8.6.
        builds: ``sm_80`` for code, which runs on later GPUs of its generation; ``compute_90`` for text, on all later ones.
    """
    ours = int(arch)
    for build in builds:
        kind, _, number = build.partition("_")
        theirs = int(re.sub(r"\D", "", number) or 0)  # sm_90a
        if theirs <= ours and (kind == "compute" or theirs // 10 == ours // 10):
            return False
    return bool(builds)


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
    return answer_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")[0].partition("\n")[
        0
    ]


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
    room = f"{here.free / GB:.0f} GB free{limited}: room for {workers} on the CPU"
    if here.free < LITTLE_MEMORY:
        yield Symptom("warning", "memory", room, "Close other programs, or run with --workers 1.")
    else:
        yield Symptom("note", "memory", room)


GB = 1e9
LITTLE_DISK = 10 * GB


def disks() -> Iterator[Symptom]:
    """Whether there is room for the cache and for runs, and who may write there."""
    for about, folder, cure in (
        ("cache", cache_root(), "Set FOLDWISE_CACHE to a folder with room that may be written."),
        ("runs", Path("runs").absolute(), "Run where there is room, or say where with --out."),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        room = f"{folder}, {free / GB:.0f} GB free"
        if not os.access(there, os.W_OK | os.X_OK):
            yield Symptom("error", about, f"{folder} may not be written", cure)
        elif free < LITTLE_DISK:
            yield Symptom("warning", about, room, cure)
        else:
            yield Symptom("note", about, room)
        yield from _writers(about, there)


def _writers(about: str, folder: Path) -> Iterator[Symptom]:
    """Who else may write in a folder, and so change what comes out."""
    if os.name != "posix":
        return
    status = folder.stat()
    cure = f"chmod o-w {folder}; docs/security.md says what others could change."
    # In a folder such as /tmp others may add files, and change none of yours.
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        yield Symptom(
            "warning", about, f"everybody on this computer may write in {folder}, and change results", cure
        )
    elif status.st_uid not in (os.geteuid(), 0):
        yield Symptom(
            "note", about, f"{folder} belongs to {_user(status.st_uid)}, who may change what is in it"
        )
    elif status.st_mode & stat.S_IWGRP and _num_members(status.st_gid) != 1:
        yield Symptom(
            "note", about, f"the group {_group(status.st_gid)} may write in {folder}, and change results"
        )


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _num_members(number: int) -> int:
    """How many users a group has; 0 where that is not written down here."""
    import grp
    import pwd

    try:
        members = set(grp.getgrgid(number).gr_mem)
    except KeyError:
        return 0
    return len(members | {user.pw_name for user in pwd.getpwall() if user.pw_gid == number})


def folder(folders: Sequence[Path]) -> Iterator[Symptom]:
    """Whether a folder can hold a run.

    Args:
        folders: paths of it, such as two mounts.
    """
    yield from _tried(folders)
    for path in folders[:1]:
        if path.is_dir():
            yield from _writers("folder", path)


def _tried(folders: Sequence[Path]) -> Iterator[Symptom]:
    where = " and ".join(map(str, folders))
    try:
        trials = try_folder(folders)
    except OSError as error:
        there = all(folder.is_dir() for folder in folders)
        what = f"nothing can be written in it ({error.strerror})" if there else f"{error.strerror}"
        full = error.errno in NO_ROOM
        cure = "Make room there." if full else "Name a folder that is there and may be written."
        yield Symptom("error", "folder", f"{where}: {what}", cure)
        return
    cure = "Keep runs on a POSIX file system: a local disk, NFS, Lustre, GPFS or sshfs; docs/clusters.md."
    for trial in trials:
        yield Symptom(
            "note" if trial.holds else "error",
            "folder",
            f"{where}: {trial.what}",
            None if trial.holds else cure,
        )
