"""The first screen: what to use, how sure that is, what it costs, and what to be careful about."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.tiles import tiles
from foldwise.reporting.wording import (
    TASKS,
    clipped,
    count,
    day,
    duration,
    estimate,
    interval,
    metric_title,
    number,
)

MAX_CHIPS = 8
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
class Chip:
    """One check: good (✓), careful (!) or bad (✕), in a few words; the whole message when pointed at."""

    tone: str
    words: str
    whole: str
    target: str = "#data"


def header(data: ReportData) -> list[str]:
    """The facts in the strip under the title."""
    verdict, cases = data.verdict, data.cases
    groups, images = int(verdict.get("num_groups") or 0), int(verdict.get("num_images") or len(cases))
    fits = [count(int(verdict["folds"]), "fold")]
    if int(verdict.get("repeats") or 1) > 1:
        fits.append(count(int(verdict["repeats"]), "repeat"))
    done = sum(one["num_done"] for one in data.configurations)
    planned = sum(one["num_planned"] for one in data.configurations)
    seconds = [number(result.get("cost", {}).get("train_s")) for result in data.results]
    facts = [
        TASKS.get(str(verdict["task"]), str(verdict["task"])),
        count(images, "image"),
        count(groups, "group") if 0 < groups < images else "",
        count(len(data.classes), "class", "classes"),
        f"{count(len(data.configurations), 'configuration')} × {' × '.join(fits)}",
        f"{done} of {count(planned, 'fit')} done" if done < planned else count(planned, "fit"),
        f"{duration(sum(value for value in seconds if value))} of training" if any(seconds) else "",
        _device(data),
        day(verdict.get("finished")),
        f"foldwise {data.environment['foldwise']}" if data.environment.get("foldwise") else "",
    ]
    return [fact for fact in facts if fact]


def _device(data: ReportData) -> str:
    named = {
        str(result.get("cost", {}).get("device_name") or result.get("cost", {}).get("device") or "")
        for result in data.results
    }
    return ", ".join(sorted(named - {""}))[:80]


def card(data: ReportData) -> dict[str, Any]:
    """Everything in the answer card."""
    verdict, winner = data.verdict, data.winner
    state = STATES[verdict["state"]]
    answer = verdict.get("answer")
    has_model = bool(answer) and verdict["state"] not in ("nothing_done", "not_better_than_trivial")
    return {
        "state": verdict["state"],
        "kicker": state.kicker,
        "tone": state.tone,
        "headline": state.headline
        or (str(answer["name"]) if answer else str(winner["name"]) if winner else "No fit is done"),
        "sentence": str(answer["sentence"]) if answer and answer.get("sentence") else _sentence(data),
        "tiles": tiles(data) if winner else [],
        "chips": chips(data),
        "command": f"foldwise predict {shlex.quote(data.run_path)} my_new_images/ --out predictions/"
        if has_model
        else "",
        "resume": ""
        if has_model and verdict["state"] != "incomplete"
        else f"foldwise status {shlex.quote(data.run_path)}",
    }


def _sentence(data: ReportData) -> str:
    winner, metric = data.winner, metric_title(data.verdict["metric"])
    if winner is None:
        failed = sum(len(one.get("failures", [])) for one in data.configurations)
        cause = (
            f"{count(failed, 'fit')} failed; the causes are listed below."
            if failed
            else "Nothing was trained yet."
        )
        return f"No configuration has a score. {cause}"
    if winner["low"] is None:
        done = f"{winner['num_done']} of {count(winner['num_planned'], 'fit')}"
        return f"No configuration is complete. Of those with {done}, {winner['name']} has the best {metric}: {estimate(winner)}."
    return f"{winner['name']} reached a {metric} of {estimate(winner)} ({data.confidence} interval {interval(winner['low'], winner['high'])}) on images it had not seen."


def chips(data: ReportData) -> list[Chip]:
    """Checks that passed and what to be careful about, the worst first after those that passed."""
    verdict = data.verdict
    found = data.audit.get("findings", [])
    passed = [Chip("good", _apart(data), "The folds were checked after they were made.", "#data")]
    copies = next((one for one in found if one["code"] == "near_duplicates"), None)
    if copies and data.validation.near_duplicates == "group":
        passed.append(Chip("good", "the near-duplicates found stay in one fold", copies["message"]))
    if not any(finding["severity"] in ("error", "warning") for finding in found):
        passed.append(
            Chip(
                "good",
                "the audit found nothing to mend",
                "Files, masks, labels, duplicates and leaks were checked before training.",
            )
        )
    failed = sum(len(one.get("failures", [])) for one in data.configurations)
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
    room = MAX_CHIPS - len(passed)
    if len(careful) > room:
        more = len(careful) - room + 1
        careful = [
            *careful[: room - 1],
            Chip("careful", f"{more} more to be careful about", "Listed below.", "#care"),
        ]
    return passed + careful


def _shortly(warning: Mapping[str, Any]) -> str:
    return SHORTLY.get(str(warning["code"])) or clipped(str(warning["message"]), CHIP)


def _apart(data: ReportData) -> str:
    grouped = 0 < int(data.verdict.get("num_groups") or 0) < len(data.cases)
    return "no group is in two folds" if grouped else "no image is in two folds"
