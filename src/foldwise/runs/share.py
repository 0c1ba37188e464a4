"""Whether a folder can hold a run: what leases and commits stand on is tried there, through one or several of its paths."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foldwise.errors import SpecError
from foldwise.runs.leases import LEASE_S
from foldwise.storage import sync
from foldwise.text import duration

NUM_TRIES = 100
VISIBLE_S = 90.0  # network folders may hide a change for a minute
PADDING = "x" * 20_000
NEW_FOLDER = "Name a folder that is not there yet."


@dataclass(frozen=True)
class FolderTrial:
    """One thing that was tried in a folder.

    Attributes:
        what: a sentence.
        holds: whether it is as a run needs it.
    """

    what: str
    holds: bool


def try_folder(views: Sequence[Path]) -> list[FolderTrial]:
    """What holds in a folder.

    Args:
        views: one path of it, or several that lead to the same folder, such as two mounts of it.

    Raises:
        OSError: nothing can be written there.
    """
    name = f".foldwise-trial-{uuid.uuid4().hex[:8]}"
    rooms = [view / name for view in views]
    rooms[0].mkdir()
    try:
        missing = [view for view, room in zip(views, rooms, strict=True) if not _appears(room)]
        if missing:
            return [FolderTrial(f"{missing[0]} is not the same folder as {views[0]}", holds=False)]
        trials = [_one_winner(rooms), _whole_when_read(rooms), _kept_on_disk(rooms[0])]
        if len(rooms) > 1:
            trials.append(_seen_elsewhere(rooms))
        return trials
    finally:
        shutil.rmtree(rooms[0], ignore_errors=True)


def _appears(path: Path, there: Callable[[Path], bool] = Path.is_dir) -> bool:
    deadline = time.monotonic() + VISIBLE_S
    while not there(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _together(jobs: Sequence[Callable[[], None]]) -> None:
    """Do all of them at once; an error of one is raised when all have ended."""
    with ThreadPoolExecutor(len(jobs)) as threads:
        for started in [threads.submit(job) for job in jobs]:
            started.result()


def _one_winner(rooms: Sequence[Path]) -> FolderTrial:
    """A folder that is renamed into place by several at once has one winner: what leases and commits stand on."""
    won: list[tuple[int, str]] = []
    (rooms[0] / "taken").mkdir()

    def contend(room: Path, who: str) -> None:
        for number in range(NUM_TRIES):
            draft = room / f"{who}-{number}"
            draft.mkdir()
            (draft / "owner").write_text(who)
            with suppress(OSError):
                draft.rename(room / "taken" / str(number))
                won.append((number, who))

    twins = [(room, f"{number}{twin}") for number, room in enumerate(rooms) for twin in "ab"]
    _together([partial(contend, room, who) for room, who in twins])
    wrong = sum(
        [who for each, who in won if each == number]
        != [(rooms[0] / "taken" / str(number) / "owner").read_text()]
        for number in range(NUM_TRIES)
    )
    what = f"one winner in each of {NUM_TRIES} races to rename a folder into place"
    return FolderTrial(
        what if not wrong else f"{wrong} of {NUM_TRIES} races to rename a folder had none or two winners",
        not wrong,
    )


def _whole_when_read(rooms: Sequence[Path]) -> FolderTrial:
    """A file that is replaced is never seen torn or missing: what beats and plans stand on."""
    path, reader = rooms[0] / "replaced.json", rooms[-1] / "replaced.json"
    path.write_text(json.dumps([0, PADDING]))
    _appears(reader.parent)
    over, torn = threading.Event(), 0

    def write() -> None:
        try:
            for number in range(NUM_TRIES):
                draft = path.with_name(f".draft-{number}")
                draft.write_text(json.dumps([number, PADDING]))
                draft.replace(path)
        finally:  # on a full disk, too: the reader waits for it
            over.set()

    def read() -> None:
        nonlocal torn
        deadline = time.monotonic() + VISIBLE_S
        while not reader.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        while not over.is_set():
            try:
                json.loads(reader.read_text())
            except (OSError, ValueError):
                torn += 1

    _together([write, read])
    what = (
        "a file that is replaced is read whole"
        if not torn
        else f"a file that was replaced was torn or missing {torn} times"
    )
    return FolderTrial(what, not torn)


def _kept_on_disk(room: Path) -> FolderTrial:
    """Files and folders can be synced, as far as the file system does."""
    (room / "synced").write_text("x")
    began = time.monotonic()
    try:
        for path in (room / "synced", room):
            sync(path)
    except OSError as error:
        return FolderTrial(f"what is written cannot be brought to the disk ({error.strerror})", holds=False)
    return FolderTrial(
        f"what is written is brought to the disk in {1000 * (time.monotonic() - began):.0f} ms", holds=True
    )


def _seen_elsewhere(rooms: Sequence[Path]) -> FolderTrial:
    """How long a change is hidden from another view, of any kind that workers go by: a lease must last much longer."""
    here, there = rooms[0], rooms[-1]
    (here / "beat").write_text("1")
    (here / "given-back").write_text("")
    # What was asked for before is what a view remembers: words, a name that is there, one that is not, and a list.
    _appears(there / "beat", Path.is_file)
    _appears(there / "given-back", Path.is_file)
    first_view = (there / "beat").read_text(), (there / "done").exists(), os.listdir(there)
    assert first_view[1] is False
    draft = here / ".beat"
    draft.write_text("2")
    os.replace(draft, here / "beat")
    (here / "given-back").unlink()
    (here / "done").mkdir()
    changes = {
        "a file that is replaced": lambda: _text(there / "beat") == "2",
        "a name that is new": lambda: (there / "done").is_dir(),
        "a name that is gone": lambda: not (there / "given-back").exists(),
        "a list of names": lambda: "done" in os.listdir(there),
    }
    hidden_s = _hidden_s(changes)
    slowest = max(hidden_s, key=lambda what: hidden_s[what])
    took = hidden_s[slowest]
    return FolderTrial(
        f"a change is seen by the other path after {duration(took)} ({slowest}); a lease lasts {duration(LEASE_S)}",
        took < min(LEASE_S / 3, VISIBLE_S),
    )


def _hidden_s(changes: Mapping[str, Callable[[], bool]]) -> dict[str, float]:
    """How many seconds it takes until each is seen; `VISIBLE_S` for what is not seen by then."""
    began, seen_s = time.monotonic(), dict.fromkeys(changes, VISIBLE_S)
    unseen = list(changes)
    while unseen and (passed := time.monotonic() - began) < VISIBLE_S:
        for what in [what for what in unseen if changes[what]()]:
            seen_s[what] = passed
            unseen.remove(what)
        time.sleep(0.05)
    return seen_s


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def refuse_file(out: Path) -> None:
    """Refuse a folder to write into, as an option named it, that is a file."""
    if out.is_file():
        raise SpecError(f"{out} is a file", where="--out", cure=NEW_FOLDER)
