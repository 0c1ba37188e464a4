"""What the numbers, and where there were tests the tests, say of two configurations or of two levels of a factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foldwise.judging.claim_check.finding import (
    FALSE,
    TRUE,
    UNCHECKED,
    UNSUPPORTED,
    Verdict,
    named,
    told_value,
)
from foldwise.judging.claim_check.table import Measure, Record, Row, Table
from foldwise.judging.wording import capital, show
from foldwise.text import count

MAX_AGAINST = 3
NOTHING_TESTED = "numbers only: {}, so nothing says what is chance"


@dataclass(frozen=True)
class Said:
    """How a comparison is said.

    Attributes:
        higher: whether the first is said to have the larger number.
        merit: ``better``, against ``higher``.
        always, mostly: in all settings, in most.
        significant: beyond chance.
        negated: the first is said not to be so.
        tuned: of levels, the best setting of each.
    """

    higher: bool
    merit: bool = True
    always: bool = False
    mostly: bool = False
    significant: bool = False
    negated: bool = False
    tuned: bool = False


@dataclass(frozen=True)
class Answer:
    """A verdict, why, and the differences that a text may quote with it.

    Attributes:
        apart: the first minus the second, of the whole comparison.
        each: of every matched pair.
        intervals: of `apart`, those that the verdict tells.
        counts: in how many of how many pairs it is so, as the verdict tells it and pair by pair.
    """

    verdict: Verdict
    why: str
    apart: float | None = None
    each: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    counts: tuple[tuple[int, int], ...] = ()


def untested(table: Table, measure: Measure) -> str:
    """Why nothing was tested by a measure."""
    if not table.verdict:
        return NOTHING_TESTED.format("a table of averages has no scores per image")
    if measure.tested:
        return NOTHING_TESTED.format("these two were not tested against each other")
    return NOTHING_TESTED.format(f"only {table.verdict['metric']['title']} was tested")


def tell_pair(table: Table, measure: Measure, a: Row, b: Row, said: Said) -> Answer:
    """Two configurations."""
    if measure.name not in a.values or measure.name not in b.values:
        return Answer(UNCHECKED, f"there is no {measure.title} of both.")
    apart = a.values[measure.name] - b.values[measure.name]
    told = f"{named(a)} has {told_value(measure, a.values[measure.name])}, {named(b)} {told_value(measure, b.values[measure.name])}"
    if a.baseline != b.baseline and measure.tested:
        return _against_baseline(table, (a, b), said, apart, told)
    record = table.pair(a, b) if measure.tested else None
    ends = intervals(record, apart) if record else ()
    if record and len(table.factors) == 1:  # then the levels of the factor are the configurations
        ((factor, _),) = table.factors.items()
        levels = table.contrast(factor, {a.levels[factor]}, {b.levels[factor]})
        ends += intervals(levels, apart) if levels and levels["difference"] is not None else ()
    agrees = apart > 0 if said.higher else apart < 0
    if said.negated:
        return Answer(*_negated(table, measure, record, agrees, said, told), apart, (apart,), ends)
    if not agrees:
        way = "they are equal" if apart == 0 else "it is the other way round"
        return Answer(FALSE, f"{told}: {way}.", apart, (apart,), ends)
    if record is None:
        verdict = UNSUPPORTED if said.merit or said.significant else TRUE
        return Answer(verdict, f"{told}; {untested(table, measure)}.", apart, (apart,))
    return Answer(*_by_test(table, record, told, _ruled_out(a, b)), apart, (apart,), ends)


def _ruled_out(a: Row, b: Row) -> bool:
    """Whether the first is the winner and the second cannot be the best."""
    return a.standing.get("verdict") == "winner" and b.standing.get("verdict") == "worse"


def intervals(record: Record, apart: float) -> tuple[tuple[float, float], ...]:
    """The intervals of a pair, in the direction of `apart`."""
    found = []
    for low, high in (("low_all", "high_all"), ("low", "high")):
        if record.get(low) is not None:
            ends = sorted((record[low], record[high]))
            turned = (record["difference"] or 0.0) * apart < 0
            found.append((-ends[1], -ends[0]) if turned else (ends[0], ends[1]))
    return tuple(found)


def _by_test(table: Table, record: Record, told: str, ruled_out: bool = False) -> tuple[Verdict, str]:
    """The estimates agree with the claim: what the test says."""
    low, high = (
        intervals(record, record["difference"] or 0.0)[0] if record.get("low") is not None else (None, None)
    )
    apart = f"difference {show(record['difference'])}"
    if low is not None and high is not None:
        apart += f", {table.sure} interval {show(low)} to {show(high)}"
    if (
        record["conclusion"] == "better"
        or ruled_out
        or (low is not None and high is not None and low * high > 0)
    ):
        note = (
            "; it is within the margin that was called of no consequence"
            if record["conclusion"] == "equivalent"
            else ""
        )
        return TRUE, f"{told} ({apart}): beyond chance{note}."
    if record["conclusion"] == "equivalent":
        return UNSUPPORTED, f"{told} ({apart}): they are equivalent."
    if record["conclusion"] == "not distinguishable":
        return UNSUPPORTED, f"{told} ({apart}): this study cannot tell them apart."
    return UNSUPPORTED, f"{told}: this difference was {record['conclusion']}."


def _negated(
    table: Table, measure: Measure, record: Record | None, agrees: bool, said: Said, told: str
) -> tuple[Verdict, str]:
    """``a is not (significantly) better than b``."""
    shown = record is not None and record["conclusion"] == "better"
    if agrees and shown:
        return FALSE, f"{told}: beyond chance."
    if not agrees or (said.significant and record is not None):
        return TRUE, f"{told}{': this study cannot tell them apart' if agrees else ''}."
    why = "this study cannot tell them apart" if record else untested(table, measure)
    return UNSUPPORTED, f"{told}: the number is so, and {why}."


def _against_baseline(table: Table, pair: tuple[Row, Row], said: Said, apart: float, told: str) -> Answer:
    """A configuration against a shallow baseline or a trivial predictor: only the winner was tested against them."""
    a, b = pair
    configuration, other = (b, a) if a.baseline else (a, b)
    record = next(one for one in table.verdict["baselines"] if one["id"] == other.id)
    good = said.higher == table.measures[table.default].higher_is_better
    ahead = good == (configuration is a)  # whether the configuration is said to be the better one
    alpha = float(table.verdict.get("alpha") or 0.05)
    if record["kind"] == "trivial":
        shown = ahead and table.verdict["state"] != "not_better_than_trivial"
    elif ahead:
        shown = bool(record.get("beaten"))
    else:
        shown = record.get("p_winner") is not None and record["p_winner"] <= alpha
    shown = shown and configuration.standing.get("verdict") == "winner"
    agrees = apart > 0 if said.higher else apart < 0
    if said.negated:
        return Answer(FALSE if shown and agrees else TRUE, f"{told}.", apart, (apart,))
    if not agrees:
        return Answer(FALSE, f"{told}: it is the other way round.", apart, (apart,))
    words = "beyond chance" if shown else "not shown beyond chance"
    return Answer(TRUE if shown else UNSUPPORTED, f"{told}: {words}.", apart, (apart,))


def tell_levels(
    table: Table,
    measure: Measure,
    factor: str,
    levels: tuple[tuple[str, ...], tuple[str, ...]],
    narrowed: Mapping[str, Sequence[str]],
    said: Said,
) -> Answer:
    """Two levels of a factor, over all pairs of configurations that differ in nothing else."""
    if said.tuned:
        return _tell_tuned(table, measure, factor, levels, said)
    pairs = [
        (a, b)
        for a, b in table.matched(factor, *levels, narrowed)
        if measure.name in a.values and measure.name in b.values
    ]
    if not pairs:
        return Answer(UNCHECKED, "no two configurations differ in this alone.")
    each = tuple(a.values[measure.name] - b.values[measure.name] for a, b in pairs)
    record = (
        table.contrast(factor, set(levels[0]), set(levels[1])) if measure.tested and not narrowed else None
    )
    mean = sum(each) / len(each)
    if record is not None and record["difference"] is not None:
        mean = record["difference"] if record["leads"] else -record["difference"]
    agree = sum(value > 0 if said.higher else value < 0 for value in each)
    told = _tally(measure, each, pairs, said)
    ends = intervals(record, mean) if record else ()
    verdict, why = _of_levels(table, measure, record, said, (mean, agree, len(each)), told)
    counts = [(agree, len(each))]
    if record is not None:
        along = record["agree"] if (mean > 0) == said.higher else record["matched"] - record["agree"]
        counts.append((along, record["matched"]))
    return Answer(verdict, why, mean, each, ends, tuple(counts))


def _tell_tuned(
    table: Table,
    measure: Measure,
    factor: str,
    levels: tuple[tuple[str, ...], tuple[str, ...]],
    said: Said,
) -> Answer:
    """Two levels by the best setting of each, which only a verdict tells."""
    record = table.contrast(factor, set(levels[0]), set(levels[1]), tuned=True) if measure.tested else None
    if record is None or record["difference"] is None:
        return Answer(UNCHECKED, "nothing is told of the best settings of these two.")
    apart = record["difference"] if record["leads"] else -record["difference"]
    if (apart > 0) != said.higher or apart == 0:
        return Answer(
            FALSE, "It is the other way round, or equal.", apart, (apart,), intervals(record, apart)
        )
    verdict, why = _by_test(table, record, "the best settings")
    return Answer(verdict, why, apart, (apart,), intervals(record, apart))


def _of_levels(
    table: Table,
    measure: Measure,
    record: Record | None,
    said: Said,
    counts: tuple[float, int, int],
    told: str,
) -> tuple[Verdict, str]:
    mean, agree, total = counts
    agrees = mean > 0 if said.higher else mean < 0
    if said.negated:
        if said.always:
            return (TRUE if agree < total else FALSE), told
        return _negated(table, measure, record, agrees, said, told.rstrip("."))
    if said.always and agree < total:
        return FALSE, told
    if not agrees:
        return FALSE, f"{told} The mean is {'equal' if mean == 0 else 'the other way round'}."
    if said.mostly and 2 * agree <= total:
        return FALSE, told
    if record is not None and (said.merit or said.significant or not said.always):
        return _by_test(table, record, told.rstrip("."))
    if (said.always or said.mostly or not said.merit) and not said.significant:
        return TRUE, f"{told} {capital(untested(table, measure))}."
    return UNSUPPORTED, f"{told} {capital(untested(table, measure))}."


def _tally(measure: Measure, each: Sequence[float], pairs: Sequence[tuple[Row, Row]], said: Said) -> str:
    """``In 8 of 12 matched pairs it is so, in 4 they are equal; against it: ...``, with the mean difference."""
    sign = 1 if said.higher else -1
    equal = sum(value == 0 for value in each)
    against = [(value, a, b) for value, (a, b) in zip(each, pairs, strict=True) if sign * value < 0]
    agree = len(each) - equal - len(against)
    mean = show(sum(each) / len(each))
    text = f"It is so in {agree} of {count(len(each), 'matched pair')}"
    text += f", equal in {equal}" if equal else ""
    text += f", the other way round in {len(against)}" if against else ""
    shown = "; ".join(
        f"{named(a)} {told_value(measure, a.values[measure.name])} against {named(b)} {told_value(measure, b.values[measure.name])}"
        for _, a, b in against[:MAX_AGAINST]
    )
    return f"{text} (mean difference {mean}{'; against it: ' + shown if shown else ''})."
