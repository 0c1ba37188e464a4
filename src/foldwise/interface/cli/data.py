"""The commands below `foldwise data`: public data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from foldwise.interface.printing.data import say_sources

    say_sources(list_sources())


@data_app.command("get")
def data_get(name: SourceName, local: Local = None, out: SourceFolder = None) -> None:
    """Fetch a data set, or take a local copy, check it and lay it out for foldwise. Call it again to go on."""
    from foldwise.data.public.getting import get, read_record
    from foldwise.interface.printing.data import Fetching, say_fetched

    with Fetching() as fetching:
        folder = get(name, out or Path("data") / name, local=local, progress=fetching.show)
    say_fetched(read_record(folder), folder)


@data_app.command("verify")
def data_verify(name: SourceName, out: SourceFolder = None) -> None:
    """Compare every file of a data set with what was recorded when it was got."""
    from foldwise.data.public.getting import verify
    from foldwise.interface.printing.data import Fetching

    with Fetching() as fetching:
        found = verify(name, out or Path("data") / name, progress=fetching.show)
    print(f"{found.basis}\n{found.num_files} files, SHA-256 of all: {found.digest}")
    found.require_whole()
    print("Every file is as it was.")
