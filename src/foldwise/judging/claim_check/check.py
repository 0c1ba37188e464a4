"""A text against a report: every sentence that claims something, with its answer and the numbers that decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt

from foldwise.errors import SpecError
from foldwise.judging.claim_check.grammar import GRAVEST, SETS, Answer, CannotCheck, Form, Reading, read
from foldwise.judging.claim_check.lookups import FORMS
from foldwise.judging.claim_check.names import Name, Tokens, lexicon_of, tokens_of
from foldwise.judging.claim_check.table import ScoreTable
from foldwise.judging.wording import results
from foldwise.metrics.names import plain

# What may stand before a sentence and claims nothing.
FILLER = re.compile(r"(?:(?:however|moreover|furthermore|in addition|in this study|in our study) , )?")
# A sentence with one of these claims something; so does one with two names, or with a number beside a name or metric.
CLAIMING = re.compile(
    r"(better|best|worse|worst|superior|inferior|higher|highest|lower|lowest|outperform\w*|beats?|significant\w*|similar"
    r"|equivalent|comparable|differen\w+|differ|improve[sd]|winner|ruled|confident|fast\w*|slow\w*|effect|scores?)"
)
PATTERNS = " ".join([*(pattern for form in FORMS for pattern in form.patterns), *SETS.values()])
KNOWN = {"and", *re.findall(r"[a-z]+", re.sub(r"\{\w+:?", " ", PATTERNS))}
SHORT = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|vs|cf|figs?|tab|eq|et al|approx|no|ca|dr|etc)\.$", re.IGNORECASE)
END = re.compile(r"(?<=[.!?])[\"')\]”]?\s+(?=\S)")
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["code", "lheading"])


@dataclass(frozen=True)
class Check:
    """A statement of a sentence: the form that reads it, its answer, and the numbers that decide."""

    kind: str
    claim: str
    verdict: Answer
    why: str


@dataclass(frozen=True)
class CheckedSentence:
    """A sentence that claims something, the line in which it begins, its statements, and the worst of their answers."""

    line: int
    sentence: str
    verdict: Answer
    checks: tuple[Check, ...]


@dataclass(frozen=True, repr=False)
class Checked:
    """All findings of a text, in its order; the rest of its sentences claims nothing. `table.limit` is of all that is true."""

    table: ScoreTable
    num_sentences: int
    findings: tuple[CheckedSentence, ...]

    def __repr__(self) -> str:
        lines = [f"{finding.verdict}: {finding.sentence}" for finding in self.findings]
        return "\n".join(lines) or f"{self.num_sentences} sentences claim nothing"

    def count(self, verdict: Answer) -> int:
        """How many sentences have this answer."""
        return sum(finding.verdict == verdict for finding in self.findings)


def check(table: ScoreTable, text: str, *, same: Mapping[str, str] | None = None) -> Checked:
    """Check every sentence of a plain or Markdown text.

    `same` are words of the text that mean a name of the table, ``{"TPU": "gpu"}``; SpecError where it has none such.
    """
    lexicon = lexicon_of(table, same or {})
    for word, name in (same or {}).items():
        if plain(name) not in lexicon:
            names = dict.fromkeys([*(row.name for row in table.rows), *sum(table.factors.values(), ())])
            message = f"{word!r} is to mean {name!r}, which {table.source} does not have"
            raise SpecError(message, cure=f"Known: {', '.join(list(names)[:20])}.")
    verdict = table.verdict
    messages = [*results(verdict), *(warning.message for warning in verdict.warnings)] if verdict else []
    its_own = [sentence for message in messages for _, sentence in sentences(message)]
    own = {_shape(tokens_of(sentence, lexicon)): sentence for sentence in its_own}
    every, findings = list(sentences(text)), []
    for line, sentence in every:
        tokens = tokens_of(sentence, lexicon)
        checks = tuple(_checks(table, tokens)) or _unread(sentence, tokens, own.get(_shape(tokens)))
        if checks:
            worst = min((statement.verdict for statement in checks), key=GRAVEST.index)
            findings.append(CheckedSentence(line, sentence, worst, checks))
    return Checked(table, len(every), tuple(findings))


def _shape(tokens: Tokens) -> str:
    """The words of a sentence without its numbers: by them it is compared with what the verdict says itself."""
    return " ".join("D" if word[0] == "D" else tokens.written.get(word, word) for word in tokens.words)


def _checks(table: ScoreTable, tokens: Tokens) -> Iterator[Check]:
    """A check of every statement of a sentence that forms read as a whole."""
    subject: tuple[Name, ...] = ()
    words = "".join(f"{word} " for word in tokens.words)
    for text, form, slots in _statements(FILLER.sub("", words, count=1)):
        reading = Reading(table, tokens, slots, subject)
        subject = reading.names("a") or subject
        claim = " ".join(tokens.written.get(word, word) for word in text.split())
        claim = claim.replace("« ", "(").replace(" »", ")").replace(" ,", ",")
        try:
            yield Check(form.name, claim, *form.check(reading))
        except CannotCheck as reason:
            yield Check(form.name, claim, "cannot check", f"{str(reason)[0].upper()}{str(reason)[1:]}.")


def _unread(sentence: str, tokens: Tokens, own: str | None) -> tuple[Check, ...]:
    """A check of a sentence that no forms read: the verdict's own, one that is not understood, or none."""
    if own:
        right = re.findall(r"-?\d+", own) == re.findall(r"-?\d+", sentence)
        return (Check("own words", sentence, "true" if right else "false", f"The verdict says: {own}"),)
    letters = "".join(sorted(slot[0] for slot in tokens.slots))
    if not any(map(CLAIMING.fullmatch, tokens.words)) and not re.search("D.*[MN]|NN", letters):
        return ()
    words = dict.fromkeys(word for word in tokens.words if word.isalpha() and word not in KNOWN)
    why = f"No form of sentence has these words: {', '.join(words)}."
    return (Check("", sentence, "cannot check", why if words else "Its words are in no form in this order."),)


def _statements(text: str) -> list[tuple[str, Form, dict[str, str]]]:
    """The forms that read a sentence: one as a whole, or one after another; none where anything is left."""
    for form in FORMS:
        if (slots := read(form, text)) is not None:
            return [(text, form, slots)]
    for mark in re.finditer(r"; |, (?:and|but|while|whereas) |and ", text):
        first, rest = _statements(text[: mark.start()]), _statements(text[mark.end() :])
        if first and rest:
            return [*first, *rest]
    return []


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a text with their lines; headings, tables, pictures and code of Markdown are left out."""
    for before, block in pairwise(MARKDOWN.parse(text)):
        if block.type != "inline" or before.type != "paragraph_open":
            continue
        parts = (part for part in block.children or () if part.type != "image")
        words = "".join("\n" if "break" in part.type else part.content for part in parts)
        words = re.sub(r"[\u00a0\u202f\u2009]", " ", words).replace("−", "-")
        ends = [end.end() for end in END.finditer(words) if not SHORT.search(words[: end.start()])]
        for begin, end in pairwise([0, *ends, len(words)]):
            line = (block.map or [0])[0] + 1 + words.count("\n", 0, begin)
            if re.search(r"\w", words[begin:end]):
                yield line, " ".join(words[begin:end].split())
