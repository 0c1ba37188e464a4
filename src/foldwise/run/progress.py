"""What is being done in a run at this moment, in the words of those who do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from foldwise.run.folder import RunFolder
from foldwise.run.plan import Plan


def held_items(folder: RunFolder, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(title, last progress) of every item somebody is working on."""
    titles = {item.id: item.title for item in plan.items}
    for item_id, beat in folder.beats().items():
        if item_id in titles:
            try:
                yield titles[item_id], json.loads(beat)
            except ValueError:
                yield titles[item_id], {}


def how_far(beat: dict[str, Any]) -> str:
    """``epoch 3 of 20``, or what is being done before the first epoch."""
    if "epoch" in beat:
        return f"epoch {beat['epoch']} of {beat['epochs']}"
    return str(beat.get("doing", "starting"))
