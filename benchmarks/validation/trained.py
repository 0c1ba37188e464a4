"""Studies of networks that are really trained, on pictures sampled from a population that is known as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.validation.designs import FOLDS, Sample, some_folds
from benchmarks.validation.networks import ALIKE, LEVELS, SETTINGS, Crowd, Setting
from benchmarks.validation.phantoms import Pool
from foldwise.metrics.influence import Units
from foldwise.metrics.table import METRICS

TESTED, TESTED_MASKS = 250, 80  # fresh pictures for every network of the truth
AT_ONCE = 96  # networks


@dataclass(frozen=True)
class Truth:
    """What every configuration scores in expectation, by hundreds of training sets.

    Attributes:
        mean: (C,) over training sets, seeds and pictures.
        error: (C,) its standard error.
        run_sd: (C,) standard deviation between networks, with what their test pictures add.
    """

    mean: np.ndarray
    error: np.ndarray
    run_sd: np.ndarray


def truth(pool: Pool, *, images: int, training_sets: int, seed: int) -> Truth:
    """Expected scores of networks trained as in a study of this many images, on pictures they have never seen.

    Configurations that are the same share one truth. Every training set is given to all of them.
    """
    rng = np.random.default_rng(seed)
    distinct = list(dict.fromkeys(SETTINGS))
    scores: dict[Setting, list[np.ndarray]] = {setting: [] for setting in distinct}
    num_train = round(images * (1 - 1 / FOLDS))
    tested = TESTED if len(pool.places) == 1 else TESTED_MASKS
    for begin in range(0, training_sets, AT_ONCE):
        sets = [_sampled(pool, rng, num_train) for _ in range(min(AT_ONCE, training_sets - begin))]
        tests = np.stack([rng.choice(_others(pool, own), tested, replace=False) for own in sets])
        share = pool.shares[tests]
        for setting in distinct:
            crowd = Crowd([setting] * len(sets), len(pool.reach), seed=int(rng.integers(2**31)))
            crowd.train(pool, sets)
            made = [crowd.scores(pool, tests[:, part : part + 25]) for part in range(0, tested, 25)]
            scores[setting].append((np.concatenate(made, axis=1) * share).sum(axis=1) / share.sum(axis=1))
    by_setting = [np.concatenate(scores[setting]) for setting in SETTINGS]
    mean, spread = (np.array([getattr(own, what)() for own in by_setting]) for what in ("mean", "std"))
    return Truth(mean, spread / np.sqrt(training_sets), spread)


def _sampled(pool: Pool, rng: np.random.Generator, images: int) -> np.ndarray:
    """Pictures of whole groups, until there are as many as asked for or a few more; in groups, one after another."""
    _, group = np.unique(pool.groups, return_inverse=True)
    if len(np.unique(group)) == len(group):
        return rng.choice(len(group), images, replace=False)
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    taken: list[int] = []
    for one in rng.permutation(len(sizes)):
        taken.extend(order[starts[one] : starts[one + 1]])
        if len(taken) >= images:
            break
    return np.array(taken)


def _others(pool: Pool, own: np.ndarray) -> np.ndarray:
    """Pictures of groups that are not in a training set."""
    return np.flatnonzero(~np.isin(pool.groups, pool.groups[own]))


def trained(pool: Pool, known: Truth, *, images: int, repeats: int, rng: np.random.Generator) -> Sample:
    """One cross-validated study: every configuration trained from scratch in every fold of every repeat."""
    pictures = _sampled(pool, rng, images)
    units = Units.from_groups(pool.groups[pictures].tolist())
    folds_Rn = some_folds(rng, units, repeats)
    C, n = len(SETTINGS), len(pictures)
    scores = np.full((C, repeats, n), np.nan)
    fits = [(r, fold) for r in range(repeats) for fold in range(FOLDS)]
    for width in dict.fromkeys(setting.width for setting in SETTINGS):
        places = [c for c in range(C) if SETTINGS[c].width == width]
        jobs = [(c, r, fold) for c in places for r, fold in fits]
        crowd = Crowd([SETTINGS[c] for c, _, _ in jobs], len(pool.reach), seed=int(rng.integers(2**31)))
        crowd.train(pool, [pictures[folds_Rn[r] != fold] for _, r, fold in jobs])
        most = max(int((folds_Rn[r] == fold).sum()) for r, fold in fits)
        tests = [np.flatnonzero(folds_Rn[r] == fold) for _, r, fold in jobs]
        padded = np.stack([np.resize(own, most) for own in tests])
        made = _in_parts(crowd, pool, pictures[padded])
        for (c, r, _), own, row in zip(jobs, tests, made, strict=True):
            scores[c, r, own] = row[: len(own)]
    assert np.isfinite(scores).all()
    return Sample(METRICS[pool.metric], scores, folds_Rn, units, known.mean, LEVELS, ALIKE)


def _in_parts(crowd: Crowd, pool: Pool, pictures_ET: np.ndarray) -> np.ndarray:
    """Scores of a few pictures at a time, so that their inputs fit the memory."""
    step = 400 if len(pool.places) == 1 else 3
    parts = range(0, pictures_ET.shape[1], step)
    return np.concatenate([crowd.scores(pool, pictures_ET[:, part : part + step]) for part in parts], axis=1)
