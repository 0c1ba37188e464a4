"""Cautions about the choice: what could not be told apart, and what flatters the winner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from foldwise.judging.verdict import VerdictWarning
from foldwise.judging.warnings.facts import Compared, Facts, Record, listed
from foldwise.judging.wording import digits_of, rounded, show, unseen
from foldwise.text import count

GRID = 3
MANY = 1000  # times as many images: nobody has them


def trivial(facts: Facts, told: str, records: Sequence[Record]) -> VerdictWarning | None:
    """Where the best is not shown to be better than a predictor that never looks at the image."""
    if told != "not_better_than_trivial":
        return None
    message = f"The best configuration, {records[0]['name']}, is not shown to be better than a predictor that never looks at the image."
    return VerdictWarning(
        code="TRIVIAL_BASELINE",
        message=message,
        cure="Look at the learning curves and the pictures: train longer, change the learning rate, or check the labels.",
    )


def not_distinguishable(facts: Compared, records: Sequence[Record]) -> VerdictWarning | None:
    """Where more than half could be the best: what could have been seen, and what it takes to see more."""
    could = sum(record["could_be_best"] for record in records)
    if facts.known.comparison is None or could <= max(1, len(facts.known.comparison.p) / 2):
        return None
    detectable = facts.known.comparison.minimal_detectable_difference
    message = (
        f"{could} of {len(facts.known.comparison.p)} configurations could be the best; "
        f"{unseen(detectable, bounded=facts.known.metric.bounded)} with {count(facts.units.count, *facts.noun)}."
    )
    cure = f"Take the cheapest of those that could be best, add repeats, or add {facts.noun[1]}."
    return VerdictWarning(code="NOT_DISTINGUISHABLE", message=message, cure=cure + _needed(facts))


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


def confounded(factors: Record | None) -> VerdictWarning | None:
    """Where two factors always change together, so that nothing can be said of either; none where every one stands alone."""
    told = factors["factors"] if factors else []
    mixed = [
        one["factor"] for one in told if any(pair["conclusion"] == "not estimable" for pair in one["pairs"])
    ]
    names = list(dict.fromkeys(mixed))
    if not names:
        return None
    message = (
        f"What {listed(names, 3)} did cannot be told from what changed with it: some levels are in no two "
        "configurations that differ in it alone."
    )
    cure = "Add the combinations that are missing, or draw no conclusion about it."
    return VerdictWarning(code="CONFOUNDED", message=message, cure=cure)


def edge(records: Sequence[Record]) -> Iterator[VerdictWarning]:
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
            yield VerdictWarning(
                code="EDGE_OF_GRID", message=message, cure=f"Add a level of {factor} beyond {level}."
            )


def _numeric(level: str) -> tuple[str, float | None]:
    """``0.01`` -> ("", 0.01); ``adam (lr 0.01)`` -> ("adam (lr )", 0.01); no number, or more than one, -> None."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", level)
    if len(numbers) != 1:
        return level, None
    return level.replace(numbers[0], "", 1), float(numbers[0])


def optimism(facts: Compared, records: Sequence[Record]) -> VerdictWarning | None:
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
    return VerdictWarning(code="SELECTION_OPTIMISM", message=message, cure=cure)
