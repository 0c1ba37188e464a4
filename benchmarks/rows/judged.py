"""Rows of what follows training, and of looking at data: verdicts, reports, copies, pixels, and the state of a run."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np

from benchmarks.judging import Took, alone, make_run
from benchmarks.measuring import Figure
from benchmarks.table import Bench, Equality, Goal, Measured, Row, at_most


def whole(bench: Bench) -> Measured:
    """The verdict and the report of 500 configurations in 5 folds and 3 repeats of 200 images."""
    number = 20 if bench.quick else 500
    run = make_run(bench.folder / "run", {"a": number // 5, "b": 5}, repeats=3, images=200)
    judged = [alone(f"judge {run}") for _ in range(bench.rounds)]
    reported = [alone(f"report {run}") for _ in range(bench.rounds)]
    figures = {"verdict": seconds(judged), "report": seconds(reported)}
    remarks = (
        f"{judged[0].beside['fits']:,} fits; {judged[0].memory_mb:,.0f} and {reported[0].memory_mb:,.0f} MB; "
        f"a report of {reported[0].beside['size_mb']:.1f} MB",
    )
    return Measured(figures, same_estimates(run), "", remarks)


def levels(bench: Bench) -> Measured:
    """The verdict of one factor of 200 levels beside one of two, in 5 folds of 60 images."""
    number = 20 if bench.quick else 200
    run = make_run(bench.folder / "run", {"a": number, "b": 2}, repeats=1, images=60)
    took = [alone(f"judge {run}") for _ in range(bench.rounds)]
    return Measured({"verdict": seconds(took)}, same_estimates(run), "", (f"{took[0].memory_mb:,.0f} MB",))


def seconds(took: list[Took]) -> Figure:
    """CPU seconds of all rounds."""
    return Figure.of([one.seconds for one in took])


def same_estimates(run: Path) -> Equality:
    """The estimates of the verdict, and scikit-learn's on the same outputs."""
    from sklearn.metrics import balanced_accuracy_score

    verdict = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    truth = _truth(run)
    outputs: dict[str, dict[int, list[tuple[np.ndarray, np.ndarray]]]] = {}
    for item in plan["items"]:
        of, repeat = item["settings"]["configuration"], item["settings"]["repeat"]
        with np.load(run / "done" / item["id"] / "scores.npz") as arrays:
            p = arrays["probabilities"]
            chosen = p.argmax(1) if p.ndim == 2 and p.shape[1] > 1 else (p.reshape(len(p)) >= 0.5).astype(int)
            outputs.setdefault(of, {}).setdefault(repeat, []).append((arrays["case"], chosen))
    off = []
    for row in verdict["configurations"]:
        scores = []
        for parts in outputs[row["id"]].values():
            case, chosen = (np.concatenate(part) for part in zip(*parts, strict=True))
            scores.append(balanced_accuracy_score(truth[case], chosen))
        off.append(abs(row["estimate"] - statistics.mean(scores)))
    return Equality.within(max(off), 1e-9, f"{len(off)} balanced accuracies beside scikit-learn's")


def _truth(run: Path) -> np.ndarray:
    import csv

    with (run / "cases.csv").open(newline="", encoding="utf-8") as file:
        return np.array([int(row["labels"]) for row in csv.DictReader(file)])


def copies(bench: Bench) -> Measured:
    """The search for near-duplicates among images of a camera that does not move."""
    number = 300 if bench.quick else 5000
    took = [alone(f"copies {number}") for _ in range(bench.rounds)]
    groups = took[0].beside["groups"]
    equality = Equality(f"all {number:,} are of one scene: groups of {groups}", groups == [number])
    return Measured({"search": seconds(took)}, equality, "", (f"{took[0].memory_mb:,.0f} MB",))


def pixels(bench: Bench) -> Measured:
    """AUROC and average precision of pixels, counted in bins, against scikit-learn's on all of them."""
    number = 10**6 if bench.quick else 10**8
    took = [alone(f"pixels {number}") for _ in range(bench.rounds)]
    figures = {
        "CPU time": Figure.of([one.beside["sklearn_s"] / one.seconds for one in took]),
        "error of AUROC and of average precision": Figure.of([max(one.beside["off"]) for one in took]),
    }
    memory = f"{took[0].memory_mb:,.0f} MB with the {number:,} pixels themselves, scikit-learn {took[0].beside['sklearn_mb']:,.0f} MB"
    equality = Equality.within(figures["error of AUROC and of average precision"].high, 1e-4, "both")
    return Measured(figures, equality, "", (memory,))


def state(bench: Bench) -> Measured:
    """A look of a worker and the status of a run whose items are nearly all done."""
    from benchmarks.bookkeeping import looks
    from foldwise.runs.folder import RunFolder

    number = 1_000 if bench.quick else 10_000
    took = looks(bench.folder / "run", number)
    figures = {name: Figure.of(took[name]) for name in ("plan", "a look", "status")}
    folder = RunFolder(bench.folder / "run")
    done = folder.status(folder.load_plan()).done
    equality = Equality(f"{done:,} of {number:,} items counted as done", done == number)
    return Measured(figures, equality)


def trivial_items(bench: Bench) -> Measured:
    """Items that take no time, by two workers: the start of these, and what an item more takes."""
    from benchmarks.bookkeeping import two_workers

    few, many = (10, 100) if bench.quick else (10, 1_000)
    clock, more, done = [], [], []
    for turn in range(bench.rounds):
        took = two_workers(bench.folder / str(turn), (few, many))
        clock.append(took[many][0])
        more.append(1000 * (took[many][1] - took[few][1]) / (many - few))
        done.append(took[many][2])
    figures = {
        "by the clock, with their start": Figure.of(clock),
        "CPU time of an item more": Figure.of(more),
    }
    return Measured(figures, Equality(f"{done[0]:,} of {many:,} items done", set(done) == {many}))


ROWS = (
    Row(
        "judge",
        "verdict and report, 500 configurations × 5 folds × 3 repeats, 200 images",
        "CPU seconds",
        {"verdict": at_most(10, "s"), "report": at_most(3, "s")},
        whole,
        minutes=8,
        quick_minutes=0.4,
    ),
    Row(
        "levels",
        "verdict, one factor of 200 levels",
        "CPU seconds",
        {"verdict": at_most(5, "s")},
        levels,
        minutes=4,
        quick_minutes=0.3,
    ),
    Row(
        "copies",
        "near-duplicates among 5,000 images of a fixed camera",
        "CPU seconds",
        {"search": at_most(60, "s")},
        copies,
        minutes=5,
        quick_minutes=0.2,
    ),
    Row(
        "pixels",
        "AUROC and average precision of 10⁸ pixels",
        "scikit-learn",
        {"CPU time": Goal(30), "error of AUROC and of average precision": at_most(1e-4, "")},
        pixels,
        minutes=7,
        quick_minutes=0.2,
    ),
    Row(
        "state",
        "plan, look and status of a run of 10,000 items",
        "CPU seconds",
        {
            "plan": at_most(5, "s"),
            "a look": at_most(0.05, "s"),
            "status": at_most(0.05, "s"),
        },
        state,
        minutes=1,
        quick_minutes=0.3,
    ),
    Row(
        "trivial-items",
        "1,000 items that take no time, by 2 workers",
        "seconds",
        {
            "by the clock, with their start": at_most(90, "s"),
            "CPU time of an item more": at_most(50, "ms"),
        },
        trivial_items,
        minutes=2,
        quick_minutes=0.4,
    ),
)
