"""The section on textbook tests: what they say of the winner and the others, and why nothing is decided by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import count, difference, number, p_value, percent, score

MAX_ROWS = 60
WITH_P = ("corrected_t", "paired_t", "wilcoxon", "mcnemar")


def section(data: ReportData) -> dict[str, Any] | None:
    """A row for every configuration against the winner, the best first; None where the tests were not asked for."""
    told = data.verdict.get("textbook")
    if not told:
        return None
    records = {one["id"]: one for one in data.configurations}
    columns = [name for name in WITH_P if any(pair[name] for pair in told["pairs"])]
    ranks = told["friedman"]
    used = [*columns, *(["correlated_t"] if _bayes(told) else []), *(["friedman"] if ranks else [])]
    return {
        "textbook": {
            "winner": records[told["against"]]["name"],
            "margin": f"{data.verdict['metric']['equivalent_within']:g}",
            "size": f"{count(told['num_units'], 'group' if data.verdict['num_groups'] else 'image')} and "
            f"{count(told['num_fold_scores'], 'score of a fold', 'scores of folds')}",
            "columns": [told["tests"][name]["title"] for name in columns],
            "bayes": _bayes(told),
            "ranks": None if ranks is None else _all_ranks(ranks, told["against"]),
            "rows": [_row(pair, records[pair["id"]], columns, told) for pair in told["pairs"][:MAX_ROWS]],
            "left_out": max(0, len(told["pairs"]) - MAX_ROWS),
            "tests": [told["tests"][name] for name in used],
        }
    }


def _bayes(told: Mapping[str, Any]) -> bool:
    return any(pair["correlated_t"] for pair in told["pairs"])


def _row(
    pair: Mapping[str, Any], record: Mapping[str, Any], columns: list[str], told: Mapping[str, Any]
) -> dict[str, Any]:
    cells = [{"value": pair["difference"], "shown": difference(pair["difference"]), "note": ""}]
    cells += [_p(name, pair[name]) for name in columns]
    if _bayes(told):
        cells.append(_shares(pair["correlated_t"]))
    if told["friedman"]:
        rank = told["friedman"]["mean_ranks"][pair["id"]]
        cells.append({"value": rank, "shown": score(rank, 2), "note": ""})
    return {"name": record["name"], "standing": standing(record), "cells": cells}


def _p(name: str, test: Mapping[str, Any] | None) -> dict[str, Any]:
    if test is None:
        return {"value": None, "shown": score(None), "note": ""}
    note = f"Holm {p_value(test['p_holm'])}"
    if name == "mcnemar":
        note = f"{test['only_winner']} : {test['only_other']}; {note}"
    return {"value": number(test["p"]), "shown": p_value(test["p"]), "note": note}


def _shares(found: Mapping[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {"value": None, "shown": score(None), "note": ""}
    note = f"within {percent(found['equivalent'])}, worse {percent(found['worse'])}"
    return {"value": found["better"], "shown": percent(found["better"]), "note": note}


def _all_ranks(ranks: Mapping[str, Any], winner: str) -> dict[str, Any]:
    """The Friedman test, and how many have a mean rank beyond the critical difference from the winner's."""
    own, far = ranks["mean_ranks"][winner], ranks["critical_difference"]
    beyond = [one for one, rank in ranks["mean_ranks"].items() if rank - own > far]
    return {
        "chi2": f"{ranks['chi2']:.1f}",
        "p": p_value(ranks["p"]),
        "p_F": p_value(ranks["p_F"]),
        "own": score(own, 2),
        "far": score(far, 2),
        "beyond": len(beyond),
        "of": len(ranks["mean_ranks"]) - 1,
    }
