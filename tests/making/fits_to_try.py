"""Fits small enough to be done in a moment."""

import json

import numpy as np
from jobs import job
from tiny_packed import TinyPacked

from foldwise.data.folds.splits import Split
from foldwise.learning.training.features import features_item
from foldwise.learning.training.fit import fit_item
from foldwise.learning.training.pretrain import pretrain_item
from foldwise.runs.planning import pretraining
from foldwise.study.training import Training

SPLIT = Split(repeat=0, fold=0, train=np.arange(14), validation=np.arange(14, 18), test=np.arange(18, 24))
TASKS = {
    "binary_classification": (2, {"conv": {"width": 4}}),
    "multiclass_classification": (3, {"conv": {"width": 4}}),
    "multilabel_classification": (3, {"conv": {"width": 4}}),
    "binary_segmentation": (2, {"unet": {"width": 4}}),
    "multiclass_segmentation": (3, {"unet": {"width": 4}}),
}
UNET = {"unet": {"width": 4, "depth": 2}}


def tiny(task, **options):
    return TinyPacked(task=task, num_classes=TASKS[task][0], **options)


def settings(task, **training):
    asked = {"model": TASKS[task][1], "epochs": 2, "batch_size": 4, **training}
    return {
        "training": Training.model_validate(asked).model_dump(mode="json"),
        "configuration": "c-0",
        "task": task,
        "repeat": 0,
        "fold": 0,
        "seed": 2**62 + 5,
        "threads": 1,
        "select": "auto",
    }


def fit(folder, task, *, packed=None, inputs=None, beat=lambda _: None, seeds=None, fold=0, **training):
    """Do a fit into `folder`; its result and its scores."""
    folder.mkdir(parents=True)
    named = {} if seeds is None else dict(zip(("seed", "encoder_seed"), seeds, strict=True))
    asked = settings(task, **training) | named | {"fold": fold}
    result = fit_item(job(asked, folder, packed=packed or tiny(task), split=SPLIT, inputs=inputs, beat=beat))
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        return result, dict(arrays)


def pretrain(folder, *, packed=None, model=UNET, how="denoise", fold=0, seed=5, split=SPLIT, **training):
    """Do a pretrain item into `folder`; its result."""
    folder.mkdir(parents=True)
    options = {"epochs": 2} | (next(iter(how.values())) if isinstance(how, dict) else {})
    name = how if isinstance(how, str) else next(iter(how))
    asked = Training.model_validate(
        {"model": model, "batch_size": 4, "pretrain": {name: options}, **training}
    )
    settings = {"training": pretraining(asked).model_dump(mode="json"), "repeat": 0, "fold": fold}
    settings |= {"seed": seed, "threads": 1}
    told = []
    packed = packed or tiny("binary_segmentation")
    result = pretrain_item(job(settings, folder, packed=packed, split=split, beat=told.append))
    assert len(told) == len(result["epochs"])
    (folder / "result.json").write_text(json.dumps(result))
    return result


def share_features(folder, packed, *, model, weights="none", normalize="imagenet", view=0, **stated):
    """Do a features item into `folder`; its result. What is stated are further settings of it."""
    folder.mkdir(parents=True)
    encoder = {"model": {"name": model, "options": {}}, "weights": weights, "normalize": normalize}
    asked = {"encoder": encoder, "packed": "x", "threads": 1, "seed": 2**62 + 5, "view": view}
    return features_item(job(asked | stated, folder, packed=packed, split=SPLIT))
