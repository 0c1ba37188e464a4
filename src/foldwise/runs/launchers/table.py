"""`LAUNCHERS`: a row for each kind of machine that workers can be started on; and the one worker that is this process."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial

from foldwise.errors import RunError
from foldwise.processes import sigterm_as_interrupt
from foldwise.runs.launchers.kubernetes import KubernetesWorkers
from foldwise.runs.launchers.launcher import Crew, Engine, Tick, Work, teardown
from foldwise.runs.launchers.local import LocalWorkers
from foldwise.runs.launchers.ray import RayWorkers
from foldwise.runs.launchers.slurm import SlurmWorkers
from foldwise.runs.leases import clean_up, release_dead


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
        with sigterm_as_interrupt(), teardown(self.folder, partial(clean_up, self.folder), stopping=stopping):
            if not finished():
                self.work(look)
            if not finished():
                raise RunError(
                    "the worker ended while work was left",
                    where=str(self.folder.root),
                    cure="Run again: what is done stays done.",
                )
            look()


LAUNCHERS: dict[str, Engine] = {
    "local": Engine(lambda crew, work: LocalWorkers(crew)),
    "inline": Engine(Inline),
    "kubernetes": Engine(lambda crew, work: KubernetesWorkers(crew), elsewhere=True),
    "ray": Engine(lambda crew, work: RayWorkers(crew), elsewhere=True, extra="ray"),
    "slurm": Engine(lambda crew, work: SlurmWorkers(crew), elsewhere=True),
}
