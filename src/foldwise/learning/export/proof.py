"""Whether an exported model gives what foldwise gives: probabilities compared number by number, and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldwise.text import count

Predictor = Callable[
    [np.ndarray], np.ndarray
]  # images (N, C, H, W), as their files' values, to probabilities (N, K ...)
# Of probabilities. Networks of 18 and more layers differ by up to 5e-6 from one library to another, as sums are taken in
# another order; an operation that is left out or done otherwise shows as 1e-3 and more, but as less where a network is
# undecided everywhere: so it is also a share of all that the probabilities range over.
MAX_DIFFERENCE, MAX_OF_SPAN, LEAST = 1e-4, 0.01, 1e-6
MAX_PX = 2**21  # of all images together, beside the first two
MIN_AGREEMENT = 0.9999  # of labels: on the border between two, the last digit decides


@dataclass(frozen=True)
class Agreement:
    """Probabilities of one program against those of another.

    Attributes:
        images: how many were compared.
        difference: the largest one of any probability; nan where something is not a number.
        allowed: the largest one that counts as equal.
        decisions, agreed: labels that were compared (of images, or of pixels), and how many are the same.
    """

    images: int
    difference: float
    allowed: float
    decisions: int
    agreed: int

    @property
    def is_equal(self) -> bool:
        """Whether both are the same within what is allowed."""
        return self.difference <= self.allowed and self.agreed >= MIN_AGREEMENT * self.decisions

    def sentence(self) -> str:
        """How far they are apart, in words."""
        what = f"probabilities differ by {self.difference:.1e} at most on {count(self.images, 'image')}"
        return f"{what}, and {self.agreed:,} of {count(self.decisions, 'label')} agree ({self.allowed:.1e} is allowed)"


def compared(exported: Sequence[np.ndarray], wanted: Sequence[np.ndarray], *, several: bool) -> Agreement:
    """Batches of probabilities (N, K) or (N, K, H, W) against what they should be.

    Args:
        several: whether each class is a label of its own, decided at one half here; else the likeliest class counts.
    """
    if [part.shape for part in exported] != [part.shape for part in wanted]:
        return Agreement(sum(map(len, wanted)), float("nan"), 0.0, sum(map(len, wanted)), 0)
    differences, agreed, decisions = [], 0, 0
    for ours, theirs in zip(wanted, exported, strict=True):
        differences.append(float(np.abs(ours.astype(np.float64) - theirs).max()))
        first, second = ((p >= 0.5) if several else p.argmax(1) for p in (ours, theirs))
        agreed, decisions = agreed + int((first == second).sum()), decisions + first.size
    span = max(float(part.max()) for part in wanted) - min(float(part.min()) for part in wanted)
    allowed = max(min(MAX_DIFFERENCE, MAX_OF_SPAN * span), LEAST)
    worst = max(differences) if np.isfinite(differences).all() else float("nan")
    return Agreement(sum(map(len, wanted)), worst, allowed, decisions, agreed)


def of_other_sizes(images_NCHW: np.ndarray) -> list[np.ndarray]:
    """The first image with some rows and columns less, and mirrored to more: sizes that no stride divides."""
    first = images_NCHW[:1]
    height, width = first.shape[2:]
    larger = np.concatenate([first, first[:, :, ::-1]], axis=2)[:, :, : height + height // 4 + 1]
    return [
        np.ascontiguousarray(first[:, :, : max(height - 3, 1), : max(width - 5, 1)]),
        np.ascontiguousarray(larger),
    ]


def in_batches(pairs: Sequence[tuple[np.ndarray, Any]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images (C, H, W) and their truth in batches of one size, as many as are compared; no truth where any is None."""
    by_shape: dict[tuple[int, ...], list[tuple[np.ndarray, Any]]] = {}
    pixels = 0
    for number, (image, target) in enumerate(pairs):
        pixels += image.shape[1] * image.shape[2]
        if number >= 2 and pixels > MAX_PX:
            break
        by_shape.setdefault(image.shape, []).append((image, target))
    batches = [np.stack([image for image, _ in part]) for part in by_shape.values()]
    if any(target is None for _, target in pairs):
        return batches, []
    return batches, [np.stack([target for _, target in part]) for part in by_shape.values()]
