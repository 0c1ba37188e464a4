"""The difference that `foldwise check` says a study can tell, against what its verdict says it could see.

    python -m benchmarks.foretold_difference [--only NAME ...] [--whole]

Small studies are run to their end: the quick variant of each built-in one, and gels and nuclei with fewer epochs and pixels;
with `--whole` the phantom variants, and all epochs and pixels, which takes an hour or more. Quick variants have 6 to 20
units, and networks may have hardly learned anything: where all of them say the same, no difference is left to see. Before
training, `check` says two numbers: for easy images and for those of middling difficulty. A star marks a study whose verdict
is farther than a factor of 2 from what lies between them. Studies on real images are left out, and said to be, where the
folder of the images is not there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.foretold import BUILT_IN, REAL, printed
from foldwise.errors import FoldwiseError
from foldwise.judging.statistics.power import EASY, Data, foresee, planned
from foldwise.pipeline.options import RunOptions, Silent
from foldwise.pipeline.pipeline import run
from foldwise.pipeline.preparing import prepare
from foldwise.study.reading import open_study

FACTOR = 2.0  # how far the verdict may be from what was foretold
# Of real images, so that all takes minutes.
SMALLER = {
    "gels": ("train.epochs=8", "validate.repeats=1", "data.size=96"),
    "nuclei": ("train.epochs=3", "data.size=48"),
}
HEAD = ("study", "design", "easy", "middling", "seen", "times what was foretold")


@dataclass(frozen=True)
class Row:
    """One study: the smallest differences that can be told by `check`, of easy and of middling images, and by the verdict."""

    study: str
    design: str
    easy: float
    middling: float
    seen: float

    @property
    def ratio(self) -> float:
        """The seen one by the nearest that was foretold; 1 between both."""
        low, high = sorted((self.easy, self.middling))
        return self.seen / min(max(self.seen, low), high)

    @property
    def is_near(self) -> bool:
        """Whether it is within what is promised."""
        return 1 / FACTOR <= self.ratio <= FACTOR

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has them."""
        numbers = (f"{value:.3f}" for value in (self.easy, self.middling, self.seen))
        return (self.study, self.design, *numbers, f"{self.ratio:.2f}")


def measure(name: str, path: Path, *, variants: Sequence[str], changes: Sequence[str]) -> Row:
    """Foretell, run, and compare.

    Raises:
        FoldwiseError: the study cannot be run, or its metric or its verdict has no such difference.
    """
    file = open_study(path, changes, variants)
    prepared = prepare(file)
    num_folds = len({split.fold for split in prepared.splits})
    data, num = (
        Data.tested(prepared.dataset, prepared.audit.groups, prepared.splits),
        len(prepared.configurations),
    )
    assumed = planned(prepared.study, data, num_configurations=num, folds=num_folds)
    if assumed is None:
        raise FoldwiseError("nothing is foretold of its difference")
    scatter, design = assumed
    middling, easy = (
        foresee(each, design).minimal_detectable_difference for each in (scatter, scatter.at(EASY))
    )
    with tempfile.TemporaryDirectory() as scratch:
        options = RunOptions(
            out=Path(scratch) / "run", workers=1, device="cpu", launcher="inline", fetch=False
        )
        _, verdict = run(file, options, Silent())
    seen = verdict.answer and verdict.answer.minimal_detectable_difference
    if seen is None:
        raise FoldwiseError("its verdict says no such difference")
    shape = f"{design.units:.0f} units, {design.folds} folds x {design.repeats}, {num} configurations"
    return Row(name, shape, easy, middling, seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = (*SMALLER, *BUILT_IN)
    parser.add_argument("--only", nargs="+", choices=names)
    parser.add_argument("--whole", action="store_true", help="phantom variants, and all epochs and pixels")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def row_of(name: str, path: Path) -> Row:
        variants = () if name in REAL else ("phantom",) if options.whole else ("quick",)
        changes = () if options.whole else SMALLER.get(name, ())
        title = name if options.whole else f"{name} (quick)"
        return measure(title, path, variants=variants, changes=changes)

    return printed(HEAD, options.only or names, row_of)


if __name__ == "__main__":
    sys.exit(main())
