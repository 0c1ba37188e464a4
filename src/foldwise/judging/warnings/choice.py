"""Warnings about the choice: what could not be told apart, and what flatters the winner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from foldwise.judging.judgement import Judgement
from foldwise.judging.verdict import State, VerdictWarning
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import FactorsSection
from foldwise.judging.wording import digits_of, rounded, show, unseen
from foldwise.text import count, some

MIN_LEVELS = 3  # of a numeric factor: of two, each is at an end
MAX_TIMES = 1000  # times as many images: nobody has them


def trivial(state: State, configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    """Where the best is not shown to be better than a predictor that never looks at the image."""
    if state != "not_better_than_trivial":
        return None
    message = f"The best configuration, {configurations[0].name}, is not shown to be better than a predictor that never looks at the image."
    cure = "Look at the learning curves and the pictures: train longer, change the learning rate, or check the labels."
    return VerdictWarning(code="TRIVIAL_BASELINE", message=message, cure=cure)


def not_distinguishable(
    judgement: Judgement, configurations: Sequence[ConfigurationResult]
) -> VerdictWarning | None:
    """Where more than half could be the best: what could have been seen, and what it takes to see more."""
    could, comparison = (
        sum(configuration.could_be_best for configuration in configurations),
        judgement.comparison,
    )
    if comparison is None or could <= max(1, len(comparison.p) / 2):
        return None
    nothing = unseen(comparison.minimal_detectable_difference, bounded=judgement.metric.bounded)
    units = count(judgement.units.count, *judgement.noun)
    message = f"{could} of {len(comparison.p)} configurations could be the best; {nothing} with {units}."
    cure = f"Take the cheapest of those that could be best, add repeats, or add {judgement.noun[1]}."
    return VerdictWarning(code="NOT_DISTINGUISHABLE", message=message, cure=cure + _needed(judgement))


def _needed(judgement: Judgement) -> str:
    """How many units it takes to see the difference that is just of consequence."""
    comparison, target, kind = judgement.comparison, judgement.judge.equivalent_within, judgement.noun[1]
    assert comparison is not None
    if not 0 < target < comparison.minimal_detectable_difference:
        return ""
    times = comparison.times_as_many(target)
    if times > MAX_TIMES:
        return f" A difference of {target:g} is out of reach of more {kind} alone: equal runs differ by about as much."
    if times < 2:
        return ""
    number = rounded(times * judgement.units.count)
    return f" To see a difference of {target:g} takes about {number} {kind}, {rounded(times)} times as many."


def confounded(factors: FactorsSection | None) -> VerdictWarning | None:
    """Where two factors always change together, so that nothing can be said of either."""
    effects = factors.factors if factors else ()
    mixed = [
        effect.factor
        for effect in effects
        if any(pair.conclusion == "not estimable" for pair in effect.pairs)
    ]
    if not mixed:
        return None
    message = (
        f"What {some(dict.fromkeys(mixed), 3)} did cannot be told from what changed with it: some levels are in no two "
        "configurations that differ in it alone."
    )
    cure = "Add the combinations that are missing, or draw no conclusion about it."
    return VerdictWarning(code="CONFOUNDED", message=message, cure=cure)


def edge(configurations: Sequence[ConfigurationResult]) -> Iterator[VerdictWarning]:
    """Where the winner's level of a numeric factor is the lowest or highest tried."""
    if not configurations or configurations[0].verdict != "winner":
        return
    for factor, level in configurations[0].levels.items():
        kind, value = _numeric(level)
        tried = [_numeric(configuration.levels.get(factor, "")) for configuration in configurations]
        values = sorted({number for other, number in tried if other == kind and number is not None})
        if value is not None and len(values) >= MIN_LEVELS and value in (values[0], values[-1]):
            side = "lowest" if value == values[0] else "highest"
            message = f"The winner has {factor} {level}, the {side} that was tried: a value beyond it may be better."
            cure = f"Add a level of {factor} beyond {level}."
            yield VerdictWarning(code="EDGE_OF_GRID", message=message, cure=cure)


def _numeric(level: str) -> tuple[str, float | None]:
    """``0.01`` -> ("", 0.01); ``adam (lr 0.01)`` -> ("adam (lr )", 0.01); no number, or more than one, -> None."""
    numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", level)
    if len(numbers) != 1:
        return level, None
    return level.replace(numbers[0], "", 1), float(numbers[0])


def optimism(judgement: Judgement, configurations: Sequence[ConfigurationResult]) -> VerdictWarning | None:
    """Where the winner's score flatters it by more than half of what is of consequence."""
    selected, sign = judgement.selected, judgement.sign
    if selected is None or selected.optimism <= judgement.judge.equivalent_within / 2:
        return None
    digits = digits_of(configurations[0])
    naive, corrected = f"{sign * selected.naive:.{digits}f}", f"{sign * selected.corrected:.{digits}f}"
    if corrected == naive:
        corrected = f"{show(selected.optimism)} worse"
    low, high = sorted((sign * selected.low, sign * selected.high))
    message = (
        f"The winner was chosen among {len(judgement.comparable)} by the same score that it is quoted with, "
        f"which flatters it: freed from the luck of the choice, {naive} becomes about {corrected} "
        f"({judgement.confidence} interval {low:.{digits}f} to {high:.{digits}f})."
    )
    cure = "Quote the corrected score, or score the winner once on images kept apart."
    return VerdictWarning(code="SELECTION_OPTIMISM", message=message, cure=cure)
