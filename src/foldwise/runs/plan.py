"""The plan: every item of work, what it needs, and an id that changes when, and only when, its result can.

Also what of a plan can be done now: what is ready, what is skipped, and what waits for a device that is not here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Self

from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import find_metric
from foldwise.runs.auxiliary import auxiliary_items
from foldwise.runs.items import Item, make_item
from foldwise.study.configurations import Configuration, identity
from foldwise.study.spec import NO_PRETRAINING, Augment, Study, Task, Training
from foldwise.text import count

EVERYWHERE = ("auto", "cpu")  # devices that every machine has
SEEDS = 2**31  # every library takes a seed below this
CLASSIFICATION = ("binary_classification", "multiclass_classification", "multilabel_classification")
# What pretraining depends on: fits on one fold that differ in anything else share it. The sizes may be its own options.
PRETRAINED_BY = {"model", "weights", "pretrain", "normalize", "crop_px", "precision", "device"}
SIZED_BY = {"batch_size", "steps_per_epoch"}


@dataclass(frozen=True)
class Plan:
    """All items of a study in the order to do them, and the configurations they belong to."""

    items: tuple[Item, ...]
    configurations: tuple[Configuration, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        rows = [
            asdict(row) | {"training": row.training.model_dump(mode="json")} for row in self.configurations
        ]
        return {"schema": 1, "items": [asdict(item) for item in self.items], "configurations": rows}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The plan that `to_json` wrote."""
        items = (Item(**item | {"needs": tuple(item["needs"])}) for item in value["items"])
        rows = (
            Configuration(**row | {"training": Training.model_validate(row["training"])})
            for row in value["configurations"]
        )
        return cls(tuple(items), tuple(rows))


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
        study: what is asked.
        configurations: what is compared.
        task: as it was read from the data.
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
        title=f"{row.name} · {_place(study, *split[:2])}",
        identity={"training": identity(row.training)},
    )


def _of_fold(study: Study, packed: str, split: tuple[int, int, str]) -> dict[str, Any]:
    """What all items of a fold share of their settings."""
    repeat, fold, digest = split
    seed = seed_of(study.seed, repeat, fold, digest)
    shared = {"packed": packed, "split": digest, "repeat": repeat, "fold": fold, "seed": seed}
    return shared | {"threads": study.threads}


def _place(study: Study, repeat: int, fold: int) -> str:
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
    title = f"pretraining of {training.model} by {training.pretrain} · {_place(study, *split[:2])}"
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


def ready(plan: Plan, done: Collection[str], failed: Collection[str]) -> list[Item]:
    """Items that are neither done nor failed and whose needs are done, in plan order."""
    return [
        item
        for item in plan.items
        if item.id not in done and item.id not in failed and all(need in done for need in item.needs)
    ]


def skipped(plan: Plan, failed: Collection[str]) -> list[Item]:
    """Items that cannot be done since something they need, or what that needs, failed; in plan order."""
    lost: dict[str, Item] = {}
    for item in plan.items:  # what is needed comes first in a plan
        if item.id not in failed and any(need in failed or need in lost for need in item.needs):
            lost[item.id] = item
    return list(lost.values())


def device_of(item: Item) -> str:
    """The device that the settings of an item state; ``auto`` where they state none."""
    stated = item.settings.get("training") or item.settings.get("encoder") or {}
    return str(stated.get("device", "auto"))


def devices_asked(plan: Plan) -> set[str]:
    """Those that not every machine has."""
    return {device_of(item) for item in plan.items} - set(EVERYWHERE)


def waiting(plan: Plan, missing: Collection[str]) -> frozenset[str]:
    """Ids of the items that no worker here can do, done ones too: they ask for one of these devices, or need such an item.

    None where no fit at all can be done here: then nothing is to be waited for, and whoever tries is refused.
    """
    if all(device_of(item) in missing for item in plan.items if item.kind == "fit"):
        return frozenset()
    waits: set[str] = set()
    for item in plan.items:  # what is needed comes first in a plan
        if device_of(item) in missing or any(need in waits for need in item.needs):
            waits.add(item.id)
    return frozenset(waits)


def without(plan: Plan, items: Collection[str]) -> Plan:
    """The plan without these items."""
    return replace(plan, items=tuple(item for item in plan.items if item.id not in items))


def waiting_sentence(plan: Plan, waits: Collection[str]) -> str:
    """What waits, as a sentence; empty where nothing does."""
    fits = [item for item in plan.items if item.kind == "fit"]
    waiting_fits = [item for item in fits if item.id in waits]
    if not waiting_fits:
        return ""
    total = len({item.settings["configuration"] for item in fits})
    number = len({item.settings["configuration"] for item in waiting_fits})
    names = " and ".join(sorted({device_of(item) for item in waiting_fits} - set(EVERYWHERE)))
    verb, they = ("asks", "it waits") if number == 1 else ("ask", "they wait")
    return (
        f"{number} of {count(total, 'configuration')} {verb} for {names}, which this machine does not have: "
        f"{they} for a worker that has it."
    )
