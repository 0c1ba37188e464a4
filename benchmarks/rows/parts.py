"""Rows of parts of a study: a second check, the fit of a head, a step, loss surfaces, predictions, a GPU."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import Figure, Spent, foldwise, in_turns, ratio, spent
from benchmarks.rows.frozen import gel_study, gels
from benchmarks.rows.studies import pictures, ran
from benchmarks.table import Bench, Equality, Goal, Measured, Row, at_most

CHECK = """
import atexit, sys
atexit.register(lambda: print('imported', *sorted({'torch', 'timm', 'torchvision'} & sys.modules.keys())))
from foldwise.__main__ import main
sys.argv = ['foldwise', 'check', 'study.yaml']
main()
"""


def second_check(bench: Bench) -> Measured:
    """`foldwise check` of images that are decoded and models that were tried: what it takes, and what it says."""
    images = gels(bench)
    study = gel_study(images, "none", quick=bench.quick)
    (bench.folder / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
    first, *later = [spent([sys.executable, "-c", CHECK], cwd=bench.folder) for _ in range(2 + bench.rounds)]
    said = [
        [line for line in took.output.splitlines() if not line.startswith("imported")]
        for took in (first, *later)
    ]
    differing = sum(lines != said[0] for lines in said)
    imported = later[-1].output.splitlines()[-1].removeprefix("imported").strip() or "none of them"
    figures = {
        "CPU time": Figure.of([took.cpu_s for took in later]),
        "memory": Figure.of([took.memory_mb for took in later]),
    }
    remarks = (
        f"the first one, which decodes and tries the models, {first.cpu_s:.1f} CPU s and {first.memory_mb:,.0f} MB",
        f"of torch, timm and torchvision the last one imports {imported}",
    )
    return Measured(
        figures,
        Equality(f"{differing} of {len(later)} say something else than the first", not differing),
        "",
        remarks,
    )


def heads(bench: Bench) -> Measured:
    """Fits of heads on cached features, each beside a bare loop that trains and validates the same head."""
    from benchmarks.straight.heads import Heads

    images = gels(bench, 64)
    study = gel_study(images, "none", quick=True)  # what the encoder is does not matter here
    study["train"]["epochs"] = 5 if bench.quick else 20
    study["validate"]["folds"] = 2 if bench.quick else 5
    study["compare"]["model"] = ["timm:resnet10t"]
    _, run = ran(bench, 0, study)
    os.environ["FOLDWISE_CACHE"] = str(
        bench.folder / "run-0" / "cache"
    )  # of this process, which measures no other row
    return Heads(run, images).measured(bench.rounds)


def step(bench: Bench) -> Measured:
    """A step of training of several networks, on batches that lie ready and on those from the memory map."""
    from benchmarks.step import CASES, steps

    names = list(CASES)[:1] if bench.quick else list(CASES)
    rows = steps(names, rounds=3 if bench.quick else 7)
    figures = {}
    for way, name in STEPS.items():
        chosen = [row for row in rows if row.way == way]
        worst = max(chosen, key=lambda row: row.ratio[0])
        figures[name] = Figure(*worst.ratio, 3 if bench.quick else 7)
    remarks = tuple(f"{row.case}, {row.way}: {row.ratio[0]:.3f}" for row in rows if row.way != "bare")
    return Measured(figures, same_weights(rows), "", remarks)


def same_weights(rows: Sequence[Any]) -> Equality:
    """What the loop on ready batches and the bare one make of the same network."""
    difference = max(row.difference for row in rows if row.way == "ready")
    return Equality.within(difference, 0, "weights after the same steps")


STEPS = {"ready": "ready batches, the slowest network", "flips": "with flips, the slowest network"}
STEPS |= {"warps": "with warps, the slowest network"}


LOSSES = [
    {"cross_entropy": {}},
    {"focal": {}},
    {"focal": {"gamma": 4}},
    {"dice": {}},
    {"dice_cross_entropy": {}},
]
LOSSES += [{"cross_entropy": {"label_smoothing": 0.1}}]


def surfaces(bench: Bench) -> Measured:
    """Points of loss surfaces of six losses, and of one: a U-Net on ResNet18, 16 images, three classes."""
    import torch

    from foldwise.data.batches.batches import Batch
    from foldwise.insight.landscape.points import Landscape
    from foldwise.learning.networks.models import build
    from foldwise.learning.networks.network import DataShape
    from foldwise.learning.objectives.losses import make_loss
    from foldwise.learning.training.scoring import ForwardPass
    from foldwise.study.training import Choice, Training

    torch.set_num_threads(1)
    task, size = "multiclass_segmentation", 64 if bench.quick else 128
    training = Training.model_validate({"model": "smp:unet/resnet18"})
    network = build(training, DataShape(task, 3, 3, (size, size)), seed=0)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(16, 3, size, size, generator=generator)
    batches = [Batch(inputs, torch.randint(0, 3, (16, size, size), generator=generator), np.arange(16))]
    losses = [make_loss(Choice.model_validate(loss), task=task, num_classes=3) for loss in LOSSES]
    forward = ForwardPass(task, 3, torch.device("cpu"), "fp32")
    six, one = (Landscape(network, batches, some, forward) for some in (losses, losses[:1]))
    values, ratios = {}, []
    for turn in range(2 + 3 * bench.rounds):
        took = {}
        for name, landscape in (("six", six), ("one", one))[:: -1 if turn % 2 else 1]:
            began = time.process_time()
            values[name] = landscape.values()
            took[name] = time.process_time() - began
        ratios.append(took["six"] / took["one"])
    difference = float(abs(values["six"][0] - values["one"][0]))
    return Measured(
        {"CPU time": Figure.of(ratios[2:])}, Equality.within(difference, 0, "the loss that both have")
    )


def runtime(bench: Bench) -> Measured:
    """Predictions of several networks by foldwise as it answers on a CPU, and by torch as it comes, in one process."""
    from benchmarks.predicting import NETWORKS, figures

    names = list(NETWORKS)[-2:-1] if bench.quick else list(NETWORKS)
    rows = figures(3 if bench.quick else 7, {name: NETWORKS[name] for name in names})
    worst = min(rows, key=lambda row: row["ratio"]["onnxruntime"])
    figure = Figure(worst["ratio"]["onnxruntime"], *worst["range"]["onnxruntime"], 3 if bench.quick else 7)
    remarks = tuple(
        f"{row['network']}: {row['ratio']['onnxruntime']:.2f}x in onnxruntime, {row['ratio']['torch']:.2f}x in torch"
        for row in rows
    )
    equality = Equality.within(max(row["difference"] for row in rows), 1e-5, "probabilities")
    return Measured({"an image, the slowest network": figure}, equality, "", remarks)


def predict(bench: Bench) -> Measured:
    """`foldwise predict` beside a plain script with torch, by what further images take: imports are not in it."""
    few, many = (4, 24) if bench.quick else (16, 116)
    size = 64 if bench.quick else 224
    images = pictures(bench, "gels", 24, size)
    train = {"model": "timm:resnet18", "weights": "none", "epochs": 1, "batch_size": 8, "precision": "fp32"}
    about = {
        "study": "predict",
        "threads": 1,
        "data": {"path": str(images), "channels": "gray"},
        "train": train,
    }
    _, run = ran(bench, 0, about | {"validate": {"folds": 2}})
    folders = {number: _some(images, bench.folder / f"new-{number}", number) for number in (few, many)}
    ways = {}
    for number, folder in folders.items():
        for way in ("ours", "plain"):
            ways[f"{way} {number}"] = partial(_predicted, bench, way, run, folder)
    took = in_turns(ways, bench.rounds)
    more = {
        way: [a.cpu_s - b.cpu_s for a, b in zip(took[f"{way} {many}"], took[f"{way} {few}"], strict=True)]
        for way in ("ours", "plain")
    }
    plain = np.load(bench.folder / "plain.npy")
    remarks = (
        f"{1000 * np.median(more['ours']) / (many - few):.1f} ms of CPU an image more, by two networks",
    )
    equality = Equality.within(
        _apart(bench.folder / "told" / "predictions.csv", plain), 1e-4, "probabilities"
    )
    return Measured({"CPU time of further images": ratio(more["plain"], more["ours"])}, equality, "", remarks)


def _some(images: Path, folder: Path, number: int) -> Path:
    """So many images, those there are again and again."""
    files = sorted(images.rglob("*.png"))
    folder.mkdir()
    for index in range(number):
        shutil.copy(files[index % len(files)], folder / f"{index:04}.png")
    return folder


def _predicted(bench: Bench, way: str, run: Path, images: Path) -> Spent:
    if way == "plain":
        command = [sys.executable, "-m", "benchmarks.straight.predict", run / "winner", images, "plain.npy"]
    else:
        shutil.rmtree(bench.folder / "told", ignore_errors=True)  # what is there would not be predicted again
        command = foldwise("predict", run, images, "--out", "told", "--device", "cpu")
    return spent(command, cwd=bench.folder)


def _apart(table: Path, plain: np.ndarray) -> float:
    """The greatest difference of the probabilities that both give; of the last call of both, which was of the same images."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["image"])
    names = [name for name in rows[0] if name.startswith("probability_")]
    own = np.array([[float(row[name]) for name in names] for row in rows])
    return float(np.abs(own - plain).max()) if own.shape == plain.shape else float("inf")


def lacking(module: str) -> Callable[[], str]:
    """What says that a module of the bench is not here."""
    return lambda: "" if find_spec(module) else f"{module} is not here yet"


def no_gpu() -> str:
    """Why rows of a GPU are not measured."""
    import torch

    return lacking("benchmarks.step")() if torch.cuda.is_available() else "no GPU here"


def gpu_step(bench: Bench) -> Measured:
    """Small models at 128 to 256 px on a GPU: training from resident data against the bare step on tensors that lie ready."""
    from benchmarks.step import CASES, steps, together

    names = [name for name in CASES if "128 px" in name or "256 px" in name]
    rows = steps(names, device="cuda", rounds=3 if bench.quick else 7)
    chosen = [row for row in rows if row.way == "resident, flips"]
    worst = max(chosen, key=lambda row: row.ratio[0])
    middle, low, high = worst.ratio
    figure = Figure(1 / middle, 1 / high, 1 / low, 3 if bench.quick else 7)
    per_second = {number: together(names[0], device="cuda", workers=number) for number in (1, 2, 4)}
    remarks = [f"{row.case}, {row.way}: {1000 * row.batch_size / row.step_ms:,.0f} images/s" for row in rows]
    shared = ", ".join(f"{number}: {speed:,.0f}" for number, speed in per_second.items())
    remarks.append(f"{names[0]}, images/s of so many fits at once on one GPU: {shared}")
    return Measured({"images per second": figure}, same_weights(rows), "", tuple(remarks))


ROWS = (
    Row(
        "step",
        "a step of training; below 1 foldwise is faster",
        "the bare step",
        dict.fromkeys(STEPS.values(), at_most(1.05)),
        step,
        minutes=4,
        quick_minutes=0.5,
        lacks=lacking("benchmarks.step"),
    ),
    Row(
        "heads",
        "a head fit on cached features; below 1 foldwise is faster",
        "the bare fit",
        {"linear": at_most(1.3), "mlp": at_most(1.3)},
        heads,
        minutes=3,
        quick_minutes=0.5,
    ),
    Row(
        "check",
        "second `check` of decoded images",
        "CPU seconds",
        {"CPU time": at_most(2, "s"), "memory": at_most(300, "MB")},
        second_check,
        minutes=3,
        quick_minutes=0.7,
    ),
    Row(
        "surfaces",
        "a point of loss surfaces of 6 losses; in times as long",
        "one loss",
        {"CPU time": at_most(1.3)},
        surfaces,
        minutes=1,
        quick_minutes=0.3,
    ),
    Row(
        "runtime",
        "an image through a network on a CPU",
        "torch eager",
        {"an image, the slowest network": Goal(1.7)},
        runtime,
        minutes=2,
        quick_minutes=0.5,
        lacks=lacking("benchmarks.predicting"),
    ),
    Row(
        "predict",
        "`foldwise predict` on a CPU, ResNet18",
        "torch eager",
        {"CPU time of further images": Goal(1.7)},
        predict,
        minutes=5,
        quick_minutes=1,
    ),
    Row(
        "gpu",
        "small models at 128 to 256 px on a GPU",
        "the same model on synthetic resident data",
        {"images per second": Goal(0.9)},
        gpu_step,
        minutes=5,
        quick_minutes=1,
        lacks=no_gpu,
    ),
)
