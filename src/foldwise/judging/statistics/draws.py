"""Draws of all estimates together, as many as a decision takes, and what is read off them: p values and limits.

A verdict is a function of the scores alone: every draw comes from one stream of numbers, whatever the seed of a study.
And it should not be one of that stream either: where a p value comes near the level at which something is said,
draws are doubled until it is farther away than three of its Monte Carlo standard errors, or there are as many as can
be made in seconds. At that bound, 128,000 of up to 27 configurations, a p value of 0.05 is known to 0.0006, and it
decides as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from foldwise.judging.statistics.variance import Variance
from foldwise.metrics.outputs import Floats

SEED = 0
DRAWS = 2000  # to begin with: p values near 0.05 to 0.005
MOST_DRAWS = 64 * DRAWS
MOST_COMPARISONS = 10**8  # of two drawn numbers, in all draws: two seconds
# Numbers of draws at a time; far more leave the caches of a processor, and take three times as long.
IN_CACHE = 1 << 15
LEAST_BEYOND = 20  # draws that are to lie beyond a limit
MONTE_CARLO_ERRORS = 3.0

Draw = Callable[[np.random.Generator, int], Floats]


def growing(
    draw: Draw, *, alpha: float, pairs: int, seed: int = SEED, first: int = DRAWS, most: int = MOST_DRAWS
) -> Iterator[Floats]:
    """Draws, each time twice as many, those before among them, for as long as somebody asks for more.

    Args:
        draw: makes so many, along the first axis.
        alpha: what p values are held against; where it is tiny, it takes more draws to see any beyond it.
        pairs: comparisons that every draw is used for; of very many fewer draws are made.
        seed: of another stream, to see that nothing turns on it.
        first: how many to begin with.
        most: never more.
    """
    affordable = MOST_COMPARISONS // max(pairs, 1)
    begin = max(first, min(int(np.ceil(LEAST_BEYOND / alpha)), affordable))
    rng = np.random.default_rng(seed)
    drawn = draw(rng, begin)
    yield drawn
    while 2 * len(drawn) <= min(most, affordable):
        drawn = np.concatenate([drawn, draw(rng, len(drawn))])
        yield drawn


def settled(p: Floats, alpha: float, draws: int) -> bool:
    """Whether more draws could hardly bring any of these p values to the other side of alpha."""
    error = np.sqrt(alpha * (1 - alpha) / draws)
    return bool(np.all(np.abs(p - alpha) > MONTE_CARLO_ERRORS * error))


def tail(drawn: Floats, observed: Floats) -> Floats:
    """The p value of each observed value: the share of draws at or above it.

    It counts as one more draw itself, so that no p value is 0.
    """
    ascending = np.sort(drawn)
    above = len(ascending) - np.searchsorted(ascending, observed, side="left")
    return np.asarray((1 + above) / (len(ascending) + 1))


def limit_of(drawn: Floats, alpha: float) -> float:
    """What a value must exceed for its `tail` to be alpha or less, so that no interval contradicts its p value.

    Infinite where there are too few draws for any p value to be so small.
    """
    may_be_above = int(alpha * (len(drawn) + 1) + 1e-9) - 1
    return float(np.sort(drawn)[-1 - may_be_above]) if may_be_above >= 0 else float("inf")


def drawn_estimates(variance: Variance) -> Draw:
    """What draws (draws, C) centred estimates."""
    run_root = np.diag(np.sqrt(variance.run_of_mean))

    def draw(rng: np.random.Generator, draws: int) -> Floats:
        # With a variance of its own, each run part is scaled like the images; where few share one, its estimate is often
        # 0 although runs differ, so it is drawn itself.
        if variance.shared is None:
            drawn = joint_draws(variance, variance.image_factor, run_root, rng=rng, draws=draws)
        else:
            no_runs = np.zeros_like(run_root)
            drawn = joint_draws(variance, variance.image_factor, no_runs, rng=rng, draws=draws)
            drawn = drawn + variance.shared.drawn(rng=rng, draws=draws)
        if variance.pair_floor > 0:  # errors have the floor, so what they are compared with must have it too
            drawn = drawn + rng.normal(scale=np.sqrt(variance.pair_floor / 2), size=drawn.shape)
        return drawn

    return draw


def joint_draws(
    variance: Variance, image_root: Floats, run_root: Floats, *, rng: np.random.Generator, draws: int
) -> Floats:
    """(draws, P) centred draws of P numbers whose covariance is the sum of two parts, each (P, C) its root."""
    image, run = drawn_parts(variance, image_root, run_root, rng=rng, draws=draws)
    return np.asarray(image + run)


def drawn_parts(
    variance: Variance, image_root: Floats, run_root: Floats, *, rng: np.random.Generator, draws: int
) -> tuple[Floats, Floats]:
    """The parts of `joint_draws`, that of images and that of runs, each (draws, P).

    Chi-square draws of both scales carry the smallness of the sample.
    """
    C = len(variance.estimate)
    image = rng.standard_normal((draws, C), dtype=np.float32) @ image_root.T.astype(np.float32)
    run = rng.standard_normal((draws, C), dtype=np.float32) @ run_root.T.astype(np.float32)
    scales = [
        np.sqrt(df / rng.chisquare(df, size=(draws, 1))).astype(np.float32)
        for df in (max(variance.df_image, 1.0), variance.df_run)
    ]
    return np.asarray(image * scales[0]), np.asarray(run * scales[1])
