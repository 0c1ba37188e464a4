"""Sections by class: scores of the winner, of training, validation and test, and distances of boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foldwise.judging.verdict_configurations import ConfigurationResult, PrecisionRecall, ScoresBySplit
from foldwise.judging.verdict_sections import ClassDistance
from foldwise.reporting.drawing.classes import MAX_DRAWN, Dot, class_strip, commonest
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import NOTHING, Cell, amount, cell, count, number, plain, score, score_cell

MAX_DOTS = 60  # configurations beside the winner in the strip of a class
MAX_TABLES = 30  # configurations with a table of all splits
MAX_ROWS = 60  # configurations in the table of boundaries
BOUNDARY_METRIC = "nsd_img_macro"
SPLITS = ("training", "validation", "test")


def section(data: ReportData) -> dict[str, Any] | None:
    """Table of the winner, and the strip of all configurations; None where no class has a score."""
    winner = data.winner
    if winner is None or not winner.per_class:
        return None
    measured = (
        name
        for values in winner.per_class.values()
        for name, value in values.items()
        if number(value) is not None
    )
    names = [name for name in dict.fromkeys(measured) if name != "support"]
    # Counts of a class are whole numbers among scores.
    digits = {name: 0 if name.startswith("num_") else 3 for name in names}
    rows = [
        {
            "name": name,
            "left_out": left_out(values),
            "support": cell(score(values.get("support"), 0), values.get("support")),
            "cells": [cell(score(values.get(name), digits[name]), values.get(name)) for name in names],
        }
        for name, values in winner.per_class.items()
    ]
    shown = {"names": [plain(name) for name in names], "rows": rows}
    return {"classes": shown | _drawing(data, winner, names)}


def _drawing(data: ReportData, winner: ConfigurationResult, names: list[str]) -> dict[str, Any]:
    """The strip of the commonest classes, where there is more than one configuration to compare."""
    measure = strip_measure(names, data.verdict.metric.name)
    strip = _strip(data, winner, measure) if measure else []
    supports = [number(values.get("support")) or 0 for values in winner.per_class.values()]
    strip, left_over = commonest(strip, supports)
    if len(data.configurations) == 1 or all(own is None for _, own, _ in strip):
        return {"drawing": None, "left_over": left_over}
    dot = Dot(winner.estimate or 0.0, winner.name, winner.id)
    return {"drawing": class_strip(strip, title=plain(measure or ""), winner=dot), "left_over": left_over}


def left_out(values: Mapping[str, Any]) -> str:
    """Why averages over classes, or those of rankings, do not count a class; empty where they do."""
    if values.get("scored") is False:
        return "not scored: some fold lacks it"
    return "too rare to count in AUROC and average precision" if values.get("ranked") is False else ""


def strip_measure(names: list[str], deciding: str) -> str | None:
    """The measure of classes that is nearest to the metric that decides."""
    # The longest: precision is part of average_precision too, and means something else.
    alike = sorted((name for name in names if name in deciding or deciding in name), key=len, reverse=True)
    usual = [
        name
        for name in names
        if any(part in name for part in ("dice", "f1", "sensitivity", "recall", "auroc"))
    ]
    return next(iter([*alike, *usual, *names]), None)


def _strip(
    data: ReportData, winner: ConfigurationResult, measure: str
) -> list[tuple[str, float | None, list[Dot]]]:
    others = [other for other in data.configurations if other.id != winner.id][:MAX_DOTS]
    rows = []
    for name, values in winner.per_class.items():
        dots = [
            Dot(value, other.name, other.id)
            for other in others
            if (value := number(other.per_class.get(name, {}).get(measure))) is not None
        ]
        rows.append((name, number(values.get(measure)), dots))
    return rows


def splits_section(data: ReportData) -> dict[str, Any] | None:
    """A table for every configuration, the winner first; None where the fits counted their test fold only."""
    winner = data.winner
    # A sort keeps the order of equals: behind the winner the others stay best first.
    ordered = sorted(data.configurations, key=lambda result: winner is None or result.id != winner.id)
    tables = [
        {"name": result.name, "standing": standing(result), "rows": _split_rows(result.split_scores)}
        for result in ordered
        if result.split_scores is not None
    ]
    shown = {"tables": tables[:MAX_TABLES], "splits": SPLITS, "left_out": max(0, len(tables) - MAX_TABLES)}
    return shown if tables else None


def _split_rows(scores: ScoresBySplit) -> list[dict[str, Any]]:
    """One row per class, then the two means; each has support, precision, recall and F1 on every split."""
    splits = (scores.train, scores.validation, scores.test)
    names = list(scores.test.classes)
    rows = [
        {"name": name, "mean": False, "cells": _split_cells([split.classes[name] for split in splits])}
        for name in (names if len(names) <= MAX_DRAWN else [])
    ]
    means = {
        "mean over classes": [split.macro for split in splits],
        "weighted by support": [split.weighted for split in splits],
    }
    rows += [{"name": title, "mean": True, "cells": _split_cells(mean)} for title, mean in means.items()]
    return rows


def _split_cells(by_split: Sequence[PrecisionRecall]) -> list[Cell]:
    cells = []
    for scores in by_split:
        # A mean over classes has none.
        support = getattr(scores, "support", None)
        cells.append(cell("" if support is None else amount(support), support))
        cells += [cell(score(value), value) for value in (scores.precision, scores.recall, scores.f1)]
    return cells


def boundary_section(data: ReportData) -> dict[str, Any] | None:
    """A row for every complete configuration, the best first; None where boundaries were not asked for."""
    boundary = data.verdict.boundary
    if boundary is None:
        return None
    distances = {result.id: result.hd95 for result in boundary.configurations}
    shown = [data.classes[k] for k in data.curves.classes]
    complete = [result for result in data.configurations if result.id in distances]
    rows = [
        {
            "name": result.name,
            "standing": standing(result),
            "cells": [
                score_cell(result.metrics[BOUNDARY_METRIC]),
                *(_distance(distances[result.id][name]) for name in shown),
            ],
        }
        for result in complete[:MAX_ROWS]
    ]
    return {
        "boundary": {
            "grouped": data.verdict.num_groups is not None,
            "tolerance": f"{boundary.tolerance_px:g}",
            "classes": shown,
            "rows": rows,
            "left_out": max(0, len(complete) - MAX_ROWS),
        }
    }


def _distance(distance: ClassDistance) -> Cell:
    """Distances are given to a tenth of a pixel: boundaries are no finer."""
    notes = []
    if distance.interval:
        notes.append(" to ".join(f"{end:.1f}" for end in distance.interval))
    if distance.num_capped:
        notes.append(f"{count(distance.num_capped, 'image')} capped")
    words = NOTHING if distance.median is None else f"{distance.median:.1f}"
    return cell(words, distance.median, "; ".join(notes))
