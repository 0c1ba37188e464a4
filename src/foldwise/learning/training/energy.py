"""The energy that a fit takes, where the machine has a counter of it that may be read; it is never guessed."""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import pynvml
import torch

from foldwise.learning.training.devices import MemoryPeak
from foldwise.runs.device_memory import workers_here
from foldwise.runs.leases import Beat

POWERCAP = Path("/sys/class/powercap")
# AMD processors have the same names; `intel-rapl:0:0` and the like are parts of these.
PACKAGE = re.compile(r"intel-rapl:\d+")
MAX_WATTS = 1000.0  # of one processor, at which its counter would begin anew soonest


class Counter(Protocol):
    """What a device counts of its own energy."""

    kind: str

    def joules(self) -> float:
        """That this process is charged with since the last call; nan if that cannot be known.

        Raises:
            OSError: the counter cannot be read.
        """
        ...


class EnergyMeter:
    """Joules since it was made. It has to be read now and then: the counters of processors begin anew.

    Args:
        device: what is trained on. Of a GPU the whole card is counted. Of a processor, this process is charged with
            its share of the time that all programs kept it busy: the counter knows of no programs.
    """

    def __init__(self, device: torch.device) -> None:
        find = COUNTERS.get(device.type)
        self._counter = find(device) if find else None
        self._joules = 0.0

    @property
    def kind(self) -> str | None:
        """What is counted, for those who read the number; None where nothing is."""
        return self._counter.kind if self._counter else None

    def read(self) -> None:
        """Add what was used since the last time."""
        if self._counter is None:
            return
        try:
            self._joules += self._counter.joules()
        except OSError:  # half a measurement is none
            self._counter = None

    def joules(self) -> float | None:
        """So far; None where it was not measured."""
        self.read()
        return None if self._counter is None or math.isnan(self._joules) else self._joules


class Sharers:
    """How many programs used an accelerator at a time, at most: what is timed beside others says little of being alone."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.most = device, 1
        self.look()

    def look(self) -> None:
        """Count them now: the workers that a crew tells of, and all programs where the driver tells of them."""
        if self.device.type == "cpu":
            return
        self.most = max(self.most, workers_here())
        if self.device.type == "cuda" and _has_nvml():
            with suppress(pynvml.NVMLError, OSError):
                self.most = max(
                    self.most, len(pynvml.nvmlDeviceGetComputeRunningProcesses(_card(self.device)))
                )


class Spending:
    """Memory and energy since it was made, as a result records them, and who shared the device meanwhile."""

    def __init__(self, device: torch.device) -> None:
        self.memory, self.energy, self.sharers = MemoryPeak(device), EnergyMeter(device), Sharers(device)
        self._before: dict[str, Any] | None = None

    def beside(self, beat: Beat) -> Beat:
        """The same beat, at which the counter is read, and which says how much memory of a GPU is taken."""

        def both(progress: dict[str, Any]) -> None:
            self.energy.read()
            self.sharers.look()
            taken = self.memory.reserved_mb()
            beat(progress if taken is None else progress | {"device_mb": round(taken)})

        return both

    def restore(self, before: dict[str, Any]) -> None:
        """Count on from what `record` gave earlier, of a fit that goes on."""
        # What putting its state back took is no part of it.
        self.memory.reset()
        self._before, self.sharers.most = before, before.get("sharers", 1)

    def record(self) -> dict[str, Any]:
        """Peaks and joules so far, None where they were not measured, what is counted, and how many shared the device."""
        self.sharers.look()
        peak_mb, joules = self.memory.mb(), self.energy.joules()
        if self._before is not None:
            before_mb, before_j = self._before["peak_memory_mb"], self._before["energy_j"]
            peak_mb = None if None in (peak_mb, before_mb) else max(peak_mb, before_mb)
            joules = None if None in (joules, before_j) else joules + before_j
        return {
            "peak_memory_mb": peak_mb,
            "peak_memory_is": self.memory.kind,
            "energy_j": joules,
            "energy_is": self.energy.kind,
            "sharers": self.sharers.most,
        }


class _Card:
    """The counter of an NVIDIA GPU, which newer ones than Pascal have; the driver counts no programs apart."""

    kind = "the whole GPU"

    def __init__(self, handle: object) -> None:
        self.handle = handle
        self.last = self._now()

    def _now(self) -> float:
        try:
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1e3
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from None

    def joules(self) -> float:
        before, self.last = self.last, self._now()
        return self.last - before if self.last >= before else float("nan")  # the driver was loaded anew


class _Processor:
    """The counters of all processors of a Linux machine (RAPL). Most systems let only the administrator read them."""

    kind = "the processor, by the share of its busy time"

    def __init__(self, packages: list[Path]) -> None:
        self.files = [package / "energy_uj" for package in packages]
        self.ends = [float((package / "max_energy_range_uj").read_text()) for package in packages]
        self.last, self.last_read = self._now(), time.monotonic()
        self.own, self.all = _own_s(), _busy_s()

    def _now(self) -> list[float]:
        return [float(path.read_text()) for path in self.files]

    def joules(self) -> float:
        now, moment = self._now(), time.monotonic()
        before, self.last = self.last, now
        elapsed, self.last_read = moment - self.last_read, moment
        # Shares too are of the time since the last reading: loads of other programs come and go.
        own, busy = _own_s(), _busy_s()
        mine, everyone = own - self.own, busy - self.all
        self.own, self.all = own, busy
        if elapsed * MAX_WATTS * 1e6 > min(self.ends):
            return float("nan")  # they may have begun anew more than once
        total = sum((b - a) % end for a, b, end in zip(before, now, self.ends, strict=True)) / 1e6
        return total * (min(mine / everyone, 1.0) if everyone > 0 else 1.0)


def _own_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _of_gpu(device: torch.device) -> Counter | None:
    if not _has_nvml():
        return None
    with suppress(pynvml.NVMLError, OSError):
        return _Card(_card(device))
    return None


def _card(device: torch.device) -> Any:
    # Not by number: the driver counts the cards that CUDA_VISIBLE_DEVICES hides too.
    return pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")


@functools.cache
def _has_nvml() -> bool:
    # Once in a process: a driver that is not there is not looked for at every fit.
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


def _of_processor(_: torch.device) -> Counter | None:
    with suppress(OSError, ValueError):
        packages = sorted(path for path in POWERCAP.iterdir() if PACKAGE.fullmatch(path.name))
        return _Processor(packages) if packages else None
    return None


COUNTERS: dict[str, Callable[[torch.device], Counter | None]] = {"cuda": _of_gpu, "cpu": _of_processor}
