"""The command `foldwise claims`: which sentences of a text the numbers bear out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from foldwise.errors import ClaimsFalse, DataError, SpecError

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
    from foldwise.interface.printing.claims import save_findings, say_findings
    from foldwise.judging.claim_check.checking import check
    from foldwise.judging.claim_check.finding import FALSE
    from foldwise.judging.claim_check.sources import open_report

    table = open_report(report, metric=metric)
    checked = check(table, _read(text), same=_meant(same))
    say_findings(checked, every=every)
    if out is not None:
        save_findings(out, checked)
    num_false = checked.count(FALSE)
    if num_false:
        what = "1 sentence is false" if num_false == 1 else f"{num_false} sentences are false"
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
        return text.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            "the file is not UTF-8 text", where=str(text), cure="Save it as plain text, UTF-8."
        ) from None


def _meant(same: list[str]) -> dict[str, str]:
    """WORD=NAME as a word and the name that it means."""
    wrong = [one for one in same if not all(part.strip() for part in one.partition("=")[::2])]
    if wrong:
        raise SpecError(f"--same {wrong[0]!r} is not WORD=NAME", cure="Write for example --same TPU=gpu.")
    return {word.strip(): name.strip() for word, _, name in (one.partition("=") for one in same)}
