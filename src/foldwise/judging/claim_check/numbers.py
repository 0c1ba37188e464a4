"""Claims of a number: the value of a configuration, the best or worst of several, a range, an interval."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from foldwise.judging.claim_check.finding import (
    FALSE,
    TRUE,
    UNCHECKED,
    Check,
    Verdict,
    in_units,
    is_printed,
    named,
    printed,
    told_rows,
    told_value,
)
from foldwise.judging.claim_check.mentions import Told
from foldwise.judging.claim_check.reading import Quantity
from foldwise.judging.claim_check.scope import known, subject
from foldwise.judging.claim_check.table import Measure, Row, Table

KIND = "number"
REACHED = re.compile(
    r"(?:reach|achiev|obtain|scor|attain|yield|had|has|have|got|gets?|at|of|to|was|is|are|were|\bvs\.?|versus|=|:|\(|,|±)\w*\s*(?:a |an |the )?(?:about |around |~)?$|[■]\s*$",
    re.IGNORECASE,
)
MOST = re.compile(r"\b(?:maximum|maximal|highest|best|top|up to|at most|peak)\b", re.IGNORECASE)
LEAST = re.compile(r"\b(?:minimum|minimal|lowest|worst|at least|down to)\b", re.IGNORECASE)


def numbers(told: Told, used: set[int]) -> list[Check]:
    """A check of every score in the sentence that no other kind has used, and of the interval after it."""
    made = []
    for one in told.quantities:
        if one.kind == "score" and one.start not in used and _is_score(told, one):
            interval = told.interval_after(one)
            used |= {each.start for each in (one, interval) if each}
            made.append(_check(told, one, interval))
    return made


def _is_score(told: Told, one: Quantity) -> bool:
    """Whether a number is said to be a score, or a time, of something."""
    if told.measured:
        return (
            bool(one.unit) == any(measure.unit for _, _, of in told.measured for measure in of) or one.percent
        )
    if one.unit:
        return bool(told.mentions) and any(measure.unit for measure in told.table.measures.values())
    default = told.table.measures[told.table.default]
    reached = REACHED.search(told.masked[: one.start])
    fits = one.percent and (any(one.digits) or reached)
    fits = fits or (default.share and 0 <= one.low <= one.high <= 1 and reached)
    return bool((told.mentions or told.missing) and fits)


def _check(told: Told, one: Quantity, interval: Quantity | None) -> Check:
    measures = _measures(told, one)
    if not measures:
        missing = next((told.text[start:end] for start, end, of in told.measured if not of), "such a metric")
        return Check(KIND, f"{printed(one)}", UNCHECKED, f"{told.table.source} has no {missing}.")
    rows, each, who = subject(told, one.start)
    if told.missing and not each:
        return Check(
            KIND,
            f"{printed(one)}",
            UNCHECKED,
            f"{told.table.source} has no configuration {', '.join(told.missing)}.",
        )
    made = [
        _of_measure(told, one, measure, known(told.table, measure, rows), each, who) for measure in measures
    ]
    best = next((check for check in made if check.verdict == TRUE), made[0])
    if interval is None or best.verdict != TRUE:
        return best
    return _with_interval(one, interval, measures[made.index(best)], rows, best)


def _measures(told: Told, one: Quantity) -> Sequence[Measure]:
    near = told.measures(one.start)
    if one.unit:
        timed = [measure for measure in near if measure.unit]
        return timed or [measure for measure in told.table.measures.values() if measure.unit]
    return near


def _of_measure(
    told: Told, one: Quantity, measure: Measure, rows: Sequence[Row], each: bool, who: str
) -> Check:
    claim = f"{who}: {measure.title} {printed(one)}"
    if not rows:
        return Check(KIND, claim, UNCHECKED, f"{told.table.source} has no {measure.title} of {who}.")
    if one.is_range:
        return _range(told.table, one, measure, rows, claim)
    extreme = None if each else _extreme(told, one)
    if extreme is not None:
        wanted = extreme((row.values[measure.name] for row in rows), default=0.0)
        rows = [row for row in rows if row.values[measure.name] == wanted]
    right = [row for row in rows if is_printed(one, measure, row.values[measure.name])]
    if right and (len(right) == len(rows) or not each):
        return Check(KIND, claim, TRUE, _agreed(measure, right, rows))
    mean = sum(row.values[measure.name] for row in rows) / len(rows)
    if not each and len(rows) > 1 and is_printed(one, measure, mean):
        return Check(
            KIND, claim, TRUE, f"it is the mean of {len(rows)} configurations ({told_value(measure, mean)})."
        )
    wrong = [row for row in rows if row not in right]
    return Check(
        KIND, claim, FALSE, f"it is {told_rows(wrong, measure)}. {_whose(told.table, one, measure, rows)}"
    )


def _extreme(told: Told, one: Quantity) -> Callable[..., float] | None:
    """Whether the number is said to be the largest or the smallest: `max`, `min` or None."""
    before = told.masked[max(0, one.start - 45) : one.start]
    most, least = list(MOST.finditer(before)), list(LEAST.finditer(before))
    if most and (not least or most[-1].start() > least[-1].start()):
        return max
    return min if least else None


def _agreed(measure: Measure, right: Sequence[Row], rows: Sequence[Row]) -> str:
    if len(rows) == 1:
        return f"{named(rows[0])} has {told_value(measure, rows[0].values[measure.name])}."
    if len(right) == len(rows):
        return f"all {len(rows)} have it ({told_rows(rows, measure)})."
    values = [row.values[measure.name] for row in rows]
    span = f"{told_value(measure, min(values))} to {told_value(measure, max(values))}"
    return f"{len(right)} of {len(rows)} such configurations have it ({', '.join(named(row) for row in right[:4])}); all go from {span}."


def _whose(table: Table, one: Quantity, measure: Measure, rows: Sequence[Row]) -> str:
    """Where the number does stand: in other rows, or under another metric, or nowhere."""
    others = [
        row
        for row in known(table, measure, table.rows)
        if row not in rows and is_printed(one, measure, row.values[measure.name])
    ]
    if others:
        return f"{printed(one)} is the {measure.title} of {', '.join(named(row) for row in others[:4])}."
    for name, other in table.measures.items():
        if name != measure.name and any(
            name in row.values and is_printed(one, other, row.values[name]) for row in rows
        ):
            return f"{printed(one)} is its {other.title}."
    return f"{printed(one)} is nowhere in the table as {measure.title}."


def _range(table: Table, one: Quantity, measure: Measure, rows: Sequence[Row], claim: str) -> Check:
    ordered = sorted(rows, key=lambda row: row.values[measure.name])
    ends = (ordered[0], one.low), (ordered[-1], one.high)
    wrong = [end for row, end in ends if not is_printed(one, measure, row.values[measure.name], end)]
    low, high = (told_value(measure, row.values[measure.name]) for row, _ in ends)
    if not wrong:
        return Check(KIND, claim, TRUE, f"they go from {low} to {high}.")
    told = f"they go from {low} to {high} ({told_rows([ordered[0], ordered[-1]], measure)})."
    more = [_whose(table, _only(one, end), measure, rows) for end in wrong]
    return Check(KIND, claim, FALSE, " ".join([told, *more]))


def _only(one: Quantity, end: float) -> Quantity:
    digits = one.digits[0] if end == one.low else one.digits[1]
    return replace(one, low=end, high=end, digits=(digits, digits))


def _with_interval(
    one: Quantity, interval: Quantity, measure: Measure, rows: Sequence[Row], check: Check
) -> Check:
    right = [row for row in known_of(rows, measure) if is_printed(one, measure, row.values[measure.name])]
    claim = f"{check.claim}, interval {printed(interval)}"
    ends = next((row.intervals[measure.name] for row in right if measure.name in row.intervals), None)
    if ends is None:
        return Check(KIND, claim, UNCHECKED, f"{check.why} There is no interval to compare with.")
    verdict, why = ends_agree(interval, measure, ends)
    return Check(KIND, claim, verdict, f"{check.why} {why}")


def known_of(rows: Sequence[Row], measure: Measure) -> Iterator[Row]:
    """Those that have a value."""
    return (row for row in rows if measure.name in row.values)


def ends_agree(interval: Quantity, measure: Measure, ends: tuple[float, float]) -> tuple[Verdict, str]:
    """Whether a printed interval is the one that is known, and why; per cent need not be said of both ends."""
    low, high = sorted(ends)
    for read in (interval, replace(interval, percent=True)):
        if is_printed(read, measure, low, interval.low) and is_printed(read, measure, high, interval.high):
            return TRUE, "The interval is so."
    told = (in_units(interval, measure, end) for end in (low, high))
    shown = " to ".join(f"{end:.{digits}f}" for end, digits in zip(told, interval.digits, strict=True))
    return FALSE, f"But the interval is {shown}."
