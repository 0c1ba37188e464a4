"""What is simulated: one row of the table each, in batches, so that an interrupted call loses little."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import foldwise
from benchmarks.validation.customs import customary
from benchmarks.validation.designs import Sample
from benchmarks.validation.drawn import Plan, drawn
from benchmarks.validation.judgements import judged_pairs, judgement
from benchmarks.validation.races import Race, TrainedRace, race_jobs
from benchmarks.validation.shared_luck import SharedLuck, shared_luck_jobs
from foldwise.storage import written_whole

VERSION = 1  # raised when the same job would give other numbers
SIZES, REPEATS = (22, 92, 300, 3000), (1, 3, 5)
TRAINED_REPEATS = max(REPEATS)
PICTURES = {"gels": 9000, "bacteria": 6000}
TRAINING_SETS = 400
# The modules of foldwise that make the numbers.
JUDGE = (
    *(f"metrics/{name}" for name in ("confusion", "influence", "outputs", "ranking", "ratios", "table")),
    *(
        f"judging/statistics/{name}"
        for name in ("design", "effects", "inference", "intervals", "differences")
    ),
    *(
        f"judging/statistics/{name}"
        for name in ("draws", "run_moments", "run_variance", "selection", "variance")
    ),
    "judging/scores/scoring",
    "judging/judgement",
    "judging/statistics/racing",
    "runs/racing",
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Drawing:
    """A cell whose scores are drawn."""

    plan: Plan
    samples: int

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        one = self.plan
        words = [one.kind, f"n{one.images}", f"R{one.repeats}", f"C{one.configurations}"]
        words += ["grouped"] * one.grouped + ["identical" if one.identical else "spread"]
        words += ["seeds-only"] * (one.shared == 0) + [f"top{one.top}"] * (one.top > 0)
        return "-".join(words)

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample."""
        about = {"source": "drawn", **asdict(self.plan)}
        for _ in range(self.samples):
            yield about, judged_both(drawn(self.plan, rng), rng)


@dataclass(frozen=True)
class Alarms:
    """More samples of a cell of identical configurations, of which only pairs are judged."""

    plan: Plan
    samples: int

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        return f"{Drawing(self.plan, 0).name}-pairs"

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample; the row is that of the whole judgement."""
        about = {"source": "drawn", **asdict(self.plan)}
        for _ in range(self.samples):
            yield about, judged_pairs(drawn(self.plan, rng), seed=int(rng.integers(2**31)))


@dataclass(frozen=True)
class Training:
    """A cell whose networks are trained; the same studies are judged with all their repeats and with fewer."""

    kind: str
    images: int
    samples: int
    grouped: bool = False
    repeats: tuple[int, ...] = REPEATS
    pictures: int = 0
    training_sets: int = TRAINING_SETS

    @property
    def name(self) -> str:
        """Readable, and distinct."""
        return f"trained-{self.kind}-n{self.images}" + "-grouped" * self.grouped

    def rows(self, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Row, dict[str, float]]]:
        """(what was simulated, what was found) of every sample."""
        from benchmarks.validation.trained import trained  # torch: only where something is trained

        known_pool, known = population(self, folder)
        run_sd = float(np.median(known.run_sd))
        for _ in range(self.samples):
            whole = trained(known_pool, known, images=self.images, repeats=max(self.repeats), rng=rng)
            for repeats, configurations in ((r, c) for r in self.repeats for c in (len(known.mean), 2)):
                about = {
                    "source": "trained",
                    "kind": self.kind,
                    "images": self.images,
                    "repeats": repeats,
                    "configurations": configurations,
                    "grouped": self.grouped,
                    "identical": False,
                    "run_sd": run_sd,
                    "truth_error": float(known.error.max()),
                }
                yield about, judged_both(part(whole, repeats, configurations), rng)


Job = Drawing | Alarms | Training | SharedLuck | Race | TrainedRace


@cache
def population(job: Training, folder: Path):
    """The pictures of a training cell, and the truth of its configurations; kept in `folder`."""
    from benchmarks.validation.phantoms import pool
    from benchmarks.validation.trained import Truth, truth

    whole = pool(job.kind, folder / "pictures", pictures=job.pictures or PICTURES[job.kind])
    used = whole if job.grouped else whole.alone()
    path = folder / "truth" / f"{job.name}-{key(job)}.json"
    if not path.exists():
        found = truth(used, images=job.images, training_sets=job.training_sets, seed=_seed(job, 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as scratch:
            scratch.write_text(json.dumps({name: own.tolist() for name, own in asdict(found).items()}))
    kept = json.loads(path.read_text())
    return used, Truth(**{name: np.array(own) for name, own in kept.items()})


def part(whole: Sample, repeats: int, configurations: int) -> Sample:
    """The first repeats and configurations of a study; of two configurations the first and the last."""
    if configurations == len(whole.truth_C):
        return replace(whole, scores_CRn=whole.scores_CRn[:, :repeats], folds_Rn=whole.folds_Rn[:repeats])
    kept = [0, len(whole.truth_C) - 3]  # the first and the last that differ
    return replace(
        whole,
        scores_CRn=whole.scores_CRn[kept, :repeats],
        folds_Rn=whole.folds_Rn[:repeats],
        truth_C=whole.truth_C[kept],
        levels=(),
        alike=(),
    )


def judged_both(sample: Sample, rng: np.random.Generator) -> dict[str, float]:
    """What foldwise says, and what the usual tests say."""
    return judgement(sample, seed=int(rng.integers(2**31))) | customary(sample)


def key(job: Job) -> str:
    """Eight hex digits that change when what is simulated does; how many samples are in a batch counts too."""
    return sha256(json.dumps([VERSION, asdict(job)], sort_keys=True).encode()).hexdigest()[:8]


def _seed(job: Job, batch: int) -> int:
    return int(sha256(f"{job.name}/{batch}/{VERSION}".encode()).hexdigest()[:8], 16)


def done(job: Job, batch: int, folder: Path) -> Path:
    """The file that holds the sums of one batch, computed unless it is there already."""
    path = folder / "batches" / f"{job.name}-{key(job)}" / f"{batch:03d}.json"
    if not path.exists():
        rows: dict[str, tuple[Row, dict[str, list[float]]]] = {}
        for about, found in job.rows(np.random.default_rng(_seed(job, batch)), folder):
            _, sums = rows.setdefault(json.dumps(about, sort_keys=True), (about, {}))
            for measure, value in found.items():
                own = sums.setdefault(measure, [0, 0.0, 0.0])
                sums[measure] = [own[0] + 1, own[1] + value, own[2] + value**2]
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as scratch:
            scratch.write_text(json.dumps({"judge": judge(), "rows": list(rows.values())}))
    return path


@cache
def judge() -> str:
    """Eight hex digits that change when the code of the judge does; what is said about it does not count."""
    parts = []
    for name in JUDGE:
        path = Path(foldwise.__path__[0]) / f"{name}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:]
        parts.append(f"{path.name} {ast.dump(tree)}")
    return sha256("\n".join(parts).encode()).hexdigest()[:8]


def outdated(jobs: Sequence[Job], folder: Path) -> tuple[int, int]:
    """How many batches were judged by other code than today's, and how many there are."""
    made = [json.loads(path.read_text())["judge"] for job in jobs for path in _batches(job, folder)]
    return sum(one != judge() for one in made), len(made)


def _batches(job: Job, folder: Path) -> list[Path]:
    return sorted((folder / "batches" / f"{job.name}-{key(job)}").glob("*.json"))


def all_jobs() -> list[Job]:
    """The whole of it."""
    plans = [
        Plan(kind, n, R, grouped=grouped, identical=identical)
        for kind in ("accuracy", "dice")
        for n in SIZES
        for R in REPEATS
        for grouped in (False, True)
        for identical in (True, False)
    ]
    plans += [Plan(kind, n, R, shared=0.0) for kind in ("accuracy", "dice") for n in SIZES for R in REPEATS]
    plans += [
        Plan(kind, 30_000, 1, identical=True, shared=shared)
        for kind in ("accuracy", "dice")
        for shared in (0.2, 0.0)
    ]
    plans += [
        Plan(kind, n, R, 6, grouped=grouped, identical=True, run_sd=0.003, top=0.99)
        for kind in ("accuracy", "balanced")
        for n in (92, 300, 3000)
        for R in (1, 3)
        for grouped in (False, True)
    ]
    plans += [Plan("balanced", n, 3) for n in (92, 300)]
    plans += [
        Plan(kind, n, R, 2, identical=True) for kind in ("accuracy", "dice") for n in SIZES for R in REPEATS
    ]
    drawings: list[Job] = [Drawing(plan, _batch(plan)) for plan in plans]
    trainings: list[Job] = [
        Training("gels", 22, 25),
        Training("gels", 92, 25),
        Training("gels", 300, 25),
        Training("gels", 92, 25, grouped=True),
        Training("bacteria", 22, 25),
        Training("bacteria", 92, 25),
        Training("bacteria", 300, 25),
    ]
    alarms: list[Job] = [Alarms(plan, 100) for plan in plans if _often(plan)]
    return [
        *trainings,
        *drawings,
        *alarms,
        *shared_luck_jobs(100),
        *race_jobs(25),
        *(TrainedRace(Training(kind, 92, 25), 25) for kind in PICTURES),
    ]  # what takes longest first, so that no process waits for another


def _often(plan: Plan) -> bool:
    """Where one repeat or a few images make a family's false alarms most likely; and of two configurations."""
    small = plan.images <= 300 and plan.repeats <= 3
    return plan.identical and not plan.top and (plan.configurations == 2 or small)


def _batch(plan: Plan) -> int:
    """Samples at a time: fewer where each takes long, more where few configurations make it quick."""
    if plan.configurations < 24:
        return 40
    return {30_000: 10, 3000: 12}.get(plan.images, 20)


def quick_jobs() -> list[Job]:
    """A slice of seconds, of every kind."""
    return [
        Drawing(Plan("accuracy", 92, 1, identical=True), 6),
        Drawing(Plan("dice", 92, 3), 6),
        Drawing(Plan("balanced", 92, 3, 6, grouped=True, identical=True, run_sd=0.003, top=0.99), 6),
        Training("gels", 22, 2, repeats=(1,), pictures=600, training_sets=24),
        Training("bacteria", 22, 2, repeats=(1,), pictures=300, training_sets=24),
        SharedLuck(0.06, 3, 1, 3, overlap=False, samples=20),
        Race("dice", 92, "far", 0.005, 4),
        TrainedRace(Training("gels", 92, 2, repeats=(1,), pictures=600, training_sets=24), 2),
    ]


def summaries(jobs: Sequence[Job], folder: Path) -> list[Row]:
    """One row per condition: what was simulated, ``samples``, and by measure (mean, standard error, number)."""
    rows: dict[str, tuple[Row, dict[str, np.ndarray]]] = {}
    for job in jobs:
        for path in _batches(job, folder):
            for about, found in json.loads(path.read_text())["rows"]:
                _, sums = rows.setdefault(json.dumps(about, sort_keys=True), (about, {}))
                for measure, own in found.items():
                    sums[measure] = sums.get(measure, np.zeros(3)) + own
    return [
        {"about": about, "found": {measure: _summary(own) for measure, own in sums.items()}}
        for about, sums in rows.values()
    ]


def _summary(sums: np.ndarray) -> tuple[float, float, int]:
    """Mean, its standard error, and the number; where all samples agree, as if one in them had not."""
    number, total, squares = sums
    mean = total / number
    variance = max(squares / number - mean**2, 0.0) * number / max(number - 1, 1)
    return (
        float(mean),
        float(max(np.sqrt(variance / number), 1 / (number + 2) if variance == 0 else 0.0)),
        int(number),
    )
