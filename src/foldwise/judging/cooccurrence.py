"""Which labels come together: correlations of several labels, and how many an image has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foldwise.metrics.outputs import Bools, Floats, Ints


@dataclass(frozen=True)
class Pair:
    """Two labels, by index, with their correlation and the number of images that have both."""

    a: int
    b: int
    phi: float
    together: int


def phi(labels: Bools) -> Floats:
    """(K, K) correlation of every two columns of (n, K) labels; nan for a label that all images have, or none.

    For labels that are there or not, Pearson's correlation is the phi coefficient.
    """
    values = labels.astype(np.float64)
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    known = spread > 0
    scaled = centred / np.where(known, spread, np.nan)
    return np.asarray(scaled.T @ scaled)


def strongest(labels: Bools, most: int) -> tuple[list[Pair], list[Pair]]:
    """At most `most` pairs each of the highest positive and of the lowest negative correlation, strongest first."""
    correlation, together = phi(labels), labels.astype(np.int64).T @ labels.astype(np.int64)
    pairs = [
        Pair(a, b, float(correlation[a, b]), int(together[a, b]))
        for b in range(labels.shape[1])
        for a in range(b)
        if np.isfinite(correlation[a, b])
    ]
    pairs.sort(key=lambda pair: -pair.phi)
    return [pair for pair in pairs[:most] if pair.phi > 0], [
        pair for pair in pairs[::-1][:most] if pair.phi < 0
    ]


def per_image(labels: Bools) -> Ints:
    """How many images have 0, 1, 2 ... labels, up to the most that one has."""
    return np.bincount(labels.sum(axis=1))


def num_sets(labels: Bools) -> int:
    """How many different sets of labels there are."""
    return len(np.unique(labels, axis=0))
