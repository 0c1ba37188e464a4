"""The table of speeds: every row measured anew, printed, and written to `benchmarks/results.md`.

    python -m benchmarks [ROW ...] [--quick] [--out FOLDER] [--list]

Each row is measured in a process of its own. Exit code 1: both ways of a row do not give the same, or a row failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from os import getloadavg
from pathlib import Path

from benchmarks.measuring import ROOT, machine
from benchmarks.results import Record, lines_of, write
from benchmarks.rows.table import ROWS
from benchmarks.table import Bench, Row

RESULTS = ROOT / "benchmarks"


def main(words: Sequence[str] | None = None, rows: Sequence[Row] = ROWS) -> int:
    """Measure the rows that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", help=f"of {', '.join(row.name for row in rows)}; all by default"
    )
    parser.add_argument(
        "--rounds", type=int, help="how often both ways take turns; 3, and 1 where it is quick"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: shows that all is well")
    parser.add_argument("--out", type=Path, help="where results go; a quick run writes none by default")
    parser.add_argument(
        "--list", action="store_true", help="print the rows and what they take, and measure none"
    )
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    by_name = {row.name: row for row in rows}
    if unknown := [name for name in asked.rows if name not in by_name]:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(by_name)}")
    rounds = asked.rounds or (1 if asked.quick else 3)
    chosen = [by_name[name] for name in asked.rows] or list(rows)
    if asked.record:
        asked.record.write_text(
            json.dumps(measured(chosen[0], quick=asked.quick, rounds=rounds).dump()), encoding="utf-8"
        )
        return 0
    if asked.list:
        print("\n".join(f"{row.name:24} {minutes(row, asked.quick):5.1f} min  {row.work}" for row in chosen))
        return 0
    out = asked.out or (None if asked.quick else RESULTS)
    records = [
        _shown(row, lambda row: alone(row, quick=asked.quick, rounds=rounds), out=out, rows=rows)
        for row in estimated(chosen, asked.quick)
    ]
    return int(not all(record.is_right for record in records))


def minutes(row: Row, quick: bool) -> float:
    """About what a row takes here."""
    return 0.0 if row.lacks() else row.quick_minutes if quick else row.minutes


def estimated(chosen: Sequence[Row], quick: bool) -> Sequence[Row]:
    """The rows, after it is said what they take."""
    total = sum(minutes(row, quick) for row in chosen)
    print(
        f"{len(chosen)} rows, about {total:.0f} minutes on two quiet cores; load {getloadavg()[0]:.1f}",
        flush=True,
    )
    return chosen


def _shown(row: Row, measure: Callable[[Row], Record], *, out: Path | None, rows: Sequence[Row]) -> Record:
    """A row measured in a process of its own, printed, and written among the results."""
    print(f"\n{row.name}: {row.work}\n  against {row.against}", flush=True)
    record = measure(row)
    print("\n".join(f"  {line}" for line in lines_of(row, record)), flush=True)
    if out is not None:
        write(out, rows, {row.name: record})
    return record


def alone(row: Row, *, quick: bool, rounds: int) -> Record:
    """The record that a process of its own makes, so that rows share neither memory nor settings."""
    if lacks := row.lacks():
        return Record(lacks=lacks)
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        file = Path(scratch) / "record.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks",
            row.name,
            "--record",
            str(file),
            "--rounds",
            str(rounds),
            *["--quick"] * quick,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode or not file.exists():
            return Record(failed=f"{done.stdout}\n{done.stderr}".strip()[-2000:] or f"exit {done.returncode}")
        return Record.load(json.loads(file.read_text(encoding="utf-8")))


def measured(row: Row, *, quick: bool = False, rounds: int = 1) -> Record:
    """The record of a row, measured in this process."""
    load, began = getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="foldwise-bench-") as scratch:
        found = row.measure(Bench(Path(scratch), quick, rounds))
    if found.figures.keys() != row.goals.keys():
        raise SystemExit(f"row {row.name}: figures {list(found.figures)}, goals {list(row.goals)}")
    loads = (round(load, 1), round(getloadavg()[0], 1))
    when = datetime.now(UTC).isoformat(timespec="minutes")
    return Record(found, quick, round((time.monotonic() - began) / 60, 1), loads, when, machine())


if __name__ == "__main__":
    sys.exit(main())
