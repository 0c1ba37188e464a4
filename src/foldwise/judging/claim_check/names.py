"""A sentence as tokens: names, metrics and numbers of the report become slots, all else stays a word."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from foldwise.judging.claim_check.table import ReportedMetric, Row, ScoreTable
from foldwise.metrics.names import KIND_OF, kind_of, plain

# What a level may be called beside its name, by a word of its factor: "multi-layer heads" of `classifier_head`.
NOUNS = {"head": {"layer"}, "model": {"network"}, "network": {"model"}, "opt": {"optimizer", "optimiser"}}
# Levels that are words of every text are names only where their factor is named, too; so are numbers.
COMMON = {"none", "no", "yes", "true", "false", "all", "on", "off", "best", "high", "low", "other", "auto"}
NUMBERED = re.compile(r"(?:#\s?|\b(?:model|configuration|network|run|row)s?\s(?:id\s)?)(?=\d)", re.IGNORECASE)
MAX_WORDS = 48
WORD = re.compile(r"[^\W_]+")
NUMBER = re.compile(
    r"((?<![\w.%])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\d.]*\d))"
    r"(\s?%|\s?percent\b|(?:\s?percentage)?\s?points?\b)?",
    re.IGNORECASE,
)
SIGNS = re.compile(r"[^\w\s-]")  # hyphens are as free in a name as spaces
# Signs and words that are written as others, so that patterns need one form of each, or none.
SPELT = {"(": "«", "[": "«", ")": "»", "]": "»", "–": "-", "cannot": "could not", "can": "could"}
SPELT |= dict.fromkeys(("a", "an", "the"), "")


@dataclass(frozen=True)
class Name:
    """What a name stands for: one configuration, or the levels of a factor and the rows that have them, or both."""

    label: str
    rows: tuple[Row, ...]
    single: bool
    factor: str = ""
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """A number as it is printed."""

    value: float
    digits: int
    percent: bool

    def __str__(self) -> str:
        return f"{self.value:.{self.digits}f}{' %' if self.percent else ''}"

    def of(self, measure: ReportedMetric, value: float) -> float:
        """A value of the report as this number would print it: in per cent, or as it is."""
        return 100 * value if measure.share and (self.percent or abs(self.value) > 1) else value

    def agrees(self, measure: ReportedMetric, value: float, *, roughly: bool = False) -> bool:
        """Whether a value is rounded to this number; `roughly` allows the last digit to be one off."""
        tolerance = (1.5 if roughly else 0.5) * 10.0**-self.digits
        return abs(self.of(measure, value) - self.value) <= tolerance * (1 + 1e-9) + 1e-12


# A string is a factor; a tuple holds several metrics where a name is not enough, none where the report lacks it.
Slot = Name | Number | str | tuple[ReportedMetric, ...]
LETTERS = {Name: "N", Number: "D", str: "F", tuple: "M"}


@dataclass
class Tokens:
    """A sentence as words in lower case, and slots (``N0``, ``M1``, ``F2``, ``D3``), and how the text writes them."""

    words: list[str] = field(default_factory=list)
    slots: dict[str, Slot] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def add(self, value: Slot, written: str) -> None:
        """Add a slot for a value."""
        slot = f"{LETTERS[type(value)]}{len(self.words)}"
        self.words.append(slot)
        self.slots[slot], self.written[slot] = value, written


def lexicon_of(table: ScoreTable, same: Mapping[str, str]) -> dict[str, Slot]:
    """What every name of a report stands for, as `plain` has it; `same` are words that mean one: TPU -> gpu."""
    names: dict[str, Slot] = {}
    for word, kind in KIND_OF.items():
        measures = [of for of in table.measures.values() if kind in map(kind_of, (of.name, of.title))]
        deciding = [of for of in measures if of.name == table.default]
        names[word] = names[f"{word}s"] = tuple(deciding or measures)
    names |= {plain(name): (of,) for of in table.measures.values() for name in (of.name, of.title)}
    names |= {plain(word): factor for factor in table.factors for word in _nouns(factor)}
    for factor, levels in table.factors.items():
        meant: dict[str, list[str]] = defaultdict(list)
        for level in levels:  # whole, without its options, without the library it is of
            bare = level.partition(" (")[0]
            for alias in {level, bare, bare.rpartition(":")[2]}:
                meant[alias].append(level)
        for alias, of_alias in meant.items():
            exact = (alias,) if alias in levels else tuple(of_alias)
            rows = tuple(table.holding({factor: exact}))
            names[plain(alias)] = Name(alias, rows, [row.name for row in rows] == [*exact], factor, exact)
    for row in table.rows:
        if row.name.isdigit():
            names[f"model{row.name}"] = Name(f"#{row.name}", (row,), True)
        elif not isinstance(names.get(plain(row.name)), Name):
            names[plain(row.name)] = Name(row.name, (row,), True)
    return names | {plain(word): names[plain(name)] for word, name in same.items() if plain(name) in names}


def _nouns(factor: str) -> set[str]:
    words = {*re.split(r"[\W_]+", factor.casefold()), factor.casefold()} - {""}
    return words.union(*(NOUNS.get(word, set()) for word in words))


def tokens_of(sentence: str, lexicon: Mapping[str, Slot]) -> Tokens:
    """The tokens of a sentence; of names within names the longest. Articles and the last stop are left out."""
    sentence = NUMBERED.sub("model ", sentence.rstrip(" .!"))
    tokens, start, end = Tokens(), 0, len(sentence)
    while start < end:
        number, word = NUMBER.match(sentence, start), WORD.match(sentence, start)
        if named := _name(sentence, start, lexicon):
            tokens.add(named[0], sentence[start : named[1]])
            start = named[1]
        elif number:
            _add_number(tokens, number, lexicon)
            start = number.end()
        else:
            text = word[0].casefold() if word else sentence[start]
            tokens.words += SPELT.get(text, text).split()
            start += len(text)
    return tokens


def _name(sentence: str, start: int, lexicon: Mapping[str, Slot]) -> tuple[Slot, int] | None:
    """A name that begins here, as long as it gets, and where it ends."""
    words = list(islice(WORD.finditer(sentence, start), MAX_WORDS))
    for num in range(len(words) if words and words[0].start() == start else 0, 0, -1):
        bare, end = "".join(word[0] for word in words[:num]).casefold(), words[num - 1].end()
        value = lexicon.get(bare if bare in lexicon else bare.removesuffix("s"))  # U-Nets
        nouns = _nouns(value.factor) if isinstance(value, Name) and value.factor else set()
        common = bare in COMMON or bare.isdigit() or len(bare) < 2
        if value is None or (common and not nouns & set(re.split(r"\W+", sentence.casefold()))):
            continue
        if set(SIGNS.findall(sentence, start, end)) - set(value.label if isinstance(value, Name) else ""):
            continue  # a sign that the name does not have
        for noun in words[num:]:
            if noun[0].casefold().removesuffix("s") not in nouns or SIGNS.search(sentence, end, noun.start()):
                break
            end = noun.end()
        inside = sentence[start:end]
        return value, end + (inside.count("(") > inside.count(")") and sentence[end : end + 1] == ")")
    return None


def _add_number(tokens: Tokens, match: re.Match[str], lexicon: Mapping[str, Slot]) -> None:
    """A number; or a configuration that is called by it, in a list behind another such."""
    bare, words, slots = match[1].replace(",", ""), tokens.words, tokens.slots
    before = slots.get(next((word for word in reversed(words) if word not in (",", "and")), ""))
    if isinstance(before, Name) and before.label[0] == "#" and words[-1] in (",", "and"):
        return tokens.add(lexicon.get(f"model{bare}", ()), f"#{bare}")
    if words[-1:] == ["-"]:
        words[-1] = "to"
    first = slots.get(words[-2]) if words[-1:] == ["to"] and words[1:] else None
    if isinstance(first, Number):  # 77.27-86.36 %: the first has the unit of the second
        slots[words[-2]] = replace(first, percent=first.percent or bool(match[2]))
    return tokens.add(Number(float(bare), len(bare.partition(".")[2]), bool(match[2])), match[0])
