"""Whether probabilities mean what they say: reliability curves, the expected calibration error, and temperature.

The expected calibration error (ECE) is never 0 on real images: a perfect model shows one too, the larger the fewer
images there are. So it stands only beside the one that a perfect model with the same probabilities would show here.

Temperature is one number by which the logits of a fit are divided. It is set on the validation part of each fit and
changes no decision: the likeliest class stays the likeliest, and a label at one half stays there.
Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

from foldwise.judging.statistics.intervals import wilson
from foldwise.judging.verdict_sections import ReliabilityBin
from foldwise.metrics.outputs import Bools, Floats, Ints, totals
from foldwise.metrics.pixel_bins import bin_edges

MAX_BINS, MIN_BINS = 15, 5
IMAGES_PER_BIN = 10  # where there are so few images that 15 bins would be too many
# The simulation of a perfect model: of many images few draws do.
MAX_COINS, MAX_DRAWS, MIN_DRAWS = 4_000_000, 1000, 20

COLDEST, HOTTEST = 0.05, 20.0
# A normal prior of variance 1 on log T: where a fit is right about all of a few images, the log-loss alone would take
# every temperature to 0. Of 100 images or more nothing is seen of it.
PRIOR = 1.0
# Of a float32 probability: its logarithm is finite, and no two of them become equal.
MIN_PROBABILITY, MAX_PROBABILITY = 1e-38, 1 - 2**-25


def num_bins(num_images: int) -> int:
    """15 bins of equal width, or fewer for fewer than 150 images; at least 5."""
    return int(np.clip(num_images // IMAGES_PER_BIN, MIN_BINS, MAX_BINS))


def bin_of(probabilities: Floats, bins: int) -> Ints:
    """The bin of each probability; a bin has its lower end, the last one both."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def reliability_curve(
    probabilities: Floats, hit: Bools, *, bins: int, worth: Floats, alpha: float
) -> tuple[ReliabilityBin, ...]:
    """The reliability curve: bins that hold nothing are left out.

    Args:
        probabilities: (m,)
        hit: (m,) whether it came true.
        bins: of equal width from 0 to 1.
        worth: (m,) how much of an independent observation each is: less than 1 where an image is tested in several
            repeats, or a group has several images.
        alpha: 1 - confidence of the Wilson intervals.
    """
    bin_m = bin_of(probabilities, bins)
    count, total, true, size = (
        np.bincount(bin_m, weights=weights, minlength=bins)
        for weights in (None, probabilities, hit.astype(float), worth)
    )
    made = []
    for k in np.flatnonzero(count):
        share = float(true[k] / count[k])
        low, high = wilson(share, float(size[k]), alpha=alpha)
        mean = float(total[k] / count[k])
        made.append(ReliabilityBin(mean=mean, share=share, low=low, high=high, count=int(count[k])))
    return tuple(made)


def ece(probabilities: Floats, hit: Bools, *, bins: int) -> Floats:
    """The expected calibration error: |share that came true - mean probability| of every bin, weighted by its count.

    Of (..., m) events, each row by itself.
    """
    excess = totals(bin_of(probabilities, bins), bins, hit - probabilities)
    return np.asarray(np.abs(excess).sum(axis=-1) / probabilities.shape[-1])


def perfect_ece(probabilities: Floats, *, bins: int, seed: int) -> float:
    """The ECE that a perfect model shows on average: each event comes true with just the probability it is given.

    Simulated, as no formula is short; the same seed gives the same number.
    """
    m = len(probabilities)
    # The mean over draws of many images hardly varies: few of them tell it as well as many draws of few images.
    draws = int(np.clip(MAX_COINS // m, MIN_DRAWS, MAX_DRAWS))
    ascending = probabilities[np.argsort(probabilities, kind="stable")]
    bin_m = bin_of(ascending, bins)
    if draws * m <= 2 * MAX_COINS:
        members = (bin_m[:, None] == np.arange(bins)).astype(np.float32)
        # Whole numbers, which this precision holds exactly up to 16 million.
        came_true = (_coins(draws, m, seed) < ascending).astype(np.float32) @ members
    else:  # one draw at a time, as all of them would take gigabytes
        rng = np.random.default_rng(seed)
        came_true = np.array(
            [np.bincount(bin_m[rng.random(m) < ascending], minlength=bins) for _ in range(draws)]
        )
    excess = came_true - np.bincount(bin_m, weights=ascending, minlength=bins)
    return float(np.abs(excess).sum(axis=1).mean() / m)


@lru_cache(maxsize=1)
def _coins(draws: int, m: int, seed: int) -> Floats:
    """(draws, m) numbers between 0 and 1: the same for all configurations, which have as many events."""
    return np.random.default_rng(seed).random((draws, m))


def pixel_curve(histograms: Sequence[Ints], *, bins: int = MAX_BINS) -> tuple[ReliabilityBin, ...]:
    """The reliability curve of pixels, from their counts by probability; without intervals, for pixels are no sample.

    Args:
        histograms: each (..., 2, B): by whether a pixel is of the class, and by the bin of its probability.
        bins: at most 15.
    """
    by_truth = [histogram.reshape(-1, *histogram.shape[-2:]).sum(axis=0) for histogram in histograms]
    pooled = np.sum(by_truth, axis=0).astype(float)
    edges = bin_edges(pooled.shape[1])
    centre = (edges[1:] + edges[:-1]) / 2
    count, total, true = (
        np.bincount(bin_of(centre, bins), weights=weights, minlength=bins)
        for weights in (pooled.sum(axis=0), pooled.sum(axis=0) * centre, pooled[1])
    )
    return tuple(
        ReliabilityBin(
            mean=float(total[k] / count[k]),
            share=float(true[k] / count[k]),
            low=None,
            high=None,
            count=int(count[k]),
        )
        for k in np.flatnonzero(count)
    )


def logits(probabilities: Floats, family: str) -> Floats:
    """(..., n, K) the logits behind the probabilities: of several labels each one's own; else up to a constant per image."""
    p = np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, MAX_PROBABILITY)
    return np.asarray(logit(p) if family == "multilabel" else np.log(p))


def tempered(probabilities: Floats, temperature: Floats | float, family: str) -> Floats:
    """(..., n, K) the probabilities of the same logits, divided by `temperature`; above 1 they come nearer to each other."""
    cooled = logits(probabilities, family) / temperature
    return np.asarray(expit(cooled) if family == "multilabel" else np.exp(log_softmax(cooled, axis=-1)))


def fit_temperature(probabilities: Floats, truth: Bools, family: str) -> float:
    """The temperature, from `COLDEST` to `HOTTEST`, of the least log-loss plus `PRIOR` / 2 * (log T)^2.

    Args:
        probabilities: (n, K) that a fit gave its validation part.
        truth: (n, K).
        family: ``multilabel``: one temperature for the labels together.
    """
    logits_nK = logits(probabilities, family)
    sign = np.where(truth, -1.0, 1.0)

    def loss(log_temperature: float) -> float:
        cooled = logits_nK * np.exp(-log_temperature)
        if family == "multilabel":
            log_loss = np.logaddexp(0, sign * cooled).sum()
        else:
            # As `log_softmax`, whose calls take longer than the sums of the few images of a validation part.
            below = cooled - cooled.max(axis=1, keepdims=True)
            log_loss = -(below[truth] - np.log(np.exp(below).sum(axis=1))).sum()
        return float(log_loss + PRIOR / 2 * log_temperature**2)

    # On a logarithmic scale, on which 2 and 1/2 are equally far from no change.
    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    best = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-5})
    return float(np.exp(best.x))
