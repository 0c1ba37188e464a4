"""One fit: a configuration on one fold, trained, its epoch chosen, and its test fold predicted once.

`_fit` is the table of contents. The test fold is touched by its last step only, when everything is frozen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.data.store.packed import Packed
from foldwise.learning.fitting.devices import (
    MemoryPeak,
    Stopwatch,
    device_name,
    is_out_of_memory,
    pick_device,
    release_memory,
    steady,
)
from foldwise.learning.fitting.features import Encoder
from foldwise.learning.fitting.scoring import Scores, evaluate, selector
from foldwise.learning.fitting.setup import Asked, Workpiece, set_up
from foldwise.learning.fitting.train import Snapshot, train
from foldwise.learning.keeping.saved import versions, write_model, write_weights
from foldwise.learning.keeping.winner import WEIGHTS
from foldwise.study.spec import Training

if TYPE_CHECKING:  # only a type here, and it would import scikit-learn
    from foldwise.data.folds.splits import Split

Beat = Callable[[dict[str, Any]], None]


def fit_item(
    settings: dict[str, Any],
    *,
    packed: Packed,
    split: Split,
    inputs: dict[str, Path],
    scratch: Path,
    beat: Beat,
    device: str,
) -> dict[str, Any]:
    """Do one fit; the content of its ``result.json``. Where memory runs out, again with half the batch.

    Args:
        settings: training, task, repeat, fold, seed, threads and select, as the plan has them.
        packed: the images.
        split: whose cases are trained on, chosen on and tested on.
        inputs: the features item, by id, where the encoder is frozen and shared.
        scratch: gets ``scores.npz``, ``predictions.npz`` (segmentation), ``weights.safetensors`` (only those of the
            head, where the encoder is shared), ``model.json`` and ``log.txt``.
        beat: is told the epoch and its score.
        device: for settings that say auto.

    Raises:
        FoldwiseError: the device is not there, or the training diverged.
    """
    training = Training.model_validate(settings["training"])
    place = pick_device(device if training.device == "auto" else training.device)
    encoders = [Encoder(item, folder) for item, folder in inputs.items()]
    asked = Asked(settings, training, packed, split, place, encoders[0] if encoders else None)
    while True:
        try:
            with steady(asked.seed, settings["threads"], place):
                return _fit(asked, scratch, beat)
        except RuntimeError as error:
            if not is_out_of_memory(error) or asked.pass_size == 1:
                raise
        # Out here the failed attempt's tensors are free. From the start, so that all epochs are alike.
        asked = replace(asked, halvings=asked.halvings + 1)
        release_memory(place)


def _fit(asked: Asked, scratch: Path, beat: Beat) -> dict[str, Any]:
    """Set up, train, choose the epoch, predict the test fold once, write."""
    memory = MemoryPeak(asked.device)
    piece = set_up(asked)
    chosen = choose_epoch(asked, piece, beat)
    chosen.best.restore(piece.learner.network)
    with chosen.evaluating.lap():
        # Probabilities of the inner validation serve to set thresholds later; of pixels they are not kept.
        inner = None if asked.segmentation else score(asked, piece, asked.split.inner, fully=False)
        test = score(asked, piece, asked.split.test, fully=True)
    write(asked, piece, test, inner, scratch)
    _log(scratch / "log.txt", chosen)
    return {
        "epochs": chosen.epochs,
        "best_epoch": chosen.best_epoch,
        "select": chosen.select,
        "cost": costs(asked, piece, chosen, memory),
        "warnings": list(piece.warnings) + _halved(asked),
        "versions": versions(),
    }


@dataclass(frozen=True)
class Chosen:
    """The epochs that were trained and the one that was best on the inner validation."""

    epochs: list[dict[str, Any]]
    best_epoch: int
    best: Snapshot
    select: str
    evaluating: Stopwatch


def choose_epoch(asked: Asked, piece: Workpiece, beat: Beat) -> Chosen:
    """Train until the last epoch, or until patience ends; the earliest of equally good epochs is the best."""
    select, by = selector(asked.settings["select"], asked.packed.task)
    training, network = asked.training, piece.learner.network
    evaluating = Stopwatch(asked.device)
    records: list[dict[str, Any]] = []
    best_epoch, best_score, best = 0, None, None
    for epoch in train(piece.learner, piece.batches_of, training.epochs):
        with evaluating.lap():
            inner = score(asked, piece, asked.split.inner, fully=False)
        value = by.of(inner)
        if by.is_better(value, best_score):
            best_epoch, best_score, best = epoch.number, value, Snapshot(network)
        records.append(
            {
                "epoch": epoch.number,
                "train_loss": epoch.loss,
                "val_loss": _known(inner.loss),
                "val_score": _known(value),
                "lr": epoch.lr,
                "seconds": epoch.seconds,
            }
        )
        beat({"epoch": epoch.number, "epochs": training.epochs, "metric": select, "score": _known(value)})
        if training.patience_epochs is not None and epoch.number - best_epoch >= training.patience_epochs:
            break
    assert best is not None  # there is at least one epoch, and the first beats none
    return Chosen(records, best_epoch, best, select, evaluating)


def score(asked: Asked, piece: Workpiece, cases: np.ndarray, *, fully: bool) -> Scores:
    """What the network says about whole, unchanged images."""
    batches = piece.whole(cases, batch_size=asked.pass_size)
    return evaluate(
        piece.learner.network, batches, piece.learner.seeing, loss=piece.learner.loss, fully=fully
    )


def write(asked: Asked, piece: Workpiece, test: Scores, inner: Scores | None, scratch: Path) -> None:
    """Scores, predictions, weights and what is needed to use them."""
    arrays = {"case": test.case, **test.arrays}
    if inner is not None:
        arrays |= {"inner_case": inner.case, "inner_probabilities": inner.arrays["probabilities"]}
    np.savez(scratch / "scores.npz", **arrays)  # type: ignore[arg-type]
    if asked.segmentation:
        maps = {str(case): labels for case, labels in test.maps.items()}
        np.savez_compressed(scratch / "predictions.npz", **maps)  # type: ignore[arg-type]
    prefix = "" if asked.encoder is None else "head."
    write_weights(scratch / WEIGHTS, piece.learner.network, prefix=prefix)
    write_model(scratch, piece.model)


def costs(asked: Asked, piece: Workpiece, chosen: Chosen, memory: MemoryPeak) -> dict[str, Any]:
    """What the fit took and what its network takes; None where it was not measured, never 0."""
    peak_mb = memory.mb()  # before the latency is measured, which is no part of the fit
    parameters = list(piece.learner.network.parameters())
    shared = {} if asked.encoder is None else asked.encoder.record["cost"]
    latency = piece.latency_ms() + shared.get("latency_ms", 0.0)
    return {
        "train_s": sum(record["seconds"] for record in chosen.epochs),
        "evaluate_s": chosen.evaluating.seconds,
        "shared_features_s": shared.get("features_s"),
        "parameters": sum(values.numel() for values in parameters) + shared.get("parameters", 0),
        "trainable_parameters": sum(values.numel() for values in parameters if values.requires_grad),
        "peak_memory_mb": peak_mb,
        "peak_memory_is": memory.kind,
        "latency_ms": latency,
        "device": asked.device.type,
        "device_name": device_name(asked.device),
        "precision": asked.precision,
        "batch_size": asked.training.batch_size,
        "batch_halvings": asked.halvings,
        "threads": asked.settings["threads"],
    }


def _halved(asked: Asked) -> list[str]:
    if not asked.halvings:
        return []
    size, part = asked.training.batch_size, asked.pass_size
    return [f"memory ran out: each batch of {size} was worked in parts of {part}, their gradients summed"]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _log(path: Path, chosen: Chosen) -> None:
    lines = [json.dumps(record) for record in chosen.epochs]
    lines.append(f"best epoch {chosen.best_epoch} by {chosen.select}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
