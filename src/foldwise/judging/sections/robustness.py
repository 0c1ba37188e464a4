"""How much of its score every configuration keeps on blurred and noisy test images.

Nothing is chosen by these numbers: winner, ranks and tests rest on the images as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from foldwise.judging.judgement import Judgement
from foldwise.judging.scores.rows import Rows
from foldwise.judging.scores.scoring import over_repeats
from foldwise.judging.verdict_configurations import (
    Condition,
    ConfigurationResult,
    ConfigurationRobustness,
    RobustnessSection,
    ScoreEstimate,
)
from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.table import METRICS, Metric, choose_metric
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.sealed_arrays import read_arrays
from foldwise.study.spec import Robustness

# Beside the metric that decides: accuracy, sensitivity, specificity and AUROC, as every kind of task has them.
SHOWN = {
    "binary": ("accuracy", "sensitivity", "specificity", "auroc"),
    "multiclass": ("accuracy", "recall_macro", "specificity_macro", "auroc_macro"),
    "multilabel": ("label_accuracy", "recall_macro", "specificity_macro", "auroc_macro"),
    "segmentation": (
        "pixel_accuracy_pooled", "pixel_sensitivity_pooled_macro", "pixel_specificity_pooled_macro", "pixel_auroc_img_macro",
    ),
}  # fmt: skip
ARRAYS = ("probabilities", "confusion", "histogram", "log_loss_sum", "brier_sum")


def robustness_section(
    study: Robustness | None, rows: Rows, judgement: Judgement, configurations: Sequence[ConfigurationResult]
) -> RobustnessSection | None:
    """None where the study does not ask, or no configuration was tested in every condition.

    The metric that decides comes first; in the place of one that needs boundaries the usual one.
    """
    if study is None:
        return None
    items = {configuration.id: _items_of(rows, configuration.id) for configuration in configurations}
    complete = [configuration for configuration in configurations if items[configuration.id]]
    if not complete:
        return None
    metrics = _metrics(rows, judgement.metric)
    conditions: list[list[Condition]] = [[] for _ in complete]
    for (b, blur_px), (x, noise) in product(enumerate(study.blur_px), enumerate(study.noise)):
        outputs = [
            _outputs_at(rows, configuration.id, items[configuration.id], (b, x)) for configuration in complete
        ]
        by_metric = {metric.name: _estimates(metric, outputs, judgement) for metric in metrics}
        for c, own in enumerate(conditions):
            estimates = {name: of_all[c] for name, of_all in by_metric.items()}
            own.append(Condition(blur_px=blur_px, noise=noise, metrics=estimates))
    return RobustnessSection(
        blur_px=tuple(study.blur_px),
        noise=tuple(study.noise),
        metrics=tuple(metric.name for metric in metrics),
        configurations=tuple(
            ConfigurationRobustness(id=configuration.id, name=configuration.name, conditions=tuple(own))
            for configuration, own in zip(complete, conditions, strict=True)
        ),
    )


def _metrics(rows: Rows, decides: Metric) -> list[Metric]:
    if decides.needs == "boundary":  # predictions of corrupted images are counted, and not kept as masks
        decides = choose_metric("auto", rows.family)
    return [decides, *(METRICS[name] for name in SHOWN[rows.family] if name != decides.name)]


def _items_of(rows: Rows, configuration: str) -> list[AuxiliaryItem]:
    """The items of a configuration; none unless all its folds are done, and tested in every condition."""
    items = [
        item for item in rows.auxiliary_of("robustness") if item.settings["configuration"] == configuration
    ]
    # Over fewer folds the scores would be those of easier or harder images.
    whole = rows.complete(configuration) and len(items) == len(rows.fits_of(configuration))
    return items if whole and all(item.done for item in items) else []


def _outputs_at(
    rows: Rows, configuration: str, items: Sequence[AuxiliaryItem], condition: tuple[int, int]
) -> list[Outputs]:
    """The outputs of a configuration in one condition, by repeat: those on plain images, with other arrays."""
    made = []
    for repeat, uncorrupted in rows.outputs_by_repeat(configuration):
        names = [name for name in ARRAYS if getattr(uncorrupted, name) is not None]
        read = [
            read_arrays(item.path / "scores.npz", ("case", *names))
            for item in items
            if item.settings["repeat"] == repeat
        ]
        # In the order of the uncorrupted outputs, whose truth, folds and thresholds are taken over.
        order = np.argsort(np.concatenate([arrays["case"] for arrays in read]), kind="stable")
        arrays: dict[str, Any] = {
            name: np.concatenate([arrays[name][condition] for arrays in read])[order] for name in names
        }
        if "probabilities" in arrays:
            arrays["probabilities"] = arrays["probabilities"].astype(np.float64)
        made.append(replace(uncorrupted, **arrays, nsd=None, hd95=None))
    return made


def _estimates(
    metric: Metric, outputs: Sequence[Sequence[Outputs]], judgement: Judgement
) -> list[ScoreEstimate]:
    """One metric of all configurations in one condition, judged as the images as they are."""
    units = judgement.units
    scored = [
        over_repeats(
            {metric.name: [unit_scores(metric, repeat, units) for repeat in repeats]},
            unit_folds=np.stack([units.folds(repeat) for repeat in repeats]),
        )
        for repeats in outputs
    ]
    return [
        ScoreEstimate(estimate=own.estimates[metric.name], low=low, high=high)
        for own, (low, high) in zip(scored, judgement.table_of(metric, scored).intervals, strict=True)
    ]
