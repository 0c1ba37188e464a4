"""What was measured of speed, model by model: no part of the choice between configurations."""

from __future__ import annotations

from typing import Any

from foldwise.run.folder import RunFolder
from foldwise.study.spec import Choice

KNOWN = (
    "device",
    "device_name",
    "precision",
    "threads",
    "parameters",
    "fill_s",
    "peak_memory_is",
    "cores",
    "others_busy",
    "points",
)


def throughput(folder: RunFolder) -> list[dict[str, Any]]:
    """One record for every model, device and cache that was to be measured and is done or failed, in plan order."""
    records = []
    for item in folder.load_plan().items:
        result = folder.result(item.id)
        if item.kind != "measure" or result is None:
            continue
        error = (result.get("error") or {}).get("message")
        training = item.settings["training"]
        asked = {
            "title": item.title,
            "model": str(Choice.model_validate(training["model"])),
            "cache": training["cache"],
        }
        records.append(
            asked
            | {"error": error, "cache_used": result.get("held")}
            | {key: result.get(key) for key in KNOWN}
        )
    return records
