"""Workers on this machine: processes that are watched and never orphaned, or this process itself."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from foldwise.errors import RunError, kind_of
from foldwise.processes import sigterm_as_interrupt
from foldwise.resources import usable
from foldwise.runs.launchers.launcher import Crew, Tick, Work
from foldwise.runs.leases import MAX_ATTEMPTS, clean_up, progress, release_all_of, release_dead
from foldwise.runs.slurm_queue import TIME_IS_UP

POLL_S = 0.2
GRACE_S = 10.0  # between asking a worker to stop and making it
FAREWELL_S = 5.0  # for workers to see by themselves that nothing is left
MEMORY_PER_WORKER = 1.5e9  # bytes; torch alone takes half of it
NUM_LAST_LINES = 12
STOPPED = (TIME_IS_UP, 130)  # exit codes of a worker that was told to stop


def default_workers(device: str, threads: int) -> int:
    """How many workers this machine bears: one on an accelerator, else by its free cores and memory."""
    if device in ("cuda", "mps") or (device == "auto" and _has_accelerator()):
        return 1
    here = usable()
    return max(1, min(here.cores // threads, int(here.free // MEMORY_PER_WORKER)))


def _has_accelerator() -> bool:
    # Without torch, which takes seconds to import; a wrong guess costs time and no result.
    nvidia = Path("/dev/nvidia0").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")
    return nvidia or (sys.platform == "darwin" and os.uname().machine == "arm64")


class LocalWorkers:
    """Worker processes of one run on this machine.

    Args:
        crew: how many, for which run; threads are set before a worker imports torch, which reads them only then.
        command: worker number -> command line; `foldwise work` by default.
        grace_s: how long a worker that is asked to stop may take.
        log: what their logs are called, with a number behind it.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        command: Callable[[int], Sequence[str]] | None = None,
        grace_s: float = GRACE_S,
        log: str = "worker",
    ) -> None:
        self.crew, self.folder, self.grace_s = crew, crew.folder, grace_s
        # Without the current folder among those that modules come from, so that nothing in it passes for a library.
        work = [
            sys.executable,
            "-P",
            "-m",
            "foldwise",
            "work",
            str(crew.folder.root),
            "--device",
            crew.device,
        ]
        work += ["--trust-code"] if crew.trust_code else []
        self.command = command or (lambda number: [*work, "--worker-index", str(number)])
        self.log = log
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.last_status = 0  # the exit code of the worker that ended last

    def script(self) -> str:
        """The command of every worker, a line each."""
        return "".join(f"{shlex.join(self.command(number))}\n" for number in range(self.crew.workers))

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
        with sigterm_as_interrupt():
            try:
                for number in range(self.crew.workers):
                    self._start(number)
                self._watch(finished, tick)
                self._wait(FAREWELL_S)
            except KeyboardInterrupt:
                if stopping:
                    stopping(self.folder)
                raise
            finally:
                self._stop()
                clean_up(self.folder)

    def _start(self, number: int) -> None:
        log = self.folder.log(f"{self.log}-{number}")
        log.parent.mkdir(parents=True, exist_ok=True)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        threads = dict.fromkeys(names, str(self.crew.threads))
        with log.open("ab") as log_file:
            self.running[number] = subprocess.Popen(
                list(self.command(number)),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env=os.environ | threads | {"PYTHONUNBUFFERED": "1"},
            )

    def _watch(self, finished: Callable[[], bool], tick: Tick | None) -> None:
        deaths, before = 0, progress(self.folder)
        while not finished():
            if tick:
                tick(self.folder)
            time.sleep(POLL_S)
            for number, worker in list(self.running.items()):
                status = worker.poll()
                if status is None:
                    continue
                del self.running[number]
                self.last_status = status
                # Killed, often for its memory, or told to stop by another than us; its item goes to the next.
                if (status < 0 or status in STOPPED) and not finished():
                    now = progress(self.folder)
                    deaths, before = (deaths if now == before else 0) + 1, now
                    self._start(number)
            self._refuse_to_go_on(deaths, finished)
        if tick:
            tick(self.folder)

    def _refuse_to_go_on(self, deaths: int, finished: Callable[[], bool]) -> None:
        # An item that kills its workers is recorded as failed after some deaths; more without any progress mean that
        # workers die of something else.
        if deaths > MAX_ATTEMPTS * self.crew.workers:
            raise RunError(
                f"workers were killed {deaths} times without finishing an item\n{self._last_lines()}",
                where=str(self.folder.root),
                cure="Most often memory is short: try --workers 1, a smaller batch_size or a smaller size.",
            )
        if not self.running and not finished():
            # What none of them could do ends the run as it would have ended the check, such as weights that are not here.
            raise kind_of(self.last_status)(
                f"all workers ended while work was left\n{self._last_lines()}",
                where=str(self.folder.root),
                cure=f"See {self.folder.logs}; mend the cause and run again: what is done stays done.",
            )

    def _last_lines(self) -> str:
        logs = [self.folder.log(f"{self.log}-{number}") for number in range(self.crew.workers)]
        newest = max((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime, default=None)
        lines = newest.read_text(encoding="utf-8", errors="replace").splitlines() if newest else []
        return "\n".join(f"  | {line}" for line in lines[-NUM_LAST_LINES:]) or "  | (they said nothing)"

    def _wait(self, seconds: float) -> bool:
        """Wait until every worker has ended; False where some have not after that long."""
        deadline = time.monotonic() + seconds
        while any(worker.poll() is None for worker in self.running.values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S / 4)
        return True

    def _stop(self) -> None:
        """Ask workers to stop, make them, and give back what they had."""
        alive = [worker for worker in self.running.values() if worker.poll() is None]
        try:
            for worker in alive:
                worker.terminate()
            self._wait(self.grace_s)
        finally:  # a second Ctrl-C ends the grace, not the tidying
            for worker in alive:
                if worker.poll() is None:
                    worker.kill()
                worker.wait()
            release_all_of(self.folder, {worker.pid for worker in alive})
            self.running.clear()


class Inline:
    """One worker, which is this process: for tests, and for a debugger that is to stop inside a task.

    Args:
        crew: whose folder is worked on; there is one worker, whatever it asks for.
        work: does ready items until none is left, and calls its argument with a line about each.
    """

    def __init__(self, crew: Crew, work: Work) -> None:
        self.folder, self.work = crew.folder, work

    def script(self) -> str:
        """The command that does the same."""
        return f"{shlex.join(['foldwise', 'work', str(self.folder.root)])}\n"

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Do items until `finished`; an error of the worker passes through as it is, for a debugger to see.

        Raises:
            RunError: the worker ended while work was left.
        """

        def look(line: str = "") -> None:
            if tick:
                tick(self.folder)

        release_dead(self.folder)
        with sigterm_as_interrupt():
            try:
                if not finished():
                    self.work(look)
                if not finished():
                    raise RunError(
                        "the worker ended while work was left",
                        where=str(self.folder.root),
                        cure="Run again: what is done stays done.",
                    )
                look()
            except KeyboardInterrupt:
                if stopping:
                    stopping(self.folder)
                raise
            finally:
                clean_up(self.folder)
