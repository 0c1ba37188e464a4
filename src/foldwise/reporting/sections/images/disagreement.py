"""How far configurations differ in what they say: the share of them that does not say what most of them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.study.spec import IGNORE

Floats = NDArray[np.float64]


def minority(said_N: NDArray[Any]) -> Floats:
    """The share of the first axis that does not say what is said most often, for every other place.

    Args:
        said_N: (N, ...) classes, as whole numbers from 0; N of 1 or more.

    Returns:
        (...) from 0, where all say the same, to `most_possible`.
    """
    classes = np.unique(said_N)
    counts = np.stack([(said_N == label).sum(axis=0) for label in classes])
    return np.asarray(1 - counts.max(axis=0) / len(said_N))


def most_possible(num_said: int, num_classes: int) -> float:
    """The highest `minority` of so many configurations: 0.5 of two, 0.4 of five with two classes."""
    return 1 - -(-num_said // min(num_said, num_classes)) / num_said


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
        of them were watched, and of the last. The others say what they said before, as those do that stopped earlier.
    """
    said = [one for path in files if (one := _said(path, case, truth_HW.shape)) is not None]
    if len(said) < 2:
        return len(said), []
    begun = max(min(one) for one in said)
    watched = Counter(epoch for one in said for epoch in one if epoch >= begun)
    epochs = sorted(one for one, num in watched.items() if 2 * num >= len(said) or one == max(watched))
    counts = truth_HW != IGNORE
    maps = [
        (epoch, np.where(counts, minority(np.stack([_latest(one, epoch) for one in said])), np.nan))
        for epoch in epochs
    ]
    return len(said), maps


def _said(path: Path, case: int, shape_HW: tuple[int, ...]) -> dict[int, NDArray[np.uint8]] | None:
    """By epoch, the class of every pixel; None where the image was not watched at this size."""
    with np.load(path, allow_pickle=False) as arrays:
        if str(case) not in arrays.files or arrays[str(case)].shape[2:] != shape_HW:
            return None
        decided_EHW = arrays[str(case)].argmax(axis=1).astype(np.uint8)
        return dict(zip(arrays["epochs"].tolist(), decided_EHW, strict=True))


def _latest(said: dict[int, NDArray[np.uint8]], epoch: int) -> NDArray[np.uint8]:
    return said[max(one for one in said if one <= epoch)]
