"""A crew in made-up time: `Packing` decides as it does, of workers, items and devices that are a few numbers each.

A second is a step. A worker takes some to start; an item takes memory by its curve, second by second, and is refused
what the device does not have, as by torch. What workers do then is what `foldwise work` does, in a few lines.
"""

import json
from dataclasses import dataclass, field

from foldwise.runs.device_memory import DeviceMemory
from foldwise.runs.items import KINDS, Item
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.launchers.packing import FolderState, Packing, Post
from foldwise.runs.plan import Plan, lane_of, skipped

START_S = 3
CONTEXT_MB = 500.0


def item(name, kind="fit", *, needs=(), curve=(), configuration="a", **training):
    """An item that takes as many seconds as its curve is long, and so much device memory in each."""
    settings = {"curve": list(curve), "configuration": configuration, "training": training}
    return Item(name, kind, tuple(needs), name, settings)


@dataclass
class Worker:
    """One that starts, has an item, or waits for one."""

    post: Post
    ready_at: int
    item: Item | None = None
    second: int = 0
    peak_mb: float = 0.0


@dataclass
class World:
    """All there is: devices with so much memory each, items, and the workers at the moment."""

    items: tuple
    capacity_mb: dict
    most: int | None = 4
    workers: int = 1
    tells: bool = True
    others_mb: float = 0.0  # that somebody else takes of every device
    now: int = 0
    staff: dict = field(default_factory=dict)
    outcomes: dict = field(default_factory=dict)
    alone: dict = field(default_factory=dict)
    refused: list = field(default_factory=list)
    log: list = field(default_factory=list)
    pids: int = 100

    def devices(self):
        return tuple(self.capacity_mb)

    def used(self, device):
        there = {
            pid: w for pid, w in self.staff.items() if w.post.device == device and self.now >= w.ready_at
        }
        return {pid: CONTEXT_MB + self.mb(worker) for pid, worker in there.items()}

    @staticmethod
    def mb(worker):
        return worker.item.settings["curve"][worker.second] if worker.item else 0.0

    def memory(self, device):
        free = self.capacity_mb[device] - self.others_mb - sum(self.used(device).values())
        return DeviceMemory(self.capacity_mb[device], free, self.used(device) if self.tells else {})

    def seen(self):
        held = {pid: worker.item.id for pid, worker in self.staff.items() if worker.item}
        beats = {
            worker.item.id: json.dumps({"epoch": worker.second, "epochs": 9, "device_mb": worker.peak_mb})
            for worker in self.staff.values()
            if worker.item
        }
        return FolderState(self.outcomes, beats, held, self.alone)

    def run(self, limit_s=20_000):
        """Until all is settled; the second at which it was."""
        packing = Simulated(self)
        while self.left():
            assert self.now < limit_s, f"nothing came of {self.staff}, {self.alone}"
            self.hire(packing.look({pid: worker.post for pid, worker in self.staff.items()}))
            for pid in list(self.staff):
                self.act(pid)
            self.log.append({pid: (w.post, w.item.id if w.item else None) for pid, w in self.staff.items()})
            self.now += 1
        return self.now

    def left(self):
        failed = {name for name, result in self.outcomes.items() if result["status"] == "failed"}
        gone = self.outcomes.keys() | {item.id for item in skipped(Plan(self.items, ()), failed)}
        return [item for item in self.items if item.id not in gone]

    def hire(self, look):
        for post in {*look.wanted, *(worker.post for worker in self.staff.values())}:
            there = sorted((pid in look.busy, pid) for pid, w in self.staff.items() if w.post == post)
            wanted = look.wanted.get(post, 0)
            for _, pid in there[: max(len(there) - wanted, 0)]:
                del self.staff[pid]
            for _ in range(wanted - len(there)):
                self.pids += 1
                self.staff[self.pids] = Worker(post, self.now + START_S)

    def act(self, pid):
        worker = self.staff[pid]
        if self.now < worker.ready_at:
            return
        sharing = sum(w.post == worker.post for w in self.staff.values())
        if worker.item is None:
            worker.item, worker.second, worker.peak_mb = self.choice(worker, sharing), 0, 0.0
            if worker.item is None:
                return
        else:
            worker.second += 1
        if worker.second >= len(worker.item.settings["curve"]):
            self.settle(worker, "done", {"reserved_memory_mb": worker.peak_mb or None})
        elif worker.post.device and self.memory(worker.post.device).free_mb < 0:
            self.refused.append((worker.item.id, sharing))
            if sharing > 1:
                self.alone[worker.item.id] = sharing
                worker.item = None
            else:
                self.settle(worker, "failed", {})
        elif worker.post.device:
            worker.peak_mb = max(worker.peak_mb, self.mb(worker))

    def settle(self, worker, status, cost):
        self.outcomes[worker.item.id] = {"status": status, "cost": cost}
        self.alone.pop(worker.item.id, None)
        worker.item = None

    def choice(self, worker, sharing):
        """What an `Agenda` would give first, of what nobody has."""
        done = {name for name, result in self.outcomes.items() if result["status"] == "done"}
        left = self.left()
        begun = {w.item.id for w in self.staff.values() if w.item}
        mine = [
            item
            for item in left
            if done.issuperset(item.needs)
            and item.id not in begun
            and lane_of(item, "auto") == worker.post.only
            and not (item.id in self.alone and sharing > 1)
        ]
        alone = [item for item in mine if KINDS[item.kind].runs_alone]
        others = [item for item in mine if item not in alone]
        if alone and not others and all(KINDS[item.kind].runs_alone for item in left) and not begun:
            return alone[0]
        return min(others, key=lambda item: item.id in self.alone, default=None)


class Simulated(Packing):
    """As it is, but for what it looks at."""

    def __init__(self, world):
        self.world = world
        super().__init__(Crew(None, world.workers, most=world.most), world)

    def _seen(self, posts):
        return self.world.seen()

    def _plan(self):
        return Plan(self.world.items, ())
