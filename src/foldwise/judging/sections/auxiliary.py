"""Auxiliary items that failed, as the verdict lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foldwise.run.auxiliary_results import AuxiliaryItem


def failed_items(items: Sequence[AuxiliaryItem]) -> list[dict[str, Any]]:
    """What the verdict says of every one that ended with an error; the study went on without it."""
    failed = [one for one in items if one.result.get("status") == "failed"]
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
