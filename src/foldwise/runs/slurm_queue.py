"""Slurm's queue: jobs are submitted, read and cancelled through its own commands, and what ended them is told in words.

Only sbatch, squeue and scancel are needed: sacct is not there on every cluster. Jobs are known by their name, since a
controller that starts again after a crash may have forgotten a job, and gives its number to the next one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from foldwise.errors import MissingExtra, RunError

COMMAND_S = 60.0  # a controller that is busy answers late
FIELDS = ("JobArrayID", "State", "Reason", "exit_code", "NodeList", "SubmitTime")
ALIVE = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "REQUEUED", "RESIZING"}
ALIVE |= {"SIGNALING", "STAGE_OUT"}
# What the commands say while the controller is away or busy; with the next try all may be well.
AWAY = re.compile(
    r"contact|communicat|timed? ?out|Connection|temporarily|Zero Bytes|in state recovery|not responding", re.I
)
TIME_IS_UP = 75  # how a worker ends that was told that its time is up
# How the state of a job reads; those of the second kind are no fault of the work.
FAULTS = {"OUT_OF_MEMORY": "was killed for its memory"}
MISFORTUNES = {
    "TIMEOUT": "reached its time limit",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost its node",
    "BOOT_FAIL": "lost its node",
    "DEADLINE": "reached its deadline",
    "REVOKED": "was moved to another cluster",
    "CANCELLED": "was cancelled",
}
SIGNALS = {9: ", most often for its memory", 53: ", most often since its log could not be written"}
# What a worker is told to stop with, and dies of before it listens: SIGHUP, SIGINT, SIGUSR1, SIGTERM.
STOPPING = (1, 2, 10, 15)
OVER_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom[-_ ]kill", re.I)


@dataclass(frozen=True)
class QueuedJob:
    """What the queue says of one job, or of one task of an array.

    Attributes:
        id: ``12_3`` for a task of an array.
        status: as a parent gets it of a process: the exit code times 256, or the number of a signal.
        node: empty where it has none yet.
        submitted: with the id, what no other job shares.
    """

    id: str
    state: str
    reason: str = ""
    status: int = 0
    node: str = ""
    submitted: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from a later job that got the same number."""
        return self.id, self.submitted

    @property
    def is_stuck(self) -> bool:
        """Whether it waits for an administrator, after its node could not start it."""
        # Left so after a crash of the controller; a hold that somebody has put on it reads JobHeldUser.
        words = self.reason.lower().replace("_", " ")
        return self.state in ("REQUEUE_HOLD", "SPECIAL_EXIT") or "requeued held" in words

    @property
    def is_alive(self) -> bool:
        """Whether it runs or may still run."""
        return self.state in ALIVE and not self.is_stuck

    @property
    def was_refused(self) -> bool:
        """Whether Slurm took it and then found that it cannot run: such a job never has a node, and ends with the status 1."""
        return self.state == "FAILED" and not self.node and self.status == 1

    @property
    def signal(self) -> int:
        """The signal that ended it, or its worker; 0 where none did."""
        code = self.status >> 8
        return self.status & 127 or (code - 128 if 128 < code < 160 else 0)

    @property
    def ended_by_itself(self) -> bool:
        """Whether its worker ended on its own, done or with an error, not for want of time; or had to, before it began."""
        if self.was_refused:
            return True
        own = self.state == "COMPLETED" or (self.state == "FAILED" and not self.signal)
        return own and self.status >> 8 != TIME_IS_UP

    @property
    def is_death(self) -> bool:
        """Whether its worker was killed, most likely for what it did."""
        told_to_stop = self.signal in STOPPING
        return self.state in FAULTS or (self.state == "FAILED" and self.signal > 0 and not told_to_stop)

    def ending(self, log: str = "") -> str:
        """How it ended: ``was preempted``.

        Args:
            log: what it printed, where some clusters say that memory was exceeded, and nowhere else.
        """
        if self.is_stuck:
            return "could not be started on its node, and is held"
        if self.was_refused:
            return f"was refused by Slurm ({self.reason or 'it gives no reason'})"
        if self.is_death and OVER_MEMORY.search(log):
            return FAULTS["OUT_OF_MEMORY"]
        if words := (FAULTS | MISFORTUNES).get(self.state):
            return words
        if self.signal:
            return f"was killed by signal {self.signal}{SIGNALS.get(self.signal, '')}"
        if self.status >> 8 == TIME_IS_UP:
            return MISFORTUNES["TIMEOUT"]
        return f"ended with exit code {self.status >> 8}" if self.status else "ended"


@dataclass(frozen=True)
class JobLoss:
    """How a worker was lost, as its job tells.

    Attributes:
        words: the end of a sentence on it.
        died: what it died of, where that may be the fault of what it did; else empty.
    """

    words: str
    died: str = ""


def loss_of(
    stated: Mapping[str, Any], jobs: Sequence[QueuedJob], log: Callable[[str], str]
) -> JobLoss | None:
    """How a worker was lost whose lease states its job (see `job_here`); None where that job lives, and on its node.

    Args:
        jobs: by the name of that job.
        log: what a job printed, by its id.
    """
    job = next((job for job in jobs if job.id == stated.get("job")), None)
    if job is None:
        return JobLoss("is no longer in the queue")
    if job.is_alive:
        return None if job.node == stated.get("node") else JobLoss("was queued again")
    words = job.ending(log(job.id))
    return JobLoss(words, f"{words} (Slurm job {job.id})" if job.is_death else "")


class Queue(Protocol):
    """A queue of jobs: `SlurmQueue`, or a fake one in tests."""

    def submit(self, script: str, *, tasks: int) -> str | None:
        """Submit workers; the number of the job, or None where the queue does not answer now."""

    def jobs(self, name: str) -> list[QueuedJob] | None:
        """Jobs of this user by this name, ended ones too while the queue remembers them; None: it does not answer now."""

    def cancel(self, name: str, ids: Sequence[str] = ()) -> None:
        """Cancel all jobs of this user by this name, or some of them."""


def name_of_jobs(run: Path) -> str:
    """What the jobs of a run folder are called: the same for every driver, and of no other folder."""
    where = run.resolve()
    return f"foldwise-{re.sub(r'[^A-Za-z0-9_.-]', '_', where.name)}-{sha256(str(where).encode()).hexdigest()[:8]}"


def job_here(environment: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """The job that this process is part of, for the record of a lease; None outside of Slurm."""
    job = environment.get("SLURM_JOB_ID")
    if job is None:
        return None
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return {
        "job": f"{array}_{task}" if array and task else job,
        "name": environment.get("SLURM_JOB_NAME", ""),
        "node": environment.get("SLURMD_NODENAME", ""),
    }


def jobs_here(name: str) -> list[QueuedJob] | None:
    """Jobs by this name; None where this machine has no Slurm, or its controller does not answer."""
    return SlurmQueue().jobs(name) if shutil.which("squeue") else None


def summary(jobs: Sequence[QueuedJob]) -> str:
    """``2 running, 1 pending (Priority); ended lately: 3 done, 1 was preempted``; of jobs by one name."""
    alive = Counter(
        f"{job.state.lower()}" + (f" ({job.reason})" if job.state == "PENDING" and job.reason else "")
        for job in jobs
        if job.is_alive
    )
    ended = Counter("done" if job.state == "COMPLETED" else job.ending() for job in jobs if not job.is_alive)
    parts = [", ".join(f"{number} {state}" for state, number in alive.items()) or "none in the queue"]
    if ended:
        of_several = {
            how: re.sub(r"^was\b", "were", how) if number > 1 else how for how, number in ended.items()
        }
        parts.append(
            "ended lately: " + ", ".join(f"{number} {of_several[how]}" for how, number in ended.items())
        )
    return "; ".join(parts)


class SlurmQueue:
    """Slurm's commands."""

    def submit(self, script: str, *, tasks: int) -> str | None:
        """Submit a script, which is read from here and from no folder.

        Raises:
            MissingExtra: this machine has no sbatch.
            RunError: Slurm refuses the script, with its words.
        """
        command = ["sbatch", "--parsable", f"--array=1-{tasks}"]
        ended = _run(command, script, environment=_of_no_job(os.environ))
        if ended.returncode == 0:
            return ended.stdout.strip().partition(";")[0]
        words = ended.stderr.strip().replace("sbatch: error: ", "").replace("\n", "; ")
        if AWAY.search(words):
            return None
        raise RunError(
            f"Slurm does not take the job: {words}",
            where="sbatch",
            cure="Change the profile (slurm: in the study, or --profile); sinfo shows partitions, --dry-run the script.",
        )

    def jobs(self, name: str) -> list[QueuedJob] | None:
        """Jobs of this user by this name; Slurm remembers ended ones for some minutes.

        Raises:
            MissingExtra: this machine has no squeue.
        """
        form = ",".join(f"{field}:|" for field in FIELDS)
        # By user id: names are looked up in ways that differ between login and compute nodes.
        which = ["--user", str(os.getuid()), "--name", name, "--states=all"]
        ended = _run(["squeue", "--noheader", "--array", *which, "--Format", form])
        if ended.returncode != 0:
            return None
        rows = [line.split("|") for line in ended.stdout.splitlines() if line.count("|") == len(FIELDS)]
        return [
            QueuedJob(id_, state, reason, int(status) if status.isdigit() else 0, node, submitted)
            for id_, state, reason, status, node, submitted, _ in rows
        ]

    def cancel(self, name: str, ids: Sequence[str] = ()) -> None:
        """Cancel all jobs of this user by this name, or those of these numbers among them."""
        _run(["scancel", "--user", str(os.getuid()), "--name", name, *ids])


def _run(
    command: Sequence[str], text: str = "", *, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command of Slurm, ended; one that takes too long ends as one whose controller is away."""
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise MissingExtra(
            f"there is no {command[0]} here, so no job can be sent to Slurm",
            cure="Call it on a login node of the cluster; --dry-run prints the script on any machine.",
        ) from None
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "timed out")


def _of_no_job(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a surrounding job is: its memory and processors would become those of the new one."""
    if "SLURM_JOB_ID" not in environment:
        return dict(environment)
    stays = ("SLURM_CONF", "SLURM_CLUSTERS")
    return {key: value for key, value in environment.items() if not key.startswith("SLURM_") or key in stays}
