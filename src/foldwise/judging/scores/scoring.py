"""Every metric of every configuration: numbers from the outputs, intervals from the variance of all of them together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from foldwise.judging.statistics.intervals import NO_INTERVAL, Interval, Spread, interval
from foldwise.judging.statistics.variance import Variance, estimate_variance
from foldwise.judging.verdict_configurations import Measures
from foldwise.metrics.influence import Units, UnitScores, ranked_class, unit_scores_of_each
from foldwise.metrics.outputs import Floats, Ints, Outputs, can_be_stacked, of_fold, stacked
from foldwise.metrics.ranking import AUROC, AVERAGE_PRECISION, MIN_POSITIVES
from foldwise.metrics.ratios import image_dice, image_iou, pixel_ap, pixel_auroc, pooled_by_class
from foldwise.metrics.table import Metric, reported

Repeats = Sequence[tuple[int, Outputs]]  # of one configuration
# Of cases, classes, bins: larger arrays leave the caches of a processor, and fewer calls save nothing more.
MAX_TOGETHER = 1 << 19
_POWERS = {"binary": 1, "multiclass": 1, "multilabel": 1, "segmentation": 2}


@dataclass(frozen=True)
class Scored:
    """One configuration's numbers, of all repeats it has done.

    Attributes:
        estimates: by metric; the mean over repeats.
        values: by metric, (R, G) values of every unit; empty where the configuration is incomplete.
        support, num_positives, num_undefined: by metric, the least, least and most over repeats.
        per_class: by class name, the measures of that class, and whether averages over classes count it (``scored``).
        folds: (repeat, fold, score of the metric that decides).
        unit_folds: (R, G) the fold of every unit.
    """

    estimates: dict[str, float] = field(default_factory=dict)
    values: Mapping[str, Floats] = field(default_factory=dict)
    support: dict[str, float] = field(default_factory=dict)
    num_positives: dict[str, int | None] = field(default_factory=dict)
    num_undefined: dict[str, int] = field(default_factory=dict)
    per_class: dict[str, Measures] = field(default_factory=dict)
    folds: tuple[tuple[int, int, float], ...] = ()
    unit_folds: Ints | None = None


def best_first(names: Iterable[str], scored: Mapping[str, Scored], metric: Metric) -> tuple[str, ...]:
    """Configurations by a metric, the best first; those with equal scores stay in their order.

    Scores are rounded, because equal ones may differ in their last digits.
    """
    sign = -1 if metric.higher_is_better else 1
    # `sorted` is stable, also for the configurations whose rounded scores are the same.
    return tuple(sorted(names, key=lambda name: round(sign * scored[name].estimates[metric.name], 12)))


def score(repeats: Repeats, units: Units, *, decides: Metric, classes: Sequence[str]) -> Scored:
    """All metrics of one configuration from its outputs by repeat, and in every fold the metric that decides."""
    return next(score_each([("", repeats)], units, decides=decides, classes=classes))[1]


def score_each(
    every: Iterable[tuple[str, Repeats]], units: Units, *, decides: Metric, classes: Sequence[str]
) -> Iterator[tuple[str, Scored]]:
    """As `score`, of configurations by id, in their order.

    Neighbours that were tested on the same cases are scored together, as many as `MAX_TOGETHER` allows: of a few
    hundred images, calls of NumPy take longer than its sums.
    """
    waiting: list[tuple[str, Repeats]] = []
    for id, repeats in every:
        size = sum(
            outputs.case.size * outputs.num_classes ** _POWERS[outputs.family] for _, outputs in repeats
        )
        full = (len(waiting) + 1) * size > MAX_TOGETHER
        if waiting and (full or not _alike(waiting[0][1], repeats)):
            yield from _scored_together(waiting, units, decides=decides, classes=classes)
            waiting = []
        waiting.append((id, repeats))
    if waiting:
        yield from _scored_together(waiting, units, decides=decides, classes=classes)


def _alike(first: Repeats, other: Repeats) -> bool:
    return len(first) == len(other) and all(
        repeat == number and can_be_stacked(outputs, own)
        for (repeat, outputs), (number, own) in zip(first, other, strict=True)
    )


def _scored_together(
    every: Sequence[tuple[str, Repeats]], units: Units, *, decides: Metric, classes: Sequence[str]
) -> Iterator[tuple[str, Scored]]:
    repeats = [
        (of_all[0][0], stacked([outputs for _, outputs in of_all]))
        for of_all in zip(*(own for _, own in every), strict=True)
    ]
    first = repeats[0][1]
    table = reported(decides, first.family, boundary=first.nsd is not None)
    scores = {
        name: [unit_scores_of_each(metric, outputs, units) for _, outputs in repeats]
        for name, metric in table.items()
    }
    in_folds = [
        (repeat, int(fold), unit_scores_of_each(decides, of_fold(outputs, fold), units))
        for repeat, outputs in repeats
        for fold in np.unique(outputs.fold)
    ]
    unit_folds = np.stack([units.folds(outputs) for _, outputs in repeats])
    per_class = by_class([outputs for _, outputs in repeats], classes)
    for row, (id, _) in enumerate(every):
        yield (
            id,
            over_repeats(
                {name: [repeat[row] for repeat in of_metric] for name, of_metric in scores.items()},
                per_class=per_class[row],
                folds=tuple((repeat, fold, own[row].estimate) for repeat, fold, own in in_folds),
                unit_folds=unit_folds,
            ),
        )


def over_repeats(by_metric: Mapping[str, Sequence[UnitScores]], **others: Any) -> Scored:
    """The numbers of a configuration from its scores in every repeat, by metric, and its `others` fields."""
    positives = {
        name: [score.num_positives for score in scores if score.num_positives is not None]
        for name, scores in by_metric.items()
    }
    return Scored(
        estimates={name: _mean(score.estimate for score in scores) for name, scores in by_metric.items()},
        values={
            name: np.stack([score.values for score in scores]) for name, scores in by_metric.items() if scores
        },
        support={
            name: min((score.support for score in scores), default=0.0) for name, scores in by_metric.items()
        },
        num_positives={name: min(numbers, default=None) for name, numbers in positives.items()},
        num_undefined={
            name: max((score.num_undefined for score in scores), default=0)
            for name, scores in by_metric.items()
        },
        **others,
    )


def _mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def by_class(repeats: Sequence[Outputs], classes: Sequence[str]) -> list[dict[str, Measures]]:
    """Of every configuration, measures of every class against the rest, mean over repeats, with its support (images that have it).

    Args:
        repeats: `stacked` outputs of all configurations.
        classes: their names.

    Returns:
        nan for what is undefined.
    """
    first = repeats[0]
    measure = _segmented if first.family == "segmentation" else _classified
    tables = [measure(outputs) for outputs in repeats]
    means = {key: _means(np.stack([table[key] for table in tables], axis=-1)).tolist() for key in tables[0]}
    counts = [
        {"scored": k not in first.unscored, "ranked": k not in first.unranked} for k in range(len(classes))
    ]
    return [
        {
            name: {key: values[row][k] for key, values in means.items()} | counts[k]
            for k, name in enumerate(classes)
        }
        for row in range(len(means["support"]))
    ]


def _means(values_R: Floats) -> Floats:
    """(...) the mean of (..., R) values that are defined; nan where none is."""
    defined = ~np.isnan(values_R)
    number = defined.sum(axis=-1)
    total = np.where(defined, values_R, 0.0).sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _classified(outputs: Outputs) -> dict[str, Floats]:
    assert outputs.truth is not None
    pooled = pooled_by_class(outputs)
    del pooled["iou"]
    every = range(outputs.num_classes)
    rankings = {
        name: np.stack([ranked_class(ranking, outputs, k).estimate for k in every], axis=-1)
        for name, ranking in (("auroc", AUROC), ("average_precision", AVERAGE_PRECISION))
    }
    support = np.broadcast_to(outputs.truth.sum(axis=0).astype(float), rankings["auroc"].shape)
    return pooled | rankings | {"support": support}


def _segmented(outputs: Outputs) -> dict[str, Floats]:
    assert outputs.confusion is not None
    renamed = {"f1": "dice_pooled", "iou": "iou_pooled"}
    pooled = {renamed.get(key, f"{key}_pooled"): column for key, column in pooled_by_class(outputs).items()}
    per_image = {"dice_img": image_dice, "iou_img": image_iou, "auroc_img": pixel_auroc, "ap_img": pixel_ap}
    dice = image_dice(outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)  # a class that no image has: its mean is nan
        means = {key: np.nanmean(measure(outputs), axis=-2) for key, measure in per_image.items()}
    support = (outputs.confusion.sum(axis=-1) > 0).sum(axis=-2).astype(float)
    return means | pooled | {"support": support, "num_excluded": np.isnan(dice).sum(axis=-2).astype(float)}


@dataclass(frozen=True)
class MetricTable:
    """One metric of all configurations that can be compared.

    Attributes:
        metric: the row it is.
        variance: of the scores turned so that higher is better; None where nothing can be inferred.
        intervals: per configuration, on the metric's own scale; nan where there is none.
        values: (C, R, G) higher is better.
        spreads: what the intervals were made from; None where there is none.
    """

    metric: Metric
    variance: Variance | None
    intervals: tuple[Interval, ...]
    values: Floats
    spreads: tuple[Spread | None, ...]


def table_of(
    metric: Metric,
    scored: Sequence[Scored],
    units: Units,
    *,
    num_cases: int,
    alpha: float,
    num_folds: int | None = None,
) -> MetricTable:
    """Intervals of one metric, from the images and runs of all configurations together.

    A metric that is undefined for a configuration, or a ranking with fewer than 10 positives, is described without.
    `num_folds` are those of the study, where the scores are of some of them.
    """
    sign = 1 if metric.higher_is_better else -1
    values = sign * np.stack([own.values[metric.name] for own in scored])
    folds = scored[0].unit_folds
    assert folds is not None
    usable = [c for c in range(len(scored)) if np.isfinite(values[c]).all()]
    # With 5 positives among 200, even the interval on the logit scale held the true AUROC in 84 % of simulations only.
    rare = metric.ranks and any((own.num_positives[metric.name] or 0) < MIN_POSITIVES for own in scored)
    if rare or units.count < 2 or not usable:
        return MetricTable(metric, None, (NO_INTERVAL,) * len(scored), values, (None,) * len(scored))
    # A case that is right or wrong moves the score by 1 / support, by less in a large group; statistics.md 1.4.
    step = units.step / min(scored[c].support[metric.name] for c in usable)
    repeats = values.shape[1]  # an answer in one of them moves the mean by a part of the step
    floor = step**2 / repeats if metric.counted else 0.0
    variance = estimate_variance(
        values[usable], folds, floor=floor, bounds=metric.oriented_bounds, num_folds=num_folds
    )
    intervals = [NO_INTERVAL] * len(scored)
    spreads: list[Spread | None] = [None] * len(scored)
    for row, c in enumerate(usable):
        spreads[c] = spread = Spread(
            estimate=scored[c].estimates[metric.name],
            image_variance=float(variance.image[row, row]),
            run_variance=float(variance.score_run_of_mean[row]),
            num_units=units.count,
            num_cases=num_cases,
            support=scored[c].support[metric.name],
            df=float(variance.df[row]),
            grouped=units.grouped,
            counted=metric.counted,
            num_repeats=repeats,
        )
        intervals[c] = interval(metric.interval, spread, alpha=alpha)
    # A comparison needs all of them: one with an undefined score has no difference to anybody.
    whole = variance if len(usable) == len(scored) else None
    return MetricTable(metric, whole, tuple(intervals), values, tuple(spreads))
