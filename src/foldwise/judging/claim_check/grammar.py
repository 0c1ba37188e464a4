"""Patterns of sentences, and a statement as one of them reads it: as a whole or not at all.

A pattern is words with ``[optional]`` parts and ``(this|that)`` alternatives; ``WORDS`` in capitals stand for others,
from `SETS`; ``{slots}`` keep what stands there: names, a number, or ``{slot: these|words}``. Articles are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from typing import Literal

from foldwise.judging.claim_check.names import Name, Number, Slot, Tokens
from foldwise.judging.claim_check.table import ReportedMetric, Row, ScoreTable

Answer = Literal["true", "false", "not supported", "cannot check"]
Found = tuple[Answer, str]  # with the numbers that decide
GRAVEST: tuple[Answer, ...] = ("false", "not supported", "cannot check", "true")

SETS = {
    "BE": "is|was|are|were",
    "HAS": "has|have|had|gave|reached|achieved|obtained",
    "NOUN": "configuration|configurations|model|models|network|networks|method|methods|setting|settings|{f}",
    "SCORE": "score|scores|one|{m}",
    "HOW": "{how: [not [shown to be]] [usually|generally|mostly|always|consistently] [significantly|clearly]}",
    "BETTER": "{better: better|superior|higher|greater|worse|inferior|lower}",
    "BEATS": "{better: outperforms|outperformed|outperform|beats|beat|surpassed|underperformed}",
    "BEST": "{better: best|highest|worst|lowest}",
    "INTERVAL": "« {p} [confidence] (interval|ci) [:] {low} to {high} »|« {lacking: no interval : (too few images|constant)} »",
    "WITH": "(with|on|using|for) {c}",
    "ALWAYS": "{always: (in|for|across) (all|every|each) NOUN|without exception}",
    "GAP": "by {gap} [to {gap2}] [INTERVAL]",
    "COUNT": "in {agree} [out] of {matched} (matched pairs|pairs|NOUN)",
    "EXTENT": "[on average] [{chance: beyond chance}] [in {m}] [WITH] [ALWAYS] [[,] GAP] [[,] [and] COUNT]",
    "UNSEEN": "on unseen images [« {images} images [in {groups} groups] »]",
}
NAMES = r"(?:F\d+ )?N\d+ (?:(?:, and |, |and |with |on |using )?(?:F\d+ )?N\d+ )*"
SLOTS = {  # what stands in a slot without words of its own; in any other a number
    **dict.fromkeys("abcd", rf"(?:{NAMES}(?:« {NAMES}» )?|(?:it|its|they|their) )"),
    "m": r"M\d+ ",
    "f": r"F\d+ ",
}
COUNTS = {"agree", "matched", "images", "groups", "n"}
ABOUT = {"about", "around", "approximately"}
NUMBER = rf"(?:(?:{'|'.join(ABOUT)}) )?D\d+ "
SIGN = re.compile(r"\{(\w+)(?:: ([^}]*))?\}|([A-Z]+)|([\[\]()|])|([^\s\[\](){}|]+)")
LARGER, SMALLER = {"higher", "greater", "highest"}, {"lower", "lowest"}
WORSE = {"worse", "inferior", "underperformed", "worst"}


class CannotCheck(Exception):
    """A sentence was read as a whole, and what it names is not there, or not one thing; the text says what."""


@dataclass(frozen=True)
class Form:
    """A kind of sentence: a sentence of it, what looks it up, and its patterns."""

    name: str
    example: str
    check: Callable[[Reading], Found]
    patterns: tuple[str, ...]


@dataclass(frozen=True)
class Party:
    """Configurations that a sentence speaks of together, one by one (`single`) or by levels: those of each name."""

    rows: Sequence[Row]
    single: bool
    levels: Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class Reading:
    """A statement as a form reads it: the tokens in each slot, and the names that *it* stands for."""

    table: ScoreTable
    tokens: Tokens
    slots: Mapping[str, str]
    subject: tuple[Name, ...] = ()

    def __contains__(self, slot: str) -> bool:
        return slot in self.slots

    def words(self, *slots: str) -> set[str]:
        """The words in these slots."""
        return {word for slot in slots for word in self.slots.get(slot, "").split()}

    def values(self, slot: str) -> list[Slot]:
        """Names, numbers, metrics and factors in a slot."""
        words = self.slots.get(slot, "").split()
        return [self.tokens.slots[word] for word in words if word in self.tokens.slots]

    def names(self, slot: str) -> tuple[Name, ...]:
        """The names in a slot."""
        names = tuple(value for value in self.values(slot) if isinstance(value, Name))
        return names or (self.subject if slot in self else ())

    @cached_property
    def measure(self) -> ReportedMetric:
        """The metric that it names; else the one that decides."""
        of = next((value for value in self.values("m") if isinstance(value, tuple)), None)
        of = (self.table.measures[self.table.default],) if of is None else of
        if len(of) != 1:
            titles = " and ".join(measure.title for measure in of) or "no such metric"
            raise CannotCheck(f"{self.table.source} has {titles}")
        return of[0]

    @property
    def by_number(self) -> bool:
        """Whether it speaks of a larger or smaller number: *higher* is so by that alone, *better* by a test."""
        return bool(self.words("better") & {*LARGER, *SMALLER})

    @cached_property
    def sign(self) -> int:
        """1 where the first is said to have the larger number, else -1."""
        words, better = self.words("better"), self.measure.higher_is_better
        if self.by_number:
            return -1 if words & SMALLER else 1
        if better is None:
            raise CannotCheck(f"nobody said which way is better of {self.measure.title}")
        return 1 if better != bool(words & WORSE) else -1

    def number(self, slot: str) -> Number:
        """The number in a slot."""
        return next(value for value in self.values(slot) if isinstance(value, Number))

    def agrees(self, slot: str, value: float | None) -> bool:
        """Whether a value of the report is rounded to the number in a slot, or none is there."""
        if slot not in self:
            return True
        if value is None:
            raise CannotCheck(f"{self.table.source} does not have this number")
        measure = ReportedMetric("", "", None) if slot in COUNTS else self.measure
        return self.number(slot).agrees(measure, value, roughly=bool(self.words(slot) & ABOUT))

    def interval_agrees(self, ends: Sequence[tuple[float, float]]) -> bool:
        """Whether the interval that it prints, and its confidence, is one of these; or it prints none."""
        if "low" not in self:
            return "lacking" not in self or not ends
        if not ends or self.table.verdict is None:
            raise CannotCheck("there is no interval to compare with")
        both = [self.agrees("low", low) and self.agrees("high", high) for low, high in ends]
        return any(both) and str(self.number("p")) == self.table.verdict.confidence

    def party(self, names: Sequence[Name]) -> Party:
        """Who is meant by names: configurations that are named one by one, or all that have the levels."""
        if not names:
            raise CannotCheck("it does not say of which configuration")
        levels: dict[str, tuple[tuple[str, ...], ...]] = {}
        for name in names:
            if name.factor:
                levels[name.factor] = tuple(dict.fromkeys((*levels.get(name.factor, ()), name.levels)))
        singles = [name for name in names if name.single and name.factor not in self.values("f")]
        of = {name.factor for name in names if name not in singles}
        holding = self.table.holding({factor: sum(levels[factor], ()) for factor in levels if factor in of})
        rows = tuple(dict.fromkeys(row for name in singles for row in name.rows) or holding)
        if of and not set(rows) <= set(holding):
            raise CannotCheck("it gives a configuration a level that it does not have")
        return Party(rows, bool(singles) or len(rows) == 1, levels)


def expression(pattern: str, *, slots: bool = True) -> str:
    """A pattern as a regular expression over tokens, a space after each."""
    made = ""
    for slot, literal, words, sign, word in SIGN.findall(pattern):
        if slot:
            of = expression(literal, slots=False) if literal else SLOTS.get(slot, NUMBER)
            made += f"(?P<{slot}>{of})" if slots else f"(?:{of})"
        elif words:
            made += f"(?:{expression(SETS[words], slots=slots)})"
        else:
            made += {"[": "(?:", "]": ")?", "(": "(?:", ")": ")", "|": "|"}.get(sign) or f"{re.escape(word)} "
    return made


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, in which a slot may stand in several places: their groups are numbered."""
    number = count()
    numbered = re.sub(r"\(\?P<(\w+)>", lambda group: f"(?P<{group[1]}__{next(number)}>", expression(pattern))
    return re.compile(numbered)


def read(form: Form, text: str) -> dict[str, str] | None:
    """What stands in each slot of a form that reads a statement from its first token to its last; else None."""
    for match in filter(None, (compiled(pattern).fullmatch(text) for pattern in form.patterns)):
        captured = [(name.partition("__")[0], words) for name, words in match.groupdict().items() if words]
        if len(dict(captured)) == len(captured):  # else one of two qualifiers of a kind would go unread
            return dict(captured)
    return None
