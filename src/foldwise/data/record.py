"""What a run folder says of its data: a row per image, what the checks found, and numbers for every part."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.data.audit.audit import Audit
from foldwise.data.cases import Dataset
from foldwise.storage import written_whole

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

CASES = (
    "index", "name", "image", "mask", "labels", "group", "width", "height", "mode", "format", "pixel_digest",
)  # fmt: skip


def write_cases(path: Path, dataset: Dataset, packed: Packed, found: Audit) -> None:
    """One row per image: where it is, its labels and group, and what was measured on its file."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(CASES)
        for case, group, measure in zip(dataset.cases, found.groups, packed.measures, strict=True):
            labels = " ".join(str(label) for label in case.labels)
            size = [measure.original_width, measure.original_height]
            kind = [measure.mode, measure.format, measure.pixel_digest]
            rows.writerow([case.index, case.name, case.image, case.mask or "", labels, group, *size, *kind])


def audit_record(dataset: Dataset, found: Audit, source: Mapping[str, str] | None) -> dict[str, Any]:
    """audit.json: the findings, what was recognised, and where a public data set comes from."""
    return {
        "findings": [asdict(finding) for finding in found.findings],
        "statements": list(dataset.statements),
        "layout": dataset.layout,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "channels": list(dataset.channels),
        "source": dict(source) if source else None,
    }


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file with the keys of the first row as its header, whole or not at all."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
