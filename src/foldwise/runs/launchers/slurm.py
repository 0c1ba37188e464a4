"""Workers as jobs of Slurm: one plain array, whose script may be kept and sent by hand as well.

What is done stays in the run folder, so that jobs may be preempted, requeued, lost and forgotten: whoever looks next
sends as many as are missing.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from foldwise.errors import RunError
from foldwise.runs import leases
from foldwise.runs.job_notes import log_of_job, note_jobs
from foldwise.runs.launchers.launcher import Crew, Tick, last_lines, teardown, watch
from foldwise.runs.launchers.slurm_script import script_of
from foldwise.runs.slurm_queue import ALIVE, Queue, QueuedJob, SlurmQueue, loss_of, name_of_jobs, summary
from foldwise.study.profiles import SlurmProfile
from foldwise.text import count, duration

POLL_S = 0.5
LOOK_S = 10.0  # between looks at the queue, which all users of a cluster share
FAREWELL_S = 20.0  # for workers to see by themselves that nothing is left
SILENCE_S = 180.0  # of a queue that has never answered
QUIET_S = 5.0  # of the same, until it is said whom this waits for
STOPPED_S = 45.0  # until jobs that are cancelled have ended; Slurm gives them half a minute
MAX_MEMORY_FACTOR = 8
MAX_LOOKS_AWAITED = 3


class SlurmWorkers:
    """Workers of one run as jobs of Slurm.

    Args:
        crew: how many, for which run, and the profile.
        queue: where jobs are sent.
        command: the command of a job; `foldwise work` by default.
        look_s: seconds between looks at the queue.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        queue: Queue | None = None,
        command: Sequence[str] | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self.crew, self.folder, self.command, self.look_s = crew, crew.folder, command, look_s
        self.queue: Queue = queue or SlurmQueue()
        self.name = name_of_jobs(crew.folder.root)
        self.jobs_wanted = math.ceil(crew.workers / crew.asks(SlurmProfile).workers_of_job)
        self.memory_factor = 1
        self.ended: dict[tuple[str, str], QueuedJob] = {}  # while this driver watches
        self.seen: set[tuple[str, str]] | None = (
            None  # ended jobs that were looked at; None before the first look
        )
        self.awaited, self.looks_awaited = "", 0  # the number of a job that the queue has not shown yet
        self.deaths, self.progress, self.refusals = 0, (0, 0), 0
        self.began, self.has_said_waiting = time.monotonic(), False

    def script(self) -> str:
        """What sbatch is given, as text to be kept."""
        return script_of(self.crew, self.name, command=self.command, memory_factor=self.memory_factor)

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Have jobs do items until `finished`; none of them is left when this returns or raises.

        Where this process is killed, or its terminal is closed, the jobs go on, and the next call goes on with them.

        Raises:
            MissingExtra: there is no Slurm here.
            RunError: Slurm refuses the jobs; they ended, were cancelled, or were killed again and again, while work was left.
            KeyboardInterrupt: Ctrl-C; what is in progress is given back.
        """
        leases.release_dead(self.folder)
        self.began, self.progress = time.monotonic(), leases.progress(self.folder)
        with teardown(self.folder, self._end, stopping=stopping, outlived=True):
            look = partial(self._look, finished)
            watch(self.folder, look, finished=finished, tick=tick, look_s=self.look_s, poll_s=POLL_S)
            self._wait(FAREWELL_S, ("RUNNING", "COMPLETING"))

    def _end(self) -> None:
        self.stop()
        note_jobs(self.folder, "")
        leases.clean_up(self.folder)

    def stop(self) -> int:
        """Cancel all jobs of this run, whoever sent them, and give back what they had; how many there were."""
        jobs = self._wait(0.0)
        if jobs:
            self.queue.cancel(self.name)
            self._wait(STOPPED_S)
        for _, attempt in self._attempts():
            leases.mark_released(attempt)
        return len(jobs)

    def _look(self, finished: Callable[[], bool]) -> None:
        """Look at the queue, give back what the dead had, and send as many jobs as are missing."""
        # Its command waits for the controller, too, for up to a minute.
        quiet = threading.Timer(max(QUIET_S - (time.monotonic() - self.began), 0.0), self._say_waiting)
        if self.seen is None and not self.has_said_waiting:
            quiet.start()
        jobs = self.queue.jobs(self.name)
        quiet.cancel()
        if jobs is None:  # the controller is away; jobs run on without it
            self._refuse_silence()
            return
        if self.seen is None:
            self.seen = {job.key for job in jobs if not job.is_alive}
        note_jobs(self.folder, summary(jobs) if jobs else "none yet")  # for whoever watches this driver
        alive = [job for job in jobs if job.is_alive]
        self._note_ended([job for job in jobs if not job.is_alive and job.key not in self.seen])
        again = {job.id for job in alive}
        self.ended = {key: job for key, job in self.ended.items() if job.id not in again}
        self.seen = {(number, submitted) for number, submitted in self.seen if number not in again}
        if self._is_awaited(jobs):
            return
        self._give_back(jobs)
        over = sum(job.ended_by_itself for job in self.ended.values())
        missing = min(self.jobs_wanted - over, leases.num_left(self.folder)) - len(alive)
        refusal = None if alive or finished() else self._refusal()
        self.refusals = self.refusals + 1 if refusal else 0
        if refusal:
            # Only when the queue says it twice: a job that is queued again looks for a moment as if it had ended.
            if self.refusals > 1:
                raise refusal
            return
        if missing > 0:
            self.folder.logs.mkdir(
                parents=True, exist_ok=True
            )  # a job without a place for its log ends at once
            number = self.queue.submit(self.script(), tasks=missing)
            self.awaited, self.looks_awaited = number or "", 0

    def _say_waiting(self) -> None:
        if not self.has_said_waiting:
            self.has_said_waiting = True
            what = f"Slurm has not answered for {duration(QUIET_S)}; waiting for its controller, {duration(SILENCE_S)} at most"
            print(f"foldwise: {what}", file=sys.stderr, flush=True)

    def _refuse_silence(self) -> None:
        if self.seen is None and time.monotonic() - self.began > SILENCE_S:
            raise RunError(
                f"Slurm has not answered for {duration(SILENCE_S)}",
                where="squeue",
                cure="Ask whether its controller is up (scontrol ping), or call this on a login node of the cluster.",
            )

    def _note_ended(self, jobs: list[QueuedJob]) -> None:
        assert self.seen is not None
        if (now := leases.progress(self.folder)) > self.progress:
            self.deaths, self.progress = 0, now
        for job in jobs:
            self.seen.add(job.key)
            if job.is_stuck:
                self.queue.cancel(self.name, [job.id])
                continue
            self.ended[job.key] = job
            self.deaths += job.is_death
            if "memory" in job.ending(log_of_job(self.folder, job.id)):
                self.memory_factor = min(2 * self.memory_factor, MAX_MEMORY_FACTOR)

    def _is_awaited(self, jobs: list[QueuedJob]) -> bool:
        """Whether the queue does not show yet what was sent; a controller that crashed never does."""
        self.looks_awaited += 1
        shown = any(job.id.partition("_")[0] == self.awaited for job in jobs)
        if not self.awaited or shown or self.looks_awaited > MAX_LOOKS_AWAITED:
            self.awaited = ""
        return bool(self.awaited)

    def _refusal(self) -> RunError | None:
        """Why no more jobs are sent, now that none lives; None where more are."""
        # An item that kills its workers is recorded as failed after some deaths; more without any progress mean that
        # workers die of something else.
        ended = list(self.ended.values())
        where, lines = str(self.folder.root), last_lines(self.folder, "slurm-*_*.txt")
        if self.deaths > leases.MAX_ATTEMPTS * self.jobs_wanted:
            return RunError(
                f"{count(self.deaths, 'job')} ended without finishing an item; the last one "
                f"{ended[-1].ending(log_of_job(self.folder, ended[-1].id))}\n{lines}",
                where=where,
                cure="Most often memory is short: state memory in the profile, or a smaller batch_size or size.",
            )
        if ended and ended[-1].state == "CANCELLED":
            return RunError(
                f"the jobs {self.name} were cancelled",
                where=where,
                cure="Run again to go on: what is done stays done.",
            )
        if sum(job.ended_by_itself for job in ended) >= self.jobs_wanted:
            return RunError(
                f"all workers ended while work was left; job {ended[-1].id} "
                f"{ended[-1].ending(log_of_job(self.folder, ended[-1].id))}\n{lines}",
                where=where,
                cure=f"See {self.folder.logs}; mend the cause and run again: what is done stays done.",
            )
        return None

    def _give_back(self, jobs: list[QueuedJob]) -> None:
        """Release what workers had whose jobs are gone; how they ended is written down where it may be the item's fault."""
        for stated, attempt in self._attempts():
            if loss := loss_of(stated, jobs, partial(log_of_job, self.folder)):
                leases.mark_released(attempt, died=loss.died)

    def _attempts(self) -> Iterator[tuple[dict[str, str], Path]]:
        """The job and the lease of every worker that had an item which is not done, and has not given it back."""
        for item_id in self.folder.beats():
            for attempt in self.folder.attempts(item_id):
                job = (leases.owner_of(attempt) or {}).get("slurm")
                if job and job["name"] == self.name and not (attempt / "released").exists():
                    yield job, attempt

    def _wait(self, seconds: float, states: Collection[str] = ALIVE) -> list[QueuedJob]:
        """Wait until no job is in one of these states; those that are after that long."""
        deadline = time.monotonic() + seconds
        while True:
            jobs = self.queue.jobs(self.name)
            left = [job for job in jobs or () if job.state in states]
            if (jobs is not None and not left) or time.monotonic() > deadline:
                return left
            time.sleep(POLL_S)
