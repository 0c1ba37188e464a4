"""What a fit leaves on disk: scores, predictions, weights, and what a report shows of losses and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.learning.checkpoints.saved import read_weights, write_model, write_weights
from foldwise.learning.checkpoints.winner import ENCODER, WEIGHTS
from foldwise.learning.objectives.losses import loss_curve, losses_to_map
from foldwise.learning.training.epoch_metrics import finite, outputs_of
from foldwise.learning.training.scoring import Scores
from foldwise.learning.training.setup import FitRequest, TrainingSetup, class_counts
from foldwise.learning.training.snapshots import Watch
from foldwise.metrics.confusion import pooled_confusion

WATCHED, CURVE, SPREAD = "watched.npz", "loss_curve.npz", "weight_quantiles.npz"
# Of batch norm: measured, not trained.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
LAST_LAYERS = ("head.", "body.head.", "body.segmentation_head.")
LEVELS = np.linspace(0, 1, 1025)
REACH = 0.99  # share of the weights whose size stays below the `reach`
MAX_SORTED = 2**22  # numbers whose quantiles are taken: every so manieth of a larger network


@dataclass(frozen=True)
class FoldScores:
    """Scores of the chosen epoch on the three parts of the images, all of them unaugmented."""

    train: Scores
    validation: Scores
    test: Scores


def write_scores(request: FitRequest, scores: FoldScores, scratch: Path) -> None:
    """``scores.npz``, and ``predictions.npz`` of a segmentation."""
    validation, test = scores.validation, scores.test
    arrays = {"case": test.case, **test.arrays}
    for name, part in (("train", scores.train), ("validation", validation)):
        arrays[f"{name}_confusion"] = pooled_confusion(outputs_of(part, request.packed.task))
    if not request.segmentation:
        # Probabilities of the validation part serve to set thresholds later; of pixels they are not kept.
        arrays |= {"validation_case": validation.case}
        arrays |= {"validation_probabilities": validation.arrays["probabilities"]}
    np.savez(scratch / "scores.npz", **arrays)  # type: ignore[arg-type]
    if request.segmentation:
        maps = {str(case): labels for case, labels in test.maps.items()}
        np.savez_compressed(scratch / "predictions.npz", **maps)  # type: ignore[arg-type]


def write_network(request: FitRequest, setup: TrainingSetup, scratch: Path) -> dict[str, Any]:
    """Weights and what is needed to use them, and ``weight_quantiles.npz``.

    Returns:
        Numbers of the weights by part, see `weight_numbers`; the part ``head`` only where the network has one.
    """
    prefix = "" if request.encoder is None else "head."
    write_weights(scratch / WEIGHTS, setup.learner.network, prefix=prefix)
    write_model(scratch, setup.model)
    weights = read_weights(scratch / WEIGHTS)
    if request.encoder is not None:  # frozen and shared, but a part of the network
        weights |= read_weights(request.encoder.folder / ENCODER)
    parts = trained_numbers(weights)
    quantiles = {part: _quantiles(values).astype(np.float32) for part, values in parts.items()}
    np.savez(scratch / SPREAD, levels=LEVELS, **quantiles)
    return {part: weight_numbers(values) for part, values in parts.items()}


def write_losses(request: FitRequest, watch: Watch | None, scratch: Path) -> None:
    """``watched.npz`` of a first fold, and ``loss_curve.npz`` of a loss that has a curve."""
    loss, task = request.training.loss, request.packed.task
    if watch is not None:
        counts = class_counts(request.packed, request.split.train)
        losses = losses_to_map(loss, task=task, num_classes=len(counts), class_counts=counts)
        watch.write(scratch / WATCHED, request.packed, losses=losses, class_pixels=counts)
    curve = loss_curve(loss, task)
    if curve is not None:
        np.savez(scratch / CURVE, **curve)  # type: ignore[arg-type]


def trained_numbers(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """All trained numbers of the ``network``, and those of its last layers, the ``head``; no part that is empty."""
    named = {
        name: values.float().reshape(-1)
        for name, values in weights.items()
        if values.is_floating_point() and not name.endswith(STATISTICS)
    }
    parts = {
        "network": list(named.values()),
        "head": [values for name, values in named.items() if name.startswith(LAST_LAYERS)],
    }
    return {part: torch.cat(values).numpy() for part, values in parts.items() if values}


def weight_numbers(values: np.ndarray) -> dict[str, float | int | None]:
    """Number, extremes, standard deviation, the share ``beyond`` 3 of it from the mean, and the ``reach``.

    99 % of the weights are no larger than the reach: the scale of a histogram that outliers do not stretch.
    """
    mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    sizes = np.sort(np.abs(_few(values)))
    return {
        "count": values.size,
        "low": finite(values.min()),
        "high": finite(values.max()),
        "sd": finite(sd),
        "beyond": float((np.abs(values - np.float32(mean)) > 3 * sd).mean()),
        "reach": finite(sizes[min(sizes.size - 1, int(REACH * sizes.size))]),
    }


def _quantiles(values: np.ndarray) -> np.ndarray:
    """At `LEVELS`, the ends exactly; a histogram of any bins follows from them to a thousandth of the weights."""
    quantiles = np.quantile(_few(values), LEVELS)
    quantiles[[0, -1]] = values.min(), values.max()
    return quantiles


def _few(values: np.ndarray) -> np.ndarray:
    return values[:: -(-values.size // MAX_SORTED)]
