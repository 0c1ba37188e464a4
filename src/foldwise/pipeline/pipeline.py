"""The walk from a study file to a report, one step a line: what `foldwise check` and `foldwise run` do, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from foldwise.data.audit.audit import Audit, audit
from foldwise.data.cache.packed import Packed
from foldwise.data.cache.packing import pack
from foldwise.data.cases import Dataset
from foldwise.data.folds.splits import Split, make_splits, split_digest, write_splits
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.public.study_source import source_facts, with_source
from foldwise.data.record import audit_record, statistics, write_cases, write_rows
from foldwise.errors import DataError
from foldwise.judging.judge import judge
from foldwise.learning.checkpoints.winner import make_winner
from foldwise.reporting.report import write_report
from foldwise.run.cleanup import sweep
from foldwise.run.environment import machine
from foldwise.run.folder import RunFolder, read_json, write_json, written_whole
from foldwise.run.plan import Plan, make_plan
from foldwise.study.configurations import Configuration, configurations
from foldwise.study.label_groups import in_groups
from foldwise.study.reading import findable, locate, read_study
from foldwise.study.spec import Study

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
    variants: tuple[str, ...] = ()

    def locate(self, *keys: str) -> str:
        """Where a key of the study was set."""
        return locate(self.path, keys, self.overrides, self.variants)


def prepare(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    progress: Progress | None = None,
) -> Prepared:
    """Read the study, decode and audit its images, make the folds and the plan. Nothing is trained.

    Args:
        path: the study file.
        overrides: changes, such as ``train.epochs=2``.
        variants: names of variants of the file, which are laid over it first, in this order.
        progress: told how many images are decoded.

    Raises:
        SpecError: the study asks for what does not exist.
        DataError: the images, masks or labels are not usable; every problem is named at once.
    """
    study = with_source(read_study(path, overrides, variants), path.resolve().parent)
    asked = configurations(study)
    dataset = read_dataset(study.data, base=path.resolve().parent, group=study.validate_.group)
    asked = in_groups(asked, task=dataset.task, classes=dataset.classes)
    packed = pack(dataset, study.data, progress=progress)
    found = audit(dataset, packed, study.validate_)
    refuse(found)
    splits = make_splits(dataset, packed, groups=found.groups, validation=study.validate_, seed=study.seed)
    digests = [(split.repeat, split.fold, split_digest(split, packed.digest)) for split in splits]
    plan = make_plan(study, asked, task=dataset.task, packed_digest=packed.digest, splits=digests)
    how = tuple(overrides), tuple(variants)
    return Prepared(path, study, dataset, packed, found, splits, asked, plan, *how)


def refuse(found: Audit) -> None:
    """Raise what the audit calls an error, all of it at once."""
    errors = [
        DataError(finding.message, cure=finding.cure)
        for finding in found.findings
        if finding.severity == "error"
    ]
    if errors:
        raise DataError.together(errors)


def lay_out(prepared: Prepared, root: Path) -> RunFolder:
    """Write what was asked and found into the run folder; items already done there stay done."""
    folder = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    with written_whole(folder.study_file) as scratch:
        scratch.write_bytes(prepared.path.read_bytes())
    folder.save_study(findable(prepared.study, prepared.path.resolve().parent))
    write_cases(folder.cases, prepared.dataset, prepared.packed, prepared.audit)
    source = source_facts(prepared.study.data)
    write_json(folder.audit, audit_record(prepared.dataset, prepared.audit, source))
    write_splits(folder.splits, prepared.splits, prepared.dataset)
    found = prepared.audit.groups
    write_rows(folder.statistics, statistics(prepared.dataset, prepared.packed, prepared.splits, found))
    write_json(folder.environment, environment(prepared))
    folder.save_plan(prepared.plan)
    return folder


def environment(prepared: Prepared) -> dict[str, Any]:
    """Versions, machine, digests and seeds: what someone needs who wants the same numbers again."""
    study, splits = prepared.study.model_dump(mode="json"), prepared.splits
    return machine() | {
        "overrides": list(prepared.overrides),
        "variants": list(prepared.variants),
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
    verdict = judge(folder).dump()
    _hand_over(folder, verdict)
    write_report(folder)
    return verdict


def _hand_over(folder: RunFolder, verdict: dict[str, Any]) -> None:
    if not verdict["answer"]:
        return
    chosen = verdict["answer"]["configuration"]
    items = folder.load_plan().items
    fits = [item for item in items if item.kind == "fit" and item.settings["configuration"] == chosen]
    done = [folder.done(item.id) for item in fits if item.settings["repeat"] == 0]
    make_winner(done, folder.winner, verdict=verdict, channels=read_json(folder.audit).get("channels", ()))
