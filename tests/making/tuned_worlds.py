"""Worlds in which all configurations of a search are equal, so that all that its winner has over the others is luck.

Some of that luck is real: a run that came out well on the validation images is better on new ones, too. What a tuned
network really reaches is therefore worked out from the runs that were chosen, and not from the configurations.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from foldwise.judging.judgement import compared
from foldwise.judging.scores.scoring import Scored, table_of
from foldwise.metrics.influence import Units
from foldwise.metrics.table import METRICS

ACCURACY = 0.75  # of every configuration, over all runs


@dataclass(frozen=True)
class World:
    """Shares of the variance of what decides whether an answer is right.

    Attributes:
        shared: of the image, for all configurations; some images are hard for all.
        own: of the image for one configuration, whatever it was trained on: what it finds hard in every fold.
        run: of the run of one configuration in one fold, for all images.
    """

    num_images: int = 92
    num_folds: int = 5
    num_trials: int = 20
    shared: float = 0.3
    own: float = 0.4
    run: float = 0.02


def drawn(world, rng):
    """Whether the network of a configuration in a fold is right on an image, its accuracy on new ones, and the folds.

    Returns:
        (N, K, n) bool; (N, K); (n,).
    """
    N, K, n = world.num_trials, world.num_folds, world.num_images
    rest = 1 - world.shared - world.own - world.run
    latent = np.sqrt(world.shared) * rng.standard_normal((1, 1, n))
    latent = latent + np.sqrt(world.own) * rng.standard_normal((N, 1, n))
    runs = np.sqrt(world.run) * rng.standard_normal((N, K, 1))
    limit = norm.ppf(ACCURACY)
    accuracy = norm.cdf((limit - runs[..., 0]) / np.sqrt(1 - world.run))
    latent = latent + runs
    latent = latent + np.sqrt(rest) * rng.standard_normal((N, K, n))
    return latent < limit, accuracy, rng.permutation(n) % K


def validation_parts(fold_of, rng, share=0.2):
    """(K, n) bool: a fifth of what is not tested in a fold."""
    parts = np.zeros((fold_of.max() + 1, len(fold_of)), dtype=bool)
    for fold, part in enumerate(parts):
        learned = np.flatnonzero(fold_of != fold)
        part[rng.choice(learned, round(share * len(learned)), replace=False)] = True
    return parts


def choose_by_fold(right, fold_of, parts):
    """(K,) the best configuration of every fold by its own validation part."""
    return np.array([right[:, k, part].mean(axis=1).argmax() for k, part in enumerate(parts)])


def choose_by_all(right, fold_of, parts):
    """(K,) one configuration for all folds, the best by the mean of its validation scores."""
    scores = np.mean([right[:, k, part].mean(axis=1) for k, part in enumerate(parts)], axis=0)
    return np.full(len(parts), scores.argmax())


def choose_by_test(right, fold_of, parts):
    """(K,) one configuration for all folds, the best by its test scores."""
    tested = right[:, fold_of, np.arange(len(fold_of))].mean(axis=1)
    return np.full(len(parts), tested.argmax())


def judged(right, fold_of, *every):
    """What the judge makes of one or more rows, each with the configuration (K,) that its folds have chosen."""
    n, rows = len(fold_of), []
    for chosen in every:
        values = right[chosen[fold_of], fold_of, np.arange(n)].astype(float)[None]
        facts = {
            "support": float(n),
            "num_positives": None,
            "estimates": float(values.mean()),
            "values": values,
        }
        rows.append(
            Scored(**{name: {"accuracy": value} for name, value in facts.items()}, unit_folds=fold_of[None])
        )
    units = Units.from_groups([str(index) for index in range(n)])
    return table_of(METRICS["accuracy"], rows, units, num_cases=n, alpha=0.05)


def simulate(world, choose, worlds, seed=0):
    """How much too good estimates are on average, and the share of intervals that hold what such a choice really reaches."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(worlds):
        right, accuracy, fold_of = drawn(world, rng)
        parts = validation_parts(fold_of, rng)
        chosen = choose(right, fold_of, parts)
        table = judged(right, fold_of, chosen)
        rows.append(
            (table.values.mean(), *table.intervals[0], accuracy[chosen, np.arange(len(chosen))].mean())
        )
    estimate, low, high, reached = np.array(rows, dtype=float).T
    truth = reached.mean()
    return (estimate - reached).mean(), ((low <= truth) & (truth <= high)).mean()


def simulate_arms(world, choose, worlds, seed=0):
    """How often one of two arms is ruled out as the best, each with half of the trials: they are equal."""
    rng, half, wrong = np.random.default_rng(seed), world.num_trials // 2, 0
    for _ in range(worlds):
        right, _, fold_of = drawn(world, rng)
        parts = validation_parts(fold_of, rng)
        first = choose(right[:half], fold_of, parts)
        second = half + choose(right[half:], fold_of, parts)
        comparison, _ = compared(judged(right, fold_of, first, second), alpha=0.05, most=1000)
        wrong += not all(comparison.could_be_best)
    return wrong / worlds
