"""A look into the training of one fit that is done, by hand: which fit, how finely, and its landscape as an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foldwise.judging.verdict import read_verdict
from foldwise.pipeline.worker import do_item
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import Item
from foldwise.runs.landscapes import check_epochs, finely, fit_to_look_at, landscape_of
from foldwise.runs.leases import Beat
from foldwise.study.spec import Looking


def plan_landscape(folder: RunFolder, fit: str | None, options: Mapping[str, Any]) -> Item:
    """The look into one fit that is done, as an item; nothing is trained.

    Args:
        folder: the run.
        fit: (the beginning of) its id; the winner's first fold where None.
        options: what of `look` in the study is to be otherwise: epochs, points, directions, images, losses.

    Raises:
        RunError: the run has no winner and no fit is named, or the fit is not one, or not done.
        SpecError: an option cannot be used: a number, a loss that does not exist or fit, or an epoch that never was.
    """
    plan, study = folder.load_plan(), folder.load_study()
    done, _ = folder.settled()
    fits = [item for item in plan.items if item.kind == "fit"]
    answer = read_verdict(folder.verdict).answer if folder.verdict.is_file() else None
    winner = answer.configuration if answer else None
    chosen = fit_to_look_at(fits, fit, winner=winner, done=done, run=str(folder.root))
    detail = finely(study.look or Looking(), options)
    check_epochs(detail, last=len((folder.result(chosen.id) or {}).get("epochs", ())))
    if detail.losses != "auto":
        from foldwise.insight.landscape.criteria import check_losses

        classes = len(read_json(folder.done(chosen.id) / "model.json")["classes"])
        check_losses(detail.losses, task=chosen.settings["task"], num_classes=classes, where="look.losses")
    others = [item for item in fits if item.id in done]
    return landscape_of(chosen, others, detail, metric=study.judge.metric)


def do_landscape(folder: RunFolder, item: Item, *, device: str = "auto", beat: Beat) -> dict[str, Any]:
    """Look into a fit by hand, unless the same was done already; the result.

    Args:
        folder: the run.
        item: of `plan_landscape`; it need not be in the plan.
        device: the device for settings that say `auto`.
        beat: called with what is being done.
    """
    before = folder.result(item.id)
    if before is not None and before["status"] == "done":
        return before
    if before is not None:
        folder.retry({item.id})
    do_item(folder, item, device=device, beat=beat)
    return folder.result(item.id) or {}
