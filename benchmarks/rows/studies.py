"""Rows of whole studies: `foldwise run`, from files of images to the report, against plain scripts that only train."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Spent, foldwise, ratio, spent
from benchmarks.table import Bench, Equality, Goal, Measured, Row

SAME_MEAN = 1e-3


def pictures(bench: Bench, kind: str, images: int, size: int) -> Path:
    """Built-in pictures as files; drawn once for all rounds."""
    from foldwise.data.phantoms.catalogue import make

    folder = bench.folder / "pictures"
    if not folder.exists():
        make(kind, folder, images=images, size=size, difficulty=0.4, seed=0)
    return folder


def ran(bench: Bench, number: int, study: dict[str, Any], *, workers: int = 1) -> tuple[Spent, Path]:
    """A study run from nothing, in a folder of its own; what it took, and its run folder."""
    folder = bench.folder / f"run-{number}"
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")  # JSON is YAML, too
    os.rename(folder / "study.json", folder / "study.yaml")
    took = spent(foldwise("run", "study.yaml", "--workers", str(workers), "--device", "cpu"), cwd=folder)
    return took, folder / "runs" / study["study"]


def script(name: str, *words: str | Path) -> list[str | Path]:
    """The command line of one of the plain scripts."""
    return [sys.executable, "-m", f"benchmarks.straight.{name}", *words]


def architectures(bench: Bench) -> dict[str, Any]:
    """The shape of study 0: four networks on vessels of 128 px, 3 folds, 5 epochs."""
    images = pictures(bench, "vessels", 12 if bench.quick else 36, 64 if bench.quick else 128)
    models: list[Any] = [{"conv": {"width": 8, "depth": 8}}, {"unet": {"width": 8, "depth": 3}}]
    models += [{"resnet": {"width": 8, "stages": 2}}, {"vit": {"patch": 8, "width": 32, "depth": 4}}]
    return _segmentation("architectures", images, models[:2] if bench.quick else models, bench, batch_size=4)


def tissue(bench: Bench) -> dict[str, Any]:
    """The shape of study 3: decoders of smp on ResNet18, tissue of 256 px."""
    images = pictures(bench, "tissue", 8 if bench.quick else 32, 64 if bench.quick else 256)
    models = ["smp:linknet/resnet18"] if bench.quick else ["smp:unet/resnet18", "smp:linknet/resnet18"]
    return _segmentation("tissue", images, models, bench, batch_size=8)


def _segmentation(
    name: str, images: Path, models: list[Any], bench: Bench, *, batch_size: int
) -> dict[str, Any]:
    train = {
        "loss": "cross_entropy",
        "optimizer": {"adam": {"lr": 0.003}},
        "precision": "fp32",
        "augment": "none",
    }
    train |= {"weights": "none", "epochs": 1 if bench.quick else 5, "batch_size": batch_size}
    about = {"study": name, "threads": 1, "data": {"path": str(images)}, "compare": {"model": models}}
    validate = {"folds": 2 if bench.quick else 3}
    return about | {"train": train, "validate": validate, "judge": {"metric": "dice_img_macro"}}


def whole_study(study_of: Any, bench: Bench, *, lightning: bool) -> Measured:
    """A study of networks that are trained whole: CPU time of the whole, and the clock of two workers."""
    study, images = study_of(bench), bench.folder / "pictures"
    ours: dict[int, list[Spent]] = {1: [], 2: []}
    theirs: dict[int, list[Spent]] = {1: [], 2: []}
    run, scores = Path(), {}
    for number in range(bench.rounds):
        for count in (1, 2):
            took, run = ran(bench, 2 * number + count, study, workers=count)
            ours[count].append(took)
            words = ("--threads", str(count), *(("--lightning",) if lightning else ()))
            plain = spent(script("segmentation", run, images, *words), cwd=bench.folder, threads=count)
            theirs[count].append(plain)
            scores = json.loads(plain.output.splitlines()[-1]) if count == 1 else scores
    clock = [took.clock_s for took in ours[2]]
    figures = {
        "CPU time, whole": ratio([took.cpu_s for took in theirs[1]], [took.cpu_s for took in ours[1]]),
        "clock, 2 workers, script of 1 thread": ratio([took.clock_s for took in theirs[1]], clock),
        "clock, 2 workers, script of 2 threads": ratio([took.clock_s for took in theirs[2]], clock),
    }
    fits_s = _fits_s(run)
    fixed = np.median([took.cpu_s for took in ours[1]]) - fits_s
    limit = (
        f"fits alone, training and scoring, {fits_s:.0f} s by the clock: {np.median([t.cpu_s for t in theirs[1]]) / fits_s:.2f}x; "
        f"all else, with imports, audit, statistics and report, is {fixed:.0f} s of CPU"
    )
    return Measured(figures, _within_intervals(run, scores), limit)


def _fits_s(run: Path) -> float:
    results = [
        json.loads(path.read_text(encoding="utf-8")) for path in (run / "done").glob("fit-*/result.json")
    ]
    return sum(result["cost"]["train_s"] + result["cost"]["evaluate_s"] for result in results)


def _within_intervals(run: Path, scores: dict[str, list[float]]) -> Equality:
    """The plain script's mean of every configuration beside the interval of the verdict."""
    rows = json.loads((run / "verdict.json").read_text(encoding="utf-8"))["configurations"]
    # An interval may have no width, as where no fit says anything yet.
    within = [row["low"] - SAME_MEAN <= np.mean(scores[row["id"]]) <= row["high"] + SAME_MEAN for row in rows]
    most = max(abs(row["estimate"] - np.mean(scores[row["id"]])) for row in rows)
    words = f"{sum(within)} of {len(within)} means of the script within our intervals, {most:.3f} off at most"
    return Equality(words, all(within))


def no_lightning() -> str:
    """What is missing for it."""
    return "" if find_spec("lightning") else "Lightning is not installed"


WHOLE = {"CPU time, whole": Goal(1.2), "clock, 2 workers, script of 1 thread": Goal(2.2)}
WHOLE |= {"clock, 2 workers, script of 2 threads": Goal(1.5)}
ROWS = (
    Row(
        "study-0",
        "study 0's shape in full: 4 networks × 3 folds × 5 epochs, 128 px",
        "plain PyTorch, one after another",
        WHOLE,
        partial(whole_study, architectures, lightning=False),
        minutes=20,
        quick_minutes=1.2,
    ),
    Row(
        "study-3",
        "study 3's shape: U-Net and LinkNet of smp on ResNet18, 256 px",
        "Lightning and smp",
        WHOLE,
        partial(whole_study, tissue, lightning=True),
        minutes=40,
        quick_minutes=1.5,
        lacks=no_lightning,
    ),
)
