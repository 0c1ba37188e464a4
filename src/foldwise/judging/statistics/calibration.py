"""Whether probabilities mean what they say: reliability curves, the expected calibration error, and temperature.

The expected calibration error (ECE) is never 0 on real images: a perfect model shows one too, the larger the fewer
images there are. So it stands only beside the one that a perfect model with the same probabilities would show here.

Temperature is one number by which the logits of a fit are divided. It is set on the validation part of each fit and
changes no decision: the likeliest class stays the likeliest, and a label at one half stays there.
Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
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
# Of Brent's method: the section, the tolerance of log T, and the root of what a number is rounded by.
GOLDEN, TOLERANCE, ROUNDING = (3 - 5**0.5) / 2, 1e-5, 2.0**-26
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
        came_true, coins_md = np.zeros((bins, draws)), _coins(draws, m, seed)
        ends = np.searchsorted(bin_m, np.arange(bins + 1))
        for k, (start, stop) in enumerate(itertools.pairwise(ends.tolist())):
            for part in range(start, stop, 255):  # as many as one byte can count
                some = slice(part, min(part + 255, stop))
                true_md = (coins_md[some] < ascending[some, None]).view(np.uint8)
                came_true[k] += np.add.reduce(true_md, axis=0, dtype=np.uint8)
    else:  # one draw at a time, as all of them would take gigabytes
        rng = np.random.default_rng(seed)
        came_true = np.array(
            [np.bincount(bin_m[rng.random(m) < ascending], minlength=bins) for _ in range(draws)]
        ).T
    excess = came_true - np.bincount(bin_m, weights=ascending, minlength=bins)[:, None]
    return float(np.abs(excess).sum(axis=0).mean() / m)


@lru_cache(maxsize=1)
def _coins(draws: int, m: int, seed: int) -> Floats:
    """(m, draws) numbers between 0 and 1: the same for all configurations, which have as many events."""
    return np.ascontiguousarray(np.random.default_rng(seed).random((draws, m)).T)


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


def fit_temperatures(fits: Sequence[tuple[Floats, Bools]], family: str) -> Floats:
    """The temperature of each fit, from `COLDEST` to `HOTTEST`, of the least log-loss plus `PRIOR` / 2 * (log T)^2.

    Args:
        fits: each (n, K) the probabilities that it gave its validation part, and (n, K) the truth.
        family: ``multilabel``: one temperature for the labels together.
    """
    log_temperatures, alike = np.empty(len(fits)), dict[tuple[int, ...], list[int]]()
    for row, (_, truth) in enumerate(fits):
        alike.setdefault(truth.shape, []).append(row)
    for rows in alike.values():
        p, truth = (np.stack(part) for part in zip(*(fits[row] for row in rows), strict=True))
        log_temperatures[rows] = _least(_losses(logits(p, family), truth, family), len(rows))
    return np.exp(log_temperatures)


def _losses(logits_BnK: Floats, truth: Bools, family: str) -> Callable[[Floats, Ints], Floats]:
    """What gives the losses of the fits of these numbers at these logarithms of temperatures."""
    if family == "multilabel":  # every label by itself: it is there, or it is not
        own = np.where(truth, -logits_BnK, logits_BnK).reshape(len(truth), -1, 1)
        above_truth = np.concatenate([np.zeros_like(own), own], axis=2)
    else:
        above_truth = logits_BnK - logits_BnK[truth].reshape(*truth.shape[:2], 1)
    # The logarithm of a sum of exponentials is that of its largest, and of 1 and what the others add to it.
    top_Bn1 = above_truth.max(axis=2, keepdims=True)
    others, top_B = np.sort(above_truth - top_Bn1, axis=2)[..., :-1], top_Bn1.sum(axis=(1, 2))

    def losses(log_temperatures: Floats, rows: Ints) -> Floats:
        cold = np.exp(-log_temperatures)
        added = np.exp(others[rows] * cold[:, None, None]).sum(axis=2)
        log_loss = cold * top_B[rows] + np.log1p(added).sum(axis=1)
        return np.asarray(log_loss + PRIOR / 2 * log_temperatures**2)

    return losses


def _least(losses: Callable[[Floats, Ints], Floats], number: int) -> Floats:
    """(number,) where each of so many losses is least: Brent's method between two ends, for all of them at once.

    The steps are those of ``scipy.optimize.minimize_scalar(method="bounded")``, which takes one loss at a time.

    Source: Brent 1973, Algorithms for Minimization without Derivatives, chapter 5.
    """
    rows, least = np.arange(number), np.empty(number)
    # On a logarithmic scale, on which 2 and 1/2 are equally far from no change.
    ends_2n: Floats = np.log([COLDEST, HOTTEST])[:, None].repeat(number, axis=1)
    low, high = ends_2n
    start = low + GOLDEN * (high - low)
    best = second = third = np.stack([start, losses(start, rows)])  # points, and the losses there
    step = before = np.zeros_like(low)
    while True:
        near = ROUNDING * np.abs(best[0]) + TOLERANCE / 3
        going = np.abs(best[0] - (low + high) / 2) > 2 * near - (high - low) / 2
        least[rows] = best[0]
        if not going.any():
            return least
        low, high, best, second, third, step, before, near = (
            part[..., going] for part in (low, high, best, second, third, step, before, near)
        )
        rows = rows[going]
        step, before = _next_step((best, second, third), (low, high), (step, before), near)
        moved = best[0] + np.copysign(np.maximum(np.abs(step), near), step)
        trial = np.stack([moved, losses(moved, rows)])
        better, above = trial[1] <= best[1], trial[0] >= best[0]
        worse = np.where(better, best, trial)
        low, high = np.where(better == above, worse[0], low), np.where(better == above, high, worse[0])
        to_second = better | (trial[1] <= second[1]) | (second[0] == best[0])
        to_third = (trial[1] <= third[1]) | (third[0] == best[0]) | (third[0] == second[0])
        third = np.where(to_second, second, np.where(to_third, worse, third))
        second = np.where(to_second, worse, second)
        best = np.where(better, trial, best)


def _next_step(
    points: tuple[Floats, Floats, Floats],
    ends: tuple[Floats, Floats],
    steps: tuple[Floats, Floats],
    near: Floats,
) -> tuple[Floats, Floats]:
    """Where to go from the best point: to the vertex of the parabola through the three best, or by a golden section.

    And the step that the next but one is to be shorter than half of, so that parabolas cannot go on without end.
    """
    (x, y), (x2, y2), (x3, y3) = points
    (low, high), (last, before) = ends, steps
    r, q = (x - x2) * (y - y3), (x - x3) * (y - y2)
    p, q = (x - x3) * q - (x - x2) * r, 2 * (q - r)
    p, q = np.where(q > 0, -p, p), np.abs(q)
    inside = (p > q * (low - x)) & (p < q * (high - x))
    by_parabola = inside & (np.abs(before) > near) & (np.abs(p) < np.abs(q * before) / 2)
    vertex = np.divide(p, q, out=np.zeros_like(p), where=by_parabola)
    at_end = by_parabola & (np.minimum(x + vertex - low, high - x - vertex) < 2 * near)
    vertex = np.where(at_end, np.copysign(near, (low + high) / 2 - x), vertex)
    wider = np.where(x >= (low + high) / 2, low - x, high - x)
    return np.where(by_parabola, vertex, GOLDEN * wider), np.where(by_parabola, last, wider)
