"""Curves and confusion matrices of the winner and the next best configurations."""

from __future__ import annotations

from typing import Any

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.metrics.outputs import Ints
from foldwise.reporting.drawing.curves import curve_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.classes import left_out
from foldwise.reporting.wording import percent, score


def section(data: ReportData) -> dict[str, Any] | None:
    """ROC and precision-recall panels of every class shown."""
    winner = data.winner
    if winner is None or winner.id not in data.curves.roc:
        return None
    drawn = [_panels(data, winner, k) for k in data.curves.classes if k in data.curves.roc[winner.id]]
    return {"curves": drawn} if drawn else None


def _panels(data: ReportData, winner: ConfigurationResult, k: int) -> dict[str, Any]:
    name, curves = data.classes[k], data.curves
    order = [winner.id, *(id_ for id_ in curves.roc if id_ != winner.id)]
    roc = [(id_, curves.roc[id_][k]) for id_ in order if k in curves.roc[id_]]
    pr = [(id_, curves.pr[id_][k]) for id_ in order if k in curves.pr.get(id_, {})]
    share = _share(data, k)
    return {
        "name": name,
        "auroc": score(roc[0][1].area) if roc else "",
        "ap": score(pr[0][1].area) if pr else "",
        "left_out": left_out(winner.per_class.get(name, {})),
        "share": percent(share),
        "roc": curve_panel(f"ROC curve of {name}", roc, kind="roc"),
        "pr": curve_panel(f"Precision-recall curve of {name}", pr, kind="pr", chance=share),
    }


def _share(data: ReportData, k: int) -> float | None:
    """How frequent a class is: the precision of guessing."""
    if data.segmentation:
        matrix = next(iter(data.curves.confusion.values()), None)
        return float(matrix[k].sum() / matrix.sum()) if matrix is not None and matrix.sum() else None
    return sum(k in case.labels for case in data.cases) / max(len(data.cases), 1)


def confusion_section(data: ReportData) -> dict[str, Any] | None:
    """Matrices of the winner and of the next best, row-normalised with their counts."""
    draw = _label_counts if data.multilabel else _matrix
    drawn = [
        {"name": data.verdict.configuration(id_).name, "repeats": data.verdict.repeats}
        | draw(matrix, data.classes)
        for id_, matrix in data.curves.confusion.items()
    ]
    return {"confusions": drawn} if drawn else None


def _matrix(matrix_KK: Ints, classes: list[str]) -> dict[str, Any]:
    totals = matrix_KK.sum(axis=1)
    rows = []
    for k, name in enumerate(classes):
        shares = [float(value / totals[k]) if totals[k] else None for value in matrix_KK[k]]
        cells = [
            {"share": share, "percent": percent(share), "count": _amount(value), "right": k == other}
            for other, (share, value) in enumerate(zip(shares, matrix_KK[k], strict=True))
        ]
        rows.append({"name": name, "total": _amount(totals[k]), "cells": cells})
    return {"kind": "matrix", "classes": classes, "rows": rows}


def _amount(value: Any) -> str:
    number = float(value)
    if number >= 1e6:
        return f"{number / 1e6:.1f} M"
    return f"{number / 1e3:.0f} k" if number >= 10_000 else f"{number:.0f}"


def _label_counts(matrix_K22: Ints, classes: list[str]) -> dict[str, Any]:
    """With several labels an image has no one wrong class: each label has its own four counts."""
    rows = []
    for name, ((tn, fp), (fn, tp)) in zip(classes, matrix_K22, strict=True):
        sensitivity = float(tp / (tp + fn)) if tp + fn else None
        specificity = float(tn / (tn + fp)) if tn + fp else None
        rows.append(
            {
                "name": name,
                "counts": [_amount(value) for value in (tp, fn, fp, tn)],
                "shares": [(share, percent(share)) for share in (sensitivity, specificity)],
            }
        )
    return {"kind": "labels", "rows": rows}
