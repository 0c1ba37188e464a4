"""The walk from a study file to a report, one step a line: what `foldwise check` and `foldwise run` do, in order."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foldwise.data.cases import Dataset
from foldwise.data.checks.audit import Audit, audit
from foldwise.data.folds.splits import Split, make_splits, split_digest, write_splits
from foldwise.data.reading.layouts import read_dataset
from foldwise.data.store.packed import Packed, pack
from foldwise.errors import DataError, FoldwiseError
from foldwise.judging.verdict import judge
from foldwise.learning.winner import make_winner
from foldwise.reporting.report import write_report
from foldwise.study.configurations import Configuration, configurations
from foldwise.study.folder import RunFolder, write_json, written_whole
from foldwise.study.plan import Plan, make_plan
from foldwise.study.reading import locate, read_study
from foldwise.study.spec import Study
from foldwise.work import STEP_VERSIONS

if TYPE_CHECKING:
    from foldwise.learning.estimate import Estimate

Progress = Callable[[int, int], None]
RECORDED = (
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
)


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
    return Prepared(path, study, dataset, packed, found, splits, asked, plan)


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


def check_models(prepared: Prepared) -> Costs:
    """Build every configuration once, so that a wrong name, option or weights file is found before any training.

    Raises:
        SpecError: every model, head, loss, optimiser or schedule that cannot be built, all at once.
    """
    import torch

    from foldwise.learning.estimate import estimate
    from foldwise.learning.models import describe

    torch.set_num_threads(prepared.study.threads)
    smallest = min(prepared.splits, key=lambda split: len(split.train))
    costs: dict[str, Estimate] = {}
    notes: list[str] = []
    errors: list[FoldwiseError] = []
    for configuration in prepared.configurations:
        shape = _shape(configuration, prepared)
        try:
            notes += describe(configuration.training, **shape).warnings
            costs[configuration.id] = estimate(configuration.training, **shape, images=len(smallest.train))
        except FoldwiseError as error:
            errors.append(
                type(error)(error.what, where=_named(error, configuration, prepared), cure=error.cure)
            )
    if errors:
        raise type(errors[0]).together(errors)
    return Costs(costs, tuple(dict.fromkeys(notes)))


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
    return {
        "foldwise": version("foldwise"),
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "packages": {name: _version(name) for name in RECORDED},
        "seed": prepared.study.seed,
        "threads": prepared.study.threads,
        "packed_digest": prepared.packed.digest,
        "study_digest": sha256(
            json.dumps(prepared.study.model_dump(mode="json"), sort_keys=True).encode()
        ).hexdigest()[:16],
        "splits_digest": sha256(
            repr([(s.repeat, s.fold, s.test.tolist()) for s in prepared.splits]).encode()
        ).hexdigest()[:16],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of foldwise itself where it runs from a checkout; None where it is installed."""
    try:
        asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
        return (
            subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
            or None
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


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


__all__ = ["Costs", "Prepared", "check_models", "finish", "lay_out", "locate", "prepare"]
