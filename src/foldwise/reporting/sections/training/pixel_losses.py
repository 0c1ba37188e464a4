"""What every pixel adds to each loss, without torch: for the maps and the curves of the report.

A share is scaled so that the mean of an image's shares is the loss of that image alone; so maps of different losses
can stand on one scale. The rows are those of `learning.objectives.losses.LOSSES` that fit a segmentation, with the same
options and defaults; the tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.study.spec import IGNORE, Choice

Floats = NDArray[np.float64]
Shares = Callable[[Floats, NDArray[Any], Floats], Floats]
Curve = Callable[[Floats], Floats]
Weight = str | float | Sequence[float] | None
SMALLEST = 1e-7  # a probability of 0 is drawn as this one, with a loss of 16


@dataclass(frozen=True)
class PixelLoss:
    """A loss, pixel by pixel.

    Attributes:
        shares: from probabilities (K, N), true classes (N,) and the pixels of each class in the training part (K,):
            what each of N pixels adds, (N,); their mean is the loss.
        curve: the loss of one pixel at the probability of its true class, where its weight is 1; None where the other
            pixels of the image decide too.
        slope: the size of the derivative of `curve` by the logit of the true class, at that probability.
    """

    shares: Shares
    curve: Curve | None = None
    slope: Curve | None = None


def cross_entropy(*, weight: Weight = "none", beta: float = 0.999, label_smoothing: float = 0.0) -> PixelLoss:
    """-w log p of the true class, with a share of the target spread over all classes."""

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        weight_K = _class_weights(weight, class_pixels_K)
        lost_KN = -np.log(p_KN.clip(SMALLEST, 1))
        own = weight_K[true_N] * _of_truth(lost_KN, true_N)
        spread = (weight_K[:, None] * lost_KN).mean(0)
        return _weighted((1 - label_smoothing) * own + label_smoothing * spread, weight_K[true_N])

    def curve(p: Floats) -> Floats:
        # Of two classes; the rest of the target lies on the other one.
        kept = 1 - label_smoothing / 2
        return np.asarray(-kept * np.log(p) - ((1 - kept) * np.log1p(-p) if label_smoothing else 0.0))

    return PixelLoss(shares, curve, lambda p: np.abs(p - (1 - label_smoothing / 2)))


def focal(*, gamma: float = 2.0, weight: Weight = "none", beta: float = 0.999) -> PixelLoss:
    """-w (1 - p)^gamma log p of the true class."""

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        weight_N = _class_weights(weight, class_pixels_K)[true_N]
        return _weighted(weight_N * _focal(_of_truth(p_KN, true_N), gamma), weight_N)

    return PixelLoss(shares, lambda p: _focal(p, gamma), lambda p: _focal_slope(p, gamma))


def dice(*, smooth: float = 1.0, background: bool = False) -> PixelLoss:
    """|t - p| / (|P| + |T| + smooth), mean over classes.

    1 - (2 |P T| + smooth) / (|P| + |T| + smooth) has |P| + |T| - 2 |P T| above the line, to which each pixel adds its own
    |t - p|; so the parts are exact.
    """
    first = 0 if background else 1

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        true_KN = np.arange(len(p_KN))[:, None] == true_N
        p_KN, true_KN = p_KN[first:], true_KN[first:]
        size_K = p_KN.sum(1) + true_KN.sum(1) + smooth
        held_K = np.ones(len(p_KN), dtype=bool) if smooth else true_KN.any(1)
        parts = np.abs(true_KN - p_KN)[held_K] / size_K[held_K].clip(1e-6)[:, None]
        return np.asarray(parts.sum(0) * len(true_N) / max(held_K.sum(), 1))

    return PixelLoss(shares)


def dice_cross_entropy(
    *,
    dice_share: float = 1.0,
    cross_entropy_share: float = 1.0,
    smooth: float = 1.0,
    background: bool = False,
    weight: Weight = "none",
) -> PixelLoss:
    """The sum of both, each times its share."""
    one, other = dice(smooth=smooth, background=background), cross_entropy(weight=weight)

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        told = p_KN, true_N, class_pixels_K
        return dice_share * one.shares(*told) + cross_entropy_share * other.shares(*told)

    return PixelLoss(shares)


def binary_cross_entropy(*, pos_weight: Weight = "none") -> PixelLoss:
    """-log p of what is true; foreground counts `pos_weight` times."""

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        lost = -np.log(_of_truth(p_KN, true_N).clip(SMALLEST, 1))
        return np.asarray(np.where(true_N == 1, _positive_weight(pos_weight, class_pixels_K), 1.0) * lost)

    return PixelLoss(shares, lambda p: -np.log(p), lambda p: 1 - p)


def binary_focal(*, gamma: float = 2.0, alpha: float | None = None) -> PixelLoss:
    """-a (1 - p)^gamma log p of what is true, a being `alpha` for foreground and 1 - alpha for the rest."""

    def shares(p_KN: Floats, true_N: NDArray[Any], class_pixels_K: Floats) -> Floats:
        lost = _focal(_of_truth(p_KN, true_N), gamma)
        return lost if alpha is None else np.asarray(np.where(true_N == 1, alpha, 1 - alpha) * lost)

    return PixelLoss(shares, lambda p: _focal(p, gamma), lambda p: _focal_slope(p, gamma))


PIXEL_LOSSES: dict[str, Callable[..., PixelLoss]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": dice,
    "dice_cross_entropy": dice_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_focal": binary_focal,
}


def pixel_loss(choice: Choice) -> PixelLoss | None:
    """The loss as it was asked for; None for a user's own, whose formula is not known."""
    made = PIXEL_LOSSES.get(choice.name)
    return None if made is None else made(**choice.options)


def loss_map(
    loss: PixelLoss, p_KHW: NDArray[Any], true_HW: NDArray[Any], class_pixels_K: NDArray[Any]
) -> Floats:
    """(H, W) what every pixel adds; nan where nothing counts."""
    counts, p = true_HW != IGNORE, p_KHW.astype(np.float64)
    drawn = np.full(true_HW.shape, np.nan)
    if counts.any():
        pixels = class_pixels_K.astype(np.float64)
        drawn[counts] = loss.shares(p[:, counts], true_HW[counts].astype(np.int64), pixels)
    return drawn


def _of_truth(values_KN: Floats, true_N: NDArray[Any]) -> Floats:
    return np.asarray(values_KN[true_N, np.arange(len(true_N))])


def _weighted(lost_N: Floats, weight_N: Floats) -> Floats:
    """A loss is divided by the sum of the weights, not by the number of pixels."""
    return np.asarray(lost_N / max(float(weight_N.mean()), 1e-12))


def _focal(p: Floats, gamma: float) -> Floats:
    p = np.asarray(p).clip(SMALLEST, 1)
    return np.asarray(-((1 - p) ** gamma) * np.log(p))


def _focal_slope(p: Floats, gamma: float) -> Floats:
    """Both factors move: with the first one held still, a gamma of 2 would learn two and a half times too slowly at p = 0.62."""
    p = np.asarray(p).clip(SMALLEST, 1)
    return np.asarray((1 - p) ** gamma * ((1 - p) - gamma * p * np.log(p)))


def _class_weights(weight: Weight, class_pixels_K: Floats) -> Floats:
    if weight == "none" or weight is None:
        return np.ones(len(class_pixels_K))
    if weight == "balanced":
        inverse = class_pixels_K.sum() / (len(class_pixels_K) * class_pixels_K.clip(1))
        return np.where(class_pixels_K > 0, inverse, 0.0)
    return np.asarray(weight, dtype=np.float64)


def _positive_weight(weight: Weight, class_pixels_K: Floats) -> float:
    if weight == "balanced":
        return float(class_pixels_K[0] / max(class_pixels_K[1], 1.0))
    return 1.0 if weight == "none" or weight is None else float(weight)  # type: ignore[arg-type]
