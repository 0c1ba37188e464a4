"""Studies with a search whose trials are worked out and not trained: by a formula of their settings."""

import math

from foldwise.errors import RunError
from foldwise.pipeline import worker
from foldwise.pipeline.preparing import lay_out, prepare
from foldwise.study.reading import open_study

SPACE = {
    "optimizer": {"adam": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}},
    "batch_size": {"low": 4, "high": 16, "log": True},
    "augment": ["none", "flips"],
}
STUDY = """\
study: searched
data: {{phantom: {{kind: gels, images: 24, size: 24}}}}
compare: {{model: [conv, resnet]}}
train: {{epochs: 2}}
search: {search}
validate: {{folds: 2}}
"""


def write_study(folder, **search):
    """A study of two arms in two folds; what is stated lies over a search of four trials."""
    path = folder / "study.yaml"
    whole = {"configurations": 4, "space": SPACE} | search
    path.write_text(STUDY.format(search=str(whole).replace("True", "true").replace("'", "")))
    return path


def laid_out(path, root, overrides=()):
    """The run folder of a study, as `foldwise plan` leaves it, without the preflight."""
    return lay_out(prepare(open_study(path, overrides)), root)


def value_of(settings):
    """The best validation loss of a training: least at a learning rate of 0.003, and without flips."""
    training, arm = settings["training"], settings["training"]["model"]["name"]
    off = abs(math.log10(training["optimizer"]["options"]["lr"]) + 2.5)
    return off + 0.1 * training["augment"]["flip"] + 0.01 * (arm == "conv") + 0.001 * settings["fold"]


def trial(job):
    """What a trial leaves."""
    return {
        "value": value_of(job.settings),
        "higher_is_better": False,
        "select": "log_loss",
        "cost": {"train_s": 2.0, "evaluate_s": 0.5},
    }


def without_training(monkeypatch, trial=trial, fit=lambda job: {}):
    """Have workers work out trials and fits."""
    for kind, task in {"trial": trial, "fit": fit}.items():
        monkeypatch.setitem(worker.TASKS, kind, task)


def failing(*numbers, error=ValueError):
    """A trial that fails where it is one of these, counted from 1."""

    def task(job):
        if any(f"trial {number} " in job.item.title for number in numbers):
            raise error("it broke")
        return trial(job)

    return task


def ended(*numbers):
    """A trial in which the worker dies, as far as the item is concerned."""
    return failing(*numbers, error=RunError)


def proposals(folder):
    """Search id -> the values of its trials, in order."""
    return {search.id: [trial.values for trial in search.trials] for search in folder.load_plan().searches}
