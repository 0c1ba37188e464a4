"""The tables of the report: leaderboard, every metric, and classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import (
    baseline_row,
    interval_row,
    scale_head,
    score_scale,
    standing,
)
from foldwise.reporting.drawing.strips import Dot
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import (
    NOTHING,
    amount,
    bounds,
    brief_duration,
    difference,
    estimate,
    interval,
    milliseconds,
    number,
    p_value,
    plain,
    score,
    shown,
)

VERDICTS = {
    "winner": ("★", "winner"),
    "could be best": ("≈", "tied"),
    "worse": ("↓", "worse"),
    "incomplete": ("…", "incomplete"),
    "failed": ("✕", "failed"),
}
# Where there is no single winner, or no model is recommended, the first row is not called one.
FIRST = {"not_better_than_trivial": ("", "best"), "incomplete": ("", "leads"), "several_tied": ("★", "best")}
MAX_DOTS = 60  # configurations beside the winner in the strip of a class
Cell = dict[str, Any]


def cell(shown: str, value: Any = None, note: str = "", ends: tuple[Any, Any] | None = None) -> Cell:
    """What a cell shows, what it is sorted by, the small print below, and the interval; a dash is no small print."""
    note = "" if note == NOTHING else note
    held = {"shown": shown, "value": number(value), "note": note}
    return held if ends is None else held | {"low": number(ends[0]), "high": number(ends[1])}


def leaderboard_section(data: ReportData) -> dict[str, Any]:
    """The leaderboard, and every metric of every configuration."""
    return {"leaderboard": leaderboard(data), "every_metric": every_metric(data)}


def leaderboard(data: ReportData) -> dict[str, Any]:
    """Rows of the configurations, best first, and of the trivial predictors."""
    trained = [one for one in data.verdict.get("baselines", []) if number(one.get("low")) is not None]
    scale, winner = score_scale([*data.configurations, *trained]), data.winner
    rows = [
        _row(place, one, interval_row(one, winner, scale), data)
        for place, one in enumerate(data.configurations, 1)
    ]
    baselines = [_baseline(one, winner, scale) for one in data.verdict.get("baselines", [])]
    return {"rows": rows, "baselines": baselines, "head": scale_head(scale), "factors": _factors(data)}


def _baseline(one: Mapping[str, Any], winner: Mapping[str, Any] | None, scale: Scale) -> dict[str, Any]:
    """A trivial predictor has an estimate only; a shallow one was trained, and has what a configuration has."""
    trained = number(one.get("low")) is not None
    drawn = interval_row(one, winner, scale) if trained else baseline_row(number(one.get("estimate")), scale)
    span, seconds = interval(one.get("low"), one.get("high")), (one.get("cost") or {}).get("train_s")
    away = difference(one.get("difference")) if number(one.get("difference")) is not None else ""
    return {
        "name": one["name"],
        "sentence": one.get("sentence", ""),
        "estimate": cell(
            estimate(one) if trained else shown(one.get("estimate")), one.get("estimate"), span, ends_of(one)
        ),
        "difference": cell(away, one.get("difference")),
        "beaten": "" if one.get("beaten") is None else "beaten" if one["beaten"] else "not beaten",
        "p": p_value(one.get("p")),
        "train": cell(brief_duration(seconds) if seconds is not None else "", seconds),
        "drawing": drawn,
    }


def _row(place: int, one: Mapping[str, Any], drawn: Any, data: ReportData) -> dict[str, Any]:
    cost = one.get("cost") or {}
    sign, words = VERDICTS.get(str(one.get("verdict")), ("", str(one.get("verdict") or "")))
    if one.get("verdict") == "winner":
        sign, words = FIRST.get(str(data.verdict["state"]), (sign, words))
    away = difference(one.get("difference")) if one.get("verdict") != "winner" else ""
    span = bounds(one.get("difference_low"), one.get("difference_high")) if away and away != NOTHING else ""
    return {
        "place": place,
        "id": one["id"],
        "name": one["name"],
        "levels": {str(key): str(value) for key, value in (one.get("levels") or {}).items()},
        "drawing": drawn,
        "standing": standing(one),
        "sign": sign,
        "verdict": words,
        "p": p_value(one.get("p")) if one.get("verdict") in ("could be best", "worse") else "",
        "by": _ruled_out_by(data, one),
        "done": f"{one['num_done']} of {one['num_planned']} fits"
        if one["num_done"] < one["num_planned"]
        else "",
        "estimate": cell(
            estimate(one), one.get("estimate"), interval(one.get("low"), one.get("high")), ends_of(one)
        ),
        "difference": cell(
            away,
            one.get("difference") if away else 0.0,
            span,
            (one.get("difference_low"), one.get("difference_high")),
        ),
        "latency": cell(milliseconds(cost.get("latency_ms")), cost.get("latency_ms")),
        "parameters": cell(amount(cost.get("parameters")), cost.get("parameters")),
        "train": cell(brief_duration(cost.get("train_s")), cost.get("train_s"), shared_pass(data, one["id"])),
    }


def _ruled_out_by(data: ReportData, one: Mapping[str, Any]) -> str:
    """The place of the rival that rules out one whose difference to the winner may be 0: winner and it may differ."""
    low, high = number(one.get("difference_low")), number(one.get("difference_high"))
    if not one.get("ruled_out_by") or low is None or high is None or not low <= 0 <= high:
        return ""
    places = {own["id"]: place for place, own in enumerate(data.configurations, start=1)}
    return f"#{places[one['ruled_out_by']]}"


def ends_of(one: Mapping[str, Any]) -> tuple[Any, Any]:
    """The ends of its interval."""
    return one.get("low"), one.get("high")


def shared_pass(data: ReportData, configuration: str) -> str:
    """+ 30 s shared: what a fit needs and shares with others, features or pretraining; empty where there is none."""
    own = [
        result.get("cost") or {} for result in data.results if result.get("configuration") == configuration
    ]
    for key, words in (("shared_features_s", "shared"), ("shared_pretrain_s", "pretraining")):
        told = [number(cost.get(key)) for cost in own]
        known = [seconds for seconds in told if seconds is not None]
        if known:
            return f"+ {brief_duration(sum(known) / len(known))}\n{words}"
    return ""


def _factors(data: ReportData) -> dict[str, list[str]]:
    """Levels of every factor that has more than one, in the order of the leaderboard."""
    levels: dict[str, dict[str, None]] = {}
    for one in data.configurations:
        for factor, level in (one.get("levels") or {}).items():
            levels.setdefault(str(factor), {})[str(level)] = None
    return {factor: list(known) for factor, known in levels.items() if len(known) > 1}


def _value(held: Any) -> float | None:
    """A metric stands as a plain number or with its interval."""
    return number(held.get("estimate")) if isinstance(held, Mapping) else number(held)


def every_metric(data: ReportData) -> dict[str, Any]:
    """Configurations and trivial predictors by all metrics that were computed."""
    names = _metric_names([*data.configurations, *data.verdict.get("baselines", [])])
    told = [(one, "") for one in data.configurations] + [
        (one, "baseline") for one in data.verdict.get("baselines", [])
    ]
    rows = [
        {
            "name": one["name"],
            "class": kind,
            "cells": [_metric_cell((one.get("metrics") or {}).get(name)) for name in names],
        }
        for one, kind in told
    ]
    return {"names": [plain(name) for name in names], "rows": rows}


def _metric_names(told: list[dict[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for one in told:
        names.update(
            dict.fromkeys(
                name for name, held in (one.get("metrics") or {}).items() if _value(held) is not None
            )
        )
    return list(names)


def _metric_cell(held: Any, *, whole: bool = False) -> Cell:
    if isinstance(held, Mapping):
        span = interval(held.get("low"), held.get("high"))
        return cell(estimate(held), held.get("estimate"), "" if span == NOTHING else span, ends_of(held))
    return cell(score(held, 0 if whole else 3), held)


def per_class(data: ReportData) -> dict[str, Any]:
    """Classes by metrics of the winner, with their support, and the metric that the strip of all models shows."""
    winner = data.winner
    held = (winner or {}).get("per_class") or {}
    names: dict[str, None] = {}
    for values in held.values():
        names.update(
            dict.fromkeys(
                name for name, value in values.items() if name != "support" and _value(value) is not None
            )
        )
    rows = [
        {
            "name": name,
            "left_out": left_out(values),
            "support": cell(_support(values), values.get("support")),
            "cells": [_metric_cell(values.get(metric), whole=metric.startswith("num_")) for metric in names],
        }
        for name, values in held.items()
    ]
    drawn = _strip_metric(list(names), str(data.verdict["metric"]["name"]))
    return {
        "names": [plain(name) for name in names],
        "rows": rows,
        "strip": _strip(data, drawn) if drawn else [],
        "supports": [number(values.get("support")) or 0 for values in held.values()],
        "shown": plain(drawn or ""),
    }


def left_out(values: Mapping[str, Any]) -> str:
    """Why averages over classes, or those of rankings, do not count a class; empty where they do."""
    if values.get("scored") is False:
        return "not scored: some fold lacks it"
    return "too rare to count in AUROC and average precision" if values.get("ranked") is False else ""


def _support(values: Mapping[str, Any]) -> str:
    known = number(values.get("support"))
    return NOTHING if known is None else f"{known:.0f}"


def _strip_metric(names: list[str], deciding: str) -> str | None:
    # The longest: precision is part of average_precision too, and means something else.
    wanted = sorted((name for name in names if name in deciding or deciding in name), key=len, reverse=True)
    usual = [
        name
        for name in names
        if any(part in name for part in ("dice", "f1", "sensitivity", "recall", "auroc"))
    ]
    return next(iter([*wanted, *usual, *names]), None)


def _strip(data: ReportData, metric: str) -> list[tuple[str, float | None, list[Dot]]]:
    winner = data.winner
    assert winner is not None
    shown = [one for one in data.configurations if one["id"] != winner["id"]][:MAX_DOTS]
    rows = []
    for name, values in winner["per_class"].items():
        others = [
            Dot(value, str(one["name"]), str(one["id"]))
            for one in shown
            if (value := _value(((one.get("per_class") or {}).get(name) or {}).get(metric))) is not None
        ]
        rows.append((str(name), _value(values.get(metric)), others))
    return rows
