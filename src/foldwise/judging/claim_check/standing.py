"""Claims of a place among all: the best, the worst, ahead of all others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from foldwise.judging.claim_check.comparing import ALL_OTHERS, Found, comparing_words, measures_of
from foldwise.judging.claim_check.finding import (
    FALSE,
    TRUE,
    UNCHECKED,
    UNSUPPORTED,
    Check,
    Verdict,
    named,
    told_rows,
    told_value,
)
from foldwise.judging.claim_check.mentions import Mention, Told
from foldwise.judging.claim_check.scope import BREAK_RULE, groups, in_words, levels_of, within
from foldwise.judging.claim_check.table import Measure, Row, Table, label_of
from foldwise.judging.claim_check.telling import untested
from foldwise.judging.claim_check.wording import (
    HEDGED,
    NEGATED,
    SIGNIFICANT,
    SUPERLATIVE,
    Word,
    pattern,
)
from foldwise.judging.wording import capital
from foldwise.text import count

BEST = "best"
RULES = [(pattern(word.pattern), word) for word in SUPERLATIVE]
NO_PLACE = re.compile(
    r"\b(?:with|of|up to|its|their|whose|could (?:still |also )?be|second|third|fourth|fifth|next|at|with (?:an?|the|its)|comparison with the|choos\w* the|chosen as the)[ -](?:the |a |an )?$",
    re.IGNORECASE,
)
NOT_OF_IT = re.compile(
    r"^[ -](?:epochs?|checkpoints?|practices?|thresholds?|estimates? of|possible|before|as well|for each|of each|differences?|gaps?|effects?|improvements?|gains?|impacts?|influence|drops?|advantages?|number|settings?|values?|levels?|(?:that|which) (?:was|were) tried)\b",
    re.IGNORECASE,
)
AMONG = re.compile(r"\b(?:among|amongst)\b[^,;■]*$", re.IGNORECASE)
# ``the best estimate``, or only a name for what has it: ``the best configuration, a, ...``
ONLY_NUMBERS = re.compile(
    r"\w+ (?:estimate|mean)\b|\w+ (?:configuration|model|network|method|one),? ■", re.IGNORECASE
)


def places(told: Told, used: set[int]) -> list[Check]:
    """A check of every word such as *best* or *lowest*, and of one that is ahead of all others."""
    made = []
    for one in _superlatives(told):
        check = _check(told, one)
        if check is not None:
            made.append(check)
    for one in comparing_words(told):
        region = told.masked[one.start : one.right[1]]
        if ALL_OTHERS.search(region):
            used.add(one.start)
            made.append(_ahead(told, one))
    return made


def _superlatives(told: Told) -> list[Found]:
    found: list[Found] = []
    for rule, word in RULES:
        for one in rule.finditer(told.masked):
            if any(one.start() < other.end and other.start < one.end() for other in found):
                continue
            if NO_PLACE.search(told.masked[: one.start()]) or NOT_OF_IT.match(told.masked[one.end() :]):
                continue
            marks = [(m.start(), m.end()) for m in BREAK_RULE.finditer(told.masked)]
            begin = max((end for _, end in marks if end <= one.start()), default=0)
            last = min((start for start, _ in marks if start >= one.end()), default=len(told.text))
            found.append(Found(word, one.start(), one.end(), (begin, one.start()), (one.end(), last)))
    return found


def _check(told: Told, one: Found) -> Check | None:
    left, right = within(told, one.left), within(told, one.right)
    words = told.text[one.start : one.end]
    narrowed, left = _universe(told, left)
    mentions = placed(told, left, right)
    if not mentions:
        if any(quantity.kind == "score" for quantity in told.quantities):
            return None  # it is the number that is said to be the best: another kind looks at it
        return Check(BEST, words, UNCHECKED, f"it names nothing that {told.table.source} has.")
    measures = measures_of(told, one)
    if len(measures) != 1:
        return Check(BEST, words, UNCHECKED, f"{told.table.source} has no such metric, or several.")
    measure = measures[0]
    rows, who = rows_of(told.table, mentions)
    claim = f"{who}: {words} ({measure.title})"
    larger = _larger(one.word, measure)
    if larger is None:
        return Check(BEST, claim, UNCHECKED, f"which way is better is not known of {measure.title}.")
    if pattern(HEDGED).search(told.masked[one.left[0] : one.start]):
        return Check(BEST, claim, UNCHECKED, "the sentence says what may be; only what is can be looked up.")
    if re.search(
        rf"(?<!\w)(?:{NEGATED})\b[^,;]{{0,25}}$", told.masked[one.left[0] : one.start], re.IGNORECASE
    ):
        return Check(BEST, claim, UNCHECKED, "what is denied of a place cannot be looked up.")
    universe = [
        row for row in told.table.compared if not narrowed or row in told.table.holding(levels_of(narrowed))
    ]
    verdict, why = _place(told, measure, rows, universe, one, larger, mentions)
    return Check(BEST, claim, verdict, why)


def _universe(told: Told, left: Sequence[Mention]) -> tuple[list[Mention], list[Mention]]:
    """What the place is held among, and the other names: ``among the VGG networks, ...``."""
    narrowed = [one for one in left if AMONG.search(told.masked[: one.start])]
    return narrowed, [one for one in left if one not in narrowed]


def placed(told: Told, left: Sequence[Mention], right: Sequence[Mention]) -> list[Mention]:
    """What has the place: the configuration that is named nearest before, else after; else all the levels."""
    for side, last in ((left, True), (right, False)):
        each = groups(told, [one for one in side if one.alone])
        if each:
            return each[-1 if last else 0]
    return [*left, *right]


def rows_of(table: Table, mentions: Sequence[Mention]) -> tuple[list[Row], str]:
    """The configurations that have the place, and what they are called; there is one name at least."""
    if mentions[0].alone:
        return [row for one in mentions for row in one.rows], " and ".join(one.said for one in mentions)
    wanted = levels_of(mentions)
    return table.holding(wanted), in_words(wanted)


def _larger(word: Word, measure: Measure) -> bool | None:
    """Whether the word means the largest number; None where nobody knows."""
    if word.way in ("more", "less"):
        return word.way == "more"
    if measure.higher_is_better is None:
        return None
    return (word.way == "better") == measure.higher_is_better


def _place(
    told: Told,
    measure: Measure,
    rows: Sequence[Row],
    universe: Sequence[Row],
    one: Found,
    larger: bool,
    mentions: Sequence[Mention],
) -> tuple[Verdict, str]:
    table, name = told.table, measure.name
    ranked = sorted(
        (row for row in universe if name in row.values), key=lambda row: row.values[name], reverse=larger
    )
    if not ranked or not any(name in row.values for row in rows):
        return UNCHECKED, f"there is no {measure.title} of it."
    wanted, factors = ranked[0].values[name], levels_of(mentions)
    first = [row for row in ranked if row.values[name] == wanted]
    shown = told_rows(ranked[: max(3, len(first))], measure)
    in_order = f"In order: {shown}."
    said = told.masked[one.start : one.right[1]]
    by_mean = len(factors) == 1 and not mentions[0].alone and (one.word.merit or "mean" in said[:12])
    if by_mean:
        is_first, in_order = _means(table, measure, mentions[0], larger)
        if not is_first:
            return FALSE, in_order
    elif not any(row in rows for row in first):
        return FALSE, in_order
    elif any(row not in rows for row in first):
        others = ", ".join(named(row) for row in first if row not in rows)
        in_order = f"It shares the place with {others}. {in_order}"
    if ONLY_NUMBERS.match(said):
        return TRUE, in_order
    best = larger == (measure.higher_is_better is not False)
    if measure.tested and table.verdict.get("pairs") is not None and len(universe) == len(table.compared):
        if not mentions[0].alone and len(rows) > 1:
            return _level_tested(table, mentions[0], best, in_order)
        return _row_tested(table, first[0], best, in_order)
    merit = one.word.merit or pattern(SIGNIFICANT).search(told.masked)
    return (UNSUPPORTED if merit else TRUE), f"{in_order} {capital(untested(table, measure))}."


def _means(table: Table, measure: Measure, one: Mention, larger: bool) -> tuple[bool, str]:
    """Whether a level has the largest or smallest mean of its factor: of a tested one the mean of the verdict."""
    assert one.factor is not None
    told = table.mattered(one.factor) if measure.tested else None
    if told is not None:
        own, means = label_of(told, set(one.levels)), {part["level"]: part["mean"] for part in told["levels"]}
    else:
        own, means = one.levels[0], dict(_plain_means(table, measure, one.factor))
    ordered = sorted(means, key=lambda level: means[level], reverse=larger)
    shown = ", ".join(f"{level} {told_value(measure, round(means[level], 4))}" for level in ordered)
    return means.get(own) == means[ordered[0]], f"The means are: {shown}."


def _plain_means(table: Table, measure: Measure, factor: str) -> Iterator[tuple[str, float]]:
    for level in table.factors[factor]:
        rows = [row for row in table.holding({factor: (level,)}) if measure.name in row.values]
        if rows:
            yield level, sum(row.values[measure.name] for row in rows) / len(rows)


def _level_tested(table: Table, one: Mention, best: bool, in_order: str) -> tuple[Verdict, str]:
    assert one.factor is not None
    told = table.mattered(one.factor)
    own = label_of(told, set(one.levels)) if told else None
    if told is None or own is None:
        return UNSUPPORTED, f"{in_order} These levels were not tested against each other."
    pairs = [pair for pair in told["pairs"] if own in (pair["a"], pair["b"])]
    shown = sum(pair["conclusion"] == "better" and (pair["a"] == own) == best for pair in pairs)
    words = f"{in_order} Beyond chance from {shown} of {count(len(pairs), 'other')}."
    return (TRUE if shown == len(pairs) else UNSUPPORTED), words


def _row_tested(table: Table, first: Row, best: bool, in_order: str) -> tuple[Verdict, str]:
    """The one with the best (or worst) estimate: whether it is so beyond chance."""
    others = [row for row in table.compared if row is not first and table.default in row.values]
    if best:
        state, answer = table.verdict["state"], table.verdict.get("answer") or {}
        if state == "clear_winner":
            return TRUE, f"{in_order} All others are ruled out."
        why = {
            "several_tied": f"{count(answer.get('num_tied') or 0, 'other')} could be the best as well",
            "single_configuration": "there is nothing it was compared with",
            "incomplete": "the study is not finished",
            "not_better_than_trivial": "nothing here is shown to be better than a trivial predictor",
        }.get(state, "nothing was tested")
        return UNSUPPORTED, f"{in_order} It has the best estimate, but {why}."
    pairs = [table.pair(first, row) for row in others]
    shown = sum(pair is not None and pair["conclusion"] == "better" for pair in pairs)
    told = f"{in_order} Beyond chance from {shown} of {count(len(others), 'other')}."
    return (TRUE if others and shown == len(others) else UNSUPPORTED), told


def _ahead(told: Told, one: Found) -> Check:
    """``a outperforms all others``; ``all others are worse``."""
    words = told.text[one.start : one.end]
    measures = measures_of(told, one)
    mentions = placed(told, within(told, one.left), within(told, one.right))
    if not mentions or len(measures) != 1:
        return Check(BEST, words, UNCHECKED, f"it names nothing that {told.table.source} has.")
    rows, who = rows_of(told.table, mentions)
    measure, claim = measures[0], f"{who} {words} all others"
    larger = _larger(one.word, measure)
    if larger is None or pattern(HEDGED).search(told.masked[one.left[0] : one.start]):
        return Check(BEST, claim, UNCHECKED, "it is said as what may be, or the better way is not known.")
    verdict, why = _place(told, measure, rows, told.table.compared, one, larger, mentions)
    if verdict == TRUE and why.startswith("It shares"):
        verdict = FALSE
    return Check(BEST, f"{claim} ({measure.title})", verdict, why)
