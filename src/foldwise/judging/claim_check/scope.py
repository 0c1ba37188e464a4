"""Which part of a sentence a word or a number speaks of, and which configurations that part names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from foldwise.judging.claim_check.mentions import Mention, Told
from foldwise.judging.claim_check.table import Measure, Row, Table
from foldwise.judging.claim_check.wording import BREAK, SCOPES

BREAK_RULE = re.compile(BREAK, re.IGNORECASE)
GLUE = re.compile(r"[\s,;&()/]*(?:and|or|with|plus)?[\s,()/]*(?:the |a )?")
APART = re.compile(rf"{BREAK}|\b(?:than|compared (?:to|with)|against)\b", re.IGNORECASE)
PIECE = re.compile(r",(?=\s)|\band\b")
NARROWING = re.compile(
    r"\b(?:for|on|in|with|under|when|within|among|across|over)\s+(?:(?:the|a|an|all|both|every|each|our|any|most|some|of)\s+)*(?!(?:the|a|an|all|both|every|each|our|any|most|some|of)\b)([a-z][a-z-]+(?:\s[a-z]+)?)",
    re.IGNORECASE,
)
Span = tuple[int, int]


def within(told: Told, span: Span) -> list[Mention]:
    """The names in a part of the sentence."""
    return [one for one in told.mentions if span[0] <= one.start < span[1]]


def clause(told: Told, at: int, *, apart: re.Pattern[str] = APART) -> Span:
    """The part of the sentence around a place, between words that set parts against each other."""
    marks = [(one.start(), one.end()) for one in apart.finditer(told.masked)]
    start = max((end for _, end in marks if end <= at), default=0)
    end = min((start for start, _ in marks if start >= at), default=len(told.text))
    return start, end


def piece(told: Told, at: int) -> Span:
    """The part of a clause that has a number of its own: ``a reached 0.9, b 0.8 and c 0.7`` has three."""
    start, end = clause(told, at)
    numbers = [one.start for one in told.quantities if one.kind == "score"]
    begin = start
    for mark in PIECE.finditer(told.masked, start, end):
        left, right = (begin, mark.start()), (mark.end(), end)
        if all(
            within(told, span) and any(span[0] <= one < span[1] for one in numbers) for span in (left, right)
        ):
            if at < mark.start():
                return left
            begin = mark.end()
    return begin, end


def groups(told: Told, mentions: Sequence[Mention]) -> list[list[Mention]]:
    """Names that stand together, as in ``a, b and c``."""
    found: list[list[Mention]] = []
    for one in mentions:
        if found and GLUE.fullmatch(told.masked, found[-1][-1].end, one.start):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def nearest(told: Told, mentions: Sequence[Mention], at: int) -> list[Mention]:
    """Those that stand together and nearest before a place; else nearest after it."""
    together = groups(told, mentions)
    before = [one for one in together if one[0].start < at]
    return before[-1] if before else together[0] if together else []


def levels_of(mentions: Sequence[Mention]) -> dict[str, tuple[str, ...]]:
    """Factor -> the levels that are named."""
    found: dict[str, tuple[str, ...]] = {}
    for one in mentions:
        if one.factor is not None:
            found[one.factor] = tuple(dict.fromkeys((*found.get(one.factor, ()), *one.levels)))
    return found


def subject(told: Told, at: int) -> tuple[list[Row], bool, str]:
    """What a number at a place is said of: the configurations, whether they are named one by one, and in words."""
    start, end = piece(told, at)
    mentions = within(told, (start, end))
    same = re.search(r"\bsame\b", told.masked[start:end])
    earlier = within(told, (0, start))
    if not mentions:
        mentions, earlier = earlier or list(told.mentions), []
    each = [one for one in mentions if one.alone]
    if each:
        chosen = _in_turn(told, each, (start, end), at)
        rows = list(dict.fromkeys(row for one in chosen for row in one.rows))
        return rows, True, " and ".join(one.said for one in chosen)
    wanted = levels_of(mentions)
    if same and earlier:
        wanted = {**levels_of(earlier), **wanted}
    return told.table.holding(wanted), False, in_words(wanted)


def _in_turn(told: Told, each: Sequence[Mention], span: Span, at: int) -> list[Mention]:
    """Of as many numbers as names the one in its turn, ``0.9 with a and 0.8 with b``; else the nearest name."""
    together = groups(told, each)
    scores = [one.start for one in told.quantities if one.kind == "score" and span[0] <= one.start < span[1]]
    if len(scores) == len(together) > 1 and at in scores:
        return together[scores.index(at)]
    return nearest(told, each, at)


def in_words(wanted: dict[str, tuple[str, ...]]) -> str:
    """``resnet18 · single · cpu or gpu``; settings of one level by its name; nothing named is every configuration."""
    words = []
    for levels in wanted.values():
        heads = list(dict.fromkeys(level.partition(" (")[0] for level in levels))
        words.append(heads[0] if len(levels) > 1 == len(heads) else " or ".join(levels))
    return " · ".join(words) or "all configurations"


def known(table: Table, measure: Measure, rows: Sequence[Row]) -> list[Row]:
    """Those that have a value."""
    return [row for row in rows if measure.name in row.values]


def unread(told: Told) -> list[str]:
    """What narrows the sentence to something that is not in the table: ``on small cells``."""
    found = NARROWING.finditer(told.masked)
    return [one[1] for one in found if not set(re.split(r"[\s-]", one[1].lower())) & SCOPES]
