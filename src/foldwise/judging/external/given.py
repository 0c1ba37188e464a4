"""Scores that are ready to be compared: of every case, or made of what was said of every image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from foldwise.errors import SpecError
from foldwise.judging.external.asked import Asked
from foldwise.judging.external.grid import Grid
from foldwise.judging.external.own import family_of, outputs_of
from foldwise.judging.external.reading import Read, metric_of
from foldwise.judging.scores.scoring import Scored, score
from foldwise.metrics.influence import Units, mean_score
from foldwise.metrics.outputs import Floats, Ints
from foldwise.metrics.table import Metric, choose_metric, reported

MAX_FOLDS = 100  # whose scores are told one by one


@dataclass(frozen=True)
class Given:
    """What was read, its design, the metric that decides and all others, and the scores of every configuration."""

    read: Read
    grid: Grid
    metric: Metric
    metrics: dict[str, Metric]
    scored: dict[str, Scored]


def given_by(read: Read, grid: Grid, asked: Asked) -> Given:
    """The scores of every configuration, whether or not it can be compared.

    Raises:
        SpecError: the metric that is asked for is not one of the task, or the scores do not lie as stated.
    """
    return _labelled(read, grid, asked) if read.classes else _scored(read, grid, asked)


def _scored(read: Read, grid: Grid, asked: Asked) -> Given:
    """Every configuration by the mean of its scores."""
    metric = metric_of(read.metric, grid.piece.score[np.isfinite(grid.piece.score)], asked)
    unit_folds = np.zeros((len(grid.repeats), grid.units.count), dtype=np.int64)
    for folds, own in zip(unit_folds, grid.folds_Rn, strict=True):
        folds[grid.units.of_case] = own
    scored = {
        name: _of_scores(grid, place, metric, unit_folds) for place, name in enumerate(grid.configurations)
    }
    return Given(read, grid, metric, {metric.name: metric}, scored)


def _of_scores(grid: Grid, place: int, metric: Metric, unit_folds: Ints) -> Scored:
    scores_Rn, name = grid.scores(place), metric.name
    there = [(r, row) for r, row in enumerate(scores_Rn) if np.isfinite(row).any()]
    done = [(r, mean_score(row, grid.units)) for r, row in there]
    return Scored(
        estimates={name: float(np.mean([one.estimate for _, one in done])) if done else float("nan")},
        values={name: np.stack([one.values for _, one in done])} if done else {},
        support={name: min((one.support for _, one in done), default=0.0)},
        num_positives={name: None},
        num_undefined={name: max((one.num_undefined for _, one in done), default=0)},
        folds=tuple(_by_fold(grid.units, there, unit_folds)),
        unit_folds=unit_folds,
    )


def _by_fold(
    units: Units, there: Sequence[tuple[int, Floats]], unit_folds: Ints
) -> Iterator[tuple[int, int, float]]:
    """(repeat, fold, score), both counted from 0 in natural order of their names; every unit counts once."""
    if unit_folds.max() >= MAX_FOLDS:
        return
    for r, row in there:
        defined = np.flatnonzero(np.isfinite(row))
        total, number = (units.sums(one, defined) for one in (row[defined], np.ones(len(defined))))
        own = number > 0
        size = np.bincount(unit_folds[r][own])
        sums = np.bincount(unit_folds[r][own], weights=total[own] / number[own])
        yield from ((r, int(fold), float(sums[fold] / size[fold])) for fold in np.flatnonzero(size))


def _labelled(read: Read, grid: Grid, asked: Asked) -> Given:
    """Every configuration by every metric of its task, from what it said of every image."""
    if asked.higher_is_better is not None or asked.bounded is not None:
        cure = "Leave --lower-is-better, --higher-is-better, --bounded and --unbounded out."
        raise SpecError("which way is better is known of the metrics of a run", cure=cure)
    family = family_of(grid.piece)
    metric = choose_metric(read.metric, family)
    scored = {
        name: score(said, grid.units, decides=metric, classes=read.classes)
        for name, said in outputs_of(grid, family).items()
    }
    return Given(read, grid, metric, reported(metric, family, boundary=False), scored)
