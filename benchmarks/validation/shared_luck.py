"""Worlds in which a training set that is poor for one network is poor for all: what intervals of scores make of it.

Scores are graded: 200 images with a standard deviation of 0.12, noise of 0.04 in every answer, luck of 0.01 that each
configuration has of its own in every run, and luck that all configurations share. An oracle who knows all standard
deviations, and how much overlapping training sets have in common, would give estimate ± 1.96 times the true error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.validation.customs import ALPHA
from benchmarks.validation.designs import Sample
from benchmarks.validation.judgements import scored
from foldwise.judging.scores.scoring import table_of
from foldwise.metrics.influence import Units
from foldwise.metrics.table import METRICS

TRUTH, IMAGES, IMAGE_SD, ANSWER_SD, OWN_SD = 0.7, 200, 0.12, 0.04, 0.01
SHARED_SD, FOLDS, REPEATS, CONFIGURATIONS = (0.0, 0.03, 0.06, 0.1), (2, 3, 5, 10), (1, 3), (1, 2, 3, 24)
Row = dict[str, Any]


@dataclass(frozen=True)
class SharedLuck:
    """A cell: how large the shared luck of a run is, and the design.

    Attributes:
        overlap: whether all runs on the same images have 1 / folds of the variance in common, as the correction for
            overlapping training sets assumes; else runs have nothing in common.
        samples: studies in a batch.
    """

    shared_sd: float
    folds: int
    repeats: int
    configurations: int
    overlap: bool
    samples: int

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        words = [f"sd{self.shared_sd}", f"K{self.folds}", f"R{self.repeats}", f"C{self.configurations}"]
        return "-".join(["shared", *words, *["overlap"] * self.overlap])

    @property
    def oracle(self) -> float:
        """Half the width of the interval of one who knows everything but the truth."""
        runs, common = self.shared_sd**2 + OWN_SD**2, self.common
        images = (IMAGE_SD**2 + ANSWER_SD**2 / self.repeats) / IMAGES
        return 1.96 * float(np.sqrt(images + runs * (common + (1 - common) / (self.repeats * self.folds))))

    @property
    def common(self) -> float:
        """The share of a run's variance that all runs on the same images have in common."""
        return 1 / self.folds if self.overlap else 0.0

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample."""
        about = {
            "source": "shared luck",
            "kind": "dice",
            "images": IMAGES,
            "grouped": False,
            "identical": True,
        }
        about |= {key: value for key, value in asdict(self).items() if key != "samples"}
        for _ in range(self.samples):
            yield about, self.judged(self.drawn(rng))

    def drawn(self, rng: np.random.Generator) -> Sample:
        """One study."""
        C, R, K, n = self.configurations, self.repeats, self.folds, IMAGES
        folds_Rn = np.stack([rng.permutation(np.arange(n) % K) for _ in range(R)])
        luck = np.zeros((C, R, K))
        for rows, sd in ((1, self.shared_sd), (C, OWN_SD)):
            parts = np.sqrt(self.common) * rng.normal(size=(rows, 1, 1))
            luck = luck + sd * (parts + np.sqrt(1 - self.common) * rng.normal(size=(rows, R, K)))
        scores = TRUTH + IMAGE_SD * rng.normal(size=n) + luck[:, np.arange(R)[:, None], folds_Rn]
        scores = scores + ANSWER_SD * rng.normal(size=scores.shape)
        units = Units.from_groups([str(image) for image in range(n)])
        return Sample(METRICS["dice_img_macro"], scores, folds_Rn, units, np.full(C, TRUTH))

    def judged(self, sample: Sample) -> dict[str, float]:
        """Whether the intervals of the scores hold the truth, and how wide they are beside the oracle's."""
        rows = [scored(sample, c) for c in range(self.configurations)]
        table = table_of(sample.metric, rows, sample.units, num_cases=IMAGES, alpha=ALPHA)
        assert table.variance is not None
        ends = np.array(table.intervals)
        width = (ends[:, 1] - ends[:, 0]).mean() / (2 * self.oracle)
        return {
            "foldwise: shared luck": float(((ends[:, 0] <= TRUTH) & (ends[:, 1] >= TRUTH)).mean()),
            # The mean of logarithms: a median of batches that are only summed.
            "foldwise: width beside an oracle": float(np.log(width)),
            "foldwise: folds apart": float(table.variance.score_runs.conflict),
        }


def shared_luck_jobs(samples: int) -> list[SharedLuck]:
    """Every world in every design."""
    cells = product(SHARED_SD, FOLDS, REPEATS, CONFIGURATIONS, (False, True))
    return [SharedLuck(*cell, samples=samples) for cell in cells]


def shared_luck_table(rows: Sequence[Row]) -> Iterator[str]:
    """Coverage / width beside the oracle, by design and shared standard deviation; the least over configurations."""
    cells = [row for row in rows if row["about"]["source"] == "shared luck"]
    if not cells:
        return
    yield (
        "Scores where all configurations share the luck of a run: how often the interval holds the truth (the least of "
        "1, 2, 3 and 24 configurations) × how wide it is beside that of an oracle who knows every standard deviation"
    )
    sds = sorted({row["about"]["shared_sd"] for row in cells})
    for overlap, title in ((False, "runs have nothing in common"), (True, "1/K of their variance is common")):
        yield ""
        yield f"| {title}: K, R | " + " | ".join(f"shared sd {sd:g}" for sd in sds) + " |"
        yield "|---" * (len(sds) + 1) + "|"
        for folds, repeats in sorted({(row["about"]["folds"], row["about"]["repeats"]) for row in cells}):
            design = {"folds": folds, "repeats": repeats, "overlap": overlap}
            yield (
                f"| {folds}, {repeats} | "
                + " | ".join(_cell(cells, design | {"shared_sd": sd}) for sd in sds)
                + " |"
            )


def _cell(rows: Sequence[Row], design: Row) -> str:
    chosen = [row["found"] for row in rows if design.items() <= row["about"].items()]
    if not chosen:
        return "–"
    coverage = min(found["foldwise: shared luck"][0] for found in chosen)
    width = float(np.exp(np.mean([found["foldwise: width beside an oracle"][0] for found in chosen])))
    return f"{coverage:.3f} × {width:.2f}"
