"""What the terminal says of public data sets: the list, the progress of getting one, and what was got."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from foldwise.interface.printing.saying import console

if TYPE_CHECKING:
    from foldwise.data.public.source import Source


class Fetching:
    """A bar for each thing that is done to get a data set; nothing is shown outside a terminal."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}")
        shown = not sys.stdout.isatty()
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console(), transient=True, disable=shown)
        self.tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int, total: int | None) -> None:
        """Say how much of `what` is done: bytes of a download or an archive, else files."""
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total, amount="")
        in_bytes = what.startswith(("Downloading", "Unpacking"))
        parts = [f"{n / 1e6:.0f} MB" if in_bytes else str(n) for n in (done, total) if n is not None]
        self.bar.update(self.tasks[what], completed=done, total=total, amount=" of ".join(parts))

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.bar.stop()


def say_sources(sources: Sequence[Source]) -> None:
    """Every data set that is known by name, with its licence, size and traps."""
    out = console()
    for source in sources:
        size = f"{source.size_mb:g} MB" if source.size_mb is not None else "size not known"
        out.print(f"{source.name}: {source.title}", style="bold", markup=False)
        facts = (
            f"{source.task}, {size}",
            f"from {source.where}",
            f"licence: {source.licence}",
            f"cite: {source.citation}",
        )
        for line in (*facts, *source.notes):
            out.print(f"  {line}", markup=False)


def say_fetched(record: dict[str, Any], folder: Path, *, brief: bool = False) -> None:
    """What was got, where it is, and, unless a study asked for it, what to write into one."""
    out = console()
    told = (
        f"{record['title']} is in {folder}.",
        *record["said"],
        *record["notes"],
        f"Licence: {record['licence']}",
    )
    for line in told:
        out.print(line, markup=False)
    if brief:
        return
    out.print(f"In a study file:\ndata: {{source: {record['source']}}}", markup=False)
    if record["study"]:
        out.print(f"which brings with it:\n{record['study']}", markup=False)
