"""One fit: a configuration on one fold, trained, its epoch chosen, and its test fold predicted once.

`_fit` is the table of contents. The test fold is touched by its last step only, when everything is frozen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from foldwise.data.batches.sampling import presence, stratified_sample
from foldwise.learning.checkpoints.saved import versions
from foldwise.learning.job import Job
from foldwise.learning.training import fit_files
from foldwise.learning.training.devices import Stopwatch
from foldwise.learning.training.energy import Spending
from foldwise.learning.training.resuming import ResumedTraining, resumable
from foldwise.learning.training.scoring import Scores, evaluate
from foldwise.learning.training.setup import FitRequest, TrainingSetup, set_up, with_less_memory
from foldwise.learning.training.train import Epoch, Selector, finite, recorded, restore, selector, state_of
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
    with resumable(job, FitRequest.of(job)) as (request, resuming):
        # No page shows what an A/A fit says of its training part.
        shown = scored_in_training(request) if job.item.kind == "fit" else None
        return with_less_memory(
            request, lambda request: _fit(request, shown, job.scratch, job.beat, resuming)
        )


def _fit(
    request: FitRequest, shown: np.ndarray | None, scratch: Path, beat: Beat, resuming: ResumedTraining
) -> dict[str, Any]:
    """Set up, train, choose the epoch, predict the test fold once, and what is `shown` of the training part; write."""
    spent = Spending(request.device)
    setup = set_up(request)
    chosen = choose_epoch(request, setup, spent, resuming, beat)
    # From here on nothing is chosen any more, so the test fold may be looked at.
    restore(setup.learner.network, chosen.best)
    with chosen.evaluating.lap():
        train = None if shown is None else score(request, setup, resuming, shown, last=True)
        test = score(request, setup, resuming, request.split.test, fully=True, last=True)
    fit_files.write_scores(request, scratch, train=train, validation=chosen.best_validation, test=test)
    weights = fit_files.write_network(request, setup, scratch)
    fit_files.write_losses(request, chosen.watch, scratch)
    log = [json.dumps(record) for record in chosen.epochs]
    log.append(f"best epoch {chosen.best_epoch} by {chosen.by.metric.name}")
    (scratch / "log.txt").write_text("\n".join(log) + "\n", encoding="utf-8")
    warnings = [*setup.warnings, *resuming.notes]
    if request.halvings:
        size, part = request.training.batch_size, request.pass_size
        warnings.append(
            f"memory ran out: each batch of {size} was worked in parts of {part}, their gradients summed"
        )
    return {
        "epochs": chosen.epochs,
        "best_epoch": chosen.best_epoch,
        "select": chosen.by.metric.name,
        "loss": str(stated_loss(request.training.loss, request.packed.task)),
        **({"views": request.training.views_sentence} if request.training.fixed_views else {}),
        "weights": weights,
        "cost": costs(request, setup, chosen, spent),
        "warnings": warnings,
        "versions": versions(),
    }


def trial_item(job: Job) -> dict[str, Any]:
    """One configuration of a search on one fold, trained and validated; the content of its ``result.json``.

    It leaves no network and never looks at the test fold: ``value`` is the best `val_steady` of its epochs, which is all
    that a search is told.

    Raises:
        FoldwiseError: the device is not there, or the training diverged.
    """
    with resumable(job, FitRequest.of(job)) as (request, resuming):
        return with_less_memory(request, lambda request: _trial(request, job.beat, resuming))


def _trial(request: FitRequest, beat: Beat, resuming: ResumedTraining) -> dict[str, Any]:
    spent = Spending(request.device)
    setup = set_up(request)
    chosen = choose_epoch(request, setup, spent, resuming, beat)
    metric = chosen.by.metric
    return {
        "epochs": chosen.epochs,
        "best_epoch": chosen.best_epoch,
        "select": metric.name,
        "higher_is_better": metric.higher_is_better,
        "value": None if chosen.best_score is None else finite(chosen.best_score),
        "cost": {
            "train_s": sum(record["seconds"] for record in chosen.epochs),
            "evaluate_s": chosen.evaluating.seconds,
            **spent.record(),
            **request.costed_on(),
            **setup.by_rule(),
        },
        "warnings": [*setup.warnings, *resuming.notes],
        "versions": versions(),
    }


@dataclass
class EpochChoice:
    """The epochs so far, and the one that was best on the inner validation, with what it said of that.

    Attributes:
        values: the metric of every epoch.
        best: the numbers of the network.
    """

    by: Selector
    evaluating: Stopwatch
    spent: Spending
    watch: fit_files.WatchedImages | None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float | None = None
    best: dict[str, Tensor] = field(default_factory=dict)
    validation: Scores | None = None

    @property
    def best_validation(self) -> Scores:
        """What the best epoch said of the inner validation."""
        assert self.validation is not None  # there is at least one epoch, and the first beats none
        return self.validation

    def state(self) -> dict[str, Any]:
        """All of it but what chooses."""
        names = ("epochs", "values", "best_epoch", "best_score", "best")
        return {name: getattr(self, name) for name in names} | {
            "validation": None if self.validation is None else vars(self.validation),
            "evaluate_s": self.evaluating.seconds,
            "spent": self.spent.record(),
            "watch": None if self.watch is None else self.watch.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back to what `state` gave."""
        self.epochs, self.values, self.best_epoch = state["epochs"], state["values"], state["best_epoch"]
        self.best_score = state["best_score"]
        self.best = {name: values.to(self.evaluating.device) for name, values in state["best"].items()}
        self.validation = None if state["validation"] is None else Scores(**state["validation"])
        self.evaluating.seconds = state["evaluate_s"]
        self.spent.restore(state["spent"])
        if self.watch is not None:
            self.watch.restore(state["watch"])

    def add(self, epoch: Epoch, network: nn.Module, scores: Scores, value: float, task: Task) -> None:
        """What an epoch gave: if it is the best so far, its network is kept."""
        self.values.append(value)
        steadied = self.by.steadied(self.values)
        is_best = self.by.is_better(steadied, self.best_score)
        if is_best:
            self.best_epoch, self.best_score = epoch.number, steadied
            self.best, self.validation = state_of(network), scores
        if self.watch is not None:
            self.watch.keep(epoch.number, scores.watched, is_best=is_best)
        self.epochs.append(_record(epoch, scores, task, value, steadied))


def choose_epoch(
    request: FitRequest, setup: TrainingSetup, spent: Spending, resuming: ResumedTraining, beat: Beat
) -> EpochChoice:
    """Train until the last epoch, or until patience ends; the earliest of equally good epochs is the best.

    Of a segmentation, an epoch is as good as the median of its score and the two before it (`Selector.steadied`), of
    those there are in epochs 1 and 2. Patience counts from the best epoch by the same measure.
    """
    task, tolerance_px = request.packed.task, request.settings.get("tolerance_px")
    by = selector(request.settings["select"], task, tolerance_px=tolerance_px)
    training, network = request.training, setup.learner.network
    course = EpochChoice(by, Stopwatch(request.device), spent, _watch(request))
    beat = spent.beside(beat)
    for epoch in resuming.epochs(request, setup.learner, setup.batches_of, course):
        with course.evaluating.lap():
            validation = score(
                request, setup, resuming, request.split.validation, fully=by.fully, watch=course.watch
            )
            value = by.value(validation, request.packed.target)
        course.add(epoch, network, validation, value, task)
        progress = {"epoch": epoch.number, "epochs": training.epochs, **resuming.progress}
        beat(progress | {"metric": by.metric.name, "score": finite(value)})
        if (
            training.patience_epochs is not None
            and epoch.number - course.best_epoch >= training.patience_epochs
        ):
            break
    return course


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


def _watch(request: FitRequest) -> fit_files.WatchedImages | None:
    """In the first fold of a segmentation, where a report shows maps through training."""
    first = request.settings["repeat"] == request.settings["fold"] == 0
    if not (request.segmentation and first):
        return None
    return fit_files.WatchedImages(
        fit_files.images_to_watch(request.packed, request.split.validation), request.training.epochs
    )


def scored_in_training(request: FitRequest) -> np.ndarray:
    """The images of the training part that are scored after training: as many as the validation part has, ascending.

    All of them would cost as much as a third of an epoch. They are the same for all configurations of a fold.
    """
    train, num = request.split.train, len(request.split.validation)
    return train[stratified_sample(presence(request.packed, train), num, seed=request.seed)]


def score(
    request: FitRequest,
    setup: TrainingSetup,
    resuming: ResumedTraining,
    cases: np.ndarray,
    *,
    fully: bool = False,
    last: bool = False,
    watch: fit_files.WatchedImages | None = None,
) -> Scores:
    """What the network says about whole, unchanged images; after the `last` epoch nobody asks for its loss."""
    learner, loss = setup.learner, None if last else setup.learner.loss
    batches = resuming.each(setup.source.whole(cases, batch_size=request.pass_size))
    strides = watch.strides if watch else None
    return evaluate(learner.network, batches, learner.forward, loss=loss, fully=fully, watch=strides)


def costs(request: FitRequest, setup: TrainingSetup, chosen: EpochChoice, spent: Spending) -> dict[str, Any]:
    """What the fit took and what its network takes; None where it was not measured, never 0."""
    # Before the latency is measured, which is no part of the fit.
    memory_and_energy = spent.record()
    parameters = list(setup.learner.network.parameters())
    shared = {} if request.encoder is None else request.encoder.cost
    before = {} if request.pretrained is None else request.pretrained.cost
    # The network of a configuration takes as long in every fold, so one of its fits measures it, whoever does that one.
    # Where the encoder is shared the setup holds the head alone, and an image goes through both.
    first = request.settings["repeat"] == request.settings["fold"] == 0
    latency = setup.latency_ms() + shared.get("latency_ms", 0.0) if first else None
    measured = [cost["energy_j"] for cost in (shared, before) if cost.get("energy_j") is not None]
    return {
        "train_s": sum(record["seconds"] for record in chosen.epochs),
        "evaluate_s": chosen.evaluating.seconds,
        "shared_features_s": shared.get("features_s"),
        "shared_pretrain_s": before.get("pretrain_s"),
        "parameters": sum(values.numel() for values in parameters) + shared.get("parameters", 0),
        "trainable_parameters": sum(values.numel() for values in parameters if values.requires_grad),
        **memory_and_energy,
        # The latency is measured in part by the pass of the encoder.
        "sharers": max(memory_and_energy["sharers"], shared.get("sharers", 1)),
        "reserved_memory_mb": spent.memory.reserved_mb(),
        "shared_peak_memory_mb": shared.get("peak_memory_mb"),
        "shared_energy_j": sum(measured) if measured else None,
        "latency_ms": latency,
        **request.costed_on(),
        **setup.by_rule(),
        "cache": setup.source.cache,
    }
