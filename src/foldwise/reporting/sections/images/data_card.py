"""The sections on the data: the audit card, and of several labels how many an image has and which come together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from foldwise.data.cache.packed import Packed
from foldwise.metrics.outputs import Bools, Floats, Ints
from foldwise.reporting.drawing.classes import bars, commonest, correlation_matrix
from foldwise.reporting.drawing.pictures import data_uri, displayed
from foldwise.reporting.report_data import CaseRow, ReportData
from foldwise.reporting.sections.images.gallery import Picture, truth_of
from foldwise.reporting.wording import count, score

SEVERITIES = {"error": 0, "warning": 1, "note": 2}
SPLITS = {"all": "all", "train": "training", "validation": "validation", "test": "test"}
SAMPLE = 12
COPIED = 4  # pictures that are shown with their copies, and at most so many of each
SPAN = "\u2013"  # between the ends of a range
MAX_PAIRS = 5
MAX_LABELS = 40  # in the matrix; the pairs are of all


def section(data: ReportData) -> dict[str, Any] | None:
    """The data card with copies that were found and a sample of the images; None without images."""
    if not data.cases:
        return None
    shown, num_copied = copies(data)
    pictures = {"copies": shown, "num_copied": num_copied, "sample": sample(data)}
    return {"data": {**data_card(data), **pictures, "statistics": _statistics(data)}}


def data_card(data: ReportData) -> dict[str, Any]:
    """Counts, sizes and audit of the images."""
    cases, audit = data.cases, data.audit
    groups = Counter(case.group for case in cases if case.group)
    sizes = Counter(f"{case.width} × {case.height}" for case in cases if case.width)
    kinds = Counter(" ".join(part for part in (case.format, case.mode) if part) for case in cases)
    source = audit.get("source") or {}
    facts = [
        ("Images", str(len(cases))),
        ("Groups", _groups(groups, len(cases))),
        ("Sizes, pixels", _sizes(sizes, data)),
        ("Files", _most(kinds)),
        ("Layout", str(audit.get("layout", "")).replace("_", " ")),
        ("Source", str(source.get("title", ""))),
        ("Citation", str(source.get("citation", ""))),
        ("Licence", str(source.get("licence", ""))),
    ]
    return {
        "facts": [fact for fact in facts if fact[1]],
        "statements": audit.get("statements", []),
        "findings": sorted(
            audit.get("findings", []), key=lambda finding: SEVERITIES.get(finding["severity"], 3)
        ),
        "counts": _class_bars(data),
    }


def sample(data: ReportData) -> list[Picture]:
    """A few images of every class (or of different groups), so that a reader sees what the data are."""
    if data.images is None or not data.cases:
        return []
    keys = [str(case.labels[:1]) if case.labels else case.group for case in data.cases]
    chosen = spread_out([case.index for case in data.cases], keys, SAMPLE)
    rows = [data.cases[case] for case in chosen]
    return [_picture(data.images, row, truth_of(data, row) or row.name) for row in rows]


def copies(data: ReportData) -> tuple[list[list[Picture]], int]:
    """The first pictures that are in the data more than once, each with its copies, and how many there are of them."""
    findings = data.audit.get("findings", [])
    alike = [names for finding in findings for names in finding.get("alike", ())]
    if data.images is None or not alike:
        return [], 0
    rows, images = {row.name: row for row in data.cases}, data.images
    shown = [[_picture(images, rows[name], name) for name in names[:COPIED]] for names in alike[:COPIED]]
    return shown, len(alike)


def _picture(images: Packed, row: CaseRow, words: str) -> Picture:
    return Picture(data_uri(displayed(images.image(row.index)), longest_px=144), words)


def spread_out(cases: Sequence[int], keys: Sequence[str], most: int) -> list[int]:
    """Up to `most` cases that take turns over the keys (classes or groups), evenly from first to last of each."""
    shelves: dict[str, list[int]] = {}
    for case, key in zip(cases, keys, strict=True):
        shelves.setdefault(key, []).append(case)
    turns = -(-most // max(len(shelves), 1))
    chosen: list[int] = []
    for turn in range(turns):
        for shelf in shelves.values():
            index = (2 * turn + 1) * len(shelf) // (2 * turns)
            if shelf[index] not in chosen:
                chosen.append(shelf[index])
    return chosen[:most]


def _sizes(sizes: Counter[str], data: ReportData) -> str:
    """Sizes of the files; and what the networks were given, where images were made larger or smaller."""
    if data.images is None:
        return _most(sizes)
    worked = Counter(f"{width} × {height}" for height, width in np.asarray(data.images.shapes).tolist())
    return _most(sizes) + (f"; worked at {_most(worked)}" if worked != sizes else "")


def _groups(groups: Counter[str], num_cases: int) -> str:
    if not groups or len(groups) == num_cases:
        return "none stated: every image counts for itself"
    sizes = sorted(groups.values())
    if sizes[0] == sizes[-1]:
        return f"{len(groups)}, of {count(sizes[0], 'image')} each"
    return f"{len(groups)}, of {sizes[0]} to {sizes[-1]} images (median {sizes[len(sizes) // 2]})"


def _most(counter: Counter[str]) -> str:
    common = [
        f"{name} ({number} images)" if len(counter) > 1 else name
        for name, number in counter.most_common(4)
        if name.strip()
    ]
    rest = len(counter) - len(common)
    return "; ".join(common) + (f"; {rest} more" if rest > 0 and common else "")


def _class_bars(data: ReportData) -> dict[str, Any] | None:
    if data.segmentation:
        return None
    counts = Counter(label for case in data.cases for label in case.labels)
    rows = [(name, counts[k]) for k, name in enumerate(data.classes)]
    unlabelled = sum(not case.labels for case in data.cases)
    if data.multilabel and unlabelled:
        rows.append(("(no label)", unlabelled))
    # Of very many classes a drawing has no room.
    rows, left_over = commonest(rows, [number for _, number in rows])
    return {"drawing": bars(rows, title="Images per class"), "left_over": left_over}


def _statistics(data: ReportData) -> dict[str, Any] | None:
    """Rows of quantities by columns of splits; each cell the median of the folds with its range. None without numbers."""
    by_split = {split: [row for row in data.statistics if row["part"] == split] for split in SPLITS}
    if not all(by_split.values()):
        return None
    first = by_split["all"][0]
    # The spread of a channel stands beside its mean, in one cell.
    keys = [key for key in first if key not in ("repeat", "fold", "part") and not key.startswith("std ")]
    rows = [
        {
            "name": title,
            "cells": [_cell(rows, key) for rows in by_split.values()],
            "share": _share(first, key),
        }
        for key, title in ((key, _quantity(key, first)) for key in keys)
    ]
    return {"splits": list(SPLITS.values()), "rows": rows, "folds": len(by_split["test"])}


def _quantity(key: str, row: Mapping[str, str]) -> str:
    kind, _, name = key.partition(" ")
    if kind == "mean":
        single = sum(other.startswith("mean ") for other in row) == 1
        return "intensity" if single else f"intensity, channel {name}"
    return f"{kind} of {name}" if name else kind


def _share(row: Mapping[str, str], key: str) -> str:
    """Of all pixels, or of all images, that are of this class; empty for other quantities."""
    kind, _, name = key.partition(" ")
    if not name or kind not in ("pixels", "images"):
        return ""
    total = (
        sum(float(row[k]) for k in row if k.startswith("pixels "))
        if kind == "pixels"
        else float(row["images"])
    )
    if not total:
        return ""
    share = 100 * float(row[key]) / total
    return f"{share:.1f}\u00a0%" if share >= 0.1 else f"{share:.1g}\u00a0%"


def _cell(rows: Sequence[Mapping[str, str]], key: str) -> str:
    values = [float(row[key]) for row in rows]
    if key.startswith("mean "):
        spread = median(float(row[f"std {key.removeprefix('mean ')}"]) for row in rows)
        return f"{_range(values, _brightness)} ± {_brightness(spread)}"
    return _range(values, _three_digits)


def _range(values: Sequence[float], words: Any) -> str:
    middle, low, high = words(median(values)), words(min(values)), words(max(values))
    return str(middle) if low == high else f"{middle} ({low}{SPAN}{high})"


def _brightness(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _three_digits(value: float) -> str:
    """A count with three digits: 912, 12.4 k, 3.1 M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 10 * size or (unit == "M" and value >= size):
            return f"{value / size:.3g}\u00a0{unit}"
    return f"{value:.0f}"


def labels_section(data: ReportData) -> dict[str, Any] | None:
    """None but where an image can have several labels."""
    if not data.multilabel or not data.cases:
        return None
    labels = matrix_of(data)
    names, sizes = data.classes, per_image(labels)
    positive, negative = strongest(labels, MAX_PAIRS)
    drawn = np.argsort(-labels.sum(axis=0), kind="stable")[:MAX_LABELS]
    drawn.sort()
    # As whole numbers: a product of truth values would say whether, not how many.
    together = labels[:, drawn].astype(np.int64).T @ labels[:, drawn].astype(np.int64)
    matrix = correlation_matrix(
        [names[k] for k in drawn], phi(labels[:, drawn]), together, title="Correlations of the labels"
    )
    counted = [(count(number, "label"), int(images)) for number, images in enumerate(sizes) if images]
    return {
        "labels": {
            "matrix": matrix,
            "left_out": len(names) - len(drawn),
            "sizes": bars(counted, title="Images by their number of labels"),
            "mean": score(float(labels.sum(axis=1).mean()), 2),
            "sets": num_sets(labels),
            "pairs": [
                (words, [_label_pair(pair, labels, names) for pair in pairs])
                for words, pairs in (("together", positive), ("apart", negative))
                if pairs
            ],
        }
    }


def matrix_of(data: ReportData) -> Bools:
    """(n, K) which image has which label."""
    labels = np.zeros((len(data.cases), len(data.classes)), dtype=bool)
    for row, case in enumerate(data.cases):
        labels[row, list(case.labels)] = True
    return labels


def _label_pair(pair: LabelPair, labels: Bools, names: list[str]) -> dict[str, Any]:
    return {
        "names": (names[pair.a], names[pair.b]),
        "phi": score(pair.phi, 3),
        "together": pair.together,
        "alone": (int(labels[:, pair.a].sum()), int(labels[:, pair.b].sum())),
    }


@dataclass(frozen=True)
class LabelPair:
    """Two labels, by index, with their correlation and the number of images that have both."""

    a: int
    b: int
    phi: float
    together: int


def phi(labels: Bools) -> Floats:
    """(K, K) correlation of every two columns of (n, K) labels; nan for a label that all images have, or none.

    For labels that are there or not, Pearson's correlation is the phi coefficient.
    """
    values = labels.astype(np.float64)
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    scaled = centred / np.where(spread > 0, spread, np.nan)
    return np.asarray(scaled.T @ scaled)


def strongest(labels: Bools, most: int) -> tuple[list[LabelPair], list[LabelPair]]:
    """At most `most` pairs each of the highest positive and of the lowest negative correlation, strongest first."""
    correlation, together = phi(labels), labels.astype(np.int64).T @ labels.astype(np.int64)
    pairs = [
        LabelPair(a, b, float(correlation[a, b]), int(together[a, b]))
        for b in range(labels.shape[1])
        for a in range(b)
        if np.isfinite(correlation[a, b])
    ]
    pairs.sort(key=lambda pair: -pair.phi)
    return [pair for pair in pairs[:most] if pair.phi > 0], [
        pair for pair in pairs[::-1][:most] if pair.phi < 0
    ]


def per_image(labels: Bools) -> Ints:
    """How many images have 0, 1, 2 ... labels, up to the most that one has."""
    return np.bincount(labels.sum(axis=1))


def num_sets(labels: Bools) -> int:
    """How many different sets of labels there are."""
    return len(np.unique(labels, axis=0))
