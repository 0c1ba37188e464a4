"""Claims that one is better, higher or faster than another: which two, in which direction, and how it is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from foldwise.judging.claim_check.differences import differences_agree
from foldwise.judging.claim_check.finding import (
    FALSE,
    TRUE,
    UNCHECKED,
    Check,
    gravest,
)
from foldwise.judging.claim_check.mentions import Mention, Told
from foldwise.judging.claim_check.scope import Span, groups, in_words, levels_of, within
from foldwise.judging.claim_check.table import Measure, Row
from foldwise.judging.claim_check.telling import Answer, Said, tell_levels, tell_pair
from foldwise.judging.claim_check.wording import (
    ALWAYS,
    BREAK,
    COMPARING,
    HEDGED,
    MOSTLY,
    NEGATED,
    OTHERS,
    SIGNIFICANT,
    Word,
    family_of,
    pattern,
)

KIND = "comparison"
RULES = [(pattern(word.pattern), word) for word in COMPARING]
BROKEN = re.compile(BREAK, re.IGNORECASE)
FIRST = re.compile(
    r"^(?:compared (?:with|to)|in contrast to|relative to|unlike|against)\b[^,]*,", re.IGNORECASE
)
SEPARATOR = re.compile(r",\s+(?:and |while )?|\band\b")
THAN = re.compile(r"better|worse|[a-z]+er|(?:more|less) \w+", re.IGNORECASE)
COUNTED = re.compile(r"\bin (?P<agree>\d+)(?: out)? of (?:the |all )?(?P<total>\d+)\b", re.IGNORECASE)
ALL_OTHERS = pattern(OTHERS)


@dataclass(frozen=True)
class Found:
    """A word that compares, where it stands, and the part of the sentence that it compares in."""

    word: Word
    start: int
    end: int
    left: Span
    right: Span


def comparing_words(told: Told) -> list[Found]:
    """The words that compare, in their order; of overlapping ones the first of the table."""
    found: list[Found] = []
    for rule, word in RULES:
        for one in rule.finditer(told.masked):
            if all(one.end() <= other.start or one.start() >= other.end for other in found):
                found.append(Found(word, one.start(), one.end(), *_sides(told, one.start(), one.end())))
    found.sort(key=lambda one: one.start)
    for place in range(1, len(found)):  # what stands between two of them belongs to one of them
        before, behind = found[place - 1], found[place]
        between = list(SEPARATOR.finditer(told.masked, before.end, behind.start))
        if between:
            mark = next((each for each in between if each[0].startswith(",")), between[-1])
            right = before.right[0], min(before.right[1], mark.start())
            left = max(behind.left[0], mark.end()), behind.left[1]
            found[place - 1 : place + 1] = [replace(before, right=right), replace(behind, left=left)]
    return found


def next_word(told: Told, at: int) -> int:
    """Where the next word that compares stands after a place; else the end of the sentence."""
    return min((one.start for one in comparing_words(told) if one.start > at), default=len(told.text))


def _sides(told: Told, start: int, end: int) -> tuple[Span, Span]:
    """What stands left and right of the word in its part of the sentence."""
    marks = [(one.start(), one.end()) for one in BROKEN.finditer(told.masked)]
    begin = max((stop for _, stop in marks if stop <= start), default=0)
    last = min((go for go, _ in marks if go >= end), default=len(told.text))
    for comma in re.finditer(r",\s", told.masked[end:last]):
        after = told.masked[end + comma.end() :]
        if not re.match(r"(?:and |or |the )*[■]", after):
            last = end + comma.start()
            break
    return (begin, start), (end, last)


def comparisons(told: Told, used: set[int]) -> list[Check]:
    """A check of every comparison in the sentence."""
    left = [one for one in comparing_words(told) if one.start not in used]
    ahead = [one for one in left if ALL_OTHERS.search(told.masked[one.start : one.right[1]])]
    return [_check(told, one, used) for one in left if one not in ahead]


def _check(told: Told, one: Found, used: set[int]) -> Check:
    words = told.text[one.start : one.end]
    measures = measures_of(told, one)
    if len(measures) != 1:
        what = " or ".join(measure.title for measure in measures) or "this metric"
        return Check(
            KIND,
            f"{words}",
            UNCHECKED,
            f"it is not clear by which metric: {what}."
            if measures
            else f"{told.table.source} has no such metric.",
        )
    a, b = _parties(told, one)
    if not a or not b:
        return Check(KIND, words, UNCHECKED, _nothing(told, a, b))
    claim = f"{_said_of(a)} {words}{' than' if THAN.fullmatch(words) else ''} {_said_of(b)}"
    if pattern(HEDGED).search(told.masked[one.left[0] : one.start]):
        return Check(KIND, claim, UNCHECKED, "the sentence says what may be; only what is can be looked up.")
    said = _how(told, one, measures[0])
    if said is None:
        return Check(KIND, claim, UNCHECKED, f"which way is better is not known of {measures[0].title}.")
    answers = list(_answers(told, measures[0], a, b, said))
    if not answers:
        return Check(
            KIND,
            claim,
            UNCHECKED,
            "the two differ in more than one factor, and neither is a single configuration.",
        )
    return _together(told, one, claim + _qualified(said, measures[0]), answers, measures[0], used)


def measures_of(told: Told, one: Found) -> Sequence[Measure]:
    """The measure that a comparing word speaks of."""
    if one.word.of:
        near = [measure for measure in told.measures(one.start) if family_of(measure.name) in one.word.of]
        of = near or [m for m in told.table.measures.values() if family_of(m.name) in one.word.of]
        training = [m for m in of if family_of(m.name) == "trainingtime"]
        return training if len(of) > 1 and re.search(r"\btrain", told.text) else of
    inside = [measured for start, _, measured in told.measured if one.left[0] <= start < one.right[1]]
    return inside[0] if inside else told.measures()


def _how(told: Told, one: Found, measure: Measure) -> Said | None:
    way, higher = one.word.way, measure.higher_is_better
    if way in ("better", "worse") and higher is None:
        return None
    region, before = told.masked[one.left[0] : one.right[1]], told.masked[one.left[0] : one.start]
    return Said(
        higher=way == "more" or ((way == "better") == bool(higher) and way != "less"),
        merit=one.word.merit,
        always=bool(pattern(ALWAYS).search(region)),
        mostly=bool(pattern(MOSTLY).search(region)),
        significant=bool(pattern(SIGNIFICANT).search(told.masked)),
        tuned=told.tuned,
        negated=bool(re.search(rf"(?<!\w)(?:{NEGATED})\b[^,;]{{0,40}}$", before, re.IGNORECASE)),
    )


def _parties(told: Told, one: Found) -> tuple[list[Mention], list[Mention]]:
    """The names left and right of the word; what the sentence begins by comparing with stands on the right."""
    left, right = within(told, one.left), within(told, one.right)
    opening = FIRST.match(told.masked)
    if opening and opening.end() <= one.start:
        return [m for m in left if m.start >= opening.end()], [
            m for m in left if m.start < opening.end()
        ] + right
    return left, right


def _nothing(told: Told, a: Sequence[Mention], b: Sequence[Mention]) -> str:
    if not a and not b:
        return f"it compares, but names nothing that {told.table.source} has."
    return f"of what it compares, {told.table.source} has {_said_of(a or b)} alone; the other is not named, or is not in it."


def _said_of(mentions: Sequence[Mention]) -> str:
    each = [one for one in mentions if one.alone]
    return " and ".join(dict.fromkeys(one.said for one in each)) if each else in_words(levels_of(mentions))


def _qualified(said: Said, measure: Measure) -> str:
    words = [
        ("not ", said.negated),
        (" in all settings", said.always),
        (" mostly", said.mostly),
        (" beyond chance", said.significant),
    ]
    return (
        "".join(word for word, holds in words[1:] if holds)
        + f" ({'not so, ' if said.negated else ''}{measure.title})"
    )


def _answers(
    told: Told, measure: Measure, a: Sequence[Mention], b: Sequence[Mention], said: Said
) -> Iterator[Answer]:
    """One answer for every two that are compared."""
    rows_a, rows_b = _rows(told, a, last=True), _rows(told, b, last=False)
    wanted_a, wanted_b = levels_of(a), levels_of(b)
    apart = [
        factor
        for factor in wanted_a
        if factor in wanted_b and not set(wanted_a[factor]) & set(wanted_b[factor])
    ]
    if rows_a and rows_b:
        for one in rows_a:
            for other in rows_b:
                if one is not other:
                    yield tell_pair(told.table, measure, one, other, said)
    elif len(apart) == 1:
        factor = apart[0]
        rest = {name: levels for name, levels in {**wanted_b, **wanted_a}.items() if name != factor}
        narrowed = {
            name: levels for name, levels in rest.items() if set(levels) != set(told.table.factors[name])
        }
        for one_level in _named_levels(a, factor):
            for other_level in _named_levels(b, factor):
                yield tell_levels(told.table, measure, factor, (one_level, other_level), narrowed, said)


def _named_levels(mentions: Sequence[Mention], factor: str) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(one.levels for one in mentions if one.factor == factor))


def _rows(told: Told, mentions: Sequence[Mention], *, last: bool) -> list[Row]:
    """The configurations that are named one by one, nearest to the word; or the single one that has all the levels."""
    each = groups(told, told.alone(mentions))
    if each:
        return [row for one in each[-1 if last else 0] for row in one.rows]
    found = told.table.holding(levels_of(mentions))
    return found if len(found) == 1 else []


def _together(
    told: Told, one: Found, claim: str, answers: Sequence[Answer], measure: Measure, used: set[int]
) -> Check:
    """The worst answer of all that are compared, with the differences that the sentence quotes."""
    worst = next(
        answer for answer in answers if answer.verdict == gravest([each.verdict for each in answers])
    )
    agreed = differences_agree(told, (one.start, next_word(told, one.start)), measure, answers, used)
    verdicts = [worst.verdict, *(verdict for verdict, _ in agreed)]
    why = [worst.why, *(words for _, words in agreed)]
    count = COUNTED.search(told.masked[one.start :])
    if count:
        agrees, said = _tallied(count, answers)
        verdicts.append(TRUE if agrees else FALSE)
        why.append(said)
        if agrees and len(set(verdicts)) > 1 and not worst.intervals and worst.verdict != FALSE:
            verdicts = [TRUE]  # a count is a count: it needs no test
    return Check(KIND, claim, gravest(verdicts), " ".join(part for part in why if part))


def _tallied(count: re.Match[str], answers: Sequence[Answer]) -> tuple[bool, str]:
    """Whether it is so in as many pairs as the sentence says."""
    known = answers[0].counts
    agrees = len(answers) == 1 and (int(count["agree"]), int(count["total"])) in known
    return agrees, "" if agrees or not known else f"It is so in {known[0][0]} of {known[0][1]}."
