"""How many workers there are on which device: one to begin with, and as many more as what was measured lets there be."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from foldwise.runs.device_memory import Meter, crowded, find_meter
from foldwise.runs.folder import RunFolder
from foldwise.runs.holders import held_by
from foldwise.runs.items import KINDS, Item
from foldwise.runs.launchers.launcher import Crew
from foldwise.runs.leases import progress
from foldwise.runs.plan import Lane, Plan, device_of, lane_of, skipped

MARGIN = 0.9  # of the memory that is free: what was measured is no bound
CONTEXT_MB = 600.0  # of a process on a GPU, beside what torch takes: the driver and the libraries


class Post(NamedTuple):
    """What a worker is there for: the items of one lane, on one device; by default all items."""

    only: Lane | None = None
    device: str = ""


class Headcount(NamedTuple):
    """How many workers there are to be of each post, and which of those there are (by process) have an item."""

    wanted: Mapping[Post, int]
    busy: Collection[int]


class Staffing(Protocol):
    """What decides how many workers there are."""

    calls_again: bool  # whether a worker that found nothing to do may be needed later

    def first(self) -> list[Post]:
        """Of a run that begins, where nothing is known of it yet."""

    def look(self, posts: Mapping[int, Post]) -> Headcount:
        """Of a run as it is now, with the posts of the workers there are, by process."""

    def killed(self, beside: int) -> None:
        """A worker was killed, most often for the memory of the machine, while so many others were there."""


@dataclass
class Ceiling:
    """The most workers that the machine bears: halved when one of several is killed, one more with each item since."""

    folder: RunFolder
    most: int
    number: int = field(init=False)
    progress: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.number = self.most

    def look(self) -> int:
        """How many there may be now."""
        if self.number < self.most and (now := progress(self.folder)) > self.progress:
            self.number, self.progress = self.number + 1, now
        return self.number

    def killed(self, beside: int) -> None:
        """One was, while so many others were there."""
        if beside:
            self.number, self.progress = max(1, min(self.number, beside + 1) // 2), progress(self.folder)


class Fixed:
    """As many as the crew has, for all items: on processors, where what is foretold says how many."""

    calls_again = False

    def __init__(self, crew: Crew) -> None:
        self.ceiling = Ceiling(crew.folder, crew.workers)

    def first(self) -> list[Post]:
        """All of them."""
        return [Post()] * self.ceiling.most

    def look(self, posts: Mapping[int, Post]) -> Headcount:
        """All of them, but where one was killed."""
        wanted = self.ceiling.look()
        folder, many = self.ceiling.folder, len(posts) > wanted
        return Headcount({Post(): wanted}, held_by(folder, posts, folder.beats()) if many else ())

    def killed(self, beside: int) -> None:
        """One was."""
        self.ceiling.killed(beside)


class Packing:
    """Workers of accelerators, several on each as its memory allows, and beside them workers of processors.

    Args:
        crew: begins with `workers`, and has `most` at last; where that is not stated, all are there from the first.
    """

    calls_again = True

    def __init__(self, crew: Crew, meter: Meter) -> None:
        self.crew, self.folder, self.meter = crew, crew.folder, meter
        self.devices = meter.devices()
        self.ceiling = Ceiling(crew.folder, max(crew.most or crew.workers, 1))
        self.grows = crew.most is not None
        each = 1 if self.grows else math.ceil(crew.workers / len(self.devices))
        self.limits = dict.fromkeys(self.devices, each)
        self.empty_mb: dict[str, float] = {}  # that was free on a device while no worker of ours was there
        self.plan: Plan | None = None
        self.planned: tuple[int, ...] = ()

    def first(self) -> list[Post]:
        """One or more on every device, and one for what needs none."""
        each = [Post("accelerator", device) for device in self.devices for _ in range(self.limits[device])]
        return [*each, Post("cpu")]

    def killed(self, beside: int) -> None:
        """One was."""
        self.ceiling.killed(beside)

    def look(self, posts: Mapping[int, Post]) -> Headcount:
        """As many as there is work for, where memory and processors bear them."""
        state = _State.of(self._plan(), self.crew.device, posts, self._seen(posts))
        most = self.ceiling.look()
        # Of what needs no accelerator as much is done at a time as half the processors bear, while others are needed.
        room = max(1, (most - len(self.devices)) // 2) if state.left["accelerator"] else most
        wanted = {Post("cpu"): min(room, state.num_busy(Post("cpu")) + state.free["cpu"])}
        wanted |= self._on_devices(state, max(len(self.devices), most - wanted[Post("cpu")]))
        return Headcount(wanted, state.busy.keys())

    def _on_devices(self, state: _State, most: int) -> dict[Post, int]:
        wanted: dict[Post, int] = {}
        free, limits = state.free["accelerator"], {}
        for device in self.devices if state.left["accelerator"] else ():
            post = Post("accelerator", device)
            busy = state.num_busy(post)
            limits[post] = 1 if state.is_alone(post) else self._limit(device, state)
            # One waits for what is not ready yet, and does alone what has to be; further ones would only take memory.
            wanted[post] = min(max(busy, 1), limits[post])
            free -= wanted[post] - min(busy, wanted[post])
        while free > 0 and sum(wanted.values()) < most:
            room = [post for post in wanted if wanted[post] < limits[post]]
            if not room:
                break
            wanted[min(room, key=lambda post: wanted[post])] += 1
            free -= 1
        return wanted

    def _limit(self, device: str, state: _State) -> int:
        """How many workers a device bears, by what was measured of the items that are left."""
        limit = self.limits[device]
        budget_mb = self._budget_mb(
            device, [pid for pid, post in state.posts.items() if post.device == device]
        )
        need_mb = state.need_mb(self.crew.memory_mb)
        if self.grows and budget_mb is not None and need_mb is not None:
            bears = budget_mb / (need_mb + CONTEXT_MB)
            # More only with something to spare, fewer only without: else the number would swing.
            limit = max(min(limit, int(bears)), int(MARGIN * bears), 1)
        self.limits[device] = max(1, min([limit, *state.bounds]))
        return self.limits[device]

    def _budget_mb(self, device: str, pids: Collection[int]) -> float | None:
        """What workers of ours may have of a device: what is free, and what they have already."""
        memory = self.meter.memory(device)
        if memory is None:
            return None
        ours = [memory.used_mb[pid] for pid in pids if pid in memory.used_mb]
        if not pids:
            self.empty_mb[device] = memory.free_mb
        if not ours:
            return self.empty_mb.get(device)
        return memory.free_mb + sum(ours)

    def _seen(self, posts: Mapping[int, Post]) -> FolderState:
        beats = self.folder.beats()
        doing = held_by(self.folder, posts, beats)
        return FolderState(self.folder.outcomes(), beats, doing, crowded(self.folder))

    def _plan(self) -> Plan:
        now = self.folder.plan_version(self.plan)
        if self.plan is None or now != self.planned or self.plan.searches:  # of which the plan grows
            self.plan = self.folder.load_plan()
            self.planned = now if self.plan.race is not None else now[:3]
        return self.plan


class FolderState(NamedTuple):
    """What a run folder says at a look: results, last words of leases, who has what (by process), and what is to be alone."""

    outcomes: Mapping[str, Mapping[str, Any]]
    beats: Mapping[str, str]
    doing: Mapping[int, str]
    alone: Mapping[str, int]


@dataclass(frozen=True)
class _State:
    """A run as it is seen at a look.

    Attributes:
        posts: of the workers of this crew, by process.
        busy: what they are doing, by process.
        left: items of each lane that are not settled; `free`: those of them that anybody could begin now.
        groups: what the items that are left for accelerators are measured as.
        measured_mb: device memory of these groups, as far as any was measured.
        bounds: numbers of workers that items which are left bear, since memory ran out with one more.
    """

    posts: Mapping[int, Post]
    busy: Mapping[int, Item]
    left: Counter[Lane]
    free: Counter[Lane]
    groups: frozenset[tuple[str, str]]
    measured_mb: Mapping[tuple[str, str], float]
    bounds: tuple[int, ...]
    waits_alone: Collection[str]

    @classmethod
    def of(cls, plan: Plan, device: str, posts: Mapping[int, Post], seen: FolderState) -> _State:
        outcomes, items = seen.outcomes, {item.id: item for item in plan.items}
        failed = {name for name, result in outcomes.items() if result["status"] == "failed"}
        settled = outcomes.keys() | {item.id for item in skipped(plan, failed)}
        left = [item for item in plan.items if item.id not in settled and device_of(item) in _HERE]
        lanes = {item.id: lane_of(item, device) for item in left}
        alone = {name: number for name, number in seen.alone.items() if name in lanes}
        taken = seen.beats.keys() | alone.keys()
        free = [
            item
            for item in left
            if all(need in outcomes and need not in failed for need in item.needs)
            and item.id not in taken
            and not KINDS[item.kind].runs_alone
        ]
        # What is done beside others, and is yet to be; what is done alone takes nothing from anybody.
        shared = frozenset(
            _group(item)
            for item in left
            if lanes[item.id] == "accelerator" and item.id not in alone and not KINDS[item.kind].runs_alone
        )
        coming = [lane_of(item, device) for item in plan.coming(settled)]
        measured: dict[tuple[str, str], float] = {}
        for item, stated in _measurements(items, seen):
            measured[_group(item)] = max(measured.get(_group(item), 0.0), stated)
        return cls(
            posts,
            {pid: items[name] for pid, name in seen.doing.items() if name in items},
            Counter([*lanes.values(), *coming]),
            Counter([*(lanes[item.id] for item in free), *coming]),
            shared,
            measured,
            tuple(number - 1 for name, number in alone.items() if _group(items[name]) in shared),
            alone,
        )

    def num_busy(self, post: Post) -> int:
        """Workers of a post that have an item."""
        return sum(self.posts[pid] == post for pid in self.busy)

    def is_alone(self, post: Post) -> bool:
        """Whether something is done there beside which nothing may be."""
        doing = [item for pid, item in self.busy.items() if self.posts[pid] == post]
        return any(item.id in self.waits_alone or KINDS[item.kind].runs_alone for item in doing)

    def need_mb(self, foretold_mb: float) -> float | None:
        """The most that an item which is left takes of a device; None while nothing was measured."""
        if not self.measured_mb:
            return None
        unmeasured = max(foretold_mb, *self.measured_mb.values())
        return max((self.measured_mb.get(group, unmeasured) for group in self.groups), default=unmeasured)


# What items may state of this machine; others wait for another one.
_HERE = ("auto", "cpu", "mps" if sys.platform == "darwin" else "cuda")


def _group(item: Item) -> tuple[str, str]:
    """Items of a group take about the same memory: those of a kind for a configuration."""
    return item.kind, str(item.settings.get("configuration", ""))


def _measurements(items: Mapping[str, Item], seen: FolderState) -> Iterator[tuple[Item, float]]:
    """Device memory of items, of those that are done and of those that have trained for an epoch at least."""
    for name, result in seen.outcomes.items():
        if name in items and (stated := (result.get("cost") or {}).get("reserved_memory_mb")):
            yield items[name], stated
    for name, text in seen.beats.items():
        try:
            words = json.loads(text)
        except ValueError:
            continue
        if name in items and isinstance(words, dict) and words.get("epoch") and words.get("device_mb"):
            yield items[name], words["device_mb"]


def staffing_of(crew: Crew) -> Fixed | Packing:
    """What decides how many workers of a crew there are on this machine."""
    meter = find_meter(crew.device)
    alone = crew.most is None and crew.workers == 1
    return Fixed(crew) if meter is None or alone else Packing(crew, meter)
