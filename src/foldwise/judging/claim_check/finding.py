"""What is said of a claim: a verdict, what was read in the sentence, and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from foldwise.judging.claim_check.reading import Quantity
from foldwise.judging.claim_check.table import UNITS_S, Measure, Row
from foldwise.judging.wording import show

Verdict = Literal["true", "false", "not supported", "cannot check"]
TRUE: Verdict = "true"
FALSE: Verdict = "false"
UNSUPPORTED: Verdict = "not supported"
UNCHECKED: Verdict = "cannot check"
GRAVEST: tuple[Verdict, ...] = (FALSE, UNSUPPORTED, UNCHECKED, TRUE)
MAX_NAMED = 4


@dataclass(frozen=True)
class Check:
    """One claim of a sentence.

    Attributes:
        kind: a name of `kinds.KINDS`.
        claim: what was read.
        verdict: of it.
        why: the evidence, in a sentence.
    """

    kind: str
    claim: str
    verdict: Verdict
    why: str


def gravest(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict of a sentence: that of the worst of its claims."""
    return next(one for one in GRAVEST if one in verdicts)


def told_value(measure: Measure, value: float) -> str:
    """A number of the table as a reader compares it: a share that a text may say in per cent with two digits more."""
    if measure.unit:
        return f"{value:.3g} {measure.unit}"
    return f"{value:.4f}".rstrip("0").ljust(4, "0") if measure.share else show(value)


def told_rows(rows: Sequence[Row], measure: Measure) -> str:
    """``a 0.91, b 0.87 and 3 more``."""
    told = [f"{named(row)} {told_value(measure, row.values[measure.name])}" for row in rows[:MAX_NAMED]]
    return ", ".join(told) + (f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else "")


def named(row: Row) -> str:
    """The name of a row; of a number also what it stands for."""
    if not row.name.isdigit():
        return row.name
    return f"#{row.name} ({' · '.join(row.levels.values())})" if row.levels else f"#{row.name}"


def printed(quantity: Quantity) -> str:
    """A number as the text has it."""
    ends = [
        f"{one:.{digits}f}"
        for one, digits in zip((quantity.low, quantity.high), quantity.digits, strict=True)
    ]
    unit = " %" if quantity.percent else f" {quantity.unit}" if quantity.unit else ""
    return " to ".join(dict.fromkeys(ends)) + unit


def in_units(quantity: Quantity, measure: Measure, value: float) -> float:
    """A value of the table in the units that the text prints: per cent, minutes."""
    if quantity.unit and measure.unit:
        spelt = quantity.unit
        unit = "ms" if spelt.startswith(("ms", "milli")) else "min" if spelt.startswith("min") else spelt[0]
        return value * UNITS_S[measure.unit] / UNITS_S[unit]
    large = quantity.kind == "score" and quantity.low > 1
    in_percent = measure.share and (quantity.percent or large)
    return 100 * value if in_percent else value


def is_printed(quantity: Quantity, measure: Measure, value: float, end: float | None = None) -> bool:
    """Whether a value of the table, rounded as the text rounds, is the number (or the given end of the range)."""
    wanted = quantity.low if end is None else end
    return abs(in_units(quantity, measure, value) - wanted) <= quantity.tolerance(wanted)
