"""Jobs of judging, each measured in a process of its own: a verdict, a report, images that look alike, pixels of masks.

    python -m benchmarks.judging "judge RUN" | "report RUN" | "copies NUMBER" | "pixels NUMBER"

Runs are made up: outputs of stated skill, as tests have them, in the files of a run. Rows of the bench ask for these jobs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
FOLDS = 5


@dataclass(frozen=True)
class Took:
    """CPU seconds and the most memory of a process of its own, and numbers and words about what came out."""

    seconds: float
    memory_mb: float
    beside: dict[str, Any]


def alone(job: str) -> Took:
    """What a job took that a process of its own does, so that its memory is that of the work."""
    command = [sys.executable, "-m", "benchmarks.judging", job]
    own = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ | own
    )
    if done.returncode:
        raise SystemExit(f"{job} failed:\n{done.stderr}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


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
    wanted = tiny_run.Wanted(
        skills=skills, num_cases=images, folds=FOLDS, repeats=repeats, judge="{metric: balanced_accuracy}"
    )
    tiny_run._configuration = configuration
    try:
        made = tiny_run.make_run(folder, wanted)
    finally:
        tiny_run._configuration = own
    for done in (made.root / "done").iterdir():
        seal_folder(done / "result.json")
    return made.root


def measured(job: str) -> Took:
    """Do one job in this process."""
    name, argument = job.split(" ", 1)
    work, beside = JOBS[name](argument)
    began = time.process_time()
    made = work()
    seconds = time.process_time() - began
    memory_mb = _peak_mb()  # before anything is compared with it
    return Took(seconds, memory_mb, beside(made))


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _judge(run: str):
    from foldwise.judging.judge import judge
    from foldwise.runs.folder import RunFolder

    return lambda: judge(RunFolder(Path(run))), lambda verdict: {"fits": verdict.num_done}


def _report(run: str):
    from foldwise.reporting.report import write_report
    from foldwise.runs.folder import RunFolder

    def size(_) -> dict[str, Any]:
        return {"size_mb": (Path(run) / "report.html").stat().st_size / 1e6}

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

    def groups(copies) -> dict[str, Any]:
        return {"groups": [len(group) for group in clusters(copies.links(), total=num)]}

    return lambda: find_copies(packed), groups


def _pixels(number: str):
    import torch
    from sklearn.metrics import average_precision_score, roc_auc_score

    from foldwise.learning.training.scoring import bins_of
    from foldwise.metrics.pixel_bins import NUM_BINS
    from foldwise.metrics.ranking import histogram_ap, histogram_auroc

    rng, num = np.random.default_rng(0), int(number)
    true = rng.random(num, dtype=np.float32) < 0.2
    p = 1 / (1 + np.exp(-rng.normal(np.where(true, 1.0, -1.0), 1.0, num).astype(np.float32)))

    def histogram():
        parts = []
        for start in range(0, num, 1 << 20):  # as images come, one after the other
            own, kind = p[start : start + (1 << 20)], true[start : start + (1 << 20)]
            cells = bins_of(torch.from_numpy(own), torch.from_numpy(1 - own)).numpy() + NUM_BINS * kind
            parts.append(np.bincount(cells, minlength=2 * NUM_BINS).reshape(2, NUM_BINS))
        whole = np.sum(parts, axis=0)
        return float(histogram_auroc(whole)), float(histogram_ap(whole))

    def against(made) -> dict[str, Any]:
        began = time.process_time()
        known = roc_auc_score(true, p), average_precision_score(true, p)
        off = [abs(own - other) for own, other in zip(made, known, strict=True)]
        return {"sklearn_s": time.process_time() - began, "sklearn_mb": _peak_mb(), "off": off}

    return histogram, against


JOBS = {"judge": _judge, "report": _report, "copies": _copies, "pixels": _pixels}


if __name__ == "__main__":
    print(json.dumps(asdict(measured(sys.argv[1]))))
