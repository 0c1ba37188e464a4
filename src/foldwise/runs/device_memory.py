"""Memory of devices: as their driver has it, shared by how many workers, and too little for which items.

Torch is not asked, which would take some of it for itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pynvml

from foldwise.processes import text_of
from foldwise.runs.folder import RunFolder

ROOM = "FOLDWISE_ROOM"  # names a file that holds the number
BYTES_PER_MB = 1e6


def workers_here() -> int:
    """How many workers there are now on the device of this process, itself included; 1 where nobody says more."""
    path = os.environ.get(ROOM)
    text = text_of(Path(path)).strip() if path else ""
    return max(int(text), 1) if text.isdigit() else 1


def note_crowded(folder: RunFolder, item_id: str, workers: int) -> None:
    """Say that memory ran out while so many workers shared a device: the item is done again by one that is alone."""
    folder.crowded.mkdir(exist_ok=True)
    (folder.crowded / item_id).write_text(str(workers), encoding="ascii")


def crowded(folder: RunFolder) -> dict[str, int]:
    """Items that wait for a device of their own, with how many workers shared the one on which memory ran out."""
    if not folder.crowded.is_dir():
        return {}
    stated = {path.name: text_of(path).strip() for path in folder.crowded.iterdir()}
    return {item_id: int(text) if text.isdigit() else 2 for item_id, text in stated.items()}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch raised because memory ran out, on any device."""
    # For a CPU, and for what libraries take beside torch, it has no error of its own, so the words have to say it.
    words = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(part in str(error) for part in words)


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a device now, in 10^6 bytes.

    Attributes:
        used_mb: by process id; of none where the driver does not say, as in some containers.
    """

    total_mb: float
    free_mb: float
    used_mb: Mapping[int, float] = field(default_factory=dict)


class Meter(Protocol):
    """What tells of the memory of devices; a made-up one in tests."""

    def devices(self) -> tuple[str, ...]:
        """The devices that workers may use, as ``CUDA_VISIBLE_DEVICES`` names them; one of no name is the only one."""

    def memory(self, device: str) -> DeviceMemory | None:
        """Of a device; None where that is not told."""


class Nvml:
    """The driver of NVIDIA, which knows all programs that use its cards."""

    def __init__(self) -> None:
        pynvml.nvmlInit()

    def devices(self) -> tuple[str, ...]:
        """Those of ``CUDA_VISIBLE_DEVICES``, as it names them; all cards by their ids where nobody has set it."""
        stated = os.environ.get("CUDA_VISIBLE_DEVICES")
        if stated is not None:
            return tuple(name.strip() for name in stated.split(",") if name.strip())
        # By id, since the driver and CUDA may count the cards of a machine in another order.
        handles = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount()))
        return tuple(_text(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles)

    def memory(self, device: str) -> DeviceMemory | None:
        """Of a card, or of a part of one (MIG)."""
        try:
            handle = _handle(device)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        except pynvml.NVMLError:
            return None
        used: dict[int, float] = {}
        with suppress(pynvml.NVMLError):
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.usedGpuMemory:  # None where the driver keeps it to itself
                    used[process.pid] = process.usedGpuMemory / BYTES_PER_MB
        return DeviceMemory(memory.total / BYTES_PER_MB, memory.free / BYTES_PER_MB, used)


class Unmetered:
    """A device of which nobody tells how much memory is free, as that of an Apple computer: it gets one worker."""

    def devices(self) -> tuple[str, ...]:
        """The only one."""
        return ("",)

    def memory(self, device: str) -> DeviceMemory | None:
        """Not told."""


def find_meter(device: str) -> Meter | None:
    """What tells of the accelerators that workers with this device use; None where they use none.

    Without torch, which takes seconds to import; a wrong guess costs time and no result.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    nvidia = any(Path("/dev").glob("nvidia[0-9]*")) and not hidden
    if device in ("auto", "cuda") and nvidia:
        with suppress(pynvml.NVMLError):
            meter = Nvml()
            if meter.devices():
                return meter
        return Unmetered()
    apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    return Unmetered() if device in ("cuda", "mps") or (device == "auto" and apple) else None


def _handle(device: str) -> Any:
    if device.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(device))
    return pynvml.nvmlDeviceGetHandleByUUID(device)


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
