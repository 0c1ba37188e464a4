"""What the terminal says of a text that was checked: every claim with its verdict and the evidence."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from foldwise.interface.printing.saying import console, hang
from foldwise.judging.claim_check.checking import Checked, Finding
from foldwise.judging.claim_check.finding import GRAVEST, TRUE, Verdict
from foldwise.storage import write_json
from foldwise.text import count

SIGNS: dict[Verdict, tuple[str, str]] = {
    "true": ("✓", "green"),
    "false": ("✗", "bold red"),
    "not supported": ("!", "yellow"),
    "cannot check": ("?", "dim"),
}
LONGEST_SENTENCE = 400
SCHEMA = 1


def say_findings(checked: Checked, *, every: bool = False) -> None:
    """The sentences that claim something, in the order of the text; of those that are true only how many.

    Args:
        checked: what was found.
        every: say the true ones too.
    """
    out = console()
    for one in checked.findings:
        if every or one.verdict != TRUE:
            _say(out, one)
    told = ", ".join(f"{checked.count(verdict)} {verdict}" for verdict in reversed(GRAVEST))
    rest = checked.num_sentences - len(checked.findings)
    size = count(checked.num_sentences, "sentence")
    default = checked.table.measures[checked.table.default].title
    hang(out, Text(""), Text(f"{size}: {told}; {rest} without a claim that numbers could bear out.", "bold"))
    source, metric = checked.table.source, f"a sentence that names no metric is taken to mean {default}"
    tested = (
        ""
        if checked.table.tested
        else "; nothing in it was tested, so no difference can be shown to be beyond chance"
    )
    hang(out, Text(""), Text(f"Checked against {source}{tested}; {metric}.", "dim"))


def _say(out: Console, one: Finding) -> None:
    text = one.sentence.text
    if len(text) > LONGEST_SENTENCE:
        text = text[:LONGEST_SENTENCE].rpartition(" ")[0] + " ..."
    sign, style = SIGNS[one.verdict]
    hang(
        out,
        Text.assemble((sign, style), " "),
        Text.assemble((one.verdict, style), f", line {one.sentence.line}: {text}"),
    )
    for check in one.checks:
        sign, style = SIGNS[check.verdict]
        said = check.why[:1].upper() + check.why[1:]
        hang(
            out,
            Text.assemble("    ", (sign, style), " "),
            Text(f"{check.claim}: {check.verdict}. {said}", "dim"),
        )
    out.print()


def save_findings(path: Path, checked: Checked) -> None:
    """Write the findings as JSON, whole or not at all, and say where."""
    findings = [
        {"line": one.sentence.line, "sentence": one.sentence.text, "verdict": one.verdict}
        | {"checks": [asdict(check) for check in one.checks]}
        for one in checked.findings
    ]
    write_json(
        path,
        {
            "schema": SCHEMA,
            "source": checked.table.source,
            "tested": checked.table.tested,
            "metric": checked.table.default,
            "num_sentences": checked.num_sentences,
            "counts": {verdict: checked.count(verdict) for verdict in reversed(GRAVEST)},
            "findings": findings,
        },
    )
    console().print(f"\nFindings: {path}", markup=False)
