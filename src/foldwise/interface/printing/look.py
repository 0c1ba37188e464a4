"""What is said of a look inside training: how far it is, and what came out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.status import Status

from foldwise.interface.printing.saying import console
from foldwise.run.folder import RunFolder, read_json
from foldwise.text import count, duration

LOG_EVERY_S = 30.0


class Looking:
    """A line that says what is being done; a plain one now and then where the output is no terminal."""

    def __init__(self) -> None:
        self.out = console()
        self.status = Status("Looking", console=self.out) if sys.stdout.isatty() else None
        self.last_line = time.monotonic()
        self.told = False

    def show(self, beat: dict[str, Any]) -> None:
        """Say how far it is."""
        self.told = True
        if self.status:
            self.status.update(str(beat["doing"]))
        elif time.monotonic() - self.last_line > LOG_EVERY_S:
            self.last_line = time.monotonic()
            self.out.print(beat["doing"], markup=False)

    def __enter__(self) -> Self:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.status:
            self.status.stop()


def say_look(folder: RunFolder, done: Path, *, fresh: bool) -> None:
    """Which fit was looked into, whether its training came out the same, and where the figures are.

    Args:
        folder: the run.
        done: the folder of the look.
        fresh: whether it was done now, and not before.
    """
    out, result = console(), read_json(done / "result.json")
    out.print(f"{result['title'].capitalize()}", style="bold", markup=False)
    if result["replay"]["equal"]:
        out.print(
            f"  Trained again to the same weights, bit for bit ({count(result['last_epoch'], 'epoch')})."
        )
    for warning in result["warnings"]:
        out.print(f"  ! {warning}", markup=False)
    names = ", ".join(one["title"] for one in result["criteria"])
    out.print(f"  {count(result['images'], 'image')} of the training part; {names}", markup=False)
    out.print(f"  It took {duration(result['seconds'])}." if fresh else "  It was done already.")
    out.print(f"\nReport:  {folder.report}", markup=False)
    out.print(f"Numbers: {done}", markup=False)
