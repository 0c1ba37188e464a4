"""The result of one configuration: where it stands and by which interval, what it cost, and why a fit of it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.fits import PlannedFit
from foldwise.judging.scores.scoring import Scored
from foldwise.judging.verdict_configurations import (
    TIMED,
    ConfigurationResult,
    Cost,
    FoldScore,
    MetricEstimate,
    Rank,
    Standing,
)

WORDS = ("device", "cache", "peak_memory_is", "energy_is")  # of a cost; all others are numbers


def result_of(
    judgement: Judgement,
    configuration: str,
    *,
    missing: Rank = "incomplete",
    standing: Standing | None = None,
    **facts: Any,
) -> ConfigurationResult:
    """The result of a configuration by its id, with the `facts` that no score tells.

    The verdict on it is `missing` where it cannot be compared; a `standing` that is given stands as it is.
    """
    scored = judgement.scored.get(configuration, Scored())
    c = judgement.comparable.index(configuration) if configuration in judgement.comparable else None
    if standing is None:
        standing = Standing(verdict=missing) if c is None else standing_of(judgement, c)
    return ConfigurationResult(
        **dict(standing),
        id=configuration,
        estimate=scored.estimates.get(judgement.metric.name),
        folds=fold_scores(scored),
        metrics={name: _metric(scored, judgement, name, c) for name in scored.estimates},
        per_class=scored.per_class,
        **facts,
    )


def fold_scores(scored: Scored) -> tuple[FoldScore, ...]:
    """The score of every fold of every repeat, by the metric that decides."""
    return tuple(FoldScore(repeat=repeat, fold=fold, score=score) for repeat, fold, score in scored.folds)


def _metric(scored: Scored, judgement: Judgement, name: str, c: int | None) -> MetricEstimate:
    """A metric of one configuration; without an interval where it cannot be compared."""
    low, high = judgement.intervals[name][c] if c is not None else (None, None)
    undefined = scored.num_undefined[name]
    return MetricEstimate(estimate=scored.estimates[name], low=low, high=high, num_undefined=undefined)


def standing_of(judgement: Judgement, c: int) -> Standing:
    """What the comparison says about the configuration at place `c` of the comparable ones, best first."""
    table, comparison = judgement.decisive, judgement.comparison
    alone = interval_of(judgement, c)
    # Nothing was tested: the best estimate leads, and nothing rules the others out.
    if comparison is None:
        rank: Rank = "winner" if c == 0 else "could be best"
        return Standing(verdict=rank, could_be_best=True, **alone)
    assert table is not None
    winner, apart = comparison.winner, difference_of(judgement, c, comparison.winner)
    could_be_best, rival = bool(comparison.could_be_best[c]), comparison.ruled_out_by(c)
    rank = "winner" if c == winner else "could be best" if could_be_best else "worse"
    return Standing(
        **alone,
        **apart,
        verdict=rank,
        p=comparison.p[c],
        could_be_best=could_be_best,
        p_wins=comparison.p_wins[c],
        rank_low=comparison.rank_low[c],
        rank_high=comparison.rank_high[c],
        ruled_out_by=None if rival is None else judgement.comparable[rival],
        equivalent=max(map(abs, apart.values())) <= judgement.judge.equivalent_within,
    )


def interval_of(judgement: Judgement, c: int) -> dict[str, Any]:
    """The interval of the configuration at place `c` of the comparable ones, and what it was made of."""
    table = judgement.decisive
    assert table is not None
    low, high = table.intervals[c]
    if table.variance is None:
        return {"low": low, "high": high}
    run_sd = float(np.sqrt(table.variance.score_runs.used[c]))
    return {"low": low, "high": high, "se": float(table.variance.standard_error[c]), "run_sd": run_sd}


def difference_of(judgement: Judgement, c: int, other: int) -> dict[str, Any]:
    """The difference of the configuration at place `c` to another, in the sign of the metric, with its interval."""
    table, comparison, sign = judgement.decisive, judgement.comparison, judgement.sign
    assert table is not None
    assert table.variance is not None
    assert comparison is not None
    estimate, low_CC = table.variance.estimate, comparison.low
    low, high = sorted((sign * low_CC[c, other] + 0.0, 0.0 - sign * low_CC[other, c]))  # and no -0.0
    return {
        "difference": float(sign * (estimate[c] - estimate[other])),
        "difference_low": float(low),
        "difference_high": float(high),
    }


def cause_of(result: Mapping[str, Any]) -> dict[str, str]:
    """The type and the message of the error with which an item ended."""
    error = result.get("error") or {}
    return {"type": error.get("type", "unknown"), "message": error.get("message", "no cause was recorded")}


def cost_of(done: Sequence[PlannedFit]) -> Cost:
    """The mean over fits of what was measured; None for what was not. Of words all that occur, most often one.

    Times and energy are of those fits that had their device for themselves, where there are any.
    """
    costs = [fit.result.get("cost") or {} for fit in done]
    alone = [cost for cost in costs if (cost.get("sharers") or 1) == 1]
    rows = {key: alone or costs if key in TIMED else costs for key in Cost.model_fields}
    measured = {
        key: [cost[key] for cost in costs if cost.get(key) is not None] for key, costs in rows.items()
    }
    # How many shared it is said where the times are of such fits; the most of them, as a mean would be none.
    measured["sharers"] = [] if alone or not costs else [max(measured["sharers"])]
    return Cost(**{
        key: ", ".join(sorted(set(map(str, values)))) if key in WORDS else float(np.mean(values))
        for key, values in measured.items()
        if values
    })  # type: ignore[arg-type]  # fmt: skip
