"""Sections on probabilities: curves and confusions, whether they mean what they say, and the thresholds of labels."""

from __future__ import annotations

from typing import Any

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import (
    ClassThreshold,
    ConfigurationCalibration,
    Overconfidence,
    ThresholdsSection,
)
from foldwise.metrics.outputs import Ints
from foldwise.reporting.drawing.curves import curve_panel, reliability_panel, threshold_panel
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.verdict.classes import left_out
from foldwise.reporting.wording import NOTHING, cell, difference, percent, score, shown

MAX_ROWS = 60
STEPS = {"before": "as the fits gave them", "after": "at the temperature of each fold"}
BASELINES = ("all_ones", "commonest")
BASELINE_METRICS = {"f1_macro": "f1_macro", "f1_micro": "f1_micro", "ap": "average_precision_macro"}


def section(data: ReportData) -> dict[str, Any] | None:
    """The reliability of the winner, and a table of all; None while no configuration is complete."""
    calibration, winner = data.verdict.calibration, data.winner
    if calibration is None or winner is None:
        return None
    records = {record.id: record for record in calibration.configurations}
    best = records.get(winner.id)
    if best is None:
        return None
    ranked = [result for result in data.configurations if result.id in records][:MAX_ROWS]
    # Of several classes the bins are of the predicted one, whatever it is.
    axis = "confidence" if data.verdict.task == "multiclass_classification" else "predicted probability"
    return {
        "calibration": {
            "of": calibration.of,
            "descriptive": calibration.descriptive,
            "sentence": "" if calibration.descriptive else sentence(best),
            "panels": [
                (
                    words,
                    reliability_panel(
                        f"Reliability of {best.name}, {words}",
                        reliability.bins,
                        num_bins=calibration.num_bins,
                        axis=axis,
                    ),
                )
                for reliability, words in zip((best.before, best.after), STEPS.values(), strict=True)
                if reliability is not None and reliability.bins
            ],
            "rows": []
            if calibration.descriptive
            else [_row(records[result.id], standing(result)) for result in ranked],
            "grouped": data.verdict.num_groups is not None,
            "left_out": len(records) - len(ranked),
        }
    }


def sentence(record: ConfigurationCalibration) -> str:
    """Whether a configuration is over- or under-confident beyond chance, before and after temperature."""
    before, after = record.before.overconfidence, record.after and record.after.overconfidence
    if before is None or not after or record.temperature is None:
        return ""
    name = record.name
    first = {
        "over-confident": f"{name} is over-confident: it is right less often than it says, by {_size(before)}.",
        "under-confident": f"{name} is under-confident: it is right more often than it says, by {_size(before)}.",
        "undecided": f"Whether {name} is over- or under-confident cannot be told: the probability of its decisions, "
        f"minus how often they are right, is {_signed(before)}.",
    }[before.conclusion]
    second = {
        "over-confident": "it is over-confident, by",
        "under-confident": "it is under-confident, by",
        "undecided": "no more is left than chance gives:",
    }[after.conclusion]
    # Undecided, a sign is all there is to say; decided, the words already say it.
    amount = _signed(after) if after.conclusion == "undecided" else _size(after)
    temperature = score(record.temperature.median, 2)
    return f"{first} At its temperature, {temperature} (median of the folds), {second} {amount}."


def _signed(gap: Overconfidence) -> str:
    return f"{difference(gap.estimate)}{f' ({_ends(gap)})' if gap.interval else ''}"


def _ends(gap: Overconfidence) -> str:
    return " to ".join(map(difference, gap.interval)) if gap.interval else ""


def _size(gap: Overconfidence) -> str:
    """The size of a difference whose sign the words say."""
    low, high = sorted((abs(gap.low or 0.0), abs(gap.high or 0.0)))
    return f"{shown(abs(gap.estimate or 0.0))} ({shown(low)} to {shown(high)})"


def _row(record: ConfigurationCalibration, kind: str) -> dict[str, Any]:
    heat, before, after = record.temperature, record.before, record.after
    # Only a segmentation has none, and that is described without rows.
    assert heat is not None
    assert after is not None
    cells = [
        cell(score(heat.median, 2), heat.median, f"{score(heat.low, 2)} to {score(heat.high, 2)}"),
        cell(score(before.log_loss), before.log_loss, f"after {score(after.log_loss)}"),
        cell(score(before.brier), before.brier, f"after {score(after.brier)}"),
    ]
    cells += [
        cell(score(step.ece), step.ece, f"perfect {score(step.ece_perfect)}") for step in (before, after)
    ]
    for gap in (before.overconfidence, after.overconfidence):
        assert gap is not None
        cells.append(cell(difference(gap.estimate), gap.estimate, _ends(gap)))
    return {"name": record.name, "standing": kind, "cells": cells}


def thresholds_section(data: ReportData) -> dict[str, Any] | None:
    """The thresholds of the winner and what each method is worth; None where the task has no thresholds."""
    thresholds, winner = data.verdict.thresholds, data.winner
    if thresholds is None or winner is None:
        return None
    curves = data.curves.f1.get(thresholds.configuration, {})
    return {
        "thresholds": {
            "sentence": thresholds.sentence,
            "rows": [_label_row(name, label, winner) for name, label in thresholds.classes.items()],
            "few": any(label.num_matched for label in thresholds.classes.values()),
            "compared": [*_methods(thresholds, winner), *_trivial(data)],
            "panels": [
                (data.classes[k], threshold_panel(f"F1 of {data.classes[k]} by threshold", curve))
                for k, curve in curves.items()
                if curve.folds
            ],
            "absent": [data.classes[k] for k, curve in curves.items() if not curve.folds],
        }
    }


def _label_row(name: str, label: ClassThreshold, winner: ConfigurationResult) -> dict[str, Any]:
    measures = winner.per_class.get(name, {})
    span = " to ".join(map(score, label.interval)) if label.interval else NOTHING
    cells = [
        cell(score(label.median), label.median) | {"note": span},
        cell(f"{label.validation_positives:g}", label.validation_positives),
    ]
    cells += [cell(score(measures.get(key)), measures.get(key)) for key in ("f1", "precision", "sensitivity")]
    fallbacks = [(label.num_matched, "too few"), (label.num_never, "never predicted")]
    words = [f"{words} in {number} of {label.num_fits} fits" for number, words in fallbacks if number]
    return {"name": name, "cells": cells, "fallback": "; ".join(words)}


def _methods(thresholds: ThresholdsSection, winner: ConfigurationResult) -> list[dict[str, Any]]:
    precision = winner.metrics.get("average_precision_macro")
    return [
        {
            "name": method.method,
            "sentence": method.sentence,
            "kind": "winner" if method.method == thresholds.method else "",
            "f1_macro": score(method.f1_macro),
            "f1_micro": score(method.f1_micro),
            # Average precision needs no threshold: the same number would stand in every row.
            "ap": score(precision.estimate if precision else None)
            if method.method == thresholds.method
            else "",
        }
        for method in thresholds.compared
    ]


def _trivial(data: ReportData) -> list[dict[str, Any]]:
    return [
        {"name": baseline.name, "sentence": "without looking at the image", "kind": "baseline"}
        | {
            key: score(baseline.metrics[metric].estimate if metric in baseline.metrics else None)
            for key, metric in BASELINE_METRICS.items()
        }
        for baseline in data.verdict.baselines
        if baseline.id in BASELINES
    ]


def curves_section(data: ReportData) -> dict[str, Any] | None:
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
