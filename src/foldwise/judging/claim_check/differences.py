"""The differences that a comparison quotes, and their intervals, against those of what is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from foldwise.judging.claim_check.finding import FALSE, TRUE, UNCHECKED, Verdict, in_units, printed
from foldwise.judging.claim_check.mentions import Told
from foldwise.judging.claim_check.numbers import ends_agree
from foldwise.judging.claim_check.reading import Quantity
from foldwise.judging.claim_check.scope import Span
from foldwise.judging.claim_check.table import Measure
from foldwise.judging.claim_check.telling import Answer


def differences_agree(
    told: Told, span: Span, measure: Measure, answers: Sequence[Answer], used: set[int]
) -> list[tuple[Verdict, str]]:
    """Of every difference that is quoted in a part of the sentence, and of the interval after it: whether it is so, and why."""
    made: list[tuple[Verdict, str]] = []
    for quantity, interval in _quoted(told, span, used):
        agrees, said = _difference(quantity, measure, answers)
        made.append((TRUE if agrees else FALSE, said))
        if interval is not None:
            ends = [_turned(end, quantity, answers) for answer in answers for end in answer.intervals]
            compared = [ends_agree(interval, measure, end) for end in ends]
            right = next((found for found in compared if found[0] == TRUE), compared[0] if compared else None)
            made.append(right or (UNCHECKED, "There is no interval to compare with."))
    return made


def _turned(end: tuple[float, float], quantity: Quantity, answers: Sequence[Answer]) -> tuple[float, float]:
    """The interval in the direction in which the difference is printed, which has no sign."""
    apart = next((answer.apart for answer in answers if answer.apart), 0.0)
    return (-end[1], -end[0]) if apart * (quantity.low or 1.0) < 0 else end


def _quoted(told: Told, span: Span, used: set[int]) -> Iterator[tuple[Quantity, Quantity | None]]:
    """The differences in a part of the sentence, each with the interval after it."""
    for one in told.quantities:
        if one.kind == "difference" and one.start not in used and span[0] <= one.start < span[1]:
            interval = told.interval_after(one)
            used |= {each.start for each in (one, interval) if each}
            yield one, interval


def _difference(quantity: Quantity, measure: Measure, answers: Sequence[Answer]) -> tuple[bool, str]:
    """Whether a printed difference is that of what is compared, or of one of the pairs; of a range its ends."""
    each = sorted(abs(value) if quantity.low >= 0 else value for answer in answers for value in answer.each)
    whole = [abs(answer.apart) for answer in answers if answer.apart is not None]
    if not each:
        return False, f"There is no difference to compare {printed(quantity)} with."
    scale = quantity if quantity.percent or quantity.low < 1 else replace(quantity, percent=True)
    shown = [
        f"{in_units(scale, measure, value):.{max(*quantity.digits, 2)}f}" for value in (each[0], each[-1])
    ]
    if quantity.is_range:
        right = all(
            abs(in_units(scale, measure, value) - end) <= quantity.tolerance(end)
            for value, end in ((each[0], quantity.low), (each[-1], quantity.high))
        )
        return right, f"The differences go from {shown[0]} to {shown[1]}."
    right = any(
        abs(in_units(scale, measure, value) - abs(quantity.low)) <= quantity.tolerance(quantity.low)
        for value in (*whole, each[-1], each[0])
    )
    mean = f"{in_units(scale, measure, whole[0]):.{max(*quantity.digits, 2)}f}" if whole else shown[0]
    return right, f"The difference is {mean}." if right or len(
        each
    ) == 1 else f"The mean difference is {mean}; they go from {shown[0]} to {shown[1]}."
