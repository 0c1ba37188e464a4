"""One fit: a configuration on one fold, trained, its epoch chosen, and its test fold predicted once.

`_fit` is the table of contents. The test fold is touched by its last step only, when everything is frozen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from foldwise.learning.checkpoints.saved import versions
from foldwise.learning.job import Job
from foldwise.learning.training.devices import Stopwatch
from foldwise.learning.training.energy import Spending
from foldwise.learning.training.fit_files import (
    Watch,
    images_to_watch,
    write_losses,
    write_network,
    write_scores,
)
from foldwise.learning.training.scoring import Scores, evaluate
from foldwise.learning.training.setup import FitRequest, TrainingSetup, set_up, with_less_memory
from foldwise.learning.training.train import Epoch, finite, recorded, restore, selector, state_of, train
from foldwise.runs.leases import Beat
from foldwise.study.training import Task, stated_loss


def fit_item(job: Job) -> dict[str, Any]:
    """Do one fit; the content of its ``result.json``. Where memory runs out, again with half the batch.

    Args:
        job: its settings are training, task, repeat, fold, seed, threads and select, as the plan has them; its inputs
            the features item where the encoder is frozen and shared, or the item that pretrained it; its scratch
            folder gets ``scores.npz``, ``predictions.npz`` (segmentation), ``watched.npz`` (of its first fold),
            ``loss_curve.npz`` (where one case by itself has a loss, see `loss_curve`),
            ``weights.safetensors`` (only those of the head, where the encoder is shared), ``weight_quantiles.npz``,
            ``model.json``, ``log.txt``.

    Raises:
        FoldwiseError: the device is not there, or the training diverged.
    """
    return with_less_memory(FitRequest.of(job), lambda request: _fit(request, job.scratch, job.beat))


def _fit(request: FitRequest, scratch: Path, beat: Beat) -> dict[str, Any]:
    """Set up, train, choose the epoch, predict the test fold once, write."""
    spent = Spending(request.device)
    setup = set_up(request)
    chosen = choose_epoch(request, setup, spent.energy.beside(beat))
    # From here on nothing is chosen any more, so the test fold may be looked at.
    restore(setup.learner.network, chosen.best)
    with chosen.evaluating.lap():
        train_scores = score(request, setup, request.split.train, fully=False)
        test = score(request, setup, request.split.test, fully=True)
    write_scores(request, scratch, train=train_scores, validation=chosen.validation, test=test)
    weights = write_network(request, setup, scratch)
    write_losses(request, chosen.watch, scratch)
    log = [json.dumps(record) for record in chosen.epochs]
    log.append(f"best epoch {chosen.best_epoch} by {chosen.select}")
    (scratch / "log.txt").write_text("\n".join(log) + "\n", encoding="utf-8")
    warnings = list(setup.warnings)
    if request.halvings:
        size, part = request.training.batch_size, request.pass_size
        warnings.append(
            f"memory ran out: each batch of {size} was worked in parts of {part}, their gradients summed"
        )
    return {
        "epochs": chosen.epochs,
        "best_epoch": chosen.best_epoch,
        "select": chosen.select,
        "loss": str(stated_loss(request.training.loss, request.packed.task)),
        "weights": weights,
        "cost": costs(request, setup, chosen, spent),
        "warnings": warnings,
        "versions": versions(),
    }


@dataclass(frozen=True)
class Chosen:
    """The epochs that were trained and the one that was best on the inner validation, with what it said of that."""

    epochs: list[dict[str, Any]]
    best_epoch: int
    best: dict[str, Tensor]
    validation: Scores
    select: str
    evaluating: Stopwatch
    watch: Watch | None


def choose_epoch(request: FitRequest, setup: TrainingSetup, beat: Beat) -> Chosen:
    """Train until the last epoch, or until patience ends; the earliest of equally good epochs is the best.

    Of a segmentation, an epoch is as good as the median of its score and the two before it (`Selector.steadied`), of
    those there are in epochs 1 and 2. Patience counts from the best epoch by the same measure.
    """
    tolerance_px = request.settings.get("tolerance_px")
    by = selector(request.settings["select"], request.packed.task, tolerance_px=tolerance_px)
    select = by.metric.name
    training, network = request.training, setup.learner.network
    evaluating, watch = Stopwatch(request.device), _watch(request)
    records: list[dict[str, Any]] = []
    values: list[float] = []
    best_epoch, best_score, best = 0, None, None
    for epoch in train(setup.learner, setup.batches_of, training.epochs):
        with evaluating.lap():
            validation = score(request, setup, request.split.validation, fully=by.fully, watch=watch)
            values.append(by.value(validation, request.packed.target))
        steadied = by.steadied(values)
        is_best = by.is_better(steadied, best_score)
        if is_best:
            best_epoch, best_score, best = epoch.number, steadied, (state_of(network), validation)
        if watch is not None:
            watch.keep(epoch.number, validation.watched, is_best=is_best)
        records.append(_record(epoch, validation, request.packed.task, values[-1], steadied))
        progress = {"epoch": epoch.number, "epochs": training.epochs}
        beat(progress | {"metric": select, "score": finite(values[-1])})
        if training.patience_epochs is not None and epoch.number - best_epoch >= training.patience_epochs:
            break
    assert best is not None  # there is at least one epoch, and the first beats none
    return Chosen(records, best_epoch, *best, select, evaluating, watch)


def _record(epoch: Epoch, validation: Scores, task: Task, value: float, steadied: float) -> dict[str, Any]:
    """What result.json says of an epoch; ``val_steady`` is what chose, for images the same as ``val_score``."""
    return {
        "epoch": epoch.number,
        "train_loss": epoch.loss,
        "val_loss": finite(validation.loss),
        "val_score": finite(value),
        "val_steady": finite(steadied),
        **recorded(validation, task),
        "lr": epoch.lr,
        "seconds": epoch.seconds,
    }


def _watch(request: FitRequest) -> Watch | None:
    """In the first fold of a segmentation, where a report shows maps through training."""
    first = request.settings["repeat"] == request.settings["fold"] == 0
    if not (request.segmentation and first):
        return None
    return Watch(images_to_watch(request.packed, request.split.validation), request.training.epochs)


def score(
    request: FitRequest, setup: TrainingSetup, cases: np.ndarray, *, fully: bool, watch: Watch | None = None
) -> Scores:
    """What the network says about whole, unchanged images."""
    learner, strides = setup.learner, watch.strides if watch else None
    batches = setup.source.whole(cases, batch_size=request.pass_size)
    return evaluate(learner.network, batches, learner.forward, loss=learner.loss, fully=fully, watch=strides)


def costs(request: FitRequest, setup: TrainingSetup, chosen: Chosen, spent: Spending) -> dict[str, Any]:
    """What the fit took and what its network takes; None where it was not measured, never 0."""
    # Before the latency is measured, which is no part of the fit.
    memory_and_energy = spent.record()
    parameters = list(setup.learner.network.parameters())
    shared = {} if request.encoder is None else request.encoder.record["cost"]
    before = {} if request.pretrained is None else request.pretrained.cost
    # Where the encoder is shared the setup holds the head alone, and an image goes through both.
    latency = setup.latency_ms() + shared.get("latency_ms", 0.0)
    measured = [cost["energy_j"] for cost in (shared, before) if cost.get("energy_j") is not None]
    return {
        "train_s": sum(record["seconds"] for record in chosen.epochs),
        "evaluate_s": chosen.evaluating.seconds,
        "shared_features_s": shared.get("features_s"),
        "shared_pretrain_s": before.get("pretrain_s"),
        "parameters": sum(values.numel() for values in parameters) + shared.get("parameters", 0),
        "trainable_parameters": sum(values.numel() for values in parameters if values.requires_grad),
        **memory_and_energy,
        "reserved_memory_mb": spent.memory.reserved_mb(),
        "shared_peak_memory_mb": shared.get("peak_memory_mb"),
        "shared_energy_j": sum(measured) if measured else None,
        "latency_ms": latency,
        **request.costed_on(),
        "cache": setup.source.cache,
    }
