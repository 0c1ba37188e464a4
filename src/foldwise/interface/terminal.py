"""The terminal: where everything is printed, how a paragraph hangs and a message looks, and options of many commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, OverflowMethod
from rich.table import Table
from rich.text import Text

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; never another one than asked.")]

MAX_MESSAGE = 500
SIGNS = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}


def console() -> Console:
    """Where everything is printed; plain and unbroken where the output is no terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    # Whoever searches a log finds a sentence whole, and a path can be copied from it.
    return Console(highlight=False, soft_wrap=True, width=1000)


def hang(out: Console, mark: Text, text: Text) -> None:
    """Print a paragraph after a mark, its further lines under its first; unbroken where the output is no terminal."""
    # By hand, since rich would begin every further line at the left edge.
    lines = [text] if out.soft_wrap else list(text.wrap(out, max(out.width - len(mark), 20)))
    for number, line in enumerate(lines):
        line.rstrip()
        out.print(Text.assemble(" " * len(mark) if number else mark, line), soft_wrap=True)


def plain_table(first: str, *others: str, overflow: OverflowMethod = "ellipsis") -> Table:
    """A table without lines: the names in its first column, numbers in the others; one without a heading holds words."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(first, overflow=overflow)
    for heading in others:
        table.add_column(heading, justify="right" if heading else "left")
    return table


def say_message(out: Console, sign: tuple[str, str], message: str, *, code: str, cure: str | None) -> None:
    """A message after its sign, its code dim at the end, and its cure below; very long ones are cut."""
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE].rpartition(" ")[0] + " ..."
    hang(out, Text.assemble("  ", sign, " "), Text.assemble(message, " ", (code, "dim")))
    if cure:
        hang(out, Text("    → ", "dim"), Text(cure, "dim"))
