"""A text as sentences, and the numbers in a sentence by what they are said to be."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

SHORT = r"(?:e\.g|i\.e|vs|cf|fig|figs|tab|eq|et al|approx|resp|no|nr|ca|dr|prof|sec|incl|etc)\."
END = re.compile(r"(?<=[.!?])[\"')\]”]?\s+(?=\S)")
FENCE = re.compile(r"\s*(?:```|~~~)")
ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s+")
LEFT_OUT = re.compile(r"\s*(?:#{1,6}\s|\||!\[|<!--|[-=]{3,}\s*$|\+[-=+]+\s*$)")
EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`+)(?=\S)(.+?)(?<=\S)\1(?!\w)")
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
SPACES = re.compile(r"[\u00a0\u202f\u2009]")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the line of the text, from 1, in which it begins."""

    line: int
    text: str


def sentences(text: str) -> list[Sentence]:
    """The sentences of a plain or Markdown text; headings, tables, pictures and code are left out."""
    return [sentence for start, words in _paragraphs(text) for sentence in _split(start, words)]


def _paragraphs(text: str) -> Iterator[tuple[list[int], list[str]]]:
    """Line numbers and lines of every paragraph or item of a list."""
    numbers: list[int] = []
    lines: list[str] = []
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = bool(FENCE.match(line))
        left_out = fenced or fence or not line.strip() or LEFT_OUT.match(line)
        fenced = fenced != fence
        item = ITEM.match(line)
        if left_out or item:
            if lines:
                yield numbers, lines
            numbers, lines = [], []
        if not left_out:
            numbers.append(number)
            lines.append(_plain(line[item.end() :] if item else line))
    if lines:
        yield numbers, lines


def _plain(line: str) -> str:
    """Without links, emphasis and unusual spaces and signs."""
    bare = SPACES.sub(" ", LINK.sub(r"\1", line)).replace("−", "-")
    return EMPHASIS.sub(r"\2", bare).strip()


def _split(numbers: list[int], lines: list[str]) -> Iterator[Sentence]:
    starts, words = [0], ""
    for line in lines:
        words += line + " "
        starts.append(len(words))
    begin = 0
    ends = [found.end() for found in END.finditer(words) if not _is_short(words[: found.start()])]
    for end in [*ends, len(words)]:
        sentence = words[begin:end].strip()
        if re.search(r"\w", sentence):
            yield Sentence(numbers[bisect_right(starts, begin) - 1], sentence)
        begin = end


def _is_short(before: str) -> bool:
    return bool(re.search(rf"(?:^|[\s(]){SHORT}$", before, re.IGNORECASE))


NUMBER = r"[-+]?\d+(?:\.\d+)?(?![\d.]*\d)"
PERCENT = r"(?:\s?%|\s?(?:percent|per cent)\b)"
POINTS = r"(?:\s?(?:percentage[ -])?points?\b|\s?pp\b)"
TIME = r"(?:\s?(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|hours?|hrs?|h)\b)"
TO = r"\s*(?:-|–|to|,|and)\s*"
ROUGHLY = r"(?P<roughly>(?:about|around|approximately|roughly|nearly|almost|some|~|≈)\s*)?"
INTERVAL = re.compile(
    rf"\d+(?:\.\d+)?\s?%\s*(?:confidence |credible )?(?:intervals?|CIs?)\b[:,]?\s*(?:of |from |was |is )?[\[(]?(?P<low>{NUMBER}){PERCENT}?{TO}(?P<high>{NUMBER}){PERCENT}?",
    re.IGNORECASE,
)
APART = re.compile(
    rf"(?P<said>\bby (?:up to |at least |only |just )?|\b(?:improvements?|gains?|differences?|increases?|gaps?|drops?|advantages?)(?: [\w■□]+){{0,6}}? (?:of|was|is|were) (?:up to )?){ROUGHLY}(?P<low>{NUMBER}){PERCENT}?(?:\s*(?:-|–|to)\s*(?P<high>{NUMBER}))?(?P<percent>{PERCENT})?(?P<points>{POINTS})?",
    re.IGNORECASE,
)
SCORE = re.compile(
    rf"{ROUGHLY}(?<![\w.])(?P<low>{NUMBER}){PERCENT}?(?:\s*(?:-|–|to)\s*(?P<high>{NUMBER}))?(?P<percent>{PERCENT})?(?P<time>{TIME})?",
    re.IGNORECASE,
)
NO_SCORE = re.compile(
    rf"\bp\s*[=<>≤]\s*{NUMBER}(?:e-?\d+)?|\d+(?:\.\d+)?\s?%\s*(?:confidence|power|probability|of (?:the|such|all))|\b(?:alpha|seeds?|margin of|within|version|figure|fig\.|table|section|study|rate(?: of)?|lr|threshold(?: of)?|temperature)\s*=?\s*{NUMBER}"
    rf"|\bbelow about {NUMBER}|\d+ (?:of (?:the )?)?\d+|\d+(?:st|nd|rd|th)\b|[x×]\s?\d+|\d+\s?[x×]",
    re.IGNORECASE,
)


# What stands before a number without a point that is a score all the same: the blotted name of a metric.
SAID_OF = re.compile(r"□+(?: score)?s?\s*(?:of|was|is|were|=|:)?\s*(?:about |around |~)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number, or a range of two, as it is printed.

    Attributes:
        kind: ``score``, ``interval`` or ``difference``.
        low, high: the printed numbers; equal where there is one.
        digits: after the point, of either.
        percent: it is printed in per cent, or in points of them.
        unit: of a time, as it is spelt.
        start, end: where it stands in the sentence.
    """

    kind: str
    low: float
    high: float
    digits: tuple[int, int]
    percent: bool
    roughly: bool
    unit: str
    start: int
    end: int

    @property
    def is_range(self) -> bool:
        """Whether two numbers were printed."""
        return self.low != self.high

    def tolerance(self, end: float) -> float:
        """How far a number may be from this end to be rounded to it."""
        digits = self.digits[0] if end == self.low else self.digits[1]
        return (1.5 if self.roughly else 0.5) * 10.0**-digits * (1 + 1e-9) + 1e-12


def quantities(masked: str) -> list[Quantity]:
    """The numbers of a sentence in which names are blotted out, in their order; counts, years and p values are left out."""
    found = []
    rest = masked
    for kind, rule in (("interval", INTERVAL), ("difference", APART), ("", NO_SCORE), ("score", SCORE)):
        for one in list(rule.finditer(rest)):
            if kind:
                made = _quantity(kind, one)
                if made is not None:
                    found.append(made)
            rest = rest[: one.start()] + " " * len(one[0]) + rest[one.end() :]
    return sorted(found, key=lambda one: one.start)


def _quantity(kind: str, found: re.Match[str]) -> Quantity | None:
    said = found.groupdict()
    low, high = said["low"], said["high"] or said["low"]
    percent = (
        "%" in found[0] or bool(re.search(r"per ?cent", found[0], re.IGNORECASE)) or bool(said.get("points"))
    )
    if kind == "interval":  # the per cent of the confidence is no unit of its ends
        percent = bool(re.search(r"[\d.]\s?%", found[0][found.start("low") - found.start() :]))
    unit = (said.get("time") or "").strip().lower()
    ends = sorted((float(one), len(one.partition(".")[2])) for one in (low, high))
    digits = ends[0][1], ends[1][1]
    if kind == "score" and not (
        any(digits) or percent or unit or SAID_OF.search(found.string[: found.start("low")])
    ):
        return None  # a count
    begin = found.start("low") if kind == "score" else found.start()
    return Quantity(
        kind, ends[0][0], ends[1][0], digits, percent, bool(said.get("roughly")), unit, begin, found.end()
    )
