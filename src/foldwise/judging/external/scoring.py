"""Scores that are ready to be compared: of every case, or made of the outputs for every image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from foldwise.errors import SpecError
from foldwise.judging.external.grid import Grid
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.own import family_of, outputs_of
from foldwise.judging.external.reading import ScoreFiles, metric_of
from foldwise.judging.scores.scoring import Scored, score
from foldwise.metrics.influence import Units, mean_score
from foldwise.metrics.outputs import Floats, Ints
from foldwise.metrics.table import Metric, choose_metric, reported

MAX_FOLDS = 100  # whose scores are in the verdict one by one


@dataclass(frozen=True)
class ExternalScores:
    """What was read, its design, the metric that decides and all others, and the scores of every configuration."""

    read: ScoreFiles
    grid: Grid
    metric: Metric
    metrics: dict[str, Metric]
    scored: dict[str, Scored]


def score_files(read: ScoreFiles, grid: Grid, options: ScoreOptions) -> ExternalScores:
    """The scores of every configuration, whether or not it can be compared.

    Raises:
        SpecError: the metric that is asked for is not one of the task, or the scores do not lie as stated.
    """
    return _labelled(read, grid, options) if read.classes else _scored(read, grid, options)


def _scored(read: ScoreFiles, grid: Grid, options: ScoreOptions) -> ExternalScores:
    """Every configuration by the mean of its scores."""
    metric = metric_of(read.metric, grid.piece.score[np.isfinite(grid.piece.score)], options)
    unit_folds = np.zeros((len(grid.repeats), grid.units.count), dtype=np.int64)
    for folds, own in zip(unit_folds, grid.folds_Rn, strict=True):
        folds[grid.units.of_case] = own
    scored = {name: _of_scores(grid, c, metric, unit_folds) for c, name in enumerate(grid.configurations)}
    return ExternalScores(read, grid, metric, {metric.name: metric}, scored)


def _of_scores(grid: Grid, c: int, metric: Metric, unit_folds: Ints) -> Scored:
    scores_Rn, name = grid.scores(c), metric.name
    there = [(r, row) for r, row in enumerate(scores_Rn) if np.isfinite(row).any()]
    done = [(r, mean_score(row, grid.units)) for r, row in there]
    return Scored(
        estimates={name: float(np.mean([score.estimate for _, score in done])) if done else float("nan")},
        values={name: np.stack([score.values for _, score in done])} if done else {},
        support={name: min((score.support for _, score in done), default=0.0)},
        num_positives={name: None},
        num_undefined={name: max((score.num_undefined for _, score in done), default=0)},
        folds=tuple(_by_fold(grid.units, there, unit_folds)),
        unit_folds=unit_folds,
    )


def _by_fold(
    units: Units, there: Sequence[tuple[int, Floats]], unit_folds: Ints
) -> Iterator[tuple[int, int, float]]:
    """(repeat, fold, score), both counted from 0 in natural order of their names; every unit counts once."""
    # Every case may be a fold of its own (leave one out): its scores are no dots to look at.
    if unit_folds.max() >= MAX_FOLDS:
        return
    for r, row in there:
        defined = np.flatnonzero(np.isfinite(row))
        total, number = (units.sums(values, defined) for values in (row[defined], np.ones(len(defined))))
        own = number > 0
        size = np.bincount(unit_folds[r][own])
        sums = np.bincount(unit_folds[r][own], weights=total[own] / number[own])
        yield from ((r, int(fold), float(sums[fold] / size[fold])) for fold in np.flatnonzero(size))


def _labelled(read: ScoreFiles, grid: Grid, options: ScoreOptions) -> ExternalScores:
    """Every configuration by every metric of its task, from its outputs for every image."""
    if options.higher_is_better is not None or options.bounded is not None:
        cure = "Leave --lower-is-better, --higher-is-better, --bounded and --unbounded out."
        raise SpecError("which way is better is known of the metrics of a run", cure=cure)
    family = family_of(grid.piece)
    metric = choose_metric(read.metric, family)
    scored = {
        name: score(by_repeat, grid.units, decides=metric, classes=read.classes)
        for name, by_repeat in outputs_of(grid, family).items()
    }
    return ExternalScores(read, grid, metric, reported(metric, family, boundary=False), scored)
