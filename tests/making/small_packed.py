"""Packed data sets that live in memory: what the audit and the splits ask for, without files."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from foldwise.data.cache.measures import Measure, fingerprint
from foldwise.data.cases import Case, Dataset


def texture(seed, size=(64, 64), channels=1, scale=4.0):
    """A cloudy picture (C, H, W) uint8, unlike those of any other seed."""
    noise = np.random.default_rng(seed).standard_normal((channels, *size))
    smooth = gaussian_filter(noise, (0, scale, scale))
    return np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


class SmallPacked:
    """Stands in for `Packed`."""

    def __init__(self, images, targets=None, num_classes=0):
        self._images, self._targets = images, targets
        self.num_channels = len(images[0])
        self.measures = [self._measure(index, num_classes) for index in range(len(images))]

    def __len__(self):
        return len(self._images)

    def image(self, index):
        return self._images[index]

    def target(self, index):
        return self._targets[index]

    def _measure(self, index, num_classes):
        image = self._images[index]
        digest = sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
        pixels = None
        if self._targets is not None:
            pixels = tuple(int((self._targets[index] == k).sum()) for k in range(num_classes))
        channels, height, width = image.shape
        return Measure(
            index=index,
            mode="L" if channels == 1 else "RGB",
            format="PNG",
            width=width,
            height=height,
            bit_depth=8,
            minimum=float(np.nanmin(image)),
            maximum=float(np.nanmax(image)),
            mean=tuple(image.mean(axis=(1, 2)).tolist()),
            square_mean=tuple((image.astype(float) ** 2).mean(axis=(1, 2)).tolist()),
            num_nan=int(np.isnan(image).sum()),
            file_digest=digest,
            pixel_digest=digest,
            fingerprints=fingerprint(image),
            class_pixels=pixels,
            original_width=width,
            original_height=height,
        )

    def measured(self, index, **changes):
        """Pretend that the file of one image was different."""
        self.measures[index] = replace(self.measures[index], **changes)


def dataset(labels, classes=("gel", "other"), task=None, names=None, groups=None):
    """A data set with these label tuples (or numbers); ``i000.png`` and so on where no names are given."""
    rows = [label if isinstance(label, tuple) else (int(label),) for label in labels]
    names = names or [f"i{place:05d}.png" for place in range(len(rows))]
    task = task or ("binary_classification" if len(classes) == 2 else "multiclass_classification")
    cases = tuple(
        Case(place, name, name, None, row, None if groups is None else groups[place])
        for place, (name, row) in enumerate(zip(names, rows, strict=True))
    )
    return Dataset(Path(), task, tuple(classes), cases, "table", (), None)


def segmentation(num_images, classes=("background", "cell"), **options):
    task = "binary_segmentation" if len(classes) == 2 else "multiclass_segmentation"
    return dataset([()] * num_images, classes, task, **options)
