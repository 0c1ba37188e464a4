"""The first screen: what to use, how sure that is, what it costs, and what to be careful about."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldwise.judging.verdict import State
from foldwise.judging.verdict_configurations import ConfigurationResult, Cost
from foldwise.judging.wording import ends_of, with_interval
from foldwise.reporting import wording
from foldwise.reporting.report_data import ReportData
from foldwise.text import in_text

MAX_CHIPS = 8
CHIP_LENGTH = 58  # characters
SAME = 0.0005  # a difference of scores that is not worth a number
CHEAPER_BY = 1.1  # times faster, before it is worth a word
WARNINGS = {  # in a few words; the whole of each stands in the section of the warnings
    "BASELINE_NOT_BEATEN": "a shallow baseline is not beaten",
    "TRIVIAL_BASELINE": "not shown to be better than a trivial predictor",
    "MISSING_RUNS": "some configurations are incomplete",
    "NOT_DISTINGUISHABLE": "most configurations could be the best",
    "N_SMALL": "few images: wide intervals",
    "FEW_GROUPS": "few groups: rough intervals",
    "ONE_SEED": "every fold was trained once",
    "ONE_TRAINING_SET": "one split: luck of training images unknown",
    "NO_RUN_VARIANCE": "trained once: these weights only",
    "FOLDS_APART": "scores of folds lie far apart",
    "ONE_CLASS": "some configurations always predict one class",
    "BRIEF_TRAINING": "very few epochs or steps",
    "RARE_CLASS": "rare classes: described, not tested",
    "SCARCE_THRESHOLDS": "thresholds rest on few images",
    "DEGENERATE_METRIC": "the metric says little on this data",
    "UNDERTRAINED": "training was still improving",
    "UNSTABLE_CONFIG": "some configurations are unsteady",
    "CONFOUNDED": "factors that always change together",
    "UNEQUAL_BUDGET": "unequal training steps",
    "EQUALS_DIFFER": "the A/A test finds equals different",
    "EDGE_OF_GRID": "the winner is at the edge of what was tried",
    "SHORT_SEARCH": "fewer trials than asked for",
    "SELECTION_OPTIMISM": "the winner's score is likely a little too good",
}
FINDINGS = {  # of the audit, likewise
    "rare_class": "some classes are too rare to be scored",
    "columns_not_used": "a column of groups or of a split is not used",
    "format_gives_class_away": "the file format gives the class away",
    "size_gives_class_away": "the image size gives the class away",
    "mode_gives_class_away": "the colour mode gives the class away",
}


@dataclass(frozen=True)
class Headline:
    """How the card begins in one state of the verdict; `tone` is good, careful or bad."""

    kicker: str
    tone: str
    words: str | None = None  # None: the name of the winner


UNPROVEN = "Not shown to be better than a trivial predictor"
HEADLINES: dict[State, Headline] = {
    "clear_winner": Headline("Use this model", "good"),
    "several_tied": Headline("Use this model, or one it cannot be told apart from", "good"),
    "no_better_than_trivial": Headline(
        "Do not rely on any of these models", "bad", "Nothing beats the trivial answer"
    ),
    "too_few_runs": Headline(UNPROVEN, "careful", "Too few runs to tell"),
    "too_few_images": Headline(UNPROVEN, "careful", "Too few images to tell"),
    "incomplete": Headline("Best so far: the study is not complete", "careful"),
    "single_configuration": Headline("The one model that was asked for", "careful"),
    "nothing_done": Headline("No answer yet", "bad", "No fit is done"),
}


@dataclass(frozen=True)
class Chip:
    """One check: good (✓), careful (!) or bad (✕), in a few words; the whole message when pointed at."""

    tone: str
    words: str
    whole: str
    target: str = "#data"


@dataclass(frozen=True)
class Tile:
    """A question, its answer in large letters, and the small print."""

    question: str
    answer: str
    note: str


def header(data: ReportData) -> list[str]:
    """The facts in the strip under the title."""
    verdict = data.verdict
    groups, done, planned = verdict.num_groups or 0, verdict.num_done, verdict.num_planned
    if data.task is None:
        return [*verdict.recognised, f"foldwise {data.environment['foldwise']}"]
    fits = ["a given split" if verdict.split == "given_split" else wording.count(verdict.folds, "fold")]
    if verdict.repeats > 1:
        fits.append(wording.count(verdict.repeats, "repeat"))
    seconds = [wording.number(result.get("cost", {}).get("train_s")) for result in data.results]
    facts = [
        wording.TASKS[verdict.task or ""],
        wording.count(verdict.num_images, "image"),
        wording.count(groups, "group") if 0 < groups < verdict.num_images else "",
        wording.count(len(data.classes), "class"),
        f"{wording.count(len(data.configurations), 'configuration')} × {' × '.join(fits)}",
        f"{done} of {wording.count(planned, 'fit')} done"
        if done < planned
        else wording.count(planned, "fit"),
        f"{wording.duration(sum(value for value in seconds if value))} of training" if any(seconds) else "",
        ", ".join(data.devices)[:80],
        wording.day(verdict.finished),
        f"foldwise {data.environment['foldwise']}" if data.environment.get("foldwise") else "",
    ]
    return [fact for fact in facts if fact]


def section(data: ReportData) -> dict[str, Any]:
    """The answer card."""
    return {"card": card(data)}


def warnings_section(data: ReportData) -> dict[str, Any]:
    """What the judge warns about, in full; the anchor is there without any, for chips that lead to it."""
    return {"warnings": data.verdict.warnings}


def card(data: ReportData) -> dict[str, Any]:
    """Everything in the answer card."""
    verdict, winner = data.verdict, data.winner
    headline, answer = HEADLINES[verdict.state], verdict.answer
    # Where nothing beats the trivial answer no model is recommended, so none is offered for use.
    has_model, trained = verdict.beats_trivial, data.task is not None
    path, goes_on = shlex.quote(data.run_path), not has_model or verdict.state == "incomplete"
    predict = f"foldwise predict {path} my_new_images/ --out predictions/"
    name = answer.name if answer else winner.name if winner else "No fit is done"
    return {
        "state": verdict.state,
        "kicker": headline.kicker,
        "tone": headline.tone,
        "headline": headline.words or name,
        "left_out": data.verdict.left_out,
        "sentence": answer.sentence if answer else _sentence(data),
        "tiles": tiles(data, winner) if winner else [],
        "chips": chips(data),
        "command": predict if has_model and trained else "",
        "resume": f"foldwise status {path}" if trained and goes_on else "",
    }


def _sentence(data: ReportData) -> str:
    """What stands in place of the judge's sentence while there is no answer."""
    winner, metric = data.winner, data.verdict.metric.title
    if winner is None:
        failed = _num_failed(data)
        cause = f"{wording.count(failed, 'fit')} failed; the causes are listed below." if failed else ""
        return f"No configuration has a score. {cause or 'Nothing was trained yet.'}"
    if not winner.interval:
        done = f"{winner.num_done} of {wording.count(winner.num_planned, 'fit')}"
        return f"No configuration is complete. Of those with {done}, {winner.name} has the best {metric}: {wording.estimate(winner)}."
    return f"{winner.name} reached a {metric} of {with_interval(winner, data.confidence)} on images it had not seen."


def _num_failed(data: ReportData) -> int:
    return sum(len(result.failures) for result in data.configurations)


def chips(data: ReportData) -> list[Chip]:
    """Checks that passed and what to be careful about, the worst first after those that passed."""
    findings = data.audit.get("findings", [])
    if data.task is None:  # nothing of the images was seen
        return _careful(data, findings)
    passed = []
    if not any(finding["code"] == "split_divides_copies" for finding in findings):
        passed.append(Chip("good", _apart(data), "The folds were checked after they were made.", "#data"))
    copies = next((finding for finding in findings if finding["code"] == "near_duplicates"), None)
    if copies and data.validation.near_duplicates == "group":
        passed.append(Chip("good", "the near-duplicates found stay in one fold", copies["message"]))
    if not any(finding["severity"] in ("error", "warning") for finding in findings):
        whole = "Files, masks, labels, duplicates and leaks were checked before training."
        passed.append(Chip("good", "the audit found nothing to fix", whole))
    careful = _careful(data, findings)
    room = MAX_CHIPS - len(passed)
    if len(careful) > room:
        more = len(careful) - room + 1
        careful = careful[: room - 1]
        careful.append(Chip("careful", f"{more} more to be careful about", "Listed below.", "#warnings"))
    return passed + careful


def _careful(data: ReportData, findings: list[Mapping[str, Any]]) -> list[Chip]:
    """Failures, then what the audit found, then the warnings of the judge."""
    careful, order = [], ("error", "warning")
    if failed := _num_failed(data):
        words = f"{wording.count(failed, 'fit')} failed"
        careful.append(Chip("bad", words, "The causes are listed under Failures.", "#failures"))
    grave = [finding for finding in findings if finding["severity"] in order]
    for finding in sorted(grave, key=lambda finding: order.index(finding["severity"])):
        words = FINDINGS.get(finding["code"]) or wording.clipped(finding["message"], CHIP_LENGTH)
        careful.append(Chip("careful", words, finding["message"]))
    for warning in data.verdict.cautions:
        words = _words_of(warning.code, data.verdict.state) or wording.clipped(warning.message, CHIP_LENGTH)
        careful.append(Chip("careful", words, warning.message, "#warnings"))
    return careful


def _words_of(code: str, state: State) -> str | None:
    if code == "TRIVIAL_BASELINE" and state == "no_better_than_trivial":
        return "shown to be no better than a trivial predictor"
    return WARNINGS.get(code)


def _apart(data: ReportData) -> str:
    grouped = 0 < (data.verdict.num_groups or 0) < len(data.cases)
    return "no group is in two folds" if grouped else "no image is in two folds"


def tiles(data: ReportData, winner: ConfigurationResult) -> list[Tile]:
    """How sure, what it costs, and what is nearly as good and cheaper; of scores from elsewhere the first."""
    if data.task is None:
        return [_sure(data, winner)]
    return [_sure(data, winner), _cost(winner.cost), _cheaper(data, winner)]


def _sure(data: ReportData, winner: ConfigurationResult) -> Tile:
    question, answer, verdict = "How sure is that?", data.verdict.answer, data.verdict
    others = len(data.configurations) - 1
    ends, named = ends_of(winner) or wording.NOTHING, f"{data.confidence} interval"
    if not others:
        return Tile(question, ends, f"{named}; nothing was compared with it")
    if verdict.state == "incomplete" or answer is None:
        missing = sum(result.num_planned - result.num_done for result in data.configurations)
        if verdict.race and missing:
            words = f"{wording.count(missing, 'fit')} missing, unless the race spares them"
            return Tile(question, "Not known yet", words)
        return Tile(question, "Not known yet", f"{wording.count(missing, 'fit')} missing or failed")
    compared = answer.num_tied + answer.num_ruled_out
    if not compared:
        return Tile(question, ends, f"{named}; no other configuration is complete")
    worse = "the other is clearly worse" if compared == 1 else "all others are clearly worse"
    notes = [f"{answer.num_tied} cannot be told apart from it" if answer.num_tied else worse]
    if compared < others:
        notes.append(f"{others - compared} incomplete and not compared")
    if winner.p_wins is not None:
        notes.append(f"would come first in {wording.percent(winner.p_wins)} of repeated studies")
    # A bounded metric has no difference of 1 or more, so nothing could have been seen at all.
    smallest = answer.minimal_detectable_difference
    if smallest is not None and verdict.metric.bounded and smallest >= 1:
        notes.append("any difference would probably be missed (80 % power)")
    elif smallest is not None:
        notes.append(f"differences below {wording.shown(smallest)} would probably be missed (80 % power)")
    return Tile(question, f"{answer.num_ruled_out} of {compared} ruled out", " · ".join(notes))


def _cost(cost: Cost) -> Tile:
    notes = [
        "" if cost.parameters is None else f"{wording.amount(cost.parameters)} parameters",
        "" if cost.peak_memory_mb is None else f"{wording.memory(cost.peak_memory_mb)} peak memory",
        "" if cost.train_s is None else f"{wording.duration(cost.train_s)} to train a fold",
        "" if cost.energy_j is None else f"{wording.energy(cost.energy_j)} of energy for it",
        f"on {cost.device}" if cost.device else "",
        f"timed while {cost.sharers:.0f} shared it" if cost.sharers else "",
    ]
    latency = cost.latency_ms
    words = "Time not measured" if latency is None else f"{wording.milliseconds(latency)} ms per image"
    return Tile("What does it cost?", words, " · ".join(note for note in notes if note))


def _cheaper(data: ReportData, winner: ConfigurationResult) -> Tile:
    """The fastest of those that could be best, and how much lower it scores."""
    question, latency = "Not told apart, and cheaper?", winner.cost.latency_ms
    tied = [result for result in data.configurations if result.could_be_best and result.id != winner.id]
    timed = [
        (result.cost.latency_ms, result)
        for result in tied
        if result.cost.latency_ms and not (result.cost.sharers or winner.cost.sharers)
    ]
    if len(data.configurations) == 1:
        return Tile(question, "Not asked", "list rivals under compare: in the study file")
    if data.verdict.state == "incomplete":
        return Tile(question, "Not known yet", "said when every fit is done")
    if data.verdict.state in ("too_few_runs", "too_few_images"):
        return Tile(question, "Not known yet", "first a trivial predictor must be beaten")
    if data.verdict.state == "no_better_than_trivial":
        note = "it costs nothing and is as good as far as this data can tell"
        return Tile(question, "The trivial answer", note)
    if not tied:
        return Tile(question, "None", "every cheaper one is clearly worse")
    if latency is None or not timed:
        return Tile(question, "Time not measured", f"{wording.count(len(tied), 'other')} could be as good")
    fastest, result = min(timed, key=lambda pair: pair[0])
    if latency / fastest < CHEAPER_BY:
        note = f"of the {wording.count(len(tied), 'other')} that could be as good"
        note = note if len(tied) > 1 else "only one other could be as good"
        return Tile(question, "None is faster", note)
    metric = in_text(data.verdict.metric.title)
    same = abs(result.difference or 0.0) < SAME
    words = f"the same {metric}" if same else f"{wording.difference(result.difference)} {metric}"
    return Tile(question, result.name, f"{words} · {latency / fastest:.1f}× faster")
