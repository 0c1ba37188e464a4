"""Items done by hand: one of a plan, to try again what failed with a debugger; and a look inside a fit that is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldwise.errors import ItemsFailed, RunError
from foldwise.pipeline.devices import refuse_device
from foldwise.pipeline.worker import code_named, do_item
from foldwise.runs.folder import RunFolder, read_json
from foldwise.runs.items import Item
from foldwise.runs.landscapes import check_epochs, finely, fit_to_look_at, landscape_of
from foldwise.runs.leases import Beat
from foldwise.runs.plan import Plan
from foldwise.study.own_code import own_names, refuse_untrusted, trusting
from foldwise.study.spec import Looking
from foldwise.text import in_shell

NUM_LISTED = 6


def find_item(plan: Plan, name: str) -> Item:
    """The item whose id is, or uniquely begins with, `name`; a RunError with the choices otherwise."""
    matching = [item for item in plan.items if item.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    what = "no item of this run begins" if not matching else f"{len(matching)} items of this run begin"
    choices = matching or plan.items
    listed = ", ".join(item.id for item in choices[:NUM_LISTED]) + (" ..." if choices[NUM_LISTED:] else "")
    raise RunError(f"{what} with {name!r}", cure=f"Name one of: {listed}")


def do_by_hand(folder: RunFolder, name: str, *, device: str = "auto") -> tuple[Item, dict[str, Any]]:
    """Do one item whose id begins with `name`, whoever holds it; the item and its result.

    What is done already stays as it is; what failed is put away and tried again.

    Raises:
        RunError: there is no such item, it needs one that is not done, or it names own code that nobody trusts.
    """
    plan = folder.load_plan()
    item = find_item(plan, name)
    done, failed = folder.settled()
    if item.id in done:
        return item, folder.result(item.id) or {}
    missing = [need for need in item.needs if need not in done]
    if missing:
        raise RunError(
            f"{item.id} needs {missing[0]}, which is not done",
            where=str(folder.root),
            cure=f"First: foldwise work {in_shell(folder.root)} {missing[0]}",
        )
    refuse_untrusted(own_names(item.settings), where=str(folder.root))
    if item.id in failed:
        folder.retry({item.id})
    do_item(folder, item, device=device)
    return item, folder.result(item.id) or {}  # another may have committed first


def look(
    folder: RunFolder,
    fit: str | None,
    options: Mapping[str, Any],
    *,
    device: str = "auto",
    trust_code: bool = False,
    beat: Beat,
) -> Path:
    """Look inside the training of one fit that is done; the folder of the look, which the next report shows.

    A look that was done already is not done again.

    Args:
        fit: (the beginning of) its id; the winner's first fold where None.
        options: what of `look` in the study is to be otherwise: epochs, points, directions, images, losses.
        device: the device for settings that say `auto`.
        trust_code: whether own code that the run folder names may be run; losses that `options` name may.
        beat: called with what is being done.

    Raises:
        RunError: the run has no winner and no fit is named, or the fit is not one, or not done; or it needs own code.
        SpecError: an option cannot be used: a number, a loss that does not exist or fit, or an epoch that never was.
        ItemsFailed: the look ended with an error.
    """
    refuse_device(device)
    stated = own_names(finely(Looking(), {"losses": options.get("losses")}).model_dump(mode="json"))
    with trusting(stated | (code_named(folder) if trust_code else frozenset())):
        return _look(folder, fit, options, device=device, beat=beat)


def _look(folder: RunFolder, fit: str | None, options: Mapping[str, Any], *, device: str, beat: Beat) -> Path:
    item = _landscape(folder, fit, options)
    refuse_untrusted(own_names(item.settings), where=str(folder.root))
    before = folder.result(item.id)
    if before is None or before["status"] != "done":
        if before is not None:
            folder.retry({item.id})
        do_item(folder, item, device=device, beat=beat)
    result = folder.result(item.id) or {}
    if result["status"] == "failed":
        raise ItemsFailed(result["error"]["message"], where=item.title)
    return folder.done(item.id)


def _landscape(folder: RunFolder, fit: str | None, options: Mapping[str, Any]) -> Item:
    """The look as an item, which need not be in the plan of the run."""
    from foldwise.judging.verdict import read_verdict  # a worker needs nothing that judges

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
