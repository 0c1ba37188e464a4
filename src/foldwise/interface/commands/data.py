"""`foldwise data`: public data sets by name: the list, getting one, and comparing it with what was got."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from foldwise.interface.terminal import console

if TYPE_CHECKING:
    from foldwise.data.public.source import Source

data_app = typer.Typer(
    help="Public data sets by name: list, get, verify.", no_args_is_help=True, rich_markup_mode=None
)
SourceName = Annotated[str, typer.Argument(metavar="NAME", help="A name that foldwise data list shows.")]
SourceFolder = Annotated[Path | None, typer.Option("--out", help="Its folder.", show_default="data/<name>")]
Local = Annotated[
    Path | None, typer.Option(help="A folder or archive with the original, in place of a download.")
]


@data_app.command("list")
def data_list() -> None:
    """Say which public data sets are known by name, with their licence, size and traps."""
    from foldwise.data.public.getting import list_sources

    say_sources(list_sources())


@data_app.command("get")
def data_get(name: SourceName, local: Local = None, out: SourceFolder = None) -> None:
    """Fetch a data set, or take a local copy, check it and lay it out for foldwise. Call it again to go on."""
    from foldwise.data.public.getting import get, read_record

    with Fetching() as fetching:
        folder = get(name, out or Path("data") / name, local=local, progress=fetching.show)
    say_fetched(read_record(folder), folder)


@data_app.command("verify")
def data_verify(name: SourceName, out: SourceFolder = None) -> None:
    """Compare every file of a data set with what was recorded when it was got."""
    from foldwise.data.public.getting import verify

    with Fetching() as fetching:
        verified = verify(name, out or Path("data") / name, progress=fetching.show)
    print(f"{verified.basis}\n{verified.num_files} files, SHA-256 of all: {verified.digest}")
    verified.require_whole()
    print("Every file is as it was.")


class Fetching:
    """A bar for each thing that is done to get a data set; nothing is shown outside a terminal."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}")
        shown = not sys.stdout.isatty()
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console(), transient=True, disable=shown)
        self.tasks: dict[str, TaskID] = {}
        self.bar.start()

    def show(self, what: str, done: int, total: int | None) -> None:
        """Say how much of `what` is done: bytes of a download or an archive, else files."""
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total, amount="")
        in_bytes = what.startswith(("Downloading", "Unpacking"))
        parts = [f"{n / 1e6:.0f} MB" if in_bytes else str(n) for n in (done, total) if n is not None]
        self.bar.update(self.tasks[what], completed=done, total=total, amount=" of ".join(parts))

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


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
