"""The plan: every item of work, and which of them can be done now, are skipped, or wait for a device that is not here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from foldwise.foreign import checked_id
from foldwise.runs.items import Item
from foldwise.study.configurations import Configuration
from foldwise.text import count

EVERYWHERE = ("auto", "cpu")  # devices that every machine has


@dataclass(frozen=True)
class Plan:
    """All items of a study in the order to do them, and the configurations they belong to."""

    items: tuple[Item, ...]
    configurations: tuple[Configuration, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {"schema": 1, **_PLAIN.dump_python(self, mode="json")}

    @staticmethod
    def from_json(value: Mapping[str, Any], *, where: str | None = None) -> Plan:
        """The plan that `to_json` wrote; RunError, with `where`, if it calls an item or a configuration what is no id."""
        plan = _PLAIN.validate_python(value)
        for name in (name for item in plan.items for name in (item.id, *item.needs)):
            checked_id(name, "item", where=where)
        for row in plan.configurations:
            checked_id(row.id, "configuration", where=where)
        return plan


_PLAIN = TypeAdapter(Plan)


def ready(plan: Plan, done: Collection[str], failed: Collection[str]) -> list[Item]:
    """Items that are neither done nor failed and whose needs are done, in plan order."""
    return [
        item
        for item in plan.items
        if item.id not in done and item.id not in failed and all(need in done for need in item.needs)
    ]


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


def devices_asked(plan: Plan) -> set[str]:
    """Those that not every machine has."""
    return {device_of(item) for item in plan.items} - set(EVERYWHERE)


def waiting(plan: Plan, missing: Collection[str]) -> frozenset[str]:
    """Ids of the items that no worker here can do, done ones too: they ask for one of these devices, or need such an item.

    None where no fit at all can be done here: then nothing is to be waited for, and whoever tries is refused.
    """
    if all(device_of(item) in missing for item in plan.items if item.kind == "fit"):
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
    fits = [item for item in plan.items if item.kind == "fit"]
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
