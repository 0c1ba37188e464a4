"""The seam between a run and what works for it: a launcher starts workers, on this machine or wherever it puts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from foldwise.runs.folder import RunFolder

Tick = Callable[[RunFolder], object]
Log = Callable[[str], object]
Work = Callable[[Log], object]


@dataclass(frozen=True)
class Crew:
    """The workers that a run asks for.

    Attributes:
        workers: how many at a time.
        device: the device for settings that say `auto`.
        threads: CPU threads of each.
        trust_code: whether they may run the own code that the plan names.
    """

    folder: RunFolder
    workers: int = 1
    device: str = "auto"
    threads: int = 1
    trust_code: bool = False


class Launcher(Protocol):
    """What starts the workers of one run; `LauncherContract` in the tests is what any launcher must pass."""

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
