"""The preflight: everything a study asks for is tried once, at a tiny size, before anything is trained.

So that a wrong name, option, file or device is found by `foldwise check`, and the costs of the study are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldwise.data.cache.caches import check_room
from foldwise.errors import FoldwiseError, SpecError
from foldwise.judging.scores.thresholds import choose_thresholds
from foldwise.judging.sections.boundary import check_boundary
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import choose_metric
from foldwise.pipeline.devices import waiting_here
from foldwise.runs.items import Rates, seconds_of
from foldwise.runs.plan import Plan, waiting_sentence, without
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Training

if TYPE_CHECKING:
    from foldwise.learning.networks.network import DataShape
    from foldwise.learning.training.estimate import Estimate, EvaluatedImages
    from foldwise.pipeline.preparing import Prepared


@dataclass(frozen=True)
class Costs:
    """What the plan will take on this machine, by configuration id; an estimate from one tiny step each."""

    of: dict[str, Estimate]
    notes: tuple[str, ...]
    rates: Rates
    waits: frozenset[str]  # ids of items that ask for a device which is not here

    def seconds(self, plan: Plan) -> float:
        """Worker-seconds of what this machine can do; shared features and pretraining are counted once."""
        return seconds_of(without(plan, self.waits).items, self.rates)

    def memory_mb(self) -> float:
        """Of the hungriest configuration, for one worker."""
        return max(estimate.memory_mb for estimate in self.of.values())


def preflight(prepared: Prepared, *, device: str = "auto") -> Costs:
    """Build every configuration once, so that a wrong name, option, file or device is found before any training.

    Args:
        prepared: the study and its data.
        device: for settings that say auto.

    Raises:
        SpecError: every metric, model, head, loss, optimiser or schedule that does not exist or fit, all at once.
        MissingExtra: weights that are not here, or no configuration asks for a device that is.
    """
    import torch

    from foldwise.learning.training.devices import pick_device
    from foldwise.learning.training.estimate import EvaluatedImages

    torch.set_num_threads(prepared.study.threads)
    check_metrics(prepared)
    waits = waiting_here(prepared.plan)
    for wanted in {configuration.training.device for configuration in prepared.configurations if not waits}:
        pick_device(wanted, device)
    smallest = min(prepared.splits, key=lambda split: len(split.train))
    height, width = prepared.packed.shapes.max(axis=0)
    evaluated = EvaluatedImages(len(smallest.validation), len(smallest.test), (int(height), int(width)))
    costs, notes = _tried(prepared, images=len(smallest.train), evaluated=evaluated)
    if sentence := waiting_sentence(prepared.plan, waits):
        notes.insert(0, sentence)
    check_measured(prepared)
    check_baselines(prepared)
    check_look(prepared)
    channels = prepared.packed.num_channels
    rates = Rates(
        seconds_per_fit={name: cost.seconds_per_fit for name, cost in costs.items()},
        seconds_per_test={name: cost.seconds_per_test for name, cost in costs.items()},
        seconds_shared=_seconds_shared(prepared.plan, costs),
        million_pixels=float(prepared.packed.shapes.prod(axis=1).sum()) * channels / 1e6,
        channels=channels,
        num_train=len(smallest.train),
        num_test=evaluated.test,
        pixels=int(height * width),
    )
    return Costs(costs, tuple(dict.fromkeys(notes)), rates, waits)


def _seconds_shared(plan: Plan, costs: dict[str, Estimate]) -> dict[str, float]:
    """What each item that fits share takes, by its id."""
    fits = [item for item in plan.items if item.kind == "fit"]
    return {need: costs[fit.settings["configuration"]].seconds_before for fit in fits for need in fit.needs}


def _tried(
    prepared: Prepared, *, images: int, evaluated: EvaluatedImages
) -> tuple[dict[str, Estimate], list[str]]:
    """What each configuration takes, by its id, and what is to be said of it; every error of all of them at once."""
    from foldwise.learning.networks.describing import describe
    from foldwise.learning.training.estimate import estimate

    costs: dict[str, Estimate] = {}
    notes: list[str] = []
    errors: list[FoldwiseError] = []
    for configuration in prepared.configurations:
        shape = _shape(configuration.training, prepared)
        try:
            notes += describe(configuration.training, shape).warnings
            costs[configuration.id] = estimate(
                configuration.training, shape, images=images, evaluated=evaluated
            )
        except FoldwiseError as error:
            errors.append(
                type(error)(error.what, where=_named(error, configuration, prepared), cure=error.cure)
            )
        except Exception as error:  # of a user's own network or loss
            what, cure = (
                f"it cannot be trained: {type(error).__name__}: {error}",
                "Mend its code; docs/study.md says what it gets.",
            )
            errors.append(
                SpecError(what, where=f"{prepared.file.path.name}, {configuration.name}", cure=cure)
            )
    if errors:
        raise type(errors[0]).together(errors)
    return costs, notes


def check_measured(prepared: Prepared) -> None:
    """Refuse models whose speed cannot be measured, and images to be held in memory where they do not fit.

    Raises:
        SpecError: says which model, or how large the images are.
    """
    from foldwise.insight.throughput import check_measurable

    items = prepared.plan.items
    measured = [item.settings["training"] for item in items if item.kind == "measure"]
    try:
        check_measurable(measured, shape=lambda training: _shape(training, prepared))
    except SpecError as error:
        where = prepared.file.locate("measure", "models")
        raise SpecError(error.what, where=where, cure=error.cure) from None
    if any(item.settings.get("training", {}).get("cache") == "memory" for item in items):
        check_room(prepared.packed)


def check_baselines(prepared: Prepared) -> None:
    """Refuse shallow baselines that do not exist, are stated twice, or have no pixels to tell apart.

    Raises:
        SpecError: all of them at once.
    """
    baselines, task = prepared.study.baselines, prepared.dataset.task
    if not baselines:
        return
    where = prepared.file.locate("baselines")
    if FAMILIES[task] != "segmentation":
        what = f"shallow baselines tell pixels apart, and this is a {task.replace('_', ' ')}"
        raise SpecError(what, where=where, cure="Remove baselines; trivial predictors are always judged.")
    from foldwise.insight.shallow_baselines import check_baseline

    errors = [
        SpecError(f"baselines states {baseline} twice", where=where, cure="Remove one.")
        for index, baseline in enumerate(baselines)
        if baseline in baselines[:index]
    ]
    for baseline in baselines:
        try:
            check_baseline(baseline)
        except SpecError as error:
            errors.append(SpecError(error.what, where=where, cure=error.cure))
    if errors:
        raise SpecError.together(errors)


def check_look(prepared: Prepared) -> None:
    """Refuse losses to look at that do not exist or do not fit.

    Raises:
        SpecError: all of them at once.
    """
    if prepared.study.look is None or prepared.study.look.losses == "auto":
        return
    from foldwise.insight.landscape.criteria import check_losses

    task, classes = prepared.dataset.task, len(prepared.dataset.classes)
    where = prepared.file.locate("look", "losses")
    check_losses(prepared.study.look.losses, task=task, num_classes=classes, where=where)


def check_metrics(prepared: Prepared) -> None:
    """Refuse a metric that the task does not have.

    Raises:
        SpecError: says which key, and the metrics of the task.
    """
    judging, task = prepared.study.judge, prepared.dataset.task
    errors: list[FoldwiseError] = []
    for key, choose_it in (
        ("metric", lambda: choose_metric(judging.metric, FAMILIES[task])),
        ("select", lambda: choose_metric(judging.select, FAMILIES[task], "select")),
        ("thresholds", lambda: choose_thresholds(judging.thresholds, FAMILIES[task])),
        ("boundary", lambda: check_boundary(judging, FAMILIES[task])),
    ):
        try:
            choose_it()
        except SpecError as error:
            errors.append(SpecError(error.what, where=prepared.file.locate("judge", key), cure=error.cure))
    if errors:
        raise SpecError.together(errors)


def _named(error: FoldwiseError, configuration: Configuration, prepared: Prepared) -> str:
    where = f"{prepared.file.path.name}, {configuration.name}"
    return f"{where}, {error.where}" if error.where else where


def _shape(training: Training, prepared: Prepared) -> DataShape:
    """What the data ask of a network: images are of the size it is trained on."""
    from foldwise.learning.networks.network import DataShape

    largest = prepared.packed.shapes.max(axis=0)
    crop = training.crop_px
    size_hw = (crop, crop) if crop else (int(largest[0]), int(largest[1]))
    dataset = prepared.dataset
    return DataShape(dataset.task, prepared.packed.num_channels, len(dataset.classes), size_hw)
