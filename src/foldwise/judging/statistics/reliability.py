"""Whether probabilities mean what they say: what was said against how often it came true, bin by bin.

The expected calibration error (ECE) is never 0 on real images: a perfect model shows one too, the larger the fewer
images there are. So it stands only beside the one that a perfect model with the same probabilities would show here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldwise.judging.statistics.intervals import wilson
from foldwise.metrics.outputs import Bools, Floats, Ints

MAX_BINS, MIN_BINS = 15, 5
PER_BIN = 10  # images for each bin, where there are so few that 15 would be too many
MAX_DRAWN, MAX_DRAWS, MIN_DRAWS = (
    4_000_000,
    1000,
    20,
)  # coins of the simulation; of many images few draws do


@dataclass(frozen=True)
class Bin:
    """One interval of probabilities that holds at least one.

    Attributes:
        mean: of the probabilities in it.
        share: of them that came true.
        low, high: the Wilson interval of the share; nan where none can be told.
        count: probabilities in it, over all repeats.
    """

    mean: float
    share: float
    low: float
    high: float
    count: int


def num_bins(num_images: int) -> int:
    """15 bins of equal width, or fewer for fewer than 150 images; at least 5."""
    return int(np.clip(num_images // PER_BIN, MIN_BINS, MAX_BINS))


def bin_of(said: Floats, bins: int) -> Ints:
    """The bin of each probability; a bin has its lower end, the last one both."""
    return np.minimum((said * bins).astype(np.int64), bins - 1)


def curve(said: Floats, hit: Bools, *, bins: int, worth: Floats, alpha: float) -> tuple[Bin, ...]:
    """The reliability curve: bins that hold nothing are left out.

    Args:
        said: (m,) probabilities.
        hit: (m,) whether it came true.
        bins: of equal width from 0 to 1.
        worth: (m,) how much of an independent observation each is: less than 1 where an image is seen in several
            repeats, or a group has several images.
        alpha: 1 - confidence.
    """
    place = bin_of(said, bins)
    count, total, true, size = (
        np.bincount(place, weights=weights, minlength=bins)
        for weights in (None, said, hit.astype(float), worth)
    )
    made = []
    for k in np.flatnonzero(count):
        share = float(true[k] / count[k])
        low, high = wilson(share, float(size[k]), alpha=alpha)
        made.append(Bin(float(total[k] / count[k]), share, low, high, int(count[k])))
    return tuple(made)


def ece(said: Floats, hit: Bools, *, bins: int) -> float:
    """The expected calibration error: |share that came true - mean probability| of every bin, weighted by its count."""
    return float(np.abs(_excess(said, hit, bins)).sum() / len(said))


def _excess(said: Floats, hit: Bools, bins: int) -> Floats:
    """By bin, how many more came true than was said."""
    return np.asarray(np.bincount(bin_of(said, bins), weights=hit - said, minlength=bins), dtype=np.float64)


def perfect_ece(said: Floats, *, bins: int, seed: int) -> float:
    """The ECE that a perfect model shows on the average: each event comes true with just the probability said.

    Simulated, as no formula is short; the same seed gives the same number.
    """
    draws = int(np.clip(MAX_DRAWN // len(said), MIN_DRAWS, MAX_DRAWS))
    order = np.argsort(said, kind="stable")
    sorted_said = said[order]
    _, starts = np.unique(bin_of(sorted_said, bins), return_index=True)
    rng = np.random.default_rng(seed)
    excess = np.array([(rng.random(len(said)) < sorted_said) - sorted_said for _ in range(draws)])
    return float(np.abs(np.add.reduceat(excess, starts, axis=1)).sum(axis=1).mean() / len(said))


def pixel_curve(histograms: Sequence[Ints], *, bins: int = MAX_BINS) -> tuple[Bin, ...]:
    """The reliability curve of pixels, from their counts by probability; without intervals, for pixels are no sample.

    Args:
        histograms: each (..., 2, 256): by whether a pixel is of the class, and by the probability of it.
        bins: at most 15.
    """
    pooled = np.sum([one.reshape(-1, *one.shape[-2:]).sum(axis=0) for one in histograms], axis=0).astype(
        float
    )
    fine = pooled.shape[1]
    centre = (np.arange(fine) + 0.5) / fine
    place = bin_of(centre, bins)
    count, total, true = (
        np.bincount(place, weights=weights, minlength=bins)
        for weights in (pooled.sum(axis=0), pooled.sum(axis=0) * centre, pooled[1])
    )
    nan = float("nan")
    return tuple(
        Bin(float(total[k] / count[k]), float(true[k] / count[k]), nan, nan, int(count[k]))
        for k in np.flatnonzero(count)
    )
