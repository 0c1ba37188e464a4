"""`foldwise status`: how far a run is, what is being done, and what failed; and the progress of one that is running."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from foldwise.interface.terminal import RunPath, console
from foldwise.text import count, duration

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.plan import Plan

# A log of a long run grows slowly: a line after these seconds, or after this share of the time so far.
LOG_EVERY_S, LOG_AT_MOST_EVERY_S = (60.0, 0.2), (10.0, 0.05)
FORETELL = 0.05  # of the items must be done, before it is said how long the others take


def status(run: RunPath) -> None:
    """How far a run is, what is being done, and what failed and why."""
    from foldwise.runs.folder import RunFolder

    say_status(RunFolder.open(run))


def say_status(folder: RunFolder) -> None:
    """How far a run is, what is being done now, what failed and why."""
    from foldwise.runs.items import count_kinds
    from foldwise.runs.leases import items_in_progress
    from foldwise.runs.plan import skipped, waiting_sentence

    out, plan = console(), folder.load_plan()
    _, failed = folder.settled()
    lost = {item.id for item in skipped(plan, failed)}
    states = {state: number for state, number in asdict(folder.status(plan)).items() if number}
    listed = [f"{number} {state}" for state, number in states.items()]
    of_which = count_kinds(plan.items)
    items = count(len(plan.items), "item") + (f" ({of_which})" if "," in of_which else "")
    out.print(f"{folder.root}: {items}: {', '.join(listed)}", markup=False)
    for title, beat in items_in_progress(folder, plan):
        epoch = f", epoch {beat['epoch']} of {beat['epochs']}" if "epoch" in beat else ""
        out.print(f"  running  {title}{epoch}", markup=False)
    for item in plan.items:
        if item.id in failed:
            error = (folder.result(item.id) or {}).get("error") or {}
            out.print(f"  failed   {item.title}: {error.get('message', 'no cause recorded')}", markup=False)
            out.print(f"           by hand: foldwise work {folder.root} {item.id}", markup=False, style="dim")
        elif item.id in lost:
            out.print(f"  skipped  {item.title}: it needs an item that failed", markup=False)
    if waits := waits_of(folder, plan):
        out.print(f"  waiting  {waiting_sentence(plan, waits)}", markup=False)


def waits_of(folder: RunFolder, plan: Plan) -> frozenset[str]:
    """Ids of the items that are not done and ask for a device which is not here."""
    from foldwise.pipeline.worker import waiting_here

    done, failed = folder.settled()
    return waiting_here(plan) - done - failed


class Progress:
    """The live display of a run that is running; a plain line now and then where the output is no terminal."""

    def __init__(self, folder: RunFolder) -> None:
        from foldwise.runs.plan import without

        self.folder, self.began, plan = folder, time.monotonic(), folder.load_plan()
        self.plan = without(plan, waits_of(folder, plan))  # others do what waits, here or never
        done, failed = folder.settled()
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
        if settled == len(self.plan.items):
            return settled != self.last_settled
        least_s, share = LOG_EVERY_S if settled == self.last_settled else LOG_AT_MOST_EVERY_S
        return now - self.last_line > max(least_s, share * (now - self.began))

    def _line(self, settled: int, failed: int) -> str:
        total, elapsed = len(self.plan.items), time.monotonic() - self.began
        line = f"{settled} of {total} items done, {duration(elapsed)} so far"
        fresh = settled - self.settled_before
        # The first items take long, as everything is still to be loaded; a guess from them would frighten.
        if fresh >= FORETELL * (total - self.settled_before) and fresh > 0 and settled < total:
            line += f", about {duration(elapsed / fresh * (total - settled))} to go"
        return line + (f", {failed} failed" if failed else "")

    def _table(self) -> Table:
        from foldwise.runs.leases import how_far, items_in_progress

        table = Table.grid(padding=(0, 2))
        for title, beat in items_in_progress(self.folder, self.plan):
            score = f"{beat['metric']} {beat['score']:.3f}" if beat.get("score") is not None else ""
            table.add_row("  ●", Text(title), how_far(beat), score)
        table.add_row("", Text("Ctrl-C stops safely; the same command goes on from here.", style="dim"))
        return table
