"""Planning: every item of a study, what it needs, and an id that changes when, and only when, its result can."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import find_metric
from foldwise.runs.auxiliary import auxiliary_items
from foldwise.runs.items import Item, make_item
from foldwise.runs.plan import Plan
from foldwise.study.configurations import Configuration, identity
from foldwise.study.spec import Study
from foldwise.study.training import NO_PRETRAINING, Augment, Task, Training

SEEDS = 2**31  # every library takes a seed below this
CLASSIFICATION = ("binary_classification", "multiclass_classification", "multilabel_classification")
# What pretraining depends on: fits on one fold that differ in anything else share it. The sizes may be its own options.
PRETRAINED_BY = {"model", "weights", "pretrain", "normalize", "crop_px", "precision", "device"}
SIZED_BY = {"batch_size", "steps_per_epoch"}


def make_plan(
    study: Study,
    configurations: Sequence[Configuration],
    *,
    task: Task,
    packed_digest: str,
    splits: Sequence[tuple[int, int, str]],
) -> Plan:
    """What is to be done for a study; reads and writes nothing but the digests of weights files.

    Fits come fold by fold, so that all configurations can be compared as soon as the first fold is done.

    Args:
        packed_digest: of the decoded images.
        splits: (repeat, fold, digest) of every split.
    """
    features: dict[str, Item] = {}
    by_fold: list[Item] = []
    for split in splits:
        pretrained: dict[str, Item] = {}
        fits = []
        for row in configurations:
            needed: tuple[Item, ...] = ()
            if shares_features(row.training, task):
                needed = (_features(study, row, packed=packed_digest),)
                features |= {item.id: item for item in needed}
            elif row.training.pretrain != NO_PRETRAINING:
                needed = (_pretraining(study, row, packed=packed_digest, split=split),)
                pretrained |= {item.id: item for item in needed}
            fits.append(_fit(study, row, needed, task=task, packed=packed_digest, split=split))
        by_fold += [*pretrained.values(), *fits]
    fits = [item for item in by_fold if item.kind == "fit"]
    others = auxiliary_items(study, configurations, fits)
    return Plan((*features.values(), *by_fold, *others), tuple(configurations))


def _fit(
    study: Study,
    row: Configuration,
    needed: Sequence[Item],
    *,
    task: Task,
    packed: str,
    split: tuple[int, int, str],
) -> Item:
    settings = _of_fold(study, packed, split) | {
        "training": row.training.model_dump(mode="json"),
        "configuration": row.id,
        "task": task,
        "encoder_seed": _encoder_seed(study, row.training),
        "select": study.judge.select,
    }
    metric = find_metric(study.judge.select, FAMILIES[task], "select")
    # Where the epoch is chosen by no boundary score it changes no fit, and must not change its id.
    if metric is not None and metric.needs == "boundary":
        settings["tolerance_px"] = study.judge.tolerance_px
    return make_item(
        "fit",
        settings,
        needs=[item.id for item in needed],
        title=f"{row.name} · {_fold_name(study, *split[:2])}",
        identity={"training": identity(row.training)},
    )


def _of_fold(study: Study, packed: str, split: tuple[int, int, str]) -> dict[str, Any]:
    """What all items of a fold share of their settings."""
    repeat, fold, digest = split
    seed = seed_of(study.seed, repeat, fold, digest)
    shared = {"packed": packed, "split": digest, "repeat": repeat, "fold": fold, "seed": seed}
    return shared | {"threads": study.threads}


def _fold_name(study: Study, repeat: int, fold: int) -> str:
    fold_of = f"fold {fold + 1} of {study.validate_.folds}"
    repeats = study.validate_.repeats
    return f"{fold_of}, repeat {repeat + 1} of {repeats}" if repeats > 1 else fold_of


def shares_features(training: Training, task: Task) -> bool:
    """Whether the outputs of the encoder are the same in every fold, epoch and configuration with that encoder.

    They are if nothing of it is trained and nothing of what it is shown changes.
    """
    normalize = training.normalize
    same_in_every_fold = normalize in ("imagenet", "image", "none") or (
        normalize == "auto" and training.weights != "none"
    )
    unchanged = training.augment == Augment() and training.crop_px is None and training.freeze == "encoder"
    # Pretraining sees the training part of one fold, so a pretrained encoder differs from fold to fold.
    pretrained = training.pretrain != NO_PRETRAINING
    return task in CLASSIFICATION and unchanged and same_in_every_fold and not pretrained


def _features(study: Study, row: Configuration, *, packed: str) -> Item:
    training = row.training
    encoder = training.model_dump(
        mode="json", include={"model", "weights", "normalize", "precision", "device"}
    )
    settings = {
        "encoder": encoder,
        "packed": packed,
        "threads": study.threads,
        "seed": _encoder_seed(study, training),
    }
    own = {key: identity(training)[key] for key in encoder}
    title = f"features of {training.model}" + (
        f" ({row.levels['weights']})" if "weights" in row.levels else ""
    )
    return make_item("features", settings, title=title, identity={"encoder": own})


def _pretraining(study: Study, row: Configuration, *, packed: str, split: tuple[int, int, str]) -> Item:
    """What teaches a network about the images of one training part, once for all fits that begin with it."""
    training = pretraining(row.training)
    settings = _of_fold(study, packed, split) | {"training": training.model_dump(mode="json")}
    title = f"pretraining of {training.model} by {training.pretrain} · {_fold_name(study, *split[:2])}"
    return make_item("pretrain", settings, title=title, identity={"training": identity(training)})


def pretraining(training: Training) -> Training:
    """The part of a training that its pretraining depends on; everything else is as if it were not stated."""
    keys = PRETRAINED_BY | (SIZED_BY - training.pretrain.options.keys())
    return Training.model_validate(training.model_dump(mode="json", include=keys))


def _encoder_seed(study: Study, training: Training) -> int:
    """The seed of a frozen encoder: one for the study where it is random, and none that matters where it is not."""
    return study.seed if training.weights == "none" else 0


def seed_of(study_seed: int, repeat: int, fold: int, split: str) -> int:
    """The seed of every fit of a fold: the same for all configurations, so that they are compared in pairs."""
    key = sha256(f"{study_seed}/{repeat}/{fold}/{split}".encode()).digest()
    return int.from_bytes(key[:8], "big") % SEEDS
