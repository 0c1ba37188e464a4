"""The results of every configuration, with its scores on the three parts of the images, and of trivial predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.baselines import Baseline
from foldwise.judging.scores.curve_scores import confusion_matrix
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import Scored, best_first
from foldwise.judging.sections.standings import cause_of, cost_of, result_of
from foldwise.judging.verdict_configurations import (
    ClassPrecisionRecall,
    ConfigurationResult,
    Cost,
    Failure,
    PrecisionRecall,
    Rank,
    ScoreEstimate,
    ScoresBySplit,
    SplitScores,
    Standing,
    TrivialBaseline,
)
from foldwise.metrics.confusion import pooled_confusion
from foldwise.metrics.outputs import Floats, Ints
from foldwise.metrics.ratios import divided
from foldwise.study.configurations import Configuration

STORED = {"train": "train_confusion", "validation": "validation_confusion"}  # in scores.npz

NETWORK = ("model", "head", "label_groups", "precision", "freeze")  # of a training: what its speed depends on
MAX_CONFUSED = 60  # classes with counts of every confusion


Early = Mapping[str, tuple[Judgement, Standing]]  # by configuration, of the look that ruled it out


def configuration_results(
    rows: Rows, judgement: Judgement, early: Early = MappingProxyType({})
) -> tuple[ConfigurationResult, ...]:
    """One result per configuration: those that can be compared, best first, then the others, the most complete first.

    Those that were ruled out `early` are described by what they have, after others with as many fits and the better first.
    """
    ranked = [rows.by_id[id] for id in judgement.comparable]
    rest = [configuration for id, configuration in rows.by_id.items() if id not in judgement.comparable]
    costs = _pooled_latency(rows, [*ranked, *rest])
    in_order = {
        id: rank
        for own, _ in early.values()
        for rank, id in enumerate(best_first(own.scored, own.scored, own.metric))
    }
    rest.sort(key=lambda row: (-len(rows.done(row.id)), row.id in early, in_order.get(row.id, 0)))
    return tuple(
        _result(rows, judgement, configuration, costs[configuration.id], early.get(configuration.id))
        for configuration in (*ranked, *rest)
    )


def _result(
    rows: Rows,
    judgement: Judgement,
    configuration: Configuration,
    cost: Cost,
    early: tuple[Judgement, Standing] | None,
) -> ConfigurationResult:
    fits, scored = rows.fits_of(configuration.id), configuration.id in judgement.scored
    countable = scored and len(rows.classes) <= MAX_CONFUSED
    missing: Rank = "failed" if fits and all(fit.status == "failed" for fit in fits) else "incomplete"
    spared = sum(fit.status == "spared" for fit in fits)
    own, standing = early or (judgement, None)
    return result_of(
        own,
        configuration.id,
        missing=missing,
        standing=standing,
        name=configuration.name,
        levels=dict(configuration.levels),
        confusion=confusion_matrix(rows, configuration.id) if countable else None,
        split_scores=scores_by_split(rows, configuration.id),
        cost=cost,
        num_done=sum(fit.status == "done" for fit in fits),
        num_planned=len(fits) - spared,
        num_spared=spared,
        failures=tuple(
            Failure(item=fit.item, repeat=fit.repeat, fold=fit.fold, **cause_of(fit.result))
            for fit in fits
            if fit.status == "failed"
        ),
    )


def _pooled_latency(rows: Rows, configurations: Sequence[Configuration]) -> dict[str, Cost]:
    """Configurations with one network on one device get its mean latency over all of their fits that measured it.

    Loss or optimiser make no network faster: a difference between them is what else the machine did meanwhile. Of those
    that had their device for themselves, where there are any.
    """
    costs = {configuration.id: cost_of(rows.done(configuration.id)) for configuration in configurations}
    alike: dict[tuple[str, ...], list[str]] = {}
    for configuration in configurations:
        network = [getattr(configuration.training, name) for name in NETWORK]
        key = tuple(map(str, (*network, costs[configuration.id].device)))
        alike.setdefault(key, []).append(configuration.id)
    for every in alike.values():
        records = [fit.result.get("cost") or {} for id in every for fit in rows.done(id)]
        if mean := _mean_where_alone("latency_ms", records):
            costs |= {id: costs[id].model_copy(update={"latency_ms": mean}) for id in every}
    return costs


def _mean_where_alone(key: str, records: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean of a cost over those that had their device for themselves, else over all; None where it was not measured."""
    measured = [record for record in records if record.get(key) is not None]
    alone = [record for record in measured if (record.get("sharers") or 1) == 1]
    return float(np.mean([record[key] for record in alone or measured])) if measured else None


def trivial_baseline(judgement: Judgement, baseline: Baseline, scored: Scored) -> TrivialBaseline:
    """The result of a trivial predictor; it has no interval, for nothing in it was learnt."""
    return TrivialBaseline(
        id=baseline.id,
        name=baseline.name,
        sentence=f"A predictor that {baseline.sentence}.",
        estimate=scored.estimates[judgement.metric.name],
        metrics={
            name: ScoreEstimate(estimate=estimate, low=None, high=None)
            for name, estimate in scored.estimates.items()
        },
        per_class=scored.per_class,
    )


def scores_by_split(rows: Rows, configuration: str) -> ScoresBySplit | None:
    """Scores on every part; None where no fit is done, or where one has counted its test fold only.

    Images, or pixels, are pooled over the folds and repeats that are done, so an image counts once for every fit that
    has it in that part. Several labels are decided at one half, as no part may set the thresholds of another.
    """
    stored = [
        {split: arrays[key] for split, key in STORED.items() if key in arrays}
        for arrays in map(rows.all_scores_of, rows.done(configuration))
    ]
    if not stored or any(len(of_fit.get("train", ())) != len(rows.classes) for of_fit in stored):
        return None
    tested = (replace(outputs, thresholds=None) for _, outputs in rows.outputs_by_repeat(configuration))
    counts = {split: [of_fit[split] for of_fit in stored] for split in STORED}
    counts["test"] = [pooled_confusion(outputs) for outputs in tested]
    return ScoresBySplit(
        **{
            split: precision_recall(np.asarray(np.sum(own, axis=0), dtype=np.int64), rows.classes)
            for split, own in counts.items()
        }
    )


def precision_recall(counts: Ints, classes: Sequence[str]) -> SplitScores:
    """Precision, recall, F1 and support of every class, and their macro and weighted means over all classes.

    What is 0 / 0 is None: the precision of a class that is never predicted, the recall of one that is never there.
    The means are over the classes that are there or predicted; in them a class that is there and never predicted has a
    precision of 0, and the weighted one weighs by the support.

    Args:
        counts: (K, K) by [true, predicted], or (K, 2, 2) by [label, true, predicted].
        classes: K names; of a segmentation the background is one of them.
    """
    cells = counts.astype(np.float64)
    if cells.ndim == 3:
        tp, fp, fn = cells[:, 1, 1], cells[:, 0, 1], cells[:, 1, 0]
    else:
        tp = np.diagonal(cells)
        fp, fn = cells.sum(axis=0) - tp, cells.sum(axis=1) - tp
    support = tp + fn
    precision, recall, f1 = divided(tp, tp + fp), divided(tp, support), divided(2 * tp, 2 * tp + fp + fn)
    # As in scikit-learn: left out of the mean, it would pay not to predict a class.
    never_predicted_is_0 = np.where(support > 0, np.nan_to_num(precision), precision)

    def mean(weights: Floats) -> PrecisionRecall:
        return PrecisionRecall(
            precision=_mean(never_predicted_is_0, weights),
            recall=_mean(recall, weights),
            f1=_mean(f1, weights),
        )

    return SplitScores(
        classes={
            name: ClassPrecisionRecall(
                precision=precision[k], recall=recall[k], f1=f1[k], support=int(support[k])
            )
            for k, name in enumerate(classes)
        },
        macro=mean(np.ones(len(classes))),
        weighted=mean(support),
    )


def _mean(values: Floats, weights: Floats) -> float:
    """Over the values that are defined; nan where none is, or where all weigh nothing."""
    defined = ~np.isnan(values)
    total = weights[defined].sum()
    return float((values[defined] * weights[defined]).sum() / total) if total else float("nan")
