"""results.csv, one row per configuration, and scores.csv, one row per configuration, repeat, image and class."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.judging.rows import Rows
from foldwise.metrics.outputs import Outputs, counts, predicted
from foldwise.metrics.ratios import image_dice, image_iou
from foldwise.run.folder import written_whole

STANDING = (
    "estimate",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "could_be_best",
    "p_wins",
    "run_sd",
)
CLASSIFIED = ("true", "predicted", "probability")
SEGMENTED = ("pixels_tp", "pixels_fp", "pixels_fn", "dice", "iou")
OUTLINED = ("nsd", "hd95")  # only where the study asks for them


def write_results(path: Path, verdict: Mapping[str, Any]) -> None:
    """One row per configuration, best first, then the baselines; every averaging is in its column's name.

    `confusion` is JSON: counts by [true][predicted], summed over folds and repeats, as in the verdict.
    """
    records = verdict["configurations"]
    factors = list(dict.fromkeys(factor for record in records for factor in record["levels"]))
    costs = list(dict.fromkeys(cost for record in records for cost in record["cost"]))
    metrics = list(verdict["metrics"])
    ends = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    header = [
        "configuration",
        "name",
        *factors,
        "verdict",
        "metric",
        *STANDING,
        "num_done",
        "num_planned",
        *ends,
        "confusion",
        *costs,
    ]
    rows = [_result(record, verdict["metric"]["name"], factors, metrics, costs) for record in records]
    for baseline in verdict["baselines"]:
        known = {
            "levels": {},
            "cost": {},
            "verdict": baseline["kind"],
            "num_done": "",
            "num_planned": "",
        } | baseline
        rows.append(_result(known, verdict["metric"]["name"], factors, metrics, costs))
    _write(path, header, iter(rows))


def _result(
    record: Mapping[str, Any],
    metric: str,
    factors: Sequence[str],
    metrics: Sequence[str],
    costs: Sequence[str],
) -> list[Any]:
    scores = [
        record["metrics"].get(name, {}).get(end) for name in metrics for end in ("estimate", "low", "high")
    ]
    return [
        record["id"],
        record["name"],
        *(record["levels"].get(factor) for factor in factors),
        record["verdict"],
        metric,
        *(record.get(key) for key in STANDING),
        record["num_done"],
        record["num_planned"],
        *scores,
        json.dumps(record["confusion"]) if record.get("confusion") else None,
        *(record["cost"].get(cost) for cost in costs),
    ]


def write_scores(path: Path, rows: Rows) -> None:
    """Tidy scores of every image and class; what is undefined is an empty cell."""
    family = SEGMENTED if rows.family == "segmentation" else CLASSIFIED
    columns = (*family, *(OUTLINED if rows.outlines is not None else ()))
    header = [
        "configuration",
        "configuration_name",
        "repeat",
        "fold",
        "case",
        "image",
        "group",
        "class",
        *columns,
    ]
    _write(path, header, _tidy(rows))


def _tidy(rows: Rows) -> Iterator[list[Any]]:
    for configuration in rows.configurations:
        for repeat in rows.repeats:
            outputs = rows.outputs(configuration.id, repeat)
            if outputs is None:
                continue
            values = _segmented(outputs) if rows.family == "segmentation" else _classified(outputs)
            for place, case in enumerate(outputs.case.tolist()):
                known = [
                    configuration.id,
                    configuration.name,
                    repeat,
                    int(outputs.fold[place]),
                    case,
                    rows.names[case],
                    rows.groups[case],
                ]
                for k, name in enumerate(rows.classes):
                    yield [*known, name, *values[place][k]]


def _classified(outputs: Outputs) -> list[list[list[Any]]]:
    assert outputs.truth is not None
    assert outputs.probabilities is not None
    stacked = np.stack([outputs.truth, predicted(outputs), outputs.probabilities], axis=2)
    return [
        [[int(true), int(said), float(f"{p:.6g}")] for true, said, p in image] for image in stacked.tolist()
    ]


def _segmented(outputs: Outputs) -> list[list[list[Any]]]:
    found = counts(outputs)
    pixels = np.stack([found.tp, found.fp, found.fn], axis=2).astype(np.int64).tolist()
    scored = [image_dice(outputs), image_iou(outputs)]
    if outputs.nsd is not None and outputs.hd95 is not None:
        scored += [outputs.nsd, outputs.hd95]
    overlaps = np.stack(scored, axis=2).tolist()
    return [
        [whole + [_cell(score) for score in shares] for whole, shares in zip(*image, strict=True)]
        for image in zip(pixels, overlaps, strict=True)
    ]


def _cell(value: float) -> float | str:
    return "" if np.isnan(value) else float(f"{value:.6g}")


def _write(path: Path, header: Sequence[str], rows: Iterator[list[Any]]) -> None:
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
