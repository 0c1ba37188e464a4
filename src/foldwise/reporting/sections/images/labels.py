"""The section on the labels themselves: how many an image has, and which come together."""

from __future__ import annotations

from typing import Any

import numpy as np

from foldwise.judging.cooccurrence import Pair, num_sets, per_image, phi, strongest
from foldwise.metrics.outputs import Bools
from foldwise.reporting.drawing.many_labels import correlation_matrix
from foldwise.reporting.drawing.strips import bars
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
                (words, [_told(pair, labels, names) for pair in pairs])
                for words, pairs in (("together", positive), ("apart", negative))
                if pairs
            ],
        }
    }


def matrix_of(data: ReportData) -> Bools:
    """(n, K) which image has which label."""
    labels = np.zeros((len(data.cases), len(data.classes)), dtype=bool)
    for place, case in enumerate(data.cases):
        labels[place, list(case.labels)] = True
    return labels


def _told(pair: Pair, labels: Bools, names: list[str]) -> dict[str, Any]:
    return {
        "names": (names[pair.a], names[pair.b]),
        "phi": score(pair.phi, 3),
        "together": pair.together,
        "alone": (int(labels[:, pair.a].sum()), int(labels[:, pair.b].sum())),
    }
