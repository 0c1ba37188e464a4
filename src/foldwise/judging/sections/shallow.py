"""Shallow baselines: judged like every configuration, on the same folds, but never the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import PlannedFit, Rows, fit_of
from foldwise.judging.scores.scoring import Scored, score, table_of
from foldwise.judging.sections.configurations import cost_of, fold_scores
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult, ScoreEstimate, ShallowBaseline
from foldwise.judging.wording import show
from foldwise.study.spec import Choice


def shallow_baselines(
    baselines: Sequence[Choice], rows: Rows, judgement: Judgement
) -> tuple[ShallowBaseline, ...]:
    """Every baseline that has all its folds, the best first; its own numbers are judged by itself."""
    if not baselines:
        return ()
    fits = {str(baseline): _fits(rows, baseline) for baseline in baselines}
    theirs = replace(rows, fits=tuple(fit for own in fits.values() for fit in own))
    scored = {
        name: score(
            theirs.outputs_by_repeat(name), rows.units, decides=judgement.metric, classes=rows.classes
        )
        for name in fits
        if theirs.complete(name)
    }
    against = _against_configurations(judgement, list(scored.values()))
    made = [
        _result(judgement, name, scored[name], fits[name], test)
        for name, test in zip(scored, against, strict=True)
    ]
    return tuple(sorted(made, key=lambda baseline: -judgement.sign * (baseline.estimate or 0.0)))


def _fits(rows: Rows, baseline: Choice) -> list[PlannedFit]:
    """Its items as if they were fits: they leave the same scores."""
    settings = baseline.model_dump(mode="json")
    items = [
        item for item in rows.auxiliary if item.kind == "shallow" and item.settings["baseline"] == settings
    ]
    return [fit_of(item, str(baseline)) for item in items]


class _Test(NamedTuple):
    """A baseline against the configurations: how well it fits that it, and that the winner, is the best of all."""

    difference: float | None = None
    beaten: bool | None = None
    p: float | None = None
    p_winner: float | None = None


def _result(
    judgement: Judgement, name: str, scored: Scored, fits: Sequence[PlannedFit], test: _Test
) -> ShallowBaseline:
    metrics = {key: _alone(judgement, key, scored) for key in judgement.metrics}
    return ShallowBaseline(
        id=name,
        name=name.replace("_", " "),
        sentence="A shallow baseline that classifies each pixel by filters at four scales.",
        **dict(metrics[judgement.metric.name]),
        folds=fold_scores(scored),
        metrics=metrics,
        per_class=scored.per_class,
        cost=cost_of(fits),
        **test._asdict(),
    )


def _alone(judgement: Judgement, metric: str, scored: Scored) -> ScoreEstimate:
    """A metric with its interval, from the scores of the baseline alone."""
    row = judgement.metrics[metric]
    table = table_of(
        row, [scored], judgement.units, num_cases=judgement.num_cases, alpha=judgement.judge.alpha
    )
    low, high = table.intervals[0]
    return ScoreEstimate(estimate=scored.estimates[metric], low=low, high=high)


def _against_configurations(judgement: Judgement, baselines: Sequence[Scored]) -> list[_Test]:
    """Every baseline in the test of all configurations, with all baselines as more rows.

    Where nothing can be tested, a baseline that is at least as good as the winner is not beaten.
    """
    decisive = judgement.decisive
    if decisive is None:
        return [_Test()] * len(baselines)
    name, alpha = judgement.metric.name, judgement.judge.alpha
    rows = [judgement.scored[id] for id in judgement.comparable]
    apart = [id.estimates[name] - rows[0].estimates[name] for id in baselines]
    together = table_of(
        judgement.metric, [*rows, *baselines], judgement.units, num_cases=judgement.num_cases, alpha=alpha
    )
    if together.variance is None or decisive.variance is None or not baselines:
        return [_Test(difference, judgement.sign * difference < 0) for difference in apart]
    # Judged together, baselines that hardly vary would lower the variance that few networks share.
    variance = _as_unsteady_as_alone(together.variance, decisive.variance)
    p = compare(variance, seed=judgement.seed, alpha=alpha).p.tolist()
    return [
        _Test(difference, own <= alpha, own, p[0])
        for own, difference in zip(p[len(rows) :], apart, strict=True)
    ]


def _as_unsteady_as_alone(together: Variance, alone: Variance) -> Variance:
    """The variance of all, where the networks vary between runs no less than among themselves.

    Baselines hardly vary, and must not make networks look steady.
    """
    C = len(alone.run)
    run, of_mean = together.run.copy(), together.run_of_mean.copy()
    run[:C], of_mean[:C] = np.maximum(run[:C], alone.run), np.maximum(of_mean[:C], alone.run_of_mean)
    df = min(together.df_run, alone.df_run)
    return replace(together, run=run, run_of_mean=of_mean, df_run=df, shared=None)


def not_beaten(
    baselines: Sequence[ShallowBaseline], configurations: Sequence[ConfigurationResult], *, alpha: float
) -> VerdictWarning | None:
    """That the networks are not shown to be better than the best of the baselines; None where they are."""
    # Baselines come best first.
    best = next((baseline for baseline in baselines if baseline.beaten is False), None)
    if best is None or best.estimate is None:
        return None
    winner = configurations[0]
    assert winner.estimate is not None
    lost = best.p_winner is not None and best.p_winner <= alpha
    relation = "is worse beyond chance than" if lost else "is not shown to be better than"
    message = (
        f"The best configuration, {winner.name} ({show(winner.estimate)}), {relation} "
        f"the shallow baseline {best.name} ({show(best.estimate)})."
    )
    cure = "Train longer, or on more images; if that does not help, a network is not worth its cost here."
    return VerdictWarning(code="BASELINE_NOT_BEATEN", message=message, cure=cure)
