"""Processes: which one wrote something, whether it still lives, and how it is asked to stop."""

from __future__ import annotations

import platform
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType

import psutil

SIGUSR1 = getattr(signal, "SIGUSR1", None)  # not on Windows


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


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, raise KeyboardInterrupt, as Ctrl-C does; SIGUSR1 raises `TimeIsUp`.

    Untouched outside the main thread, where Python forbids it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp if number == SIGUSR1 else KeyboardInterrupt

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


def _container() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
