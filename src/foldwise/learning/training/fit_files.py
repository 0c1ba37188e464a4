"""What a fit leaves on disk: scores, predictions, weights, and what a report shows of losses and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.data.cache.packed import Packed
from foldwise.learning.checkpoints.saved import write_model, write_weights
from foldwise.learning.checkpoints.winner import WEIGHTS
from foldwise.learning.objectives.loss_formulas import Loss, Problem
from foldwise.learning.objectives.losses import LOSSES, WEIGHING, losses_to_map
from foldwise.learning.training.scoring import CLIP, Scores
from foldwise.learning.training.setup import FitRequest, TrainingSetup, class_counts
from foldwise.learning.training.train import finite, outputs_of
from foldwise.metrics.confusion import pooled_confusion
from foldwise.study.training import Choice, Task, stated_loss

WATCHED, CURVE, SPREAD = "watched.npz", "loss_curve.npz", "weight_quantiles.npz"
# Of batch norm: measured, not trained.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
LAST_LAYERS = ("head.", "body.head.", "body.segmentation_head.")
LEVELS = np.linspace(0, 1, 1025)
REACH = 0.99  # share of the weights whose size stays below the `reach`
MAX_SORTED = 2**20  # numbers whose quantiles are taken: every so manieth of a larger network
CURVE_P = np.linspace(0.002, 0.998, 250)  # at 0 a cross-entropy has no value

# Of the images of the inner validation that are watched through training.
MAX_IMAGES = 3
MAX_EPOCHS = 6  # with the chosen and the last one
LONGEST_PX = 256
LONGEST_MAP_PX = 128  # of maps of losses: as many of these are kept as there are losses
MAX_NUMBERS = 2**20  # probabilities of one image at one epoch: 2 MB in float16


def write_scores(
    request: FitRequest, scratch: Path, *, train: Scores | None, validation: Scores, test: Scores
) -> None:
    """``scores.npz`` of the chosen epoch, all of unaugmented images, and ``predictions.npz`` of a segmentation."""
    arrays = {"case": test.case, **test.arrays}
    arrays["validation_confusion"] = pooled_confusion(outputs_of(validation, request.packed.task))
    if train is not None:
        arrays["train_confusion"] = pooled_confusion(outputs_of(train, request.packed.task))
        arrays["train_case"] = train.case
    if not request.segmentation:
        # Probabilities of the validation part serve to set thresholds later; of pixels they are not kept.
        arrays |= {"validation_case": validation.case}
        arrays |= {"validation_probabilities": validation.arrays["probabilities"]}
    np.savez(scratch / "scores.npz", **arrays)  # type: ignore[arg-type]
    if request.segmentation:
        maps = {str(case): labels for case, labels in test.maps.items()}
        np.savez_compressed(scratch / "predictions.npz", **maps)  # type: ignore[arg-type]


def write_network(request: FitRequest, setup: TrainingSetup, scratch: Path) -> dict[str, Any]:
    """Weights and what is needed to use them, and ``weight_quantiles.npz`` of those that were trained.

    Returns:
        Numbers of the weights by part, see `trained_numbers` and `weight_numbers`.
    """
    network, prefix = setup.learner.network, "" if request.encoder is None else "head."
    write_weights(scratch / WEIGHTS, network, prefix=prefix)
    write_model(scratch, setup.model)
    frozen = {name for name, values in network.named_parameters() if not values.requires_grad}
    weights = {
        f"{prefix}{name}": values for name, values in network.state_dict().items() if name not in frozen
    }
    parts = trained_numbers(weights, whole=not frozen and request.encoder is None)
    quantiles = {part: _quantiles(values).astype(np.float32) for part, values in parts.items()}
    np.savez(scratch / SPREAD, levels=LEVELS, **quantiles)
    return {part: weight_numbers(values) for part, values in parts.items()}


def write_losses(request: FitRequest, watch: WatchedImages | None, scratch: Path) -> None:
    """``watched.npz`` of a first fold, and ``loss_curve.npz`` of a loss that has a curve."""
    loss, task = request.training.loss, request.packed.task
    if watch is not None:
        # As in training: the maps are of the loss that the fit minimised, with its class weights.
        counts = class_counts(request.packed, request.split.train)
        losses = losses_to_map(loss, task=task, num_classes=len(counts), class_counts=counts)
        watch.write(scratch / WATCHED, request.packed, losses=losses, class_pixels=counts)
    curve = loss_curve(loss, task)
    if curve is not None:
        np.savez(scratch / CURVE, **curve)  # type: ignore[arg-type]


def loss_curve(choice: Choice, task: Task) -> dict[str, np.ndarray] | None:
    """The loss of one case of weight 1 against the probability of its true class, of two; None where it has none.

    Returns:
        ``p``, ``loss`` and ``slope``, each (P,) float32; the slope is the size of the derivative by the logit of the
        true class. None for a loss that the other pixels of an image decide too, and for a user's own.
    """
    choice = stated_loss(choice, task)
    row = LOSSES.get(choice.name)
    if row is None or not row.alone:
        return None
    several = task == "multilabel_classification"
    # Without weights: losses that differ in these alone are one curve, and are drawn as one.
    options = {name: value for name, value in choice.options.items() if name not in WEIGHING}
    loss = row.make(Problem(task, 1 if several else 2), **options)
    logit_P = torch.from_numpy(np.log(CURVE_P / (1 - CURVE_P))).float().requires_grad_()
    logits = logit_P[:, None] if several else torch.stack([torch.zeros_like(logit_P), logit_P], 1)
    shares = loss.shares(logits, torch.ones(logits.shape if several else len(logit_P), dtype=torch.uint8))
    (slope_P,) = torch.autograd.grad(shares.sum(), logit_P)
    loss_P = shares.detach().reshape(-1).numpy()
    return {"p": CURVE_P.astype(np.float32), "loss": loss_P, "slope": slope_P.abs().numpy()}


def trained_numbers(weights: Mapping[str, Tensor], *, whole: bool = True) -> dict[str, np.ndarray]:
    """All trained numbers of the ``network``, and those of its last layers, the ``head``; no part that is empty.

    Args:
        whole: whether these are all weights of the network; else there is no such part. To count a frozen encoder, which
            all fits have in common, took half of the time of a study of heads.
    """
    named = {
        name: values.detach().cpu().float().reshape(-1)
        for name, values in weights.items()
        if values.is_floating_point() and not name.endswith(STATISTICS)
    }
    of_head = [values for name, values in named.items() if name.startswith(LAST_LAYERS)]
    parts = {"network": list(named.values()) if whole else [], "head": of_head}
    return {part: torch.cat(values).numpy() for part, values in parts.items() if values}


def weight_numbers(values: np.ndarray) -> dict[str, float | int | None]:
    """Number, extremes, standard deviation, the share ``beyond`` 3 of it from the mean, and the ``reach``.

    99 % of the weights are no larger than the reach: the scale of a histogram that outliers do not stretch.
    """
    # In float32 but for the sums: a copy of all weights in float64 takes longer than all else here.
    apart = values - np.float32(values.mean(dtype=np.float64))
    sd = float(np.sqrt(np.square(apart).mean(dtype=np.float64)))
    sizes = np.abs(_few(values))
    reach = min(sizes.size - 1, int(REACH * sizes.size))
    return {
        "count": values.size,
        "low": finite(values.min()),
        "high": finite(values.max()),
        "sd": finite(sd),
        "beyond": float((np.abs(apart) > 3 * sd).mean()),
        "reach": finite(np.partition(sizes, reach)[reach]),
    }


def _quantiles(values: np.ndarray) -> np.ndarray:
    """At `LEVELS`, the ends exactly; a histogram of any bins follows from them to a thousandth of the weights."""
    # Sorted before: to look for a thousand quantiles one by one takes longer.
    quantiles = np.quantile(np.sort(_few(values)), LEVELS)
    quantiles[[0, -1]] = values.min(), values.max()
    return quantiles


def _few(values: np.ndarray) -> np.ndarray:
    return values[:: -(-values.size // MAX_SORTED)]


def images_to_watch(packed: Packed, validation: np.ndarray) -> dict[int, int]:
    """Case index -> stride of up to three images, from little foreground to much; the same for every configuration."""
    shares = []
    for case in validation.tolist():
        counts = np.asarray(packed.measures[case].class_pixels, dtype=np.float64)
        shares.append((float(counts[1:].sum() / max(counts.sum(), 1)), case))
    ordered = [case for _, case in sorted(shares)]
    num = min(MAX_IMAGES, len(ordered))
    strides = {}
    for number in range(num):
        case = ordered[(2 * number + 1) * len(ordered) // (2 * num)]
        height, width = (int(side) for side in packed.shapes[case])
        # Every so manieth pixel, so that the longer side and the numbers of all classes stay small.
        by_numbers = math.ceil(math.sqrt(height * width * len(packed.classes) / MAX_NUMBERS))
        strides[case] = max(math.ceil(max(height, width) / LONGEST_PX), by_numbers)
    return strides


def epochs_to_keep(epochs: int) -> frozenset[int]:
    """Evenly on a logarithmic scale from the first to the last; training is fast at first, and slow later."""
    # One less than there is room for: the chosen epoch takes that.
    return frozenset(int(epoch) for epoch in np.geomspace(1, epochs, MAX_EPOCHS - 1).round())


class WatchedImages:
    """Probabilities of a few images at a few epochs; holds at most `MAX_EPOCHS` + 1 of them at a time.

    Never of test images: whoever looks at those while a study is being shaped chooses by them, and their scores are
    then no scores of unseen images any more.
    """

    def __init__(self, strides: dict[int, int], epochs: int) -> None:
        self.strides = strides
        self._planned = epochs_to_keep(epochs)
        self._kept: dict[int, dict[int, np.ndarray]] = {}
        self._chosen = self._last = 0

    def keep(self, epoch: int, p_by_case: dict[int, np.ndarray], *, is_best: bool) -> None:
        """Keep an epoch, and forget those that were kept only while they were the best, or the last."""
        self._last = epoch
        self._chosen = epoch if is_best else self._chosen
        self._kept[epoch] = p_by_case
        wanted = self._planned | {self._chosen, self._last}
        self._kept = {number: maps for number, maps in self._kept.items() if number in wanted}

    def state(self) -> dict[str, Any]:
        """What is kept, and which epochs were chosen and last."""
        return {"kept": self._kept, "chosen": self._chosen, "last": self._last}

    def restore(self, state: dict[str, Any]) -> None:
        """Put it back to what `state` gave."""
        self._kept, self._chosen, self._last = state["kept"], state["chosen"], state["last"]

    def write(
        self, path: Path, packed: Packed, *, losses: Mapping[str, Loss], class_pixels: np.ndarray
    ) -> None:
        """``watched.npz``: ``epochs`` (E,), ``cases``, ``strides`` (I,), ``class_pixels`` (K,), and by case (E, K, h, w).

        With ``losses`` (L,), their names, that of the fit first; and by case ``loss_maps_<case>`` (L, E, h', w') and
        ``image_losses_<case>`` (L, E), see `loss_maps`.

        Args:
            losses: of `losses_to_map`, on the CPU.
            class_pixels: of the training part.
        """
        epochs = sorted(self._kept)
        arrays: dict[str, np.ndarray] = {}
        for case, stride in self.strides.items():
            p_EKHW = np.stack([self._kept[epoch][case] for epoch in epochs])
            truth_HW = packed.target(case)[::stride, ::stride]
            maps, means = loss_maps(p_EKHW, truth_HW, losses)
            arrays |= {str(case): p_EKHW, f"loss_maps_{case}": maps, f"image_losses_{case}": means}
        about = {
            "epochs": np.array(epochs, dtype=np.int32),
            "cases": np.array(list(self.strides), dtype=np.int32),
            "strides": np.array(list(self.strides.values()), dtype=np.int32),
            "class_pixels": np.asarray(class_pixels, dtype=np.int64),
            "losses": np.array(list(losses), dtype=np.str_),
        }
        np.savez_compressed(path, **about, **arrays)  # type: ignore[arg-type]


def loss_maps(
    p_EKHW: np.ndarray, truth_HW: np.ndarray, losses: Mapping[str, Loss]
) -> tuple[np.ndarray, np.ndarray]:
    """What each pixel of an image adds to each loss, and the losses of the image, which are the means of that.

    Args:
        p_EKHW: probabilities of E epochs.
        truth_HW: class indices, `IGNORE` where nothing counts.

    Returns:
        Maps (L, E, h, w) float16, means of blocks of pixels so that no side is longer than `LONGEST_MAP_PX`, nan where
        nothing counts; and (L, E) float32.
    """
    # Probabilities sum to 1, so the softmax of their logarithms gives them back; a loss takes logits.
    logits_EKHW = torch.from_numpy(p_EKHW.astype(np.float32)).clamp(min=CLIP).log()
    target_1HW = torch.from_numpy(truth_HW.astype(np.int64))[None]
    with torch.inference_mode():
        # Image by image: the pixels of a batch share one Dice, and one sum of weights.
        shares = [
            torch.stack([loss.shares(logits_KHW[None], target_1HW)[0] for logits_KHW in logits_EKHW])
            for loss in losses.values()
        ]
    shares_LEHW = torch.stack(shares)
    factor = math.ceil(max(truth_HW.shape) / LONGEST_MAP_PX)
    maps = _block_means(shares_LEHW.numpy(), factor).clip(max=np.finfo(np.float16).max)
    return maps.astype(np.float16), shares_LEHW.nanmean((2, 3)).numpy()


def _block_means(values_LEHW: np.ndarray, factor: int) -> np.ndarray:
    """Means of the numbers in every block of factor x factor pixels; nan where there is none."""
    height, width = values_LEHW.shape[2:]
    room = ((0, 0), (0, 0), (0, -height % factor), (0, -width % factor))
    padded = np.pad(values_LEHW, room, constant_values=np.nan)
    *leading, tall, wide = padded.shape
    blocks = padded.reshape(*leading, tall // factor, factor, wide // factor, factor)
    counted = np.isfinite(blocks).sum((3, 5))
    return np.where(counted > 0, np.nansum(blocks, (3, 5)) / np.maximum(counted, 1), np.nan)
