"""What a command takes, and how many times as much another one takes: of whole process trees, in turns."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What decides by how much one way is faster than another on a CPU: widths of vectors, and arithmetic of half precision.
FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


@dataclass(frozen=True)
class Figure:
    """A number that was measured in several rounds: median, least and most."""

    middle: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """The figure of the values of all rounds."""
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Spent:
    """What a command took: seconds of all processors, of the clock, and the memory of its largest process.

    Attributes:
        cpu_s: of the process and of all that it and those waited for.
        output: what it printed.
    """

    cpu_s: float
    clock_s: float
    memory_mb: float
    output: str


def spent(command: Sequence[str | Path], *, cwd: Path, threads: int = 1, cache: Path | None = None) -> Spent:
    """What a command took. It computes on the CPU, in so many threads; SystemExit where it fails.

    Args:
        cache: where foldwise keeps decoded images; below `cwd` by default, so that nothing of an earlier run is there.
    """
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    paths = (
        str(ROOT / "src"),
        str(ROOT),
        os.environ.get("PYTHONPATH", ""),
    )  # ours first, whatever else is there
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    environment = os.environ | numbers | own | {"FOLDWISE_CACHE": str(cache or cwd / "cache")}
    log = cwd / "output.txt"
    began = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    clock_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    output = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{output[-4000:]}")
    kib = 1 if sys.platform == "darwin" else 1024
    return Spent(usage.ru_utime + usage.ru_stime, clock_s, usage.ru_maxrss * kib / 1e6, output)


def foldwise(*words: str | Path) -> list[str | Path]:
    """The command line of foldwise, of the source that lies beside the bench."""
    return [sys.executable, "-m", "foldwise", *words]


def in_turns(ways: dict[str, Callable[[], Spent]], rounds: int) -> dict[str, list[Spent]]:
    """What each way took in every round; all in one round, so that other work on the machine meets all of them.

    Every other round goes the other way round, so that what comes first is not always the same.
    """
    took: dict[str, list[Spent]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            took[name].append(ways[name]())
    return took


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Figure:
    """How many times as fast ours is, round by round."""
    return Figure.of([their / our for their, our in zip(theirs, ours, strict=True)])


def machine() -> dict[str, str]:
    """What of this machine the figures hang on."""
    import torch

    flags, model = _processor()
    known = [flag for flag in FEATURES if flag in flags]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
        "features": " ".join(known) or platform.machine(),
        "gpu": gpu,
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
        "commit": _commit(),
    }


def _processor() -> tuple[frozenset[str], str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset(), platform.processor()
    rows = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return frozenset(rows.get("flags", rows.get("Features", "")).split()), rows.get(
        "model name", platform.machine()
    )


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
