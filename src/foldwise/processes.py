"""Processes: which one wrote something, whether it still lives, and how it is asked to stop."""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

SIGUSR1 = getattr(signal, "SIGUSR1", None)  # not on Windows
AGAIN_S = 2.0  # between a signal and the same one again, from where on somebody means it
Handler = Callable[[int, FrameType | None], object]


@lru_cache(maxsize=1)
def here() -> str:
    """What two processes share that can see each other's process ids: machine, its start, and container."""
    boot = text_of(Path("/proc/sys/kernel/random/boot_id")).strip()
    return "/".join((socket.gethostname(), boot, _container()))


def host() -> str:
    """The name of this computer without dots, for the names of files; it stays when the computer starts again."""
    return socket.gethostname().replace(".", "_")


def started(pid: int) -> str | None:
    """When a process of this machine started, as a text to compare; None where it has ended.

    Process ids are used again, so the id alone would keep the lease of a dead worker alive.
    """
    stat = text_of(Path(f"/proc/{pid}/stat"))
    if stat:  # in ticks since the machine started, which no correction of the clock can move
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.Error:
        return None


@contextmanager
def collecting_later() -> Iterator[None]:
    """Within it no garbage is looked for: a look goes through all that is there, and what is read is none.

    Of a plan of 20,000 items half of the time to read it went into such looks.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def text_of(path: Path) -> str:
    """The text of a file; "" where there is none or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def processor_name() -> str:
    """What the processor is called by its maker; on Linux the platform module knows its architecture at best."""
    names = re.findall(r"^model name\s*:(.*)$", text_of(Path("/proc/cpuinfo")), re.M)
    return names[0].strip() if names else platform.processor() or platform.machine()


class TimeIsUp(KeyboardInterrupt):
    """SIGUSR1 has said that the time of this process is up; what is not done is to be continued by another one."""


class HungUp(KeyboardInterrupt):
    """SIGTERM has come, or the terminal was closed: this process ends, and jobs of a cluster that it watches go on."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, raise `HungUp`, a KeyboardInterrupt; SIGUSR1 raises `TimeIsUp`.

    Untouched outside the main thread, where Python forbids it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp if number == SIGUSR1 else HungUp

    numbers = [signal.SIGTERM, *filter(None, (getattr(signal, "SIGHUP", None), SIGUSR1))]
    # What is ignored stays so: `nohup` asks for that.
    before = {
        number: signal.signal(number, interrupt)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Have SIGTERM come to this process when the one that started it ends, however: its standard input then ends, too."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


class Interrupts:
    """Signals that ask this process to stop, put off until it can: the training of a fit first writes down how far it is."""

    def __init__(self) -> None:
        self._pending: tuple[int, Handler] | None = None
        self._since = 0.0

    @property
    def is_pending(self) -> bool:
        """Whether one has come and waits."""
        return self._pending is not None

    def raise_pending(self) -> None:
        """Do what the signal would have done when it came, which most often raises KeyboardInterrupt."""
        if self._pending is not None:
            (number, handler), self._pending = self._pending, None
            handler(number, None)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it, signals that would raise wait for `raise_pending`; the same one again does not wait any more.

        Untouched outside the main thread, and where a signal ends the process without Python being asked.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}
        handlers = {number: handler for number, handler in before.items() if callable(handler)}

        def put_off(number: int, frame: FrameType | None) -> None:
            # A terminal and a launcher both pass on a Ctrl-C, and some clusters send each signal twice in a moment.
            again = self._pending is not None and self._pending[0] == number
            if again and time.monotonic() - self._since >= AGAIN_S:
                self.raise_pending()
            elif self._pending is None:
                self._pending, self._since = (number, handlers[number]), time.monotonic()

        for number in handlers:
            signal.signal(number, put_off)
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class Answers:
    """What became of something that was tried in a process of its own.

    Attributes:
        lines: what it answered, until it ended.
        ending: the end of a sentence on it, where it did not end as it should: ``took longer than 10 s``.
    """

    lines: tuple[Any, ...]
    ending: str


def try_apart(code: str, value: object, *, seconds: float) -> Answers:
    """What code answers in a process of its own, so that it can neither end this one nor hold it up.

    Args:
        code: Python, in which `given` is this value, and `answer` a function that takes a value at a time; values
            are those of JSON. Modules are found where this process finds them.
        seconds: after which it is ended.
    """
    with tempfile.TemporaryDirectory(prefix="foldwise-", ignore_cleanup_errors=True) as folder:
        answers = Path(folder) / "answers.txt"
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", f"{_APART}{code}\nanswers.write('end')\n", str(answers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ending = ""
        try:
            program.communicate(json.dumps([sys.path, value]).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            ending = f"took longer than {seconds:.0f} s"
        finally:
            program.kill()
            program.wait()
        *whole, last = text_of(answers).split("\n") if answers.exists() else [""]
    if not ending and last != "end":
        status = program.returncode
        ending = f"was ended by signal {-status}" if status < 0 else f"ended the program (exit code {status})"
    return Answers(tuple(json.loads(line) for line in whole), ending)


_APART = """
import json, sys
sys.path[:], given = json.load(sys.stdin)
answers = open(sys.argv.pop(), "w", encoding="utf-8", buffering=1)
def answer(value):
    answers.write(json.dumps(value) + "\\n")
"""


def _container() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
