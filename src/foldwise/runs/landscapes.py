"""Looks inside training: which fits are trained once more to be looked at, how finely, and what that takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from foldwise.errors import RunError, SpecError
from foldwise.runs.items import Item, make_item
from foldwise.study.spec import Looking, Study
from foldwise.study.validation_errors import with_options
from foldwise.study.yaml_places import parse
from foldwise.text import in_shell

MAX_OTHERS = 2  # fits of the same configuration to which lines are drawn
NUM_LISTED = 6
RISES_WITHIN = (0.25, 0.5, 1.0)  # distances from the centre of a plane over which the mean rise is written


def landscapes(study: Study, fits: Sequence[Item]) -> Iterator[Item]:
    """Of the first fold of the first repeat: one of each loss first, then the same losses with other options, then all."""
    if study.look is None:
        return
    first = [fit for fit in fits if fit.settings["repeat"] == fit.settings["fold"] == 0]
    of_name = {fit.settings["training"]["loss"]["name"]: fit.id for fit in reversed(first)}.values()
    of_loss = {_loss_of(fit): fit.id for fit in reversed(first)}.values()
    # A sort keeps the order of equals.
    in_turn = sorted(first, key=lambda fit: (fit.id not in of_name, fit.id not in of_loss))
    for fit in in_turn[: study.look.configurations]:
        yield landscape_of(fit, fits, study.look, metric=study.judge.metric)


def landscape_of(fit: Item, fits: Sequence[Item], detail: Looking, *, metric: str) -> Item:
    """The look at one fit.

    Args:
        fit: which; what it needs, the look needs too.
        fits: all of the plan that may be gone to, its own among them; at most two of its configuration are, from
            another repeat and another fold where there are.
        metric: what the study judges by.
    """
    others = _others(fit, fits)
    settings = detail.model_dump(mode="json", exclude={"configurations", "losses"})
    if detail.losses == "auto":
        own = {_loss_of(other): other.settings["training"]["loss"] for other in fits}
        settings |= {"losses": list(own.values()), "standard": True}
    else:
        settings |= {"losses": [loss.model_dump(mode="json") for loss in detail.losses], "standard": False}
    settings |= {"fit": fit.id, "others": [other.id for other in others], "metric": metric}
    needs = (fit.id, *fit.needs, *(other.id for other in others))
    return make_item(
        "landscape", fit.settings | {"landscape": settings}, needs=needs, title=f"look into {fit.title}"
    )


def _loss_of(fit: Item) -> str:
    return json.dumps(fit.settings["training"]["loss"], sort_keys=True)


def _others(fit: Item, fits: Sequence[Item]) -> list[Item]:
    """Another repeat of the same fold first, then other folds, then whatever there is."""
    mine = fit.settings
    alike = [
        other
        for other in fits
        if other.id != fit.id and other.settings["configuration"] == mine["configuration"]
    ]

    def distance(other: Item) -> tuple[bool, bool]:
        same_fold, same_repeat = (other.settings[key] == mine[key] for key in ("fold", "repeat"))
        return not (same_fold or same_repeat), not same_fold

    return sorted(alike, key=distance)[:MAX_OTHERS]


def finely(detail: Looking, options: Mapping[str, Any]) -> Looking:
    """`detail` with what `options` state otherwise; those that are None state nothing.

    Raises:
        SpecError: an option cannot be used; all of them at once.
    """
    stated = {name: value for name, value in options.items() if value is not None}
    if isinstance(stated.get("losses"), str) and stated["losses"] != "auto":
        stated["losses"] = parse(f"[{stated['losses']}]", name="losses").value
    return with_options(detail, stated, under="look")


def check_epochs(detail: Looking, *, last: int) -> None:
    """Refuse epochs that a fit never had.

    Raises:
        SpecError: says the last one.
    """
    if isinstance(detail.epochs, int):
        return
    beyond = [epoch for epoch in detail.epochs if epoch > last]
    if beyond:
        what = f"epochs names {', '.join(map(str, beyond))}, and the training ended with epoch {last}"
        raise SpecError(what, where="look", cure=f"Name epochs from 0 (before training) to {last}.")


def epochs_to_look_at(stated: int | Sequence[int], *, last: int, chosen: int) -> list[int]:
    """Rising epochs from 0, before training, to the last; the chosen one is always among them.

    Args:
        stated: how many, spread evenly; or which ones, to which those three are added.
        last: the last epoch that was trained.
        chosen: the one whose weights were kept.
    """
    always = {0, chosen, last}
    if not isinstance(stated, int):
        return sorted(always | {epoch for epoch in stated if 0 <= epoch <= last})
    wanted = spread(stated, last)
    if chosen not in wanted and len(wanted) > 2:  # it takes the place of the nearest one in between
        wanted.remove(min(wanted[1:-1], key=lambda epoch: abs(epoch - chosen)))
    return sorted(always | set(wanted))


def spread(num: int, last: int) -> list[int]:
    """At most `num` epochs from 0 to `last`, evenly."""
    steps = max(num - 1, 1)
    return sorted({round(step * last / steps) for step in range(num)})


def fit_to_look_at(
    fits: Sequence[Item], name: str | None, *, winner: str | None, done: Collection[str], run: str
) -> Item:
    """The fit whose id begins with `name`; without one, the first of the winner's that is done.

    Args:
        winner: id of the configuration that won; None while there is none.
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
            cure=f"Finish the run and foldwise report {in_shell(run)}, or name a fit: --fit ID.",
        )
    matching = [fit for fit in fits if fit.id.startswith(name)]
    if len(matching) != 1:
        raise _no_single_fit(name, matching, fits)
    if matching[0].id not in done:
        what = f"{matching[0].id} ({matching[0].title}) is not done, so there is no training to look into"
        raise RunError(
            what, where=run, cure=f"foldwise status {in_shell(run)} says why. Name a fit that is done."
        )
    return matching[0]


def _no_single_fit(name: str, matching: Sequence[Item], fits: Sequence[Item]) -> RunError:
    if matching:
        listed = ", ".join(fit.id for fit in matching[:NUM_LISTED])
        more = " ..." if len(matching) > NUM_LISTED else ""
        return RunError(f"{len(matching)} fits begin with {name!r}", cure=f"Name one of: {listed}{more}")
    titles = {fit.id: fit.title for fit in fits}
    near = get_close_matches(name, titles, n=3, cutoff=0.5) or list(titles)[:NUM_LISTED]
    listed = "; ".join(f"{fit_id} ({titles[fit_id]})" for fit_id in near)
    return RunError(f"no fit of this run begins with {name!r}", cure=f"Name one such as: {listed}")
