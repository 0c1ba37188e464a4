"""A few images of the inner validation, kept through training: their probabilities, and what each pixel costs.

Never test images: whoever looks at those while a study is being shaped chooses by them, and their scores are then no
scores of unseen images any more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from foldwise.data.cache.packed import Packed
from foldwise.learning.objectives.loss_formulas import Loss
from foldwise.learning.training.counting import CLIP

MAX_IMAGES = 3
MAX_EPOCHS = 6  # with the chosen and the last one
LONGEST_PX = 256
LONGEST_MAP_PX = 128  # of maps of losses: as many of these are kept as there are losses
MAX_NUMBERS = 2**20  # probabilities of one image at one epoch: 2 MB in float16


def images_to_watch(packed: Packed, inner: np.ndarray) -> dict[int, int]:
    """Case index -> stride of up to three images, from little foreground to much; the same for every configuration.

    Args:
        packed: a segmentation.
        inner: the inner validation.
    """
    shares = []
    for case in inner.tolist():
        counts = np.asarray(packed.measures[case].class_pixels, dtype=np.float64)
        shares.append((float(counts[1:].sum() / max(counts.sum(), 1)), case))
    ordered = [case for _, case in sorted(shares)]
    num = min(MAX_IMAGES, len(ordered))
    chosen = [ordered[(2 * number + 1) * len(ordered) // (2 * num)] for number in range(num)]
    return {case: _stride(packed, case) for case in chosen}


def _stride(packed: Packed, case: int) -> int:
    """Every so manieth pixel, so that the longer side and the numbers of all classes stay small."""
    height, width = (int(side) for side in packed.shapes[case])
    numbers = height * width * len(packed.classes)
    return max(math.ceil(max(height, width) / LONGEST_PX), math.ceil(math.sqrt(numbers / MAX_NUMBERS)))


def epochs_to_keep(epochs: int) -> frozenset[int]:
    """Evenly on a logarithmic scale from the first to the last; training is fast at first, and slow later."""
    # One less than there is room for: the chosen epoch takes that.
    spread = np.geomspace(1, epochs, MAX_EPOCHS - 1)
    return frozenset(int(epoch) for epoch in np.round(spread))


class Watch:
    """Probabilities of a few images at a few epochs; holds at most `MAX_EPOCHS` + 1 of them at a time."""

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

    def write(
        self, path: Path, packed: Packed, *, losses: Mapping[str, Loss], class_pixels: np.ndarray
    ) -> None:
        """``watched.npz``: ``epochs`` (E,), ``cases``, ``strides`` (I,), ``class_pixels`` (K,), and by case (E, K, h, w).

        With ``losses`` (L,), their names, that of the fit first; and by case ``loss_maps_<case>`` (L, E, h', w') and
        ``image_losses_<case>`` (L, E), see `loss_maps`.

        Args:
            path: where to.
            packed: has the truth.
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
        losses: L of them.

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
