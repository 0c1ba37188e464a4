"""What `foldwise report` says of the files it wrote, and of the page it serves."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from foldwise.interface.printing.saying import console
from foldwise.run.folder import RunFolder
from foldwise.text import count


def say_figures(out: Path, files: Sequence[Path]) -> None:
    """How many figures and tables are where."""
    drawn = sum(file.suffix == ".svg" for file in files)
    told = f"{count(drawn, 'figure')} as SVG, {count(len(files) - drawn, 'table')} as CSV"
    console().print(f"Figures: {out} ({told})", markup=False)


def say_events(out: Path, fits: int) -> None:
    """How many fits are in event files, and how to look at them."""
    console().print(
        f"Events:  {out} ({count(fits, 'fit')}); look with: tensorboard --logdir {out}", markup=False
    )


def say_served(folder: RunFolder, address: str) -> None:
    """Where the page is."""
    out = console()
    out.print(f"{folder.root} is shown at {address} on this machine only.", markup=False)
    out.print("It grows while the study runs. Nothing is written. Ctrl-C ends it.")


def wait_for_stop() -> None:
    """Return at Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console().print("\nThe page is no longer served; the study goes on if it is running.")
