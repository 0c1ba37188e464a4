"""Tasks: what does an item of each kind.

A task gets a `Job` and gives the content of the item's ``result.json``; what it makes it writes into the job's
scratch folder. The only module that knows every task; torch is imported when a task that needs it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from foldwise.learning.job import Job

Result = dict[str, Any]


def _features(job: Job) -> Result:
    from foldwise.learning.training.shared_items import features_item

    return features_item(job)


def _pretrain(job: Job) -> Result:
    from foldwise.learning.training.shared_items import pretrain_item

    return pretrain_item(job)


def _fit(job: Job) -> Result:
    from foldwise.learning.training.fit import fit_item

    return fit_item(job)


def _measure(job: Job) -> Result:
    from foldwise.insight.throughput import measure_item

    return measure_item(job)


def _preview(job: Job) -> Result:
    from foldwise.insight.preview import preview_item

    return preview_item(job)


def _shallow(job: Job) -> Result:
    from foldwise.insight.shallow_baselines import shallow_item

    return shallow_item(job)


def _robustness(job: Job) -> Result:
    from foldwise.insight.robustness import robustness_item

    return robustness_item(job)


def _landscape(job: Job) -> Result:
    from foldwise.insight.landscape_item import landscape_item

    return landscape_item(job)


# One row for each row of `foldwise.runs.items.KINDS`.
TASKS: dict[str, Callable[[Job], Result]] = {
    "fit": _fit,
    "features": _features,
    "pretrain": _pretrain,
    "shallow": _shallow,
    "aa_test": _fit,
    "robustness": _robustness,
    "landscape": _landscape,
    "preview": _preview,
    "measure": _measure,
}
