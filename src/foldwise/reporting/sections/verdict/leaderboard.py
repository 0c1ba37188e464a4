"""The leaderboard, with a row for every configuration and baseline, and the table of every metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.judging.verdict_configurations import (
    BaselineResult,
    ConfigurationResult,
    Cost,
    ScoreEstimate,
    ShallowBaseline,
)
from foldwise.reporting.drawing.rows import (
    baseline_row,
    interval_row,
    scale_head,
    score_scale,
    standing,
)
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import (
    NOTHING,
    Cell,
    amount,
    bounds,
    brief_duration,
    cell,
    difference,
    milliseconds,
    p_value,
    plain,
    score_cell,
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


def section(data: ReportData) -> dict[str, Any]:
    """The leaderboard, and every metric of every configuration."""
    return {"leaderboard": leaderboard(data), "every_metric": every_metric(data)}


def leaderboard(data: ReportData) -> dict[str, Any]:
    """Rows of the configurations, best first, and of the baselines."""
    configurations, winner = data.configurations, data.winner
    trained = [shallow for baseline in data.verdict.baselines if (shallow := _trained(baseline))]
    scale = score_scale([*configurations, *trained])
    rows = [
        _row(place, configuration, interval_row(configuration, winner, scale), data)
        for place, configuration in enumerate(configurations, start=1)
    ]
    baselines = [_baseline(baseline, winner, scale) for baseline in data.verdict.baselines]
    return {"rows": rows, "baselines": baselines, "head": scale_head(scale), "factors": _factors(data)}


def _trained(baseline: BaselineResult) -> ShallowBaseline | None:
    """A shallow baseline with an interval; of a trivial one nothing was learnt, so it has an estimate only."""
    return baseline if isinstance(baseline, ShallowBaseline) and baseline.low is not None else None


def _baseline(baseline: BaselineResult, winner: ConfigurationResult | None, scale: Scale) -> dict[str, Any]:
    trained = _trained(baseline)
    row = {
        "name": baseline.name,
        "sentence": baseline.sentence,
        "estimate": cell(shown(baseline.estimate), baseline.estimate),
        "difference": cell(""),
        "beaten": "",
        "p": "",
        "train": cell(""),
        "drawing": interval_row(trained, winner, scale)
        if trained
        else baseline_row(baseline.estimate, scale),
    }
    if trained is not None:
        row["estimate"] = score_cell(trained)
    if not isinstance(baseline, ShallowBaseline):
        return row
    seconds = baseline.cost.train_s
    return row | {
        "difference": cell(
            "" if baseline.difference is None else difference(baseline.difference), baseline.difference
        ),
        "beaten": "" if baseline.beaten is None else "beaten" if baseline.beaten else "not beaten",
        "p": p_value(baseline.p),
        "train": cell("" if seconds is None else brief_duration(seconds), seconds),
    }


def _row(place: int, configuration: ConfigurationResult, drawn: Any, data: ReportData) -> dict[str, Any]:
    cost, verdict = configuration.cost, configuration.verdict
    sign, words = VERDICTS[verdict]
    if verdict == "winner":
        sign, words = FIRST.get(data.verdict.state, (sign, words))
    missing = configuration.num_done < configuration.num_planned
    return {
        "place": place,
        "id": configuration.id,
        "name": configuration.name,
        "levels": configuration.levels,
        "drawing": drawn,
        "standing": standing(configuration),
        "sign": sign,
        "verdict": words,
        "p": p_value(configuration.p) if verdict in ("could be best", "worse") else "",
        "by": _ruled_out_by(data, configuration),
        "done": f"{configuration.num_done} of {configuration.num_planned} fits" if missing else "",
        "estimate": score_cell(configuration),
        "difference": _difference(configuration),
        "latency": cell(milliseconds(cost.latency_ms), cost.latency_ms),
        "parameters": cell(amount(cost.parameters), cost.parameters),
        "train": cell(brief_duration(cost.train_s), cost.train_s, shared_pass(cost)),
    }


def _difference(configuration: ConfigurationResult) -> Cell:
    """The difference to the winner with its two bounds; the winner's own is 0, and not written."""
    low, high = configuration.difference_low, configuration.difference_high
    if configuration.verdict == "winner":
        return cell("", 0.0, ends=(low, high))
    away = difference(configuration.difference)
    return cell(away, configuration.difference, bounds(low, high) if away != NOTHING else "", (low, high))


def _ruled_out_by(data: ReportData, configuration: ConfigurationResult) -> str:
    """The place of the rival that rules out one whose difference to the winner may be 0: winner and it may differ."""
    rival, low, high = (
        configuration.ruled_out_by,
        configuration.difference_low,
        configuration.difference_high,
    )
    if rival is None or low is None or high is None or not low <= 0 <= high:
        return ""
    return f"#{[other.id for other in data.configurations].index(rival) + 1}"


def shared_pass(cost: Cost) -> str:
    """+ 30 s shared: what a fit needs and shares with others, features or pretraining; empty where there is none."""
    for seconds, words in ((cost.shared_features_s, "shared"), (cost.shared_pretrain_s, "pretraining")):
        if seconds is not None:
            return f"+ {brief_duration(seconds)}\n{words}"
    return ""


def _factors(data: ReportData) -> dict[str, list[str]]:
    """Levels of every factor that has more than one, in the order of the leaderboard."""
    levels: dict[str, dict[str, None]] = {}
    for configuration in data.configurations:
        for factor, level in configuration.levels.items():
            levels.setdefault(factor, {})[level] = None
    return {factor: list(names) for factor, names in levels.items() if len(names) > 1}


def every_metric(data: ReportData) -> dict[str, Any]:
    """Configurations and baselines by all metrics that were computed."""
    listed: list[tuple[ConfigurationResult | BaselineResult, str]] = [
        *((configuration, "") for configuration in data.configurations),
        *((baseline, "baseline") for baseline in data.verdict.baselines),
    ]
    names = dict.fromkeys(
        name for result, _ in listed for name, metric in result.metrics.items() if metric.estimate is not None
    )
    rows = [
        {"name": result.name, "class": kind, "cells": _metric_cells(result.metrics, list(names))}
        for result, kind in listed
    ]
    return {"names": [plain(name) for name in names], "rows": rows}


def _metric_cells(metrics: Any, names: Sequence[str]) -> list[Cell]:
    missing = ScoreEstimate(estimate=None, low=None, high=None)
    return [score_cell(metrics.get(name, missing)) for name in names]
