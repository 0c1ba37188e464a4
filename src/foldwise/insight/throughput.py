"""How fast a model trains and answers, and what it takes, batch size by batch size, and against which limit."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch

from foldwise.data.batches.batches import Batch, CachedFeatures, Pictures
from foldwise.data.batches.sampling import epoch_order, step_generators
from foldwise.learning.checkpoints.saved import FEATURES, RECORD, Encoder, versions
from foldwise.learning.job import Job
from foldwise.learning.networks.describing import describe
from foldwise.learning.networks.network import Classifier, DataShape
from foldwise.learning.training import devices
from foldwise.learning.training.energy import EnergyMeter
from foldwise.learning.training.setup import FitRequest, TrainingSetup, set_up
from foldwise.learning.training.train import step
from foldwise.resources import usable
from foldwise.runs.device_memory import is_out_of_memory
from foldwise.storage import write_array, write_json
from foldwise.study.training import Training

WARM_UPS, REPEATS = 2, 5
OUT_OF_MEMORY, TOO_LARGE, TOO_FEW = "out of memory", "more memory than is free", "needs batches of 2 or more"
NO_TIME = "not tried: the time was up"
FILLED = 0.25  # of the time there is, at most, in which images are asked for before the clock runs
# Counters of energy step every 20 to 100 ms (of cards), and what is shorter would be charged with its neighbours.
COUNTED_S = 0.2


def measure_item(job: Job) -> dict[str, Any]:
    """Measure a model at every batch size; the content of its ``result.json``.

    Args:
        job: its settings are training, batch_sizes, seconds (about so many for each number), seed, threads; `features`,
            the views of stored outputs on which a head is measured; `budget_s`, after which nothing more is begun.

    Returns:
        ``points``, one for each batch size: `train`, `limit` and `inference` in images per second (`Pace`),
        `peak_memory_mb`, and the `problem` in place of what could not be measured. ``held`` says where the pixels
        came from, ``others_busy`` how many cores other programs kept busy meanwhile, ``settings`` what was asked.
    """
    settings, request = job.settings, FitRequest.of(job)
    training, device, budget_s = request.training, request.device, settings.get("budget_s", math.inf)
    with devices.steady(request.seed, settings["threads"], device), TemporaryDirectory() as scratch:
        memory, (began, others_before) = devices.MemoryPeak(device), _by_others()
        setup = set_up(request)
        parameters = sum(values.numel() for values in setup.learner.network.parameters())
        if settings.get("features"):
            request = replace(request, encoder=_features(request, setup, Path(scratch)))
            setup = set_up(request)
        start = time.perf_counter()
        filled = _filled(setup.source, request.split.train, FILLED * budget_s)
        request = replace(request, split=replace(request.split, train=filled))
        fill_s = time.perf_counter() - start
        points: list[dict[str, Any]] = []
        for size in settings["batch_sizes"]:
            job.beat({"doing": f"batches of {size}"})
            left_s = budget_s - (time.perf_counter() - began)
            last = points[-1] if points else None
            points.append(_point(request, setup, memory, size=size, last=last, left_s=left_s))
    now, others = _by_others()
    return {
        "model": str(training.model),
        "settings": settings,
        "cache": training.cache,
        "held": setup.source.cache,
        "fill_s": fill_s,
        "parameters": parameters,
        "device": device.type,
        "device_name": devices.device_name(device),
        "precision": request.precision,
        "threads": settings["threads"],
        "peak_memory_is": memory.kind,
        "points": points,
        "cores": usable().cores,
        # What other programs do meanwhile makes every number worse.
        "others_busy": max(0.0, (others - others_before) / max(now - began, 1e-9)),
        "versions": versions(),
    }


def check_measurable(trainings: Iterable[dict[str, Any]], *, shape: Callable[[Training], DataShape]) -> None:
    """Build every model once that is to be measured.

    Args:
        trainings: as settings of items have them.
        shape: of the data that a training meets.

    Raises:
        SpecError: what `describe` refuses.
    """
    models = {str(training["model"]): Training.model_validate(training) for training in trainings}
    for training in models.values():
        describe(training, shape(training))


def _features(request: FitRequest, setup: TrainingSetup, folder: Path) -> Encoder:
    """Outputs of the encoder for one image in place of those for all: how fast a head learns depends on no value."""
    network, source = setup.learner.network.eval(), setup.source
    assert isinstance(network, Classifier)
    assert isinstance(source, Pictures)
    image = source.gather(request.split.train[:1]).inputs.contiguous(
        memory_format=setup.learner.forward.layout
    )
    with torch.inference_mode(), devices.autocast(request.device, request.precision):
        features_1F = network.features(image).float().cpu().numpy()
    passes = {view: [folder / str(view)] for view in request.settings["features"]}
    for view, (own,) in passes.items():
        own.mkdir()
        write_array(own / FEATURES, np.repeat(features_1F, len(request.packed), axis=0))
        write_json(own / RECORD, {"view": view, "normalization": source.normalization.dump(), "cost": {}})
    return Encoder("features", passes[0][0], passes)


def _filled(source: Pictures | CachedFeatures, cases: np.ndarray, seconds: float) -> np.ndarray:
    """The cases that were asked for once, so that no cache is empty when the clock runs; not all of very many."""
    until = time.perf_counter() + seconds
    for number, case in enumerate(cases.tolist(), 1):
        source.gather(np.array([case]))
        if time.perf_counter() > until:
            return cases[:number]
    return cases


@dataclass(frozen=True)
class Pace:
    """Images per second: the median of some repeats with the slowest and the fastest, after a warm-up.

    `joules_per_image` is None where this machine has no counter, or the repeats are too short for it.
    """

    median: float
    low: float
    high: float
    repeats: int
    joules_per_image: float | None = None


def paces(works: Sequence[Callable[[], int]], device: torch.device, *, seconds: float) -> list[Pace]:
    """How fast pieces of work go, each of which says how many images it did.

    They take turns, so that what else the machine does meets all of them alike. Each takes about `seconds` beside its
    warm-up, and is done three times at least.
    """
    meter = EnergyMeter(device)
    at_once = []  # repetitions between two readings of the clock, so that short works are not timed by its grain
    for work in works:
        took = max([_timed(work, device, 1)[1] for _ in range(WARM_UPS)][-1], 1e-9)
        at_once.append(max(1, int(seconds / REPEATS / took)))
    speeds: list[list[float]] = [[] for _ in works]
    spent: list[list[tuple[float, float]]] = [[] for _ in works]  # joules and images of each repeat
    began = time.perf_counter()
    for number in range(REPEATS):
        # The first is done however long it takes, as there is no median of nothing.
        if number and time.perf_counter() - began > seconds * len(works):
            break
        for work, times, speed, joules in zip(works, at_once, speeds, spent, strict=True):
            before = meter.joules()
            images, took = _timed(work, device, times)
            after = meter.joules()
            speed.append(images / took)
            if before is not None and after is not None and took >= COUNTED_S:
                joules.append((after - before, images))
    return [
        Pace(statistics.median(speed), min(speed), max(speed), len(speed), _each(joules))
        for speed, joules in zip(speeds, spent, strict=True)
    ]


def _each(counted: Sequence[tuple[float, float]]) -> float | None:
    """Joules for one image, over all repeats; None where none was counted."""
    return sum(joules for joules, _ in counted) / sum(images for _, images in counted) if counted else None


def _timed(work: Callable[[], int], device: torch.device, times: int) -> tuple[int, float]:
    """Images done and seconds taken, all work of the device included."""
    devices.synchronize(device)
    start = time.perf_counter()
    images = sum(work() for _ in range(times))
    devices.synchronize(device)
    return images, time.perf_counter() - start


def _point(
    request: FitRequest,
    setup: TrainingSetup,
    memory: devices.MemoryPeak,
    *,
    size: int,
    last: dict[str, Any] | None,
    left_s: float,
) -> dict[str, Any]:
    """What is known of one batch size; `last` is the next smaller one, and `left_s` how much time is left."""
    blank = {"batch_size": size, "train": None, "limit": None, "inference": None, "peak_memory_mb": None}
    if last and _would_not_fit(last, size, request.device):
        return blank | {"problem": TOO_LARGE}
    if left_s < 0 or (last and _least_s(last, size) > left_s):
        return blank | {"problem": NO_TIME}
    problem = None
    try:
        return blank | _measured(request, setup, memory, size) | {"problem": None}
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        problem = OUT_OF_MEMORY
    except ValueError as error:  # torch, of batch statistics of one value
        if size > 1 or "more than 1 value per channel" not in str(error):
            raise
        problem = TOO_FEW
    setup.learner.optimizer.zero_grad(set_to_none=True)
    devices.release_memory(request.device)  # out here the tensors of the failed attempt are free
    return blank | {"problem": problem}


def _least_s(last: dict[str, Any], size: int) -> float:
    """The least that the three speeds of a batch size take, by those of the next smaller one; infinite where that had no time."""
    if last["problem"] == NO_TIME:
        return math.inf
    speeds = [last[name]["median"] for name in ("train", "limit", "inference") if last[name]]
    return (WARM_UPS + 1) * size * sum(1 / speed for speed in speeds)


def _measured(
    request: FitRequest, setup: TrainingSetup, memory: devices.MemoryPeak, size: int
) -> dict[str, Any]:
    learner, source, seconds = setup.learner, setup.source, request.settings["seconds"]
    memory.reset()  # so that the peak is that of this batch size
    # Training takes a new batch each time, the limit the same one again: what is between them is the cost of the data.
    batches = _endless(request, source, size)
    batch = next(batches)
    learner.network.train()

    def learn(batch: Batch) -> int:
        step(learner, batch)
        return len(batch.cases)

    def learn_next() -> int:
        return learn(next(batches))

    train, limit = paces((learn_next, lambda: learn(batch)), request.device, seconds=seconds)
    peak_mb = memory.mb()
    measured = {"train": asdict(train), "limit": asdict(limit), "peak_memory_mb": peak_mb}
    if request.encoder is not None:  # whoever asks about an image has no features of it
        return measured
    return measured | {"inference": asdict(_inference(request, setup, size, seconds=seconds))}


@torch.inference_mode()
def _inference(request: FitRequest, setup: TrainingSetup, size: int, *, seconds: float) -> Pace:
    """Whole images from the cache through the network, to logits on the device."""
    network, forward, source = setup.learner.network.eval(), setup.learner.forward, setup.source
    order = _cases(request, size)

    def look() -> int:
        batch = source.gather(next(order))
        forward.logits(network, batch.inputs)
        return len(batch.cases)

    return paces((look,), request.device, seconds=seconds)[0]


def _endless(request: FitRequest, source: Pictures | CachedFeatures, size: int) -> Iterator[Batch]:
    """Full batches as training has them, cropped and augmented, epoch after epoch."""
    training = request.training
    order, generators = _cases(request, size), step_generators(request.seed, 1)
    if isinstance(source, CachedFeatures):
        return source.training(order, augment=training.augment, generators=generators)
    return source.training(order, crop_px=training.crop_px, augment=training.augment, generators=generators)


def _cases(request: FitRequest, size: int) -> Iterator[np.ndarray]:
    """Case indices of full batches without end: shuffled, and dealt again where a batch is larger than an epoch."""
    train = request.split.train
    steps = -(-len(train) // size)
    for epoch in itertools.count(1):
        yield from epoch_order(train, batch_size=size, seed=request.seed, epoch=epoch, steps=steps)


def _would_not_fit(last: dict[str, Any], size: int, device: torch.device) -> bool:
    """Whether a batch needs more than all memory of a CPU: there the system would end the worker, and say nothing."""
    if device.type != "cpu":
        return False
    if last["problem"] in (OUT_OF_MEMORY, TOO_LARGE):
        return True
    if last["peak_memory_mb"] is None:
        return False
    wanted_mb = last["peak_memory_mb"] * size / last["batch_size"]
    return bool(wanted_mb - last["peak_memory_mb"] > usable().free / devices.BYTES_PER_MB)


def _by_others() -> tuple[float, float]:
    """Seconds by the clock, and those that other programs kept a core busy; both since some moment."""
    times = psutil.cpu_times()
    # Waiting for a disk keeps no core busy.
    busy = sum(times[:8]) - times.idle - getattr(times, "iowait", 0.0)
    return time.perf_counter(), busy - time.process_time()
