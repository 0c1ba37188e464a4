"""What bookkeeping costs: planning, looks, status, and all of an item but its work.

CPU seconds of this process, a few times each, so that other work on the machine counts little. Rows of the bench ask for it.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.trivial_items import command, have_done, laid_out, plan_of, trivial
from foldwise.pipeline import worker
from foldwise.runs.agenda import Agenda
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.local import LocalWorkers

NUM_REPEATS = 5
NUM_LEFT = 5  # items that a folder which is looked at still lacks


def looks(root: Path, number: int) -> dict[str, list[float]]:
    """CPU seconds of everything that is done by one process, by what it is."""
    took = {"plan": repeated(lambda: plan_of(number), 1 if number > 1_000 else NUM_REPEATS)}
    plan = plan_of(number)
    folder = laid_out(root, plan)
    took["read the plan"] = repeated(folder.load_plan)
    have_done(folder, plan.items[:-NUM_LEFT])
    took["first look"] = repeated(lambda: Agenda(folder, plan).look())
    agenda = Agenda(folder, plan)
    agenda.look()
    took["a look"] = repeated(lambda: agenda.look(now=True))
    # Caches are by path: another path to the folder is as a process that has seen nothing of it.
    ways = iter(Path(str(root) + f"/../{root.name}" * number) for number in range(1, 9))
    took["read for a report"] = repeated(lambda: RunFolder(next(ways)).outcomes(), 2)
    folder.status(plan)
    took["status"] = repeated(lambda: folder.status(plan))
    took["an item of a worker"] = items_of_a_worker(folder)
    return took


def items_of_a_worker(folder: RunFolder) -> list[float]:
    """CPU seconds of each of the last items, all of it but what the worker does once."""
    worker.TASKS["fit"] = trivial
    moments: list[float] = []
    worker.work(folder, device="cpu", log=lambda line: moments.append(time.process_time()))
    starts = moments[::2]
    return [after - before for before, after in pairwise(starts)]


def repeated(what: Callable[[], Any], times: int = NUM_REPEATS) -> list[float]:
    """CPU seconds of each time."""
    took = []
    for _ in range(times):
        began = time.process_time()
        what()
        took.append(time.process_time() - began)
    return took


def two_workers(scratch: Path, sizes: Sequence[int] = (10, 1_000)) -> dict[int, tuple[float, float, int]]:
    """Trivial items done by two workers: seconds by the clock and of the CPU, and how many were done, by how many there are."""
    took = {}
    for number in sizes:
        folder = laid_out(scratch / f"two-{number}", plan_of(number))
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        agenda = Agenda(folder, folder.load_plan(), share=0.1)
        crew = Crew(folder, workers=2)
        LocalWorkers(crew, command=lambda n, folder=folder: command(folder.root)).run(finished=agenda.is_done)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        took[number] = (time.monotonic() - began, cpu_s, len(folder.committed()))
    return took
