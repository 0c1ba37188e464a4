"""One item done by hand, whoever holds it: to try again what failed, with a debugger at hand."""

from __future__ import annotations

from typing import Any

from foldwise.errors import RunError
from foldwise.pipeline.worker import do_item
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import Item
from foldwise.runs.plan import Plan
from foldwise.study.own_code import own_names
from foldwise.study.trusted_code import refuse_untrusted
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
