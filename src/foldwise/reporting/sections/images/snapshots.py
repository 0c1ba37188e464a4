"""Snapshots of images as training went on, as fits wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.report_data import Images
from foldwise.study.spec import IGNORE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Snapshot:
    """One network at one epoch at one image.

    Attributes:
        epoch, chosen: its number, and whether its weights were kept.
        p_KHW, true_HW: probabilities, and the truth.
        losses: by name, what each pixel adds, as a map, and the loss of the image.
    """

    epoch: int
    chosen: bool
    p_KHW: Floats
    true_HW: NDArray[np.uint8]
    losses: Mapping[str, tuple[Floats, float]]

    @property
    def decided_HW(self) -> NDArray[np.uint8]:
        """The class of the highest probability."""
        return np.asarray(self.p_KHW.argmax(axis=0), dtype=np.uint8)

    @property
    def doubt_HW(self) -> Floats:
        """1 - p of the true class; nan where nothing counts."""
        counts = self.true_HW != IGNORE
        true = np.where(counts, self.true_HW, 0).astype(np.int64)
        p = np.take_along_axis(self.p_KHW, true[None], axis=0)[0]
        return np.asarray(np.where(counts, 1 - p, np.nan))


@dataclass(frozen=True)
class Watched:
    """A configuration with its snapshots by image, early to late."""

    name: str
    snapshots: Mapping[int, tuple[Snapshot, ...]]


def read_snapshots(
    path: Path, name: str, best_epoch: int, *, images: Images, losses: Sequence[str]
) -> Watched:
    """One ``watched.npz``.

    Args:
        path: of the file.
        name: of the configuration.
        best_epoch: whose weights were kept.
        images: have the truth.
        losses: those that are wanted, where the fit wrote them.
    """
    snapshots: dict[int, tuple[Snapshot, ...]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        epochs = arrays["epochs"].tolist()
        for case, stride in zip(arrays["cases"].tolist(), arrays["strides"].tolist(), strict=True):
            truth = np.asarray(images.target(case))[::stride, ::stride]
            p_EKHW = arrays[str(case)].astype(np.float64)
            losses_E = _losses(arrays, case, losses) or [{}] * len(epochs)
            snapshots[case] = tuple(
                Snapshot(epoch, epoch == best_epoch, p_KHW, truth, image_losses)
                for epoch, p_KHW, image_losses in zip(epochs, p_EKHW, losses_E, strict=True)
            )
    return Watched(name, snapshots)


def _losses(arrays: Mapping[str, NDArray[Any]], case: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """By epoch and loss, its map of the image and its value; empty in runs of versions that wrote none."""
    if "losses" not in arrays:
        return []
    written = arrays["losses"].tolist()
    maps_LEHW, values_LE = arrays[f"loss_maps_{case}"].astype(np.float64), arrays[f"image_losses_{case}"]
    places = {name: written.index(name) for name in names if name in written}
    return [
        {name: (maps_LEHW[place, e], float(values_LE[place, e])) for name, place in places.items()}
        for e in range(values_LE.shape[1])
    ]


def most_possible(num: int, num_classes: int) -> float:
    """The highest share that does not predict what most of so many configurations do: 0.5 of two, 0.4 of five with two classes."""
    return 1 - -(-num // min(num, num_classes)) / num
