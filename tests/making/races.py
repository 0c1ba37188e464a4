"""Studies with a race whose fits are worked out and not trained: each configuration answers as well as its learning rate says."""

import numpy as np
from searches import laid_out as laid_out

from foldwise.data.folds.splits import read_splits
from foldwise.pipeline import worker
from foldwise.sealed import read_table

SKILLS = {
    0.001: 2.5,
    0.002: 2.4,
    0.003: 1.1,
    0.004: 0.6,
    0.005: 0.3,
    0.006: 0.0,
}  # by learning rate; 0 guesses
STUDY = """\
study: raced
data: {{phantom: {{kind: gels, images: 90, size: 24}}}}
compare: {{optimizer: [{{adam: {{lr: {{each: [{rates}]}}}}}}]}}
train: {{model: conv, epochs: 2}}
validate: {validate}
judge: {{metric: balanced_accuracy}}
"""


def write_study(folder, rates=SKILLS, more="", **validate):
    """A study of six configurations in five folds of two repeats; what is stated lies over that."""
    path = folder / "study.yaml"
    asked = {"folds": 5, "repeats": 2, "race": True} | validate
    text = str(asked).replace("True", "true").replace("False", "false").replace("'", "")
    path.write_text(STUDY.format(rates=", ".join(map(str, rates)), validate=text) + more)
    return path


def fit(job):
    """Leave the scores of a fit: what is hard of an image is so for all, and a part of the luck is of the run."""
    settings = job.settings
    rate = settings["training"]["optimizer"]["options"]["lr"]
    cases = read_table(job.folder.cases)
    label = np.array([int(case["labels"]) for case in cases])
    split = next(
        split
        for split in read_splits(job.folder.splits)
        if (split.repeat, split.fold) == (settings["repeat"], settings["fold"])
    )
    hard = np.random.default_rng(7).normal(size=(len(cases), 2))
    own = np.random.default_rng([settings["repeat"], settings["fold"], round(1e4 * rate)])
    powers = np.exp(SKILLS[rate] * np.eye(2)[label] + hard + own.normal(0, 0.2, hard.shape))
    said = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    np.savez(
        job.scratch / "scores.npz",
        case=split.test.astype(np.int32),
        probabilities=said[split.test],
        validation_case=split.validation.astype(np.int32),
        validation_probabilities=said[split.validation],
    )
    epochs = [{"epoch": 1, "train_loss": 1.0, "val_loss": 1.0, "val_score": 0.5, "lr": rate, "seconds": 0.1}]
    cost = {"train_s": 2.0, "evaluate_s": 0.5, "latency_ms": 1.0, "device": "cpu", "parameters": 1000}
    cost |= {"device_name": "a processor", "precision": "fp32", "batch_size": 16, "threads": 1}
    return {"epochs": epochs, "best_epoch": 1, "select": "log_loss", "cost": cost, "warnings": []}


def without_training(monkeypatch, fit=fit):
    """Have workers work fits out."""
    for kind in ("fit", "aa_test"):
        monkeypatch.setitem(worker.TASKS, kind, fit)


def failing(*named, fit=fit):
    """A fit that fails where its learning rate, repeat and fold are one of these."""

    def task(job):
        settings = job.settings
        rate = settings["training"]["optimizer"]["options"]["lr"]
        if (rate, settings["repeat"], settings["fold"]) in named:
            raise ValueError("it broke")
        return fit(job)

    return task


def rulings(folder):
    """What every look has ruled out, in order."""
    return [dict(ruling.out) for ruling in folder.load_plan().race.rulings]
