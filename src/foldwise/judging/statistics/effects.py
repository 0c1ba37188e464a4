"""What mattered: differences between the levels of every factor, and which factors the differences come from.

A difference of marginal means is a contrast, a'est, of the scores of all configurations. Its variance has the two
parts of everything here (variance.py): a'CovI a of the images, and that of runs. Luck with a training set that all
configurations of a level share does not average out over them, so the run part is the larger of what the contrast
itself shows and what its configurations imply; statistics.md 1.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from foldwise.judging.statistics.design import (
    CONFIGURED,
    PLAIN,
    TINY,
    TUNED,
    Factor,
    Term,
    View,
    projections,
    weights_of,
)
from foldwise.judging.statistics.draws import MOST_DRAWS, SEED, growing, joint_draws, limit_of, settled, tail
from foldwise.judging.statistics.inference import studentized
from foldwise.judging.statistics.pairs import Pair, conclusion_of
from foldwise.judging.statistics.run_moments import run_moments, runs_in_mean
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import Conclusion
from foldwise.metrics.outputs import Floats, Ints

# Times the noise: below it, differences between configurations say nothing of their causes.
MOSTLY_NOISE = 1.5


@dataclass(frozen=True)
class FactorialScores:
    """The scores of the C configurations that are compared, higher is better.

    Attributes:
        values: (C, R, n) of every unit, with the estimate as mean.
        folds: (R, n).
        variance: theirs; None where nothing can be inferred.
    """

    values: Floats
    folds: Ints
    variance: Variance | None

    @property
    def estimate(self) -> Floats:
        """(C,) means over units and repeats."""
        return np.asarray(self.values.mean(axis=(1, 2)))


@dataclass(frozen=True)
class LevelContrast:
    """Two labels of a view, `a` with the better mean; by their place.

    Attributes:
        difference: a minus b, 0 or more; None where the grid cannot estimate it.
        error: its standard error; None without inference.
        low, high: simultaneous over all pairs of the view, and p adjusted for them.
        conclusion: as of pairs of configurations; None without inference.
        agree, matched: pairs of configurations that differ in nothing else, and how many of them differ likewise.
    """

    a: int
    b: int
    difference: float | None
    agree: int
    matched: int
    error: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    conclusion: Conclusion | None = None


@dataclass(frozen=True)
class Effect:
    """A factor in one view.

    Attributes:
        means: (V,) marginal means; nan where the grid cannot estimate them.
        weights: (V, C) of the scores in them; None likewise.
        contrasts: every pair, the best first.
        sets: names of the levels of all other factors -> (V,) scores, nan where there is none.
    """

    factor: Factor
    view: View
    means: Floats
    weights: tuple[Floats | None, ...]
    contrasts: tuple[LevelContrast, ...]
    sets: dict[tuple[str, ...], Floats]


def views(factors: Sequence[Factor], factor: Factor, estimate: Floats) -> list[View]:
    """The levels as they are; of a nested factor, its families by the mean over their settings and by the best one."""
    L = len(factor.levels)
    if not factor.nested:
        return [View(PLAIN, factor.levels, np.eye(L))]
    labels = tuple(dict.fromkeys(factor.families))
    members = np.array([[family == label for family in factor.families] for label in labels])
    weights = [weights_of(factors, factor, row) for row in np.eye(L)]
    means = np.array([-np.inf if weights_C is None else weights_C @ estimate for weights_C in weights])
    best = np.where(members, means, -np.inf).argmax(axis=1)
    configured = View(CONFIGURED, labels, members / members.sum(axis=1, keepdims=True))
    return [configured, View(TUNED, labels, np.eye(L)[best])]


@dataclass(frozen=True)
class IntervalOptions:
    """How intervals are made: 1 - confidence, what is of no consequence, what is said of pairs already, and of the draws."""

    alpha: float = 0.05
    margin: float = 0.0
    pairs: Sequence[Pair] = ()
    seed: int = SEED
    most: int = MOST_DRAWS


def effect(
    factors: Sequence[Factor],
    factor: Factor,
    view: View,
    scores: FactorialScores,
    options: IntervalOptions = IntervalOptions(),
) -> Effect:
    """Marginal means of the labels, and all their differences with intervals that hold together.

    Args:
        factors: of the study.
        factor: one of them.
        view: of `views`.
        scores: of the configurations.
        options: of the intervals.
    """
    estimate = scores.estimate
    weights = tuple(weights_of(factors, factor, row) for row in view.mixture)
    means = np.array([np.nan if weights_C is None else weights_C @ estimate for weights_C in weights])
    order = np.argsort(-np.nan_to_num(means.round(9), nan=-np.inf), kind="stable")  # rounding decides nothing
    pairs = list(combinations(order.tolist(), 2))
    apart = [weights_of(factors, factor, view.mixture[a] - view.mixture[b]) for a, b in pairs]
    pairs, apart = _turned(pairs, apart, estimate)
    sets = matched_sets(factors, factor, view, estimate)
    estimable = [weights for weights in apart if weights is not None]
    single = _of_pairs(estimable, options.pairs)
    inferred = iter(_inferred(np.array(estimable), scores, options) if single is None else single)
    contrasts = []
    for (a, b), weights_C in zip(pairs, apart, strict=True):
        difference = None if weights_C is None else _snapped(float(weights_C @ estimate))
        agree, matched = _agreement(sets, a, b)
        more = next(inferred, {}) if weights_C is not None else {}
        contrasts.append(LevelContrast(a, b, difference, agree, matched, **more))
    return Effect(factor, view, means, weights, tuple(contrasts), sets)


def _snapped(difference: float) -> float:
    """0 for what only rounding makes another number."""
    return difference if abs(difference) > TINY else 0.0


def _turned(
    pairs: Sequence[tuple[int, int]], apart: Sequence[Floats | None], estimate: Floats
) -> tuple[list[tuple[int, int]], list[Floats | None]]:
    """Every pair with the better one first; where only a difference can be estimated, no mean has ordered them."""
    made: list[tuple[tuple[int, int], Floats | None]] = []
    for (a, b), weights_C in zip(pairs, apart, strict=True):
        worse = weights_C is not None and weights_C @ estimate < -TINY
        made.append(((b, a), -weights_C) if worse and weights_C is not None else ((a, b), weights_C))
    return [pair for pair, _ in made], [weights_C for _, weights_C in made]


def _of_pairs(apart: Sequence[Floats], pairs: Sequence[Pair]) -> list[dict[str, Any]] | None:
    """What is said of two configurations already, where every contrast is of two; None where one is not.

    Of a single factor the levels are the configurations: a family of its own would say something else of the same two.
    """
    contrasts = {
        (pair.a, pair.b): (pair.low_all, pair.high_all, pair.p_all, pair.conclusion) for pair in pairs
    }
    contrasts |= {(b, a): (-high, -low, p, words) for (a, b), (low, high, p, words) in contrasts.items()}
    ends = [(int(weights_C.argmax()), int(weights_C.argmin())) for weights_C in apart]
    plain = all(np.abs(weights_C).sum() <= 2 + TINY and weights_C.max() >= 1 - TINY for weights_C in apart)
    if not plain or not all(pair in contrasts for pair in ends):
        return None
    return [dict(zip(("low", "high", "p", "conclusion"), contrasts[pair], strict=True)) for pair in ends]


def _inferred(apart_PC: Floats, scores: FactorialScores, options: IntervalOptions) -> list[dict[str, Any]]:
    """Error, interval, p and words of every contrast, from joint draws; empty without inference."""
    variance = scores.variance
    if variance is None or not len(apart_PC):
        return []
    run_P = contrast_runs(apart_PC, scores)
    # The floor of a pair, and of the mean of matched pairs.
    floor_P = variance.pair_floor * (apart_PC**2).sum(axis=1) / 2
    image_P = np.einsum("pc,cd,pd->p", apart_PC, variance.image, apart_PC)
    error_P = np.sqrt(np.maximum(image_P, 0.0) + run_P + floor_P)
    # How contrasts share their runs; where there is no variance of runs, any way of sharing it will do.
    root = apart_PC * np.sqrt(variance.run_of_mean + 1e-6 * (variance.run_of_mean.mean() or 1.0))
    run_root = root * np.sqrt(run_P / (root**2).sum(axis=1))[:, None]
    inverse = np.divide(1, error_P, out=np.zeros_like(error_P), where=error_P > 0)
    difference_P = np.array([_snapped(float(difference)) for difference in apart_PC @ variance.estimate])
    t_P = studentized(difference_P, error_P)

    def largest(rng: np.random.Generator, draws: int) -> Floats:
        drawn = joint_draws(variance, apart_PC @ variance.image_factor, run_root, rng=rng, draws=draws)
        drawn = drawn + rng.standard_normal(drawn.shape) * np.sqrt(floor_P)
        return np.asarray(np.abs(drawn * inverse).max(axis=1))

    drawn, p_P = t_P, t_P
    for drawn in growing(
        largest, alpha=options.alpha, pairs=len(apart_PC), seed=options.seed, most=options.most
    ):
        p_P = tail(drawn, t_P)
        if settled(p_P, options.alpha, len(drawn)):
            break
    half_P = limit_of(drawn, options.alpha) * error_P
    low_P = np.maximum(difference_P - half_P, -variance.reach)
    high_P = np.minimum(difference_P + half_P, variance.reach)
    return [
        {
            "error": float(error),
            "low": float(low),
            "high": float(high),
            "p": float(p),
            "conclusion": conclusion_of(float(low), float(high), options.margin),
        }
        for error, low, high, p in zip(error_P, low_P, high_P, p_P, strict=True)
    ]


def contrast_runs(apart_PC: Floats, scores: FactorialScores) -> Floats:
    """(P,) what runs add to the variance of every contrast: its own, but never less than its configurations imply."""
    assert scores.variance is not None
    # Luck with a training set that all configurations of a level share does not average out over them: implied alone
    # held the true contrast in as few as 89 % of simulations, the larger of both in at least 92 %.
    own = [
        run_moments(np.tensordot(weights_C, scores.values, axes=(0, 0))[None], scores.folds).own[0]
        for weights_C in apart_PC
    ]
    implied = apart_PC**2 @ scores.variance.run
    return np.maximum(own, implied) * runs_in_mean(scores.folds)


def matched_sets(
    factors: Sequence[Factor], factor: Factor, view: View, estimate: Floats
) -> dict[tuple[str, ...], Floats]:
    """Configurations that differ in nothing but this factor: the other levels -> (V,) their scores."""
    others = [other for other in factors if other.name != factor.name]
    cells: dict[tuple[str, ...], dict[int, float]] = {}
    for c, level in enumerate(factor.of.tolist()):
        cell = tuple(other.levels[other.of[c]] for other in others)
        cells.setdefault(cell, {})[level] = float(estimate[c])
    return {cell: np.array([_mixed(row, scores) for row in view.mixture]) for cell, scores in cells.items()}


def _mixed(shares_L: Floats, scores: dict[int, float]) -> float:
    """The mean over the settings of one label; nan where one of them is missing."""
    wanted = np.flatnonzero(shares_L).tolist()
    if any(level not in scores for level in wanted):
        return float("nan")
    return float(sum(shares_L[level] * scores[level] for level in wanted))


def _agreement(sets: dict[tuple[str, ...], Floats], a: int, b: int) -> tuple[int, int]:
    """(pairs in which a is above b, all pairs)."""
    apart = np.array([scores[a] - scores[b] for scores in sets.values()])
    return int((apart > TINY).sum()), int(np.isfinite(apart).sum())


@dataclass(frozen=True)
class Shares:
    """Where the differences between configurations come from.

    Attributes:
        noise: the share of their sum of squares that noise alone would make; may be above 1.
        of: term -> share of what is left; empty where it is mostly noise. The rest has the empty term.
        aliased: terms that the grid cannot tell from others.
    """

    noise: float
    of: dict[Term, float]
    aliased: tuple[Term, ...]


def shares(factors: Sequence[Factor], scores: FactorialScores) -> Shares | None:
    """Variance shares freed from noise: (SS - tr(P Cov))+ of every term over the sum of these; None without inference."""
    if scores.variance is None or len(factors) < 2:
        return None
    estimate, covariance = scores.estimate, scores.variance.image + np.diag(scores.variance.run_of_mean)
    C = len(estimate)
    centred = np.eye(C) - 1 / C
    # Noise is taken off each: on 92 images the raw share of an interaction was 0.52 where the true one was 0.25.
    total, noise = float(estimate @ centred @ estimate), float(np.trace(centred @ covariance))
    by_term, rest = projections(factors)
    aliased = tuple(term for term, onto in by_term.items() if np.trace(onto) < 0.5)
    ratio = noise / total if total > 0 else float("inf")
    if total < MOSTLY_NOISE * noise or total <= 0:
        return Shares(ratio, {}, aliased)
    separable = {term: onto for term, onto in by_term.items() if term not in aliased}
    if np.trace(rest) > 0.5:
        separable[()] = rest
    parts = {
        term: max(float(estimate @ onto @ estimate - np.trace(onto @ covariance)), 0.0)
        for term, onto in separable.items()
    }
    whole = sum(parts.values())
    return Shares(ratio, {term: part / whole for term, part in parts.items()} if whole > 0 else {}, aliased)
