"""The device that was asked for, made to give the same numbers every time, and what it spends."""

from __future__ import annotations

import ctypes
import functools
import os
import random
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from foldwise.errors import MissingExtra, unknown
from foldwise.processes import processor_name, text_of

DEVICES = ("auto", "cpu", "cuda", "mps")
BYTES_PER_MB = 1e6  # in every number of memory, measured or foretold
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt
# Of the latency. The first passes make what the later ones find ready, and are not counted.
WARM_UPS, MAX_TIMED, MAX_TIMED_S = 2, 20, 1.0


def pick_device(stated: str, default: str = "auto") -> torch.device:
    """The device that a training states, or that of the worker where it states ``auto``; if both do, the fastest.

    Never another one than was asked for.

    Raises:
        MissingExtra: this machine, or this build of torch, has no such device.
        SpecError: there is no device of that name.
    """
    name = default if stated == "auto" else stated
    if name not in DEVICES:
        raise unknown(name, DEVICES, "device")
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if here[name]))
    if not here[name]:
        raise MissingExtra(
            f"the device {name!r} was asked for, but torch {torch.__version__} finds none here",
            cure="Ask for --device auto or cpu, or install a driver and a build of torch for it.",
        )
    return torch.device(name)


def devices_here() -> list[torch.device]:
    """Every device of this machine, the fastest first."""
    fastest = pick_device("auto")
    return [fastest] if fastest.type == "cpu" else [fastest, torch.device("cpu")]


def device_name(device: torch.device) -> str:
    """What the device is called by its maker."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return processor_name()


def precision_for(stated: str, device: torch.device) -> Literal["fp32", "bf16"]:
    """The precision a fit is worked in: by rule, since a timing would let noise choose the numbers."""
    if stated == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if able else "fp32"
    return "bf16" if stated == "bf16" else "fp32"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context in which matrix products are worked in `precision`."""
    # One that is not enabled takes 60 us of every step all the same.
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Stopwatch:
    """Seconds the device worked, over any number of laps."""

    def __init__(self, device: torch.device, seconds: float = 0.0) -> None:
        self.device, self.seconds, self._since = device, seconds, 0.0

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Count the time within."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within a lap: do not count the time within this."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def _start(self) -> None:
        synchronize(self.device)
        self._since = time.perf_counter()

    def _stop(self) -> None:
        synchronize(self.device)
        self.seconds += time.perf_counter() - self._since


@contextmanager
def steady(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Within it, the same settings give the same numbers: seeded, deterministic, with so many threads.

    Operations that have no deterministic form (a few on GPUs) are done all the same; torch would warn of each.
    """
    before = torch.get_deterministic_debug_mode()
    debugging: Any = torch.utils.deterministic  # its types do not know the switch
    # Restored at the end, since a process may do other items after this one.
    threads_before, filled = torch.get_num_threads(), debugging.fill_uninitialized_memory
    _keep_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS sums in a fixed order only with this
    # The same as `use_deterministic_algorithms(True, warn_only=True)`, which imports the compiler (1.3 s of CPU at every start).
    torch.set_deterministic_debug_mode("warn")
    debugging.fill_uninitialized_memory = False  # a guard for debugging; costs a write per tensor
    # It would choose algorithms by their speed, which differs from run to run.
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    torch.manual_seed(seed % 2**63)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
            yield
    finally:
        torch.set_deterministic_debug_mode(before)
        debugging.fill_uninitialized_memory = filled
        torch.set_num_threads(threads_before)


def seed_streams(seed: int, device: torch.device) -> None:
    """Seed all that a network may draw from on a device, in some 10 us: torch, and for a user's own Python and numpy."""
    # `torch.manual_seed` looks for devices of every kind each time, which takes 90 us.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    np.random.seed(seed % 2**32)  # the global stream is what others draw from
    random.seed(seed)


@functools.cache
def _keep_memory() -> None:
    """Tell glibc to keep freed memory: a training step asks for the same again, and page faults cost 5 to 25 %."""
    if (mallopt := _glibc("mallopt")) is not None:
        # Older ones refuse more than 32 MB.
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None on systems with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    return function


class MemoryPeak:
    """The most memory used since it was made: allocated by torch on a GPU, the growth of the process on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reset()
        self.start_mb = _process_mb("VmRSS")

    def reset(self) -> None:
        """Forget the peak so far, but not where it began: the next is of what comes, on top of what there is."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        if (trim := _glibc("malloc_trim")) is not None:
            trim(0)  # what an earlier fit left would be used again, and not be seen to grow
        with suppress(OSError):  # without it, the peak of an earlier fit of this process is an upper bound
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    @property
    def kind(self) -> str:
        """What is counted, for those who read the number."""
        return "gpu memory allocated" if self.device.type == "cuda" else "growth of process memory"

    def reserved_mb(self) -> float | None:
        """Megabytes that torch took from a GPU, used or kept for later; None where there is no such thing."""
        if self.device.type != "cuda":
            return None
        return float(torch.cuda.max_memory_reserved(self.device)) / BYTES_PER_MB

    def mb(self) -> float | None:
        """Megabytes; None where this system does not tell."""
        if self.device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self.device)) / BYTES_PER_MB
        peak = _process_mb("VmHWM")
        return None if peak is None or self.start_mb is None else max(peak - self.start_mb, 0.0)


def _process_mb(field: str) -> float | None:
    match = re.search(rf"^{field}:\s+(\d+) kB", text_of(Path("/proc/self/status")), re.M)
    return int(match[1]) * 1024 / BYTES_PER_MB if match else None


def release_memory(device: torch.device) -> None:
    """Give back what torch keeps for later on a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@torch.inference_mode()
def latency_ms(function: Callable[[Tensor], Tensor], image_1CHW: Tensor, device: torch.device) -> float:
    """Median milliseconds for one image that is on the device already; at least 3 and at most 20 measured."""
    seconds: list[float] = []
    for number in range(WARM_UPS + MAX_TIMED):
        synchronize(device)
        start = time.perf_counter()
        function(image_1CHW)
        synchronize(device)
        if number >= WARM_UPS:
            seconds.append(time.perf_counter() - start)
        if len(seconds) >= 3 and sum(seconds) > MAX_TIMED_S:
            break
    return statistics.median(seconds) * 1e3
