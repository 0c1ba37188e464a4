"""What mattered: for every factor its levels, how far they are apart, what they cost, and its share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from foldwise.reporting.drawing.effects import Away, Panels, Row, factor_chart, panels
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import (
    brief_duration,
    in_text,
    metric_title,
    milliseconds,
    number,
    percent,
    score,
)

FEWEST = 3  # configurations; two are compared in the leaderboard
MAX_PARTS = 8
COSTS = {
    "train_s": ("training", brief_duration),
    "shared_features_s": ("shared pass", brief_duration),
    "latency_ms": ("ms/image", milliseconds),
}
Record = Mapping[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """Every factor with a drawing; None for a single plain factor, which the leaderboard says all of."""
    held = data.verdict.get("factors")
    if not held or held["num_compared"] < FEWEST:
        return None
    told = held["factors"]
    if len({one["factor"] for one in told}) < 2 and not any(one["view"] for one in told):
        return None
    longest = max(len(str(level["level"])) for one in told for level in one["levels"])
    scales = panels(list(_scores(told)), list(_differences(data, told)), longest=longest)
    return {
        "factors": {
            "sentence": held["sentence"],
            "parts": _parts(held["shares"] or []),
            "charts": [_chart(data, one, scales) for one in told],
        }
    }


def _parts(shares: Sequence[Record]) -> list[dict[str, Any]]:
    """The largest shares, with words; those of nothing are left out."""
    worth = [one for one in shares if one["share"] is None or one["share"] >= 0.005]
    return [
        {
            "name": " × ".join(one["factors"]) or "higher interactions",
            "share": one["share"],
            "shown": "not separable" if one["share"] is None else percent(one["share"]),
        }
        for one in worth[:MAX_PARTS]
    ]


def _scores(told: Sequence[Record]) -> Iterator[float]:
    for one in told:
        for value in [level["mean"] for level in one["levels"]] + [
            value for held in one["sets"] for value in held["scores"]
        ]:
            if number(value) is not None:
                yield float(value)


def _differences(data: ReportData, told: Sequence[Record]) -> Iterator[float]:
    for one in told:
        best = _ordered(data, one)[0]["level"]
        for level in one["levels"]:
            away = _away(one, best, level["level"])
            if away is not None:
                yield from (end for end in (away.difference, away.low, away.high) if end is not None)


def _ordered(data: ReportData, one: Record) -> list[Record]:
    """Levels, the best mean first; those whose mean cannot be estimated last."""
    sign = 1 if data.verdict["metric"].get("higher_is_better", True) else -1
    worst = float("-inf")
    return sorted(
        one["levels"],
        key=lambda level: worst if level["mean"] is None else sign * level["mean"],
        reverse=True,
    )


def _away(one: Record, best: str, level: str) -> Away | None:
    """A level minus the best one, as the pair of the two says it; None for the best itself."""
    for pair in one["pairs"]:
        if {pair["a"], pair["b"]} == {best, level} and level != best:
            if pair["difference"] is None:
                return Away(None)
            turn = -1 if pair["b"] == level else 1
            ends = sorted(turn * end for end in (pair["low"], pair["high"]) if end is not None) or [
                None,
                None,
            ]
            return Away(turn * pair["difference"], ends[0], ends[1], told=pair["conclusion"] == "better")
    return None


def _chart(data: ReportData, one: Record, scales: Panels) -> dict[str, Any]:
    levels = _ordered(data, one)
    order = [one["levels"].index(level) for level in levels]
    paid = [key for key in COSTS if any(number(level["cost"].get(key)) for level in levels)]
    rows = [_row(one, level, levels[0]["level"], paid) for level in levels]
    title = metric_title(data.verdict["metric"])
    heads = (
        f"{title} →" if data.verdict["metric"].get("higher_is_better", True) else f"← {title}",
        "difference to the best",
        [COSTS[key][0] for key in paid],
    )
    name = one["factor"] + (f", {one['view']}" if one["view"] else "")
    sets = [[held["scores"][place] for place in order] for held in one["sets"]]
    return {
        "name": name,
        "note": "a covariate of cost" if one["covariate"] else "",
        "sentence": one["sentence"],
        "chosen": [level["settings"][0] for level in levels] if one["view"] == "as tuned" else [],
        "drawing": factor_chart(
            rows, sets, scales, title=f"{in_text(title)} of the levels of {name}", heads=heads
        ),
    }


def _row(one: Record, level: Record, best: str, paid: Sequence[str]) -> Row:
    costs = tuple((number(level["cost"].get(key)), COSTS[key][1](level["cost"].get(key))) for key in paid)
    return Row(level["level"], level["mean"], score(level["mean"]), _away(one, best, level["level"]), costs)
