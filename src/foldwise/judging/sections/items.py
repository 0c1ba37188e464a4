"""Auxiliary items: which failed, and what was measured of speed."""

from __future__ import annotations

from collections.abc import Sequence

from foldwise.judging.verdict import FailedItem
from foldwise.judging.verdict_requested import ModelThroughput
from foldwise.runs.auxiliary_results import AuxiliaryItem
from foldwise.runs.folder import RunFolder
from foldwise.study.spec import Choice

MEASURED = set(ModelThroughput.model_fields) - {"title", "model", "cache", "error", "cache_used"}


def failed_items(items: Sequence[AuxiliaryItem]) -> tuple[FailedItem, ...]:
    """Every item that ended with an error; the study went on without it."""
    failed = [
        (item, item.result.get("error") or {}) for item in items if item.result.get("status") == "failed"
    ]
    return tuple(
        FailedItem(
            item=item.item,
            kind=item.kind,
            title=item.title,
            type=cause.get("type", "unknown"),
            message=cause.get("message", "no cause was recorded"),
        )
        for item, cause in failed
    )


def throughput_section(folder: RunFolder) -> tuple[ModelThroughput, ...]:
    """Every model, device and cache that was to be measured and is done or failed, in plan order.

    It is no part of the choice between configurations.
    """
    made = []
    for item in folder.load_plan().items:
        result = folder.result(item.id)
        if item.kind != "measure" or result is None:
            continue
        training = item.settings["training"]
        made.append(
            ModelThroughput(
                title=item.title,
                model=str(Choice.model_validate(training["model"])),
                cache=training["cache"],
                error=(result.get("error") or {}).get("message"),
                cache_used=result.get("held"),
                **{key: result.get(key) for key in MEASURED},
            )
        )
    return tuple(made)
