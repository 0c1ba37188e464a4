"""What this process may use: the processors and the memory that its machine, its container and its job leave to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

import psutil

from foldwise.processes import text_of

P = ParamSpec("P")
R = TypeVar("R")

MACHINE, AFFINITY, CGROUP = "the machine", "its affinity", "the cgroup of this container or job"
# Batch systems that may count without a cgroup: the job, its processors on this node, and its memory there in MB.
JOBS = {
    "SLURM_JOB_ID": ("SLURM_CPUS_ON_NODE", "SLURM_MEM_PER_NODE"),
    "PBS_JOBID": ("NCPUS", ""),
    "LSB_JOBID": ("LSB_DJOB_NUMPROC", ""),
    "JOB_ID": ("NSLOTS", ""),  # Grid Engine
}

# Headers of npy files are texts of Python, whose parser (3.11) fails now and then where threads read two at once.
HEADERS = Lock()


@dataclass(frozen=True)
class Resources:
    """What a process may use.

    Attributes:
        cores: processors; at least 1.
        cores_by: who sets that number.
        memory: bytes in all, its own included.
        memory_by: who sets that limit.
        free: bytes that it and all others under the same limit could still take; what the system keeps of files is free.
    """

    cores: int
    cores_by: str
    memory: int
    memory_by: str
    free: int


@dataclass(frozen=True)
class _Limit:
    memory: int
    free: int
    cores: float


def usable(root: Path = Path("/")) -> Resources:
    """What this process may use: of all that limits it the least.

    Args:
        root: where ``proc`` and ``sys`` lie.
    """
    machine = psutil.virtual_memory()
    cores = [(float(os.cpu_count() or 1), MACHINE)]
    memory, free = [(machine.total, MACHINE)], [machine.available]
    if hasattr(os, "sched_getaffinity"):  # of processors of a container or a job, too
        cores.append((float(len(os.sched_getaffinity(0))), AFFINITY))
    for limit in _limits(root):
        cores.append((limit.cores, CGROUP))
        memory.append((limit.memory, CGROUP))
        free.append(limit.free)
    for job, names in JOBS.items():
        if job in os.environ:
            of_job, of_memory = (
                int(text) if (text := os.environ.get(name, "")).isdigit() else 0 for name in names
            )
            who = f"the job ({names[0]})"
            cores += [(float(of_job), who)] if of_job else []
            memory += [(of_memory * 2**20, who)] if of_memory else []  # 0 is all there is
    least, cores_by = min(cores, key=lambda pair: pair[0])
    total, memory_by = min(memory, key=lambda pair: pair[0])
    # A part of a processor is rounded down, so that no two workers share one; but for the first.
    return Resources(max(1, int(least)), cores_by, total, memory_by, min(*free, total))


def _limits(root: Path) -> Iterator[_Limit]:
    """What every cgroup that this process is in, version 1 or 2, from its own to the outermost that is seen, allows."""
    paths: dict[str, str] = {}
    for line in text_of(root / "proc/self/cgroup").splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)  # version 2 has "" in place of a controller
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        kind, options = system.partition(" ")[0], system.split(" ")[-1].split(",")
        inside, point = (field.replace("\\040", " ") for field in [*mount.split(" "), *[""] * 5][3:5])
        if kind == "cgroup2" and "" in paths:
            yield from map(_second, _levels(root / point.lstrip("/"), inside, paths[""]))
        elif kind == "cgroup":
            for controller, read in (("memory", _first_memory), ("cpu", _first_cores)):
                if controller in options and controller in paths:
                    yield from map(read, _levels(root / point.lstrip("/"), inside, paths[controller]))


def _levels(point: Path, inside: str, path: str) -> Iterator[Path]:
    """The folders of a cgroup and of those around it, as far as they are mounted.

    Args:
        point: where cgroups are mounted.
        inside: the cgroup that is seen there.
        path: the cgroup of this process; in a container it may be that of the machine outside, which is not seen.
    """
    start = os.path.relpath(path or "/", inside or "/")
    own = point if start.startswith("..") else point / start
    own = own if own.is_dir() else point
    yield own
    while own != point:
        own = own.parent
        yield own


def _number(path: Path) -> int | None:
    text = text_of(path).strip()
    return int(text) if text.isdigit() else None  # "max" is no limit


def _memory(folder: Path, limits: tuple[str, ...], used: str, of_files: str) -> _Limit:
    stated = [number for name in limits if (number := _number(folder / name)) is not None]
    if not stated:
        return _NONE
    # What is kept of files goes when memory is asked for; packed images are such, and mapped all the time.
    rows = (line.split() for line in text_of(folder / "memory.stat").splitlines())
    names = {f"{of_files}inactive_file", f"{of_files}active_file"}
    files = sum(int(row[1]) for row in rows if row[0] in names)
    used_now = max(0, (_number(folder / used) or 0) - files)
    return _Limit(min(stated), max(0, min(stated) - used_now), float("inf"))


def _second(folder: Path) -> _Limit:
    # memory.high ends no process, but slows it down without end.
    memory = _memory(folder, ("memory.max", "memory.high"), "memory.current", "")
    quota, _, period = text_of(folder / "cpu.max").strip().partition(" ")
    cores = int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else float("inf")
    return _Limit(memory.memory, memory.free, cores)


def _first_memory(folder: Path) -> _Limit:
    return _memory(folder, ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_")


def _first_cores(folder: Path) -> _Limit:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return _Limit(
        _NONE.memory, _NONE.free, quota / period if quota and period else float("inf")
    )  # -1 is none


_NONE = _Limit(2**63, 2**63, float("inf"))


def on_one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, in which linear algebra takes one thread.

    Sums that threads share are rounded by how many there are, so that numbers would differ from one machine to another;
    and for matrices as small as those of a verdict, threads mostly wait for each other: 26 s of CPU became 14.
    """

    @wraps(function)
    def limited(*args: P.args, **keywords: P.kwargs) -> R:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **keywords)

    return limited
