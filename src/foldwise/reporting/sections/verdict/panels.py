"""The sections with drawings: classes, curves, confusion, training and the data card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.drawing.lines import curve_panel, learning_panel, learning_scale
from foldwise.reporting.drawing.strips import Dot, bars, class_strip
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import copies, sample
from foldwise.reporting.sections.images.statistics import statistics_table
from foldwise.reporting.sections.training.fits import failures as failed_fits
from foldwise.reporting.sections.training.fits import warnings_of_fits
from foldwise.reporting.sections.verdict.tables import left_out, per_class
from foldwise.reporting.wording import (
    count,
    number,
    percent,
    score,
    selecting_title,
)

MAX_LEARNING = 30  # configurations with learning curves drawn
MAX_DRAWN = 40  # classes
SEVERITIES = {"error": 0, "warning": 1, "note": 2}


def classes(data: ReportData) -> dict[str, Any] | None:
    """Table of the winner, and the strip of all configurations."""
    table = per_class(data)
    if not table["rows"]:
        return None
    strip, left_over = _commonest(table["strip"], table["supports"])
    several = len(data.configurations) > 1
    drawn = (
        class_strip(strip, title=table["shown"], winner=_winner(data))
        if several and any(own is not None for _, own, _ in strip)
        else None
    )
    return {"classes": {**table, "drawing": drawn, "left_over": left_over}}


def _winner(data: ReportData) -> Dot | None:
    winner = data.winner
    return Dot(float(winner["estimate"]), str(winner["name"]), str(winner["id"])) if winner else None


def _commonest(rows: Sequence[Any], numbers: Sequence[float]) -> tuple[list[Any], int]:
    """The rows of the largest numbers, in their order, as many as are drawn; and how many are left over."""
    order = sorted(range(len(rows)), key=lambda place: -numbers[place])[:MAX_DRAWN]
    return [rows[place] for place in sorted(order)], len(rows) - len(order)


def curves(data: ReportData) -> dict[str, Any] | None:
    """ROC and precision-recall panels of every class shown."""
    winner = data.winner
    if winner is None or winner["id"] not in data.roc:
        return None
    drawn = [_panels(data, winner["id"], k) for k in data.shown_classes() if k in data.roc[winner["id"]]]
    return {"curves": drawn} if drawn else None


def _panels(data: ReportData, winner: str, k: int) -> dict[str, Any]:
    name = data.classes[k]
    order = [winner, *(one for one in data.roc if one != winner)]
    roc = [(one, data.roc[one][k]) for one in order if k in data.roc[one]]
    pr = [(one, data.pr[one][k]) for one in order if k in data.pr.get(one, {})]
    share = _share(data, k)
    return {
        "name": name,
        "auroc": score(roc[0][1].get("auroc"), 3) if roc else "",
        "ap": score(_average_precision(pr[0][1]), 3) if pr else "",
        "left_out": left_out(((data.winner or {}).get("per_class") or {}).get(name) or {}),
        "share": percent(share),
        "roc": curve_panel(f"ROC curve of {name}", roc, kind="roc"),
        "pr": curve_panel(f"Precision-recall curve of {name}", pr, kind="pr", chance=share),
    }


def _average_precision(curve: Mapping[str, Any]) -> Any:
    return next((curve[key] for key in ("ap", "average_precision") if key in curve), None)


def _share(data: ReportData, k: int) -> float | None:
    """How frequent a class is: the precision of guessing."""
    if data.segmentation:
        matrix = next(iter(data.confusion.values()), None)
        return float(matrix[k].sum() / matrix.sum()) if matrix is not None and matrix.sum() else None
    return sum(k in case.labels for case in data.cases) / max(len(data.cases), 1)


def confusions(data: ReportData) -> dict[str, Any] | None:
    """Matrices of the winner and of the next best, row-normalised with their counts."""
    names = {one["id"]: one["name"] for one in data.configurations}
    draw = _label_counts if data.multilabel else _matrix
    drawn = [
        {"name": names[one], "repeats": _repeats(data), **draw(np.asarray(matrix), data.classes)}
        for one, matrix in data.confusion.items()
    ]
    return {"confusions": drawn} if drawn else None


def _repeats(data: ReportData) -> int:
    """How often each image was predicted; counts are over all of them."""
    return int(data.verdict.get("repeats") or 1)


def _matrix(matrix: Any, classes: list[str]) -> dict[str, Any]:
    totals = matrix.sum(axis=1)
    rows = []
    for k, name in enumerate(classes):
        shares = [float(value / totals[k]) if totals[k] else None for value in matrix[k]]
        cells = [
            {"share": share, "percent": percent(share), "count": _many(value), "right": k == other}
            for other, (share, value) in enumerate(zip(shares, matrix[k], strict=True))
        ]
        rows.append({"name": name, "total": _many(totals[k]), "cells": cells})
    return {"kind": "matrix", "classes": classes, "rows": rows}


def _many(value: Any) -> str:
    known = float(value)
    return (
        f"{known / 1e6:.1f} M"
        if known >= 1e6
        else f"{known / 1e3:.0f} k"
        if known >= 10_000
        else f"{known:.0f}"
    )


def _label_counts(matrix: Any, classes: list[str]) -> dict[str, Any]:
    """With several labels an image has no one wrong class: each label has its own four counts."""
    rows = []
    for name, ((tn, fp), (fn, tp)) in zip(classes, matrix, strict=True):
        found = float(tp / (tp + fn)) if tp + fn else None
        spared = float(tn / (tn + fp)) if tn + fp else None
        cells = [_many(tp), _many(fn), _many(fp), _many(tn)]
        rows.append(
            {
                "name": name,
                "counts": cells,
                "found": percent(found),
                "found_share": found,
                "spared": percent(spared),
                "spared_share": spared,
            }
        )
    return {"kind": "labels", "rows": rows}


def learning(data: ReportData) -> dict[str, Any] | None:
    """One small drawing per configuration with all its folds, best first."""
    told = [result for result in data.results if result.get("epochs")]
    scores = learning_scale(told)
    select = next((selecting_title(str(result["select"])) for result in told if result.get("select")), "")
    panels = []
    for one in data.configurations[:MAX_LEARNING]:
        own = [result for result in told if result.get("configuration") == one["id"]]
        if own:
            panels.append(
                {
                    "name": one["name"],
                    "standing": standing(one),
                    "drawing": learning_panel(
                        f"Learning curves of {one['name']}", own, scores=scores, select=select
                    ),
                    "note": _chosen_epochs(own),
                }
            )
    left_out = max(0, len(data.configurations) - MAX_LEARNING)
    held = {"panels": panels, "select": select, "left_out": left_out}
    return {"learning": held, "fit_warnings": warnings_of_fits(data)} if panels else None


def _chosen_epochs(results: list[Mapping[str, Any]]) -> str:
    chosen = sorted(
        int(result["best_epoch"]) for result in results if number(result.get("best_epoch")) is not None
    )
    if not chosen:
        return ""
    last = max(len(result["epochs"]) for result in results)
    at_end = sum(epoch >= last for epoch in chosen)
    span = f"epoch {chosen[0]}" if chosen[0] == chosen[-1] else f"epochs {chosen[0]} to {chosen[-1]}"
    late = (
        f"; {at_end} of {len(chosen)} at the last: more epochs may help"
        if at_end * 2 > len(chosen) and last > 1
        else ""
    )
    return f"chosen: {span} of {last}{late}"


def failures(data: ReportData) -> dict[str, Any] | None:
    """Fits, and other items, that ended with an error."""
    rows, others = failed_fits(data), data.verdict.get("failed_items", [])
    return {"failures": rows, "failed_items": others} if rows or others else None


def data(data: ReportData) -> dict[str, Any]:
    """The data card with copies that were found and a sample of the images."""
    numbers = statistics_table(data)
    shown, num_copied = copies(data)
    pictures = {"copies": shown, "num_copied": num_copied, "sample": sample(data)}
    return {"data": {**data_card(data), **pictures, "statistics": numbers}}


def data_card(data: ReportData) -> dict[str, Any]:
    """Counts, sizes and audit of the images."""
    cases = data.cases
    groups = Counter(case.group for case in cases if case.group)
    sizes = Counter(f"{case.width} × {case.height}" for case in cases if case.width)
    kinds = Counter(" ".join(part for part in (case.format, case.mode) if part) for case in cases)
    findings = sorted(
        data.audit.get("findings", []), key=lambda finding: SEVERITIES.get(finding["severity"], 3)
    )
    facts = [
        ("Images", str(len(cases))),
        ("Groups", _groups(groups, len(cases))),
        ("Sizes, pixels", _sizes(sizes, data)),
        ("Files", _most(kinds)),
        ("Layout", str(data.audit.get("layout", "")).replace("_", " ")),
    ]
    source = data.audit.get("source") or {}
    told = (("Source", "title"), ("Citation", "citation"), ("Licence", "licence"))
    facts += [(title, str(source.get(key, ""))) for title, key in told]
    return {
        "facts": [fact for fact in facts if fact[1]],
        "statements": data.audit.get("statements", []),
        "findings": findings,
        "counts": _class_bars(data),
    }


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


def _class_bars(data: ReportData) -> Any:
    if data.segmentation:
        return None
    counts = Counter(label for case in data.cases for label in case.labels)
    rows = [(name, counts[k]) for k, name in enumerate(data.classes)]
    unlabelled = sum(not case.labels for case in data.cases)
    if data.multilabel and unlabelled:
        rows.append(("(no label)", unlabelled))
    rows, left_over = _commonest(rows, [number for _, number in rows])
    return {"drawing": bars(rows, title="Images per class"), "left_over": left_over}
