"""From tensors to what metrics take: the pixels of every image counted, so that every metric follows without the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foldwise.metrics.outputs import CLIP, FAMILIES, Outputs
from foldwise.study.spec import IGNORE, Task

BINS = 256  # of a probability: fine enough for the ROC and PR curves of pixels


def pixel_counts(
    p_NKHW: Tensor, logits_NKHW: Tensor, target_NHW: Tensor, *, fully: bool
) -> dict[str, np.ndarray]:
    """Per image what `Scores.arrays` holds of a segmentation; the histogram only where `fully` is asked for."""
    classes = p_NKHW.shape[1]
    counts_NHW = target_NHW != IGNORE
    true_NHW = target_NHW.clamp(max=classes - 1)
    log_p = F.log_softmax(logits_NKHW, 1).gather(1, true_NHW[:, None])[:, 0].clamp(min=float(np.log(CLIP)))
    squares, confidence = torch.zeros_like(log_p), []
    for k in range(classes):  # one-hot truth would be eight bytes for every class and pixel
        is_k = true_NHW == k
        squares += (p_NKHW[:, k] - is_k.float()) ** 2
        confidence.append(torch.where(is_k & counts_NHW, p_NKHW[:, k], 0.0).sum((1, 2), dtype=torch.float64))
    # Of two classes each error is counted in both; the Brier score of a yes-or-no question counts it once.
    squares = squares / 2 if classes == 2 else squares
    made = {
        "confusion": confusion_matrices(decided(p_NKHW), target_NHW, classes),
        "confidence_sum": torch.stack(confidence, 1),
        "log_loss_sum": torch.where(counts_NHW, -log_p, 0.0).sum((1, 2), dtype=torch.float64),
        "brier_sum": torch.where(counts_NHW, squares, 0.0).sum((1, 2), dtype=torch.float64),
        "pixels": counts_NHW.sum((1, 2)),
    }
    if fully:
        made["histogram"] = _histogram(p_NKHW, true_NHW, counts_NHW)
    return {name: values.cpu().numpy() for name, values in made.items()}


def confusion_matrices(decided_NHW: Tensor, target_NHW: Tensor, classes: int) -> Tensor:
    """(N, K, K) int64 by [true, decided], of the pixels of each image that count."""
    num = len(target_NHW)
    true_NHW = target_NHW.clamp(max=classes - 1)
    image_NHW = torch.arange(num, device=target_NHW.device)[:, None, None].expand_as(target_NHW)
    cell = (image_NHW * classes + true_NHW) * classes + decided_NHW
    return _counted(cell, target_NHW != IGNORE, num * classes**2).reshape(num, classes, classes)


def decisions(logits: Tensor, target: Tensor, task: Task) -> Tensor:
    """The decisions about each image of a batch: all that metrics need that go by decisions alone.

    Returns:
        masks: (N, K, K) int64 confusion matrices; else (N, 2, K) bool, the true labels and the decided ones.
    """
    classes = logits.shape[1]
    if task.endswith("segmentation"):
        return confusion_matrices(decided(logits), target, classes)
    if task == "multilabel_classification":
        return torch.stack([target > 0.5, logits >= 0], 1)
    return torch.stack([F.one_hot(target, classes) > 0, F.one_hot(decided(logits), classes) > 0], 1)


def outputs_of_decisions(decisions_N: np.ndarray, task: Task) -> Outputs:
    """The same as metrics take them, all in one fold; a decision counts as a probability of 1."""
    images = np.arange(len(decisions_N))
    outputs = Outputs(FAMILIES[task], images, np.zeros_like(images))
    if task.endswith("segmentation"):
        return replace(outputs, confusion=decisions_N)
    return replace(outputs, truth=decisions_N[:, 0], probabilities=decisions_N[:, 1].astype(np.float64))


def _histogram(p_NKHW: Tensor, true_NHW: Tensor, counts_NHW: Tensor) -> Tensor:
    """(N, K, 2, 256) int32."""
    num, classes = p_NKHW.shape[:2]
    device = p_NKHW.device
    bins = (p_NKHW * BINS).long().clamp(max=BINS - 1)
    class_K = torch.arange(classes, device=device)[None, :, None, None]
    is_class = (true_NHW[:, None] == class_K).long()
    image_N = torch.arange(num, device=device)[:, None, None, None]
    cell = ((image_N * classes + class_K) * 2 + is_class) * BINS + bins
    counts_NKHW = counts_NHW[:, None].expand_as(cell)
    num_bins = num * classes * 2 * BINS
    return _counted(cell, counts_NKHW, num_bins).reshape(num, classes, 2, BINS).int()


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


def _counted(cell: Tensor, counts: Tensor, num_bins: int) -> Tensor:
    """How often each of the cells 0 .. num_bins - 1 is there among those that count; the rest fall into a bin of their own."""
    return torch.bincount(torch.where(counts, cell, num_bins).flatten(), minlength=num_bins + 1)[:num_bins]
