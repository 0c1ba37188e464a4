"""The terminal: how a paragraph, a message and a table look, what moves while something is done, and options of many commands."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console, Group, OverflowMethod
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from foldwise.text import duration

if TYPE_CHECKING:
    from foldwise.judging.verdict import VerdictWarning
    from foldwise.runs.folder import RunFolder

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as runs/gel.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run own code (module:function) that the folder names.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; never another one than asked.")]

MAX_MESSAGE = 500
SIGNS = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}
# A log of a long run grows slowly: a line after these seconds, or after this share of the time so far.
LOG_EVERY_S, LOG_AT_MOST_EVERY_S = (60.0, 0.2), (10.0, 0.05)
# Of what takes less long: the first line after these seconds, each other one half as long again later, and at least so often.
LINE_AFTER_S, LINE_GROWTH, LINE_AT_LEAST_S = 10.0, 0.5, 600.0
FORETELL = 0.05  # of the items must be done, before it is said how long the others take


def console() -> Console:
    """Where everything is printed; plain and unbroken where the output is no terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    # Whoever searches a log finds a sentence whole, and a path can be copied from it.
    # In a notebook as well: rich would make HTML of a fixed width of it.
    return Console(highlight=False, soft_wrap=True, width=1000, force_jupyter=False)


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


def say_warnings(out: Console, warnings: Iterable[VerdictWarning]) -> None:
    """Every warning of a verdict with its cure."""
    for warning in warnings:
        say_message(out, SIGNS["warning"], warning.message, code=warning.code, cure=warning.cure)


class Lines:
    """Where a task is, in lines at growing intervals, for an output that is no terminal; none of a task of a few seconds.

    By a clock of their own, as a single step may take minutes.

    Args:
        line: what is being done and how far it is; nothing is said while it is empty.
    """

    def __init__(self, line: Callable[[], str]) -> None:
        self._line, self._ended = line, threading.Event()
        self.began = time.monotonic()
        self._thread = threading.Thread(target=self._say, daemon=True)
        self._thread.start()

    def _say(self) -> None:
        out, last = console(), self.began
        while not self._ended.wait(min(1.0, LINE_AFTER_S / 2)):
            now = time.monotonic()
            due_s = max(LINE_AFTER_S, min(LINE_GROWTH * (last - self.began), LINE_AT_LEAST_S))
            if now - last >= due_s and (line := self._line()):
                out.print(f"{line}, {duration(now - self.began)} so far", markup=False)
                last = now

    def stop(self) -> None:
        """Say nothing more."""
        self._ended.set()
        self._thread.join()


class HowFar:
    """How many of all are done, and how long the others will take as those did that were done since the first look."""

    def __init__(self) -> None:
        self._began, self._first, self._done, self._total = time.monotonic(), 0.0, 0.0, 0

    def show(self, done: float, total: int) -> None:
        """So many of so many are done; another total, or fewer done, begins another count."""
        if total != self._total or done < self._done:
            self._began, self._first, self._total = time.monotonic(), done, total
        self._done = done

    def words(self) -> str:
        """``3 of 16, about 2 min to go``; empty before anything was shown."""
        if not self._total:
            return ""
        line, fresh, left = (
            f"{int(self._done)} of {self._total}",
            self._done - self._first,
            self._total - self._done,
        )
        if left > 0 and fresh > 0 and fresh >= FORETELL * (self._total - self._first):
            line += f", about {duration((time.monotonic() - self._began) / fresh * left)} to go"
        return line


class _Bar:
    """A bar of rich, to be taken away at the end; lines at growing intervals outside a terminal."""

    def __init__(self, *columns: ProgressColumn) -> None:
        self.how_far, self.doing = HowFar(), ""
        moves = sys.stdout.isatty()
        self.lines = None if moves else Lines(self._line)
        # Transient: what is printed afterwards says what was done, and a full bar beside it says nothing.
        self.bar = Progress(*columns, console=console(), transient=True, disable=not moves)
        self.bar.start()

    def _line(self) -> str:
        return ": ".join(filter(None, (self.doing, self.how_far.words())))

    def stop(self) -> None:
        """Take the bar away."""
        self.bar.stop()
        if self.lines is not None:
            self.lines.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()


class Fetching(_Bar):
    """A bar for each thing that is done to get a data set."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}")
        super().__init__(*columns, TimeRemainingColumn())
        self.tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int, total: int | None) -> None:
        """Say how much of `what` is done: bytes of a download or an archive, else files."""
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(what, total=total, amount="")
        in_bytes = what.startswith(("Downloading", "Unpacking"))
        if total is not None and not in_bytes:
            self.how_far.show(done, total)
        parts = [f"{n / 1e6:.0f} MB" if in_bytes else str(n) for n in (done, total) if n is not None]
        amount = " of ".join(parts)
        self.doing = what if not in_bytes else f"{what}: {amount}"
        self.bar.update(self.tasks[what], completed=done, total=total, amount=amount)


class DecodingBar(_Bar):
    """A bar while images are decoded; nothing is shown where they already were."""

    DOING = "Decoding images"

    def __init__(self) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        super().__init__(*columns, TimeRemainingColumn())
        self.task = self.bar.add_task(self.DOING, total=None, visible=False)

    def show(self, done: float, total: int) -> None:
        """Say how many are done; a part of a large image moves the bar."""
        self.doing = self.doing or self.DOING
        self.how_far.show(done, total)
        self.bar.update(self.task, completed=done, total=total, visible=True)


class PredictingBar(DecodingBar):
    """A bar while images are predicted."""

    DOING = "Predicting images"

    def say(self, what: str) -> None:
        """Say what is being done beside the number of images: which tile of a large one, for example."""
        self.doing = f"{self.DOING} ({what})" if what else self.DOING
        self.bar.update(self.task, description=self.doing, visible=True)


class Trying(DecodingBar):
    """A bar while configurations are tried."""

    DOING = "Trying configurations"

    def show(self, done: float, total: int) -> None:
        """Say which configuration is being tried, from 1."""
        super().show(done - 1, total)


class RunProgress:
    """The live display of a run that is running; a plain line now and then where the output is no terminal."""

    def __init__(self, folder: RunFolder, waits: frozenset[str] = frozenset()) -> None:
        from foldwise.runs.plan import without

        self.folder, self.began = folder, time.monotonic()
        done, failed = self.folder.settled()
        self.plan = without(folder.load_plan(), waits - done - failed)  # others do what waits, here or never
        self.settled_before = self._settled_count(done, failed)
        self.last_line, self.last_settled = self.began, self.settled_before
        self.out = console()
        self.live = (
            Live(console=self.out, refresh_per_second=2, transient=True) if sys.stdout.isatty() else None
        )
        if self.live:
            self.live.start()

    def stop(self) -> None:
        """Take the display away."""
        if self.live:
            self.live.stop()

    def _settled_count(self, done: set[str], failed: set[str]) -> int:
        return sum(item.id in done or item.id in failed for item in self.plan.items)

    def show(self) -> None:
        """Look at the run folder and say how far it is."""
        if self.plan.grows:
            self.plan = self.folder.load_plan()
        done, failed = self.folder.settled()
        settled = self._settled_count(done, failed)
        line = self._line(settled, sum(item.id in failed for item in self.plan.items))
        if self.live:
            self.live.update(Group(Text(line), self._table()))
        elif self._is_news(settled):
            self.out.print(line, markup=False)
            self.last_line, self.last_settled = time.monotonic(), settled

    def stopping(self) -> None:
        """Say that the workers are asked to stop, which may take some seconds."""
        if self.live:
            self.live.update(Text(""))
            self.live.stop()
        done, failed = self.folder.settled()
        line = self._line(self._settled_count(done, failed), 0)
        self.out.print(f"{line}; stopping, what is in progress is given back", markup=False)

    def _is_news(self, settled: int) -> bool:
        now = time.monotonic()
        if settled == len(self.plan.items) + self.plan.num_to_come:
            return settled != self.last_settled
        least_s, share = LOG_EVERY_S if settled == self.last_settled else LOG_AT_MOST_EVERY_S
        return now - self.last_line > max(least_s, share * (now - self.began))

    def _line(self, settled: int, failed: int) -> str:
        from foldwise.runs.job_notes import jobs_noted

        total, elapsed = len(self.plan.items) + self.plan.num_to_come, time.monotonic() - self.began
        line = f"{settled} of {total} items done, {duration(elapsed)} so far"
        fresh = settled - self.settled_before
        # The first items take long, as everything is still to be loaded; a guess from them would frighten.
        if fresh >= FORETELL * (total - self.settled_before) and fresh > 0 and settled < total:
            line += f", about {duration(elapsed / fresh * (total - settled))} to go"
        line += f", {failed} failed" if failed else ""
        return line + (f"; jobs: {jobs}" if (jobs := jobs_noted(self.folder)) else "")

    def _table(self) -> Table:
        from foldwise.runs.leases import how_far, items_in_progress

        table = Table.grid(padding=(0, 2))
        for title, beat in items_in_progress(self.folder, self.plan):
            score = f"{beat['metric']} {beat['score']:.3f}" if beat.get("score") is not None else ""
            table.add_row("  ●", Text(title), how_far(beat), score)
        table.add_row("", Text("Ctrl-C stops safely; the same command goes on from here.", style="dim"))
        return table
