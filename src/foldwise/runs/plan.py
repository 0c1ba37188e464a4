"""The plan: every item of work, and which of them are skipped, or wait for a device that is not here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from foldwise.errors import RunError
from foldwise.foreign import checked_id
from foldwise.runs.items import KINDS, TRAINED, Item
from foldwise.runs.racing import Race, opened
from foldwise.sealed import decoding, read_record
from foldwise.study.configurations import Configuration
from foldwise.study.training import Training
from foldwise.text import count

Lane = Literal["cpu", "accelerator"]
# Of trials and of epochs, where a search halves: with fewer epochs than a third, slow starters would hardly ever be promoted.
HALVED_BY = 3
EVERYWHERE = ("auto", "cpu")  # devices that every machine has


@dataclass(frozen=True)
class SearchTrial:
    """A configuration that a search tries in its fold: the values that were proposed, and the item that tries them."""

    number: int
    values: Mapping[str, float | int]
    item: str


@dataclass(frozen=True)
class Search:
    """The search of one configuration of the study, its arm, in one fold.

    Attributes:
        id: changes with all that can change what is proposed, but for results.
        num_trials: how many are tried, failed ones too.
        seconds: of training, after which no more are proposed; None where only the number counts.
        in_flight: proposal n is made from the results of the trials before n - in_flight + 1, and of no other.
        halving: whether trials train a part of their epochs, and the best of them then all.
        trials: what was proposed, in order.
        promoted: those of them that were trained in full, where the search halves.
        fit: the item that trains the chosen configuration and is judged; None before the search has ended, and where all
            of its trials failed.
        has_ended: whether nothing more is proposed.
    """

    id: str
    configuration: str
    repeat: int
    fold: int
    num_trials: int
    seconds: float | None
    in_flight: int
    halving: bool = False
    trials: tuple[SearchTrial, ...] = ()
    promoted: tuple[SearchTrial, ...] = ()
    fit: str | None = None
    has_ended: bool = False

    @property
    def num_to_come(self) -> int:
        """Items that are not planned yet: trials, those that are promoted, and the fit that is judged."""
        if self.has_ended:
            return 0
        to_promote = num_promoted(self.num_trials) if self.halving and not self.promoted else 0
        return self.num_trials - len(self.trials) + to_promote + 1

    def num_unsettled(self, settled: Collection[str]) -> int:
        """Trials that are in flight."""
        return sum(trial.item not in settled for trial in (*self.trials, *self.promoted))

    @property
    def in_full(self) -> tuple[SearchTrial, ...]:
        """The trials that were trained in full, among which one is chosen."""
        return self.promoted if self.halving else self.trials


@dataclass(frozen=True)
class Plan:
    """All items of a study in the order to do them, and the configurations they belong to.

    With `searches` it grows while it is worked on, by what is proposed; the configurations are their arms. With a `race` it
    opens look by look: `items` are then those that may be done, see `with_proposals`.
    """

    items: tuple[Item, ...]
    configurations: tuple[Configuration, ...]
    searches: tuple[Search, ...] = ()
    race: Race | None = None

    @property
    def grows(self) -> bool:
        """Whether its items are others while it is worked on."""
        return bool(self.searches) or self.race is not None

    @property
    def num_to_come(self) -> int:
        """Items that searches have not planned yet, or that a race holds back; not all of these may come."""
        later = len(self.race.later) if self.race else 0
        return later + sum(search.num_to_come for search in self.searches)

    def coming(self, settled: Collection[str]) -> list[Item]:
        """What will be there as soon as a worker asks: of searches by items of the same kind, their first trials."""
        if self.race is not None:
            waits = any(item.kind == "fit" and item.id not in settled for item in self.items)
            return [] if waits else [item for item in self.race.later if item.kind == "fit"]
        firsts = {item.id: item for item in self.items} if self.searches else {}
        return [
            firsts[search.trials[0].item]
            for search in self.searches
            if search.num_to_come
            for _ in range(search.in_flight - search.num_unsettled(settled))
        ]

    def grown(self, searches: Sequence[Search], items: Iterable[Item]) -> Plan:
        """The plan with searches as they are now, and with the items that they brought."""
        every = {item.id: item for item in (*self.items, *items)}  # what is proposed twice is done once
        return replace(self, items=tuple(every.values()), searches=tuple(searches))

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        plain = _PLAIN.dump_python(self, mode="json")
        for grows in ("searches", "race"):  # so that a plan without one stays what it was
            if not plain[grows]:
                del plain[grows]
        return {"schema": 1, **plain}

    @staticmethod
    def from_json(value: Mapping[str, Any], *, where: str | None = None) -> Plan:
        """The plan that `to_json` wrote; RunError, with `where`, if it calls an item or a configuration what is no id."""
        plan = _PLAIN.validate_python(value)
        for name in (name for item in plan.items for name in (item.id, *item.needs)):
            checked_id(name, "item", where=where)
        for row in plan.configurations:
            checked_id(row.id, "configuration", where=where)
        for name in [search.id for search in plan.searches] + ([plan.race.id] if plan.race else []):
            checked_id(name, "search", where=where)
        return plan


_PLAIN = TypeAdapter(Plan)


def proposal_name(number: int) -> str:
    """The file of a trial in the folder of its search."""
    return f"{number:04d}.json"


def choice_name(search: Search, what: Literal["end", "promoted"]) -> str:
    """The file of what a search chose, by its budget: with a larger one it goes on, and chooses anew."""
    hours = "" if search.seconds is None else f"-{search.seconds:.0f}s"
    return f"{what}-{search.num_trials}{hours}.json"


def num_promoted(num_trials: int) -> int:
    """How many of so many trials are trained in full, where a search halves: a third, at least one."""
    return -(-num_trials // HALVED_BY)


def with_proposals(plan: Plan, folder_of: Callable[[str], Path]) -> Plan:
    """The plan with all that its searches have proposed, or its race has ruled.

    A file that is damaged is as if it were not there: what follows from results can be written again, and is the same then.
    """
    if plan.race is not None:
        now, race = opened(plan.items, plan.race, folder_of(plan.race.id))
        return replace(plan, items=now, race=race)
    searches, items = [], list[Item]()
    for search in plan.searches:
        folder = folder_of(search.id)
        with decoding(folder):
            grown, own = _as_proposed(search, folder)
        searches.append(grown)
        items += own
    by_id = {item.id: item for item in items}
    chosen = {search.configuration: by_id[search.fit] for search in reversed(searches) if search.fit}
    # Of an arm, tables and texts say how the configuration is trained that its first fold has chosen.
    arms = tuple(
        replace(arm, training=Training.model_validate(chosen[arm.id].settings["training"]))
        if arm.id in chosen
        else arm
        for arm in plan.configurations
    )
    return replace(plan.grown(searches, items), configurations=arms)


def _as_proposed(search: Search, folder: Path) -> tuple[Search, list[Item]]:
    """A search with the trials, the promotions and the end that are written down, and the items of these."""
    trials, items = list(search.trials)[: search.num_trials], list[Item]()
    while len(trials) < search.num_trials and (record := _proposal(folder / proposal_name(len(trials)))):
        trials.append(SearchTrial(**record["trial"]))
        items += _items(record)
    if search.halving and (record := _proposal(folder / choice_name(search, "promoted"))):
        search = replace(search, promoted=tuple(SearchTrial(**trial) for trial in record["trials"]))
        items += _items(record)
    end = _proposal(folder / choice_name(search, "end"))
    # Not where something that led to it is gone, and is proposed again.
    if end and len(trials) >= end["num_trials"] and (search.promoted or not search.halving or not end["fit"]):
        trials = trials[: end["num_trials"]]
        search = replace(search, fit=end["fit"], has_ended=True)
        items += _items(end)
    return replace(search, trials=tuple(trials)), items


def _proposal(path: Path) -> dict[str, Any] | None:
    try:
        return read_record(path)[0]
    except RunError:
        return None


def _items(record: Mapping[str, Any]) -> Iterator[Item]:
    for item in record["items"]:
        for name in (item["id"], *item["needs"]):
            checked_id(name, "item")
        yield Item(**item | {"needs": tuple(item["needs"])})


def skipped(plan: Plan, failed: Collection[str]) -> list[Item]:
    """Items that cannot be done since something they need, or what that needs, failed; in plan order."""
    lost: dict[str, Item] = {}
    for item in plan.items:  # what is needed comes first in a plan
        if item.id not in failed and any(need in failed or need in lost for need in item.needs):
            lost[item.id] = item
    return list(lost.values())


def device_of(item: Item) -> str:
    """The device that the settings of an item state; ``auto`` where they state none."""
    stated = item.settings.get("training") or item.settings.get("encoder") or {}
    return str(stated.get("device", "auto"))


def lane_of(item: Item, device: str) -> Lane:
    """Whether an item needs an accelerator, where there is one, or a processor only.

    Args:
        device: for settings that say `auto`.
    """
    stated = device_of(item)
    on_cpu = KINDS[item.kind].on_cpu or (device if stated == "auto" else stated) == "cpu"
    return "cpu" if on_cpu else "accelerator"


def devices_asked(plan: Plan) -> set[str]:
    """Those that not every machine has."""
    return {device_of(item) for item in plan.items} - set(EVERYWHERE)


def waiting(plan: Plan, missing: Collection[str]) -> frozenset[str]:
    """Ids of the items that no worker here can do, done ones too: they ask for one of these devices, or need such an item.

    None where no fit at all can be done here: then nothing is to be waited for, and whoever tries is refused.
    """
    if all(device_of(item) in missing for item in plan.items if item.kind in TRAINED):
        return frozenset()
    waits: set[str] = set()
    for item in plan.items:  # what is needed comes first in a plan
        if device_of(item) in missing or any(need in waits for need in item.needs):
            waits.add(item.id)
    return frozenset(waits)


def without(plan: Plan, items: Collection[str]) -> Plan:
    """The plan without these items."""
    return replace(plan, items=tuple(item for item in plan.items if item.id not in items))


def waiting_sentence(plan: Plan, waits: Collection[str]) -> str:
    """What waits, as a sentence; empty where nothing does."""
    fits = [item for item in plan.items if item.kind in TRAINED]
    waiting_fits = [item for item in fits if item.id in waits]
    if not waiting_fits:
        return ""
    total = len({item.settings["configuration"] for item in fits})
    number = len({item.settings["configuration"] for item in waiting_fits})
    names = " and ".join(sorted({device_of(item) for item in waiting_fits} - set(EVERYWHERE)))
    verb, they = ("asks", "it waits") if number == 1 else ("ask", "they wait")
    return (
        f"{number} of {count(total, 'configuration')} {verb} for {names}, which this machine does not have: "
        f"{they} for a worker that has it."
    )
