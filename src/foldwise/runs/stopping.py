"""Stopping a run from outside: workers and drivers of every engine look for a file, and the jobs of a cluster are cancelled."""

from __future__ import annotations

import shutil
import signal

from foldwise.errors import RunError
from foldwise.processes import SIGUSR1, TimeIsUp
from foldwise.runs.folder import RunFolder, written_whole
from foldwise.runs.job_notes import has_jobs
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.slurm import SlurmWorkers


def stop_all(folder: RunFolder) -> int:
    """Ask all workers and drivers of a run to stop; how many jobs of Slurm were cancelled, and have ended."""
    with written_whole(folder.stop) as scratch:
        scratch.write_text("foldwise stop\n", encoding="utf-8")
    return SlurmWorkers(Crew(folder)).stop() if has_jobs(folder) and shutil.which("squeue") else 0


def end_if_stopped(folder: RunFolder) -> None:
    """For workers in the middle of an item: end as if their time were up, which gives it back; nothing otherwise.

    Raises:
        TimeIsUp: at once, where nobody has said what is to be done of the signal.
    """
    if folder.stop.exists():
        if SIGUSR1 is not None and callable(signal.getsignal(SIGUSR1)):
            signal.raise_signal(SIGUSR1)  # a training first writes down how far it is
        else:
            raise TimeIsUp


def refuse_if_stopped(folder: RunFolder) -> None:
    """For drivers.

    Raises:
        RunError: somebody has asked all to stop.
    """
    if folder.stop.exists():
        raise RunError(
            "the run was stopped by `foldwise stop`",
            where=str(folder.root),
            cure="Run the study again to go on: what is done stays done.",
        )
