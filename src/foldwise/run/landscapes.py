"""Looks inside training: which fits are trained once more to be looked at, how finely, and what that takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from foldwise.errors import RunError, SpecError
from foldwise.run.items import Extra, Planned
from foldwise.study.spec import Looking, Study
from foldwise.study.validation_errors import from_pydantic
from foldwise.study.yaml_places import parse

Fit = TypeVar("Fit", bound=Planned)

MAX_OTHERS = 2  # fits of the same configuration to which lines are drawn
MAX_STEPS = 20  # checkpoints of the path of training
NUM_LISTED = 6
# `images: auto`: at most so many, and so many pixels together, but at least so many. A mask tells of every pixel,
# a label only of an image, so that fewer masks are enough, and their networks cost more for each.
MAX_IMAGES = 64
AUTO = {"segmentation": (2**15, 4), "classification": (2**17, 16)}  # pixels, fewest images
LANCZOS_STEPS, HUTCHINSON_DRAWS = 20, 10
PASSES_PER_PRODUCT = 5  # a product with the Hessian takes about so many forward passes
PASSES_PER_POINT = 2  # the criteria and the statistics of batch norm take about as long as the pass itself
SECONDS_PER_POINT = 1e-3  # of one point, beside the images


def looks(study: Study, fits: Sequence[Planned]) -> Iterator[Extra]:
    """Of the first fold of the first repeat: one of each loss first, then the same losses with other options, then all."""
    if study.look is None:
        return
    first = [fit for fit in fits if fit.settings["repeat"] == fit.settings["fold"] == 0]
    by_name = {fit.settings["training"]["loss"]["name"]: fit.id for fit in reversed(first)}
    by_loss = {_loss_of(fit): fit.id for fit in reversed(first)}
    of_name, of_loss = set(by_name.values()), set(by_loss.values())
    # A sort keeps the order of equals.
    for fit in sorted(first, key=lambda fit: (fit.id not in of_name, fit.id not in of_loss))[
        : study.look.configurations
    ]:
        yield look_into(fit, fits, study.look, metric=study.judge.metric)


def look_into(fit: Planned, fits: Sequence[Planned], asked: Looking, *, metric: str) -> Extra:
    """The look at one fit.

    Args:
        fit: which; what it needs, the look needs too.
        fits: all of the plan that may be gone to, its own among them; at most two of its configuration are, from
            another repeat and another fold where there are.
        asked: how finely.
        metric: what the study judges by.
    """
    others = _others(fit, fits)
    about = asked.model_dump(mode="json", exclude={"configurations", "losses"})
    if asked.losses == "auto":
        own = {_loss_of(one): one.settings["training"]["loss"] for one in fits}
        about |= {"losses": list(own.values()), "standard": True}
    else:
        about |= {"losses": [loss.model_dump(mode="json") for loss in asked.losses], "standard": False}
    about |= {"fit": fit.id, "others": [other.id for other in others], "metric": metric}
    needs = (fit.id, *fit.needs, *(other.id for other in others))
    return Extra("landscape", needs, f"look into {fit.title}", fit.settings | {"landscape": about})


def _loss_of(fit: Planned) -> str:
    return json.dumps(fit.settings["training"]["loss"], sort_keys=True)


def _others(fit: Planned, fits: Sequence[Planned]) -> list[Planned]:
    """Another repeat of the same fold first, then other folds, then whatever there is."""
    mine = fit.settings
    alike = [
        one for one in fits if one.id != fit.id and one.settings["configuration"] == mine["configuration"]
    ]

    def distance(one: Planned) -> tuple[bool, bool]:
        same_fold, same_repeat = (one.settings[key] == mine[key] for key in ("fold", "repeat"))
        return not (same_fold or same_repeat), not same_fold

    return sorted(alike, key=distance)[:MAX_OTHERS]


def finely(asked: Looking, options: Mapping[str, Any]) -> Looking:
    """`asked` with what `options` state otherwise; those that are None state nothing.

    Raises:
        SpecError: an option cannot be used; all of them at once.
    """
    stated = {name: value for name, value in options.items() if value is not None}
    if isinstance(stated.get("losses"), str) and stated["losses"] != "auto":
        stated["losses"] = parse(f"[{stated['losses']}]", name="losses").value
    document = asked.model_dump(mode="json", exclude=set(stated)) | stated
    try:
        return Looking.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        mistakes = from_pydantic(error, document, Looking, under=("look",))
        raise SpecError.together(SpecError(mistake.what, cure=mistake.cure) for mistake in mistakes) from None


def check_epochs(asked: Looking, *, last: int) -> None:
    """Refuse epochs that a fit never had.

    Raises:
        SpecError: says the last one.
    """
    if isinstance(asked.epochs, int):
        return
    beyond = [epoch for epoch in asked.epochs if epoch > last]
    if beyond:
        raise SpecError(
            f"epochs names {', '.join(map(str, beyond))}, and the training ended with epoch {last}",
            where="look",
            cure=f"Name epochs from 0 (before training) to {last}.",
        )


def num_images(asked: int | str, *, task: str, pixels: int, there: int) -> int:
    """How many images are looked at.

    Args:
        asked: a number, or auto.
        task: what is predicted.
        pixels: of one image.
        there: images of the training part; no more than these.
    """
    if not isinstance(asked, int):
        budget, least = AUTO["segmentation" if task.endswith("segmentation") else "classification"]
        asked = min(MAX_IMAGES, max(least, budget // max(pixels, 1)))
    return min(asked, there)


def epochs_to_look_at(asked: int | Sequence[int], *, last: int, chosen: int) -> list[int]:
    """Rising epochs from 0, before training, to the last; the chosen one is always among them.

    Args:
        asked: how many, spread evenly; or which ones, to which those three are added.
        last: the last epoch that was trained.
        chosen: the one whose weights were kept.
    """
    always = {0, chosen, last}
    if not isinstance(asked, int):
        return sorted(always | {epoch for epoch in asked if 0 <= epoch <= last})
    wanted = spread(asked, last)
    if chosen not in wanted and len(wanted) > 2:  # it takes the place of the nearest one in between
        wanted.remove(min(wanted[1:-1], key=lambda epoch: abs(epoch - chosen)))
    return sorted(always | set(wanted))


def spread(num: int, last: int) -> list[int]:
    """At most `num` epochs from 0 to `last`, evenly."""
    steps = max(num - 1, 1)
    return sorted({round(place * last / steps) for place in range(num)})


@dataclass(frozen=True)
class Seen:
    """The images of a study as a look sees them.

    Attributes:
        trained: images of a training part.
        tested: images of a test fold.
        pixels: of one image.
    """

    trained: int
    tested: int
    pixels: int


def look_seconds(
    item: Planned, seen: Seen, *, seconds_per_fit: Mapping[str, float], seconds_per_test: Mapping[str, float]
) -> float:
    """About what a look takes: the training once more, then every point of every surface, then curvature.

    Args:
        item: the look, as it is planned.
        seen: the images.
        seconds_per_fit, seconds_per_test: by configuration; a test is one look at a test fold.
    """
    settings, asked = item.settings, item.settings["landscape"]
    name = settings["configuration"]
    epochs = asked["epochs"] if isinstance(asked["epochs"], int) else len(asked["epochs"]) + 3
    points = asked["points"]
    along = 2 * points + 1
    surfaces = (epochs + 1) * points**2
    lines = along * (epochs * asked["directions"] + 2 + len(asked["others"])) + 2 * MAX_STEPS
    products = epochs * (LANCZOS_STEPS + HUTCHINSON_DRAWS) * PASSES_PER_PRODUCT
    images = num_images(asked["images"], task=settings["task"], pixels=seen.pixels, there=seen.trained)
    shared = any(need.startswith("features-") for need in item.needs)  # then only the head is asked
    per_image = 0.0 if shared else seconds_per_test[name] / max(seen.tested, 1)
    passes = surfaces + lines + products
    return float(seconds_per_fit[name] + passes * (PASSES_PER_POINT * images * per_image + SECONDS_PER_POINT))


def fit_to_look_at(
    fits: Sequence[Fit], name: str | None, *, winner: str | None, done: Collection[str], run: str
) -> Fit:
    """The fit whose id begins with `name`; without one, the first of the winner's that is done.

    Args:
        fits: of the plan.
        name: an id, or the beginning of one.
        winner: id of the configuration that won; None while there is none.
        done: ids of what is done.
        run: the run folder, for messages.

    Raises:
        RunError: no fit, or more than one, is called so; or it is not done.
    """
    if name is None:
        own = [fit for fit in fits if fit.settings["configuration"] == winner and fit.id in done]
        if own:
            return own[0]
        raise RunError(
            "the run has no winner yet, so no fit to look into is known",
            where=run,
            cure=f"Finish the run and foldwise report {run}, or name a fit: --fit ID.",
        )
    found = [fit for fit in fits if fit.id.startswith(name)]
    if len(found) != 1:
        raise _no_single_fit(name, found, fits)
    if found[0].id not in done:
        raise RunError(
            f"{found[0].id} ({found[0].title}) is not done, so there is no training to look into",
            where=run,
            cure=f"foldwise status {run} says why. Name a fit that is done.",
        )
    return found[0]


def _no_single_fit(name: str, found: Sequence[Planned], fits: Sequence[Planned]) -> RunError:
    if found:
        listed = ", ".join(fit.id for fit in found[:NUM_LISTED])
        more = " ..." if len(found) > NUM_LISTED else ""
        return RunError(f"{len(found)} fits begin with {name!r}", cure=f"Name one of: {listed}{more}")
    known = {fit.id: fit.title for fit in fits}
    near = get_close_matches(name, known, n=3, cutoff=0.5) or list(known)[:NUM_LISTED]
    listed = "; ".join(f"{one} ({known[one]})" for one in near)
    return RunError(f"no fit of this run begins with {name!r}", cure=f"Name one such as: {listed}")
