"""Hundreds of workers on one run folder, simulated by the rules that workers go by: what they ask of its server, and when.

    python -m benchmarks.scale [--items N] [--workers N] [--seconds S]

What each step asks for is counted with the code of workers on a real folder (`what_items_cost`); how they draw items, list,
rest and try again is asked of `Agenda` and `rest_s` where that is possible, and else written down once more for many workers,
in `Drawing`, which a test compares with `Agenda`. A request takes LATENCY_S, whatever the load. The same workers are simulated twice:
all of them start in one second, and over five minutes. As it was in November 2026 is a line of its own, by its rule:
before every item all results were looked at.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import tempfile
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.calls import ENTRIES_A_REPLY, requests
from benchmarks.what_items_cost import Calls, count, table
from foldwise.pipeline.worker import SHARED_BEAT_S
from foldwise.runs import agenda as rules
from foldwise.runs.agenda import rest_s
from foldwise.runs.leases import BEAT_S, LEASE_S

LATENCY_S = 0.001  # of a request to a server over a network
SPREAD = 0.5  # of log seconds of an item
WINDOW_S = 10  # over which requests are averaged for a peak
BEARS = "NFS bears some 1,000 to 5,000 requests a second, a metadata server of Lustre some 10,000 and more"


class World:
    """What lies in the folder: which items are taken, until when, and which are done."""

    def __init__(self, num_items: int, calls: Calls) -> None:
        self.calls = calls
        self.taken_s = np.full(num_items, np.inf)  # from this moment on it is held, or done
        self.done_s = np.full(num_items, np.inf)
        self.running: set[int] = set()
        self.order: list[float] = []  # of those that are done, when each was committed
        self.asked: Counter[int] = Counter()  # requests of every second
        self.by_reason: Counter[str] = Counter()

    def ask(self, now: float, number: float, why: str) -> float:
        """Requests are made; when they are answered."""
        self.asked[int(now)] += number
        self.by_reason[why] += number
        return now + number * LATENCY_S

    def num_done(self, now: float) -> int:
        """How many are committed, those of this moment among them."""
        return bisect_right(self.order, now)

    def listing(self, now: float) -> int:
        """Requests of one listing of what is done."""
        return 1 + math.ceil(self.num_done(now) / ENTRIES_A_REPLY)


class Chooser(Protocol):
    """How a worker finds its next item; `Agenda` and `Drawing`."""

    def choices(self) -> Iterator[int]:
        """Places of items to try, until one is to be had."""

    def was_had(self, place: int) -> None:
        """A try was in vain."""

    def settled(self, place: int) -> None:
        """An item is done."""

    def was_free(self) -> None:
        """A try was not in vain."""

    def is_done(self) -> bool:
        """Whether nothing is left."""


class Drawing:
    """The rules of `Agenda` for a plan in which nothing needs anything, by what all workers share: when items were done.

    An `Agenda` of 100,000 items takes tens of megabytes, and a listing of it tens of milliseconds: too much for 500.
    """

    def __init__(self, world: World, worker: Worker, draw: Callable[[], float]) -> None:
        self.world, self.worker, self._draw = world, worker, draw
        self._num = len(world.done_s)
        self.window = max(1.0, rules.FIRST_WINDOW * self._num)
        self._due = self._seen_s = -1.0
        self._num_met = 0
        self._first = 0  # all items before it were done at the last listing
        self._had: dict[int, float] = {}
        self._met: set[int] = set()  # done, and not on the last listing

    def look(self, *, now: bool = False) -> None:
        """List what is done, where that takes a small share of the time."""
        worker = self.worker
        if not now and worker.now < self._due and self._num_met < rules.MAX_MET:
            return
        began = worker.now
        worker.now = self.world.ask(began, self.world.listing(began), "listings")
        self._due = began + (worker.now - began) / rules.LISTING_SHARE
        self._seen_s, self._num_met = began, 0
        while self._first < self._num and self.world.done_s[self._first] <= began:
            self._first += 1
        self._met = {place for place in self._met if self.world.done_s[place] > began}
        self._had = {place: when for place, when in self._had.items() if self.world.done_s[place] > began}

    @property
    def num_left(self) -> int:
        """Items that are not known to be done."""
        return self._num - self.world.num_done(self._seen_s) - len(self._met)

    def is_done(self) -> bool:
        """Whether nothing is left; as `Agenda`, by one more listing."""
        if not self.num_left and self._met and self.world.listing(self._seen_s) * LATENCY_S < rules.SURE_S:
            self.look(now=True)
        return not self.num_left

    def choices(self) -> Iterator[int]:
        """As of `Agenda`."""
        self.look()
        expired = self.worker.now - LEASE_S
        self._had = {place: when for place, when in self._had.items() if when > expired}
        others = list(self._had)
        for number in range(rules.MAX_TRIES):
            if number == rules.TRIES_BEFORE_LISTING:
                self._note_had()
            if (num_free := self.num_left - len(self._had)) <= 0:
                break
            yield self._free(min(int(self._draw() * self.window), num_free - 1))
            self.look()
        if self.num_left > len(self._had):
            return
        others = [place for place in others if place in self._had]
        yield from sorted(others, key=lambda place: self._draw())[: rules.NUM_PROBES]

    def _note_had(self) -> None:
        running, worker = self.world.running, self.worker
        worker.now = self.world.ask(worker.now, 1 + math.ceil(len(running) / ENTRIES_A_REPLY), "listings")
        for place in running:
            if self.world.done_s[place] > self._seen_s:
                self._had.setdefault(place, worker.now)

    def _free(self, number: int) -> int:
        """The place of the item of this number among those that nobody is known to have."""
        at, step = self._first, max(1024, 2 * number)
        while True:
            free = self.world.done_s[at : at + step] > self._seen_s
            for place in (*self._had, *self._met):
                if at <= place < at + step:
                    free[place - at] = False
            places = np.flatnonzero(free)
            if number < len(places):
                return at + int(places[number])
            number, at = number - len(places), at + step

    def was_had(self, place: int) -> None:
        """As of `Agenda`."""
        self._had.setdefault(place, self.worker.now)
        free = self.num_left - len(self._had)
        self.window = min(rules.WIDER * self.window, max(1.0, free))

    def settled(self, place: int) -> None:
        """As of `Agenda`."""
        self._num_met += self._had.pop(place, None) is not None
        if self.world.done_s[place] > self._seen_s:
            self._met.add(place)

    def was_free(self) -> None:
        """As of `Agenda`."""
        self.window = max(1.0, rules.NARROWER * self.window)


@dataclass
class Worker:
    """A worker of the simulation; its clock is ahead of the others' by what its last steps took."""

    now: float
    found_s: float
    choose: Chooser = field(init=False)
    ended: bool = False
    tries: int = 0
    first_item_s: float = math.inf


@dataclass(frozen=True)
class Outcome:
    """What came of a simulation."""

    world: World
    workers: list[Worker]
    last_item_s: float


def simulate(
    num_items: int,
    num_workers: int,
    *,
    calls: Calls,
    seconds: float,
    starts_s: float,
    seed: int = 0,
    chooser: Callable[[World, Worker, random.Random], Chooser] | None = None,
) -> Outcome:
    """Workers that start within `starts_s` do items of so many seconds on average until none is left."""
    chance = random.Random(seed)
    world = World(num_items, calls)
    make = chooser or (lambda world, worker, chance: Drawing(world, worker, chance.random))
    queue: list[tuple[float, int, int]] = []  # moment, worker, the item that it has done by then or -1
    workers = []
    for number in range(num_workers):
        began = chance.uniform(0, starts_s)
        worker = Worker(began, began)
        worker.now = world.ask(began, requests(calls.start), "start")
        worker.choose = make(world, worker, chance)
        workers.append(worker)
        heapq.heappush(queue, (worker.now, number, -1))
    while queue:
        moment, number, done = heapq.heappop(queue)
        worker = workers[number]
        worker.now = moment
        if done >= 0:
            _commit(world, worker, done)
        place = _next(world, worker)
        if place >= 0:
            took = seconds * math.exp(SPREAD * chance.gauss(0, 1) - SPREAD**2 / 2)
            _beats(world, worker.now, took)
            heapq.heappush(queue, (worker.now + took, number, place))
        elif not worker.ended:
            rest = rest_s(worker.now - worker.found_s, shared=True, draw=chance.random)
            heapq.heappush(queue, (worker.now + rest, number, -1))
    return Outcome(world, workers, world.order[-1])


def _commit(world: World, worker: Worker, place: int) -> None:
    worker.now = world.ask(worker.now, requests(world.calls.item), "items")
    world.done_s[place] = worker.now
    insort(world.order, worker.now)
    world.running.discard(place)
    worker.found_s = worker.now
    worker.choose.settled(place)


def _next(world: World, worker: Worker) -> int:
    """The item that a worker takes; -1 where it finds none."""
    calls = world.calls
    worker.now = world.ask(worker.now, requests(calls.look), "looks")
    for place in worker.choose.choices():
        worker.tries += 1
        if world.taken_s[place] == math.inf:
            world.taken_s[place] = worker.now
            world.running.add(place)
            worker.now = world.ask(worker.now, requests(calls.claim), "claims")
            worker.first_item_s = min(worker.first_item_s, worker.now)
            worker.choose.was_free()
            return place
        is_done = world.done_s[place] <= worker.now
        is_race = not is_done and worker.now < world.taken_s[place] + requests(calls.claim) * LATENCY_S
        row = calls.done if is_done else calls.raced if is_race else calls.held
        worker.now = world.ask(worker.now, requests(row), "tries in vain")
        worker.choose.was_had(place)
        if is_done:
            worker.choose.settled(place)
    worker.ended = worker.choose.is_done()
    return -1


def _beats(world: World, began: float, took: float) -> None:
    """The thread of a lease beats, and the task says how far it is and looks whether it is to stop."""
    beat = requests(world.calls.beat)
    for every_s, number in ((BEAT_S, beat), (SHARED_BEAT_S, beat + 1)):
        for count_of in range(1, int(took / every_s) + 1):
            world.ask(began + count_of * every_s, number, "beats")


def told(outcome: Outcome, num_items: int) -> str:
    """What a simulation gave, in lines."""
    world, workers, last = outcome.world, outcome.workers, outcome.last_item_s
    asked = np.zeros(max(world.asked) + WINDOW_S)
    for second, number in world.asked.items():
        asked[second] = number
    smooth = np.convolve(asked, np.ones(WINDOW_S) / WINDOW_S, mode="valid")
    start, end = int(max(worker.first_item_s for worker in workers)), int(last)
    tries = sum(worker.tries for worker in workers)
    shares = ", ".join(
        f"{why} {100 * number / sum(world.by_reason.values()):.0f} %"
        for why, number in world.by_reason.most_common()
    )
    begun = sorted(worker.first_item_s for worker in workers)
    return "\n".join(
        (
            f"  every worker has its first item after {begun[-1]:.1f} s; tries in vain: {tries / num_items - 1:.2f} an item",
            f"  requests a second, over {WINDOW_S} s: {smooth[: start + 60].max():,.0f} at the start, "
            f"{np.median(smooth[start : end - 600]):,.0f} in the middle, {smooth[max(0, end - 600) :].max():,.0f} at the end at most",
            f"  of all requests: {shares}",
            f"  the last worker ends {max(worker.now for worker in workers) - last:.0f} s after the last item",
        )
    )


def main() -> None:
    """Count, simulate, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0, help="of an item, on average")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foldwise-scale-") as scratch:
        calls = count(Path(scratch))
    print(table(calls))
    print(f"\n{asked.items:,} items of {asked.seconds:.0f} s, {asked.workers} workers ({BEARS}):")
    number = asked.items
    print(
        f"  {calls.inodes * number:,.0f} inodes, {calls.bytes * number / 1e6:,.0f} MB, {number:,} entries in done/"
    )
    old = asked.workers / asked.seconds * number / 2
    print(f"  as it was, half way, by looking at all results before every item: {old:,.0f} requests a second")
    for starts_s in (1.0, 300.0):
        outcome = simulate(number, asked.workers, calls=calls, seconds=asked.seconds, starts_s=starts_s)
        print(f"all start within {starts_s:.0f} s:\n{told(outcome, number)}")


if __name__ == "__main__":
    main()
