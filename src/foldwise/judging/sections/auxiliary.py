"""What became of auxiliary items: the A/A test, shallow baselines, failures, and what was measured of speed.

Copies of the A/A test and shallow baselines leave the same scores as fits, and are scored like them; but they are no
configurations, and nothing of them enters the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.fits import PlannedFit, fit_of
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import Scored, score
from foldwise.judging.sections.fit_warnings import advice
from foldwise.judging.sections.standings import cause_of, cost_of, fold_scores
from foldwise.judging.statistics.differences import all_pairs
from foldwise.judging.statistics.inference import as_good_as_any, compare
from foldwise.judging.statistics.variance import Variance
from foldwise.judging.verdict import FailedItem, VerdictWarning
from foldwise.judging.verdict_configurations import (
    Bottleneck,
    ConfigurationResult,
    ModelThroughput,
    ScoreEstimate,
    ShallowBaseline,
    Speed,
    SpeedPoint,
)
from foldwise.judging.verdict_sections import AATestPairs, AATestSection
from foldwise.judging.wording import show, written
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.study.training import Choice
from foldwise.text import count

# Shares of the bare step and of the best one from which a speed is held to be as good; repeats differ by about a tenth.
AT_LIMIT, AT_BEST = 0.85, 0.7
MEASURED = set(ModelThroughput.model_fields) - {"title", "model", "cache", "error", "cache_used"}


def aa_test_section(rows: Rows, judgement: Judgement, *, num_planned: int) -> AATestSection | None:
    """One configuration again under other seeds, judged as if it were others; None where nothing of it can be judged yet.

    Equal configurations should be called different as rarely as the test promises, and how far their scores lie apart
    is what seeds alone can do.
    """
    metric, items = judgement.metric.name, rows.auxiliary_of("aa_test")
    by_copy: dict[str, list[AuxiliaryItem]] = {}
    for item in sorted(items, key=lambda item: int(item.settings["copy"])):
        by_copy.setdefault(str(item.settings["copy"]), []).append(item)
    _, scored = _as_configurations(rows, judgement, by_copy)
    copies = [copy for copy in scored.values() if np.isfinite(copy.values[metric]).all()]
    if not copies or items[0].settings["configuration"] not in judgement.comparable:
        return None
    configuration = str(items[0].settings["configuration"])
    equals = [judgement.scored[configuration], *copies]
    estimates = [of_equal.estimates[metric] for of_equal in equals]
    pairs = _pairs(judgement, configuration, equals)
    apart, sd = max(estimates) - min(estimates), float(np.std(estimates, ddof=1))
    return AATestSection(
        configuration=configuration,
        estimates=tuple(estimates),
        num_planned=num_planned,
        largest_difference=apart,
        sd=sd,
        pairs=pairs,
        sentence=_sentence(judgement, len(equals), apart, sd, pairs),
    )


def aa_test_warning(section: AATestSection | None) -> VerdictWarning | None:
    """That the test calls equals different, which it promises to do rarely; None where it does not."""
    if section is None or section.pairs is None or not section.pairs.num_alarms_all:
        return None
    message = (
        f"The A/A test calls {section.pairs.num_alarms_all} of {count(section.pairs.num, 'pair', 'pairs')} of one and "
        "the same configuration different: here seeds matter more than the test allows for."
    )
    cure = "Do not rely on differences below the largest between equals; add repeats (validate.repeats)."
    return VerdictWarning(code="EQUALS_DIFFER", message=message, cure=cure)


def _as_configurations(
    rows: Rows, judgement: Judgement, items: Mapping[str, Sequence[AuxiliaryItem]]
) -> tuple[Rows, dict[str, Scored]]:
    """Items by name, read as the fits of configurations of these names; and the scores of those with all their folds.

    They leave the same files as fits, and so are scored like any other.
    """
    fits = tuple(fit_of(item, name) for name, of_name in items.items() for item in of_name)
    as_fits = replace(rows, fits=fits)
    scored = {
        name: score(
            as_fits.outputs_by_repeat(name), rows.units, decides=judgement.metric, classes=rows.classes
        )
        for name in items
        if as_fits.complete(name)
    }
    return as_fits, scored


def _pairs(judgement: Judgement, configuration: str, equals: Sequence[Scored]) -> AATestPairs | None:
    """How the study's own test judges pairs of equals; None where nothing can be tested.

    Copies are further rows of the table of all configurations, so that the variance between runs, and the number of
    pairs that hold together, are those of the leaderboard and a little more.
    """
    others = [judgement.scored[id] for id in judgement.comparable if id != configuration]
    alpha, margin = judgement.judge.alpha, judgement.judge.equivalent_within
    table = judgement.table_of(judgement.metric, [*equals, *others])
    if table.variance is None:
        return None
    comparison = compare(table.variance, alpha=alpha)
    # Adjusted for all pairs of the whole table, as the leaderboard is: among equals alone alarms would be likelier.
    every = all_pairs(table.variance, comparison, alpha=alpha, margin=margin)
    pairs = [pair for pair in every if max(pair.a, pair.b) < len(equals)]
    return AATestPairs(
        num=len(pairs),
        num_alarms=sum(pair.p <= alpha for pair in pairs),
        num_alarms_all=sum(pair.p_all <= alpha for pair in pairs),
        smallest_p=min(pair.p for pair in pairs),
        smallest_p_all=min(pair.p_all for pair in pairs),
    )


def _sentence(judgement: Judgement, num: int, apart: float, sd: float, pairs: AATestPairs | None) -> str:
    scores = (
        f"The first configuration was trained {num - 1} more times under other seeds. The scores of these {num} equals "
        f"differ by up to {show(apart)} (standard deviation {show(sd)}): what seeds alone can do."
    )
    if pairs is None:
        return f"{scores} The data is too small to test them."
    alpha = judgement.judge.alpha
    return (
        f"{scores} Of their {count(pairs.num, 'pair', 'pairs')}, the test of a single pair calls {pairs.num_alarms} "
        f"different (it promises to do so for at most {100 * alpha:g} % of equal pairs), and the test of all pairs, by "
        f"which pairs are told apart here, {pairs.num_alarms_all} (it promises none in {100 - 100 * alpha:g} % of studies)."
    )


def shallow_baselines(
    baselines: Sequence[Choice], rows: Rows, judgement: Judgement
) -> tuple[ShallowBaseline, ...]:
    """Every baseline that has all its folds, the best first; its own numbers are judged by itself."""
    settings = {str(baseline): baseline.model_dump(mode="json") for baseline in baselines}
    items = {
        name: [item for item in rows.auxiliary_of("shallow") if item.settings["baseline"] == own]
        for name, own in settings.items()
    }
    as_fits, scored = _as_configurations(rows, judgement, items)
    against = _against_configurations(judgement, list(scored.values()))
    made = [
        _result(judgement, name, scored[name], as_fits.done(name), test)
        for name, test in zip(scored, against, strict=True)
    ]
    return tuple(sorted(made, key=lambda baseline: -judgement.sign * (baseline.estimate or 0.0)))


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
    low, high = judgement.table_of(judgement.metrics[metric], [scored]).intervals[0]
    return ScoreEstimate(estimate=scored.estimates[metric], low=low, high=high)


def _against_configurations(judgement: Judgement, baselines: Sequence[Scored]) -> list[_Test]:
    """Every baseline in the test of all configurations, with all baselines as more rows.

    Where nothing can be tested, a baseline that is at least as good as the winner is not beaten.
    """
    decisive = judgement.decisive
    if decisive is None or not baselines:
        return [_Test()] * len(baselines)
    name, alpha = judgement.metric.name, judgement.judge.alpha
    rows = [judgement.scored[id] for id in judgement.comparable]
    apart = [id.estimates[name] - rows[0].estimates[name] for id in baselines]
    together = judgement.table_of(judgement.metric, [*rows, *baselines])
    # Without a test the estimates decide.
    if together.variance is None or decisive.variance is None:
        return [_Test(difference, judgement.sign * difference < 0) for difference in apart]
    # Judged together, baselines that hardly vary would lower the variance that few networks share.
    variance = _as_unsteady_as_alone(together.variance, decisive.variance)
    p = as_good_as_any(variance, [0, *range(len(rows), len(together.values))], alpha=alpha)
    return [_Test(difference, own <= alpha, own, p[0]) for own, difference in zip(p[1:], apart, strict=True)]


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
    baselines: Sequence[ShallowBaseline],
    configurations: Sequence[ConfigurationResult],
    rows: Rows,
    judgement: Judgement,
) -> VerdictWarning | None:
    """That the networks are not shown to be better than the best of the baselines; None where they are."""
    # Baselines come best first.
    best = next((baseline for baseline in baselines if baseline.beaten is False), None)
    if best is None or best.estimate is None:
        return None
    winner = configurations[0]
    assert winner.estimate is not None
    lost = best.p_winner is not None and best.p_winner <= judgement.judge.alpha
    relation = "is worse beyond chance than" if lost else "is not shown to be better than"
    message = (
        f"The best configuration, {winner.name} ({written(winner)}), {relation} "
        f"the shallow baseline {best.name} ({written(best)})."
    )
    cure = f"{advice(rows, judgement)} If that and more images do not help, a network is not worth its cost here."
    return VerdictWarning(code="BASELINE_NOT_BEATEN", message=message, cure=cure)


def failed_items(items: Sequence[AuxiliaryItem]) -> tuple[FailedItem, ...]:
    """Every item that ended with an error; the study went on without it."""
    return tuple(
        FailedItem(item=item.item, kind=item.kind, title=item.title, **cause_of(item.result))
        for item in items
        if item.result.get("status") == "failed"
    )


def throughput_section(items: Sequence[AuxiliaryItem]) -> tuple[ModelThroughput, ...]:
    """Every model, device, precision and cache that was to be measured and is done or failed, in plan order.

    It is no part of the choice between configurations. What was measured twice is shown as it was last.
    """
    made: dict[tuple[str, ...], ModelThroughput] = {}
    for item in items:
        result = item.result
        if item.kind != "measure" or not result:
            continue
        training = item.settings["training"]
        row = ModelThroughput(
            title=item.title,
            model=str(Choice.model_validate(training["model"])),
            cache="features" if item.settings.get("features") else training["cache"],
            error=(result.get("error") or {}).get("message"),
            cache_used=result.get("held"),
            **{key: result.get(key) for key in MEASURED},
        )
        row = row.model_copy(update={"points": row.points and with_bottlenecks(row.points)})
        own = (row.model, row.cache, str(row.device), str(row.precision), row.title if row.error else "")
        made[own] = row
    return tuple(made.values())


def _is_slower(speed: Speed, other: Speed, share: float) -> bool:
    """Whether a speed is below a share of another, and neither is within the range of the other."""
    return speed.median < min(share * other.median, other.low) and speed.high < other.median


def with_bottlenecks(points: Sequence[SpeedPoint]) -> tuple[SpeedPoint, ...]:
    """What each batch size is held up by, of one model with one cache; None where its speed is not known.

    Training that is slower than the bare step, beyond their ranges, waits for its images. A bare step that is
    slower than with more images is held up by what every step takes; else it is the device that can do no more.
    """
    measured = []
    for point in points:
        if point.train is None or point.limit is None:
            measured.append(point)
            continue
        larger = [other.limit for other in points if other.limit and other.batch_size > point.batch_size]
        bottleneck: Bottleneck = "device"
        if _is_slower(point.train, point.limit, AT_LIMIT):
            bottleneck = "loading"
        elif any(_is_slower(point.limit, other, AT_BEST) for other in larger):
            bottleneck = "steps"
        measured.append(point.model_copy(update={"bottleneck": bottleneck}))
    return tuple(measured)
