"""A text against a table: every sentence that claims something, with a verdict and the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foldwise.errors import SpecError
from foldwise.judging.claim_check.finding import TRUE, UNCHECKED, Check, Verdict, gravest
from foldwise.judging.claim_check.kinds import KINDS
from foldwise.judging.claim_check.mentions import Names, Told, names_of, told_of
from foldwise.judging.claim_check.reading import Sentence, sentences
from foldwise.judging.claim_check.scope import unread
from foldwise.judging.claim_check.table import Table
from foldwise.judging.claim_check.wording import normal


@dataclass(frozen=True)
class Finding:
    """What is said of a sentence.

    Attributes:
        sentence: it, and its line.
        verdict: that of the worst of its claims.
        checks: of every claim that was read in it.
    """

    sentence: Sentence
    verdict: Verdict
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Checked:
    """All findings of a text, in its order.

    Attributes:
        num_sentences: of the text; those that are in no finding claim nothing that a table could bear out.
    """

    table: Table
    num_sentences: int
    findings: tuple[Finding, ...]

    def count(self, verdict: Verdict) -> int:
        """How many sentences have it."""
        return sum(one.verdict == verdict for one in self.findings)


def check(table: Table, text: str, *, same: Mapping[str, str] | None = None) -> Checked:
    """Check every sentence of a text.

    Args:
        table: what is known, from `sources.open_report`.
        text: plain or Markdown.
        same: words of the text that mean a name of the table: ``{"TPU": "gpu"}``.

    Raises:
        SpecError: a word is said to mean a name that the table does not have.
    """
    names = names_of(table, same or {})
    for word, name in (same or {}).items():
        if normal(name) not in names.things:
            levels = [level for of in table.factors.values() for level in of]
            known = ", ".join(dict.fromkeys([*levels, *(row.name for row in table.compared)][:20]))
            raise SpecError(
                f"{word!r} is to mean {name!r}, which {table.source} does not have", cure=f"Known: {known}."
            )
    read = sentences(text)
    found = [_finding(sentence, table, names) for sentence in read]
    return Checked(table, len(read), tuple(one for one in found if one is not None))


def _finding(sentence: Sentence, table: Table, names: Names) -> Finding | None:
    told = told_of(sentence.text, table, names)
    used: set[int] = set()
    made = [check for kind in KINDS for check in kind.read(told, used)]
    if not made:
        return None
    if gravest([check.verdict for check in made]) == TRUE:
        made += _narrowed(told)
    return Finding(sentence, gravest([check.verdict for check in made]), tuple(made))


def _narrowed(told: Told) -> list[Check]:
    """A claim that is true of the table, and is made of less than the table: nobody looked there."""
    why = "the table does not tell these apart; what was read is true of the whole."
    return [Check("scope", f"“{words}”", UNCHECKED, why) for words in unread(told)]
