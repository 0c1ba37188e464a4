"""Races in studies whose truth is known: what is trained no further, what that spares, and whether a best one is ever lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.validation import drawn as drawing
from benchmarks.validation.customs import ALPHA
from benchmarks.validation.designs import FOLDS, Sample
from benchmarks.validation.judgements import sample_folds, scored
from foldwise.judging.statistics.draws import DRAWS
from foldwise.judging.statistics.inference import compare
from foldwise.judging.statistics.racing import InterimScores, ruled_out
from foldwise.judging.statistics.variance import estimate_variance
from foldwise.runs.racing import ALWAYS_LEFT, SHARE_OF_ALPHA, looks_of

if TYPE_CHECKING:
    from benchmarks.validation.jobs import Training

Row = dict[str, Any]
REPEATS = 3
# How far 24 configurations lie behind the best: four within 0.005, and twenty down to 0.15 below it or within 0.05.
FOUR = np.linspace(0, 0.005, 4)
SPREADS = {
    "far": np.concatenate([FOUR, np.linspace(0.02, 0.15, 20)]),
    "near": np.concatenate([FOUR, np.linspace(0, 0.05, 20)]),
    "equal": np.zeros(24),
}


@dataclass(frozen=True)
class Race:
    """A cell whose scores are drawn; the same studies are judged with a race and without."""

    kind: str
    images: int
    spread: str
    run_sd: float
    samples: int
    grouped: bool = False

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        words = ["race", self.kind, f"n{self.images}", self.spread, f"sd{self.run_sd:g}"]
        return "-".join(words + ["grouped"] * self.grouped)

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample."""
        plan = drawing.Plan(self.kind, self.images, REPEATS, grouped=self.grouped, run_sd=self.run_sd)
        plan = replace(plan, identical=self.spread == "equal")
        about = {"source": "race", **asdict(plan), "spread": self.spread}
        for _ in range(self.samples):
            yield about, raced(drawing.drawn(plan, rng, SPREADS[self.spread]))


@dataclass(frozen=True)
class TrainedRace:
    """A cell whose networks are trained."""

    of: Training
    samples: int

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        return f"race-{self.of.name}"

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample."""
        from benchmarks.validation.jobs import population
        from benchmarks.validation.trained import trained  # torch: only where something is trained

        pool, known = population(self.of, folder)
        about = {
            "source": "race, trained",
            "kind": self.of.kind,
            "images": self.of.images,
            "repeats": REPEATS,
        }
        about |= {"configurations": len(known.mean), "grouped": self.of.grouped, "identical": False}
        about |= {"run_sd": float(np.median(known.run_sd)), "spread": "trained"}
        for _ in range(self.samples):
            yield about, raced(trained(pool, known, images=self.of.images, repeats=REPEATS, rng=rng))


def raced(sample: Sample) -> dict[str, float]:
    """What is left of the possible winners with a race and without, and the share of fits that were spared.

    `lost`: whether something as good as the best was ruled out early; `set`: the share of all that is as good as the
    best, and in the set at the end.
    """
    name, folds_RG = sample.metric.name, sample_folds(sample)
    own = [scored(sample, c) for c in range(len(sample.truth_C))]
    values = np.stack([one.values[name] for one in own])
    step = sample.units.step / own[0].support[name] if sample.metric.counted else 0.0
    best = sample.truth_C >= sample.truth_C.max() - 1e-9
    left, spared, C = np.arange(len(values)), 0, len(values)
    tested = [int((folds_RG[0] <= fold).sum()) for fold in range(FOLDS)]
    looks = looks_of(tested, REPEATS)
    for repeat, fold in looks:
        seen = folds_RG[0] <= fold if repeat == 0 else np.ones(values.shape[2], dtype=bool)
        part, folds = values[left][:, : repeat + 1, seen], folds_RG[: repeat + 1, seen]
        # One image more or less moves a mean of fewer by more.
        floor = (step * len(seen) / seen.sum()) ** 2 / (repeat + 1)
        look = InterimScores(part, folds, FOLDS, floor, sample.metric.oriented_bounds)
        out = ruled_out(look, alpha=ALPHA * SHARE_OF_ALPHA / len(looks), least_left=ALWAYS_LEFT, most=DRAWS)
        spared += len(out) * (REPEATS * FOLDS - (repeat * FOLDS + fold + 1))
        left = np.delete(left, list(out))
    with_race = _could_be_best(values, folds_RG, left, step, sample, ALPHA * (1 - SHARE_OF_ALPHA))
    without = _could_be_best(values, folds_RG, np.arange(C), step, sample, ALPHA)
    found = {
        "set": with_race[best].mean(),
        "set size": with_race.sum(),
        "lost": float(len(np.setdiff1d(np.flatnonzero(best), left)) > 0),
        "spared": spared / (C * REPEATS * FOLDS),
        "set without": without[best].mean(),
        "set size without": without.sum(),
    }
    return {f"race: {measure}": float(value) for measure, value in found.items()}


def _could_be_best(
    values: np.ndarray, folds: np.ndarray, left: np.ndarray, step: float, sample: Sample, alpha: float
) -> np.ndarray:
    floor, bounds = step**2 / values.shape[1], sample.metric.oriented_bounds
    known = estimate_variance(values[left], folds, floor=floor, bounds=bounds)
    could = np.zeros(len(values), dtype=bool)
    could[left] = compare(known, alpha=alpha, most=DRAWS).could_be_best
    return could


def race_jobs(samples: int) -> list[Race]:
    """Every kind of score, size, spread and luck of runs; more of equal configurations, where most can be lost."""
    alone = [
        Race(kind, images, spread, run_sd, samples * (2 if spread == "equal" else 1))
        for kind in ("accuracy", "dice")
        for images in (92, 300)
        for spread in SPREADS
        for run_sd in (0.005, 0.02)
    ]
    return [*alone, *(Race("dice", 300, spread, 0.005, samples, grouped=True) for spread in SPREADS)]


def race_table(rows: Sequence[Row]) -> Iterator[str]:
    """What races spare, and what they leave of the set of possible winners."""
    yield "Races of 3 repeats in 5 folds, with looks after 2, 3 and 5 folds and after 2 repeats (24 configurations are drawn, 8 are trained): the share of fits that is spared, in how many studies something as good as the best is lost early, how much of what is as good as the best is in the set at the end, and how large that is, with the race and without"
    yield ""
    yield "| studies | n | sd of runs | spared | lost early | best in the set | without race | set size | without race |"
    yield "|---" * 9 + "|"
    races = [row for row in rows if row["about"]["source"].startswith("race")]
    order = [*SPREADS, "trained"]
    for row in sorted(races, key=lambda row: (order.index(row["about"]["spread"]), row["about"]["run_sd"])):
        about, found = row["about"], row["found"]
        words = f"{about['spread']}, {about['kind']}" + ", groups" * about["grouped"]
        cells = [
            f"{found[f'race: {what}'][0]:{form}}"
            for what, form in (
                ("spared", ".0%"),
                ("lost", ".3f"),
                ("set", ".3f"),
                ("set without", ".3f"),
                ("set size", ".1f"),
                ("set size without", ".1f"),
            )
        ]
        yield f"| {words} | {about['images']} | {about['run_sd']:.3g} | " + " | ".join(cells) + " |"
