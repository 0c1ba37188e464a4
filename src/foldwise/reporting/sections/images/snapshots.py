"""Snapshots of images as training went on, and how far configurations differ in what they predict."""

from __future__ import annotations

from collections import Counter
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


def minority(predicted_N: NDArray[Any]) -> Floats:
    """The share of the first axis that does not predict what most predict, for every other place.

    Args:
        predicted_N: (N, ...) classes, as whole numbers from 0; N of 1 or more.

    Returns:
        (...) from 0, where all agree, to `most_possible`.
    """
    classes = np.unique(predicted_N)
    counts = np.stack([(predicted_N == label).sum(axis=0) for label in classes])
    return np.asarray(1 - counts.max(axis=0) / len(predicted_N))


def most_possible(num: int, num_classes: int) -> float:
    """The highest `minority` of so many configurations: 0.5 of two, 0.4 of five with two classes."""
    return 1 - -(-num // min(num, num_classes)) / num


def through_training(
    files: Sequence[Path], case: int, truth_HW: NDArray[np.uint8]
) -> tuple[int, list[tuple[int, Floats]]]:
    """How far the networks of watched files differ at one image, epoch by epoch.

    Args:
        files: ``watched.npz`` of one fold, one of each configuration.
        case: the image.
        truth_HW: as it was watched; files with other sizes are left out.

    Returns:
        How many are compared; and by epoch the `minority` (h, w), nan where no truth counts: of epochs at which half
        of them were watched, and of the last. The others count with what they predicted before, as those do that
        stopped earlier.
    """
    read = [_predicted(path, case, truth_HW.shape) for path in files]
    predictions = [by_epoch for by_epoch in read if by_epoch is not None]
    if len(predictions) < 2:
        return len(predictions), []
    # Before, one of them has not predicted anything yet that could count.
    begun = max(min(by_epoch) for by_epoch in predictions)
    watched = Counter(epoch for by_epoch in predictions for epoch in by_epoch if epoch >= begun)
    epochs = sorted(
        epoch for epoch, num in watched.items() if 2 * num >= len(predictions) or epoch == max(watched)
    )
    counts = truth_HW != IGNORE
    maps = [
        (
            epoch,
            np.where(
                counts, minority(np.stack([_latest(by_epoch, epoch) for by_epoch in predictions])), np.nan
            ),
        )
        for epoch in epochs
    ]
    return len(predictions), maps


def _predicted(path: Path, case: int, shape_HW: tuple[int, ...]) -> dict[int, NDArray[np.uint8]] | None:
    """By epoch, the class of every pixel; None where the image was not watched at this size."""
    with np.load(path, allow_pickle=False) as arrays:
        if str(case) not in arrays.files or arrays[str(case)].shape[2:] != shape_HW:
            return None
        classes_EHW = arrays[str(case)].argmax(axis=1).astype(np.uint8)
        return dict(zip(arrays["epochs"].tolist(), classes_EHW, strict=True))


def _latest(by_epoch: Mapping[int, NDArray[np.uint8]], epoch: int) -> NDArray[np.uint8]:
    return by_epoch[max(earlier for earlier in by_epoch if earlier <= epoch)]
