"""Simulates studies whose truth is known, and says which promises of the judge are kept.

    python -m benchmarks.validation [--quick] [--passes N] [--workers N] [--folder FOLDER] [--publish]

A call that is interrupted goes on where it was. The table is written after every pass; exit code 1: a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.validation.jobs import all_jobs, outdated, quick_jobs, summaries
from benchmarks.validation.passes import simulate
from benchmarks.validation.promises import verdicts
from benchmarks.validation.tables import publish, said, write_tables

PASSES = 4  # each some nine minutes of one core


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a slice of seconds")
    parser.add_argument("--passes", type=int, default=PASSES, help="how many batches of every cell")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, default=Path("runs/validation"))
    parser.add_argument(
        "--publish", action="store_true", help="put table and pictures into docs/, from what is done"
    )
    asked = parser.parse_args()
    folder = asked.folder / "quick" if asked.quick else asked.folder
    jobs = quick_jobs() if asked.quick else all_jobs()
    if not asked.publish:
        simulate(jobs, 1 if asked.quick else asked.passes, asked.workers, folder)
    rows = summaries(jobs, folder)
    told = verdicts(rows)
    write_tables(rows, told, folder)
    print(said(told))
    old, number = outdated(jobs, folder)
    if old:
        print(
            f"{old} of {number} batches were judged by an earlier foldwise. To do them again, delete {folder / 'batches'}."
        )
    if asked.publish or not asked.quick:
        publish(rows, told)
    return 1 if any(one.broken for one in told) else 0


if __name__ == "__main__":
    sys.exit(main())
