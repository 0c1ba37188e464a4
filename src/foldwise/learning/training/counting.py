"""The pixels of a batch, counted for every image finely enough that every metric follows without the network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foldwise.study.spec import IGNORE

BINS = 256  # of a probability: fine enough for the ROC and PR curves of pixels
CLIP = 1e-7  # a probability of 0 for the truth counts as this one, so that a log-loss stays finite


def pixel_counts(
    p_NKHW: Tensor, logits_NKHW: Tensor, target_NHW: Tensor, *, fully: bool
) -> dict[str, np.ndarray]:
    """Per image what `Scores.arrays` holds of a segmentation; the histogram only where `fully` is asked for."""
    num, classes = p_NKHW.shape[:2]
    counts_NHW = target_NHW != IGNORE
    true_NHW = target_NHW.clamp(max=classes - 1)
    image_NHW = torch.arange(num, device=p_NKHW.device)[:, None, None].expand_as(target_NHW)
    place = (image_NHW * classes + true_NHW) * classes + decided(p_NKHW)
    confusion = _counted(place, counts_NHW, num * classes**2).reshape(num, classes, classes)
    log_p = F.log_softmax(logits_NKHW, 1).gather(1, true_NHW[:, None])[:, 0].clamp(min=float(np.log(CLIP)))
    squares, confidence = torch.zeros_like(log_p), []
    for k in range(classes):  # one-hot truth would be eight bytes for every class and pixel
        is_k = true_NHW == k
        squares += (p_NKHW[:, k] - is_k.float()) ** 2
        confidence.append(torch.where(is_k & counts_NHW, p_NKHW[:, k], 0.0).sum((1, 2), dtype=torch.float64))
    # Of two classes each error is counted in both; the Brier score of a yes-or-no question counts it once.
    squares = squares / 2 if classes == 2 else squares
    made = {
        "confusion": confusion,
        "confidence_sum": torch.stack(confidence, 1),
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
