"""What a sentence speaks of: the configurations, levels and metrics that it names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from foldwise.judging.claim_check.reading import Quantity, quantities
from foldwise.judging.claim_check.table import Measure, Row, Table
from foldwise.judging.claim_check.wording import FAMILIES, family_of, is_metric, normal

WORD = re.compile(r"[^\W_]+")
LONGEST = 48  # words of a name
CLOSE = 8  # letters from a number to its interval
# Words that a text uses for other things than the level of this name, unless the factor stands beside it.
COMMON = {
    "none",
    "no",
    "yes",
    "true",
    "false",
    "all",
    "a",
    "on",
    "off",
    "best",
    "high",
    "low",
    "other",
    "auto",
    "and",
    "the",
}
NUMBERED = re.compile(
    r"(?:\b(?:model|configuration|config|network|run|row|experiment)s?\s+)?(?:\b(?:ids?|nos?\.?|numbers?|nrs?\.?)\s*:?\s*|#\s?)(\d+(?:(?:\s*,\s*|\s*(?:,\s*)?(?:and|&|or)\s*)#?\d+)*)"
    r"|\b(?:model|configuration|config|network|run|row|experiment)s?\s+(\d+(?:(?:\s*,\s*|\s*(?:,\s*)?(?:and|&)\s*)\d+)*)(?!\s*[.,]?\d)",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """A name that stands in a sentence.

    Attributes:
        start, end: where it stands.
        said: as it is written.
        rows: what it names; of a level, the configurations that have it.
        alone: it names a configuration, or a baseline.
        factor, levels: of a level, or of settings that a short name stands for; else None and empty. Where a study has
            one factor, a configuration is called like its level, and is both.
    """

    start: int
    end: int
    said: str
    rows: tuple[Row, ...]
    alone: bool = True
    factor: str | None = None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thing:
    """What a name stands for; as in `Mention`.

    Attributes:
        shy: it is a number or a word of every text, and only a name where the factor is named too.
    """

    rows: tuple[Row, ...]
    alone: bool
    factor: str | None = None
    levels: tuple[str, ...] = ()
    shy: bool = False


@dataclass(frozen=True)
class Names:
    """Every name that a table knows, as names are compared.

    Attributes:
        things: to what they name.
        measures: names of measures.
        same: words that the reader said mean the same as a name.
    """

    things: Mapping[str, Thing]
    measures: Mapping[str, tuple[Measure, ...]]
    ids: Mapping[str, Row]


def names_of(table: Table, same: Mapping[str, str]) -> Names:
    """The names of a table, and the words that the reader said mean the same: TPU -> gpu."""
    things: dict[str, Thing] = {}
    for factor, levels in table.factors.items():
        for alias, thing in _aliases(table, factor, levels):
            if alias not in things or things[alias].shy:
                things[alias] = thing
    for row in table.rows:
        bare = normal(row.name)
        if not row.name.isdigit():
            level = things.get(bare)
            one = Thing((row,), True) if level is None else replace(level, rows=(row,), alone=True)
            things[bare] = one if level is None or level.rows == (row,) else things[bare]
    for word, name in same.items():
        if normal(name) in things:
            things[normal(word)] = replace(things[normal(name)], shy=False)
    return Names(things, _measures(table), {row.id: row for row in table.rows})


def _aliases(table: Table, factor: str, levels: tuple[str, ...]) -> Iterator[tuple[str, Thing]]:
    """What the levels of a factor may be called: whole, without their options, without the library they are of."""
    meant: dict[str, dict[str, None]] = defaultdict(dict)
    for level in levels:
        bare = level.partition(" (")[0]
        for name in (level, bare, bare.rpartition(":")[2]):
            meant[name][level] = None
    for name, told in meant.items():
        of = (name,) if name in levels else tuple(told)
        bare = normal(name)
        shy = name.replace(".", "").isdigit() or bare in COMMON or len(bare) < 2
        rows = tuple(table.holding({factor: of}))
        thing = Thing(rows, len(rows) == 1 and rows[0].name == of[0], factor, of)
        for alias in (f"{factor} {name}", f"{factor} of {name}", f"{name} {factor}"):
            yield normal(alias), thing
        if bare:
            yield bare, replace(thing, shy=shy)


def _measures(table: Table) -> dict[str, tuple[Measure, ...]]:
    found: dict[str, dict[str, Measure]] = defaultdict(dict)
    for measure in table.measures.values():
        for name in (measure.name, measure.title):
            found[normal(name)] = {measure.name: measure}
    families: dict[str, list[Measure]] = defaultdict(list)
    for measure in table.measures.values():
        family = family_of(measure.name) or family_of(measure.title)
        if family:
            families[family].append(measure)
    for family, of in families.items():
        chosen = [one for one in of if one.name == table.default] or of
        for word in FAMILIES[family]:
            found.setdefault(normal(word), {one.name: one for one in chosen})
    return {name: tuple(of.values()) for name, of in found.items()}


@dataclass(frozen=True)
class Told:
    """A sentence, and what it names.

    Attributes:
        text: of it.
        mentions: in their order.
        measured: where a metric is named: (start, end, the measures that it may be).
        missing: numbers of configurations that the table does not have.
        factors: those that are called by their names.
    """

    text: str
    table: Table
    mentions: tuple[Mention, ...]
    measured: tuple[tuple[int, int, tuple[Measure, ...]], ...]
    missing: tuple[str, ...]
    factors: frozenset[str] = frozenset()

    @cached_property
    def masked(self) -> str:
        """The sentence with its names blotted out, letter by letter: what is in a name is no word and no number."""
        made = self.text
        for one in self.mentions:
            made = made[: one.start] + "■" * (one.end - one.start) + made[one.end :]
        for start, end, _ in self.measured:
            made = made[:start] + "□" * (end - start) + made[end:]
        return made

    @cached_property
    def quantities(self) -> list[Quantity]:
        """Its numbers."""
        return quantities(self.masked)

    @property
    def tuned(self) -> bool:
        """Whether it speaks of the best setting of each level."""
        return bool(re.search(r"\bas tuned\b", self.text, re.IGNORECASE))

    def interval_after(self, one: Quantity) -> Quantity | None:
        """The interval that stands right behind a number; None where there is none."""
        behind = (other for other in self.quantities if other.kind == "interval")
        return next((other for other in behind if 0 <= other.start - one.end < CLOSE), None)

    def alone(self, mentions: Sequence[Mention]) -> list[Mention]:
        """The configurations among them; in ``of model, a and b ...`` a and b are levels, where they could be both."""
        return [one for one in mentions if one.alone and one.factor not in self.factors]

    def measures(self, near: int | None = None) -> tuple[Measure, ...]:
        """The measure that the sentence, or the place `near` in it, speaks of; several where the name is not enough."""
        if not self.measured:
            return (self.table.measures[self.table.default],)
        if near is None:
            return self.measured[0][2]
        before = [one for one in self.measured if one[0] <= near]
        nearest = min(self.measured, key=lambda one: min(abs(one[0] - near), abs(one[1] - near)))
        return before[-1][2] if before and near - before[-1][1] < 12 else nearest[2]


def told_of(text: str, table: Table, names: Names) -> Told:
    """A sentence with all that it names; of names within names the longest."""
    words = [(one.start(), one.end(), one[0].casefold()) for one in WORD.finditer(text)]
    numbered = list(_numbered(text, names))
    taken = [(one.start, one.end) for one in numbered]
    mentions, measured, place = [one for one in numbered if one.rows], [], 0
    factors = frozenset(factor for factor in table.factors if normal(factor) in normal(text))
    while place < len(words):
        last = place + 1
        for stop in range(min(place + LONGEST, len(words)), place, -1):
            start, end = words[place][0], words[stop - 1][1]
            if any(start < b and a < end for a, b in taken):
                continue
            joined = "".join(word for _, _, word in words[place:stop])
            thing = names.things.get(joined) or names.things.get(joined.removesuffix("s"))  # U-Nets
            if thing is not None and _is_named(thing, text, start, end, factors):
                end += text[start:end].count("(") > text[start:end].count(")") and text[end : end + 1] == ")"
                mentions.append(
                    Mention(start, end, text[start:end], thing.rows, thing.alone, thing.factor, thing.levels)
                )
            elif joined in names.measures or is_metric(joined):  # also one that the table does not have
                measured.append((start, end, names.measures.get(joined, ())))
            else:
                continue
            last = stop
            break
        place = last
    ordered = tuple(sorted(mentions, key=lambda one: one.start))
    return Told(
        text, table, ordered, tuple(measured), tuple(one.said for one in numbered if not one.rows), factors
    )


def _is_named(thing: Thing, text: str, start: int, end: int, factors: frozenset[str]) -> bool:
    """Whether a name is meant, and not a word or a number that happens to be written like it."""
    if _is_phrase(text, start):
        return False
    if not thing.shy:
        return True
    within = re.search(r"[\d.]$", text[:start]) or re.match(r"\.\d|\s?%| of \d", text[end:])
    return thing.factor in factors and not within and not re.search(r"\d of $", text[:start])


def _is_phrase(text: str, start: int) -> bool:
    """``No single winner`` names no level that is called single."""
    return bool(re.search(r"\b(?:no|any|a|every|each)\s$", text[:start], re.IGNORECASE)) and bool(
        re.match(
            r"single (?:winner|model|configuration|image|number|run|best)\b", text[start:], re.IGNORECASE
        )
    )


def _numbered(text: str, names: Names) -> Iterator[Mention]:
    """Configurations by their number: Model ID 16, #4, models 7, 8 and 20."""
    for found in NUMBERED.finditer(text):
        group = 1 if found[1] else 2
        for number in re.finditer(r"\d+", found[group]):
            start = found.start(group) + number.start()
            row = names.ids.get(number[0])
            if row is not None or any(name.isdigit() for name in names.ids):
                begin = found.start() if number.start() == 0 else start
                yield Mention(begin, start + len(number[0]), f"#{number[0]}", (row,) if row else ())
