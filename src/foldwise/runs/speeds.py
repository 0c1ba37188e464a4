"""Speeds: which models are measured with which caches and precisions, on which devices, and what each of them is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from foldwise.runs.items import Item, make_item
from foldwise.study.spec import Measuring
from foldwise.study.training import NO_PRETRAINING, Choice, Training


def speed_items(
    asked: Measuring,
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
    shared = {**shared, "batch_sizes": sorted(set(asked.batch_sizes)), "seconds": asked.seconds}
    for training in _measured(asked.models, trainings):
        views = views_of(training)
        caches = [cache for cache in asked.caches if cache != "features" or views]
        ways = [(cache, training.precision) for cache in caches]
        # What is loaded is the same in every precision.
        ways += [(cache, precision) for cache in caches[:1] for precision in asked.precisions]
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
