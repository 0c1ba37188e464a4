"""Rows of growth: how much more is taken where there are more images, configurations, items or workers."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.judging import alone, make_run
from benchmarks.measuring import Figure, foldwise, spent
from benchmarks.rows.judged import same_estimates
from benchmarks.table import Bench, Equality, Goal, Measured, Row, at_most

Points = list[tuple[float, float]]
LINEAR = at_most(1.2, "")  # the power of the size; tables that leave the caches of a processor add a little
POWER = "power of the size"


def power(lines: dict[str, Points]) -> Figure:
    """By what power of the size the steepest of several lines grows over its last decade, where a fixed part counts least."""
    slopes = []
    for points in lines.values():
        last = [point for point in points if point[0] >= points[-1][0] / 20]
        slopes.append(math.log(last[-1][1] / last[0][1]) / math.log(last[-1][0] / last[0][0]))
    return Figure(max(slopes), min(slopes), max(slopes), 1)


def images(bench: Bench) -> Measured:
    """A first and a second check of ever more images of 32 px: decoded, audited, dealt to folds, planned."""
    first: Points = []
    second: Points = []
    counted = True
    for number in (100, 1_000) if bench.quick else (100, 1_000, 10_000, 100_000):
        folder = bench.folder / str(number)
        noise(folder / "pictures", number)
        study = {"study": "many", "threads": 1, "data": {"path": "pictures"}, "train": {"model": "conv"}}
        (folder / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
        for points in (first, second):
            took = spent(foldwise("check", "study.yaml"), cwd=folder)
            points.append((number, took.cpu_s))
        counted = counted and f"{number} images" in took.output.replace(",", "")
    lines = {"first check, CPU s": first, "second check, CPU s": second}
    return Measured({POWER: power(lines)}, Equality("every check counts all images", counted), "", (), lines)


def noise(folder: Path, number: int) -> None:
    """Pictures that do not look alike, in two folders: a class each."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in ("one", "other"):
        (folder / label).mkdir(parents=True)
    for index in range(number):
        coarse = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((32, 32), Image.Resampling.BILINEAR)
        picture.save(folder / ("one", "other")[index % 2] / f"{index:06}.png", compress_level=1)


def configurations(bench: Bench) -> Measured:
    """Verdict and report of ever more configurations, in 5 folds of 200 images."""
    lines: dict[str, Points] = {"verdict, CPU s": [], "report, CPU s": []}
    equality = Equality("", True)
    for number in (2, 10) if bench.quick else (1, 2, 5, 20, 100, 500):
        run = make_run(bench.folder / str(number), {"a": number}, repeats=1, images=200)
        for points, job in zip(lines.values(), ("judge", "report"), strict=True):
            points.append((number, alone(f"{job} {run}").seconds))
        equality = same_estimates(run)
    return Measured({POWER: power(lines)}, equality, "", (), lines)


def items(bench: Bench) -> Measured:
    """Bookkeeping of ever more items: planning, looks, status, all results read."""
    from benchmarks.bookkeeping import looks

    sizes = (10, 100, 1_000) if bench.quick else (10, 100, 1_000, 10_000, 20_000)
    took = {number: looks(bench.folder / str(number), number) for number in sizes}
    names = ("plan", "a look", "status", "read for a report", "an item of a worker")
    lines = {
        f"{name}, CPU s": [(number, statistics.median(took[number][name])) for number in sizes]
        for name in names
    }
    done = [len(list((bench.folder / str(number) / "done").iterdir())) for number in sizes]
    equality = Equality("every item is done once", done == list(sizes))
    return Measured({POWER: power(lines)}, equality, "", (), lines)


def crews(bench: Bench) -> Measured:
    """Simulated workers on a folder that they share over a network: how many times as fast they are as one."""
    from benchmarks.scale import simulate
    from benchmarks.what_items_cost import count

    with tempfile.TemporaryDirectory() as scratch:
        calls = count(Path(scratch))
    numbers = (1, 2, 8) if bench.quick else (1, 2, 4, 8, 16, 32, 64, 128, 256, 500)
    num_items = 400 if bench.quick else 20_000
    clock: Points = []
    done_once = True
    for number in numbers:
        outcome = simulate(num_items, number, calls=calls, seconds=60.0, starts_s=1.0)
        clock.append((number, outcome.last_item_s))
        done_once = done_once and len(outcome.world.order) == num_items
    speed = [(number, clock[0][1] / seconds) for number, seconds in clock]
    share = min(times / number for number, times in speed)
    lines = {
        "times as fast as one worker": speed,
        "as fast as it can be": [(number, number) for number in numbers],
    }
    remarks = (
        f"{num_items:,} items of a minute, 1 ms a request; simulated by the rules of workers, see docs/scale.md",
    )
    equality = Equality("every item is done once", done_once)
    return Measured({"speed-up over N, the least": Figure.of([share])}, equality, "", remarks, lines)


ROWS = (
    Row(
        "growth-images",
        "checks of 10² to 10⁵ images",
        "linear growth",
        {POWER: LINEAR},
        images,
        minutes=12,
        quick_minutes=1,
    ),
    Row(
        "growth-configurations",
        "verdict and report of 1 to 500 configurations",
        "linear growth",
        {POWER: LINEAR},
        configurations,
        minutes=6,
        quick_minutes=0.4,
    ),
    Row(
        "growth-items",
        "bookkeeping of 10 to 20,000 items",
        "linear growth",
        {POWER: LINEAR},
        items,
        minutes=3,
        quick_minutes=0.3,
    ),
    Row(
        "growth-workers",
        "1 to 500 workers on a shared folder, simulated",
        "one worker",
        {"speed-up over N, the least": Goal(0.9)},
        crews,
        minutes=4,
        quick_minutes=0.3,
    ),
)
