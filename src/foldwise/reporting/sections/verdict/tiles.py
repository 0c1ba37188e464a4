"""The three tiles under the answer: how sure it is, what it costs, and what is cheaper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import (
    amount,
    count,
    difference,
    duration,
    energy,
    in_text,
    interval,
    memory,
    metric_title,
    milliseconds,
    number,
    percent,
    shown,
)

SAME = 0.0005  # a difference of scores that is not worth a number
CHEAPER_BY = 1.1  # times faster, before it is worth a word


@dataclass(frozen=True)
class Tile:
    """A question, its answer in large letters, and the small print."""

    question: str
    answer: str
    note: str


def tiles(data: ReportData) -> list[Tile]:
    """How sure, what it costs, and what is nearly as good and cheaper."""
    winner = data.winner
    assert winner is not None
    return [_sure(data, winner), _cost(winner), _cheaper(data, winner)]


def _sure(data: ReportData, winner: Mapping[str, Any]) -> Tile:
    question, answer = "How sure is that?", data.verdict.get("answer") or {}
    others = len(data.configurations) - 1
    if not others:
        return Tile(
            question,
            interval(winner.get("low"), winner.get("high")),
            f"{data.confidence} interval; nothing was compared with it",
        )
    if data.verdict["state"] == "incomplete" or answer.get("num_ruled_out") is None:
        missing = sum(one["num_planned"] - one["num_done"] for one in data.configurations)
        return Tile(question, "Not known yet", f"{count(missing, 'fit')} missing or failed")
    tied = int(answer.get("num_tied") or 0)
    compared = tied + int(answer["num_ruled_out"])
    if not compared:
        return Tile(
            question,
            interval(winner.get("low"), winner.get("high")),
            f"{data.confidence} interval; no other configuration is complete",
        )
    parts = [
        f"{tied} cannot be told apart from it"
        if tied
        else "the other is clearly worse"
        if compared == 1
        else "all others are clearly worse"
    ]
    if compared < others:
        parts.append(f"{others - compared} incomplete and not compared")
    if number(winner.get("p_wins")) is not None:
        parts.append(f"would come first in {percent(winner['p_wins'])} of repeated studies")
    smallest = number(answer.get("minimal_detectable_difference"))
    if smallest is not None:
        bounded = bool(data.verdict["metric"].get("bounded"))
        parts.append(
            "no difference could be seen with this data"
            if bounded and smallest >= 1
            else f"differences below {shown(smallest)} could not be seen with this data"
        )
    return Tile(question, f"{answer['num_ruled_out']} of {compared} ruled out", " · ".join(parts))


def _cost(winner: Mapping[str, Any]) -> Tile:
    cost = winner.get("cost") or {}
    latency = number(cost.get("latency_ms"))
    notes = [
        f"{amount(cost['parameters'])} parameters" if number(cost.get("parameters")) is not None else "",
        f"{memory(cost['peak_memory_mb'])} peak memory"
        if number(cost.get("peak_memory_mb")) is not None
        else "",
        f"{duration(cost['train_s'])} to train a fold" if number(cost.get("train_s")) is not None else "",
        f"{energy(cost['energy_j'])} of energy for it" if number(cost.get("energy_j")) is not None else "",
        f"on {cost['device']}" if cost.get("device") else "",
    ]
    said = f"{milliseconds(latency)} ms per image" if latency is not None else "Time not measured"
    return Tile("What does it cost?", said, " · ".join(note for note in notes if note))


def _cheaper(data: ReportData, winner: Mapping[str, Any]) -> Tile:
    """The fastest of those that could be best; of how much lower it scores, the note below tells."""
    question, own = "Not told apart, and cheaper?", number(winner.get("cost", {}).get("latency_ms"))
    tied = [one for one in data.configurations if one.get("could_be_best") and one["id"] != winner["id"]]
    timed = [(number(one.get("cost", {}).get("latency_ms")), one) for one in tied]
    known = [(ms, one) for ms, one in timed if ms is not None and ms > 0]
    if len(data.configurations) == 1:
        return Tile(question, "Not asked", "list rivals under compare: in the study file")
    if data.verdict["state"] == "incomplete":
        return Tile(question, "Not known yet", "said when every fit is done")
    if data.verdict["state"] == "not_better_than_trivial":
        return Tile(
            question, "The trivial answer", "it costs nothing and is as good as far as this data can tell"
        )
    if not tied:
        return Tile(question, "None", "every cheaper one is clearly worse")
    if own is None or not known:
        return Tile(question, "Time not measured", f"{count(len(tied), 'other')} could be as good")
    fastest, one = min(known, key=lambda pair: pair[0])
    if own / fastest < CHEAPER_BY:
        several = f"of the {count(len(tied), 'other')} that could be as good"
        return Tile(
            question, "None is faster", several if len(tied) > 1 else "only one other could be as good"
        )
    metric, away = in_text(metric_title(data.verdict["metric"])), one.get("difference")
    same = abs(number(away) or 0.0) < SAME
    told = f"the same {metric}" if same else f"{difference(away)} {metric}"
    return Tile(question, str(one["name"]), f"{told} · {own / fastest:.1f}× faster")
