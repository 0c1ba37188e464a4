"""Planning: every item of a study, what it needs, and an id that changes when, and only when, its result can.

First the fits and what they share, then the auxiliary items, which decide nothing about the configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import find_metric
from foldwise.runs import encoder_passes
from foldwise.runs.items import Item, is_of_features, make_item
from foldwise.runs.landscapes import landscapes
from foldwise.runs.plan import Plan
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Measuring, Study
from foldwise.study.training import NO_PRETRAINING, Augment, Choice, Task, Training

SEEDS = 2**31  # every library takes a seed below this
# What pretraining depends on: fits on one fold that differ in anything else share it. The sizes may be its own options.
PRETRAINED_BY = {"model", "weights", "pretrain", "normalize", "crop_px", "precision", "device"}
SIZED_BY = {"batch_size", "steps_per_epoch"}
OF_A_FOLD = (
    "packed",
    "split",
    "repeat",
    "fold",
    "seed",
    "threads",
)  # what an auxiliary item shares with its fits


def make_plan(
    study: Study,
    configurations: Sequence[Configuration],
    *,
    task: Task,
    packed_digest: str,
    splits: Sequence[tuple[int, int, str]],
    images: encoder_passes.ImageSizes = encoder_passes.SQUARE,
) -> Plan:
    """What is to be done for a study; reads and writes nothing but the digests of weights files.

    Fits come fold by fold, so that all configurations can be compared as soon as the first fold is done.

    Args:
        packed_digest: of the decoded images.
        splits: (repeat, fold, digest) of every split.
        images: whether they may be turned by 90°, and how many passes of them there are to be shared out among workers.
    """
    features: dict[str, Item] = {}
    by_fold: list[Item] = []
    for split in splits:
        needed: dict[str, Item] = {}
        fits = []
        for row in configurations:
            about: dict[str, Any] = {"task": task, "packed": packed_digest, "split": split}
            *before, fit = trained_items(study, row, images=images, **about)
            needed |= {item.id: item for item in before}
            fits.append(fit)
        shared = {
            id for id, item in needed.items() if item.kind == "features" and "split" not in item.settings
        }
        features |= {id: needed[id] for id in needed if id in shared}
        by_fold += [*(item for item in needed.values() if item.id not in shared), *fits]
    fits = [item for item in by_fold if item.kind == "fit"]
    others = auxiliary_items(study, configurations, fits)
    return Plan((*features.values(), *by_fold, *others), tuple(configurations))


def trained_items(
    study: Study,
    row: Configuration,
    *,
    task: Task,
    packed: str,
    split: tuple[int, int, str],
    trial: str | None = None,
    images: encoder_passes.ImageSizes = encoder_passes.UNSTATED,
) -> list[Item]:
    """The item that trains a configuration on a fold, after what it needs, which it may share with others.

    Args:
        trial: what it is called where it is tried in a search, and not judged.
        images: where they are not stated, flips and turns are drawn anew, and a pass is one item.
    """
    needed = encoder_passes.passes(study, row, task, images, packed=packed, split=split)
    if not needed and row.training.pretrain != NO_PRETRAINING:
        needed = [_pretraining(study, row, packed=packed, split=split)]
    settings = _of_fold(study, packed, split) | {
        "training": row.training.model_dump(mode="json"),
        "configuration": row.id,
        "task": task,
        "encoder_seed": encoder_passes.encoder_seed(study, row.training),
        "select": study.judge.select,
    }
    metric = find_metric(study.judge.select, FAMILIES[task], "select")
    # Where the epoch is chosen by no boundary score it changes no fit, and must not change its id.
    if metric is not None and metric.needs == "boundary":
        settings["tolerance_px"] = study.judge.tolerance_px
    kind, tried = ("fit", "") if trial is None else ("trial", f" · {trial}")
    title = f"{row.name}{tried} · {encoder_passes.fold_name(study, *split[:2])}"
    return [*needed, make_item(kind, settings, needs=[item.id for item in needed], title=title)]


def _of_fold(study: Study, packed: str, split: tuple[int, int, str]) -> dict[str, Any]:
    """What all items of a fold share of their settings."""
    repeat, fold, digest = split
    seed = seed_of(study.seed, repeat, fold, digest)
    shared = {"packed": packed, "split": digest, "repeat": repeat, "fold": fold, "seed": seed}
    return shared | {"threads": study.threads}


def _pretraining(study: Study, row: Configuration, *, packed: str, split: tuple[int, int, str]) -> Item:
    """What teaches a network about the images of one training part, once for all fits that begin with it."""
    training = pretraining(row.training)
    settings = _of_fold(study, packed, split) | {"training": training.model_dump(mode="json")}
    title = f"pretraining of {training.model} by {training.pretrain} · {encoder_passes.fold_name(study, *split[:2])}"
    return make_item("pretrain", settings, title=title)


def pretraining(training: Training) -> Training:
    """The part of a training that its pretraining depends on; everything else is as if it were not stated."""
    keys = PRETRAINED_BY | (SIZED_BY - training.pretrain.options.keys())
    return Training.model_validate(training.model_dump(mode="json", include=keys))


def seed_of(study_seed: int, repeat: int, fold: int, split: str) -> int:
    """The seed of every fit of a fold: the same for all configurations, so that they are compared in pairs."""
    key = sha256(f"{study_seed}/{repeat}/{fold}/{split}".encode()).digest()
    return int.from_bytes(key[:8], "big") % SEEDS


def auxiliary_items(
    study: Study, configurations: Sequence[Configuration], fits: Sequence[Item]
) -> list[Item]:
    """What is planned after all fits and decides nothing about them; last what measures speed, while nothing else runs."""
    return [
        *_previews(configurations, fits),
        *_shallow(study, fits),
        *_aa_test(study, fits),
        *_robustness(study, fits),
        *landscapes(study, fits),
        *speeds(study, study.measure, [row.training for row in configurations], fits[0].settings),
    ]


def _previews(configurations: Sequence[Configuration], fits: Sequence[Item]) -> Iterator[Item]:
    """One for every augmentation and crop there is; the first configuration that has it says how it is normalised."""
    seen: list[tuple[Augment, int | None]] = [(Augment(), None)]  # images as they are need no picture
    for training in (row.training for row in configurations):
        shown = (training.augment, training.crop_px)
        if shown in seen:
            continue
        seen.append(shown)
        settings: dict[str, Any] = {
            "augment": training.augment.model_dump(mode="json"),
            "crop_px": training.crop_px,
            "normalize": training.normalize,
            "pretrained": training.weights != "none",
        }
        first = fits[0].settings
        name = augmentation_name(settings["augment"], training.crop_px)
        yield make_item(
            "preview", settings | {key: first[key] for key in OF_A_FOLD}, title=f"preview of {name}"
        )


def augmentation_name(augment: Mapping[str, Any], crop_px: int | None) -> str:
    """What a study calls an augmentation and a crop: ``flips, crops of 64 px``."""
    augmentation = Augment.model_validate(augment)
    parts = [str(augmentation)] if augmentation != Augment() else []
    return ", ".join([*parts, f"crops of {crop_px} px"] if crop_px else parts)


def _shallow(study: Study, fits: Sequence[Item]) -> Iterator[Item]:
    """One for every split and baseline."""
    folds = {(fit.settings["repeat"], fit.settings["fold"]): fit for fit in reversed(fits)}
    for split in sorted(folds):
        settings = folds[split].settings
        of_fold = {key: settings[key] for key in (*OF_A_FOLD, "task") if key != "threads"}
        for baseline in study.baselines:
            title = f"{baseline} on pixel features{_fold_of(folds[split])}"
            settings = of_fold | {"baseline": baseline.model_dump(mode="json")}
            yield make_item("shallow", settings, title=title)


def _aa_test(study: Study, fits: Sequence[Item]) -> Iterator[Item]:
    """The fits of the first configuration under other seeds, as if they were of others: for the A/A test.

    It is the first that the study names, and not the best, because the choice must not depend on any score.
    """
    first = fits[0].settings["configuration"]
    for copy in range(1, study.validate_.num_copies + 1):
        for fit in fits:
            if fit.settings["configuration"] == first:
                digest = sha256(f"{fit.settings['seed']}/again {copy}".encode()).digest()
                seed = int.from_bytes(digest[:4], "big") % 2**31
                settings = fit.settings | {"seed": seed, "copy": copy}
                title = f"again {copy}: {fit.title}"
                yield make_item("aa_test", settings, needs=fit.needs, title=title)


def _fold_of(fit: Item) -> str:
    """`` · fold 2 of 5``, as the fits of the fold say it."""
    _, point, fold = fit.title.rpartition(" · ")
    return f"{point}{fold}" if point else ""


def _robustness(study: Study, fits: Sequence[Item]) -> Iterator[Item]:
    """One for every fit; it needs the fit, and the shared encoder where the fit has only a head."""
    if study.robustness is None:
        return
    conditions = study.robustness.model_dump(mode="json")
    for fit in fits:
        # The first holds the weights of the encoder; others hold features of further views.
        needs = (fit.id, *list(filter(is_of_features, fit.needs))[:1])
        of_fit = {key: fit.settings[key] for key in (*OF_A_FOLD, "configuration", "task")}
        of_fit |= {"device": fit.settings["training"]["device"]}
        yield make_item("robustness", of_fit | conditions, needs=needs, title=f"robustness of {fit.title}")


def speeds(
    study: Study,
    measuring: Measuring | None,
    trainings: Sequence[Training],
    fold: Mapping[str, Any],
    *,
    budget_s: float | None = None,
) -> list[Item]:
    """What of speed is measured; see `_speed_items`. Nothing where nothing is asked."""
    if measuring is None:
        return []
    shared = {key: fold[key] for key in (*OF_A_FOLD, "task")}
    shared |= {} if budget_s is None else {"budget_s": budget_s}

    def views_of(training: Training) -> tuple[int, ...]:
        return encoder_passes.shared_views(study, training, fold["task"], square=True)

    return list(_speed_items(measuring, trainings, shared, views_of=views_of))


def _speed_items(
    measuring: Measuring,
    trainings: Sequence[Training],
    shared: Mapping[str, Any],
    *,
    views_of: Callable[[Training], tuple[int, ...]],
) -> Iterator[Item]:
    """One for every model, device and cache, and for every other precision with the first of the caches.

    Args:
        trainings: those of the configurations.
        shared: settings that all have: the fold, on whose training part they are measured; `budget_s`, after which an
            item begins nothing more.
        views_of: the views in which the outputs of the encoder of a training are stored and shared; where there are
            none, they are not measured.
    """
    shared = {**shared, "batch_sizes": sorted(set(measuring.batch_sizes)), "seconds": measuring.seconds}
    for training in _measured(measuring.models, trainings):
        views = views_of(training)
        caches = [cache for cache in measuring.caches if cache != "features" or views]
        ways = [(cache, training.precision) for cache in caches]
        # What is loaded is the same in every precision.
        ways += [(cache, precision) for cache in caches[:1] for precision in measuring.precisions]
        for cache, precision in dict.fromkeys(ways):
            of_features = {"features": list(views)} if cache == "features" else {}
            changed = {"cache": "disk" if of_features else cache, "precision": precision}
            device = "" if training.device == "auto" else f" on {training.device}"
            title = f"speed of {training.model}{device}, cache {cache}"
            title += "" if precision == training.precision else f", {precision}"
            own = training.model_copy(update=changed).model_dump(mode="json")
            yield make_item("measure", shared | of_features | {"training": own}, title=title)


def _measured(models: Sequence[Choice], compared: Sequence[Training]) -> list[Training]:
    """The training of every model on every device of the study, as the first configuration that has it states it."""
    trainings = [training.model_copy(update={"pretrain": NO_PRETRAINING}) for training in compared]
    others = [
        # Weights of one model are none of another; they do not change how fast it is.
        trainings[0].model_copy(update={"model": model, "weights": "none", "device": training.device})
        for training in trainings
        for model in models
    ]
    stated = {(str(row.model), row.device): row for row in reversed([*trainings, *others])}
    wanted = [(str(model), row.device) for row in trainings for model in (models or [row.model])]
    return [stated[key] for key in dict.fromkeys(wanted)]
