"""What mattered: differences between the levels of every factor, and which factors the differences come from.

A difference of marginal means is a contrast, a'est, of the scores of all configurations. Its variance has the two
parts of everything here (variance.py): a'CovI a of the images, and that of runs. Luck with a training set that all
configurations of a level share does not average out over them, so the run part is the larger of what the contrast
itself shows and what its configurations imply; statistics.md 1.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldwise.judging.statistics import design, differences
from foldwise.judging.verdict import Conclusion
from foldwise.metrics.outputs import Floats, Ints

# Times the noise: below it, differences between configurations say nothing of their causes.
MOSTLY_NOISE = 1.5


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

    factor: design.Factor
    view: design.View
    means: Floats
    weights: tuple[Floats | None, ...]
    contrasts: tuple[LevelContrast, ...]
    sets: dict[tuple[str, ...], Floats]


def views(factors: Sequence[design.Factor], factor: design.Factor, estimate: Floats) -> list[design.View]:
    """The levels as they are; of a nested factor, its families by the mean over their settings and by the best one."""
    L = len(factor.levels)
    if not factor.nested:
        return [design.View(design.PLAIN, factor.levels, np.eye(L))]
    labels = tuple(dict.fromkeys(factor.families))
    members = np.array([[family == label for family in factor.families] for label in labels])
    own = design.level_weights(factors, factor, np.eye(L))
    means = np.where(own.estimable, own.weights @ estimate, -np.inf)
    best = np.where(members, means, -np.inf).argmax(axis=1)
    configured = design.View(design.CONFIGURED, labels, members / members.sum(axis=1, keepdims=True))
    return [configured, design.View(design.TUNED, labels, np.eye(L)[best])]


def effect(
    factors: Sequence[design.Factor],
    factor: design.Factor,
    view: design.View,
    scores: differences.FactorialScores,
    options: differences.IntervalOptions = differences.DEFAULTS,
) -> Effect:
    """Marginal means of the labels, and all their differences with intervals that hold together.

    Args:
        factors: of the study.
        factor: one of them.
        view: of `views`.
        scores: of the configurations.
        options: of the intervals.
    """
    estimate, levels = scores.estimate, design.level_weights(factors, factor, view.mixture)
    means = np.where(levels.estimable, levels.weights @ estimate, np.nan)
    order = np.argsort(-np.nan_to_num(means.round(9), nan=-np.inf), kind="stable")  # rounding decides nothing
    pairs = differences.Contrasts(levels.weights, *(order[rank] for rank in np.triu_indices(len(order), 1)))
    estimable, difference = levels.apart(pairs.a, pairs.b), pairs.of(levels.weights @ estimate)
    # The better one first, also where only a difference can be estimated and no mean has ordered them.
    turned = estimable & (difference < -design.TINY)
    a, b = np.where(turned, pairs.b, pairs.a), np.where(turned, pairs.a, pairs.b)
    sets = matched_sets(factors, factor, view, estimate)
    agree, matched = _agreement(sets, len(view.labels))
    tested = differences.Contrasts(levels.weights, a[estimable], b[estimable])
    single = differences.of_pairs(tested, options.pairs)
    conclusions = iter(differences.inferred(tested, scores, options) if single is None else single)
    contrasts = tuple(
        LevelContrast(i, j, size if seen else None, *counts, **(next(conclusions, {}) if seen else {}))
        for i, j, size, seen, *counts in zip(
            a.tolist(),
            b.tolist(),
            differences.snapped(np.abs(difference)).tolist(),
            estimable.tolist(),
            agree[a, b].tolist(),
            matched[a, b].tolist(),
            strict=True,
        )
    )
    weights = tuple(row if seen else None for row, seen in zip(levels.weights, levels.estimable, strict=True))
    return Effect(factor, view, means, weights, contrasts, sets)


def matched_sets(
    factors: Sequence[design.Factor], factor: design.Factor, view: design.View, estimate: Floats
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


def _agreement(sets: dict[tuple[str, ...], Floats], V: int) -> tuple[Ints, Ints]:
    """(V, V) in how many sets the row is above the column, and how many have both."""
    agree, matched = np.zeros((V, V), np.int64), np.zeros((V, V), np.int64)
    for scores_V in sets.values():
        apart = scores_V[:, None] - scores_V
        agree += apart > design.TINY
        matched += np.isfinite(apart)
    return agree, matched


@dataclass(frozen=True)
class Shares:
    """Where the differences between configurations come from.

    Attributes:
        noise: the share of their sum of squares that noise alone would make; may be above 1.
        of: term -> share of what is left; empty where it is mostly noise. The rest has the empty term.
        aliased: terms that the grid cannot tell from others.
    """

    noise: float
    of: dict[design.Term, float]
    aliased: tuple[design.Term, ...]


def shares(factors: Sequence[design.Factor], scores: differences.FactorialScores) -> Shares | None:
    """Variance shares freed from noise: (SS - tr(P Cov))+ of every term over the sum of these; None without inference."""
    if scores.variance is None or len(factors) < 2:
        return None
    estimate, covariance = scores.estimate, scores.variance.image + np.diag(scores.variance.run_of_mean)
    C = len(estimate)
    centred = np.eye(C) - 1 / C
    # Noise is taken off each: on 92 images the raw share of an interaction was 0.52 where the true one was 0.25.
    total, noise = float(estimate @ centred @ estimate), float(np.trace(centred @ covariance))
    by_term, rest = design.projections(factors)
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
