"""What `foldwise check` foretells against what then happens: time and memory of fits, study by study.

    python -m benchmarks.foretold [--only NAME ...] [--fits 3] [--all-fits]

Of every study a few fits of its first fold, spread over the configurations, are done with one thread, with what they need
(features of a frozen encoder, pretraining); `--all-fits` does every item. Foretold and measured are of the same items.
Time is what somebody waits, memory the most that a fit takes beside the program. Studies on real images are left out,
and said to be, where the folder of the images is not there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foldwise.errors import FoldwiseError
from foldwise.pipeline.pipeline import check
from foldwise.pipeline.preparing import lay_out
from foldwise.pipeline.worker import do_item
from foldwise.runs.items import Item, seconds_of
from foldwise.runs.plan import Plan
from foldwise.study.reading import open_study

ROOT = Path(__file__).parent.parent
BUILT_IN = ("0-architectures", "1-gels", "2-losses", "3-tissue", "4-proteins")
REAL = {
    "gels": "benchmarks/real/gel_binary.yaml",
    "nuclei": "benchmarks/real/wbc_nucleus_cytoplasm.yaml",
    "nuclei, native sizes": "benchmarks/real/wbc_nucleus_cytoplasm.yaml",
    "retinas": "benchmarks/real/chase_db1_vessels.yaml",
}
CHANGES = {"nuclei, native sizes": ("data.size=native", "train.batch_size=4", "train.crop_px=96")}
TIMES, MEMORY = 2.0, 1.5  # how far foretold and measured may be apart
HEAD = ("study", "items", "check s", "time s", "measured", "ratio", "MB", "measured", "ratio")


@dataclass(frozen=True)
class Row:
    """One study: seconds and MB foretold and measured, of so many items; and how long `check` took."""

    study: str
    num_items: int
    check_s: float
    foretold_s: float
    measured_s: float
    foretold_mb: float
    measured_mb: float

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has them."""
        times, memory = self.foretold_s / self.measured_s, self.foretold_mb / max(self.measured_mb, 1e-9)
        numbers = [f"{self.check_s:.0f}", f"{self.foretold_s:.1f}", f"{self.measured_s:.1f}", f"{times:.2f}"]
        numbers += [f"{self.foretold_mb:.0f}", f"{self.measured_mb:.0f}", f"{memory:.2f}"]
        return (self.study, str(self.num_items), *numbers)

    @property
    def is_near(self) -> bool:
        """Whether both are within what is promised."""
        times, memory = self.foretold_s / self.measured_s, self.foretold_mb / max(self.measured_mb, 1e-9)
        return 1 / TIMES <= times <= TIMES and 1 / MEMORY <= memory <= MEMORY


def measure(name: str, path: Path, *, variants: Sequence[str], changes: Sequence[str], fits: int) -> Row:
    """Check a study, do some of its items, and compare; `fits` of 0 does all."""
    file = open_study(path, changes, variants)
    began = time.perf_counter()
    prepared, costs = check(file, device="cpu")
    check_s = time.perf_counter() - began
    items = list(chosen(prepared.plan, fits)) if fits else list(prepared.plan.items)
    waited, memory = 0.0, []
    with tempfile.TemporaryDirectory() as scratch:
        folder = lay_out(prepared, Path(scratch) / "run")
        for item in items:
            began = time.perf_counter(), time.process_time()
            do_item(folder, item, device="cpu", beat=lambda progress: None)
            # With one thread the processor's time is what somebody waits where nothing else runs.
            waited += min(time.perf_counter() - began[0], time.process_time() - began[1])
            result = folder.result(item.id) or {}
            if result.get("status") != "done":
                raise FoldwiseError(f"{item.title} failed: {result.get('error', {}).get('message')}")
            memory.append(result.get("cost", {}).get("peak_memory_mb") or 0.0)
    fitted = {item.settings["configuration"] for item in items if item.kind == "fit"}
    foretold_mb = max(costs.of[configuration].memory_mb for configuration in fitted)
    return Row(name, len(items), check_s, seconds_of(items, costs.rates), waited, foretold_mb, max(memory))


def chosen(plan: Plan, fits: int) -> Iterator[Item]:
    """Some fits of the first fold, evenly over the configurations, each after what it needs."""
    first = [
        item
        for item in plan.items
        if item.kind == "fit" and item.settings["repeat"] == item.settings["fold"] == 0
    ]
    step = max(len(first) // fits, 1)
    by_id, seen = {item.id: item for item in plan.items}, set()
    for fit in first[::step][:fits]:
        for item in (*(by_id[need] for need in fit.needs), fit):
            if item.id not in seen:
                seen.add(item.id)
                yield item


class Foretold(Protocol):
    """A row of a table: what it says, and whether what was foretold is as near as promised."""

    @property
    def cells(self) -> tuple[str, ...]: ...

    @property
    def is_near(self) -> bool: ...


def table(head: Sequence[str], rows: Sequence[Foretold]) -> str:
    """The table as markdown; a star marks what is farther apart than promised."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = row.cells if row.is_near else (f"{row.cells[0]} *", *row.cells[1:])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def printed(head: Sequence[str], names: Sequence[str], row_of: Callable[[str, Path], Foretold]) -> int:
    """The row of every study as it comes, and then their table; 0 where all are near, else 1."""
    rows = []
    for name in names:
        try:
            rows.append(row_of(name, ROOT / (REAL.get(name) or f"studies/{name}.yaml")))
        except FoldwiseError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        print(" ".join(rows[-1].cells), file=sys.stderr, flush=True)
    print(table(head, rows))
    return 0 if all(row.is_near for row in rows) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=[*REAL, *BUILT_IN])
    parser.add_argument("--fits", type=int, default=3, help="of the first fold of every study")
    parser.add_argument("--all-fits", action="store_true")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    fits = 0 if asked.all_fits else asked.fits

    def row_of(name: str, path: Path) -> Row:
        variants = () if name in REAL else ("phantom",)
        return measure(name, path, variants=variants, changes=CHANGES.get(name, ()), fits=fits)

    return printed(HEAD, asked.only or [*REAL, *BUILT_IN], row_of)


if __name__ == "__main__":
    sys.exit(main())
