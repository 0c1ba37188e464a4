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

from foldwise.data.audit import Audit, audit
from foldwise.data.cases import Dataset
from foldwise.data.layouts import read_dataset
from foldwise.data.packed import Packed, pack
from foldwise.data.splits import Split, make_splits, split_digest, write_splits
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.judging.verdict import judge
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
RECORDED = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy", "scipy", "scikit-learn", "pillow")


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
    plan = make_plan(study, asked, task=dataset.task, packed_digest=packed.digest, splits=digests, steps=STEP_VERSIONS)
    return Prepared(path, study, dataset, packed, found, splits, asked, plan)


def refuse(found: Audit) -> None:
    """Raise what the audit calls an error, all of it at once."""
    errors = [DataError(finding.message, cure=finding.cure) for finding in found.findings if finding.severity == "error"]
    if errors:
        raise DataError.together(errors)


@dataclass(frozen=True)
class Costs:
    """What the plan will take on this machine, by configuration id; an estimate from one tiny step each."""

    of: dict[str, Estimate]

    def seconds(self, plan: Plan) -> float:
        """Worker-seconds of the whole plan."""
        fits = [item.settings["configuration"] for item in plan.items if item.kind == "fit"]
        return sum(self.of[configuration].seconds_per_fit for configuration in fits)

    def memory_mb(self) -> float:
        """Of the hungriest configuration, for one worker."""
        return max(estimate.memory_mb for estimate in self.of.values())


def check_models(prepared: Prepared) -> Costs:
    """Build every configuration once, so that a wrong name or option is found before any training.

    Raises:
        SpecError: every model, head, loss, optimiser or schedule that cannot be built, all at once.
    """
    from foldwise.learning.estimate import estimate

    smallest = min(prepared.splits, key=lambda split: len(split.train))
    estimates: dict[str, Estimate] = {}
    errors: list[FoldwiseError] = []
    for configuration in prepared.configurations:
        try:
            estimates[configuration.id] = estimate(
                configuration.training,
                task=prepared.dataset.task,
                in_channels=prepared.packed.num_channels,
                num_classes=len(prepared.dataset.classes),
                size_hw=_training_size(configuration, prepared.packed),
                images=len(smallest.train),
            )
        except FoldwiseError as error:
            errors.append(SpecError(error.what, where=f"{prepared.path.name}, {configuration.name}", cure=error.cure))
    if errors:
        raise SpecError.together(errors)
    return Costs(estimates)


def _training_size(configuration: Configuration, packed: Packed) -> tuple[int, int]:
    largest = packed.shapes.max(axis=0)
    crop = configuration.training.crop_px
    return (crop, crop) if crop else (int(largest[0]), int(largest[1]))


def lay_out(prepared: Prepared, root: Path) -> RunFolder:
    """Write what was asked and found into the run folder; items already done there stay done."""
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    with written_whole(folder.study) as scratch:
        scratch.write_bytes(prepared.path.read_bytes())
    _write_cases(folder, prepared)
    write_json(folder.audit, _audit_record(prepared))
    write_splits(folder.splits, prepared.splits, prepared.dataset)
    write_json(folder.environment, environment(prepared))
    folder.save_plan(prepared.plan)
    return folder


def _write_cases(folder: RunFolder, prepared: Prepared) -> None:
    columns = ["index", "name", "image", "mask", "labels", "group", "width", "height", "mode", "format", "pixel_digest"]
    with written_whole(folder.cases) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for case, group, measure in zip(prepared.dataset.cases, prepared.audit.groups, prepared.packed.measures, strict=True):
            labels = " ".join(str(label) for label in case.labels)
            size = [measure.original_width, measure.original_height, measure.mode, measure.format, measure.pixel_digest]
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
        "study_digest": sha256(json.dumps(prepared.study.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16],
        "splits_digest": sha256(repr([(s.repeat, s.fold, s.test.tolist()) for s in prepared.splits]).encode()).hexdigest()[:16],
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
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip() or None  # noqa: S603
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
    from foldwise.learning.winner import make_winner

    chosen = verdict["answer"]["configuration"]
    fits = [item for item in folder.load_plan().items if item.settings.get("configuration") == chosen]
    done = [folder.done(item.id) for item in fits if item.settings["repeat"] == 0]
    make_winner(done, folder.winner, verdict=verdict)


__all__ = ["Costs", "Prepared", "check_models", "finish", "lay_out", "locate", "prepare"]
