"""The launchers by name: what a run asks for, and what a worker does in this process, to a launcher."""

from __future__ import annotations

from collections.abc import Callable

from foldwise.runs.launchers.inline import Inline
from foldwise.runs.launchers.launcher import Crew, Launcher, Work
from foldwise.runs.launchers.local import LocalWorkers


def _local(crew: Crew, work: Work) -> Launcher:
    return LocalWorkers(crew)


LAUNCHERS: dict[str, Callable[[Crew, Work], Launcher]] = {"local": _local, "inline": Inline}
