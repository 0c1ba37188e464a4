"""Items that ask for a device which is not here: they wait for a worker that has it, and so does what needs them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.text import count

EVERYWHERE = ("auto", "cpu")


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
