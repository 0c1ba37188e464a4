"""What an item, a worker and an idle look ask of the file system, counted on a real run folder with the code of workers."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import counted, requests
from benchmarks.trivial_items import laid_out, plan_of, trivial
from foldwise.pipeline import worker
from foldwise.pipeline.devices import Agendas
from foldwise.runs.device_memory import crowded
from foldwise.runs.folder import RunFolder
from foldwise.runs.leases import acquire

NUM_ITEMS = 20


@dataclass(frozen=True)
class Calls:
    """The calls of the file system of everything that workers do to a run folder.

    Attributes:
        start: a worker that begins, up to its first item.
        look: the part of every look that does not hang on the number of items.
        done, held, raced: a try in vain: the item was done already; another has it; another was faster by a moment.
        claim: a lease that was to be had.
        item: the rest of a trivial item, which writes one file and its result: its scratch folder, commit and release.
        beat: a lease that says it lives.
        inodes, bytes, entries: what a committed item leaves, by a walk through the folder: files and folders, their sizes as
            they are, and those in the folder that holds all items.
    """

    start: Counter[str]
    look: Counter[str]
    done: Counter[str]
    held: Counter[str]
    raced: Counter[str]
    claim: Counter[str]
    item: Counter[str]
    beat: Counter[str]
    inodes: float
    bytes: float
    entries: float

    @property
    def of_an_item(self) -> Counter[str]:
        """All that an item asks for that nobody else wants."""
        return self.look + self.claim + self.item


def count(root: Path) -> Calls:
    """The calls, on a run folder that is made below `root`."""
    folder = laid_out(root / "run", plan_of(NUM_ITEMS))
    empty = _walked(folder)
    items = folder.load_plan().items
    worker.TASKS["fit"] = trivial
    other_way = (
        folder.root / ".." / folder.root.name
    )  # what this process has read it has read by another path
    with counted(other_way) as start:
        fresh = RunFolder(other_way)
        agendas = Agendas(fresh)
        worker.code_named(fresh)
        agendas.now().look()
    _done(folder, items[0])
    with counted(folder.root) as look:
        folder.stop.exists()
        agendas.now()
        crowded(folder)
    with counted(folder.root) as claim:
        lease = acquire(folder, items[1].id)
    assert lease is not None
    with counted(folder.root) as beat:
        lease.beat("{}")
    with counted(folder.root) as held:
        assert acquire(folder, items[1].id) is None
        assert folder.result(items[1].id) is None
    with counted(folder.root) as item:
        worker.do_item(folder, items[1], device="cpu", lease=lease)
        lease.release(committed=True)
    with counted(folder.root) as done:
        assert acquire(folder, items[1].id) is None
        assert folder.result(items[1].id) is not None
    for other in items[2:]:
        _done(folder, other)
    inodes, size = (after - before for after, before in zip(_walked(folder), empty, strict=True))
    per = 1 / len(items)
    raced = claim + Counter(remove=3, list=1, read=1)  # the draft is removed, and its owner is asked for
    entries = len(folder.committed()) * per
    return Calls(start, look, done, held, raced, claim, item, beat, inodes * per, size * per, entries)


def _done(folder: RunFolder, item) -> None:
    lease = acquire(folder, item.id)
    worker.do_item(folder, item, device="cpu", lease=lease)
    lease.release(committed=True)


def _walked(folder: RunFolder) -> tuple[int, int]:
    """Files and folders below the folder, and the bytes of the files."""
    number = size = 0
    for path, folders, files in os.walk(folder.root):
        number += len(folders) + len(files)
        size += sum((Path(path) / name).stat().st_size for name in files)
    return number, size


def table(calls: Calls) -> str:
    """A line for each thing."""
    kinds = ("stat", "list", "read", "write", "mkdir", "rename", "remove", "sync")
    lines = [f"{'calls of':34}" + "".join(f"{kind:>8}" for kind in kinds) + "   requests"]
    rows = {
        "a worker that starts": calls.start,
        "every look": calls.look,
        "a try: done already": calls.done,
        "a try: another has it": calls.held,
        "a try: another was faster": calls.raced,
        "a claim": calls.claim,
        "a trivial item, commit, release": calls.item,
        "a beat": calls.beat,
        "an item, all of it": calls.of_an_item,
    }
    for name, row in rows.items():
        lines.append(f"{name:34}" + "".join(f"{row[kind]:8}" for kind in kinds) + f"{requests(row):11}")
    lines.append(f"an item that is done: {calls.inodes:.1f} inodes, {calls.bytes:,.0f} bytes")
    return "\n".join(lines)
