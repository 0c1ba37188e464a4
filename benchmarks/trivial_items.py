"""Runs whose items take no time, so that all that is left is bookkeeping: planned by the planner, done by `foldwise work`.

As a command it is `foldwise work` with fits that only write two small files, which is what remains of one without training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from foldwise.learning.job import Job
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item, label
from foldwise.runs.plan import Plan
from foldwise.runs.planning import make_plan
from foldwise.sealed import seal
from foldwise.study.configurations import configurations
from foldwise.study.reading import study_from_dict

NUM_FOLDS, NUM_EPOCHS = 5, 40  # what items are made of: folds, and levels of one of two factors


def plan_of(num_items: int) -> Plan:
    """A plan of so many fits, as the planner makes it of a study with two factors; 5 or more, in steps of 5."""
    num = num_items // NUM_FOLDS
    factors = {
        "batch_size": range(1, -(-num // NUM_EPOCHS) + 1),
        "epochs": range(1, min(num, NUM_EPOCHS) + 1),
    }
    compare = {name: list(levels) for name, levels in factors.items()}
    study = study_from_dict(
        {"study": "trivial", "data": {"path": "x"}, "train": {"model": "conv"}, "compare": compare}
    )
    splits = [(0, fold, f"split{fold}") for fold in range(NUM_FOLDS)]
    plan = make_plan(
        study, configurations(study), task="binary_classification", packed_digest="p", splits=splits
    )
    return Plan(plan.items[:num_items], plan.configurations)


def laid_out(root: Path, plan: Plan) -> RunFolder:
    """A run folder with a plan."""
    folder = RunFolder(root)
    folder.logs.mkdir(parents=True)
    folder.save_plan(plan)
    return folder


def have_done(folder: RunFolder, items: Iterable[Item]) -> None:
    """Put items in place as if they had been done, which takes a tenth of the time since nothing is synced."""
    for item in items:
        done = folder.done(item.id)
        done.mkdir(parents=True)
        (done / "scores.npz").write_bytes(b"scores")
        result = {"status": "done", "error": None} | made(item) | label(item)
        seal(done / "result.json", result, [done / "scores.npz"], durable=False)


def made(item: Item) -> dict[str, Any]:
    """What the result of a fit of 20 epochs says, about."""
    epochs = [{"epoch": n, "train_loss": 0.7, "loss": 0.69, "score": 0.5, "seconds": 0.1} for n in range(20)]
    return {"epochs": epochs, "chosen_epoch": 3, "cost": {"train_s": 2.0, "memory_mb": 300.0}}


def trivial(job: Job) -> dict[str, Any]:
    """What takes the place of a fit."""
    job.check()
    (job.scratch / "scores.npz").write_bytes(b"scores")
    return made(job.item)


def command(root: Path) -> Sequence[str]:
    """What a worker is started as."""
    return [sys.executable, str(Path(__file__).resolve()), str(root)]


if __name__ == "__main__":
    from foldwise.interface import cli
    from foldwise.pipeline.worker import TASKS

    TASKS["fit"] = trivial
    sys.argv = ["foldwise", "work", *sys.argv[1:]]
    cli.main()
