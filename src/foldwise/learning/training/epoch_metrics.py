"""What is written down of scores: a few numbers of every epoch, and the pooled counts of a part of the images."""

from __future__ import annotations

from typing import Any

import numpy as np

from foldwise.learning.training.scoring import Scores, one_hot, overlap, right


def told(scores: Scores) -> dict[str, Any]:
    """What the record of an epoch says beside its losses; None for what no case can tell.

    ``accuracy``: of images (several labels: of decisions); of a segmentation the mean over images of the share of
    right pixels. ``iou``: segmentation, mean over images of that over their foreground classes. ``confidence``: K
    means of the probability given to the truth, over the images, or pixels, whose truth is each class.
    """
    confidence = [known(value) for value in _confidence(scores)]
    if "confusion" not in scores.arrays:
        return {"accuracy": known(float(right(scores).mean())), "confidence": confidence}
    hits, pixels = np.einsum("nkk->n", scores.arrays["confusion"]), scores.arrays["pixels"]
    shares = (hits / np.maximum(pixels, 1))[pixels > 0]
    accuracy = float(shares.mean()) if len(shares) else float("nan")
    return {"accuracy": known(accuracy), "iou": known(overlap(scores, 1)), "confidence": confidence}


def _confidence(scores: Scores) -> list[float]:
    if "confusion" in scores.arrays:
        total, size = scores.arrays["confidence_sum"].sum(0), scores.arrays["confusion"].sum((0, 2))
    else:
        true = one_hot(scores) > 0.5
        p = scores.arrays["probabilities"].astype(np.float64)
        total, size = np.where(true, p, 0.0).sum(0), true.sum(0)
    return [float(a / b) if b else float("nan") for a, b in zip(total, size, strict=True)]


def known(value: float) -> float | None:
    """The value; None where it is not finite."""
    return float(value) if np.isfinite(value) else None


def pooled_confusion(scores: Scores) -> np.ndarray:
    """(K, K) int64 by [true, predicted], images or pixels; several labels: (K, 2, 2), each label by itself."""
    if "confusion" in scores.arrays:
        return np.asarray(scores.arrays["confusion"].sum(0), dtype=np.int64)
    p, true = scores.arrays["probabilities"], one_hot(scores) > 0.5
    if scores.truth is not None and scores.truth.ndim == 2:
        said = p >= 0.5
        counts = [((true == t) & (said == s)).sum(0) for t in (False, True) for s in (False, True)]
        return np.stack(counts, -1).reshape(-1, 2, 2).astype(np.int64)
    said = np.eye(p.shape[1], dtype=np.int64)[p.argmax(1)]
    return np.asarray(true.astype(np.int64).T @ said)
