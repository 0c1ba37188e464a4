"""The fits that a verdict rests on, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.runs.items import Item
from foldwise.runs.plan import Search
from foldwise.text import count

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder


Status = Literal["done", "failed", "missing", "spared"]


@dataclass(frozen=True)
class PlannedFit:
    """One planned fit and what became of it; `result` is empty while it is missing.

    It is spared where a race has ruled its configuration out before: it counts as not done, whether or not it is.
    """

    item: str
    configuration: str
    repeat: int
    fold: int
    status: Status
    result: Mapping[str, Any]
    path: Path
    epochs_planned: int | None = None


def planned_fit(folder: RunFolder, item: Item, *, spared: bool = False) -> PlannedFit:
    """A fit of the plan, as it stands in the run folder."""
    path, settings, result = folder.done(item.id), item.settings, folder.result(item.id) or {}
    status: Status = "missing"
    if spared:
        status, result = "spared", {}
    elif result:
        status = "done" if result["status"] == "done" else "failed"
    # It cannot be run while what it needs has failed, and so is not missing only.
    elif any((folder.result(need) or {}).get("status") == "failed" for need in item.needs):
        status = "failed"
        result = {"error": {"type": "Skipped", "message": "an item that this fit needs has failed"}}
    epochs = settings.get("training", {}).get("epochs")
    return PlannedFit(
        item.id, settings["configuration"], settings["repeat"], settings["fold"], status, result, path, epochs
    )


def unplanned_fit(folder: RunFolder, search: Search) -> PlannedFit:
    """The fit of a search that has not chosen yet, or of which every trial has failed."""
    path, about = folder.proposals(search.id), (search.configuration, search.repeat, search.fold)
    if not search.has_ended:
        return PlannedFit(search.id, *about, "missing", {}, path)
    first = folder.result(search.trials[0].item) or {}
    cause = (first.get("error") or {}).get("message", "an item that it needs has failed")
    message = f"all {count(len(search.trials), 'trial')} of its search failed; the first says: {cause}"
    return PlannedFit(search.id, *about, "failed", {"error": {"type": "Searched", "message": message}}, path)


def fit_of(item: AuxiliaryItem, configuration: str) -> PlannedFit:
    """An item that leaves the scores of a fit, as if it were one, of a configuration by this name."""
    status: Literal["done", "missing"] = "done" if item.done else "missing"
    settings = item.settings
    return PlannedFit(
        item.item, configuration, settings["repeat"], settings["fold"], status, item.result, item.path
    )
