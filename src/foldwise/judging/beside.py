"""The items beside the fits: which are done, what they made, and which failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldwise.study.folder import RunFolder
from foldwise.study.plan import Plan


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
    """Every planned item that is no fit, in plan order."""
    return tuple(
        Beside(
            item.kind, item.settings, folder.result(item.id) or {}, folder.done(item.id), item.id, item.title
        )
        for item in plan.items
        if item.kind != "fit"
    )


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
