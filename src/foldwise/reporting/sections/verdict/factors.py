"""What mattered: for every factor its levels, how far they are apart, what they cost, and its share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from foldwise.judging.verdict_sections import FactorEffect, LevelMean, LevelPair, VarianceShare
from foldwise.judging.wording import in_text
from foldwise.reporting.drawing.effects import Away, LevelRow, Panels, factor_chart, panels
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import brief_duration, milliseconds, percent, score

MIN_COMPARED = 3  # configurations; two are compared in the leaderboard
MAX_PARTS = 8
COSTS = {
    "train_s": ("training", brief_duration),
    "shared_features_s": ("shared pass", brief_duration),
    "latency_ms": ("ms/image", milliseconds),
}


def section(data: ReportData) -> dict[str, Any] | None:
    """Every factor with a drawing; None for a single plain factor, which the leaderboard says all of."""
    summary = data.verdict.factors
    if summary is None or summary.num_compared < MIN_COMPARED:
        return None
    effects = summary.factors
    if len({effect.factor for effect in effects}) < 2 and not any(effect.view for effect in effects):
        return None
    # All factors share their scales, so that a factor that matters little looks so beside one that matters much.
    longest = max(len(level.level) for effect in effects for level in effect.levels)
    scales = panels(list(_scores(effects)), list(_differences(data, effects)), longest=longest)
    return {
        "factors": {
            "sentence": summary.sentence,
            "parts": _parts(summary.shares or ()),
            "charts": [_chart(data, effect, scales) for effect in effects],
        }
    }


def _parts(shares: Sequence[VarianceShare]) -> list[dict[str, Any]]:
    """The largest shares, with words; those of nothing are left out."""
    worth = [part for part in shares if part.share is None or part.share >= 0.005]
    return [
        {
            "name": " × ".join(part.factors) or "higher interactions",
            "share": part.share,
            "shown": "not separable" if part.share is None else percent(part.share),
        }
        for part in worth[:MAX_PARTS]
    ]


def _scores(effects: Sequence[FactorEffect]) -> Iterator[float]:
    for effect in effects:
        means = [level.mean for level in effect.levels]
        scores = [value for matched in effect.sets for value in matched.scores]
        yield from (value for value in (*means, *scores) if value is not None)


def _differences(data: ReportData, effects: Sequence[FactorEffect]) -> Iterator[float]:
    for effect in effects:
        best = _ordered(data, effect)[0].level
        for level in effect.levels:
            away = _away(effect, best, level.level)
            if away is not None:
                yield from (end for end in (away.difference, away.low, away.high) if end is not None)


def _ordered(data: ReportData, effect: FactorEffect) -> list[LevelMean]:
    """Levels, the best mean first; those whose mean cannot be estimated last."""
    sign = data.verdict.metric.sign

    def goodness(level: LevelMean) -> float:
        return float("-inf") if level.mean is None else sign * level.mean

    return sorted(effect.levels, key=goodness, reverse=True)


def _away(effect: FactorEffect, best: str, level: str) -> Away | None:
    """A level minus the best one, as the pair of the two says it; None for the best itself."""
    if level == best:
        return None
    pair = next((pair for pair in effect.pairs if {pair.a, pair.b} == {best, level}), None)
    return None if pair is None else _turned(pair, turn=-1 if pair.b == level else 1)


def _turned(pair: LevelPair, *, turn: int) -> Away:
    if pair.difference is None:
        return Away(None)
    ends = sorted(turn * end for end in (pair.low, pair.high) if end is not None)
    low, high = (ends[0], ends[-1]) if len(ends) == 2 else (None, None)
    return Away(turn * pair.difference, low, high, worse=pair.conclusion == "better")


def _chart(data: ReportData, effect: FactorEffect, scales: Panels) -> dict[str, Any]:
    levels, metric = _ordered(data, effect), data.verdict.metric
    order = [effect.levels.index(level) for level in levels]
    paid = [key for key in COSTS if any(level.cost.get(key) for level in levels)]
    rows = [_row(effect, level, levels[0].level, paid) for level in levels]
    heads = (
        f"{metric.title} →" if metric.higher_is_better else f"← {metric.title}",
        "difference to the best",
        [COSTS[key][0] for key in paid],
    )
    name = effect.factor + (f", {effect.view}" if effect.view else "")
    sets = [[matched.scores[index] for index in order] for matched in effect.sets]
    return {
        "name": name,
        "note": "a covariate of cost" if effect.covariate else "",
        "sentence": effect.sentence,
        "chosen": [level.settings[0] for level in levels] if effect.view == "as tuned" else [],
        "drawing": factor_chart(
            rows, sets, scales, title=f"{in_text(metric.title)} of the levels of {name}", heads=heads
        ),
    }


def _row(effect: FactorEffect, level: LevelMean, best: str, paid: Sequence[str]) -> LevelRow:
    costs = tuple((level.cost.get(key), COSTS[key][1](level.cost.get(key))) for key in paid)
    return LevelRow(level.level, level.mean, score(level.mean), _away(effect, best, level.level), costs)
