"""The first screen: what to use, how sure that is, what it costs, and what to be careful about."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldwise.reporting.evidence import Evidence
from foldwise.reporting.words import (
    TASKS,
    amount,
    clipped,
    count,
    day,
    difference,
    duration,
    energy,
    estimate,
    in_text,
    interval,
    memory,
    metric_title,
    milliseconds,
    number,
    percent,
    shown,
)

MOST_CHIPS = 8
CHIP = 58  # characters
# What is said in full under "What to be careful about", in a few words.
SHORTLY = {
    "BASELINE_NOT_BEATEN": "a shallow baseline is not beaten",
    "TRIVIAL_BASELINE": "not better than a trivial predictor",
    "MISSING_RUNS": "some configurations are incomplete",
    "NOT_DISTINGUISHABLE": "most configurations could be the best",
    "N_SMALL": "few images: wide intervals",
    "FEW_GROUPS": "few groups: rough intervals",
    "ONE_SEED": "every fold was trained once",
    "RARE_CLASS": "rare classes: described, not tested",
    "SCARCE_THRESHOLDS": "thresholds rest on few images",
    "DEGENERATE_METRIC": "the metric says little on this data",
    "UNDERTRAINED": "training was still improving",
    "UNSTABLE_CONFIG": "some configurations are unsteady",
    "CONFOUNDED": "factors that always change together",
    "UNEQUAL_BUDGET": "unequal training steps",
    "EQUALS_DIFFER": "the A/A test finds equals different",
    "EDGE_OF_GRID": "the winner is at the edge of what was tried",
    "SELECTION_OPTIMISM": "the winner's score is likely a little too good",
}
# Findings of the audit likewise.
FOUND = {
    "rare_class": "some classes are too rare to be scored",
    "format_gives_class_away": "the file format gives the class away",
    "size_gives_class_away": "the image size gives the class away",
    "mode_gives_class_away": "the colour mode gives the class away",
}
SAME = 0.0005  # a difference of scores that is not worth a number
CHEAPER_BY = 1.1  # times faster, before it is worth a word


@dataclass(frozen=True)
class State:
    """How the card speaks in one state of the verdict; `tone` is good, careful or bad."""

    kicker: str
    tone: str
    headline: str | None = None  # None: the name of the winner


STATES = {
    "clear_winner": State("Use this model", "good"),
    "several_tied": State("Use this model, or one it cannot be told apart from", "good"),
    "not_better_than_trivial": State(
        "Do not rely on any of these models", "bad", "Nothing beats the trivial answer"
    ),
    "incomplete": State("Best so far: the study is not complete", "careful"),
    "single_configuration": State("The one model that was asked for", "careful"),
    "nothing_done": State("No answer yet", "bad", "No fit is done"),
}


@dataclass(frozen=True)
class Tile:
    """A question, its answer in large letters, and the small print."""

    question: str
    answer: str
    note: str


@dataclass(frozen=True)
class Chip:
    """One check: good (✓), careful (!) or bad (✕), in a few words; the whole message when pointed at."""

    tone: str
    words: str
    whole: str
    target: str = "#data"


def header(evidence: Evidence) -> list[str]:
    """The facts in the strip under the title."""
    verdict, cases = evidence.verdict, evidence.cases
    groups, images = int(verdict.get("num_groups") or 0), int(verdict.get("num_images") or len(cases))
    fits = [count(int(verdict["folds"]), "fold")]
    if int(verdict.get("repeats") or 1) > 1:
        fits.append(count(int(verdict["repeats"]), "repeat"))
    done = sum(one["num_done"] for one in evidence.configurations)
    planned = sum(one["num_planned"] for one in evidence.configurations)
    seconds = [number(result.get("cost", {}).get("train_s")) for result in evidence.results]
    facts = [
        TASKS.get(str(verdict["task"]), str(verdict["task"])),
        count(images, "image"),
        count(groups, "group") if 0 < groups < images else "",
        count(len(evidence.classes), "class", "classes"),
        f"{count(len(evidence.configurations), 'configuration')} × {' × '.join(fits)}",
        f"{done} of {count(planned, 'fit')} done" if done < planned else count(planned, "fit"),
        f"{duration(sum(value for value in seconds if value))} of training" if any(seconds) else "",
        _device(evidence),
        day(verdict.get("finished")),
        f"foldwise {evidence.environment['foldwise']}" if evidence.environment.get("foldwise") else "",
    ]
    return [fact for fact in facts if fact]


def _device(evidence: Evidence) -> str:
    named = {
        str(result.get("cost", {}).get("device_name") or result.get("cost", {}).get("device") or "")
        for result in evidence.results
    }
    return ", ".join(sorted(named - {""}))[:80]


def card(evidence: Evidence) -> dict[str, Any]:
    """Everything in the answer card."""
    verdict, winner = evidence.verdict, evidence.winner
    state = STATES[verdict["state"]]
    answer = verdict.get("answer")
    has_model = bool(answer) and verdict["state"] not in ("nothing_done", "not_better_than_trivial")
    return {
        "state": verdict["state"],
        "kicker": state.kicker,
        "tone": state.tone,
        "headline": state.headline
        or (str(answer["name"]) if answer else str(winner["name"]) if winner else "No fit is done"),
        "sentence": str(answer["sentence"]) if answer and answer.get("sentence") else _sentence(evidence),
        "tiles": tiles(evidence) if winner else [],
        "chips": chips(evidence),
        "command": f"foldwise predict {shlex.quote(evidence.place)} my_new_images/ --out predictions/"
        if has_model
        else "",
        "resume": ""
        if has_model and verdict["state"] != "incomplete"
        else f"foldwise status {shlex.quote(evidence.place)}",
    }


def _sentence(evidence: Evidence) -> str:
    winner, metric = evidence.winner, metric_title(evidence.verdict["metric"])
    if winner is None:
        failed = sum(len(one.get("failures", [])) for one in evidence.configurations)
        cause = (
            f"{count(failed, 'fit')} failed; the causes are listed below."
            if failed
            else "Nothing was trained yet."
        )
        return f"No configuration has a score. {cause}"
    if winner["low"] is None:
        done = f"{winner['num_done']} of {count(winner['num_planned'], 'fit')}"
        return f"No configuration is complete. Of those with {done}, {winner['name']} has the best {metric}: {estimate(winner)}."
    return f"{winner['name']} reached a {metric} of {estimate(winner)} ({evidence.confidence} interval {interval(winner['low'], winner['high'])}) on images it had not seen."


def tiles(evidence: Evidence) -> list[Tile]:
    """How sure, what it costs, and what is nearly as good and cheaper."""
    winner = evidence.winner
    assert winner is not None
    return [_sure(evidence, winner), _cost(winner), _cheaper(evidence, winner)]


def _sure(evidence: Evidence, winner: Mapping[str, Any]) -> Tile:
    question, answer = "How sure is that?", evidence.verdict.get("answer") or {}
    others = len(evidence.configurations) - 1
    if not others:
        return Tile(
            question,
            interval(winner.get("low"), winner.get("high")),
            f"{evidence.confidence} interval; nothing was compared with it",
        )
    if evidence.verdict["state"] == "incomplete" or answer.get("num_ruled_out") is None:
        missing = sum(one["num_planned"] - one["num_done"] for one in evidence.configurations)
        return Tile(question, "Not known yet", f"{count(missing, 'fit')} missing or failed")
    tied = int(answer.get("num_tied") or 0)
    compared = tied + int(answer["num_ruled_out"])
    if not compared:
        return Tile(
            question,
            interval(winner.get("low"), winner.get("high")),
            f"{evidence.confidence} interval; no other configuration is complete",
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
        bounded = bool(evidence.verdict["metric"].get("bounded"))
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


def _cheaper(evidence: Evidence, winner: Mapping[str, Any]) -> Tile:
    """The fastest of those that could be best; of how much lower it scores, the note below tells."""
    question, own = "Not told apart, and cheaper?", number(winner.get("cost", {}).get("latency_ms"))
    tied = [one for one in evidence.configurations if one.get("could_be_best") and one["id"] != winner["id"]]
    timed = [(number(one.get("cost", {}).get("latency_ms")), one) for one in tied]
    known = [(ms, one) for ms, one in timed if ms is not None and ms > 0]
    if len(evidence.configurations) == 1:
        return Tile(question, "Not asked", "list rivals under compare: in the study file")
    if evidence.verdict["state"] == "incomplete":
        return Tile(question, "Not known yet", "said when every fit is done")
    if evidence.verdict["state"] == "not_better_than_trivial":
        return Tile(
            question, "The trivial answer", "it costs nothing and is as good as far as this data can tell"
        )
    if not tied:
        return Tile(question, "None", "every cheaper one is clearly worse")
    if own is None or not known:
        return Tile(question, "Time not measured", f"{count(len(tied), 'other')} could be as good")
    fastest, one = min(known, key=lambda pair: pair[0])
    if own / fastest < CHEAPER_BY:
        return Tile(question, "None is faster", f"of the {count(len(tied), 'other')} that could be as good")
    metric, away = in_text(metric_title(evidence.verdict["metric"])), one.get("difference")
    same = abs(number(away) or 0.0) < SAME
    told = f"the same {metric}" if same else f"{difference(away)} {metric}"
    return Tile(question, str(one["name"]), f"{told} · {own / fastest:.1f}× faster")


def chips(evidence: Evidence) -> list[Chip]:
    """Checks that passed and what to be careful about, the worst first after those that passed."""
    verdict = evidence.verdict
    found = evidence.audit.get("findings", [])
    passed = [Chip("good", _apart(evidence), "The folds were checked after they were made.", "#data")]
    copies = next((one for one in found if one["code"] == "near_duplicates"), None)
    if copies and evidence.validation.near_duplicates == "group":
        passed.append(Chip("good", "the near-duplicates found stay in one fold", copies["message"]))
    if not any(finding["severity"] in ("error", "warning") for finding in found):
        passed.append(
            Chip(
                "good",
                "the audit found nothing to mend",
                "Files, masks, labels, duplicates and leaks were checked before training.",
            )
        )
    failed = sum(len(one.get("failures", [])) for one in evidence.configurations)
    careful = (
        [Chip("bad", f"{count(failed, 'fit')} failed", "The causes are listed under Failures.", "#failures")]
        if failed
        else []
    )
    order = {"error": 0, "warning": 1}
    grave = sorted((one for one in found if one["severity"] in order), key=lambda one: order[one["severity"]])
    careful += [
        Chip("careful", FOUND.get(one["code"]) or clipped(one["message"], CHIP), one["message"])
        for one in grave
    ]
    careful += [
        Chip("careful", _shortly(one), one["message"], "#care") for one in verdict.get("warnings", [])
    ]
    room = MOST_CHIPS - len(passed)
    if len(careful) > room:
        more = len(careful) - room + 1
        careful = [
            *careful[: room - 1],
            Chip("careful", f"{more} more to be careful about", "Listed below.", "#care"),
        ]
    return passed + careful


def _shortly(warning: Mapping[str, Any]) -> str:
    return SHORTLY.get(str(warning["code"])) or clipped(str(warning["message"]), CHIP)


def _apart(evidence: Evidence) -> str:
    grouped = 0 < int(evidence.verdict.get("num_groups") or 0) < len(evidence.cases)
    return "no group is in two folds" if grouped else "no image is in two folds"
