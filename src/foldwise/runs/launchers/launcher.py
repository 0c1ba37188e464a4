"""The seam between a run and what works for it: a launcher starts workers, on this machine or wherever it puts them.

At the end what launchers have in common: to look now and then, to end what they started, and to show what it printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from foldwise.processes import HungUp, text_of
from foldwise.runs.folder import RunFolder
from foldwise.study.profiles import Profile

NUM_LAST_LINES = 12
Tick = Callable[[RunFolder], object]
Log = Callable[[str], object]
Work = Callable[[Log], object]
P = TypeVar("P", bound=Profile)


@dataclass(frozen=True)
class Crew:
    """The workers that a run asks for.

    Attributes:
        workers: how many at a time; of those that share accelerators, how many to begin with.
        device: the device for settings that say `auto`.
        threads: CPU threads of each.
        trust_code: whether they may run the own code that the plan names.
        memory_mb: what is foretold for each, beside the program itself, in 10^6 bytes.
        reads: folders that they read beside the run and the cache.
        profile: what a cluster is asked for.
        most: how many there may be at last, where memory of accelerators lets there be more; None: no more.
    """

    folder: RunFolder
    workers: int = 1
    device: str = "auto"
    threads: int = 1
    trust_code: bool = False
    memory_mb: float = 0.0
    reads: tuple[Path, ...] = ()
    profile: Profile | None = None
    most: int | None = None

    def asks(self, kind: type[P]) -> P:
        """What an engine with this kind of profile is asked for: what that assumes where nothing of it is stated."""
        return self.profile if isinstance(self.profile, kind) else kind()


class Launcher(Protocol):
    """What starts the workers of one run; `LauncherContract` in the tests is what any launcher must pass."""

    def script(self) -> str:
        """What is started, as text that can be kept and started by hand."""

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Have workers pull items until `finished`; no worker is left when this returns or raises.

        Args:
            finished: whether nothing is left to do; called several times a second.
            tick: called now and then with the run folder.
            stopping: called with the run folder at Ctrl-C or SIGTERM, before the workers are waited for.

        Raises:
            RunError: all workers ended, or were killed again and again, while work was left.
            KeyboardInterrupt: Ctrl-C or SIGTERM; what is in progress is given back.
        """


@dataclass(frozen=True)
class Engine:
    """A row of the table of launchers.

    Attributes:
        make: a launcher of what a run asks for, and of what a worker does in this process.
        elsewhere: whether workers are on other machines, so that what this one has says nothing of theirs.
        extra: the extra of foldwise, and the module, without which none is started; empty where none is needed.
    """

    make: Callable[[Crew, Work], Launcher]
    elsewhere: bool = False
    extra: str = ""


@contextmanager
def teardown(
    folder: RunFolder, end: Callable[[], object], *, stopping: Tick | None, outlived: bool = False
) -> Iterator[None]:
    """Call `end` when the block ends, however it does; before it `stopping`, at Ctrl-C.

    Args:
        end: ends the workers, and tidies up.
        stopping: called with the run folder.
        outlived: whether workers go on where the terminal is closed or this process is told to end, so that neither is called.
    """
    goes_on = False
    try:
        yield
    except KeyboardInterrupt as interrupt:
        goes_on = outlived and isinstance(interrupt, HungUp)
        if stopping and not goes_on:
            stopping(folder)
        raise
    finally:
        if not goes_on:
            end()


def watch(
    folder: RunFolder,
    look: Callable[[], object],
    *,
    finished: Callable[[], bool],
    tick: Tick | None,
    look_s: float,
    poll_s: float,
) -> None:
    """Call `look` every `look_s` seconds, and `tick` with the run folder every `poll_s`, until `finished`."""
    next_look = 0.0
    while not finished():
        if time.monotonic() >= next_look:
            look()
            next_look = time.monotonic() + look_s
        if tick:
            tick(folder)
        time.sleep(poll_s)
    if tick:
        tick(folder)


def quoted(text: str) -> str:
    """The last lines of what workers printed, as errors show them."""
    lines = text.splitlines()[-NUM_LAST_LINES:]
    return "\n".join(f"  | {line}" for line in lines) or "  | (they said nothing)"


def last_lines(folder: RunFolder, pattern: str) -> str:
    """The last lines of the newest of the logs whose names fit a pattern, as errors show them."""
    newest = max(folder.logs.glob(pattern), key=lambda log: log.stat().st_mtime, default=None)
    return quoted(text_of(newest) if newest else "")
