"""The walk from a study file to a report, one step a line: what `foldwise check` and `foldwise run` do, in order."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.data.cases import Dataset
from foldwise.data.checks.audit import Audit, audit
from foldwise.data.folds.splits import Split, make_splits, split_digest, write_splits
from foldwise.data.reading.layouts import read_dataset
from foldwise.data.store.packed import Packed, pack
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.judging.metrics import choose_metric
from foldwise.judging.outputs import FAMILIES
from foldwise.judging.verdict import judge
from foldwise.learning.keeping.winner import make_winner
from foldwise.reporting.report import write_report
from foldwise.study.configurations import Configuration, configurations
from foldwise.study.folder import RunFolder, write_json, written_whole
from foldwise.study.machine import machine
from foldwise.study.plan import Plan, make_plan
from foldwise.study.reading import locate, read_study
from foldwise.study.spec import Study
from foldwise.work import STEP_VERSIONS

if TYPE_CHECKING:
    from foldwise.learning.fitting.estimate import Estimate

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before any training."""

    path: Path
    study: Study
    dataset: Dataset
    packed: Packed
    audit: Audit
    splits: tuple[Split, ...]
    configurations: tuple[Configuration, ...]
    plan: Plan
    overrides: tuple[str, ...] = ()


def prepare(path: Path, *, overrides: Sequence[str] = (), progress: Progress | None = None) -> Prepared:
    """Read the study, decode and audit its images, make the folds and the plan. Nothing is trained.

    Raises:
        SpecError: the study asks for what does not exist.
        DataError: the images, masks or labels are not usable; every problem is named at once.
    """
    study = read_study(path, list(overrides))
    asked = configurations(study)
    dataset = read_dataset(study.data, base=path.resolve().parent, group=study.validate_.group)
    packed = pack(dataset, study.data, progress=progress)
    found = audit(dataset, packed, study.validate_)
    refuse(found)
    splits = make_splits(dataset, packed, groups=found.groups, validation=study.validate_, seed=study.seed)
    digests = [(split.repeat, split.fold, split_digest(split, packed.digest)) for split in splits]
    plan = make_plan(
        study, asked, task=dataset.task, packed_digest=packed.digest, splits=digests, steps=STEP_VERSIONS
    )
    return Prepared(path, study, dataset, packed, found, splits, asked, plan, tuple(overrides))


def refuse(found: Audit) -> None:
    """Raise what the audit calls an error, all of it at once."""
    errors = [
        DataError(finding.message, cure=finding.cure)
        for finding in found.findings
        if finding.severity == "error"
    ]
    if errors:
        raise DataError.together(errors)


@dataclass(frozen=True)
class Costs:
    """What the plan will take on this machine, by configuration id; an estimate from one tiny step each."""

    of: dict[str, Estimate]
    notes: tuple[str, ...]

    def seconds(self, plan: Plan) -> float:
        """Worker-seconds of the whole plan; shared features are counted once."""
        fits = [item for item in plan.items if item.kind == "fit"]
        passes = {
            need: self.of[item.settings["configuration"]].seconds_for_features
            for item in fits
            for need in item.needs
        }
        return sum(self.of[item.settings["configuration"]].seconds_per_fit for item in fits) + sum(
            passes.values()
        )

    def memory_mb(self) -> float:
        """Of the hungriest configuration, for one worker."""
        return max(estimate.memory_mb for estimate in self.of.values())


def check_models(prepared: Prepared, *, device: str = "auto") -> Costs:
    """Build every configuration once, so that a wrong name, option, file or device is found before any training.

    Args:
        prepared: the study and its data.
        device: for settings that say auto.

    Raises:
        SpecError: every metric, model, head, loss, optimiser or schedule that does not exist or fit, all at once.
        MissingExtra: weights or a device that are not here.
    """
    import torch

    from foldwise.learning.fitting.devices import pick_device
    from foldwise.learning.fitting.estimate import Looks, estimate
    from foldwise.learning.networks.models import describe

    torch.set_num_threads(prepared.study.threads)
    check_metrics(prepared)
    for asked in {configuration.training.device for configuration in prepared.configurations}:
        pick_device(device if asked == "auto" else asked)
    smallest = min(prepared.splits, key=lambda split: len(split.train))
    height, width = prepared.packed.shapes.max(axis=0)
    looks = Looks(len(smallest.inner), len(smallest.test), (int(height), int(width)))
    costs: dict[str, Estimate] = {}
    notes: list[str] = []
    errors: list[FoldwiseError] = []
    for configuration in prepared.configurations:
        shape = _shape(configuration, prepared)
        try:
            notes += describe(configuration.training, **shape).warnings
            costs[configuration.id] = estimate(
                configuration.training, **shape, images=len(smallest.train), looks=looks
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
            errors.append(SpecError(what, where=f"{prepared.path.name}, {configuration.name}", cure=cure))
    if errors:
        raise type(errors[0]).together(errors)
    return Costs(costs, tuple(dict.fromkeys(notes)))


def check_metrics(prepared: Prepared) -> None:
    """Refuse a metric that the task does not have.

    Raises:
        SpecError: says which key, and the metrics of the task.
    """
    from foldwise.learning.fitting.scoring import selector

    asked, task = prepared.study.judge, prepared.dataset.task
    errors: list[FoldwiseError] = []
    for key, choose_it in (
        ("metric", lambda: choose_metric(asked.metric, FAMILIES[task])),
        ("select", lambda: selector(asked.select, task)),
    ):
        try:
            choose_it()
        except SpecError as error:
            errors.append(SpecError(error.what, where=locate(prepared.path, ("judge", key)), cure=error.cure))
    if errors:
        raise SpecError.together(errors)


def _named(error: FoldwiseError, configuration: Configuration, prepared: Prepared) -> str:
    place = f"{prepared.path.name}, {configuration.name}"
    return f"{place}, {error.where}" if error.where else place


def _shape(configuration: Configuration, prepared: Prepared) -> dict[str, Any]:
    """What a network must fit: the task, channels, classes, and the size it is trained on."""
    largest = prepared.packed.shapes.max(axis=0)
    crop = configuration.training.crop_px
    return {
        "task": prepared.dataset.task,
        "in_channels": prepared.packed.num_channels,
        "num_classes": len(prepared.dataset.classes),
        "size_hw": (crop, crop) if crop else (int(largest[0]), int(largest[1])),
    }


def lay_out(prepared: Prepared, root: Path) -> RunFolder:
    """Write what was asked and found into the run folder; items already done there stay done."""
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    with written_whole(folder.study) as scratch:
        scratch.write_bytes(prepared.path.read_bytes())
    folder.save_study(prepared.study)
    _write_cases(folder, prepared)
    write_json(folder.audit, _audit_record(prepared))
    write_splits(folder.splits, prepared.splits, prepared.dataset)
    write_json(folder.environment, environment(prepared))
    folder.save_plan(prepared.plan)
    return folder


def _write_cases(folder: RunFolder, prepared: Prepared) -> None:
    columns = [
        "index",
        "name",
        "image",
        "mask",
        "labels",
        "group",
        "width",
        "height",
        "mode",
        "format",
        "pixel_digest",
    ]
    with written_whole(folder.cases) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for case, group, measure in zip(
            prepared.dataset.cases, prepared.audit.groups, prepared.packed.measures, strict=True
        ):
            labels = " ".join(str(label) for label in case.labels)
            size = [
                measure.original_width,
                measure.original_height,
                measure.mode,
                measure.format,
                measure.pixel_digest,
            ]
            rows.writerow([case.index, case.name, case.image, case.mask or "", labels, group, *size])


def _audit_record(prepared: Prepared) -> dict[str, Any]:
    return {
        "findings": [asdict(finding) for finding in prepared.audit.findings],
        "statements": list(prepared.dataset.statements),
        "layout": prepared.dataset.layout,
        "task": prepared.dataset.task,
        "classes": list(prepared.dataset.classes),
    }


def environment(prepared: Prepared) -> dict[str, Any]:
    """Versions, machine, digests and seeds: what someone needs who wants the same numbers again."""
    study, splits = prepared.study.model_dump(mode="json"), prepared.splits
    return machine() | {
        "overrides": list(prepared.overrides),
        "seed": prepared.study.seed,
        "threads": prepared.study.threads,
        "packed_digest": prepared.packed.digest,
        "study_digest": _digest(json.dumps(study, sort_keys=True)),
        "splits_digest": _digest(repr([(split.repeat, split.fold, split.test.tolist()) for split in splits])),
    }


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def finish(folder: RunFolder) -> dict[str, Any]:
    """Judge what is done, write the report, and lay the winner out for prediction; the verdict."""
    verdict = judge(folder)
    _hand_over(folder, verdict)
    write_report(folder)
    return verdict


def _hand_over(folder: RunFolder, verdict: dict[str, Any]) -> None:
    if not verdict["answer"]:
        return
    chosen = verdict["answer"]["configuration"]
    fits = [item for item in folder.load_plan().items if item.settings.get("configuration") == chosen]
    done = [folder.done(item.id) for item in fits if item.settings["repeat"] == 0]
    make_winner(done, folder.winner, verdict=verdict)
