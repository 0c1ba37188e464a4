"""The leaderboard, the textbook tests of the winner against the others, and the A/A test of the comparison itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.judging.verdict import TRIVIAL_UNBEATEN
from foldwise.judging.verdict_configurations import (
    BaselineResult,
    ConfigurationResult,
    Cost,
    ScoreEstimate,
    ShallowBaseline,
)
from foldwise.judging.verdict_textbook import (
    AdjustedP,
    FriedmanTest,
    McNemarTest,
    PosteriorShares,
    TextbookPair,
    TextbookSection,
)
from foldwise.reporting import wording
from foldwise.reporting.drawing.classes import Dot, class_strip
from foldwise.reporting.drawing.rows import baseline_row, interval_row, scale_head, score_scale, standing
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData

VERDICTS = {
    "winner": ("★", "winner"),
    "could be best": ("≈", "tied"),
    "worse": ("↓", "worse"),
    "ruled out early": ("↓", "ruled out early"),
    "incomplete": ("…", "incomplete"),
    "failed": ("✕", "failed"),
}
FAMILIES = {  # of the intervals of differences to the winner
    "best": "they hold together, as comparisons with the best",
    "all pairs": "they hold together with those of all pairs, as no winner is sure",
}
# Where there is no single winner, or no model is recommended, the first row is not called one.
FIRST = dict.fromkeys(TRIVIAL_UNBEATEN, ("", "best")) | {
    "incomplete": ("", "leads"),
    "several_tied": ("★", "best"),
}
MAX_ROWS = 60
WITH_P_VALUE = ("could be best", "worse", "ruled out early")
WITH_P = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")


def section(data: ReportData) -> dict[str, Any]:
    """The leaderboard, and every metric of every configuration."""
    return {"leaderboard": leaderboard(data), "every_metric": every_metric(data)}


def leaderboard(data: ReportData) -> dict[str, Any]:
    """Rows of the configurations, best first, and of the baselines."""
    configurations, winner = data.configurations, data.winner
    # One scale for configurations and baselines, so that they can be compared by eye.
    trained = [shallow for baseline in data.verdict.baselines if (shallow := _trained(baseline))]
    scale = score_scale([*configurations, *trained])
    rows = [
        _row(index, configuration, interval_row(configuration, winner, scale), data)
        for index, configuration in enumerate(configurations, start=1)
    ]
    baselines = [_baseline(baseline, winner, scale) for baseline in data.verdict.baselines]
    family = next((pair.family for pair in data.verdict.pairs), None)
    return {
        "rows": rows,
        "baselines": baselines,
        "head": scale_head(scale),
        "factors": _factors(data),
        "costs": data.task is not None,
        "family": FAMILIES.get(family or ""),
        "raced": any(result.verdict == "ruled out early" for result in configurations),
    }


def _trained(baseline: BaselineResult) -> ShallowBaseline | None:
    """A shallow baseline with an interval; of a trivial one nothing was learnt, so it has an estimate only."""
    return baseline if isinstance(baseline, ShallowBaseline) and baseline.interval else None


def _baseline(baseline: BaselineResult, winner: ConfigurationResult | None, scale: Scale) -> dict[str, Any]:
    trained = _trained(baseline)
    row = {
        "name": baseline.name,
        "sentence": baseline.sentence,
        "estimate": wording.cell(wording.shown(baseline.estimate), baseline.estimate),
        "difference": wording.cell(""),
        "beaten": "",
        "p": "",
        "train": wording.cell(""),
        "drawing": interval_row(trained, winner, scale)
        if trained
        else baseline_row(baseline.estimate, scale),
    }
    if trained is not None:
        row["estimate"] = wording.score_cell(trained)
    if not isinstance(baseline, ShallowBaseline):
        return row
    seconds = baseline.cost.train_s
    return row | {
        "difference": wording.cell(
            "" if baseline.difference is None else wording.difference(baseline.difference),
            baseline.difference,
        ),
        "beaten": "" if baseline.beaten is None else "beaten" if baseline.beaten else "not beaten",
        "p": wording.p_value(baseline.p),
        "train": wording.cell("" if seconds is None else wording.brief_duration(seconds), seconds),
    }


def _row(position: int, configuration: ConfigurationResult, drawn: Any, data: ReportData) -> dict[str, Any]:
    cost, verdict = configuration.cost, configuration.verdict
    sign, words = VERDICTS[verdict]
    if verdict == "winner":
        sign, words = FIRST.get(data.verdict.state, (sign, words))
    planned = configuration.num_planned + configuration.num_spared
    missing, made = configuration.num_done < planned, "fits" if data.task else "scores"
    return {
        "place": position,
        # Who was not trained in full has a place in the list and none in the ranking.
        "ranked": verdict != "ruled out early",
        "id": configuration.id,
        "name": configuration.name,
        "levels": configuration.levels,
        "drawing": drawn,
        "standing": standing(configuration),
        "sign": sign,
        "verdict": words,
        "p": wording.p_value(configuration.p) if verdict in WITH_P_VALUE else "",
        "by": _ruled_out_by(data, configuration),
        "done": f"{configuration.num_done} of {planned} {made}" if missing else "",
        "estimate": wording.score_cell(configuration),
        "difference": _difference(configuration),
        "latency": wording.cell(wording.milliseconds(cost.latency_ms), cost.latency_ms),
        "parameters": wording.cell(wording.amount(cost.parameters), cost.parameters),
        "train": wording.cell(wording.brief_duration(cost.train_s), cost.train_s, shared_pass(cost)),
    }


def _difference(configuration: ConfigurationResult) -> wording.Cell:
    """The difference to the winner with its interval; the winner's own is 0, and not written."""
    low, high = configuration.difference_low, configuration.difference_high
    if configuration.verdict == "winner":
        return wording.cell("", 0.0, ends=(low, high))
    away = wording.difference(configuration.difference)
    return wording.cell(away, configuration.difference, wording.difference_interval(low, high), (low, high))


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
            return f"+ {wording.brief_duration(seconds)}\n{words}"
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
    return {"names": [wording.plain(name) for name in names], "rows": rows}


def _metric_cells(metrics: Any, names: Sequence[str]) -> list[wording.Cell]:
    missing = ScoreEstimate(estimate=None, low=None, high=None)
    return [wording.score_cell(metrics.get(name, missing)) for name in names]


def textbook_section(data: ReportData) -> dict[str, Any] | None:
    """A row for every configuration against the winner, the best first; None where the tests were not asked for."""
    verdict = data.verdict
    textbook = verdict.textbook
    if textbook is None:
        return None
    columns = [name for name in WITH_P if any(getattr(pair, name) for pair in textbook.pairs)]
    ranks, bayes = textbook.friedman, any(pair.correlated_t for pair in textbook.pairs)
    used = [*columns, *(["correlated_t"] if bayes else []), *(["friedman"] if ranks else [])]
    scores = wording.count(textbook.num_fold_scores, "score of a fold", "scores of folds")
    return {
        "textbook": {
            "winner": verdict.configuration(textbook.against).name,
            "margin": f"{verdict.metric.equivalent_within:g}",
            "size": f"{wording.count(textbook.num_units, 'image' if verdict.num_groups is None else 'group')} and {scores}",
            "columns": [textbook.tests[name].title for name in columns],
            "bayes": bayes,
            "ranks": None if ranks is None else _all_ranks(ranks, textbook.against),
            "rows": [
                _pair_row(pair, verdict.configuration(pair.id), columns, textbook)
                for pair in textbook.pairs[:MAX_ROWS]
            ],
            "left_out": max(0, len(textbook.pairs) - MAX_ROWS),
            "tests": [textbook.tests[name] for name in used],
        }
    }


def _pair_row(
    pair: TextbookPair, result: ConfigurationResult, columns: Sequence[str], textbook: TextbookSection
) -> dict[str, Any]:
    cells = [wording.cell(wording.difference(pair.difference), pair.difference)]
    cells += [_p(getattr(pair, name)) for name in columns]
    if any(other.correlated_t for other in textbook.pairs):
        cells.append(_shares(pair.correlated_t))
    if textbook.friedman is not None:
        rank = textbook.friedman.mean_ranks[pair.id]
        cells.append(wording.cell(wording.score(rank, 2), rank))
    return {"name": result.name, "standing": standing(result), "cells": cells}


def _p(test: AdjustedP | None) -> wording.Cell:
    if test is None:
        return wording.cell(wording.score(None))
    note = f"Holm {wording.p_value(test.p_holm)}"
    if isinstance(test, McNemarTest):
        note = f"{test.only_winner} : {test.only_other}; {note}"
    return wording.cell(wording.p_value(test.p), test.p, note)


def _shares(posterior: PosteriorShares | None) -> wording.Cell:
    if posterior is None:
        return wording.cell(wording.score(None))
    note = f"within {wording.percent(posterior.equivalent)}, worse {wording.percent(posterior.worse)}"
    return wording.cell(wording.percent(posterior.better), posterior.better, note)


def _all_ranks(ranks: FriedmanTest, winner: str) -> dict[str, Any]:
    """The Friedman test, and how many have a mean rank beyond the critical difference from the winner's."""
    own, far = ranks.mean_ranks[winner], ranks.critical_difference
    return {
        "chi2": f"{ranks.chi2:.1f}",
        "p": wording.p_value(ranks.p),
        "p_F": wording.p_value(ranks.p_F),
        "own": wording.score(own, 2),
        "far": wording.score(far, 2),
        "beyond": sum(rank - own > far for rank in ranks.mean_ranks.values()),
        "of": len(ranks.mean_ranks) - 1,
    }


def aa_test_section(data: ReportData) -> dict[str, Any] | None:
    """How far copies of one configuration lie apart, above all configurations; None where no A/A test was made."""
    test = data.verdict.aa_test
    if test is None:
        return None
    scores = [
        Dot(result.estimate, result.name, result.id)
        for result in data.configurations
        if result.estimate is not None
    ]
    copies = [Dot(value, str(number)) for number, value in enumerate(test.estimates, start=1)]
    # Chance alone above, the study below, on one scale: what a difference has to exceed is seen at once.
    rows = [
        (f"the same, {len(copies)} times", None, copies),
        (wording.count(len(scores), "configuration"), None, scores),
    ]
    return {
        "aa_test": {
            "name": data.verdict.configuration(test.configuration).name,
            "sentence": test.sentence,
            "missing": test.num_planned - len(copies) + 1,
            "drawing": class_strip(rows, title=data.verdict.metric.title),
        }
    }
