"""Workers on this machine: processes that are watched and never orphaned, as many as `packing` says."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from foldwise.errors import RunError, kind_of
from foldwise.processes import sigterm_as_interrupt
from foldwise.resources import usable
from foldwise.runs.device_memory import ROOM, find_meter
from foldwise.runs.launchers.launcher import Crew, Tick, last_lines, teardown
from foldwise.runs.launchers.packing import Fixed, Post, Staffing, staffing_of
from foldwise.runs.launchers.warm import Process, WarmParent
from foldwise.runs.leases import MAX_ATTEMPTS, clean_up, progress, release_all_of, release_dead
from foldwise.runs.slurm_queue import TIME_IS_UP
from foldwise.storage import written_whole

POLL_S = 0.2
LOOK_S = 1.0  # between looks at how many workers there are to be
GRACE_S = 10.0  # between asking a worker to stop and making it
FAREWELL_S = 5.0  # for workers to see by themselves that nothing is left
PROGRAM_MB = 1000.0  # of a worker before it does anything: torch, and what it reads
SPARE = 1.5  # times what is foretold, which is a guess within a factor of two
PROGRAM = (sys.executable, "-P", "-m", "foldwise")
STOPPED = (TIME_IS_UP, 130)  # exit codes of a worker that was told to stop


def default_workers(device: str, threads: int, memory_mb: float = 0.0) -> int:
    """How many workers a run begins with on this machine: one on each accelerator, else what `bearable_workers` says."""
    meter = find_meter(device)
    return bearable_workers(threads, memory_mb) if meter is None else len(meter.devices())


def bearable_workers(threads: int, memory_mb: float = 0.0) -> int:
    """How many workers processors and memory of this machine bear, as far as this process may use them.

    Args:
        threads: of each.
        memory_mb: what is foretold for each, beside the program itself.
    """
    here = usable()
    each_mb = PROGRAM_MB + SPARE * memory_mb
    return max(1, min(here.cores // threads, int(here.free / 1e6 / each_mb)))


@dataclass
class Started:
    """A worker that runs; `leaves_by` is when it is made to end, where it was asked to leave."""

    process: Process
    post: Post
    leaves_by: float | None = None


class LocalWorkers:
    """Worker processes of one run on this machine.

    Args:
        crew: how many, for which run; threads are set before a worker imports torch, which reads them only then.
        command: worker number -> command line; `foldwise work` by default.
        grace_s: how long a worker that is asked to stop may take.
        log: what their logs are called, with a number behind it.
        staffing: what decides how many there are; by the accelerators of this machine by default.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        command: Callable[[int], Sequence[str]] | None = None,
        grace_s: float = GRACE_S,
        log: str = "worker",
        staffing: Staffing | None = None,
    ) -> None:
        self.crew, self.folder, self.grace_s = crew, crew.folder, grace_s
        # Without the current folder among those that modules come from, so that nothing in it passes for a library.
        work = [*PROGRAM, "work", str(crew.folder.root), "--device", crew.device]
        work += ["--trust-code"] if crew.trust_code else []
        self.command = command or (lambda number: [*work, "--worker-index", str(number)])
        self.log = log
        self.staffing = staffing or staffing_of(crew)
        # Of one worker there is nothing to share; and where there are accelerators, each sees one of its own.
        several = isinstance(self.staffing, Fixed) and crew.workers > 1 and find_meter(crew.device) is None
        self.forks = command is None and several and sys.platform == "linux"
        self.warm: WarmParent | None = None
        self.running: dict[int, Started] = {}
        self.over: Counter[Post] = Counter()  # workers that ended by themselves, and are not started again
        self.rooms: Path | None = None  # a folder with a file for each device: how many workers share it
        self.last_status = 0  # the exit code of the worker that ended last

    def script(self) -> str:
        """The command of every worker that a run begins with, a line each."""
        lines = []
        for number, post in enumerate(self.staffing.first()):
            settings = [f"{name}={shlex.quote(value)} " for name, value in _environment(post).items()]
            lines.append(f"{''.join(settings)}{shlex.join(self._command(number, post))}\n")
        return "".join(lines)

    def _command(self, number: int, post: Post) -> list[str]:
        return [*self.command(number), *(["--only", post.only] if post.only else [])]

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Have workers pull items until `finished`; no worker is left when this returns or raises.

        Raises:
            RunError: workers were killed again and again while work was left; with their last lines.
            FoldwiseError: all workers ended with an error of this kind.
            KeyboardInterrupt: Ctrl-C or SIGTERM; what is in progress is given back.
        """
        release_dead(self.folder)
        with (
            sigterm_as_interrupt(),
            TemporaryDirectory(prefix="foldwise-", ignore_cleanup_errors=True) as rooms,
        ):
            self.rooms = Path(rooms)
            with teardown(self.folder, self._end, stopping=stopping):
                if self.forks and not finished():
                    self._warm_up(tick)
                self._watch(finished, tick)
                self._wait(FAREWELL_S)

    def _warm_up(self, tick: Tick | None) -> None:
        """Have what workers are forked from import what they need."""
        self.warm = WarmParent(self.folder.root, os.environ | self._settings(Post()))
        if not self.warm.wait_until_warm(lambda: tick and tick(self.folder)):
            self.warm.end()
            self.warm = None

    def _end(self) -> None:
        try:
            self._stop()
        finally:
            if self.warm:
                self.warm.end()
        clean_up(self.folder)

    def _settings(self, post: Post) -> dict[str, str]:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return dict.fromkeys(names, str(self.crew.threads)) | {"PYTHONUNBUFFERED": "1"} | _environment(post)

    def _start(self, post: Post) -> None:
        number = next(number for number in count() if number not in self.running)
        log = self.folder.log(f"{self.log}-{number}")
        self.folder.make(log.parent)
        if self.warm and (forked := self.warm.start(self._command(number, post)[len(PROGRAM) :], log)):
            self.running[number] = Started(forked, post)
            return
        added = self._settings(post)
        if post.only == "accelerator":
            # Before it starts, so that who is there already knows of it when it takes its first memory.
            added[ROOM] = str(self._note_number(post, beside=1))
        with log.open("ab") as log_file:
            process = subprocess.Popen(
                self._command(number, post),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env=os.environ | added,
            )
        self.running[number] = Started(process, post)

    def _note_number(self, post: Post, *, beside: int = 0) -> Path:
        """Write how many workers there are on a device, and as many more as are `beside` them; where it stands."""
        assert self.rooms is not None
        path = self.rooms / (post.device or "device").replace("/", "-")
        number = sum(worker.post == post for worker in self.running.values()) + beside
        with written_whole(path) as scratch:
            scratch.write_text(str(number), encoding="ascii")
        return path

    def _watch(self, finished: Callable[[], bool], tick: Tick | None) -> None:
        deaths, before, next_look, left = 0, progress(self.folder), 0.0, False
        while not finished():
            if time.monotonic() >= next_look:
                began, left = time.monotonic(), self._staff()
                # Of a large run a look takes a while: never more than a twentieth of the time.
                next_look = time.monotonic() + max(LOOK_S, 20 * (time.monotonic() - began))
            if tick:
                tick(self.folder)
            time.sleep(POLL_S)
            for number, worker in list(self.running.items()):
                if worker.process.poll() is None:
                    self._hurry(worker)
                    continue
                next_look = 0.0
                if self._ended(number) and not finished():
                    now = progress(self.folder)
                    deaths, before = (deaths if now == before else 0) + 1, now
            if not next_look and not finished():
                left = self._staff()
            self._refuse_to_go_on(deaths, finished, left=left)
        if tick:
            tick(self.folder)

    def _staff(self) -> bool:
        """Start the workers that are missing, and ask those that are too many to leave; whether any are to be there."""
        look = self.staffing.look({worker.process.pid: worker.post for worker in self.running.values()})
        for post in {*look.wanted, *(worker.post for worker in self.running.values())}:
            there = [worker for worker in self.running.values() if worker.post == post]
            staying = [worker for worker in there if worker.leaves_by is None]
            wanted = max(look.wanted.get(post, 0) - self.over[post], 0)
            # Those that leave take memory until they have left.
            for _ in range(wanted - len(there)):
                self._start(post)
            # First who has nothing to do; what the others have is given back, with how far it is.
            staying.sort(key=lambda worker: worker.process.pid in look.busy)
            for worker in staying[: max(len(staying) - wanted, 0)]:
                worker.leaves_by = time.monotonic() + self.grace_s
                worker.process.terminate()
        return any(number > self.over[post] for post, number in look.wanted.items())

    def _hurry(self, worker: Started) -> None:
        if worker.leaves_by is not None and time.monotonic() > worker.leaves_by:
            worker.process.kill()

    def _ended(self, number: int) -> bool:
        """A worker has: whether that counts as a death."""
        worker = self.running.pop(number)
        status = worker.process.wait()
        if worker.post.only == "accelerator":
            self._note_number(worker.post)
        if worker.leaves_by is not None:
            release_all_of(self.folder, {worker.process.pid})
            return False
        self.last_status = status
        if status == -signal.SIGKILL and self.running:
            # Most often for the memory that all of them took: that is no fault of its item, which is done beside fewer.
            release_all_of(self.folder, {worker.process.pid})
            self.staffing.killed(len(self.running))
        # Killed, or told to stop by another than us; its item goes to the next.
        if status < 0 or status in STOPPED:
            return True
        if status or not self.staffing.calls_again:
            self.over[worker.post] += 1
            return False
        return True  # it found nothing to do; when that goes on without any progress, nothing will come of it

    def _refuse_to_go_on(self, deaths: int, finished: Callable[[], bool], *, left: bool) -> None:
        # An item that kills its workers is recorded as failed after some deaths; more without any progress mean that
        # workers die of something else.
        if deaths > MAX_ATTEMPTS * (self.crew.most or self.crew.workers):
            raise RunError(
                f"workers were killed {deaths} times without finishing an item\n{last_lines(self.folder, f'{self.log}-*.txt')}",
                where=str(self.folder.root),
                cure="Most often memory is short: try --workers 1, a smaller batch_size or a smaller size.",
            )
        if not self.running and not left and self.over and not finished():
            # What none of them could do ends the run as it would have ended the check, such as weights that are not here.
            raise kind_of(self.last_status)(
                f"all workers ended while work was left\n{last_lines(self.folder, f'{self.log}-*.txt')}",
                where=str(self.folder.root),
                cure=f"See {self.folder.logs}; mend the cause and run again: what is done stays done.",
            )

    def _wait(self, seconds: float) -> bool:
        """Wait until every worker has ended; False where some have not after that long."""
        deadline = time.monotonic() + seconds
        while any(worker.process.poll() is None for worker in self.running.values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S / 4)
        return True

    def _stop(self) -> None:
        """Ask workers to stop, make them, and give back what they had."""
        processes = [worker.process for worker in self.running.values()]
        alive = [process for process in processes if process.poll() is None]
        try:
            for process in alive:
                process.terminate()
            self._wait(self.grace_s)
        finally:  # a second Ctrl-C ends the grace, not the tidying
            for process in alive:
                if process.poll() is None:
                    process.kill()
                process.wait()
            release_all_of(self.folder, {process.pid for process in alive})
            self.running.clear()


def _environment(post: Post) -> dict[str, str]:
    """What a worker of a post sees of accelerators: the one that it is for, or none."""
    if post.only == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    return {"CUDA_VISIBLE_DEVICES": post.device} if post.device else {}
