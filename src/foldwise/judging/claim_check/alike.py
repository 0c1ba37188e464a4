"""Claims that two are alike, and that they cannot be told apart: only the first needs a margin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product

from foldwise.judging.claim_check.comparing import comparing_words, next_word
from foldwise.judging.claim_check.differences import differences_agree
from foldwise.judging.claim_check.finding import (
    FALSE,
    TRUE,
    UNCHECKED,
    UNSUPPORTED,
    Check,
    Verdict,
    gravest,
    named,
    told_value,
)
from foldwise.judging.claim_check.mentions import Mention, Told
from foldwise.judging.claim_check.scope import clause, in_words, levels_of, within
from foldwise.judging.claim_check.table import Measure, Record
from foldwise.judging.claim_check.telling import Answer, Said, intervals, tell_levels, tell_pair, untested
from foldwise.judging.claim_check.wording import ALIKE, BREAK, OPEN, pattern
from foldwise.judging.wording import show

KIND = "alike"
WHICHEVER = Said(higher=True, merit=False)  # the one that is better is not said
TOWARDS = re.compile(r"\s*(?:from|to|with)\b", re.IGNORECASE)
BROKEN = re.compile(BREAK, re.IGNORECASE)
SURE = re.compile(
    r"equivalent|no (?:\w+ ){0,2}differences?|on (?:a )?par|cannot|could not|distinguish|not significantly|differ",
    re.IGNORECASE,
)
OPEN_PAIRS = re.compile(
    r"\b(?P<some>\d+) of (?:the )?(?P<all>\d+) pairs (?:can|could)(?: ?not) be told apart", re.IGNORECASE
)


def likenesses(told: Told, used: set[int]) -> list[Check]:
    """A check of every claim that two are equivalent, comparable, or cannot be told apart."""
    counted = OPEN_PAIRS.search(told.masked)
    if counted:
        return [_counted(told, counted)]
    found = [*pattern(OPEN).finditer(told.masked)]
    open_spans = [one.span() for one in found]
    closed = [
        one
        for one in pattern(ALIKE).finditer(told.masked)
        if all(one.end() <= start or one.start() >= end for start, end in open_spans)
    ]
    made = [check for one in found for check in _check(told, one, used, open_=True)]
    return made + [check for one in closed for check in _check(told, one, used, open_=False)]


def _counted(told: Told, found: re.Match[str]) -> Check:
    """``Of model, 5 of 10 pairs could not be told apart``."""
    of = (told.table.verdict.get("factors") or {}).get("factors", ())
    records = [one for one in of if one["factor"] in told.factors and one["view"] != "as tuned"]
    if len(records) != 1:
        return Check(KIND, found[0], UNCHECKED, "it does not name one factor that was tested.")
    pairs = [pair["conclusion"] for pair in records[0]["pairs"]]
    known = pairs.count("not distinguishable"), len(pairs)
    agrees = (int(found["some"]), int(found["all"])) == known
    return Check(KIND, found[0], TRUE if agrees else FALSE, f"it is so of {known[0]} of {known[1]} pairs.")


def _check(told: Told, one: re.Match[str], used: set[int], *, open_: bool) -> Iterator[Check]:
    span = clause(told, one.start(), apart=BROKEN)
    used |= {word.start for word in comparing_words(told) if span[0] <= word.start < span[1] and open_}
    measures = told.measures()
    two = list(_two(told, one, measures[0])) if len(measures) == 1 else []
    if not two:
        if SURE.search(one[0]) or len(within(told, span)) > 1:
            yield Check(
                KIND,
                one[0],
                UNCHECKED,
                f"it does not name two that {told.table.source} compares, or not one metric.",
            )
        return
    made = [_tell(told, measures[0], record, answer, open_=open_, same=one[0]) for _, record, answer in two]
    claim = (
        f"{' and '.join(two[0][0])}: {one[0]} ({measures[0].title})"
        if len(two) == 1
        else f"{len(two)} pairs: {one[0]}"
    )
    part = one.start(), next_word(told, one.start())
    agreed = differences_agree(told, part, measures[0], [answer for _, _, answer in two], used)
    verdict = gravest([*(verdict for verdict, _ in made), *(verdict for verdict, _ in agreed)])
    why = next(why for said, why in made if said == gravest([said for said, _ in made]))
    yield Check(KIND, claim, verdict, " ".join([why, *(why for _, why in agreed)]))


def _two(
    told: Told, one: re.Match[str], measure: Measure
) -> Iterator[tuple[tuple[str, str], Record | None, Answer]]:
    """Every two that are said to be alike: configurations, else levels of one factor."""
    left, right = _parties(told, one)
    rows, others = ([row for each in told.alone(side) for row in each.rows] for side in (left, right))
    pairs = product(rows, others) if right else combinations(dict.fromkeys(rows), 2)
    found = [(a, b) for a, b in pairs if a is not b]
    for a, b in found:
        known = measure.tested and not (a.baseline or b.baseline)
        record = told.table.pair(a, b) if known else None
        yield (named(a), named(b)), record, tell_pair(told.table, measure, a, b, WHICHEVER)
    if not found:
        yield from _two_levels(told, left, right, measure)


def _parties(told: Told, one: re.Match[str]) -> tuple[list[Mention], list[Mention]]:
    """What is said to be like what: ``a is comparable to b``; of ``a and b are alike`` the second is empty."""
    start, end = clause(told, one.start(), apart=BROKEN)
    if not TOWARDS.match(told.masked[one.end() :]):
        return within(told, (start, end)), []
    left = within(told, (start, one.start())) or within(told, (0, one.start()))[:1]  # "..., and it is like b"
    return left, within(told, (one.end(), end))


def _two_levels(
    told: Told, left: Sequence[Mention], right: Sequence[Mention], measure: Measure
) -> Iterator[tuple[tuple[str, str], Record | None, Answer]]:
    all_levels = levels_of([*left, *right])
    for factor in all_levels:
        levels, others = (
            list(dict.fromkeys(each.levels for each in side if each.factor == factor))
            for side in (left, right)
        )
        rest = {name: of for name, of in all_levels.items() if name != factor}
        for first, second in product(levels, others) if right else combinations(levels, 2):
            known = measure.tested and not rest and first != second
            record = told.table.contrast(factor, set(first), set(second), tuned=told.tuned) if known else None
            said = replace(WHICHEVER, tuned=told.tuned)
            answer = tell_levels(told.table, measure, factor, (first, second), rest, said)
            yield (in_words({factor: first}), in_words({factor: second})), record, answer


def _tell(
    told: Told, measure: Measure, record: Record | None, answer: Answer, *, open_: bool, same: str
) -> tuple[Verdict, str]:
    apart = "" if answer.apart is None else f"The difference is {told_value(measure, abs(answer.apart))}"
    if record is None:
        if answer.apart is None:
            return UNCHECKED, answer.why
        if answer.apart == 0 and not open_:
            return TRUE, f"{apart}: the numbers are equal; {untested(told.table, measure)}."
        return UNSUPPORTED, f"{apart}; {untested(told.table, measure)}."
    low, high = intervals(record, 1.0)[0] if intervals(record, 1.0) else (None, None)
    if low is not None and high is not None:
        apart += f" ({told.table.sure} interval {show(low)} to {show(high)})"
    if record["conclusion"] == "equivalent":
        return TRUE, f"{apart}: they are equivalent."
    if record["conclusion"] == "better":
        return FALSE, f"{apart}: one is better beyond chance."
    if open_:
        return TRUE, f"{apart}: this study cannot tell them apart."
    margin = f" (within {told.table.margin:g})" if told.table.margin else ""
    return UNSUPPORTED, f"{apart}: not shown to differ is not shown to be equal{margin}."
