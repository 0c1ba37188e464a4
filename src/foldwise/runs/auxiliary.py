"""What became of the items of a run that are no fits, and of looks and speeds that were asked for by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.foreign import is_id
from foldwise.runs.items import TRAINED

if TYPE_CHECKING:
    from foldwise.runs.folder import RunFolder
    from foldwise.runs.plan import Plan


@dataclass(frozen=True)
class AuxiliaryItem:
    """A planned item that is neither a fit nor a trial of a search.

    Attributes:
        result: its result.json; empty while there is none.
        path: its folder under done/.
    """

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


def read_auxiliary(folder: RunFolder, plan: Plan) -> tuple[AuxiliaryItem, ...]:
    """Every planned item that trains no configuration, in plan order; then what was asked for by hand.

    These are the looks at fits of the plan, and the speeds that were measured on its images.
    """
    items = {item.id: item for item in plan.items}
    read = [
        AuxiliaryItem(
            item.kind, item.settings, folder.result(item.id) or {}, folder.done(item.id), item.id, item.title
        )
        for item in plan.items
        if item.kind not in TRAINED
    ]
    packs = {item.settings.get("packed") for item in plan.items}
    for name in sorted(filter(is_id, folder.committed().keys() - items.keys())):
        if (result := folder.result(name)) is None:
            continue
        fit = items.get(result.get("fit", ""))
        if name.startswith("landscape-") and fit is not None:
            settings = fit.settings | {"landscape": result["asked"]}
            read.append(
                AuxiliaryItem("landscape", settings, result, folder.done(name), name, result["title"])
            )
        settings = result.get("settings", {})
        if name.startswith("measure-") and "budget_s" in settings and settings["packed"] in packs:
            read.append(AuxiliaryItem("measure", settings, result, folder.done(name), name, result["title"]))
    return tuple(read)
