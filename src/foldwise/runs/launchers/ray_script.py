"""What a worker is as a task of Ray, what that asks for, and the same as a Python file to be kept and started by hand."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.ray_tasks import work_in_process
from foldwise.runs.launchers.slurm_script import worker_mb
from foldwise.storage import cache_root
from foldwise.study.profiles import RayProfile, bytes_of_memory

SCRIPT = '''"""Workers of the run {name} as tasks of Ray: each does items that are ready, and ends when none is left.

Start it as often as you like; Ctrl-C ends its workers, and the next call goes on: what is done stays done.
"""

import os
import signal
import subprocess
import sys
import time

import ray

COMMAND = {command}
LOGS = {logs!r}
FOLDER = {folder!r}
VARIABLES = {variables}


{function}

ray.init(address={address!r})
worker = ray.remote({options}, max_retries=-1)(work_in_process)
codes = ray.get([worker.remote(COMMAND, f"{{LOGS}}/ray-{{number}}.txt", FOLDER, VARIABLES) for number in range({workers})])
sys.exit(max(map(abs, codes)))
'''


def script_of(crew: Crew, command: Sequence[str]) -> str:
    """A Python file that starts the workers of a run."""
    return SCRIPT.format(
        name=crew.folder.root.resolve().name,
        command=list(command),
        logs=str(crew.folder.logs.resolve()),
        folder=str(Path.cwd()),
        variables=variables_of(crew),
        function=inspect.getsource(work_in_process),
        address=crew.asks(RayProfile).address or "auto",
        options=", ".join(f"{key}={value}" for key, value in options_of(crew).items()),
        workers=crew.workers,
    )


def work_command(crew: Crew) -> list[str]:
    """What a task starts; the first word is empty where that is the Python of its node."""
    environment = crew.asks(RayProfile).environment
    python = f"{environment}/bin/python" if environment else ""
    work = ["work", str(crew.folder.root.resolve()), "--device", crew.device, "--with-parent"]
    return [python, "-P", "-m", "foldwise", *work, *(["--trust-code"] if crew.trust_code else [])]


def variables_of(crew: Crew) -> dict[str, str]:
    """What the environment of a worker has beside that of its node."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    cache = str(cache_root().absolute())
    return dict.fromkeys(threads, str(crew.threads)) | {"FOLDWISE_CACHE": cache, "PYTHONUNBUFFERED": "1"}


def options_of(crew: Crew, memory_factor: int = 1) -> dict[str, float]:
    """What Ray is asked for, for each worker; memory in bytes.

    Args:
        memory_factor: times the memory that is foretold; what the profile states stays as it is.
    """
    profile = crew.asks(RayProfile)
    memory = bytes_of_memory(profile.memory) if profile.memory else foretold(crew) * memory_factor
    return {"num_cpus": profile.cpus or crew.threads, "num_gpus": profile.gpus, "memory": memory}


def foretold(crew: Crew) -> int:
    """Memory of one worker in bytes, in full hundreds of MB."""
    return math.ceil(worker_mb(crew) / 100) * 100_000_000


def in_words(amounts: Mapping[str, float]) -> str:
    """``1 CPU, 0.25 GPU and 2.7 GB``."""
    parts = [
        f"{value / 1e9:.1f} GB" if key == "memory" else f"{value:g} {key}" for key, value in amounts.items()
    ]
    return " and ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), parts[-1]])
