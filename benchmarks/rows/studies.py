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

from benchmarks.measuring import Figure, Spent, foldwise, ratio, spent
from benchmarks.table import Bench, Equality, Goal, Measured, Row
from foldwise import resources

ENCODERS = ("timm:resnet18", "timm:vgg16", "timm:mobilenetv3_large_100")
QUICK_ENCODERS = ("timm:test_resnet", "timm:resnet10t")
SAME_MEAN = 1e-3
SAME_P = 1e-3  # of probabilities: 20 epochs carry on what the last digit of an encoder's output is


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


def gel_study(images: Path, augment: str, *, quick: bool) -> dict[str, Any]:
    """12 configurations of frozen encoders in 5 folds; fewer and smaller where it is to be quick."""
    heads = ["linear", {"mlp": {"hidden": [512, 256], "dropout": [0.25, 0.5]}}]
    optimizers = [{"adam": {"lr": 0.001}}, {"sgd": {"lr": 0.001, "momentum": 0.9}}]
    train = {"weights": "none", "freeze": "encoder", "precision": "fp32", "normalize": "imagenet"}
    return {
        "study": "gels",
        "threads": 1,
        "data": {"path": str(images), "channels": "gray"},
        "compare": {
            "model": list(QUICK_ENCODERS if quick else ENCODERS),
            "head": heads,
            "optimizer": optimizers,
        },
        "train": train | {"augment": augment, "epochs": 5 if quick else 20, "batch_size": 23},
        "validate": {"folds": 2 if quick else 5},
        "judge": {"metric": "balanced_accuracy"},
    }


def frozen_study(augment: str, bench: Bench) -> Measured:
    """A study of frozen encoders, whole, against the plain script, extrapolated from one epoch of each encoder."""
    images = pictures(bench, "gels", 40 if bench.quick else 92, 64 if bench.quick else 224)
    study = gel_study(images, augment, quick=bench.quick)
    ours, theirs, run = [], [], Path()
    for number in range(bench.rounds):
        took, run = ran(bench, number, study)
        ours.append(took.cpu_s)
        theirs.append(_plain_s(run, images, bench))
    fits = len(study["compare"]["model"]) * 4 * study["validate"]["folds"]
    remarks = (
        f"{fits} fits, ours {np.median(ours):.0f} CPU s; the plain script would take {np.median(theirs):,.0f} CPU s, "
        "extrapolated from one epoch of each encoder and what it does once",
    )
    return Measured(
        {"CPU time": ratio(theirs, ours)},
        _same_fit(run, images, bench),
        _frozen_limit(run, ours, theirs),
        remarks,
    )


def _fits(run: Path, head: str = "linear") -> list[dict[str, Any]]:
    """The first fit of every encoder with a head and the first optimiser."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    first: dict[str, dict[str, Any]] = {}
    for item in plan["items"]:
        if item["kind"] == "fit" and item["settings"]["training"]["head"]["name"] == head:
            first.setdefault(item["settings"]["training"]["model"]["name"], item)
    return list(first.values())


def _plain_s(run: Path, images: Path, bench: Bench) -> float:
    """CPU seconds of the plain script for all configurations and folds."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    first = _fits(run)
    num_fits = sum(item["kind"] == "fit" for item in plan["items"]) / len(first)  # of each encoder
    total, once = 0.0, []
    for item in first:
        took = spent(script("frozen", run, images, "--fit", item["id"], "--epochs", "1"), cwd=bench.folder)
        parts = json.loads(took.output.splitlines()[-1])
        each = (
            parts["setup_s"] + item["settings"]["training"]["epochs"] * parts["epoch_s"][0] + parts["test_s"]
        )
        once.append(
            took.cpu_s - parts["setup_s"] - parts["epoch_s"][0] - parts["test_s"]
        )  # imports, and reading
        total += num_fits * each
    return total + min(once)


def _same_fit(run: Path, images: Path, bench: Bench) -> Equality:
    """One fit in full by both: the probabilities of its test fold."""
    item = _fits(run)[-1]  # of the encoder that is fastest
    done = run / "done" / item["id"]
    best_epoch = json.loads((done / "result.json").read_text(encoding="utf-8"))["best_epoch"]
    out = bench.folder / "plain.npz"
    words = ("--fit", item["id"], "--epochs", str(best_epoch), "--out", out)
    spent(script("frozen", run, images, *words), cwd=bench.folder)
    with np.load(out) as plain, np.load(done / "scores.npz") as ours:
        order = [int(np.flatnonzero(plain["case"] == case)[0]) for case in ours["case"]]
        own = ours["probabilities"]
        their = plain["probabilities"][order]
        their = their if own.shape == their.shape else their[:, 1].reshape(own.shape)
        difference = float(np.abs(own - their).max())
    return Equality.within(difference, SAME_P, f"probabilities of a test fold, {best_epoch} epochs by both")


def _frozen_limit(run: Path, ours: list[float], theirs: list[float]) -> str:
    """What passes of the encoders and training of heads take, without which it cannot be."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (run / "done").glob("*/result.json")]
    costs = [result.get("cost") or {} for result in results]
    passes = {cost["shared_features_s"] for cost in costs if cost.get("shared_features_s")}
    heads = sum((cost.get("train_s") or 0) for cost in costs if cost.get("shared_features_s") is not None)
    least = sum(passes) + heads
    if not least:
        return ""
    return (
        f"the passes of the encoders ({sum(passes):.1f} s) and the training of the heads ({heads:.1f} s), by the clock, "
        f"would alone be {np.median(theirs) / least:,.0f}x; all of ours is {np.median(ours):.0f} s of CPU"
    )


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


def workers(bench: Bench) -> Measured:
    """The gel study by as many workers as there are processors, against one: long passes first, then short fits."""
    images = pictures(bench, "gels", 40 if bench.quick else 92, 64 if bench.quick else 224)
    study, number = gel_study(images, "none", quick=bench.quick), min(resources.usable().cores, 8)
    took: dict[int, list[float]] = {1: [], number: []}
    runs: dict[int, Path] = {}
    for turn in range(bench.rounds):
        for count in took:
            _, run = ran(bench, 100 * turn + count, study, workers=count)
            runs[count] = run
            took[count].append(_training_s(run))
    share = Figure.of([one / many / number for one, many in zip(took[1], took[number], strict=True)])
    scores = {count: _scores(run) for count, run in runs.items()}
    difference = max(float(np.abs(values - scores[number][name]).max()) for name, values in scores[1].items())
    remarks = (
        f"{number} workers of 1 thread; from the plan to the last fit, by the clock: {np.median(took[1]):.0f} s by one, "
        f"{np.median(took[number]):.0f} s by all, with their start",
    )
    return Measured({"speed-up over N": share}, Equality.within(difference, 0, "scores"), "", remarks)


def _training_s(run: Path) -> float:
    """From the plan to the last fit."""
    ends = [path.stat().st_mtime for path in (run / "done").glob("fit-*/result.json")]
    return max(ends) - (run / "plan.json").stat().st_mtime


def _scores(run: Path) -> dict[str, np.ndarray]:
    scores = {}
    for path in sorted((run / "done").glob("fit-*/scores.npz")):
        with np.load(path) as arrays:
            scores |= {
                f"{path.parent.name} {name}": np.nan_to_num(arrays[name].astype(float))
                for name in arrays.files
            }
    return scores


def no_lightning() -> str:
    """What is missing for it."""
    return "" if find_spec("lightning") else "Lightning is not installed"


WHOLE = {"CPU time, whole": Goal(1.2), "clock, 2 workers, script of 1 thread": Goal(2.2)}
WHOLE |= {"clock, 2 workers, script of 2 threads": Goal(1.5)}
PLAIN_FROZEN = "a plain script that decodes and runs the backbone every epoch"
ROWS = (
    Row(
        "gels",
        "gel study: 12 configurations × 5 folds × 20 epochs, frozen, no augmentation",
        PLAIN_FROZEN,
        {"CPU time": Goal(300)},
        partial(frozen_study, "none"),
        minutes=15,
        quick_minutes=0.8,
    ),
    Row(
        "gels-flips",
        "the same with flips and quarter turns",
        PLAIN_FROZEN,
        {"CPU time": Goal(45)},
        partial(frozen_study, "flips"),
        minutes=25,
        quick_minutes=0.8,
    ),
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
    Row(
        "workers",
        "N workers on the gel study",
        "one worker",
        {"speed-up over N": Goal(0.9)},
        workers,
        minutes=10,
        quick_minutes=1,
    ),
)
