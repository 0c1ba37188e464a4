"""Rows of frozen encoders: studies of heads, whole, against a plain script; fixed views; and how workers share the passes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Figure, ratio, spent
from benchmarks.rows.studies import pictures, ran, script
from benchmarks.table import Bench, Equality, Goal, Measured, Row
from foldwise import resources

ENCODERS = ("timm:resnet18", "timm:vgg16", "timm:mobilenetv3_large_100")
QUICK_ENCODERS = ("timm:test_resnet", "timm:resnet10t")
SAME_P = 1e-3  # of probabilities: 20 epochs carry on what the last digit of an encoder's output is
VIEWS = 8


def gels(bench: Bench, size: int = 224) -> Path:
    """Images of gels of this size in pixels; fewer and smaller where it is to be quick."""
    return pictures(bench, "gels", 40 if bench.quick else 92, 64 if bench.quick else size)


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
    images = gels(bench)
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


def fixed_views(bench: Bench) -> Measured:
    """Frozen encoders under an augmentation that has no end: 8 fixed views of each image against fresh ones each epoch."""
    images = gels(bench, 128)
    study = gel_study(images, "standard", quick=bench.quick)
    study["compare"] |= {"model": [QUICK_ENCODERS[1] if bench.quick else ENCODERS[0]]}
    study["validate"]["folds"] = 2 if bench.quick else 3
    took: dict[int, list[float]] = {VIEWS: [], 0: []}
    estimates: dict[int, list[dict[str, Any]]] = {}
    for turn in range(bench.rounds):
        for views in took:
            study["train"]["cache_views"] = views
            spent_on, run = ran(bench, 100 * turn + views, study)
            took[views].append(spent_on.cpu_s)
            verdict = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
            estimates[views] = sorted(verdict["configurations"], key=lambda row: row["name"])
    pairs = list(zip(estimates[VIEWS], estimates[0], strict=True))
    overlap = [one["low"] <= other["high"] and other["low"] <= one["high"] for one, other in pairs]
    most = max(abs(one["estimate"] - other["estimate"]) for one, other in pairs)
    words = (
        f"{sum(overlap)} of {len(pairs)} intervals of both overlap, estimates differ by {most:.3f} at most"
    )
    passes = len(pairs) * study["validate"]["folds"] * study["train"]["epochs"]
    limit = f"{passes} epochs of training parts against {VIEWS} passes of all images, were heads and all else free"
    return Measured({"CPU time": ratio(took[0], took[VIEWS])}, Equality(words, all(overlap)), limit)


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
    """What passes of the encoders and training of heads take, without which it cannot be; empty where the machine was not ours."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (run / "done").glob("*/result.json")]
    costs = [result.get("cost") or {} for result in results]
    passes = {cost["shared_features_s"] for cost in costs if cost.get("shared_features_s")}
    heads = sum((cost.get("train_s") or 0) for cost in costs if cost.get("shared_features_s") is not None)
    least = sum(passes) + heads
    if not 0 < least < np.median(ours):  # a clock that ran while others had the processor limits nothing
        return ""
    return (
        f"the passes of the encoders ({sum(passes):.1f} s) and the training of the heads ({heads:.1f} s), by the clock, "
        f"would alone be {np.median(theirs) / least:,.0f}x; all of ours is {np.median(ours):.0f} s of CPU"
    )


def workers(bench: Bench) -> Measured:
    """The gel study by as many workers as there are processors, against one: long passes first, then short fits."""
    images = gels(bench)
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
        "fixed-views",
        "4 heads of a frozen ResNet18 × 3 folds × 20 epochs, standard augmentation, cache_views: 8",
        "the same with fresh views",
        {"CPU time": Goal(5)},
        fixed_views,
        minutes=20,
        quick_minutes=0.7,
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
