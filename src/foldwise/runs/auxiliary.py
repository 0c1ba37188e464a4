"""Items beside the fits: what a study asks for that decides nothing about its configurations.

Pictures of the augmentation, shallow baselines of every split, one configuration again under other seeds, networks
that are done, asked about worse images, and looks inside the training of some of them (`looks`);
and last of all the speed of the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from foldwise.runs.items import Item, make_item
from foldwise.runs.landscapes import landscapes
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Study
from foldwise.study.training import AUGMENTS, NO_PRETRAINING, Augment, Choice, Training

OF_A_FOLD = ("packed", "split", "repeat", "fold", "seed", "threads")  # what such an item shares with its fits


def auxiliary_items(
    study: Study, configurations: Sequence[Configuration], fits: Sequence[Item]
) -> list[Item]:
    """What is planned after all fits: previews, shallow baselines, and then what needs the fits themselves."""
    return [
        *_previews(configurations, fits),
        *_shallow(study, fits),
        *_aa_test(study, fits),
        *_robustness(study, fits),
        *landscapes(study, fits),
        *_measures(study, configurations, fits),
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
    parts = augmentation.model_dump(exclude_defaults=True)
    spelled = ", ".join(part if size is True else f"{part} {size:g}" for part, size in parts.items())
    named = next((name for name, row in AUGMENTS.items() if row == augmentation and name != "none"), spelled)
    return ", ".join(part for part in (named, f"crops of {crop_px} px" if crop_px else "") if part)


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
                yield make_item("aa_test", settings, needs=fit.needs, title=f"again {copy}: {fit.title}")


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
        needs = (fit.id, *(need for need in fit.needs if need.startswith("features-")))
        of_fit = {key: fit.settings[key] for key in (*OF_A_FOLD, "configuration", "task")}
        of_fit |= {"device": fit.settings["training"]["device"]}
        yield make_item("robustness", of_fit | conditions, needs=needs, title=f"robustness of {fit.title}")


def _measures(study: Study, configurations: Sequence[Configuration], fits: Sequence[Item]) -> Iterator[Item]:
    """One for every model, device and cache, last of all: a speed is measured while nothing else runs."""
    if study.measure is None:
        return
    first = fits[0].settings
    shared: dict[str, Any] = {key: first[key] for key in (*OF_A_FOLD, "task")}
    shared |= {"batch_sizes": sorted(set(study.measure.batch_sizes)), "seconds": study.measure.seconds}
    for training in _measured(study.measure.models, configurations):
        for cache in dict.fromkeys(study.measure.caches):
            own = training.model_copy(update={"cache": cache})
            device = "" if training.device == "auto" else f" on {training.device}"
            title = f"speed of {training.model}{device}, cache {cache}"
            yield make_item("measure", shared | {"training": own.model_dump(mode="json")}, title=title)


def _measured(models: Sequence[Choice], configurations: Sequence[Configuration]) -> list[Training]:
    """The training of every model on every device of the study, as the first configuration that has it states it."""
    trainings = [row.training.model_copy(update={"pretrain": NO_PRETRAINING}) for row in configurations]
    others = [
        # Weights of one model are none of another; they do not change how fast it is.
        trainings[0].model_copy(update={"model": model, "weights": "none", "device": training.device})
        for training in trainings
        for model in models
    ]
    stated = {(str(row.model), row.device): row for row in reversed([*trainings, *others])}
    wanted = [(str(model), row.device) for row in trainings for model in (models or [row.model])]
    return [stated[key] for key in dict.fromkeys(wanted)]
