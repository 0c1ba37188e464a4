"""What bookkeeping costs, from 10 to 20,000 items: planning, looks, status, and all of an item but its work.

    python -m benchmarks.bookkeeping [--items N ...] [--skip-workers]

CPU seconds of this process, medians of a few repeats with their range, so that other work on the machine counts little;
where two workers are started, seconds by the clock and CPU seconds of both. The exponent is the slope of log seconds over log items:
1 is linear. It is taken from 100 items on, where a fixed part counts no more.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
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

SIZES = (10, 100, 1_000, 10_000, 20_000)
NUM_REPEATS = 5
NUM_LEFT = 5  # items that a folder which is looked at still lacks
# Seconds at 20,000 items, but where another number stands; of issue 13 of the project and its table of speeds.
GOALS = {"plan": "5 s", "a look": "0.1 s", "status": "0.05 s at 10,000", "read for a report": "5 s"}
GOALS |= {"an item of a worker": "50 ms"}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=SIZES)
    parser.add_argument("--skip-workers", action="store_true", help="start no processes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        rows = {number: looks(Path(scratch) / str(number), number) for number in asked.items}
        print(table(rows))
        if not asked.skip_workers:
            print(commands(Path(scratch) / str(asked.items[-1]), asked.items[-1]))
            print(two_workers(Path(scratch)))


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


def table(rows: dict[int, dict[str, list[float]]]) -> str:
    """A line for each thing, with medians and ranges in milliseconds, and the exponent of their growth."""
    names = list(next(iter(rows.values())))
    lines = [f"{'CPU ms at':20}" + "".join(f"{number:>28,}" for number in rows) + "   exponent   goal"]
    for name in names:
        cells = "".join(f"{shown(row[name]):>28}" for row in rows.values())
        growth = exponent({number: statistics.median(row[name]) for number, row in rows.items()})
        lines.append(f"{name:20}{cells}   {growth:8.2f}   {GOALS.get(name, '')}")
    return "\n".join(lines)


def shown(seconds: Sequence[float]) -> str:
    """Median and range in milliseconds."""
    low, middle, high = (1000 * value for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def exponent(seconds: dict[int, float]) -> float:
    """The slope of log seconds over log items, by least squares, from 100 items on; nan of fewer than two sizes."""
    points = [(math.log(number), math.log(value)) for number, value in seconds.items() if number >= 100]
    if len(points) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def commands(root: Path, number: int) -> str:
    """CPU seconds of the command line on a folder with so many items."""
    lines = []
    for words in (["--help"], ["status", str(root)], ["work", str(root), "--device", "cpu"]):
        took = [child_s([sys.executable, "-m", "foldwise", *words]) for _ in range(3)]
        what = f"foldwise {words[0]}, {number:,} items" if len(words) > 1 else "foldwise --help"
        lines.append(f"{what}: {shown(took)} CPU ms")
    return "\n".join(lines)


def child_s(words: Sequence[str]) -> float:
    """CPU seconds of a process and of those it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, capture_output=True, cwd=Path(__file__).parents[1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def two_workers(scratch: Path, sizes: Sequence[int] = (10, 1_000)) -> str:
    """Trivial items done by two workers: seconds by the clock and of the CPU, and of each item more."""
    clock, cpu = {}, {}
    for number in sizes:
        folder = laid_out(scratch / f"two-{number}", plan_of(number))
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        agenda = Agenda(folder, folder.load_plan(), share=0.1)
        crew = Crew(folder, workers=2)
        LocalWorkers(crew, command=lambda n, folder=folder: command(folder.root)).run(finished=agenda.is_done)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock[number] = time.monotonic() - began
        cpu[number] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    few, many = sizes
    more = many - few
    return (
        f"{many:,} trivial items by 2 workers: {clock[many]:.1f} s with their start (goal 90 s; {few}: {clock[few]:.1f} s), "
        f"{cpu[many]:.1f} s of CPU; an item more: {2000 * (clock[many] - clock[few]) / more:.1f} ms of a worker's time "
        f"(goal 50 ms), {1000 * (cpu[many] - cpu[few]) / more:.1f} ms of CPU; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
