"""Does what is not done yet, a pass over all cells at a time, in a few processes."""

from __future__ import annotations

import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.validation.jobs import Job, done

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def simulate(jobs: list[Job], passes: int, workers: int, folder: Path) -> None:
    """Every batch that is not there yet, a pass over all cells at a time, so that what is there is always even."""
    os.environ.update(
        dict.fromkeys(THREADS, "1")
    )  # the new processes read them before numpy and torch come in
    began = time.monotonic()
    for batch in range(passes):
        # Fresh processes: torch and fork do not go together.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool:
            waiting = [pool.submit(done, job, batch, folder) for job in jobs]
            for number, one in enumerate(as_completed(waiting), start=1):
                one.result()
                if number % 20 == 0 or number == len(jobs):
                    spent = time.monotonic() - began
                    print(
                        f"pass {batch + 1} of {passes}: {number} of {len(jobs)} cells, {spent:.0f} s",
                        flush=True,
                    )


def _quiet() -> None:
    """Ratios that are undefined in single samples are counted, not shown."""
    warnings.simplefilter("ignore")
