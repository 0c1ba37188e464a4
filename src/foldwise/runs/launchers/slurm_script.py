"""The script of an array of workers for Slurm: short, to be read, kept, and sent by hand as well."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from foldwise.errors import SpecError
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.slurm_queue import TIME_IS_UP
from foldwise.storage import cache_root
from foldwise.study.profiles import SlurmProfile, seconds_of_time

PROGRAM_MB = 1500  # of a worker before it does anything: torch, and what it reads
SPARE = 1.5  # times what is foretold, which is a guess within a factor of two
STOP_S = 120  # before its time limit a worker is told to stop; Slurm may say it a minute earlier
MAX_REQUEUES = 100


def script_of(crew: Crew, name: str, *, command: Sequence[str] | None = None, memory_factor: int = 1) -> str:
    """The script of an array of workers.

    Args:
        name: of its jobs.
        command: what is done in place of `foldwise work`.
        memory_factor: times the memory that is foretold; what the profile states stays as it is.

    Raises:
        SpecError: a path cannot stand in a script.
    """
    profile, root = crew.asks(SlurmProfile), crew.folder.root.resolve()
    paths = {
        "--out": (root, "Give the run a folder without double quotes and backslashes: --out."),
        "the current folder": (Path.cwd(), "cd to one without double quotes and backslashes."),
    }
    for where, (path, cure) in paths.items():
        if not str(path).isprintable() or {"\\", '"'} & set(str(path)):
            raise SpecError(f"this path cannot stand in a script of Slurm: {path}", where=where, cure=cure)
    options = _options(crew, name, memory_factor)
    lines = [
        "#!/bin/bash -l" if profile.modules else "#!/bin/bash",  # modules are made known by a login
        f"# Workers of the run {root.name}: each does items that are ready, and ends when none is left.",
        "# Send it as often as you like, with `sbatch`; `foldwise status` and `stop` know its jobs by their name.",
        *(f"#SBATCH {option}" for option in [*options, "--requeue", "--open-mode=append", *profile.sbatch]),
        "",
        *([f"module load {' '.join(profile.modules)}"] if profile.modules else []),
        f"export OMP_NUM_THREADS={crew.threads} FOLDWISE_CACHE={shlex.quote(str(cache_root().absolute()))}",
        f"srun --ntasks=1 --cpus-per-task={cpus_of(crew)} {shlex.join(command or work_command(crew))}",
        "code=$?",
        f"# {TIME_IS_UP}: its time was up before all was done, so that it goes on in a new turn.",
        # By its number in the array: one task of it has the number of the whole as its own, and would take all with it.
        f'[ $code != {TIME_IS_UP} ] || [ "${{SLURM_RESTART_COUNT:-0}}" -ge {MAX_REQUEUES} ] || '
        'scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"',
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def _options(crew: Crew, name: str, memory_factor: int) -> list[str]:
    """What sbatch is asked for."""
    profile = crew.asks(SlurmProfile)
    limit_s = seconds_of_time(profile.time) if profile.time else None
    stop_s = min(STOP_S, limit_s // 4) if limit_s else STOP_S
    log = str(crew.folder.log("slurm-%A_%a").absolute())
    stated = {
        "job-name": name,
        "array": f"1-{math.ceil(crew.workers / profile.workers_of_job)}",
        "partition": profile.partition,
        "account": profile.account,
        "gres": f"gpu:{profile.gpus}" if profile.gpus else None,
        "cpus-per-task": cpus_of(crew),
        "mem": profile.memory or f"{memory_mb(crew) * memory_factor}M",
        "time": profile.time,
        "signal": f"USR1@{stop_s}",
        "chdir": f'"{Path.cwd()}"',
        "output": f'"{log.replace("%", "%%").replace("slurm-%%A_%%a", "slurm-%A_%a")}"',
    }
    return [f"--{key}={value}" for key, value in stated.items() if value is not None]


def work_command(crew: Crew) -> list[str]:
    """What one job does: the Python that submits, that of an environment, or that of an image, works on the run."""
    profile, root = crew.asks(SlurmProfile), str(crew.folder.root.resolve())
    work = ["work", root, "--device", crew.device]
    if crew.trust_code:
        work += ["--trust-code"]
    if profile.fits_per_gpu != 1:
        work += ["--workers", str(profile.fits_per_gpu)]
    if profile.image:
        seen = dict.fromkeys([root, str(cache_root().absolute()), str(Path.cwd()), *map(str, crew.reads)])
        binds = [part for path in seen for part in ("--bind", path)]
        gpu = ["--nv"] if profile.gpus else []
        return ["apptainer", "exec", *gpu, *binds, profile.image, "foldwise", *work]
    python = f"{profile.environment}/bin/python" if profile.environment else sys.executable
    return [python, "-P", "-m", "foldwise", *work]  # -P: no library comes from the current folder


def cpus_of(crew: Crew) -> int:
    """Processors of one job: the threads of all its workers, unless the profile says another number."""
    profile = crew.asks(SlurmProfile)
    return profile.cpus or crew.threads * profile.workers_of_job


def worker_mb(crew: Crew) -> float:
    """Memory of one worker in MB: the program, and what is foretold with something to spare."""
    return PROGRAM_MB + SPARE * crew.memory_mb


def memory_mb(crew: Crew) -> int:
    """Memory of one job in MB, for all of its workers."""
    return math.ceil(worker_mb(crew) * crew.asks(SlurmProfile).workers_of_job / 100) * 100
