"""Claims of who comes where, and of who could be the best."""

from __future__ import annotations

import re

from foldwise.judging.claim_check.comparing import comparing_words
from foldwise.judging.claim_check.finding import FALSE, TRUE, UNCHECKED, UNSUPPORTED, Check, named
from foldwise.judging.claim_check.mentions import Told
from foldwise.judging.claim_check.scope import within
from foldwise.judging.claim_check.standing import placed, rows_of
from foldwise.judging.claim_check.table import Measure, Row, Table
from foldwise.judging.claim_check.wording import ORDINALS

RANK, COULD = "rank", "could be best"
RANKED = re.compile(
    rf"\brank(?:s|ed|ing)? (?:at |as |in )?(?:the )?(?:place |number |no\. ?|#)?(?P<at>{'|'.join(ORDINALS)}|\d+)(?:st|nd|rd|th)?\b|\b(?P<nth>second|third|fourth|fifth)[- ](?P<way>best|highest|worst|lowest)\b",
    re.IGNORECASE,
)


def ranks(told: Told, used: set[int]) -> list[Check]:
    """``ranked second``, ``the third best``."""
    made = []
    for found in RANKED.finditer(told.masked):
        mentions = placed(told, within(told, (0, found.start())), within(told, (found.end(), len(told.text))))
        rows, who = rows_of(told.table, mentions) if mentions else ([], "")
        measures = told.measures()
        if len(rows) != 1 or len(measures) != 1 or measures[0].name not in rows[0].values:
            made.append(
                Check(RANK, found[0], UNCHECKED, "it does not name one configuration and one metric.")
            )
            continue
        made.append(
            _rank(told.table, measures[0], rows[0], found, f"{who}: {found[0]} ({measures[0].title})")
        )
    return made


def _rank(table: Table, measure: Measure, row: Row, found: re.Match[str], claim: str) -> Check:
    word = (found["at"] or found["nth"]).lower()
    wanted, way = int(ORDINALS.get(word, 0) or int(word)), (found["way"] or "best").lower()
    larger = way == "highest" or (
        way in ("best", "worst") and (way == "best") == (measure.higher_is_better is not False)
    )
    values = [one.values[measure.name] for one in table.compared if measure.name in one.values]
    own = row.values[measure.name]
    above = sum(value > own if larger else value < own for value in values)
    last = above + values.count(own)
    told = f"by the numbers its place is {above + 1}{f' to {last}, which are equal' if last > above + 1 else ''}."
    if not above < wanted <= last:
        return Check(RANK, claim, FALSE, told)
    low, high = row.standing.get("rank_low"), row.standing.get("rank_high")
    if measure.tested and low is not None and low != high and way in ("best", "highest"):
        return Check(
            RANK, claim, UNSUPPORTED, f"{told} All pairs together leave open places {low} to {high}."
        )
    return Check(RANK, claim, TRUE, told)


CAN_BE = re.compile(
    r"could (?:still |also |as well )?be the best|could not be ruled out|ruled out", re.IGNORECASE
)
TIED = re.compile(
    r"\b(?:(?P<some>\d+) of )?(?:all |both |the )*(?P<others>\d+ )?other configurations?(?: here)? could (?:still |also )?be the best",
    re.IGNORECASE,
)
OUT = re.compile(r"\b(?P<out>\d+) (?:is|are|was|were) ruled out", re.IGNORECASE)
ALL_WORSE = re.compile(
    r"\b(?:all (?:the )?(?P<others>\d+) other configurations|both(?: the)? other configurations|the other configuration"
    r"|(?P<every>all (?:the |of the )?(?:others|other (?:configurations|models|networks|methods))|the others))"
    r" (?:is|are|was|were) (?:clearly |all )?(?:worse|ruled out)",
    re.IGNORECASE,
)
NO_WINNER = re.compile(r"\bno (?:single|clear) winner\b", re.IGNORECASE)


def could_be_best(told: Told, used: set[int]) -> list[Check]:
    """Who could be the best, and who is ruled out."""
    table, masked = told.table, told.masked
    answer = table.verdict.get("answer") or {}
    said = [
        found
        for rule in (TIED, OUT, ALL_WORSE, NO_WINNER, CAN_BE)
        for found in [rule.search(masked)]
        if found
    ]
    if not said:
        return []
    used |= {one.start for one in comparing_words(told) if ALL_WORSE.search(masked)}
    if not answer:
        return [
            Check(
                COULD, said[0][0], UNCHECKED, "nothing was tested, so nobody can say what could be the best."
            )
        ]
    tied, out = answer["num_tied"], answer["num_ruled_out"]
    counts = f"{tied} of {tied + out} others could be the best, {out} are ruled out."
    agreed = [
        (
            found,
            int(found["some"] or _others(found)) == tied and _others(found) == tied + out,
        )
        for found in TIED.finditer(masked)
    ]
    agreed += [(found, int(found["out"]) == out) for found in OUT.finditer(masked)]
    agreed += [
        (found, tied == 0 and (bool(found["every"]) or _others(found) == out))
        for found in ALL_WORSE.finditer(masked)
    ]
    agreed += [(found, tied > 0) for found in NO_WINNER.finditer(masked)]
    made = [Check(COULD, found[0], TRUE if agrees else FALSE, counts) for found, agrees in agreed]
    return made + _named(told)


def _others(found: re.Match[str]) -> int:
    return int(found["others"] or (2 if "both" in found[0].casefold() else 1))


def _named(told: Told) -> list[Check]:
    """``a, b and c could be the best``, ``d was ruled out``: of every configuration that is named."""
    made = []
    for found in re.finditer(
        r"(?P<could>could (?:still |also )?be the best)|(?P<out>ruled out)", told.masked, re.IGNORECASE
    ):
        colon = re.match(r"(?: as well)?: ", told.masked[found.end() :])
        span = (
            (found.end(), _stop(told, found.end() + 2))
            if colon
            else (_begin(told, found.start()), found.start())
        )
        rows = [row for one in within(told, span) if one.alone for row in one.rows]
        for row in rows:
            could = bool(row.standing.get("could_be_best"))
            verdict = TRUE if could == bool(found["could"]) else FALSE
            made.append(
                Check(
                    COULD,
                    f"{named(row)}: {found[0]}",
                    verdict,
                    f"it {'could be the best' if could else 'is ruled out'}.",
                )
            )
    return made


def _stop(told: Told, at: int) -> int:
    mark = re.search(r";|\bbut\b", told.masked[at:])
    return at + mark.start() if mark else len(told.text)


def _begin(told: Told, at: int) -> int:
    marks = [one.end() for one in re.finditer(r";|:\s|\bbut\b|\bbest\b|\bout\b", told.masked[:at])]
    return marks[-1] if marks else 0
