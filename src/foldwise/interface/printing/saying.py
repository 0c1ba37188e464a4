"""How anything is said: where to, and how a paragraph hangs and a message looks."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

LONGEST_MESSAGE = 500
SIGNS = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}


def console() -> Console:
    """Where everything is said; plain and unbroken where the output is no terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, soft_wrap=True, width=1000)


def hang(out: Console, mark: Text, text: Text) -> None:
    """Print a paragraph after a mark, its further lines under its first; unbroken where the output is no terminal."""
    lines = [text] if out.soft_wrap else list(text.wrap(out, max(out.width - len(mark), 20)))
    for number, line in enumerate(lines):
        line.rstrip()
        out.print(Text.assemble(" " * len(mark) if number else mark, line), soft_wrap=True)


def say_message(out: Console, sign: tuple[str, str], message: str, *, code: str, cure: str | None) -> None:
    """A message after its sign, its code dim at the end, and its cure below; very long ones are cut."""
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE].rpartition(" ")[0] + " ..."
    hang(out, Text.assemble("  ", sign, " "), Text.assemble(message, " ", (code, "dim")))
    if cure:
        hang(out, Text("    → ", "dim"), Text(cure, "dim"))
