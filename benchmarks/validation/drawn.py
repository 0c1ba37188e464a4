"""Scores drawn from a model whose true means are known exactly.

Behind every score stands a sum of normal parts: how good the configuration is, how hard the image, how the two suit
each other, the luck of the run (seed and fold), and the rest. An image is right where the sum is above 0 (counted
scores), or has the normal distribution function of it as its score, which is skewed as Dice is (graded scores); then
one image in twenty is a failure of all configurations. With normal parts the expected score has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from benchmarks.validation.designs import Sample, some_folds, some_groups
from foldwise.metrics.table import METRICS

ICC = 0.3  # how much images of a group are alike
GROUPS_TO = 5  # images in a group, at most
FAILURES, DROP = 0.05, 2.0  # of graded scores: their share, and how much worse they are
LEVELS = (2, 3, 4)
# Six of 24 within 0.01 of the best, the others spread down to 0.15 below it.
BEHIND = np.concatenate([np.linspace(0, 0.01, 6), np.linspace(0.02, 0.15, 18)])


@dataclass(frozen=True)
class Kind:
    """Variances behind a kind of score: of images, of images x configurations, and of the rest; and the best score."""

    metric: str
    counted: bool
    image: float
    suits: float
    rest: float
    top: float


KINDS = {
    "accuracy": Kind("accuracy", True, 1.0, 0.5, 0.5, 0.85),
    "balanced": Kind("balanced_accuracy", True, 1.0, 0.5, 0.5, 0.85),
    "dice": Kind("dice_img_macro", False, 0.20, 0.06, 0.06, 0.85),
}


@dataclass(frozen=True)
class Plan:
    """What is drawn.

    Attributes:
        kind: of `KINDS`.
        images, repeats, configurations: n, R, C.
        grouped: images come in groups that are alike.
        identical: all configurations are equally good; else as `BEHIND` says.
        run_sd: of the score, between seeds and folds.
        shared: the part of that variance which all runs on the same images have in common; 1 / 5 is what the
            correction for overlapping training sets assumes, 0 is luck with seeds and nothing else.
        top: the best true score; 0: that of the kind.
    """

    kind: str
    images: int
    repeats: int
    configurations: int = 24
    grouped: bool = False
    identical: bool = False
    run_sd: float = 0.02
    shared: float = 0.2
    top: float = 0.0


def drawn(plan: Plan, rng: np.random.Generator, behind: np.ndarray = BEHIND) -> Sample:
    """One sample, in which configurations lie so far `behind` the best."""
    kind, C, R, n = KINDS[plan.kind], plan.configurations, plan.repeats, plan.images
    units = some_groups(rng, n, GROUPS_TO if plan.grouped else 1)
    folds_Rn = some_folds(rng, units, R)
    top = plan.top or kind.top
    chosen = np.linspace(0, len(behind) - 1, C).round().astype(int)
    behind = np.zeros(C) if plan.identical else behind[chosen]
    truth_C = rng.permutation(top - behind)
    run = plan.run_sd / slope(kind, top)
    level_C = level(kind, truth_C, run)
    of_images = level_C[:, None] + np.sqrt(kind.suits) * _alike(rng, units, C)
    of_images = of_images + np.sqrt(kind.image) * _alike(rng, units, 1)
    if not kind.counted:
        of_images = of_images - DROP * (rng.random(n) < FAILURES)
    luck = np.sqrt(plan.shared) * rng.normal(size=(C, 1, 1))
    luck = run * (luck + np.sqrt(1 - plan.shared) * rng.normal(size=(C, R, folds_Rn.max() + 1)))
    scores = of_images[:, None] + luck[:, np.arange(R)[:, None], folds_Rn]
    scores = scores + np.sqrt(kind.rest) * rng.standard_normal((C, R, n))
    return Sample(
        metric=METRICS[kind.metric],
        scores_CRn=(scores > 0).astype(float) if kind.counted else ndtr(scores),
        folds_Rn=folds_Rn,
        units=units,
        truth_C=truth_C,
        levels=LEVELS if np.prod(LEVELS) == C else (),
        alike=None if plan.identical else (),
        classes_n=rng.permutation(np.arange(n) % 2) if plan.kind == "balanced" else None,
    )


def _alike(rng: np.random.Generator, units, rows: int) -> np.ndarray:
    """(rows, n) standard normal numbers; those of images of one group have the correlation `ICC`."""
    own = rng.standard_normal((rows, len(units.of_case)))
    if not units.grouped:
        return own
    of_group = rng.standard_normal((rows, units.count))
    return np.sqrt(ICC) * of_group[:, units.of_case] + np.sqrt(1 - ICC) * own


def expected(kind: Kind, levels: np.ndarray, run: float) -> np.ndarray:
    """The expected score at these levels: E Phi(m + s Z) = Phi(m / sqrt(1 + s^2)), and P(m + s Z > 0) = Phi(m / s)."""
    variance = kind.image + kind.suits + kind.rest + run**2
    if kind.counted:
        return ndtr(levels / np.sqrt(variance))
    scale = np.sqrt(1 + variance)
    return (1 - FAILURES) * ndtr(levels / scale) + FAILURES * ndtr((levels - DROP) / scale)


def level(kind: Kind, truth: np.ndarray, run: float) -> np.ndarray:
    """The levels whose expected scores are `truth`."""
    grid = np.linspace(-6, 8, 20_001)
    return np.interp(truth, expected(kind, grid, run), grid)


def slope(kind: Kind, truth: float) -> float:
    """How fast the expected score grows with the level; a run's luck on one scale in terms of the other."""
    at = float(level(kind, np.array([truth]), 0.0)[0])
    low, high = expected(kind, np.array([at - 1e-3, at + 1e-3]), 0.0)
    found = float((high - low) / 2e-3)
    return found if found > 0 else float(norm.pdf(0))
