"""A packed data set in memory, drawn from a seed: what the tests of batches and of learning feed on."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np


@dataclass
class TinyPacked:
    """Has the names of `Packed` that training uses; class k of an image, or of a pixel, is brighter than k - 1."""

    task: str = "multiclass_classification"
    num_classes: int = 3
    num_channels: int = 1
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.uint8))
    sizes: tuple = ((16, 16),) * 24
    seed: int = 0
    cache = "disk"  # it pretends

    @property
    def is_square(self):
        return all(height == width for height, width in self.sizes)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.classes = tuple(f"class {k}" for k in range(self.num_classes))
        self.shapes = np.array(self.sizes, np.int64)
        total, num_classes = len(self.sizes), self.num_classes
        self._targets, levels = [], []
        if self.task.endswith("segmentation"):
            self.labels = np.zeros(0, np.int64)
            for height, width in self.sizes:
                target = np.zeros((height, width), np.uint8)
                for k in range(1, num_classes):
                    top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
                    target[top : top + height // 2, left : left + width // 2] = k
                self._targets.append(target)
                levels.append(target * (200 / num_classes))
        elif self.task == "multilabel_classification":
            self.labels = rng.integers(0, 2, (total, num_classes)).astype(np.uint8)
            for row, (height, width) in zip(self.labels, self.sizes, strict=True):
                bands = np.array_split(np.arange(width), num_classes)
                level = np.zeros((height, width))
                for band, on in zip(bands, row, strict=True):
                    level[:, band] = 120 * on
                levels.append(level)
        else:
            self.labels = np.arange(total) % num_classes
            levels = [
                np.full(size, 150 * label / num_classes)
                for size, label in zip(self.sizes, self.labels, strict=True)
            ]
        unit = {"uint8": 1, "uint16": 200, "float32": 1 / 255}[str(self.dtype)]
        self._images = [self._drawn(level, unit, rng) for level in levels]
        self.measures = [self._measure(index) for index in range(total)]

    def _drawn(self, level, unit, rng):
        noisy = level[None] + rng.integers(0, 60, (self.num_channels, *level.shape))
        return (noisy * unit).astype(self.dtype)

    def _measure(self, index):
        image, (height, width) = self._images[index], self.sizes[index]
        counts = (
            np.bincount(self._targets[index].ravel(), minlength=self.num_classes) if self._targets else None
        )
        return SimpleNamespace(
            minimum=float(image.min()), maximum=float(image.max()), class_pixels=None if counts is None else tuple(counts),
            height=height, width=width, original_height=height, original_width=width,
        )  # fmt: skip

    def __len__(self):
        return len(self.sizes)

    def image(self, index):
        return self._images[index]

    def target(self, index):
        return self._targets[index]

    def channel_stats(self, indices):
        pixels = np.concatenate(
            [self._images[i].reshape(self.num_channels, -1).astype(float) for i in indices], 1
        )
        return pixels.mean(1).astype(np.float32), pixels.std(1).astype(np.float32)
