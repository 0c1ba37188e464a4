"""Workers that begin at once: forked from one process that has imported what they need, and has done nothing with it.

Each worker would import torch and the libraries of its networks by itself: 3 to 7 s of CPU time. Of the
670 MB of a forked one, 340 MB are shared with the others (resident less proportional set, two workers of a small study).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from foldwise.processes import started

SERVER = "foldwise.interface.forking"  # a program; see there what it is asked
POLL_S = 0.05
ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)
)


class WarmParent:
    """A process that workers are forked from.

    Args:
        root: of the run, whose plan says which libraries are needed.
        environment: of it and of all its workers; threads are set there, before torch is imported.
    """

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", SERVER, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def wait_until_warm(self, meanwhile: Callable[[], object]) -> bool:
        """Whether it is, once it has imported all, or has ended; `meanwhile` is called several times a second."""
        import select

        assert self._process.stdout is not None
        while not select.select([self._process.stdout], [], [], 4 * POLL_S)[0]:
            meanwhile()
        return bool(self._process.stdout.readline())

    def start(self, command: Sequence[str], log: Path) -> Forked | None:
        """A worker that does `command`, words behind ``foldwise``, and prints to a log; None where none can be had."""
        pid = self.ask({"command": [*command], "log": str(log)})
        return Forked(self, pid) if pid else None

    def ask(self, request: Mapping[str, object]) -> int | None:
        """What it answers; None where it is no longer there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # A question and its answer belong together, and a worker that nobody knows of would never be ended.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline() or "null")
            return answer
        except (OSError, ValueError):
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def end(self) -> None:
        """Have it end; workers that were forked go on."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream and stream.close()
        self._process.wait()


class Forked:
    """A worker, as `subprocess.Popen` has it."""

    def __init__(self, parent: WarmParent, pid: int) -> None:
        self.parent, self.pid, self.returncode = parent, pid, None
        self._started = started(pid)

    returncode: int | None

    def poll(self) -> int | None:
        """The exit code, negative where a signal ended it; None while it runs."""
        if self.returncode is None:
            if self.parent.is_alive():
                self.returncode = self.parent.ask({"wait": self.pid})
            elif (
                started(self.pid) != self._started
            ):  # and who ended its parent ended it, too: memory was short
                self.returncode = -signal.SIGKILL
        return self.returncode

    def wait(self) -> int:
        """The same, once it has ended."""
        while (code := self.poll()) is None:
            time.sleep(POLL_S)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        # Until it has been asked for, its id stays its own: its parent holds it so long.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


Process = subprocess.Popen[bytes] | Forked
