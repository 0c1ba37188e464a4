"""The design of a study: its factors, and what its grid lets one say of each.

Everything is a linear function of the scores of the configurations, so one vector of weights says what a contrast is,
and whether the grid can estimate it at all. In a full factorial the weights are those of marginal means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from foldwise.judging.statistics.run_moments import blocks
from foldwise.metrics.outputs import Bools, Floats, Ints
from foldwise.study.configurations import Configuration
from foldwise.study.factors import nested_levels
from foldwise.study.spec import Study

# What a fit costs may depend on these, and its score only by rounding: the code is the same.
COVARIATES = {
    "device": "Hardware cannot cause accuracy: the same code ran, so a difference is run noise or precision.",
    "precision": "Both precisions run the same code: a difference in score is run noise or rounding.",
    "cache": "A cache holds the same pixels and cannot cause accuracy: a difference is run noise.",
}
PLAIN, CONFIGURED, TUNED = "", "as configured", "as tuned"
TINY = 1e-9


@dataclass(frozen=True)
class Factor:
    """What is varied, over the C configurations that are compared.

    Attributes:
        levels: in the order of the study; only those that some configuration has.
        families: of every level, the one it is a setting of: sgd of sgd (lr 0.01); itself where nothing is nested.
        of: (C,) the level of every configuration.
    """

    name: str
    levels: tuple[str, ...]
    families: tuple[str, ...]
    of: Ints

    @property
    def nested(self) -> bool:
        """Whether some levels are settings of one and the same, beside others."""
        return 1 < len(set(self.families)) < len(self.levels)


@dataclass(frozen=True)
class View:
    """One way to look at a factor: its levels as they are, or families of settings by their mean or their best.

    Attributes:
        name: empty, `CONFIGURED` or `TUNED`.
        labels: V of them.
        mixture: (V, L) the share of every level of the factor in each; rows add up to 1.
    """

    name: str
    labels: tuple[str, ...]
    mixture: Floats

    def settings(self, factor: Factor, v: int) -> list[str]:
        """The levels of the factor that a label stands for."""
        return [level for level, share in zip(factor.levels, self.mixture[v], strict=True) if share > 0]


def factors_of(study: Study, compared: Sequence[Configuration]) -> tuple[Factor, ...]:
    """Every factor of which the configurations compared have two or more levels."""
    made = []
    for name in dict.fromkeys(name for configuration in compared for name in configuration.levels):
        written = study.compare.get(name, [])
        family = nested_levels(name, written) if written else {}
        own = [configuration.levels[name] for configuration in compared]
        levels = [level for level in family if level in own] + [level for level in own if level not in family]
        levels = list(dict.fromkeys(levels))
        if len(levels) > 1:
            of = np.array([levels.index(level) for level in own])
            made.append(Factor(name, tuple(levels), tuple(family.get(level, level) for level in levels), of))
    return tuple(made)


def is_full(factors: Sequence[Factor], count: int) -> bool:
    """Whether every combination of the levels is there."""
    return count == int(np.prod([len(factor.levels) for factor in factors]))


def codes(factor: Factor) -> Floats:
    """(L, L - 1) sum coding: the effects of all levels add up to 0."""
    L = len(factor.levels)
    return np.vstack([np.eye(L - 1), -np.ones(L - 1)])


def columns(factor: Factor) -> Floats:
    """(C, L - 1) the factor in a model matrix."""
    return codes(factor)[factor.of]


@dataclass(frozen=True)
class LevelWeights:
    """Weights of the scores of C configurations whose sums are the marginal means of V mixtures of levels.

    Differences of two rows are the weights of differences, also where neither mean can be estimated.

    Attributes:
        weights: (V, C).
        wanted, missed: (V, q) what each row of weights should make of the model matrix, and how far off that it is.
    """

    weights: Floats
    wanted: Floats
    missed: Floats

    @property
    def estimable(self) -> Bools:
        """(V,) whether the grid can estimate the mean; it cannot where levels change only together with others'."""
        return _is_made(self.missed, self.wanted)

    def apart(self, a: Ints, b: Ints) -> Bools:
        """(P,) the same of the differences of rows `a` and rows `b`."""
        made = np.empty(len(a), dtype=bool)
        for part in blocks(len(a), self.wanted.shape[1]):
            off, wanted = (rows[a[part]] - rows[b[part]] for rows in (self.missed, self.wanted))
            made[part] = _is_made(off, wanted)
        return made


def _is_made(missed: Floats, wanted: Floats) -> Bools:
    return np.asarray((np.abs(missed) <= 1e-8 + 1e-5 * np.abs(wanted)).all(axis=1))


def level_weights(factors: Sequence[Factor], factor: Factor, mixture_VL: Floats) -> LevelWeights:
    """The weights of marginal means, by least squares in the model of all main effects.

    Every level of the other factors counts alike.

    Args:
        factors: of the study.
        factor: one of them.
        mixture_VL: shares of its levels; rows add up to 1 (a mean) or to 0 (a difference).
    """
    V, C = len(mixture_VL), len(factor.of)
    parts = [np.ones((C, 1)), *(columns(other) for other in factors)]
    wanted = [mixture_VL.sum(axis=1, keepdims=True), *(np.zeros((V, part.shape[1])) for part in parts[1:])]
    position = [other.name for other in factors].index(factor.name)
    wanted[1 + position] = mixture_VL @ codes(factor)
    matrix, wanted_Vq = np.hstack(parts), np.hstack(wanted)
    # Least squares also where the grid has gaps; where a combination of levels is no row of the matrix's span, the
    # pseudo-inverse would still give weights, of something else, so they are checked.
    weights = wanted_Vq @ np.linalg.pinv(matrix)
    return LevelWeights(weights, wanted_Vq, weights @ matrix - wanted_Vq)


Term = tuple[str, ...]


def terms_of(factors: Sequence[Factor]) -> list[Term]:
    """Every main effect, then every interaction of two."""
    names = [factor.name for factor in factors]
    return [(name,) for name in names] + list(combinations(names, 2))


def projections(factors: Sequence[Factor]) -> tuple[dict[Term, Floats], Floats]:
    """The (C, C) projection of every term, adjusted for all terms it is no part of (type II); and that of the rest.

    The rest is what neither main effects nor interactions of two explain. A term that the grid cannot tell from
    others has a projection of 0.
    """
    C, by_name = len(factors[0].of), {factor.name: factor for factor in factors}
    spans = {term: _span([by_name[name] for name in term]) for term in terms_of(factors)}
    onto = {}
    for term, span in spans.items():
        others = [np.ones((C, 1)), *(spans[other] for other in spans if not set(term) <= set(other))]
        onto[term] = _onto([*others, span]) - _onto(others)
    return onto, np.eye(C) - _onto([np.ones((C, 1)), *spans.values()])


def _span(factors: Sequence[Factor]) -> Floats:
    """(C, ...) products of the columns of all of them."""
    made = columns(factors[0])
    for factor in factors[1:]:
        made = (made[:, :, None] * columns(factor)[:, None, :]).reshape(len(made), -1)
    return made


def _onto(spans: Sequence[Floats]) -> Floats:
    """(C, C) the projection onto all columns together, of whatever rank."""
    left, sizes, _ = np.linalg.svd(np.hstack(spans), full_matrices=False)
    basis = left[:, sizes > TINY * max(sizes.max(), 1.0)]
    return np.asarray(basis @ basis.T)
