"""How much of its score every configuration keeps on blurred and noisy test images.

Nothing is chosen by these numbers: winner, ranks and tests rest on the images as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from foldwise.judging.scores.rows import Rows, read_arrays
from foldwise.judging.scores.scoring import Judged, Scored, judged
from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.table import METRICS, Metric, choose_metric
from foldwise.run.auxiliary_results import AuxiliaryItem
from foldwise.study.spec import Study

# Beside the metric that decides: accuracy, sensitivity, specificity and AUROC, as every kind of task has them.
SHOWN = {
    "binary": ("accuracy", "sensitivity", "specificity", "auroc"),
    "multiclass": ("accuracy", "recall_macro", "specificity_macro", "auroc_macro"),
    "multilabel": ("label_accuracy", "recall_macro", "specificity_macro", "auroc_macro"),
    "segmentation": (
        "pixel_accuracy_pooled",
        "pixel_sensitivity_pooled_macro",
        "pixel_specificity_pooled_macro",
        "pixel_auroc_img_macro",
    ),
}


def robustness(
    study: Study, rows: Rows, metric: Metric, ranked: Sequence[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The `robustness` of the verdict; None where the study does not ask, or no configuration has all of it.

    Args:
        study: what is asked.
        rows: of the run.
        metric: the one that decides; the usual one in the place of one that needs boundaries.
        ranked: the records of the configurations, in their order.
    """
    if study.robustness is None:
        return None
    blurs, noises = study.robustness.blur_px, study.robustness.noise
    if metric.needs == "boundary":  # predictions of corrupted images are counted, and not kept as masks
        metric = choose_metric("auto", rows.family)
    asked = [metric, *(METRICS[name] for name in SHOWN[rows.family] if name != metric.name)]
    told = {one["id"]: _of(rows, one["id"]) for one in ranked}
    complete = [one for one in ranked if told[one["id"]]]
    if not complete:
        return None
    conditions: list[list[dict[str, Any]]] = [[] for _ in complete]
    for b, blur_px in enumerate(blurs):
        for x, noise in enumerate(noises):
            said = [_at(rows, one["id"], told[one["id"]], (b, x)) for one in complete]
            tables = [_judged(row, said, rows, study.judge.alpha) for row in asked]
            for place, held in enumerate(conditions):
                found = {table.metric.name: _told(table, scored, place) for table, scored in tables}
                held.append({"blur_px": blur_px, "noise": noise, "metrics": found})
    return {
        "blur_px": list(blurs),
        "noise": list(noises),
        "metrics": [row.name for row in asked],
        "configurations": [
            {"id": one["id"], "name": one["name"], "conditions": held}
            for one, held in zip(complete, conditions, strict=True)
        ],
    }


def _of(rows: Rows, configuration: str) -> list[AuxiliaryItem]:
    """The items of a configuration; none unless all its folds are done, and asked about."""
    own = [
        one
        for one in rows.beside
        if one.kind == "robustness" and one.settings["configuration"] == configuration
    ]
    whole = rows.complete(configuration) and len(own) == len(rows.of(configuration))
    return own if whole and all(one.done for one in own) else []


def _at(
    rows: Rows, configuration: str, items: Sequence[AuxiliaryItem], place: tuple[int, int]
) -> list[Outputs]:
    """What a configuration says in one condition, repeat by repeat: its outputs, with other arrays."""
    made = []
    for repeat in rows.repeats:
        plain = rows.outputs(configuration, repeat)
        assert plain is not None  # it is complete
        names = [
            name
            for name in ("probabilities", "confusion", "histogram", "log_loss_sum", "brier_sum")
            if getattr(plain, name) is not None
        ]
        parts = [
            read_arrays(one.path / "scores.npz", ("case", *names))
            for one in items
            if one.settings["repeat"] == repeat
        ]
        order = np.argsort(np.concatenate([part["case"] for part in parts]), kind="stable")
        arrays: dict[str, Any] = {
            name: np.concatenate([part[name][place] for part in parts])[order] for name in names
        }
        if "probabilities" in arrays:
            arrays["probabilities"] = arrays["probabilities"].astype(np.float64)
        made.append(replace(plain, **arrays, nsd=None, hd95=None))
    return made


def _judged(
    metric: Metric, said: Sequence[Sequence[Outputs]], rows: Rows, alpha: float
) -> tuple[Judged, list[Scored]]:
    """One metric of all configurations in one condition, as the verdict judges it on images as they are."""
    scored = [_scored(metric, outputs, rows) for outputs in said]
    return judged(metric, scored, rows.units, num_cases=len(rows.names), alpha=alpha), scored


def _scored(metric: Metric, repeats: Sequence[Outputs], rows: Rows) -> Scored:
    name, many = metric.name, [unit_scores(metric, outputs, rows.units) for outputs in repeats]
    estimates = [one.estimate for one in many if not np.isnan(one.estimate)]
    positives = [one.num_positives for one in many if one.num_positives is not None]
    return Scored(
        estimates={name: float(np.mean(estimates)) if estimates else float("nan")},
        values={name: np.stack([one.values for one in many])},
        support={name: min(one.support for one in many)},
        num_positives={name: min(positives, default=None)},
        num_undefined={name: max(one.num_undefined for one in many)},
        unit_folds=np.stack([rows.units.folds(outputs) for outputs in repeats]),
    )


def _told(table: Judged, scored: Sequence[Scored], place: int) -> dict[str, float]:
    low, high = table.intervals[place]
    return {"estimate": scored[place].estimates[table.metric.name], "low": low, "high": high}
