"""A simulated study: scores, folds, groups, and the truth that no real study knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foldwise.metrics.influence import Units
from foldwise.metrics.table import Metric

FOLDS = 5


@dataclass(frozen=True)
class Sample:
    """One study with its truth; C configurations, R repeats, n images.

    Attributes:
        metric: what the scores are.
        scores_CRn: of every image; 0 or 1 where the metric counts.
        folds_Rn: the test fold of every image.
        units: images or groups.
        truth_C: the expected score of every configuration, over images, training sets and seeds.
        levels: sizes of the factors whose combinations the configurations are, the last one varying fastest.
        alike: pairs of configurations that are the same; None: all are.
        classes_n: the class of every image, where the metric averages over classes.
    """

    metric: Metric
    scores_CRn: np.ndarray
    folds_Rn: np.ndarray
    units: Units
    truth_C: np.ndarray
    levels: tuple[int, ...] = ()
    alike: tuple[tuple[int, int], ...] | None = ()
    classes_n: np.ndarray | None = None

    @property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Places of the two configurations of every pair."""
        return np.triu_indices(len(self.truth_C), 1)

    @property
    def alike_P(self) -> np.ndarray:
        """Which pairs are of configurations that are the same."""
        a, b = self.pairs
        if self.alike is None:
            return np.ones(len(a), dtype=bool)
        return np.array([pair in self.alike for pair in zip(a.tolist(), b.tolist(), strict=True)])


def some_groups(rng: np.random.Generator, n: int, most: int) -> Units:
    """Groups of 1 to `most` images, as they come, over n images; images alone where `most` is 1."""
    sizes = rng.integers(1, most + 1, size=n)
    return Units.from_groups([str(group) for group in np.repeat(np.arange(n), sizes)[:n]])


def some_folds(rng: np.random.Generator, units: Units, repeats: int) -> np.ndarray:
    """(R, n) folds of whole groups, as many groups in each as can be."""
    dealt = [rng.permutation(np.arange(units.count) % FOLDS) for _ in range(repeats)]
    return np.stack(dealt)[:, units.of_case]
