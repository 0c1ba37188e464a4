"""What is foretold against what there is: the memory that this process may use, and the disk on which a run lies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from foldwise.learning.training.costs import Estimate
from foldwise.pipeline.devices import device_is_here
from foldwise.resources import usable
from foldwise.runs.launchers.slurm_script import PROGRAM_MB
from foldwise.runs.plan import Plan

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
            f"the weights of all fits take up to {weights / BYTES_PER_GB:,.1f} GB, and {free / BYTES_PER_GB:,.1f} GB are "
            f"free where the run lies, {there}; say where there is room with --out"
        )


def _has_gpu() -> bool:
    # What a fit takes on a GPU lies in its own memory, of which an error speaks soon.
    return device_is_here("cuda") or device_is_here("mps")
