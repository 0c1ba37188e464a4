"""What a network says about whole images, counted finely enough that every metric follows without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foldwise.data.batches.batches import Batch
from foldwise.errors import choose
from foldwise.learning.training.counting import CLIP, decided, pixel_counts
from foldwise.learning.training.devices import autocast
from foldwise.learning.training.tiles import is_large, tiled
from foldwise.study.spec import Task

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """The outputs for n cases, ascending by case; no weights, no pixels.

    Attributes:
        case: (n,) int32 case indices.
        arrays: classification: ``probabilities`` (n, K) float32. Segmentation: ``confusion`` (n, K, K) by [true,
            predicted], ``histogram`` (n, K, 2, 256) by class, by whether a pixel is of it, and by its probability
            (only where asked for), ``log_loss_sum``, ``brier_sum`` (n,) over the pixels that count, ``pixels`` (n,),
            ``confidence_sum`` (n, K) the probability of the true class, over the pixels whose truth is each class.
        truth: classification: labels (n,), or (n, K) for a multilabel task.
        loss: mean of the configuration's own loss over the cases; nan without one.
        maps: case index -> predicted class map (H, W) uint8, segmentation, where asked for.
        watched: case index -> probabilities (K, h, w) float16 of every so manieth pixel, of the cases asked for.
    """

    case: np.ndarray
    arrays: dict[str, np.ndarray]
    truth: np.ndarray | None
    loss: float
    maps: dict[int, np.ndarray]
    watched: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class ForwardPass:
    """How a network is asked: for which task, in which precision and memory layout, on which device."""

    task: Task
    num_classes: int
    device: torch.device
    precision: str = "fp32"
    layout: torch.memory_format = torch.contiguous_format

    def logits(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Logits (N, K) or (N, K, H, W) in float32; large images go through in tiles."""
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=self.layout)
        with autocast(self.device, self.precision):
            if (
                inputs.ndim == 4
                and self.task.endswith("segmentation")
                and not network.training
                and is_large(inputs)
            ):
                # Tiles are blended as probabilities; the softmax of their logarithm gives them back.
                return tiled(lambda tile: network(tile).float().softmax(1), inputs).clamp(min=1e-12).log()
            outputs: Tensor = network(inputs)
        return outputs.float()


def probabilities(logits: Tensor, task: Task) -> Tensor:
    """Each label's own probability for a multilabel task; else those of the classes, which sum to 1."""
    return logits.sigmoid() if task == "multilabel_classification" else logits.softmax(1)


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    forward: ForwardPass,
    *,
    loss: Loss | None = None,
    fully: bool = False,
    watch: Mapping[int, int] | None = None,
) -> Scores:
    """Ask a network about every case of `batches`, in evaluation mode.

    Args:
        network, forward: who is asked, and how.
        batches: whole images, or cached features.
        loss: the configuration's own loss, averaged over cases.
        fully: for segmentation: with histograms and class maps, as a test fold is scored.
        watch: case index -> stride: of these cases every stride-th pixel's probabilities are kept; segmentation.
    """
    was_training = network.training
    network.eval()
    losses, cases, parts, truths = [], [], [], []
    maps: dict[int, np.ndarray] = {}
    seen: dict[int, np.ndarray] = {}
    for batch in batches:
        logits = forward.logits(network, batch.inputs)
        if loss is not None:
            losses.append(loss(logits, batch.targets) * len(batch.cases))
        p = probabilities(logits, forward.task)
        if forward.task.endswith("segmentation"):
            parts.append(pixel_counts(p, logits, batch.targets, fully=fully))
            predicted = decided(p).to(torch.uint8).cpu().numpy() if fully else ()
            maps |= dict(zip(batch.cases.tolist(), predicted, strict=fully))
            seen |= _watched(p, batch.cases, watch or {})
        else:
            parts.append({"probabilities": p.cpu().numpy()})
            truths.append(batch.targets.cpu().numpy())
        cases.append(batch.cases)
    network.train(was_training)
    mean_loss = float(torch.stack(losses).sum()) / sum(map(len, cases)) if losses else float("nan")
    return _by_case(cases, parts, truths, mean_loss, dict(sorted(maps.items())), seen)


def _by_case(
    cases: list[np.ndarray], parts: list[dict[str, np.ndarray]], truths: list[np.ndarray], *rest: Any
) -> Scores:
    """What batches gave as one, ascending by case; `rest` is of no order."""
    case = np.concatenate(cases)
    order = np.argsort(case)
    arrays = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    truth = np.concatenate(truths)[order] if truths else None
    return Scores(case[order].astype(np.int32), arrays, truth, *rest)


def _watched(p_NKHW: Tensor, cases: np.ndarray, watch: Mapping[int, int]) -> dict[int, np.ndarray]:
    # Every stride-th pixel and no mean of several: a loss of a mean probability is not the mean of their losses.
    return {
        case: p_NKHW[row, :, :: watch[case], :: watch[case]].half().cpu().numpy()
        for row, case in enumerate(cases.tolist())
        if case in watch
    }


@dataclass(frozen=True)
class Selector:
    """A number that chooses the epoch on the inner validation, and which way it is better.

    Attributes:
        over: the median of so many epochs is what chooses; one lucky epoch of few images is then not enough.
    """

    of: Callable[[Scores], float]
    higher_is_better: bool = True
    over: int = 1

    def steadied(self, values: Sequence[float]) -> float:
        """The median of the last `over` known values, or of those there are; nan where the last one is not known.

        An epoch that is strictly better by it than all before is itself at least as good as that median, so the
        epoch that is kept is never a bad one among good neighbours.
        """
        known = [value for value in values if np.isfinite(value)]
        return float(np.median(known[-self.over :])) if known and np.isfinite(values[-1]) else float("nan")

    def is_better(self, score: float, best: float | None) -> bool:
        """Whether `score` beats the `best` so far; equal ones do not, so that the earliest epoch stays."""
        if best is None or np.isnan(best):
            return best is None or not np.isnan(score)
        return score > best if self.higher_is_better else score < best


def selector(name: str, task: Task) -> tuple[str, Selector]:
    """The row called `name` and its full name; ``auto`` is log-loss, or Dice per image for segmentation."""
    table = SEGMENTATION if task.endswith("segmentation") else CLASSIFICATION
    name = next(iter(table)) if name == "auto" else name
    return name, choose(table, name, f"metric to select epochs of a {task.replace('_', ' ')} by")


def one_hot(scores: Scores) -> np.ndarray:
    """(n, K) 1.0 for every label that is so."""
    assert scores.truth is not None
    p = scores.arrays["probabilities"]
    return scores.truth.astype(np.float64) if scores.truth.ndim == 2 else np.eye(p.shape[1])[scores.truth]


def _log_loss(scores: Scores) -> float:
    p, true = scores.arrays["probabilities"].astype(np.float64).clip(CLIP, 1 - CLIP), one_hot(scores)
    if scores.truth is not None and scores.truth.ndim == 2:
        return float(-(true * np.log(p) + (1 - true) * np.log1p(-p)).mean())
    return float(-np.log(p[true.astype(bool)]).mean())


def _brier(scores: Scores) -> float:
    squares = (scores.arrays["probabilities"].astype(np.float64) - one_hot(scores)) ** 2
    return float(
        squares.mean() if scores.truth is not None and scores.truth.ndim == 2 else squares.sum(1).mean()
    )


def right(scores: Scores) -> np.ndarray:
    """(n,) or, for several labels, (n, K): whether the decision is right."""
    p = scores.arrays["probabilities"]
    assert scores.truth is not None
    several = scores.truth.ndim == 2
    return np.asarray((p >= 0.5) == (scores.truth > 0.5) if several else p.argmax(1) == scores.truth)


def _balanced_accuracy(scores: Scores) -> float:
    """Mean over the classes that are there of the share of their images that are found (several labels: and left)."""
    is_right, true = right(scores), one_hot(scores) > 0.5
    if is_right.ndim == 1:
        return float(np.mean([is_right[of_class].mean() for of_class in true.T if of_class.any()]))
    parts = [
        part[chosen].mean()
        for part, of in zip(is_right.T, true.T, strict=True)
        for chosen in (of, ~of)
        if chosen.any()
    ]
    return float(np.mean(parts))


def overlap(scores: Scores, weight: float) -> float:
    """Mean over images of the mean over foreground classes; nan where truth and prediction are all background.

    `weight` 2 gives Dice, 2 TP / (2 TP + FP + FN); 1 gives IoU. A class in neither truth nor prediction of an
    image is left out of it.
    """
    confusion = scores.arrays["confusion"].astype(np.float64)
    hit = np.einsum("nkk->nk", confusion)[:, 1:]
    miss = confusion.sum(1)[:, 1:] + confusion.sum(2)[:, 1:] - 2 * hit
    known = hit + miss > 0
    ratio = np.where(known, weight * hit / np.where(known, weight * hit + miss, 1), 0)
    per_image = ratio.sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
    return float(per_image.mean()) if len(per_image) else float("nan")


def _per_pixel(scores: Scores, name: str) -> float:
    pixels = scores.arrays["pixels"]
    return float((scores.arrays[name] / np.maximum(pixels, 1))[pixels > 0].mean())


CLASSIFICATION = {
    "log_loss": Selector(_log_loss, higher_is_better=False),
    "brier": Selector(_brier, higher_is_better=False),
    "accuracy": Selector(lambda scores: float(right(scores).mean())),
    "balanced_accuracy": Selector(_balanced_accuracy),
}
SEGMENTATION = {
    "dice_img_macro": Selector(lambda scores: overlap(scores, 2), over=3),
    "iou_img_macro": Selector(lambda scores: overlap(scores, 1), over=3),
    "log_loss_img": Selector(
        lambda scores: _per_pixel(scores, "log_loss_sum"), higher_is_better=False, over=3
    ),
    "brier_img": Selector(lambda scores: _per_pixel(scores, "brier_sum"), higher_is_better=False, over=3),
}
