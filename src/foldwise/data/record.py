"""What a run folder says of its data: a row per image, what the checks found, and numbers for every part."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.data.audit.audit import Audit
from foldwise.data.cases import Dataset
from foldwise.data.folds.splits import ROLES, Split
from foldwise.data.folds.strata import class_presence, group_numbers, is_segmentation
from foldwise.storage import written_whole

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

CASES = (
    "index", "name", "image", "mask", "labels", "group", "width", "height", "mode", "format", "pixel_digest",
)  # fmt: skip


def write_cases(path: Path, dataset: Dataset, packed: Packed, audit: Audit) -> None:
    """One row per image: where it is, its labels and group, and what was measured on its file."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(CASES)
        for case, group, measure in zip(dataset.cases, audit.groups, packed.measures, strict=True):
            labels = " ".join(str(label) for label in case.labels)
            size = [measure.original_width, measure.original_height]
            kind = [measure.mode, measure.format, measure.pixel_digest]
            rows.writerow([case.index, case.name, case.image, case.mask or "", labels, group, *size, *kind])


def audit_record(dataset: Dataset, audit: Audit, source: Mapping[str, str] | None) -> dict[str, Any]:
    """audit.json: the findings, what was recognised, and where a public data set comes from."""
    return {
        "findings": [asdict(finding) for finding in audit.findings],
        "statements": list(dataset.statements),
        "layout": dataset.layout,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "channels": list(dataset.channels),
        "source": dict(source) if source else None,
    }


def statistics(
    dataset: Dataset, packed: Packed, splits: Sequence[Split], groups: Sequence[str]
) -> list[dict[str, Any]]:
    """One row for all images, whose part is ``all``, and one for every part of every fold. No pixel is read again.

    The columns are repeat and fold (from 0, as in splits.csv), part, images, groups; ``pixels NAME`` of every class
    (not of ignored pixels), or ``images NAME`` for classification; ``mean CHANNEL`` and ``std CHANNEL`` of the
    intensities as they are in the files, over all pixels of the part. Channels without names have numbers from 1.
    """
    unit, counts_NK = class_counts(dataset, packed)
    group_N = group_numbers(groups)
    channels = dataset.channels or tuple(str(k + 1) for k in range(packed.num_channels))

    def row(indices: np.ndarray) -> dict[str, Any]:
        mean_C, std_C = packed.channel_stats(indices)
        counts_K = counts_NK[indices].sum(axis=0).tolist()
        return {
            "images": len(indices),
            "groups": len(np.unique(group_N[indices])),
            **{f"{unit} {name}": count for name, count in zip(dataset.classes, counts_K, strict=True)},
            **{f"mean {name}": round(float(v), 6) for name, v in zip(channels, mean_C, strict=True)},
            **{f"std {name}": round(float(v), 6) for name, v in zip(channels, std_C, strict=True)},
        }

    rows = [{"repeat": "", "fold": "", "part": "all", **row(np.arange(len(packed)))}]
    for split in splits:
        fold = {"repeat": split.repeat, "fold": split.fold}
        rows += [{**fold, "part": role, **row(getattr(split, role))} for role in ROLES]
    return rows


def class_counts(dataset: Dataset, packed: Packed) -> tuple[str, np.ndarray]:
    """``pixels`` or ``images``, and how many of each class (N, K) every image has; an image is one of its classes."""
    if is_segmentation(dataset):
        return "pixels", np.array([measure.class_pixels for measure in packed.measures], np.int64)
    return "images", class_presence(dataset, packed).astype(np.int64)
