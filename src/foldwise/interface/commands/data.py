"""`foldwise data`: public data sets by name: the list, getting one, and comparing it with what was got."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foldwise.interface.observer import say_fetched
from foldwise.interface.terminal import Fetching, console

if TYPE_CHECKING:
    from foldwise.data.public.catalogue import Source

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
    from foldwise.data.public.catalogue import SOURCES

    say_sources(SOURCES.values())


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
    # Printed even where a file has changed: it says what all of them were compared with.
    print(f"{verified.basis}\n{verified.num_files} files, SHA-256 of all: {verified.digest}")
    verified.require_whole()
    print("Every file is as it was.")


def say_sources(sources: Iterable[Source]) -> None:
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
