"""What of a study can be done here: devices, memory and disk that are there, items that wait for another machine, what is left.

A plan may ask for devices that no single machine has. Its items then wait for a worker elsewhere, and a run here ends
without them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from foldwise.errors import MissingExtra, SpecError
from foldwise.learning.training.costs import Estimate
from foldwise.resources import usable
from foldwise.runs.agenda import LISTING_SHARE, Agenda
from foldwise.runs.folder import RunFolder
from foldwise.runs.launchers.slurm_script import PROGRAM_MB
from foldwise.runs.plan import Lane, Plan, devices_asked, lane_of, waiting
from foldwise.text import size

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
    agenda = Agenda(folder, plan)
    agenda.look()
    if not agenda.left:
        return not plan.num_to_come  # a search has more to propose, or a race to look at
    # Devices are looked for only while something is left: that may import torch, which takes seconds.
    return not elsewhere and {plan.items[index].id for index in agenda.left} <= waiting_here(plan)


class Agendas:
    """The agenda of a worker or a driver, which begins anew where the plan is another one now.

    Args:
        plan: the one that counts, whatever is laid over it; the one that lies there by default.
        elsewhere: as in `all_settled`.
        lane: the items that are to be done, of those that need an accelerator and those that do not; all by default.
        device: for settings that say `auto`.
        share: as in `Agenda`.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        plan: Plan | None = None,
        elsewhere: bool = False,
        lane: Lane | None = None,
        device: str = "auto",
        share: float = LISTING_SHARE,
    ) -> None:
        self.folder, self._fixed, self._elsewhere, self._share = folder, plan, elsewhere, share
        self._lane, self._device = lane, device
        self._agenda: Agenda | None = None
        self._version: tuple[int, ...] = ()

    def forget(self) -> None:
        """Something is not as it was thought to be: begin anew."""
        self._agenda = None

    def now(self) -> Agenda:
        """What is left of the plan as it is now; one call of the file system where it is as it was."""
        agenda = self._agenda
        version = self.folder.plan_version(None if agenda is None else agenda.plan)
        if agenda and (self._fixed is agenda.plan or version == self._version) and not agenda.plan.searches:
            return agenda
        plan = self._fixed
        if plan is None or plan.grows:
            plan = self.folder.load_plan()
        if agenda is None or version != self._version or plan.searches != agenda.plan.searches:
            waits = () if self._elsewhere else waiting_here(plan)
            lane, device = self._lane, self._device
            theirs = [item.id for item in plan.items if lane and lane_of(item, device) != lane]
            self._agenda = agenda = Agenda(self.folder, plan, waits, theirs=theirs, share=self._share)
        # Of a plan without a race the version that was asked for before it was read had a number more.
        self._version = version if plan.race is not None else version[:3]
        return agenda


BYTES_PER_NUMBER = 4
BYTES_PER_MB, BYTES_PER_GB = 1e6, 1e9


def shortages(plan: Plan, costs: Mapping[str, Estimate], run: Path, *, elsewhere: bool) -> Iterator[str]:
    """What is likely to run out, a sentence each with its cure; nothing where all is enough, as far as can be foretold.

    Args:
        costs: by the id of a configuration.
        run: the run folder, which need not be there yet.
        elsewhere: whether other machines do the work, of which nothing is known here.
    """
    here = usable()
    need = max((cost.memory_mb for cost in costs.values()), default=0.0) + PROGRAM_MB
    if not elsewhere and need * BYTES_PER_MB > here.memory and not _has_gpu():
        yield (
            f"the largest fit is foretold to take {need * BYTES_PER_MB / BYTES_PER_GB:.1f} GB with the program itself, and "
            f"{here.memory_by} leaves {here.memory / BYTES_PER_GB:.1f} GB, so that it is likely to be killed; state a "
            "smaller batch_size or size"
        )
    fits = [item for item in plan.items if item.kind == "fit"]
    weights = sum(costs[fit.settings["configuration"]].parameters for fit in fits) * BYTES_PER_NUMBER
    there = next(path for path in (run.absolute(), *run.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if weights > free:
        yield (
            f"the weights of all fits take up to {size(weights)}, and {size(free)} are "
            f"free where the run lies, {there}; say where there is room with --out"
        )


def _has_gpu() -> bool:
    # What a fit takes on a GPU lies in its own memory, of which an error speaks soon.
    return device_is_here("cuda") or device_is_here("mps")
