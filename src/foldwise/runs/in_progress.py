"""Items in progress: who has them and which are lost (dead, out of the queue, or long silent); and their checkpoints.

Every attempt at an item has a checkpoint of its own, which only its worker writes, whole or not at all. Whoever has the
next lease reads those of earlier attempts and goes on with the one that is furthest; a worker that was frozen, and whose
item went to another, finds a newer attempt than its own and writes no more. What is in them is up to the task.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from foldwise.processes import Interrupts, here, started
from foldwise.runs.folder import RunFolder
from foldwise.runs.job_notes import log_of_job
from foldwise.runs.leases import LEASE_S, owner_of
from foldwise.runs.plan import Plan
from foldwise.runs.slurm_queue import QueuedJob, loss_of
from foldwise.text import duration

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.leases import Lease
EVERY_S = 30.0  # between epochs; what is shorter is done again as fast as it is read
WITHIN_S = 180.0  # in the middle of an epoch
MAX_SHARE = 0.01  # of the time of an item that goes into writing
BYTES_PER_S = 1e8  # foreseen of the first, of which no time is known: what a busy network folder takes
MAX_HEAD = 100_000_000  # bytes, as in the library of the format

NOWHERE = (sys.maxsize, 0)

Log = Callable[[str], object]


class Head(NamedTuple):
    """What a checkpoint says before its tensors: the bytes as they are, and what they hold."""

    raw: bytes
    tensors: dict[str, dict[str, Any]]
    record: dict[str, Any]
    sha256: str

    @property
    def at(self) -> tuple[int, int]:
        """The epoch that is trained, from 1, and how many of its steps are done."""
        position = self.record["position"]
        return int(position["epoch"]), int(position["step"])


def read_head(path: Path) -> Head:
    """The beginning of a checkpoint, which is a safetensors file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none, or is damaged.
    """
    with path.open("rb") as file:
        length = file.read(8)
        size = int.from_bytes(length, "little")
        if size > MAX_HEAD:
            raise ValueError("its length is none")
        text = file.read(size)
    try:
        tensors = json.loads(text)
        about = tensors.pop("__metadata__")
        head = Head(length + text, tensors, json.loads(about["record"]), about["sha256"])
        head.at  # noqa: B018 - raises where it is missing
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error!r} in its head") from None
    return head


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


@dataclass(frozen=True)
class Holder:
    """A worker that has an item.

    Attributes:
        item: the id of the item.
        progress: what it said last of how far it is.
        at: where it is, unless here: ``n3 (Slurm job 12_3)``.
        silent_s: since when it has said nothing, by the time of its file.
        lost: how one knows that it is no more, as the end of a sentence on it; empty where it lives, for all one knows.
    """

    item: str
    title: str
    progress: Mapping[str, Any]
    at: str
    silent_s: float
    lost: str


def holders(folder: RunFolder, plan: Plan, jobs: Sequence[QueuedJob] | None, *, name: str) -> list[Holder]:
    """Every worker that has an item of the plan and did not give it back, in plan order.

    Args:
        jobs: of this run, in the queue of the cluster; None where there is none, or it does not answer.
        name: of these jobs.
    """
    beats = folder.beats()
    rows = []
    for item in plan.items:
        if item.id in beats:
            attempts = folder.attempts(item.id)
            if not attempts:
                continue  # it was committed in this moment
            attempt = attempts[-1]
            owner = owner_of(attempt) or {}
            silent_s = _silent_s(attempt)
            lost = _job_lost(folder, owner, jobs, name) or _process_lost(owner) or _silent(silent_s)
            rows.append(Holder(item.id, item.title, _progress(beats[item.id]), _at(owner), silent_s, lost))
    return rows


def _progress(beat: str) -> Mapping[str, Any]:
    try:
        progress = json.loads(beat)
    except ValueError:
        return {}
    return progress if isinstance(progress, dict) else {}


def _job_of(owner: Mapping[str, Any]) -> Mapping[str, Any]:
    job = owner.get("slurm")
    return job if isinstance(job, dict) else {}


def _at(owner: Mapping[str, Any]) -> str:
    job = _job_of(owner)
    if job:
        words = f"{job.get('node') or owner.get('name')} (Slurm job {job.get('job')})"
    else:
        words = "" if owner.get("host") == here() else str(owner.get("name", "another machine"))
    # From a folder that somebody else may have written: what is printed to a terminal steers none.
    return "".join(letter for letter in words if letter.isprintable())


def _silent_s(attempt: Path) -> float:
    # The clock of the file server and ours may differ: that only shifts a number that is shown, and decides nothing.
    try:
        return max(0.0, time.time() - (attempt / "beat").stat().st_mtime)
    except OSError:
        return 0.0


def _job_lost(
    folder: RunFolder, owner: Mapping[str, Any], jobs: Sequence[QueuedJob] | None, name: str
) -> str:
    stated = _job_of(owner)
    if jobs is None or stated.get("name") != name:
        return ""
    loss = loss_of(stated, jobs, partial(log_of_job, folder))
    return loss.words if loss else ""


def _process_lost(owner: Mapping[str, Any]) -> str:
    is_here = owner.get("host") == here() and isinstance(owner.get("pid"), int)
    return "has ended" if is_here and started(owner["pid"]) != owner.get("started") else ""


def _silent(silent_s: float) -> str:
    return f"has said nothing for {duration(silent_s)}" if silent_s > LEASE_S else ""


def held_by(folder: RunFolder, pids: Collection[int], begun: Iterable[str]) -> dict[int, str]:
    """The ids of the items that processes of this machine are doing, of those that were `begun`."""
    owners = {name: owner_of(attempt) or {} for name in begun for attempt in folder.attempts(name)[-1:]}
    return {
        owner["pid"]: name
        for name, owner in owners.items()
        if owner.get("host") == here() and owner["pid"] in pids
    }
