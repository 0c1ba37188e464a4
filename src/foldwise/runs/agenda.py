"""The agenda of who does items or waits for them: which are left, and which to try next, at a cost that hardly grows with what is done.

A committed item stays as it is. So a look lists names and opens nothing but the results of items that others need, and
between two listings a worker goes by what it has met. That may be old: then a try is in vain, and nothing is done twice.
"""

from __future__ import annotations

import random
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol

from foldwise.runs.items import KINDS, Item
from foldwise.runs.leases import LEASE_S
from foldwise.runs.plan import Plan

# Of the time of a worker that may go into listing what is done: hundreds of them list in turn.
LISTING_SHARE = 0.001
DRIVER_SHARE = 0.1  # the same of who waits for all to be done, of whom there is one
MAX_TRIES = 16  # in vain, before a rest
TRIES_BEFORE_LISTING = 3  # in vain, before all that others have is looked up at once
MAX_MET = 8  # tries of what was done already, before a listing
# What a listing may take that only makes sure, since hundreds of workers end in the same seconds.
SURE_S = 0.1
NUM_PROBES = 2  # items of others that are tried at a look that finds nothing else
FIRST_WINDOW = 1 / 200  # of all items: hundreds of workers that start together begin with different ones
WIDER, NARROWER = 2.0, 0.9  # the window, after a try in vain, and after an item that was to be had
POLL_S = 0.5  # between looks that found nothing to do
SHARED_POLL_S = (4.0, 8.0)  # on a network folder; the longer the longer nothing was found
POLL_SHARE = 0.1  # of the time that was waited: so much later at most is seen what one waited for


class Committed(Protocol):
    """What an agenda looks at; a `RunFolder` is one."""

    def committed(self) -> Mapping[str, int]:
        """The names of what is committed, each with a number that is another once it was done anew."""

    def leased(self) -> Iterable[str]:
        """The names of what somebody has, or had and did not finish."""

    def result(self, item_id: str) -> Mapping[str, Any] | None:
        """The result of a committed item."""


class Agenda:
    """What is left of a plan.

    Args:
        waits: ids of items that are left to others.
        theirs: the same, of items that others do meanwhile: what runs alone waits for them.
        share: of the time that may go into listings.

    Attributes:
        left: indices in the plan of the items that are neither settled, nor need one that failed, nor wait.
        window: of how many items that can be done one is drawn; 1 keeps the order of the plan.
    """

    def __init__(
        self,
        folder: Committed,
        plan: Plan,
        waits: Collection[str] = (),
        *,
        theirs: Collection[str] = (),
        share: float = LISTING_SHARE,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.folder, self.plan, self.waits, self.theirs = folder, plan, waits, frozenset(theirs)
        self.window = max(1.0, FIRST_WINDOW * len(plan.items))
        self._share, self._clock, self._draw = share, clock, draw
        self._index_of = {item.id: index for index, item in enumerate(plan.items)}
        self._needed_by: dict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(plan.items):
            for need in item.needs:
                self._needed_by[need].append(index)
        self._due, self._took, self._num_met, self._is_sure = 0.0, 0.0, 0, False
        self._begin({})

    def _begin(self, listed: Mapping[str, int]) -> None:
        """Nothing is settled but what a listing holds."""
        items = self.plan.items
        ours = {index for index, item in enumerate(items) if item.id not in self.waits}
        self._theirs = {index for index in ours if items[index].id in self.theirs}
        self.left = ours - self._theirs
        self._lost: set[int] = set()  # what needs an item that failed
        self._numbers: dict[
            int, int
        ] = {}  # of settled items, as they were listed; 0 of one that was met by itself
        self._unmet = [len(item.needs) for item in items]
        # Of what can be done: what nobody is known to have, what others had and when, and what is done alone, at the end.
        self._free: list[int] = []
        self._had: dict[int, float] = {}
        self._alone: list[int] = []
        for index in sorted(self.left):
            self._free_if_ready(index)
        self._learn(listed)

    def _free_if_ready(self, index: int) -> None:
        if not self._unmet[index] and index in self.left:
            insort(self._alone if KINDS[self.plan.items[index].kind].runs_alone else self._free, index)

    def look(self, *, now: bool = False) -> None:
        """List what is done; unless `now`, only where that takes a small share of the time, or much was done meanwhile."""
        began = self._clock()
        if not now and began < self._due and self._num_met < MAX_MET:
            return
        listed = self.folder.committed()
        self._took = self._clock() - began
        self._due, self._num_met = began + self._took / self._share, 0
        if all(self._is_as_listed(listed, index, number) for index, number in self._numbers.items()):
            self._learn(listed)
        else:
            self._begin(listed)  # an item was put away
        self._is_sure = not self.left

    def is_done(self, *, now: bool = False) -> bool:
        """Whether nothing is left, nor to come, as far as we know; `now` lists once more, unless that takes long."""
        # Without that, what was put away meanwhile is missed: whoever puts an item away does it, too.
        if self.plan.num_to_come and not self._others_come_first():
            return False
        self.look(now=now and not self.left and not self._is_sure and self._took < SURE_S)
        return not self.left

    def _others_come_first(self) -> bool:
        """Whether nothing comes before others have done what is left to them: a race looks at all fits of a block."""
        return self.plan.race is not None and any(
            item.id in self.waits and index not in self._numbers for index, item in enumerate(self.plan.items)
        )

    @property
    def has_free(self) -> bool:
        """Whether there is an item to be done that nobody is known to have."""
        return bool(self._free)

    def _is_as_listed(self, listed: Mapping[str, int], index: int, number: int) -> bool:
        now = listed.get(self.plan.items[index].id)
        return now is not None and number in (0, now)

    def _learn(self, listed: Mapping[str, int]) -> None:
        news = [self._index_of[name] for name in listed.keys() & self._index_of.keys()]
        news = sorted(index for index in news if not self._numbers.get(index))  # what is needed comes first
        for index in news:
            self._settle(index, listed[self.plan.items[index].id])
        if news:
            self._free = [index for index in self._free if index in self.left]
            self._alone = [index for index in self._alone if index in self.left]

    def settled(self, item: Item) -> None:
        """We have done an item, or have met one that is done."""
        index = self._index_of[item.id]
        if index not in self._numbers:
            self._num_met += index in self._had
            self._settle(index, 0)
            self._take_out(index)

    def _settle(self, index: int, number: int) -> None:
        is_news, item_id = index not in self._numbers, self.plan.items[index].id
        self._numbers[index] = number
        self.left.discard(index)
        self._theirs.discard(index)
        self._had.pop(index, None)
        if not is_news or item_id not in self._needed_by:
            return
        if (self.folder.result(item_id) or {}).get("status") == "failed":
            self._lose(self._needed_by[item_id])
            return
        for dependent in self._needed_by[item_id]:
            self._unmet[dependent] -= 1
            self._free_if_ready(dependent)

    def _lose(self, indices: Collection[int]) -> None:
        """Items cannot be done, nor can what needs them."""
        for index in indices:
            if index not in self._lost:
                self._lost.add(index)
                self.left.discard(index)
                self._theirs.discard(index)
                self._lose(self._needed_by.get(self.plan.items[index].id, ()))

    def _take_out(self, index: int) -> None:
        for indices in (self._free, self._alone):
            at = bisect_left(indices, index)
            if indices[at : at + 1] == [index]:
                del indices[at]

    def choices(self) -> Iterator[Item]:
        """The items to try, one after the other: those that nobody is known to have, then a few that others had.

        Of those that run alone the first, once no other is left. Before asking for the next say what came of a try by
        `settled` or `was_had`.
        """
        self._forget_old_tries()
        others = list(self._had)
        for number in range(MAX_TRIES):
            if number == TRIES_BEFORE_LISTING:
                self.put_off(*self.folder.leased())
            if not self._free:
                break
            yield self.plan.items[self._free[min(int(self._draw() * self.window), len(self._free) - 1)]]
            self.look()
        if self._free:
            return  # near the end others have all that is left: who tries it all at once keeps the server from them
        others = [index for index in others if index in self._had]
        for index in sorted(others, key=lambda index: self._draw())[:NUM_PROBES]:
            yield self.plan.items[index]
        if not self._had and self._alone and not self._theirs:
            yield self.plan.items[self._alone[0]]

    def _forget_old_tries(self) -> None:
        # Workers die, and give back. A lease counts as silent at the second look that finds it as it was.
        expired = self._clock() - LEASE_S
        for index, when in list(self._had.items()):
            if when > expired:
                break  # they are in the order of the tries
            del self._had[index]
            insort(self._free, index)

    def put_off(self, *items: str) -> None:
        """Items of these names are not to be done now: others are tried first."""
        for index in (self._index_of[name] for name in items if name in self._index_of):
            at = bisect_left(self._free, index)
            if self._free[at : at + 1] == [index]:
                del self._free[at]
                self._had[index] = self._clock()

    def was_had(self, item: Item) -> None:
        """Somebody else has an item, or had done it: now others are tried first, and not the same as others try."""
        self.put_off(item.id)
        self.window = min(WIDER * self.window, max(1.0, len(self._free)))

    def was_free(self) -> None:
        """A try was not in vain."""
        self.window = max(1.0, NARROWER * self.window)


def rest_s(waited_s: float, *, shared: bool, draw: Callable[[], float] = random.random) -> float:
    """For how long to rest after a look that found nothing; not the same for all, or they would ask for the same lease.

    Args:
        waited_s: since when nothing was found.
        shared: whether the folder is on a network, whose server answers all workers.
    """
    least, most = SHARED_POLL_S if shared else (POLL_S, POLL_S)
    return min(max(least, POLL_SHARE * waited_s), most) * (0.8 + 0.45 * draw())
