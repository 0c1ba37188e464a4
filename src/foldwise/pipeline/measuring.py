"""Speed measured when somebody asks for it: of the models of a study, of those that a run compared, or of one model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from foldwise.errors import ItemsFailed, RunError, SpecError
from foldwise.judging.sections.auxiliary import throughput_section
from foldwise.judging.verdict import read_verdict
from foldwise.judging.verdict_configurations import ModelThroughput
from foldwise.learning.training.devices import devices_here, pick_device, precision_for
from foldwise.pipeline.options import Observer, RunOptions
from foldwise.pipeline.preflight import check_measured
from foldwise.pipeline.preparing import as_stated, fetch, lay_out, prepare, run_root
from foldwise.pipeline.worker import code_named, do_item
from foldwise.runs.auxiliary import read_auxiliary
from foldwise.runs.folder import RunFolder
from foldwise.runs.items import NUM_PACES, TRAINED, Item
from foldwise.runs.plan import Plan
from foldwise.runs.planning import speeds
from foldwise.study.own_code import own_names, refuse_untrusted, trusting
from foldwise.study.reading import StudyFile
from foldwise.study.spec import Measuring, Study
from foldwise.study.training import Training
from foldwise.study.validation_errors import with_options
from foldwise.text import count

SECONDS = 60.0
LEAST_S = 3.0  # for one model with one cache; with less there is one repeat of most numbers
TIMED = 0.5  # of the time of an item; the rest is what warms up and what is set up
Beat = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class SpeedRequest:
    """What is to be measured, and how long that may take.

    Attributes:
        options: of `measure` in the study what is to be otherwise; those that are None are not.
        devices: names of devices; all of this machine where empty.
        seconds: for all of it together, beside loading the program and its images.
    """

    options: Mapping[str, Any]
    devices: tuple[str, ...] = ()
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= 86400:
            raise SpecError(
                f"{self.seconds:g} is no time to measure in", where="--seconds", cure="Write 1 to 86400."
            )


@dataclass(frozen=True)
class Speeds:
    """What was measured, and in a sentence each what was not tried."""

    folder: RunFolder
    rows: tuple[ModelThroughput, ...]
    not_tried: tuple[str, ...]

    def __repr__(self) -> str:
        measured = count(sum(row.error is None for row in self.rows), "row")
        return "\n".join(
            (
                f"{measured} of speeds in {self.folder.root}",
                *(f"not measured: {each}" for each in self.not_tried),
            )
        )

    def fail_if_none(self) -> None:
        """Raise ItemsFailed where nothing could be measured."""
        if self.rows and all(row.error for row in self.rows):
            raise ItemsFailed(self.rows[0].error or "", where=self.rows[0].title)


def measure_study(
    file: StudyFile, request: SpeedRequest, options: RunOptions, observer: Observer, *, beat: Beat
) -> Speeds:
    """Measure the models of a study; its images are decoded, and nothing is trained.

    It has a folder of its own, `options.out` or the run folder with ``-speed``, so that no run is laid over.
    """
    with as_stated(file):
        if options.fetch:
            fetch(file, observer.fetching, observer.fetched)
        prepared = prepare(file, progress=observer.decoding)
        trainings = [row.training for row in prepared.configurations]
        check_measured(prepared, trainings)
        beside = run_root(file, None)
        folder = lay_out(prepared, options.out or beside.with_name(f"{beside.name}-speed"))
        return _measure(folder, trainings, request, beat)


def measure_run(folder: RunFolder, request: SpeedRequest, *, trust_code: bool = False, beat: Beat) -> Speeds:
    """Measure the models of a run, the winner's first; its next report shows them.

    Raises:
        RunError: a search has chosen nothing yet.
    """
    with trusting(code_named(folder) if trust_code else ()):
        trainings = _of_run(folder, folder.load_plan())
        refuse_untrusted(
            own_names([each.model_dump(mode="json") for each in trainings]), where=str(folder.root)
        )
        return _measure(folder, trainings, request, beat)


def _of_run(folder: RunFolder, plan: Plan) -> list[Training]:
    """The trainings that are compared, the winner's first; of a search those that it chose."""
    of = {row.id: row.training for row in plan.configurations}
    if plan.searches:
        chosen = [item.settings for item in plan.items if item.kind == "fit"]
        if not chosen:
            what, cure = (
                "the search of this run has chosen nothing yet",
                "Wait for its first fit, or name a study.",
            )
            raise RunError(what, where=str(folder.root), cure=cure)
        of = {each["configuration"]: Training.model_validate(each["training"]) for each in reversed(chosen)}
    answer = read_verdict(folder.verdict).answer if folder.verdict.is_file() else None
    first = answer.configuration if answer else None
    return [of[id] for id in sorted(of, key=lambda id: id != first)]


def _measure(folder: RunFolder, trainings: Sequence[Training], request: SpeedRequest, beat: Beat) -> Speeds:
    plan = folder.load_plan()
    fold = next(item.settings for item in plan.items if item.kind in TRAINED)
    items, not_tried = _items(folder.load_study(), trainings, fold, request)
    planned = {item.id for item in plan.items}
    for name in folder.committed():  # what was measured by hand before is measured anew
        if name.startswith("measure-") and name not in planned:
            folder.withdraw(name)
    for number, item in enumerate(items, 1):
        do_item(folder, item, beat=partial(_about, beat, f"{number} of {len(items)}: {item.title}"))
    of_these = replace(plan, items=tuple(items))
    rows = [row for row in read_auxiliary(folder, of_these) if row.item in {item.id for item in items}]
    return Speeds(folder, throughput_section(rows), not_tried)


def _about(beat: Beat, title: str, progress: dict[str, Any]) -> None:
    beat({"doing": f"{title}, {progress['doing']}"})


def _items(
    study: Study, trainings: Sequence[Training], fold: Mapping[str, Any], request: SpeedRequest
) -> tuple[list[Item], tuple[str, ...]]:
    """What is measured in the time there is, each item with an equal share of it; and in a sentence each what is not."""
    stated = {name: value for name, value in request.options.items() if value is not None}
    usual = Measuring(caches=("disk", "none", "features"), precisions=("fp32", "bf16"))
    measuring = with_options(usual, stated, under="measure")
    devices = [pick_device(name) for name in request.devices] or devices_here()
    models = {str(training.model): training for training in reversed(trainings)}
    names = list(dict.fromkeys(str(training.model) for training in trainings))

    def of(name: str, budget_s: float) -> list[Item]:
        seconds = TIMED * budget_s / (NUM_PACES * len(set(measuring.batch_sizes)))
        timed = measuring.model_copy(update={"seconds": seconds})
        return [
            item
            for device in devices
            for item in speeds(study, timed, [_on(models[name], device)], fold, budget_s=budget_s)
        ]

    numbers = np.cumsum([len(of(name, LEAST_S)) for name in names])
    num_models = max(1, int(np.sum(numbers * LEAST_S <= request.seconds)))
    budget_s = request.seconds / int(numbers[num_models - 1])
    items = [item for name in names[:num_models] for item in of(name, budget_s)]
    not_tried = [f"{name}: no time; ask for more --seconds" for name in names[num_models:]]
    if "features" in measuring.caches and not any(item.settings.get("features") for item in items):
        not_tried.append("cached features: no encoder is frozen, of which fits would share the outputs")
    return items, tuple(not_tried)


def _on(training: Training, device: torch.device) -> Training:
    """The same training on a device, in the precision that it has there."""
    changed = {"device": device.type, "precision": precision_for(training.precision, device)}
    return training.model_copy(update=changed)
