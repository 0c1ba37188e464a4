"""The devices of this machine: what may be asked of it, which items wait for another, and whether anything is left to do.

A plan may ask for devices that no single machine has. Its items then wait for a worker elsewhere, and a run here ends
without them.
"""

from __future__ import annotations

from foldwise.errors import MissingExtra, SpecError
from foldwise.runs.folder import RunFolder
from foldwise.runs.plan import Plan, devices_asked, skipped, waiting

DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE_SLIPS = {"gpu": "Write cuda for an NVIDIA GPU, mps for an Apple one. ", "cuda:0": "Write cuda. "}


def refuse_device(device: str, *, elsewhere: bool = False) -> None:
    """Refuse a device that is not here, before anything is done with it.

    Args:
        elsewhere: whether another machine is to have it.

    Raises:
        SpecError: there is no device of that name.
        MissingExtra: this machine has none.
    """
    if device not in DEVICES:
        cure = f"{DEVICE_SLIPS.get(device.lower(), '')}Known: {', '.join(DEVICES)}."
        raise SpecError(f"no device is called {device!r}", where="--device", cure=cure)
    if device in ("cuda", "mps") and not elsewhere:
        from foldwise.learning.training.devices import pick_device

        pick_device(device)


def device_is_here(name: str) -> bool:
    """Whether this machine, and its build of torch, has a device."""
    from foldwise.learning.training.devices import pick_device

    try:
        pick_device(name)
    except MissingExtra:
        return False
    return True


def waiting_here(plan: Plan) -> frozenset[str]:
    """Ids of the items that ask for a device which this machine does not have, and of those that need them."""
    return waiting(plan, [name for name in devices_asked(plan) if not device_is_here(name)])


def waiting_now(folder: RunFolder, plan: Plan) -> frozenset[str]:
    """Ids of the items that are not done and ask for a device which is not here."""
    done, failed = folder.settled()
    return waiting_here(plan) - done - failed


def all_settled(folder: RunFolder, plan: Plan, *, elsewhere: bool = False) -> bool:
    """Whether every item is done, failed, needs one that failed, or waits for a device that is not here; and none comes.

    Args:
        elsewhere: whether it is done on other machines, so that no item waits for a device.
    """
    done, failed = folder.settled()
    lost = {item.id for item in skipped(plan, failed)}
    left = {item.id for item in plan.items} - done - failed - lost
    if not left:
        return not plan.num_to_come  # a search has more to propose
    # Devices are looked for only while something is left: that may import torch, which takes seconds.
    return not elsewhere and left <= waiting_here(plan)
