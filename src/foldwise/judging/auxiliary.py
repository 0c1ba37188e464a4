"""The items beside the fits: which are done, what they made, and which failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldwise.run.folder import RunFolder
from foldwise.run.plan import Plan


@dataclass(frozen=True)
class Beside:
    """A planned item that is no fit: what was asked of it, its result.json (empty while there is none), its folder."""

    kind: str
    settings: Mapping[str, Any]
    result: Mapping[str, Any]
    path: Path
    item: str = ""
    title: str = ""

    @property
    def done(self) -> bool:
        """Whether it left what it was to make."""
        return self.result.get("status") == "done"


def read_beside(folder: RunFolder, plan: Plan) -> tuple[Beside, ...]:
    """Every planned item that is no fit, in plan order; then the looks by hand at fits of the plan."""
    planned = tuple(
        Beside(
            item.kind, item.settings, folder.result(item.id) or {}, folder.done(item.id), item.id, item.title
        )
        for item in plan.items
        if item.kind != "fit"
    )
    return (*planned, *_looks_by_hand(folder, plan))


def _looks_by_hand(folder: RunFolder, plan: Plan) -> Iterator[Beside]:
    """Those that are done, with what was asked of the fit and of the look."""
    items = {item.id: item for item in plan.items}
    for name, result in folder.outcomes().items():
        fit = items.get(result.get("fit", ""))
        if name.startswith("look-") and name not in items and fit is not None:
            settings = fit.settings | {"look": result["asked"]}
            yield Beside("look", settings, result, folder.done(name), name, result["title"])


def failed_items(beside: tuple[Beside, ...]) -> list[dict[str, Any]]:
    """What the verdict says of every one that ended with an error; the study went on without it."""
    failed = [one for one in beside if one.result.get("status") == "failed"]
    causes = [one.result.get("error") or {} for one in failed]
    return [
        {
            "item": one.item,
            "kind": one.kind,
            "title": one.title,
            "type": cause.get("type", "unknown"),
            "message": cause.get("message", "no cause was recorded"),
        }
        for one, cause in zip(failed, causes, strict=True)
    ]
