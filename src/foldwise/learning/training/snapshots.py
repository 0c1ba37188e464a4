"""A few images of the inner validation whose probabilities are kept through training, to be looked at later.

Never test images: whoever looks at those while a study is being shaped chooses by them, and their scores are then no
scores of unseen images any more.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from foldwise.data.cache.packed import Packed

MAX_IMAGES = 3
MAX_EPOCHS = 6  # with the chosen and the last one
LONGEST_PX = 256
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
    chosen = [ordered[(2 * place + 1) * len(ordered) // (2 * num)] for place in range(num)]
    return {case: _stride(packed, case) for case in chosen}


def _stride(packed: Packed, case: int) -> int:
    """Every so manieth pixel, so that the longer side and the numbers of all classes stay small."""
    height, width = (int(side) for side in packed.shapes[case])
    numbers = height * width * len(packed.classes)
    return max(math.ceil(max(height, width) / LONGEST_PX), math.ceil(math.sqrt(numbers / MAX_NUMBERS)))


def epochs_to_keep(epochs: int) -> frozenset[int]:
    """Evenly on a logarithmic scale from the first to the last; training is fast at first, and slow later."""
    spread = np.geomspace(1, epochs, MAX_EPOCHS - 1)
    return frozenset(int(epoch) for epoch in np.round(spread))


class Watch:
    """Probabilities of a few images at a few epochs; holds at most `MAX_EPOCHS` + 1 of them at a time."""

    def __init__(self, strides: dict[int, int], epochs: int) -> None:
        self.strides = strides
        self._planned = epochs_to_keep(epochs)
        self._kept: dict[int, dict[int, np.ndarray]] = {}
        self._chosen = self._last = 0

    def look(self, epoch: int, seen: dict[int, np.ndarray], *, is_best: bool) -> None:
        """Keep an epoch, and forget those that were kept only while they were the best, or the last."""
        self._last = epoch
        self._chosen = epoch if is_best else self._chosen
        self._kept[epoch] = seen
        wanted = self._planned | {self._chosen, self._last}
        self._kept = {number: maps for number, maps in self._kept.items() if number in wanted}

    def write(self, path: Path, class_pixels: np.ndarray) -> None:
        """``watched.npz``: ``epochs`` (E,), ``cases``, ``strides`` (I,), ``class_pixels`` (K,), and by case (E, K, h, w).

        Args:
            path: where to.
            class_pixels: of the training part; weights of the classes follow from them.
        """
        epochs = sorted(self._kept)
        arrays = {str(case): np.stack([self._kept[epoch][case] for epoch in epochs]) for case in self.strides}
        about = {
            "epochs": np.array(epochs, dtype=np.int32),
            "cases": np.array(list(self.strides), dtype=np.int32),
            "strides": np.array(list(self.strides.values()), dtype=np.int32),
            "class_pixels": np.asarray(class_pixels, dtype=np.int64),
        }
        np.savez_compressed(path, **about, **arrays)  # type: ignore[arg-type]
