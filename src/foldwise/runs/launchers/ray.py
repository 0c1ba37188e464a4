"""Workers as tasks of Ray, each of which starts a process that works; the cluster places them, and shares out its GPUs.

What is done stays in the run folder: tasks that are killed, and those of nodes that are lost, are started again, and those
of a driver that is killed end with it.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from foldwise.errors import RunError, kind_of
from foldwise.processes import sigterm_as_interrupt
from foldwise.runs import leases
from foldwise.runs.job_notes import note_jobs
from foldwise.runs.launchers.launcher import Crew, Tick, last_lines, teardown, watch
from foldwise.runs.launchers.ray_tasks import (
    Ending,
    connected,
    ending_of,
    foretold,
    in_words,
    options_of,
    pickled_by_value,
    script_of,
    variables_of,
    work_command,
)
from foldwise.runs.slurm_queue import name_of_jobs
from foldwise.study.profiles import RayProfile
from foldwise.text import count, duration

POLL_S = 0.5
LOOK_S = 2.0
FAREWELL_S = 10.0  # for workers to see by themselves that nothing is left
STOPPED_S = 45.0  # until tasks that are cancelled have ended; workers have half a minute for that
HEAD_S = 40.0  # without an answer of the head; Ray itself ends a driver after 60
ROOM_S = 600.0  # until a cluster that grows by itself has a node with room; virtual machines with GPUs take minutes
MAX_MEMORY_FACTOR = 8


class RayWorkers:
    """Workers of one run as tasks of Ray.

    Args:
        crew: how many, for which run, and the profile.
        command: the command of a task, whose first word is empty for the Python of its node; `foldwise work` by default.
    """

    def __init__(self, crew: Crew, *, command: Sequence[str] | None = None) -> None:
        self.crew, self.folder, self.profile = crew, crew.folder, crew.asks(RayProfile)
        self.command = list(command or work_command(crew))
        self.memory_factor = 1
        self.ray: Any = None  # the module, while it is connected
        self.is_our_own = False
        self.tasks: dict[Any, str] = {}  # those that have not ended, and what they are called
        self.name, self.num_started = f"{name_of_jobs(crew.folder.root)}-{secrets.token_hex(3)}", 0
        self.last: Ending | None = None  # of those that ended, and not by our will
        self.over, self.deaths, self.progress = 0, 0, (0, 0)
        self.without_room_since, self.headless_since = 0.0, 0.0

    def script(self) -> str:
        """What is started, as a Python file that does the same by hand."""
        return script_of(self.crew, self.command)

    def run(
        self, *, finished: Callable[[], bool], tick: Tick | None = None, stopping: Tick | None = None
    ) -> None:
        """Have tasks do items until `finished`; none of them is left when this returns or raises.

        Where this process is killed, Ray ends its tasks, and they their workers; the next call starts others.

        Raises:
            MissingExtra: Ray is not installed.
            RunError: no Ray can be reached, or none of its nodes has room; workers were killed again and again while
                work was left.
            FoldwiseError: all workers ended with an error of this kind.
            KeyboardInterrupt: Ctrl-C or SIGTERM; what is in progress is given back.
        """
        leases.release_dead(self.folder)
        try:
            # Twice, since Ray sets handlers of its own.
            with (
                sigterm_as_interrupt(),
                connected(self.profile.address) as (self.ray, self.is_our_own),
                sigterm_as_interrupt(),
            ):
                self.progress = leases.progress(self.folder)
                with teardown(self.folder, self._stop, stopping=stopping):
                    look = partial(self._look, finished)
                    watch(self.folder, look, finished=finished, tick=tick, look_s=LOOK_S, poll_s=POLL_S)
                    self._wait(FAREWELL_S)
        finally:
            note_jobs(self.folder, "", engine="ray")
            leases.clean_up(self.folder)

    def _look(self, finished: Callable[[], bool]) -> None:
        """Look at the tasks, give back what the dead had, and start as many as are missing."""
        if self._head_answers():
            self._note_ended()
            self._refuse_to_go_on(finished)
            self._start_missing()
            self._say_how_they_are()

    def _head_answers(self) -> bool:
        """Whether the cluster can be asked; without its head, Ray would end this process after a minute.

        Raises:
            RunError: it has not answered for long.
        """
        host, _, port = self.ray.get_runtime_context().gcs_address.rpartition(":")
        try:
            # Through a client of Ray, the head is behind another one, who does this.
            if not self.ray.util.client.ray.is_connected():
                socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_S / 4).close()
        except OSError:
            self.headless_since = self.headless_since or time.monotonic()
            if time.monotonic() - self.headless_since > HEAD_S:
                raise RunError(
                    f"the head of Ray has not answered for {duration(HEAD_S)}",
                    where=f"{host}:{port}",
                    cure="Start Ray again, and run again: what is done stays done.",
                ) from None
            return False
        self.headless_since = 0.0
        return True

    def _note_ended(self) -> None:
        """Give back what those had that ended, and remember how they did."""
        for task in self._ended():
            name, ending = self.tasks.pop(task), ending_of(self.ray, task)
            if (now := leases.progress(self.folder)) > self.progress:
                self.deaths, self.progress = 0, now
            self.over += ending.code is not None
            # Of what it did, or with its node: whoever loses all nodes again and again without any progress gives up, too.
            self.deaths += ending.code is None and not ending.is_told
            if "memory" in ending.died:
                self.memory_factor = min(2 * self.memory_factor, MAX_MEMORY_FACTOR, self._most_memory())
            self.last = ending
            self._give_back(name, ending)

    def _ended(self) -> list[Any]:
        if not self.tasks:
            return []
        ended: list[Any] = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)[0]
        return ended

    def _most_memory(self) -> int:
        """How many times what is foretold the largest node has; at least 1."""
        return max(
            1, int(max((node.get("memory", 0.0) for node in self._nodes()), default=0) // foretold(self.crew))
        )

    def _nodes(self) -> list[dict[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _give_back(self, name: str, ending: Ending) -> None:
        """Release what the worker of a task had that has ended; what it died of is written down where it may be the item's fault."""
        for task, attempt in self._attempts():
            if task == name:
                leases.mark_released(attempt, died=f"{ending.died} (as a task of Ray)" if ending.died else "")

    def _attempts(self) -> Iterator[tuple[str, Path]]:
        """The task and the lease of every worker that had an item which is not done, and has not given it back."""
        for item_id in self.folder.beats():
            for attempt in self.folder.attempts(item_id):
                task = (leases.owner_of(attempt) or {}).get(leases.TASK)
                if task and not (attempt / "released").exists():
                    yield task, attempt

    def _refuse_to_go_on(self, finished: Callable[[], bool]) -> None:
        # An item that kills its workers is recorded as failed after some deaths; more without any progress mean that
        # workers die of something else.
        where, ending = str(self.folder.root), self.last
        if ending is None:
            return
        if self.deaths > leases.MAX_ATTEMPTS * self.crew.workers:
            raise RunError(
                f"{count(self.deaths, 'worker')} ended without finishing an item; the last one {ending.words}\n{last_lines(self.folder, 'ray-*-*.txt')}",
                where=where,
                cure="Most often memory is short: state memory in the profile, or a smaller batch_size or size.",
            )
        if not self.tasks and self.over >= self.crew.workers and not finished():
            raise kind_of(ending.code or 0)(
                f"all workers ended while work was left; the last one {ending.words}\n{last_lines(self.folder, 'ray-*-*.txt')}",
                where=where,
                cure=f"See {self.folder.logs}; mend the cause and run again: what is done stays done.",
            )

    def _start_missing(self) -> None:
        wanted = self.crew.workers - self.over - len(self.tasks)
        if wanted <= 0:
            return
        for _ in range(min(wanted, leases.num_left(self.folder) - len(self.tasks))):
            self.num_started += 1
            name = f"{self.name}-{self.num_started}"
            task = self.ray.remote(pickled_by_value()).options(
                name=name, max_retries=0, **options_of(self.crew, self.memory_factor)
            )
            variables = variables_of(self.crew) | {leases.TASK: name}
            started = task.remote(self.command, str(self._log(name).resolve()), str(Path.cwd()), variables)
            self.tasks[started] = name

    def _log(self, name: str) -> Path:
        return self.folder.log(f"ray-{name.removeprefix(name_of_jobs(self.folder.root))[1:]}")

    def _say_how_they_are(self) -> None:
        """For whoever watches this driver.

        Raises:
            RunError: no node has room for any worker, and none has come.
        """
        begun = sum(self._log(name).exists() for name in self.tasks.values())
        waiting = len(self.tasks) - begun
        words = f"{begun} running" + (f", {waiting} waiting for room" if waiting else "")
        if begun or not waiting or not (lack := self._lack()):
            self.without_room_since = 0.0
        else:
            words = f"{waiting} waiting: {lack}"
            self.without_room_since = self.without_room_since or time.monotonic()
            waited_s = time.monotonic() - self.without_room_since
            if self.is_our_own or waited_s > ROOM_S:
                since = f", and none has come for {duration(ROOM_S)}" if not self.is_our_own else ""
                raise RunError(
                    f"{lack}{since}",
                    where="Ray",
                    cure="Ask for less in the profile (ray: in the study, or --profile): gpus, cpus, memory; `ray status` shows nodes.",
                )
        note_jobs(self.folder, words, engine="ray")

    def _lack(self) -> str:
        """Why no node can have a worker, however idle it is; empty where one can."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        needs = {
            names[key]: value for key, value in options_of(self.crew, self.memory_factor).items() if value
        }
        nodes = self._nodes()
        if any(all(node.get(key, 0) >= value for key, value in needs.items()) for node in nodes):
            return ""
        return f"no node has room for a worker with {in_words(needs)}; there are " + (
            "; ".join(sorted({in_words({key: node.get(key, 0) for key in needs}) for node in nodes}))
            or "no nodes"
        )

    def _wait(self, seconds: float) -> None:
        """Wait until every task has ended, so long at most."""
        if self.tasks:
            self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=seconds)

    def _stop(self) -> None:
        """End all tasks, and give back what their workers had."""
        # What is asked of a cluster without a head waits until this process is ended; tasks end with their cluster.
        for force, seconds in ((False, STOPPED_S), (True, STOPPED_S / 4)) if not self.headless_since else ():
            for task in self._left():
                self.ray.cancel(task, force=force)
            self._wait(seconds)
        for name in self.tasks.values():
            self._give_back(name, Ending("was cancelled"))
        self.tasks.clear()

    def _left(self) -> list[Any]:
        ended = set(self._ended())
        return [task for task in self.tasks if task not in ended]
