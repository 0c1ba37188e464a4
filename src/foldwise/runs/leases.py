"""Leases: which worker does an item, without a server, a lock or a shared append, so that it holds on a network folder too.

An attempt is a numbered folder that exactly one worker manages to rename into place. Its owner says that it lives by
replacing a file; another one takes over when the owner is dead, as far as this machine can tell, or has been silent
for longer than a lease lasts, by the clock of whoever looks. An item may so be done twice, but it is committed once: see `RunFolder.commit`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from foldwise.foreign import is_id
from foldwise.processes import here, started, text_of
from foldwise.runs.folder import RunFolder, written_whole
from foldwise.runs.items import failure, label
from foldwise.runs.job_notes import log_of_job
from foldwise.runs.paths import last_progress
from foldwise.runs.plan import Plan
from foldwise.runs.slurm_queue import job_here, jobs_here, loss_of
from foldwise.storage import is_abandoned, matching

LEASE_S = 180.0  # network file systems may hide a change for a minute
BEAT_S = 20.0
MAX_ATTEMPTS = 5
TASK = "FOLDWISE_TASK"  # by which a launcher knows again what its workers have

Beat = Callable[[dict[str, Any]], None]  # how a step says how far it is


@dataclass
class Sightings:
    """What this process has seen of the beats of others, and since when, by its own clock.

    Clocks of machines differ, so the times of files say nothing; that a text has not changed does.
    """

    clock: Callable[[], float] = time.monotonic
    seen: dict[Path, tuple[str, float]] = field(default_factory=dict)

    def silent_s(self, attempt: Path) -> float:
        """For how long an attempt has not beaten, as far as we know: 0 at the first look."""
        now, text = self.clock(), text_of(attempt / "beat")
        before, since = self.seen.get(attempt, (None, now))
        if text != before:
            since = now
            self.seen[attempt] = (text, now)
        return now - since


OURS = Sightings()


def acquire(
    folder: RunFolder, item_id: str, *, sightings: Sightings = OURS, lease_s: float = LEASE_S
) -> Lease | None:
    """The right to do an item; None where it is done, or another worker lives and has it.

    An item whose workers died `MAX_ATTEMPTS` times is recorded as failed instead of being tried once more.

    Args:
        lease_s: the silence after which another worker counts as dead.
    """
    if folder.result(item_id) is not None:
        return None
    attempts = folder.attempts(item_id)
    if attempts and not _is_over(attempts[-1], sightings, lease_s):
        return None
    _note_loss(folder, attempts[-1:])
    deaths = _deaths(attempts)
    if len(deaths) >= MAX_ATTEMPTS:
        _give_up(folder, item_id, deaths)
        return None
    number = int(attempts[-1].name) + 1 if attempts else 1
    attempt = folder.attempts_of(item_id) / str(number)
    if not _take(folder, attempt):
        return None
    if folder.result(item_id) is not None:  # committed while we looked
        mark_released(attempt)
        return None
    return Lease(attempt)


def _note_loss(folder: RunFolder, taken_over: Sequence[Path]) -> None:
    """Write down how the job ended whose worker was lost: what a cluster does to a job is no fault of its item."""
    # Now, as the queue forgets jobs within minutes.
    for attempt in taken_over:
        job = (owner_of(attempt) or {}).get("slurm")
        if job and not (attempt / "released").exists():
            jobs = jobs_here(job["name"])
            loss = loss_of(job, jobs, partial(log_of_job, folder)) if jobs is not None else None
            if loss:
                mark_released(attempt, died=loss.died)


def _take(folder: RunFolder, attempt: Path) -> bool:
    """Put an attempt with our name in place; False where another was first."""
    nonce = uuid.uuid4().hex
    draft = attempt.with_name(f".{attempt.name}.{nonce}")
    try:
        folder.make(attempt.parent)
        draft.mkdir()
    except FileNotFoundError:  # it was done meanwhile, and its leases are gone; or the run folder is
        return False
    pid = os.getpid()
    me = {"host": here(), "name": socket.gethostname(), "pid": pid, "started": started(pid), "nonce": nonce}
    me |= {"slurm": job} if (job := job_here()) else {}
    me |= {TASK: task} if (task := os.environ.get(TASK)) else {}
    # Nobody reads a draft, and after a power cut the silence of a lease says as much as its owner: nothing is synced.
    (draft / "owner.json").write_text(json.dumps(me, indent=1), encoding="utf-8")
    (draft / "beat").write_text("0\n", encoding="utf-8")
    try:
        draft.rename(attempt)  # never over another: a folder that is not empty is not replaced
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        # A network file system may report a failure after it has renamed.
        return (owner_of(attempt) or {}).get("nonce") == nonce
    return True


class Lease:
    """An item of this process; a thread of its own says so every `BEAT_S`, also during a long epoch."""

    def __init__(self, attempt: Path) -> None:
        self.attempt = attempt
        self._text, self._count, self._files = "", 0, {"beat", "owner.json"}
        self._lock, self._over = threading.Lock(), threading.Event()
        threading.Thread(target=self._beat_on, name=f"beat {attempt.parent.name}", daemon=True).start()

    def _beat_on(self) -> None:
        while not self._over.wait(BEAT_S):
            self.beat(self._text)

    def beat(self, text: str) -> None:
        """Say that we live, and how far we are (any text; it is shown as progress)."""
        with self._lock:
            if not self._files:
                return  # a beat on its way would bring back the folder of a lease that is removed
            self._text, self._count = text, self._count + 1
            # A full disk or a lost mount must not end hours of training: at worst another does the item too. A folder
            # that is gone is not made again: it may come back, and could not take the place of one that is there.
            with (
                suppress(OSError),
                written_whole(self.attempt / "beat", durable=False, make_folders=False) as scratch,
            ):
                scratch.write_text(f"{self._count}\n{text}", encoding="utf-8")

    def got_further(self) -> None:
        """Say that the item is nearer to its end than before this attempt: a death then is no sign that it kills workers."""
        with suppress(OSError):
            (self.attempt / "further").touch()
            self._files.add("further")

    def release(self, *, committed: bool = False) -> None:
        """Let others have the item at once; nothing where it is released already. Counts as no death.

        Args:
            committed: whether the item is, so that nobody wants it any more: then the lease is removed. Where others had
                the item before, all leases stay, to tell what became of them.
        """
        self._over.set()
        if committed and self.attempt.name == "1":
            self._remove()
        else:
            mark_released(self.attempt)

    def _remove(self) -> None:
        with (
            self._lock,
            suppress(OSError),
        ):  # whoever has just begun an attempt will see that the item is done
            files, self._files = self._files, set()
            for name in files:
                (self.attempt / name).unlink()
            self.attempt.rmdir()
            self.attempt.parent.rmdir()


def mark_released(attempt: Path, *, died: str = "") -> None:
    """Say that an attempt is over, and what its worker died of; nothing where that says nothing of the item."""
    with suppress(OSError):  # the leases were put away, or the disk is full: then the lease runs out
        (attempt / "released").write_text(died, encoding="utf-8")


def _is_death(attempt: Path) -> bool:
    """Whether the worker of an attempt that is over died of it, as far as anyone knows."""
    released = attempt / "released"
    return not released.exists() or bool(text_of(released))


def release_all_of(folder: RunFolder, pids: set[int]) -> None:
    """Release what processes of this machine held that were stopped on purpose. Only after they have ended."""
    for item_id in folder.beats():
        for attempt in folder.attempts(item_id)[-1:]:
            owner = owner_of(attempt)
            if owner and owner["host"] == here() and owner["pid"] in pids:
                mark_released(attempt)


def release_dead(folder: RunFolder) -> None:
    """Release what dead processes of this machine held; for the start of a run, after a power cut or `kill -9`.

    Deaths count against an item only within one run: there workers that die while their parent lives most likely
    died of the item. That somebody ended a whole run five times says nothing about what was in progress.
    """
    for item_id in folder.beats():
        for attempt in folder.attempts(item_id):
            if _died_here(attempt):
                mark_released(attempt)


def progress(folder: RunFolder) -> tuple[int, int]:
    """How many items are settled, and how many attempts brought one nearer to its end.

    Many deaths of workers while neither changes say that they die of something else than one item.
    """
    return len(folder.committed()), len(matching(folder.root / "leases", "*/*/further"))


def num_left(folder: RunFolder) -> int:
    """How many items are neither done nor failed, those that a search has yet to propose among them."""
    (done, failed), plan = folder.settled(), folder.load_plan()
    return sum(item.id not in done and item.id not in failed for item in plan.items) + plan.num_to_come


def _deaths(attempts: list[Path]) -> list[Path]:
    """The attempts that ended with a death, since one last brought the item further."""
    further = [number for number, attempt in enumerate(attempts) if (attempt / "further").exists()]
    return [attempt for attempt in attempts[further[-1] + 1 if further else 0 :] if _is_death(attempt)]


def _is_over(attempt: Path, sightings: Sightings, lease_s: float) -> bool:
    released = (attempt / "released").exists()
    return released or _died_here(attempt) or sightings.silent_s(attempt) >= lease_s


def _died_here(attempt: Path) -> bool:
    """Whether its owner was a process of this machine that has ended."""
    owner = owner_of(attempt)
    return bool(owner and owner["host"] == here() and started(owner["pid"]) != owner["started"])


def _give_up(folder: RunFolder, item_id: str, deaths: list[Path]) -> None:
    last = next((words for words in map(last_progress, reversed(deaths)) if words), None)
    where = f"; its last words were {last}" if last else ""
    recorded = next(filter(None, (text_of(attempt / "released") for attempt in reversed(deaths))), None)
    cause = f"The last one {recorded}." if recorded else "Most often the machine was out of memory."
    message = f"the worker that did this died {len(deaths)} times{where}. {cause}"
    item = next((item for item in folder.load_plan().items if item.id == item_id), None)
    about = label(item) if item else {"item": item_id}
    scratch = folder.scratch(item_id, uuid.uuid4().hex[:8])
    scratch.mkdir(parents=True)
    folder.commit(scratch, item_id, about | failure("WorkerDied", message))
    shutil.rmtree(scratch, ignore_errors=True)


def owner_of(attempt: Path) -> dict[str, Any] | None:
    """Who has, or had, an attempt: machine, process, and job; None where that cannot be read: then the lease runs out by its silence."""
    with suppress(ValueError):  # half written before a power cut, or none at all
        owner = json.loads(text_of(attempt / "owner.json"))
        return owner if isinstance(owner, dict) else None
    return None


def items_in_progress(folder: RunFolder, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(title, last progress) of every item somebody is working on."""
    titles = {item.id: item.title for item in plan.items}
    for item_id, beat in folder.beats().items():
        if item_id in titles:
            try:
                yield titles[item_id], json.loads(beat)
            except ValueError:
                yield titles[item_id], {}


def how_far(beat: dict[str, Any]) -> str:
    """``epoch 3 of 20``, or what is being done before the first epoch."""
    if "epoch" in beat:
        return f"epoch {beat['epoch']} of {beat['epochs']}"
    return str(beat.get("doing", "starting"))


def clean_up(folder: RunFolder) -> None:
    """Delete what is left of attempts at items that are settled, and half-written files of the dead."""
    root, leases = folder.root, folder.root / "leases"
    scratch = [(left, left.name.rpartition(".")[0]) for left in matching(root / "scratch", "*.*")]
    never_taken = [(left, left.parent.name) for left in matching(leases, "*/.[0-9]*.*")]
    half_beaten = [(left, left.parent.parent.name) for left in matching(leases, "*/*/.beat.*")]
    for left, item_id in (*scratch, *never_taken, *half_beaten):
        # Hidden ones are files that somebody is writing, or was, and may be anybody's own.
        if is_id(item_id) and folder.result(item_id) is not None:
            _remove(left)
    for parent in (root, folder.boundaries, root / "scratch"):
        for left in filter(is_abandoned, matching(parent, ".*")):
            _remove(left)


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
