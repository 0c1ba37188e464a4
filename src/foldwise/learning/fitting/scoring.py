"""What a network says about whole images, counted finely enough that every metric follows without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foldwise.data.batching.batches import Batch
from foldwise.errors import choose
from foldwise.learning.fitting.devices import autocast
from foldwise.learning.fitting.tiles import is_large, tiled
from foldwise.study.spec import IGNORE, Task

BINS = 256  # of a probability: fine enough for the ROC and PR curves of pixels
CLIP = 1e-7  # a probability of 0 for the truth counts as this one, so that a log-loss stays finite

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scores:
    """The outputs for n cases, ascending by case; no weights, no pixels.

    Attributes:
        case: (n,) int32 case indices.
        arrays: classification: ``probabilities`` (n, K) float32. Segmentation: ``confusion`` (n, K, K) by [true,
            predicted], ``histogram`` (n, K, 2, 256) by class, by whether a pixel is of it, and by its probability
            (only where asked for), ``log_loss_sum``, ``brier_sum`` (n,) over the pixels that count, ``pixels`` (n,).
        truth: classification: labels (n,), or (n, K) for a multilabel task.
        loss: mean of the configuration's own loss over the cases; nan without one.
        maps: case index -> predicted class map (H, W) uint8, segmentation, where asked for.
    """

    case: np.ndarray
    arrays: dict[str, np.ndarray]
    truth: np.ndarray | None
    loss: float
    maps: dict[int, np.ndarray]


@dataclass(frozen=True)
class Seeing:
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
    seeing: Seeing,
    *,
    loss: Loss | None = None,
    fully: bool = False,
) -> Scores:
    """Ask a network about every case of `batches`, in evaluation mode.

    Args:
        network, seeing: who is asked, and how.
        batches: whole images, or cached features.
        loss: the configuration's own loss, averaged over cases.
        fully: for segmentation: with histograms and class maps, as a test fold is scored.
    """
    was_training = network.training
    network.eval()
    losses, cases, parts, truths = [], [], [], []
    maps: dict[int, np.ndarray] = {}
    for batch in batches:
        logits = seeing.logits(network, batch.inputs)
        if loss is not None:
            losses.append(loss(logits, batch.targets) * len(batch.cases))
        p = probabilities(logits, seeing.task)
        if seeing.task.endswith("segmentation"):
            parts.append(_pixel_counts(p, logits, batch.targets, fully=fully))
            predicted = decided(p).to(torch.uint8).cpu().numpy() if fully else ()
            maps |= dict(zip(batch.cases.tolist(), predicted, strict=fully))
        else:
            parts.append({"probabilities": p.cpu().numpy()})
            truths.append(batch.targets.cpu().numpy())
        cases.append(batch.cases)
    network.train(was_training)
    case = np.concatenate(cases)
    order = np.argsort(case)
    arrays = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    truth = np.concatenate(truths)[order] if truths else None
    mean_loss = float(torch.stack(losses).sum()) / len(case) if losses else float("nan")
    return Scores(case[order].astype(np.int32), arrays, truth, mean_loss, dict(sorted(maps.items())))


def _pixel_counts(
    p_NKHW: Tensor, logits_NKHW: Tensor, target_NHW: Tensor, *, fully: bool
) -> dict[str, np.ndarray]:
    """Per image; see `Scores.arrays`."""
    num, classes = p_NKHW.shape[:2]
    counts_NHW = target_NHW != IGNORE
    true_NHW = target_NHW.clamp(max=classes - 1)
    image_NHW = torch.arange(num, device=p_NKHW.device)[:, None, None].expand_as(target_NHW)
    place = (image_NHW * classes + true_NHW) * classes + decided(p_NKHW)
    confusion = _counted(place, counts_NHW, num * classes**2).reshape(num, classes, classes)
    log_p = F.log_softmax(logits_NKHW, 1).gather(1, true_NHW[:, None])[:, 0].clamp(min=float(np.log(CLIP)))
    squares = torch.zeros_like(log_p)
    for k in range(classes):  # one-hot truth would be eight bytes for every class and pixel
        squares += (p_NKHW[:, k] - (true_NHW == k).float()) ** 2
    # Of two classes each error is counted in both; the Brier score of a yes-or-no question counts it once.
    squares = squares / 2 if classes == 2 else squares
    made = {
        "confusion": confusion,
        "log_loss_sum": torch.where(counts_NHW, -log_p, 0.0).sum((1, 2), dtype=torch.float64),
        "brier_sum": torch.where(counts_NHW, squares, 0.0).sum((1, 2), dtype=torch.float64),
        "pixels": counts_NHW.sum((1, 2)),
    }
    if fully:
        made["histogram"] = _histogram(p_NKHW, true_NHW, counts_NHW)
    return {name: values.cpu().numpy() for name, values in made.items()}


def _histogram(p_NKHW: Tensor, true_NHW: Tensor, counts_NHW: Tensor) -> Tensor:
    """(N, K, 2, 256) int32."""
    num, classes = p_NKHW.shape[:2]
    device = p_NKHW.device
    bins = (p_NKHW * BINS).long().clamp(max=BINS - 1)
    class_K = torch.arange(classes, device=device)[None, :, None, None]
    is_class = (true_NHW[:, None] == class_K).long()
    image_N = torch.arange(num, device=device)[:, None, None, None]
    place = ((image_N * classes + class_K) * 2 + is_class) * BINS + bins
    counts_NKHW = counts_NHW[:, None].expand_as(place)
    num_bins = num * classes * 2 * BINS
    return _counted(place, counts_NKHW, num_bins).reshape(num, classes, 2, BINS).int()


def decided(p_NKHW: Tensor) -> Tensor:
    """The likeliest class of every pixel (N, H, W) int64; the first of equals, as `Tensor.argmax` has it.

    Class by class, since argmax over a few far-apart numbers takes as long as a seventh of a U-Net.
    """
    best = p_NKHW[:, 0]
    chosen = torch.zeros(best.shape, dtype=torch.int64, device=p_NKHW.device)
    for k in range(1, p_NKHW.shape[1]):
        chosen = torch.where(p_NKHW[:, k] > best, k, chosen)
        best = torch.maximum(best, p_NKHW[:, k])
    return chosen


def _counted(place: Tensor, counts: Tensor, num_bins: int) -> Tensor:
    """How often each place 0 .. num_bins - 1 is there among those that count; the others fall into a bin of their own."""
    return torch.bincount(torch.where(counts, place, num_bins).flatten(), minlength=num_bins + 1)[:num_bins]


@dataclass(frozen=True)
class Selector:
    """A number that chooses the epoch on the inner validation, and which way it is better."""

    of: Callable[[Scores], float]
    higher_is_better: bool = True

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


def _one_hot(scores: Scores) -> np.ndarray:
    assert scores.truth is not None
    p = scores.arrays["probabilities"]
    return scores.truth.astype(np.float64) if scores.truth.ndim == 2 else np.eye(p.shape[1])[scores.truth]


def _log_loss(scores: Scores) -> float:
    p, true = scores.arrays["probabilities"].astype(np.float64).clip(CLIP, 1 - CLIP), _one_hot(scores)
    if scores.truth is not None and scores.truth.ndim == 2:
        return float(-(true * np.log(p) + (1 - true) * np.log1p(-p)).mean())
    return float(-np.log(p[true.astype(bool)]).mean())


def _brier(scores: Scores) -> float:
    squares = (scores.arrays["probabilities"].astype(np.float64) - _one_hot(scores)) ** 2
    return float(
        squares.mean() if scores.truth is not None and scores.truth.ndim == 2 else squares.sum(1).mean()
    )


def _right(scores: Scores) -> np.ndarray:
    """(n,) or, for several labels, (n, K): whether the decision is right."""
    p = scores.arrays["probabilities"]
    assert scores.truth is not None
    several = scores.truth.ndim == 2
    return np.asarray((p >= 0.5) == (scores.truth > 0.5) if several else p.argmax(1) == scores.truth)


def _balanced_accuracy(scores: Scores) -> float:
    """Mean over the classes that are there of the share of their images that are found (several labels: and left)."""
    right, true = _right(scores), _one_hot(scores) > 0.5
    if right.ndim == 1:
        return float(np.mean([right[of_class].mean() for of_class in true.T if of_class.any()]))
    parts = [
        part[chosen].mean()
        for part, of in zip(right.T, true.T, strict=True)
        for chosen in (of, ~of)
        if chosen.any()
    ]
    return float(np.mean(parts))


def _overlap(scores: Scores, weight: float) -> float:
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
    "accuracy": Selector(lambda scores: float(_right(scores).mean())),
    "balanced_accuracy": Selector(_balanced_accuracy),
}
SEGMENTATION = {
    "dice_img_macro": Selector(lambda scores: _overlap(scores, 2)),
    "iou_img_macro": Selector(lambda scores: _overlap(scores, 1)),
    "log_loss_img": Selector(lambda scores: _per_pixel(scores, "log_loss_sum"), higher_is_better=False),
    "brier_img": Selector(lambda scores: _per_pixel(scores, "brier_sum"), higher_is_better=False),
}
