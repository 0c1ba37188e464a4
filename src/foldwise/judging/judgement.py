"""The numbers behind a verdict, wherever the scores come from: a run, or a table that somebody else made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from foldwise.judging.scores.baselines import Baseline
from foldwise.judging.scores.recent import Waiting
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import MetricTable, Scored, best_first, score_each, table_of
from foldwise.judging.statistics.differences import all_pairs
from foldwise.judging.statistics.draws import MOST_DRAWS, SEED
from foldwise.judging.statistics.inference import Comparison, as_good_as_any, compare, limit_alone
from foldwise.judging.statistics.intervals import Interval, interval, moved
from foldwise.judging.statistics.selection import Selected, selected_score
from foldwise.judging.statistics.variance import with_fixed_row
from foldwise.judging.verdict import Pair
from foldwise.metrics.influence import Units
from foldwise.metrics.table import Metric, choose_metric, reported
from foldwise.study.spec import Judging, Study


@dataclass(frozen=True)
class Terms:
    """What is settled before any score is looked at.

    Attributes:
        judge: what the study wants of the comparison.
        metric: the one that decides.
        metrics: all of the task, by name.
        units: what was sampled.
        num_cases: images.
        noun: what a unit is called, one and many: ``("image", "images")``.
        num_folds: of the study, where only some of them are looked at.
        spent: the part of alpha that a race may have used up before.
    """

    judge: Judging
    metric: Metric
    metrics: Mapping[str, Metric]
    units: Units
    num_cases: int
    noun: tuple[str, str]
    num_folds: int | None = field(default=None, kw_only=True)
    spent: float = field(default=0.0, kw_only=True)

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.metric.higher_is_better else -1

    @property
    def confidence(self) -> str:
        """Of every interval: ``95 %``."""
        return f"{100 * (1 - self.judge.alpha):g} %"

    def table_of(self, metric: Metric, scored: Sequence[Scored]) -> MetricTable:
        """A metric of several that are judged together, with its intervals."""
        alpha, folds = self.judge.alpha, self.num_folds
        return table_of(metric, scored, self.units, num_cases=self.num_cases, alpha=alpha, num_folds=folds)


@dataclass(frozen=True)
class TrivialTest:
    """The best trivial predictor in the test of all configurations together, as one more row.

    Attributes:
        p: how well it fits that it is as good as any configuration.
        low, high: how much better than it the winner is, as an interval of this difference alone.
        run_share: the share of its variance that is of runs, which more images do not lower.
    """

    p: float
    low: float
    high: float
    run_share: float


@dataclass(frozen=True)
class Judgement(Terms):
    """The scores of every configuration, and what the comparison of the complete ones says.

    Attributes:
        scored: by configuration id, of those with a score.
        comparable: ids of the configurations that are complete, best first.
        intervals: by metric, of each of `comparable`; empty where none is.
        decisive: the table of the metric that decides; None where no configuration can be compared.
        comparison: None unless two or more configurations can be tested.
        selected: the winner's corrected score; None where nothing was selected.
        trivial: every trivial predictor with its scores.
        trivial_test: the best of them against the configurations; None where it is not tested.
    """

    scored: Mapping[str, Scored]
    comparable: tuple[str, ...]
    intervals: Mapping[str, Sequence[Interval]]
    decisive: MetricTable | None
    comparison: Comparison | None
    selected: Selected | None
    trivial: tuple[tuple[Baseline, Scored], ...] = ()
    trivial_test: TrivialTest | None = None

    @cached_property
    def pairs(self) -> list[Pair[int]]:
        """Every two of `comparable`, by their places, best first; none where nothing can be tested."""
        return self._pairs(None)

    @cached_property
    def pairs_with_winner(self) -> list[Pair[int]]:
        """Of `pairs`, those with the winner."""
        return self._pairs(self.comparison.winner if self.comparison else None)

    def _pairs(self, of: int | None) -> list[Pair[int]]:
        decisive, comparison, judge = self.decisive, self.comparison, self.judge
        if comparison is None or decisive is None or decisive.variance is None:
            return []
        return all_pairs(
            decisive.variance, comparison, alpha=judge.alpha, margin=judge.equivalent_within, of=of
        )

    @property
    def best_trivial(self) -> tuple[Baseline, Scored] | None:
        """The trivial predictor with the best estimate; None where none could be scored."""
        name = self.metric.name
        defined = [pair for pair in self.trivial if not np.isnan(pair[1].estimates[name])]
        return max(defined, key=lambda pair: self.sign * pair[1].estimates[name], default=None)


def judge_rows(study: Study, rows: Rows, *, num_folds: int | None = None, spent: float = 0.0) -> Judgement:
    """The judgement of the fits of a run that are done, without trivial predictors; of all of its splits, or of some.

    `num_folds` and `spent` are as of `Terms`.
    """
    terms = replace(terms_of(study, rows), num_folds=num_folds, spent=spent)
    with Waiting() as waiting:
        scored = scores_of(study, rows, [row.id for row in rows.configurations], waiting)
        # One fold less makes another score: of easier or harder images, so that a comparison would be of folds.
        return judge_scores(terms, scored, [id for id in scored if rows.complete(id)])


def terms_of(study: Study, rows: Rows) -> Terms:
    """What of a study and its images is settled before any score is looked at."""
    metric = choose_metric(study.judge.metric, rows.family)
    return Terms(
        judge=study.judge,
        metric=metric,
        # Those of boundaries only where they were computed.
        metrics=reported(metric, rows.family, boundary=rows.boundaries is not None),
        units=rows.units,
        num_cases=len(rows.tested),
        noun=("group", "groups") if rows.units.grouped else ("image", "images"),
    )


def scores_of(
    study: Study, rows: Rows, ids: Iterable[str], waiting: Waiting | None = None
) -> dict[str, Scored]:
    """The scores of those of these configurations that have a fit which is done.

    In `waiting` are values that are asked for once, not those that the decision and its tests are made of.
    """
    metric, scored = choose_metric(study.judge.metric, rows.family), dict[str, Scored]()
    begun = ((id, by_repeat) for id in ids if (by_repeat := rows.outputs_by_repeat(id)))
    for id, own in score_each(begun, rows.units, decides=metric, classes=rows.classes):
        values = waiting.put(own.values, but=(metric.name, "accuracy")) if waiting else own.values
        scored[id] = replace(own, values=values)
    return scored


def with_values(scored: Mapping[str, Scored], metric: Metric) -> list[str]:
    """Those of which every unit has a defined value of a metric."""
    # Of scores from elsewhere, one without any has no values at all.
    values = {id: own.values.get(metric.name) for id, own in scored.items()}
    return [id for id, of_units in values.items() if of_units is not None and np.isfinite(of_units).all()]


def judge_scores(terms: Terms, scored: Mapping[str, Scored], complete: Collection[str]) -> Judgement:
    """The judgement of scores by configuration id; `complete` are those with every fold and repeat.

    One of these that lacks a defined score is not compared either.
    """
    name = terms.metric.name
    whole = [id for id in with_values(scored, terms.metric) if id in complete]
    comparable = best_first(whole, scored, terms.metric)
    rows = [scored[id] for id in comparable]
    decisive, intervals = None, dict[str, Sequence[Interval]]()
    for key, metric in terms.metrics.items() if rows else ():
        table = terms.table_of(metric, rows)
        # Of all others only this: values of every metric take gigabytes.
        intervals[key] = table.intervals
        decisive = table if key == name else decisive
    comparison, selected = compared(decisive, alpha=terms.judge.alpha, spent=terms.spent)
    return Judgement(
        **vars(terms),
        scored=scored,
        comparable=comparable,
        intervals=intervals,
        decisive=decisive,
        comparison=comparison,
        selected=selected,
    )


def compared(
    decisive: MetricTable | None,
    *,
    alpha: float,
    spent: float = 0.0,
    seed: int = SEED,
    most: int = MOST_DRAWS,
) -> tuple[Comparison | None, Selected | None]:
    """Who could be the best by the metric that decides, and the winner's corrected score; None where none is tested.

    Of the error alpha, `spent` was used up by looks before the end: the comparison has what is left, and counts it in
    its p values.
    """
    if decisive is None or decisive.variance is None or len(decisive.values) < 2:
        return None, None
    comparison = compare(decisive.variance, alpha=alpha - spent, seed=seed, most=most)
    if spent:
        comparison = replace(comparison, p_better=np.minimum(comparison.p_better + spent, 1.0))
    spread, metric = decisive.spreads[comparison.winner], decisive.metric
    assert spread is not None
    sign = 1 if metric.higher_is_better else -1

    # In the sign of the metric, whose rule knows where its ends are; back into "higher is better" for the selection.
    def around(corrected: float) -> Interval:
        low, high = interval(metric.interval, moved(spread, sign * corrected), alpha=alpha)
        return (low, high) if sign > 0 else (-high, -low)

    return comparison, selected_score(decisive.values.mean(axis=1), decisive.variance, around, seed=seed)


def with_trivial(judgement: Judgement, trivial: tuple[tuple[Baseline, Scored], ...]) -> Judgement:
    """The same with trivial predictors, and whether the best of them could be the best of all.

    It passes the test of the configurations as one more row: the best of many that only guess looks better than a
    guess, and a test of the winner alone would believe it.
    """
    judgement = replace(judgement, trivial=trivial)
    decisive, best = judgement.decisive, judgement.best_trivial
    if decisive is None or decisive.variance is None or best is None:
        return judgement
    values = judgement.sign * best[1].values[judgement.metric.name]
    if not np.isfinite(values).all():
        return judgement
    together = with_fixed_row(decisive.variance, decisive.values, values)
    alpha, last = judgement.judge.alpha, len(together.estimate) - 1
    # The winner is the first row of the comparable ones, the trivial predictor the last.
    error = float(together.of_differences()[0, -1])
    difference = together.estimate[0] - together.estimate[-1]
    half = limit_alone(together, 0, -1, alpha=alpha) * error
    runs = together.run_of_mean[0] + together.run_of_mean[-1]
    test = TrivialTest(
        p=as_good_as_any(together, [last], alpha=alpha)[0],
        low=max(float(difference - half), -together.reach),
        high=min(float(difference + half), together.reach),
        run_share=min(float(runs / error**2), 1.0) if error > 0 else 0.0,
    )
    return replace(judgement, trivial_test=test)
