"""The section on the labels themselves: how many an image has, and which come together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from foldwise.metrics.outputs import Bools, Floats, Ints
from foldwise.reporting.drawing.classes import bars, correlation_matrix
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import count, score

MAX_PAIRS = 5
MAX_LABELS = 40  # in the matrix; the pairs are of all


def section(data: ReportData) -> dict[str, Any] | None:
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
                (words, [_pair(pair, labels, names) for pair in pairs])
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


def _pair(pair: LabelPair, labels: Bools, names: list[str]) -> dict[str, Any]:
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
    varies = spread > 0
    scaled = centred / np.where(varies, spread, np.nan)
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
