"""The preflight: everything a study asks for is tried once, at a tiny size, before anything is trained.

So that a wrong name, option, file or device is found by `foldwise check`, and the costs of the study are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.cache.packed import Packed, check_room
from foldwise.errors import FoldwiseError, SpecError
from foldwise.judging.scores.thresholds import choose_thresholds
from foldwise.judging.sections.boundary import check_boundary
from foldwise.learning.networks.lean_imports import without_compiler
from foldwise.learning.training.costs import Estimate, EvaluatedImages
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.table import choose_metric
from foldwise.pipeline.devices import refuse_device, shortages, waiting_here
from foldwise.pipeline.trials import EarlierTrials, Trial
from foldwise.resources import usable
from foldwise.runs.encoder_passes import advice_on_passes, shared_views
from foldwise.runs.items import TRAINED, Rates, seconds_of
from foldwise.runs.plan import HALVED_BY, Plan, Search, num_promoted, waiting_sentence, without
from foldwise.study.configurations import NUM_DRAWN
from foldwise.study.own_code import own_names, refuse_unimportable
from foldwise.study.training import Training

if TYPE_CHECKING:
    from foldwise.data.folds.splits import Split
    from foldwise.learning.networks.describing import Description
    from foldwise.learning.networks.network import DataShape
    from foldwise.pipeline.preparing import Prepared


BYTES_PER_NUMBER = 4
MOMENTS = {"adam": 2, "adamw": 2, "rmsprop": 1}  # that an optimiser keeps of each gradient


@dataclass(frozen=True)
class Costs:
    """What the plan will take on this machine, by configuration id; an estimate from one tiny step each."""

    of: dict[str, Estimate]
    notes: tuple[str, ...]
    rates: Rates
    waits: frozenset[str]  # ids of items that ask for a device which is not here
    elsewhere: bool = False  # whether other machines do the work

    def seconds(self, plan: Plan) -> float:
        """Worker-seconds of what this machine can do; shared features and pretraining are counted once.

        With them all that searches are still to propose, by the mean of their arms; at most their hours.
        """
        to_come = sum(_seconds_to_come(search, self.rates) for search in plan.searches)
        return seconds_of(without(plan, self.waits).items, self.rates) + to_come

    def memory_mb(self) -> float:
        """Of the hungriest configuration, for one worker."""
        return max(estimate.memory_mb for estimate in self.of.values())


def _seconds_to_come(search: Search, rates: Rates) -> float:
    of_one = rates.seconds_per_fit[search.configuration]
    trials_s = (search.num_trials - len(search.trials)) * of_one
    if search.halving:
        trials_s = trials_s / HALVED_BY + num_promoted(search.num_trials) * of_one
    return of_one + (trials_s if search.seconds is None else min(trials_s, search.seconds))


def preflight(
    prepared: Prepared,
    *,
    device: str = "auto",
    elsewhere: bool = False,
    run: Path = Path("runs"),
    trying: Callable[[int, int], None] | None = None,
) -> Costs:
    """Build every configuration once, so that a wrong name, option, file or device is found before any training.

    Args:
        device: for settings that say auto.
        elsewhere: whether other machines do the work, so that it does not matter which devices are here.
        run: the run folder, or one above it.
        trying: called with how many configurations are tried, and of how many.

    Raises:
        SpecError: every metric, model, head, loss, optimiser or schedule that does not exist or fit, all at once.
        MissingExtra: weights that are not here, or no configuration asks for a device that is.
    """
    _check_metrics(prepared)
    waits = frozenset() if elsewhere else waiting_here(prepared.plan)
    if not waits and not elsewhere:
        for wanted in {configuration.training.device for configuration in prepared.configurations}:
            refuse_device(device if wanted == "auto" else wanted)
    smallest = min(prepared.splits, key=lambda split: len(split.train))
    costs, notes = _tried(prepared, smallest, trying or (lambda done, total: None))
    notes += [*(code.sentence for code in prepared.own_code), *advice_on_passes(prepared.plan.items)]
    notes += shortages(prepared.plan, costs, run, elsewhere=elsewhere)
    if sentence := waiting_sentence(prepared.plan, waits):
        notes.insert(0, sentence)
    check_measured(prepared)
    _check_baselines(prepared)
    _check_look(prepared)
    return Costs(costs, tuple(dict.fromkeys(notes)), _rates(prepared, costs, smallest), waits, elsewhere)


def _rates(prepared: Prepared, costs: Mapping[str, Estimate], smallest: Split) -> Rates:
    packed = prepared.packed
    fits = [item for item in prepared.plan.items if item.kind in TRAINED]
    parts = {item.id: item.settings.get("images", (0, 1))[1] for item in prepared.plan.items}
    shared = {
        need: costs[fit.settings["configuration"]].seconds_before / parts[need]
        for fit in fits
        for need in fit.needs
    }
    return Rates(
        seconds_per_fit={name: cost.seconds_per_fit for name, cost in costs.items()},
        seconds_per_test={name: cost.seconds_per_test for name, cost in costs.items()},
        seconds_shared=shared,
        million_pixels=float(packed.shapes.prod(axis=1).sum()) * packed.num_channels / 1e6,
        channels=packed.num_channels,
        num_train=len(smallest.train),
        num_test=len(smallest.test),
        pixels=int(packed.shapes.max(axis=0).prod()),
    )


def _tried(
    prepared: Prepared, smallest: Split, trying: Callable[[int, int], None]
) -> tuple[dict[str, Estimate], list[str]]:
    """What each configuration takes, by its id, and what is to be said of it; every error of all of them at once."""
    earlier, imported = EarlierTrials.of(prepared), set[str]()
    costs: dict[str, Estimate] = {}
    notes: list[str] = []
    errors: list[FoldwiseError] = []
    tried = prepared.tried
    for number, row in enumerate(tried, 1):
        trying(number, len(tried))
        if errors and row.is_drawn:
            continue  # what is wrong at an end of a range is so in the middle, and is said once
        where = f"{prepared.file.name}, {row.name}"
        try:
            trial = earlier.read(row.training)
            if trial is None:
                refuse_unimportable(own := own_names(row.training.model_dump(mode="json")), imported)
                with nullcontext() if own else without_compiler():  # own code may compile
                    trial = _try(row.training, prepared, smallest)
                earlier.keep(row.training, trial)
            costs[row.id] = trial.estimate
            notes += trial.notes
        except FoldwiseError as error:
            located = f"{where}, {error.where}" if error.where else where
            errors.append(type(error)(error.what, where=located, cure=error.cure))
        except (Exception, SystemExit) as error:  # of a user's own network or loss
            what = f"it cannot be trained: {type(error).__name__}: {error}"
            errors.append(
                SpecError(what, where=where, cure="Mend its code; docs/own-code.md says what is asked of it.")
            )
    if errors:
        raise type(errors[0]).together(errors)
    if prepared.study.search is not None:
        costs = {arm.id: _of_arm(arm.id, costs) for arm in prepared.configurations}
    return costs, notes


def _try(training: Training, prepared: Prepared, smallest: Split) -> Trial:
    """Build a configuration, train it on its smallest batch, and time a step of it."""
    import torch

    from foldwise.learning.networks.describing import describe
    from foldwise.learning.training.contract import SmallestBatch, check_training
    from foldwise.learning.training.estimate import estimate, slower_in_bf16

    # As workers are limited, so that a step tried here takes as long as one of theirs.
    torch.set_num_threads(prepared.study.threads)
    shape = _shape(training, prepared)
    description = describe(training, shape)
    _refuse_huge(description, training.optimizer.name)
    check_training(training, shape, SmallestBatch.of(training, prepared.packed, prepared.splits))
    evaluated = _evaluated(training, prepared.packed, smallest)
    square = None if prepared.study.search else prepared.packed.is_square
    views = shared_views(prepared.study, training, shape.task, square=square)
    costs = estimate(training, shape, images=len(smallest.train), evaluated=evaluated, stored=bool(views))
    slower = slower_in_bf16(training, shape)
    fixed = f"cache_views: {training.views_sentence}" if training.fixed_views else None
    return Trial(costs, (*description.warnings, *filter(None, (slower, fixed))))


def _of_arm(arm: str, costs: Mapping[str, Estimate]) -> Estimate:
    """What a trial of an arm takes: the mean of those that were drawn at random, and the memory of the hungriest of all."""
    every = [cost for name, cost in costs.items() if name.rpartition("-")[0] == arm]
    drawn = every[-NUM_DRAWN:]
    hungriest = max(every, key=lambda cost: cost.memory_mb)
    mean_s = float(np.mean([cost.seconds_per_fit for cost in drawn]))
    test_s = float(np.mean([cost.seconds_per_test for cost in drawn]))
    return replace(hungriest, seconds_per_fit=mean_s, seconds_per_test=test_s)


def _refuse_huge(network: Description, optimizer: str) -> None:
    """Refuse a network that this machine cannot hold while it is trained, before it is built."""
    import torch

    numbers, there = network.parameters, usable().memory
    if not torch.cuda.is_available():  # else they lie in another memory, of which an error speaks soon
        numbers += network.trainable_parameters * (1 + MOMENTS.get(optimizer, 0))
    if (need := numbers * BYTES_PER_NUMBER) > there:
        what = f"the network has {network.parameters:,} parameters, which take {need / 1e9:,.0f} GB, and this machine has {there / 1e9:.0f} GB"
        raise SpecError(what, cure="Ask for fewer layers, or for narrower ones.")


def _evaluated(training: Training, packed: Packed, split: Split) -> EvaluatedImages:
    """The images that a fit of a split is asked about, by the pixels there really are."""
    shapes = packed.shapes
    height, width = shapes.max(axis=0).tolist()
    evaluated = np.concatenate([split.validation, split.test])
    # Images of a step are padded to the largest of them, and images of one source stand beside each other.
    order = np.random.default_rng(0).permutation(split.train)
    steps = np.array_split(order, -(-len(order) // training.batch_size))
    padded = [shapes[cases].max(axis=0).prod() for cases in steps]
    return EvaluatedImages(
        len(split.validation),
        len(split.test),
        (height, width),
        mean_px=float(shapes[evaluated].prod(axis=1).mean()),
        step_px=float(np.mean(padded)),
        sizes=len(np.unique(shapes[evaluated], axis=0)),
    )


@contextmanager
def _collecting(errors: list[SpecError], where: str) -> Iterator[None]:
    """Add a SpecError that is raised to `errors`, as one of this place in the study file."""
    try:
        yield
    except SpecError as error:
        errors.append(SpecError(error.what, where=where, cure=error.cure))


def check_measured(prepared: Prepared, trainings: Iterable[Training] = ()) -> None:
    """Refuse planned and other models whose speed cannot be measured, and images that are to fit into memory and do not."""
    items, errors = prepared.plan.items, list[SpecError]()
    measured = [item.settings["training"] for item in items if item.kind == "measure"]
    if measured := measured + [training.model_dump(mode="json") for training in trainings]:
        from foldwise.insight.throughput import check_measurable

        with _collecting(errors, prepared.file.locate("measure", "models")):
            check_measurable(measured, shape=lambda training: _shape(training, prepared))
    if errors:
        raise errors[0]
    if any(item.settings.get("training", {}).get("cache") == "memory" for item in items):
        check_room(prepared.packed)


def _check_baselines(prepared: Prepared) -> None:
    """Refuse shallow baselines that do not exist, are stated twice, or have no pixels to tell apart."""
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
        with _collecting(errors, where):
            check_baseline(baseline)
    if errors:
        raise SpecError.together(errors)


def _check_look(prepared: Prepared) -> None:
    """Refuse losses to look at that do not exist or do not fit."""
    if prepared.study.look is None or prepared.study.look.losses == "auto":
        return
    from foldwise.insight.landscape.criteria import check_losses

    task, classes = prepared.dataset.task, len(prepared.dataset.classes)
    where = prepared.file.locate("look", "losses")
    refuse_unimportable(own_names(prepared.study.look.losses), set())
    check_losses(prepared.study.look.losses, task=task, num_classes=classes, where=where)


def _check_metrics(prepared: Prepared) -> None:
    """Refuse a metric that the task does not have."""
    judging, family = prepared.study.judge, FAMILIES[prepared.dataset.task]
    errors: list[SpecError] = []
    for key, check in (
        ("metric", lambda: choose_metric(judging.metric, family)),
        ("select", lambda: choose_metric(judging.select, family, "select")),
        ("thresholds", lambda: choose_thresholds(judging.thresholds, family)),
        ("boundary", lambda: check_boundary(judging, family)),
    ):
        with _collecting(errors, prepared.file.locate("judge", key)):
            check()
    if errors:
        raise SpecError.together(errors)


def _shape(training: Training, prepared: Prepared) -> DataShape:
    """What the data ask of a network: images are of the size it is trained on."""
    from foldwise.learning.networks.network import DataShape

    largest = prepared.packed.shapes.max(axis=0)
    crop = training.crop_px
    size_hw = (crop, crop) if crop else (int(largest[0]), int(largest[1]))
    dataset = prepared.dataset
    return DataShape(dataset.task, prepared.packed.num_channels, len(dataset.classes), size_hw)
