"""What mattered: for every factor its levels, how far they are apart, what they cost, and its share; drawn on one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from foldwise.judging.verdict_sections import FactorEffect, LevelMean, VarianceShare
from foldwise.reporting.drawing import svg
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import brief_duration, milliseconds, percent, score
from foldwise.text import in_text

MIN_COMPARED = 3  # configurations; two are compared in the leaderboard
MAX_PARTS = 8
COSTS = {
    "train_s": ("training", brief_duration),
    "shared_features_s": ("shared pass", brief_duration),
    "latency_ms": ("ms/image", milliseconds),
}
ROW, HEAD, FOOT = 30, 34, 24
NAMES, SCORES, APART, COSTS_PX, COST_PX = 236, (252, 500), (532, 700), 726, 106
MAX_NAME = 36
BAR, LETTER = 46.0, 6.2


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
    scales = panels(_scores(effects), _differences(data, effects), longest=longest)
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


def _scores(effects: Sequence[FactorEffect]) -> list[float]:
    means = [level.mean for effect in effects for level in effect.levels]
    scores = [value for effect in effects for matched in effect.sets for value in matched.scores]
    return [value for value in (*means, *scores) if value is not None]


def _differences(data: ReportData, effects: Sequence[FactorEffect]) -> list[float]:
    aways = [
        _away(effect, _ordered(data, effect)[0].level, level.level)
        for effect in effects
        for level in effect.levels
    ]
    ends = [end for away in aways if away for end in (away.difference, away.low, away.high)]
    return [end for end in ends if end is not None]


def _ordered(data: ReportData, effect: FactorEffect) -> list[LevelMean]:
    """Levels, the best mean first; those whose mean cannot be estimated last."""
    sign = data.verdict.metric.sign
    goodness = {
        level.level: -math.inf if level.mean is None else sign * level.mean for level in effect.levels
    }
    return sorted(effect.levels, key=lambda level: goodness[level.level], reverse=True)


def _away(effect: FactorEffect, best: str, level: str) -> Away | None:
    """A level minus the best one, as the pair of the two says it; None for the best itself."""
    if level == best:
        return None
    pair = next((pair for pair in effect.pairs if {pair.a, pair.b} == {best, level}), None)
    if pair is None:
        return None
    if pair.difference is None:
        return Away(None)
    turn = -1 if pair.b == level else 1
    ends = sorted(turn * end for end in (pair.low, pair.high) if end is not None)
    low, high = (ends[0], ends[-1]) if len(ends) == 2 else (None, None)
    return Away(turn * pair.difference, low, high, worse=pair.conclusion == "better")


def _chart(data: ReportData, effect: FactorEffect, scales: Panels) -> dict[str, Any]:
    levels, metric = _ordered(data, effect), data.verdict.metric
    order = [effect.levels.index(level) for level in levels]
    paid = [key for key in COSTS if any(level.cost.get(key) for level in levels)]
    rows = []
    for level in levels:
        costs = tuple((level.cost.get(key), COSTS[key][1](level.cost.get(key))) for key in paid)
        away = _away(effect, levels[0].level, level.level)
        rows.append(LevelRow(level.level, level.mean, score(level.mean), away, costs))
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


@dataclass(frozen=True)
class Away:
    """How far a level is from the best one, with the interval, and whether it is worse; None where it is not estimable."""

    difference: float | None
    low: float | None = None
    high: float | None = None
    worse: bool = False


@dataclass(frozen=True)
class LevelRow:
    """A level: its mean, what is written beside it, its distance, and each cost with its words."""

    name: str
    mean: float | None
    words: str
    away: Away | None
    costs: tuple[tuple[float | None, str], ...]


@dataclass(frozen=True)
class Panels:
    """The two scales that all factors of a study share, so that effects can be compared by eye; and room saved on names."""

    scores: svg.Scale
    apart: svg.Scale
    saved: float = 0.0


def panels(scores: Sequence[float], differences: Sequence[float], *, longest: int = MAX_NAME) -> Panels:
    """Scales over all scores, and over all differences and 0; `longest` is the length of a name."""
    saved = NAMES - LETTER * min(longest, MAX_NAME) - 6
    # 0 belongs to it: a reader has to see how far from nothing a difference is.
    apart = svg.scale_over([0.0, *differences], *APART, margin=0.1)
    return Panels(svg.scale_over(scores, *SCORES), apart, max(saved, 0.0))


def factor_chart(
    rows: Sequence[LevelRow],
    sets: Sequence[Sequence[float | None]],
    scales: Panels,
    *,
    title: str,
    heads: tuple[str, str, Sequence[str]],
) -> Markup:
    """One row for each level, the best first.

    Args:
        sets: configurations that differ in nothing else: the score of each level, None where there is none.
        scales: shared by all factors.
        heads: above the scores, the differences and each of the costs.
    """
    bottom = HEAD + ROW * len(rows)
    parts = [*_grid(scales.scores, bottom), *_grid(scales.apart, bottom, zero=True)]
    titles = [(heads[0], SCORES[0]), (heads[1], APART[0])]
    titles += [(words, COSTS_PX + COST_PX * index) for index, words in enumerate(heads[2])]
    parts += [svg.text(words, left, 12, class_="tick title") for words, left in titles]
    middles = [HEAD + ROW * index + ROW / 2 for index in range(len(rows))]
    for scores in sets:
        points = [
            (scales.scores.clamped(score), y)
            for score, y in zip(scores, middles, strict=True)
            if score is not None
        ]
        parts.append(svg.line(points, "matched"))
        parts += [svg.element("circle", cx=x, cy=y, r=2.4, class_="ring") for x, y in points]
    most = [max((row.costs[k][0] or 0.0 for row in rows), default=0.0) for k in range(len(heads[2]))]
    for row, y in zip(rows, middles, strict=True):
        parts += _level(row, y, scales, most, best=row is rows[0])
    width = COSTS_PX + COST_PX * len(heads[2]) if heads[2] else COSTS_PX
    moved = svg.element("g", *parts, transform=f"translate({-scales.saved:.0f})")
    return svg.drawing(
        moved,
        width=width - scales.saved,
        height=bottom + FOOT,
        title=title,
        class_="chart wide",
        numbers=_numbers(rows, sets, heads),
    )


def _numbers(
    rows: Sequence[LevelRow], sets: Sequence[Sequence[float | None]], heads: tuple[str, str, Sequence[str]]
) -> svg.Numbers:
    """A row for each level; the last columns are its scores in every set of configurations."""
    table = []
    for index, row in enumerate(rows):
        away = row.away or Away(None)
        costs = (value for value, _ in row.costs)
        own = (row.mean, away.difference, away.low, away.high, *costs)
        table.append((row.name, *own, *(scores[index] for scores in sets)))
    columns = ("level", heads[0].strip("←→ "), heads[1], "low", "high", *heads[2])
    return svg.Numbers((*columns, *(f"set {k}" for k in range(1, len(sets) + 1))), table)


def _level(row: LevelRow, y: float, scales: Panels, most: Sequence[float], *, best: bool) -> list[Markup]:
    kind = "winner" if best else "worse" if row.away and row.away.worse else "tied"
    name = svg.text(svg.fitted(row.name, MAX_NAME), NAMES, y + 4, class_="name", anchor="end")
    parts = [svg.element("g", svg.element("title", row.name), name)]
    if row.mean is not None:
        x = scales.scores.clamped(row.mean)
        parts.append(svg.marker(x, y, shape="diamond", class_=f"mark {kind}", size=6, title=row.words))
        parts.append(svg.text(row.words, x, y - 9, class_="name strong haloed", anchor="middle"))
    if row.away is not None:
        parts += _apart(row.away, y, scales.apart, kind)
    for index, ((value, words), top) in enumerate(zip(row.costs, most, strict=True)):
        left = COSTS_PX + COST_PX * index
        if value is not None and top > 0:
            parts.append(
                svg.element(
                    "rect", x=left, y=y - 6, width=max(BAR * value / top, 1), height=12, class_="count"
                )
            )
        parts.append(svg.text(words, left + BAR + 6, y + 4, class_="name"))
    return parts


def _apart(away: Away, y: float, scale: svg.Scale, kind: str) -> list[Markup]:
    if away.difference is None:
        return [svg.text("not estimable", scale.start, y + 4, class_="tick")]
    parts = []
    if away.low is not None and away.high is not None:
        ends = {"x1": scale.clamped(away.low), "x2": scale.clamped(away.high)}
        parts.append(svg.element("line", y1=y, y2=y, class_=f"bar {kind}", **ends))
    parts.append(
        svg.marker(scale.clamped(away.difference), y, shape="circle", class_=f"mark {kind}", size=4.5)
    )
    return parts


def _grid(scale: svg.Scale, bottom: float, *, zero: bool = False) -> list[Markup]:
    ticks = scale.ticks(4)
    zeros = [zero and abs(value) < 1e-12 for value in ticks]
    lines = [
        svg.upright(scale(value), HEAD - 6, bottom, "axis" if is_zero else "grid")
        for value, is_zero in zip(ticks, zeros, strict=True)
    ]
    words = [svg.tick_text(value, ticks).replace("-", "−") for value in ticks]
    return lines + [
        svg.text(label, scale(value), bottom + 14, anchor="middle")
        for value, label in zip(ticks, words, strict=True)
    ]
