"""A step of training against the bare step: forward, loss, backward and optimiser on tensors that lie ready.

    python -m benchmarks.step [--only NAME ...] [--device cpu|cuda] [--rounds 7] [--workers N ...]

The bare step is written here, with the same network in the same memory layout, a plain loss of torch and its fused AdamW.
foldwise's is its own loop, on batches that lie ready, on batches from the memory map, and on those flipped, warped, or
changed in all ways; on a GPU also from images that lie there. All take turns in one process of one thread, round after
round; what is compared is CPU time, on a GPU the clock's. The ratio is foldwise's time over the bare one of the same
round: below 1 foldwise is faster. `--workers` counts the images per second of several processes on one device together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foldwise.data.batches.batches import Batch, Pictures
from foldwise.data.batches.sampling import step_generators
from foldwise.data.cache.packed import Packed, Remembered
from foldwise.data.cache.packing import pack
from foldwise.data.folds.splits import Split
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.phantoms.catalogue import make
from foldwise.learning.training.devices import pick_device, steady, synchronize
from foldwise.learning.training.setup import FitRequest, TrainingSetup, set_up
from foldwise.learning.training.train import train
from foldwise.study.spec import DataSpec
from foldwise.study.training import AUGMENTS, Augment, Training

NUM_IMAGES, NUM_READY, NUM_COMPARED = 64, 4, 3
LEAST_S = 0.25  # of a round of one way; fewer steps would be timed by their spread
WARPS = Augment(flip=True, turn=True, rotate_deg=15, scale=0.1, shift=0.05)


@dataclass(frozen=True)
class Case:
    """A network on images of a side, in batches of a size."""

    model: Any
    kind: str
    size_px: int
    batch_size: int


CASES = {
    "conv, 23 k, 32 px": Case({"conv": {"width": 16, "depth": 3}}, "gels", 32, 16),
    "conv, 388 k, 64 px": Case("conv", "gels", 64, 16),
    "ResNet18, 128 px": Case("timm:resnet18", "gels", 128, 16),
    "U-Net/ResNet18, 128 px": Case("smp:unet/resnet18", "bacteria", 128, 8),
    "U-Net/ResNet18, 256 px": Case("smp:unet/resnet18", "bacteria", 256, 4),
}
WAYS = {"map": AUGMENTS["none"], "flips": AUGMENTS["flips"], "warps": WARPS, "strong": AUGMENTS["strong"]}


@dataclass(frozen=True)
class Row:
    """What one way of a case took.

    Attributes:
        step_ms: milliseconds a step, median over the rounds.
        ratio: of them to the bare step of the same round: median, least and most.
        faults: page faults a step, median.
        difference: the greatest one between weights of the bare loop and of foldwise's after the same steps.
    """

    case: str
    way: str
    batch_size: int
    step_ms: float
    ratio: tuple[float, float, float]
    faults: float
    difference: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has them."""
        middle, low, high = (f"{value:.3f}" for value in self.ratio)
        per_second = f"{1000 * self.batch_size / self.step_ms:,.0f}"
        ratio, numbers = f"{middle} ({low} to {high})", (f"{self.faults:,.0f}", f"{self.difference:.1g}")
        return self.case, self.way, f"{self.step_ms:.2f}", per_second, ratio, *numbers


HEAD = ("network", "batches", "ms", "images/s", "over the bare step", "page faults", "weights differ")


def steps(names: Sequence[str] = tuple(CASES), *, device: str = "cpu", rounds: int = 7) -> list[Row]:
    """The rows of every case: the bare step, ready batches, and every row of `WAYS`."""
    rows = []
    for name in names:
        case = CASES[name]
        with packed_of(case) as packed:
            rows += _rows(name, case, packed, pick_device(device), rounds)
    return rows


@contextmanager
def packed_of(case: Case) -> Iterator[Packed]:
    """Pictures of a case, drawn, decoded and packed; all of it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        pictures, data = Path(scratch) / "pictures", DataSpec(path="pictures")
        make(case.kind, pictures, images=NUM_IMAGES, size=case.size_px, difficulty=0.5, seed=0)
        with patch.dict(os.environ, FOLDWISE_CACHE=f"{scratch}/cache"):
            yield pack(read_dataset(data, base=Path(scratch)), data)


def request_of(case: Case, packed: Packed, device: torch.device) -> FitRequest:
    """A fit of a case whose training part is all images."""
    every = np.arange(len(packed))
    training = Training.model_validate(
        {
            "model": case.model,
            "optimizer": {"adamw": {"lr": 0.0003}},
            "batch_size": case.batch_size,
            "epochs": 10_000,
            "loss": "cross_entropy",
            "precision": "fp32",
        }
    )
    settings = {"seed": 0, "threads": 1, "repeat": 0, "fold": 0, "select": "auto"}
    return FitRequest(settings, training, packed, Split(0, 0, every, every[:0], every[:0]), device)


def _rows(name: str, case: Case, packed: Packed, device: torch.device, rounds: int) -> list[Row]:
    with steady(0, 1, device):
        plain, setup = (set_up(request_of(case, packed, device)) for _ in range(2))
        works = {"bare": bare(plain), "ready": ready(setup)}
        for work in works.values():
            work(NUM_COMPARED)
        pairs = zip(plain.learner.network.parameters(), setup.learner.network.parameters(), strict=True)
        difference = max(float((one - other).detach().abs().max()) for one, other in pairs)
        works |= {way: from_map(setup, augment, case.batch_size) for way, augment in WAYS.items()}
        if device.type == "cuda":
            held = set_up(request_of(case, Remembered(packed.folder), device))
            for way, augment in WAYS.items():
                works[f"resident, {way}"] = from_map(held, augment, case.batch_size)
        measured = taking_turns(works, device, rounds)
    rows = []
    for way, done in measured.items():
        ratios = [ours[0] / plain[0] for ours, plain in zip(done, measured["bare"], strict=True)]
        spread = (statistics.median(ratios), min(ratios), max(ratios))
        step_ms, faults = (
            1000 * statistics.median(row[0] for row in done),
            statistics.median(row[1] for row in done),
        )
        rows.append(Row(name, way, case.batch_size, step_ms, spread, faults, difference))
    return rows


def taking_turns(
    works: dict[str, Callable[[int], None]], device: torch.device, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds and page faults a step of every way, for each round."""
    for work in works.values():
        work(NUM_COMPARED)
    took = timed(works["bare"], device, 3)[0]
    number = max(3, int(LEAST_S / took))
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in works}
    for turn in range(rounds):
        # In both directions, so that what comes first is not always the same.
        for way in list(works)[:: 1 if turn % 2 else -1]:
            measured[way].append(timed(works[way], device, number))
    return measured


def timed(work: Callable[[int], None], device: torch.device, number: int) -> tuple[float, float]:
    """Seconds and page faults a step: of the processor, on another device by the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    synchronize(device)
    began, faults = clock(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work(number)
    synchronize(device)
    return (clock() - began) / number, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / number


def ready_batches(setup: TrainingSetup) -> list[Batch]:
    """Batches of a fit that lie ready, in the layout that its network has."""
    layout = setup.learner.forward.layout
    batches = list(islice(setup.batches_of(1, 0), NUM_READY))
    return [replace(batch, inputs=batch.inputs.contiguous(memory_format=layout)) for batch in batches]


def bare(setup: TrainingSetup) -> Callable[[int], None]:
    """The bare step, so many times."""
    network, batches = setup.learner.network, ready_batches(setup)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0003, fused=True)

    def work(number: int) -> None:
        network.train()
        for n in range(number):
            batch = batches[n % NUM_READY]
            optimizer.zero_grad()
            loss: Tensor = F.cross_entropy(network(batch.inputs), batch.targets)
            loss.backward()
            optimizer.step()

    return work


def ready(setup: TrainingSetup) -> Callable[[int], None]:
    """foldwise's loop on batches that lie ready."""
    batches = ready_batches(setup)
    return partial(_epoch, setup, lambda number: (batches[n % NUM_READY] for n in range(number)))


def from_map(setup: TrainingSetup, augment: Augment, batch_size: int) -> Callable[[int], None]:
    """foldwise's loop on batches as a fit makes them."""
    source = setup.source
    assert isinstance(source, Pictures)
    every = np.random.default_rng(0).permutation(len(source.packed))
    order = [every[start : start + batch_size] for start in range(0, len(every), batch_size)]

    def batches(number: int) -> Iterator[Batch]:
        dealt = (order[n % len(order)] for n in range(number))
        return source.training(dealt, crop_px=None, augment=augment, generators=step_generators(0, 1))

    return partial(_epoch, setup, batches)


def _epoch(setup: TrainingSetup, batches: Callable[[int], Iterator[Batch]], number: int) -> None:
    """One epoch of so many steps."""
    next(train(setup.learner, lambda epoch, first: batches(number), 1))


def together(name: str, *, device: str, workers: int, seconds: float = 10.0) -> float:
    """Images per second of several processes on one device, each of which trains the network of a case, with flips.

    On a GPU the images lie there.
    """
    context = multiprocessing.get_context("spawn")
    barrier, speeds = context.Barrier(workers), context.SimpleQueue()
    crew = [
        context.Process(target=_alone, args=(name, device, seconds, barrier, speeds)) for _ in range(workers)
    ]
    for process in crew:
        process.start()
    for process in crew:
        process.join()
    if any(process.exitcode for process in crew):
        raise SystemExit(f"one of {workers} processes failed")
    return sum(speeds.get() for _ in crew)


def _alone(name: str, device: str, seconds: float, barrier: Any, speeds: Any) -> None:
    case, where = CASES[name], pick_device(device)
    with packed_of(case) as packed, steady(0, 1, where):
        work = from_map(
            set_up(request_of(case, Remembered(packed.folder), where)), WAYS["flips"], case.batch_size
        )
        work(NUM_COMPARED)
        synchronize(where)
        barrier.wait()
        began, images = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            work(10)
            images += 10 * case.batch_size
        synchronize(where)
        speeds.put(images / (time.perf_counter() - began))


def table(head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """As markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows)])


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[], help="count images per second of so many"
    )
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("Nothing is measured: torch finds no GPU here.")
        return 0
    if asked.workers:
        rows = [
            (name, str(workers), f"{together(name, device=asked.device, workers=workers):,.0f}")
            for name in asked.only
            for workers in asked.workers
        ]
        print(table(("network", "processes", "images/s of all"), rows))
        return 0
    print(table(HEAD, [row.cells for row in steps(asked.only, device=asked.device, rounds=asked.rounds)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
