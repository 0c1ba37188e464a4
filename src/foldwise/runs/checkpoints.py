"""Checkpoints of items in progress: which there are, who may write and take them, and when one is due.

Every attempt at an item has a file of its own, which only its worker writes, whole or not at all. Whoever has the next
lease reads those of earlier attempts and goes on with the one that is furthest; a worker that was frozen, and whose
item went to another, finds a newer attempt than its own and writes no more. What is in them is up to the task.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from foldwise.processes import Interrupts
from foldwise.runs.plan import Plan
from foldwise.sealed_arrays import Head, read_head

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.leases import Lease

EVERY_S = 30.0  # between epochs; what is shorter is done again as fast as it is read
WITHIN_S = 180.0  # in the middle of an epoch
MAX_SHARE = 0.01  # of the time of an item that goes into writing
BYTES_PER_S = 1e8  # foreseen of the first, of which no time is known: what a busy network folder takes

NOWHERE = (sys.maxsize, 0)

Log = Callable[[str], object]


class Checkpoints:
    """Those of one item, for the worker that does it.

    Args:
        lease: without one, as where an item is done by hand, none is read and none is written.
        log: is called with a line about what is gone on with, and what could not be.
    """

    def __init__(
        self, folder: RunFolder | None = None, item_id: str = "", lease: Lease | None = None, log: Log = print
    ) -> None:
        self.item_id, self.log, self.interrupts = item_id, log, Interrupts()
        self._folder = folder if lease is not None else None
        self._lease, self._number = lease, int(lease.attempt.name) if lease is not None else 0
        self._next = self._next_within = float("inf")

    @property
    def own(self) -> Path | None:
        """Where this attempt writes; None where it does not, or where the item has gone to another."""
        if self._folder is None:
            return None
        newest = self._folder.attempts(self.item_id)[-1:]
        is_ours = [attempt.name for attempt in newest] == [str(self._number)]
        return self._folder.checkpoint(self.item_id, self._number) if is_ours else None

    def earlier(self) -> list[Path]:
        """Those of earlier attempts: first those that say nothing, to be named, then the others, the furthest first."""
        if self._folder is None:
            return []
        heads = {
            path: _head_or_none(path)
            for number, path in self._folder.checkpoints().get(self.item_id, ())
            if number < self._number
        }
        return sorted(heads, key=lambda path: head.at if (head := heads[path]) else NOWHERE, reverse=True)

    def begin(self, num_bytes: int) -> None:
        """Training begins, or goes on; a checkpoint will be about so large."""
        if self._folder is not None:
            self.wrote(num_bytes / BYTES_PER_S)

    def wrote(self, seconds: float) -> None:
        """One was written, or could not be, in so many seconds: the next is due when these are a small share."""
        now, rest = time.monotonic(), seconds / MAX_SHARE
        self._next, self._next_within = now + max(EVERY_S, rest), now + max(WITHIN_S, rest)

    def due(self, *, between_epochs: bool) -> bool:
        """Whether to write one now: by time, or since this process is asked to stop."""
        moment = self._next if between_epochs else self._next_within
        return self.interrupts.is_pending or time.monotonic() >= moment

    def supersede(self, earlier: list[Path]) -> None:
        """Remove those of earlier attempts, now that there is one that is further; the item came nearer to its end."""
        for path in earlier:
            path.unlink(missing_ok=True)
        if self._lease is not None:
            self._lease.got_further()


def paused(folder: RunFolder, plan: Plan) -> Iterator[tuple[str, int, int]]:
    """(title, epoch, epochs) of every item that nobody is working on, and that goes on in that epoch."""
    left, running = folder.checkpoints(), folder.beats()
    for item in plan.items:
        if item.id in left and item.id not in running and folder.result(item.id) is None:
            heads = [head for _, path in left[item.id] if (head := _head_or_none(path))]
            if heads:
                furthest = max(heads, key=lambda head: head.at)
                yield item.title, furthest.at[0], int(furthest.record["epochs"])


def _head_or_none(path: Path) -> Head | None:
    try:
        return read_head(path)
    except (OSError, ValueError):
        return None
