"""What a reader must know before believing the answer: a code for machines, a sentence, and a cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from foldwise.judging.deciding import scarce
from foldwise.judging.influence import Units
from foldwise.judging.ranking import MIN_POSITIVES
from foldwise.judging.records import Judgement
from foldwise.judging.rows import Fit, Rows
from foldwise.judging.scoring import Scored
from foldwise.judging.words import counted, digits_of, rounded, show
from foldwise.study.spec import Judging, Study

Record = dict[str, Any]
Caution = tuple[str, str, str]  # code, message, cure
SMALL, FEW, SKEWED, GRID = 30, 10, 0.2, 3
MANY = 1000  # times as many images: nobody has them
LATE, TAIL, GAIN = 0.95, 0.8, 0.05  # see `_still_improving`


@dataclass(frozen=True)
class Compared:
    """What every comparison has, wherever its scores come from; cautions that ask no more serve all of them.

    Attributes:
        known: the numbers.
        units: what was sampled.
        judge: what was asked.
        noun: what a unit is called, one and many: ``("image", "images")``.
    """

    known: Judgement
    units: Units
    judge: Judging
    noun: tuple[str, str]


@dataclass(frozen=True)
class Facts(Compared):
    """What the answer and the cautions of a run are made from."""

    study: Study
    rows: Rows

    @classmethod
    def of(cls, study: Study, rows: Rows, known: Judgement) -> Facts:
        """Of a study, what its run has left, and the numbers of it."""
        noun = ("group", "groups") if rows.units.grouped else ("image", "images")
        return cls(known, rows.units, study.judge, noun, study, rows)


def cautions(facts: Facts, told: str, records: Sequence[Record]) -> list[Record]:
    """Every caution that applies, the gravest kind first."""
    told_apart = [
        _trivial(facts, told, records),
        *_missing(facts, records),
        not_distinguishable(facts, records),
    ]
    found = [
        *told_apart,
        *(rule(facts) for rule in RULES),
        *_training(facts, records),
        optimism(facts, records),
    ]
    return [
        {"code": code, "message": message, "cure": cure}
        for one in found
        if one
        for code, message, cure in [one]
    ]


def _trivial(facts: Facts, told: str, records: Sequence[Record]) -> Caution | None:
    if told != "not_better_than_trivial":
        return None
    message = f"The best configuration, {records[0]['name']}, is not shown to be better than a predictor that never looks at the image."
    return (
        "TRIVIAL_BASELINE",
        message,
        "Look at the learning curves and the pictures: train longer, change the learning rate, or check the labels.",
    )


def _missing(facts: Facts, records: Sequence[Record]) -> Iterator[Caution]:
    short = [record for record in records if record["num_done"] < record["num_planned"]]
    if not short:
        return
    failed = sum(len(record["failures"]) for record in short)
    names = ", ".join(record["name"] for record in short[:3]) + (" ..." if len(short) > 3 else "")
    message = (
        f"{counted(len(short), 'configuration lacks', 'configurations lack')} fits ({names}; {failed} failed) "
        f"and {'is' if len(short) == 1 else 'are'} left out of the comparison."
    )
    first = "Read the causes under failures, mend them, and run" if failed else "Run"
    devices = {
        row.training.device for row in facts.rows.configurations if row.id in {one["id"] for one in short}
    }
    where = f" on a machine that has {' and '.join(sorted(devices))}" if not devices & {"auto", "cpu"} else ""
    yield "MISSING_RUNS", message, f"{first} the study again{where}; what is done is kept."


def not_distinguishable(facts: Compared, records: Sequence[Record]) -> Caution | None:
    """Where more than half could be the best: what could have been seen, and what it takes to see more."""
    could = sum(record["could_be_best"] for record in records)
    if facts.known.comparison is None or could <= max(1, len(facts.known.comparison.p) / 2):
        return None
    detectable = facts.known.comparison.minimal_detectable_difference
    message = (
        f"{could} of {len(facts.known.comparison.p)} configurations could be the best; a difference below "
        f"about {show(detectable)} could not have been seen with {counted(facts.units.count, *facts.noun)}."
    )
    cure = f"Take the cheapest of those that could be best, add repeats, or add {facts.noun[1]}."
    return "NOT_DISTINGUISHABLE", message, cure + _needed(facts)


def _needed(facts: Compared) -> str:
    """How many units the difference takes that the study calls none."""
    compared, target, units = facts.known.comparison, facts.judge.equivalent_within, facts.units
    assert compared is not None
    if not 0 < target < compared.minimal_detectable_difference:
        return ""
    factor, kind = compared.times_as_many(target), facts.noun[1]
    if factor > MANY:
        return f" A difference of {target:g} is out of reach of more {kind} alone: equal runs differ by about as much."
    if factor < 2:
        return ""
    return f" To see a difference of {target:g} takes about {rounded(factor * units.count)} {kind}, {rounded(factor)} times as many."


def small(facts: Compared) -> Caution | None:
    """Where there are few groups, or few units of any kind."""
    count, grouped, kind = facts.units.count, facts.units.grouped, facts.noun[1]
    if grouped and count < FEW:
        message = (
            f"Only {counted(count, *facts.noun)}: intervals rest on groups, and on so few they are rough."
        )
        return (
            "FEW_GROUPS",
            message,
            f"Add more groups (patients, slides, sources), at least {FEW}.",
        )
    if count >= SMALL:
        return None
    message = f"Only {counted(count, *facts.noun)}: intervals are wide, and may still be too narrow if rare failures exist."
    return "N_SMALL", message, f"Add {kind}; below {SMALL} only large differences can be seen."


def _seeds(facts: Facts) -> Caution | None:
    if len(facts.rows.repeats) > 1:
        return None
    message = (
        "Every fold was trained once: how much seeds and splits matter is estimated from the folds alone."
    )
    return "ONE_SEED", message, "Set validate.repeats to 3 before you rely on small differences."


def _rare(facts: Facts) -> Caution | None:
    classes, cure = facts.rows.classes, "Add images of them, merge classes, or state fewer folds."
    absent = [classes[k] for k in facts.rows.unscored]
    rare = [
        name for name, number in zip(classes, facts.rows.num_having, strict=False) if number < MIN_POSITIVES
    ]
    told = []
    if absent:
        verb = counted(len(absent), "class cannot", "classes cannot")
        whole = len(absent) >= len(classes) - (facts.rows.family == "segmentation")
        effect = "no class can" if whole else "averages over classes leave them out"
        told.append(f"{verb} be learned and tested in every fold ({_listed(absent, 12)}): {effect}.")
    if rare:
        verb = counted(len(rare), "class has", "classes have")
        told.append(
            f"{verb} fewer than {MIN_POSITIVES} images or groups with it, or without it ({_listed(rare, 12)}): "
            "what is said of them is a description, not a test."
        )
    return ("RARE_CLASS", " ".join(told), cure) if told else None


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _degenerate(facts: Facts) -> Caution | None:
    rows, name = facts.rows, facts.known.metric.name
    if (
        name == "auroc"
        and facts.known.scored
        and all(_hard(scored) for scored in facts.known.scored.values())
    ):
        message = "AUROC equals balanced accuracy in every configuration: the scores are hard labels, not probabilities."
        return "DEGENERATE_METRIC", message, "Judge by balanced_accuracy."
    if name == "accuracy" and rows.truth is not None:
        share = rows.truth.mean(axis=0)
        if rows.family == "binary" and not SKEWED <= share[1] <= 1 - SKEWED:
            message = f"Accuracy decides, but {100 * share.max():.0f} % of the images are of one class, so it mostly says how common that class is."
            return "DEGENERATE_METRIC", message, "Judge by balanced_accuracy or average_precision."
    if name.startswith("pixel_accuracy"):
        return (
            "DEGENERATE_METRIC",
            "Pixel accuracy decides; where the background is large, it hardly sees the objects.",
            "Judge by dice_img_macro.",
        )
    return None


def _hard(scored: Scored) -> bool:
    area, balanced = scored.estimates["auroc"], scored.estimates["balanced_accuracy"]
    return abs(area - balanced) < 1e-9 and area < 1 - 1e-9  # a perfect model reaches 1 in both


def _scarce(facts: Facts) -> Caution | None:
    names = scarce(facts.rows)
    if not names:
        return None
    message = f"Thresholds are the best of each label's own sample, and {_listed(names, 3)} {'has' if len(names) == 1 else 'have'} fewer than 100 images in an inner validation: the best threshold of so few is mostly luck."
    return (
        "SCARCE_THRESHOLDS",
        message,
        "Leave judge.thresholds out, or set it to shrunk; nothing is trained anew.",
    )


RULES: tuple[Callable[[Facts], Caution | None], ...] = (small, _seeds, _rare, _degenerate, _scarce)


def _training(facts: Facts, records: Sequence[Record]) -> Iterator[Caution]:
    late = [record["name"] for record in records if _undertrained(facts, record)]
    if late:
        message = f"In most fits of {_listed(late, 3)} the best epoch is among the last 5 %, and training was still improving."
        cure = "Set train.epochs higher; every configuration should have stopped improving."
        yield "UNDERTRAINED", message, cure
    yield from _edge(records)


def _undertrained(facts: Facts, record: Record) -> bool:
    metric = facts.known.metric
    if metric.bounded and metric.higher_is_better and (record["estimate"] or 0) > 1 - 1e-9:
        return False  # nothing is left to gain
    done = [
        fit for fit in facts.rows.done(record["id"]) if fit.epochs_planned and fit.result.get("best_epoch")
    ]
    return sum(_still_improving(fit) for fit in done) > len(done) / 2


def _still_improving(fit: Fit) -> bool:
    """Whether the best epoch is among the last 5 %, and the last fifth of the epochs was worth it.

    Worth it is a gain in the score that chooses the epoch of more than 5 % of what the whole training gained, or of
    a tenth of the first score where the whole training gained less: a log-loss that falls by a hair is no reason.
    """
    planned = fit.epochs_planned or 0
    if fit.result["best_epoch"] <= LATE * planned:
        return False
    scores = {
        epoch["epoch"]: epoch.get("val_steady", epoch.get("val_score"))
        for epoch in fit.result.get("epochs", [])
    }
    known = {number: score for number, score in scores.items() if score is not None}
    best, before = known.get(fit.result["best_epoch"]), [s for n, s in known.items() if n <= TAIL * planned]
    if best is None or not before:
        return True
    gain = min(
        abs(best - score) for score in before
    )  # the best epoch is the best of all, whichever way is better
    whole = max(abs(best - before[0]), abs(before[0]) / 10)
    return bool(gain > GAIN * whole)


def _edge(records: Sequence[Record]) -> Iterator[Caution]:
    """Where the winner's level of a numeric factor is the lowest or highest tried."""
    if not records or records[0]["verdict"] != "winner":
        return
    for factor, level in records[0]["levels"].items():
        kind, value = _numeric(level)
        tried = [_numeric(record["levels"].get(factor, "")) for record in records]
        values = sorted({number for other, number in tried if other == kind and number is not None})
        if value is not None and len(values) >= GRID and value in (values[0], values[-1]):
            side = "lowest" if value == values[0] else "highest"
            message = f"The winner has {factor} {level}, the {side} that was tried: a value beyond it may be better."
            yield "EDGE_OF_GRID", message, f"Add a level of {factor} beyond {level}."


def _numeric(level: str) -> tuple[str, float | None]:
    """``0.01`` -> ("", 0.01); ``adam (lr 0.01)`` -> ("adam (lr )", 0.01); no number, or more than one, -> None."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", level)
    if len(numbers) != 1:
        return level, None
    return level.replace(numbers[0], "", 1), float(numbers[0])


def optimism(facts: Compared, records: Sequence[Record]) -> Caution | None:
    """Where the winner's score flatters it by more than half of what is of consequence."""
    chosen, sign = facts.known.selected, facts.known.sign
    if chosen is None or chosen.optimism <= facts.judge.equivalent_within / 2:
        return None
    digits = digits_of(records[0])
    naive, corrected = f"{sign * chosen.naive:.{digits}f}", f"{sign * chosen.corrected:.{digits}f}"
    if corrected == naive:
        corrected = f"{show(chosen.optimism)} worse"
    low, high = sorted((sign * chosen.low, sign * chosen.high))
    message = (
        f"The winner was chosen among {len(facts.known.comparable)} by the same score that it is quoted with, "
        f"which flatters it: freed from the luck of the choice, {naive} becomes about {corrected} "
        f"({100 * (1 - facts.judge.alpha):g} % interval {low:.{digits}f} to {high:.{digits}f})."
    )
    cure = "Quote the corrected score, or score the winner once on images kept apart."
    return "SELECTION_OPTIMISM", message, cure
