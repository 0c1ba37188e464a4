"""What judging takes: many configurations, a factor of many levels, images that look alike, the pixels of masks.

    python -m benchmarks.judging [--only judge levels copies pixels] [--full]

Every row is one size of one of them: seconds of CPU time, the most memory, and by what power of the size the time has
grown since the row before. `--full` has the largest sizes, too, which take minutes to make. Runs are made up: outputs of
stated skill, as tests have them, in the files of a run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
HEAD = ("what", "size", "CPU s", "MB", "power", "beside it")
JUDGED, LEVELS, ALIKE = (10, 50, 150), (2, 20, 60, 200), (100, 300, 1000)
MOST_JUDGED, MOST_ALIKE = 500, 5000
FOLDS, REPEATS, IMAGES = 5, 3, 200
PIXELS = 10**7
MOST_PIXELS = 10**8


@dataclass(frozen=True)
class Row:
    """One size: CPU time and the most memory of a process of its own, and what else is worth knowing."""

    what: str
    size: int
    seconds: float
    memory_mb: float
    beside: str = ""

    def cells(self, before: Row | None) -> tuple[str, ...]:
        """As the table has them."""
        power = ""
        if before is not None and before.what == self.what:
            power = f"{np.log(self.seconds / before.seconds) / np.log(self.size / before.size):.1f}"
        return self.what, f"{self.size:,}", f"{self.seconds:.2f}", f"{self.memory_mb:.0f}", power, self.beside


def judge_rows(*, full: bool = False) -> list[Row]:
    """Verdict and report of so many configurations, each in 5 folds and 3 repeats of 200 images."""
    rows = []
    for size in (*JUDGED, *[MOST_JUDGED] * full):
        rows += _judged("judge", size, {"a": size // 5, "b": 5}, repeats=REPEATS, images=IMAGES)
    return sorted(rows, key=lambda row: row.what)


def level_rows(*, full: bool = False) -> list[Row]:
    """The verdict of one factor of so many levels beside one of two, in 5 folds of 60 images."""
    return [
        _judged("levels", size, {"a": size, "b": 2}, repeats=1, images=60)[0]
        for size in LEVELS
        if full or size < LEVELS[-1]
    ]


def copies_rows(*, full: bool = False) -> list[Row]:
    """The search for copies among images of a camera that does not move."""
    return [_alone("copies", size, f"copies {size}") for size in (*ALIKE, *[MOST_ALIKE] * full)]


def pixel_rows(*, full: bool = False) -> list[Row]:
    """AUROC and average precision of pixels from their histogram, and how far off scikit-learn they are."""
    return [_alone("pixels", size, f"pixels {size}") for size in (PIXELS, *[MOST_PIXELS] * full)]


BENCHES = {"judge": judge_rows, "levels": level_rows, "copies": copies_rows, "pixels": pixel_rows}


def table_of(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """The cells of all rows below their heads."""
    yield HEAD
    for before, row in zip([None, *rows], rows, strict=False):
        yield row.cells(before)


def _judged(what: str, size: int, grid: dict[str, int], *, repeats: int, images: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", grid, repeats=repeats, images=images)
        names = (what, "report") if what == "judge" else (what,)
        return [_alone(name, size, f"{'report' if name == 'report' else 'judge'} {run}") for name in names]


def _alone(what: str, size: int, job: str) -> Row:
    """A row that a process of its own makes, so that its memory is that of the work."""
    command = [sys.executable, "-m", "benchmarks.judging", "--job", job]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Row(what, size, **json.loads(done.stdout.splitlines()[-1]))


def make_run(folder: Path, grid: dict[str, int], *, repeats: int, images: int) -> Path:
    """A run of all combinations of the levels of a grid, as workers leave it."""
    sys.path.insert(0, str(ROOT / "tests" / "making"))
    import tiny_run

    from foldwise.sealed import seal_folder
    from foldwise.study.configurations import Configuration

    combinations = list(itertools.product(*(range(number) for number in grid.values())))
    like, own = tiny_run._configuration(0, 20), tiny_run._configuration

    def configuration(index: int, _: int) -> Configuration:
        levels = {name: f"{name} {level}" for name, level in zip(grid, combinations[index], strict=True)}
        return Configuration(f"c-{index:010x}", " · ".join(levels.values()), levels, like.training)

    skills = tuple(
        0.3 + 1.2 * (37 * k % len(combinations)) / len(combinations) for k in range(len(combinations))
    )
    wanted = tiny_run.Wanted(skills=skills, num_cases=images, folds=FOLDS, repeats=repeats)
    tiny_run._configuration = configuration
    try:
        made = tiny_run.make_run(folder, wanted)
    finally:
        tiny_run._configuration = own
    for done in (made.root / "done").iterdir():
        seal_folder(done / "result.json")
    return made.root


def _job(job: str) -> dict[str, float | str]:
    """Do one job in this process, and measure it."""
    name, argument = job.split(" ", 1)
    work, beside = {"judge": _judge, "report": _report, "copies": _copies, "pixels": _pixels}[name](argument)
    began = time.process_time()
    made = work()
    seconds = time.process_time() - began
    return {"seconds": seconds, "memory_mb": _peak_mb(), "beside": beside(made, seconds)}


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _judge(run: str):
    from foldwise.judging.judge import judge
    from foldwise.runs.folder import RunFolder

    return lambda: judge(RunFolder(Path(run))), lambda verdict, _: f"{verdict.num_done:,} fits"


def _report(run: str):
    from foldwise.reporting.report import write_report
    from foldwise.runs.folder import RunFolder

    def size(*_) -> str:
        return f"{(Path(run) / 'report.html').stat().st_size / 1e6:.1f} MB"

    return lambda: write_report(RunFolder(Path(run))), size


def _copies(number: str):
    sys.path.insert(0, str(ROOT / "tests" / "making"))
    from small_packed import SmallPacked, texture

    from foldwise.data.audit.copies import clusters, find_copies

    rng, num = np.random.default_rng(0), int(number)
    background = texture(0, (96, 96), scale=5.0)[0].astype(float)
    images = [
        (background + rng.normal(0, 6, background.shape)).clip(0, 255).astype(np.uint8) for _ in range(num)
    ]
    packed = SmallPacked([image[None] for image in images])

    def groups(copies, _) -> str:
        return f"groups of {', '.join(str(len(group)) for group in clusters(copies.links(), total=num))}"

    return lambda: find_copies(packed), groups


def _pixels(number: str):
    from sklearn.metrics import average_precision_score, roc_auc_score

    from foldwise.metrics.pixel_bins import NUM_BINS, bins_of
    from foldwise.metrics.ranking import histogram_ap, histogram_auroc

    rng, num = np.random.default_rng(0), int(number)
    true = rng.random(num, dtype=np.float32) < 0.2
    p = 1 / (1 + np.exp(-rng.normal(np.where(true, 1.0, -1.0), 1.0, num).astype(np.float32)))

    def histogram():
        parts = []
        for start in range(0, num, 1 << 20):  # as images come, one after the other
            own, kind = p[start : start + (1 << 20)], true[start : start + (1 << 20)]
            cells = bins_of(own) + NUM_BINS * kind
            parts.append(np.bincount(cells, minlength=2 * NUM_BINS).reshape(2, NUM_BINS))
        whole = np.sum(parts, axis=0)
        return float(histogram_auroc(whole)), float(histogram_ap(whole))

    def against(made, seconds) -> str:
        began = time.process_time()
        known = roc_auc_score(true, p), average_precision_score(true, p)
        times = (time.process_time() - began) / seconds
        off = [abs(own - other) for own, other in zip(made, known, strict=True)]
        return f"{times:.0f} times as fast as scikit-learn; AUROC off by {off[0]:.0e}, average precision by {off[1]:.0e}"

    return histogram, against


def main() -> int:
    """Print the rows that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    parser.add_argument("--full", action="store_true", help="the largest sizes, too")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.job:
        print(json.dumps(_job(chosen.job)))
        return 0
    rows = [row for name in chosen.only for row in BENCHES[name](full=chosen.full)]
    cells = list(table_of(rows))
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
