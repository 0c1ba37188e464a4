"""`foldwise claims`: which sentences of a text the numbers bear out, each with its verdict and the evidence."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from foldwise.errors import ClaimsFalse, DataError, SpecError
from foldwise.interface.terminal import console, hang
from foldwise.storage import write_json
from foldwise.text import count

if TYPE_CHECKING:
    from foldwise.judging.claim_check.check import Checked, CheckedSentence
    from foldwise.judging.claim_check.grammar import Answer

SIGNS: dict[Answer, tuple[str, str]] = {
    "true": ("✓", "green"),
    "false": ("✗", "bold red"),
    "not supported": ("!", "yellow"),
    "cannot check": ("?", "dim"),
}
MAX_SENTENCE = 400
SCHEMA = 1

Report = Annotated[
    Path,
    typer.Argument(
        metavar="REPORT", help="A run folder, a verdict.json, or a CSV, one row per configuration."
    ),
]
TextFile = Annotated[
    Path, typer.Argument(metavar="TEXT", help="A text or Markdown file; - is standard input.")
]
Named = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="What a sentence means that names none. [default: the one that decides]"
    ),
]
Same = Annotated[
    list[str], typer.Option(metavar="WORD=NAME", help="A word of the text that means a name of the report.")
]
Every = Annotated[bool, typer.Option("--all", help="Also say what was true.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the findings as JSON.")]


def claims(
    report: Report,
    text: TextFile,
    metric: Named = None,
    same: Same = [],  # noqa: B006 - typer wants the default value itself
    every: Every = False,
    out: Out = None,
) -> None:
    """Check the sentences of a text against a verdict or a table: true, false, not supported, cannot check."""
    from foldwise.judging.claim_check.check import check
    from foldwise.judging.claim_check.table import open_report

    if report.is_file() and text.is_dir():
        cure = f"The run comes first, then the text: foldwise claims {text} {report}"
        raise SpecError(f"{text} is a folder, and no text", cure=cure)
    table = open_report(report, metric=metric)
    checked = check(table, _read(text), same=_meant(same))
    say_findings(checked, every=every)
    if out is not None:
        save_findings(out, checked)
    num_false = checked.count("false")
    if num_false:
        what = count(num_false, "sentence is false", "sentences are false")
        them = "it" if num_false == 1 else "them"
        raise ClaimsFalse(
            what, where=str(text), cure=f"Correct {them} by the numbers above, or leave {them} out."
        )


def _read(text: Path) -> str:
    if str(text) == "-":
        return sys.stdin.read()
    if not text.is_file():
        raise SpecError(
            f"there is no file {text}", cure="Name a text or Markdown file, or - for standard input."
        )
    try:
        # Editors on Windows may begin a text with a byte-order mark, which would be part of its first word.
        return text.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            "the file is not UTF-8 text", where=str(text), cure="Save it as plain text, UTF-8."
        ) from None


def _meant(same: list[str]) -> dict[str, str]:
    """WORD=NAME as a word and the name that it means."""
    wrong = [pair for pair in same if not all(part.strip() for part in pair.partition("=")[::2])]
    if wrong:
        raise SpecError(f"--same {wrong[0]!r} is not WORD=NAME", cure="Write for example --same TPU=gpu.")
    return {word.strip(): name.strip() for word, _, name in (pair.partition("=") for pair in same)}


def say_findings(checked: Checked, *, every: bool = False) -> None:
    """The sentences that claim something, in the order of the text; of those that are true only how many.

    Args:
        checked: the findings of a text.
        every: print the true ones too.
    """
    from foldwise.judging.claim_check.grammar import GRAVEST

    out = console()
    for finding in checked.findings:
        if every or finding.verdict != "true":
            _say(out, finding, checked.table.limit)
    counts = ", ".join(f"{checked.count(verdict)} {verdict}" for verdict in reversed(GRAVEST))
    rest = checked.num_sentences - len(checked.findings)
    size = count(checked.num_sentences, "sentence")
    default = checked.table.measures[checked.table.default].title
    hang(
        out, Text(""), Text(f"{size}: {counts}; {rest} without a claim that numbers could bear out.", "bold")
    )
    source, metric = checked.table.source, f"a sentence that names no metric is taken to mean {default}"
    tested = (
        ""
        if checked.table.verdict
        else "; nothing in it was tested, so no difference can be shown to be beyond chance"
    )
    hang(out, Text(""), Text(f"Checked against {source}{tested}; {metric}.", "dim"))


def _say(out: Console, finding: CheckedSentence, limit: str) -> None:
    text = finding.sentence
    if len(text) > MAX_SENTENCE:
        text = text[:MAX_SENTENCE].rpartition(" ")[0] + " ..."
    sign, style = SIGNS[finding.verdict]
    hang(
        out,
        Text.assemble((sign, style), " "),
        Text.assemble((finding.verdict, style), f", line {finding.line}: {text}"),
    )
    for check in finding.checks:
        sign, style = SIGNS[check.verdict]
        # A sentence of a single statement stands above already.
        claim = f"{check.claim}: {check.verdict}. " if len(finding.checks) > 1 else ""
        why = f"{claim}{check.why} {limit}" if check.verdict == "true" else f"{claim}{check.why}"
        hang(out, Text.assemble("    ", (sign, style), " "), Text(why, "dim"))
    out.print()


def save_findings(path: Path, checked: Checked) -> None:
    """Write the findings as JSON, whole or not at all, and say where."""
    from foldwise.judging.claim_check.grammar import GRAVEST

    content = {
        "schema": SCHEMA,
        "source": checked.table.source,
        "tested": checked.table.verdict is not None,
        "metric": checked.table.default,
        "limit": checked.table.limit,
        "num_sentences": checked.num_sentences,
        "counts": {verdict: checked.count(verdict) for verdict in reversed(GRAVEST)},
        "findings": [asdict(finding) for finding in checked.findings],
    }
    write_json(path, content)
    console().print(f"\nFindings: {path}", markup=False)
