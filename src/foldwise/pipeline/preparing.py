"""Preparation: from a study file to everything that is known before any training, and its place in the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from foldwise.data.audit.audit import Audit, audit, audit_record, statistics, write_cases
from foldwise.data.cache.packed import Packed
from foldwise.data.cache.packing import pack, remove_pack
from foldwise.data.cache.unused import forget_unused
from foldwise.data.cases import Dataset
from foldwise.data.external_set import ExternalSet, read_external
from foldwise.data.folds.splits import Split, make_splits, split_digest, units_tested, write_splits
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.public.conversions import Progress as Fetching
from foldwise.data.public.getting import fetch_source, source_facts, with_source
from foldwise.errors import DataError, MissingExtra, SpecError
from foldwise.pipeline.record import machine_record
from foldwise.runs.encoder_passes import ImageSizes
from foldwise.runs.folder import RunFolder, write_json, written_whole
from foldwise.runs.items import count_kinds
from foldwise.runs.leases import clean_up
from foldwise.runs.plan import Plan
from foldwise.runs.planning import make_plan
from foldwise.runs.racing import plan_race
from foldwise.runs.searching.samplers import check_sampler
from foldwise.runs.searching.search import plan_searches
from foldwise.runs.share import refuse_file
from foldwise.sealed import Damaged, seal
from foldwise.storage import write_table
from foldwise.study.configurations import Configuration, configurations, in_groups, samples_of
from foldwise.study.own_code import OwnCode, own_code, own_names, trusting
from foldwise.study.reading import StudyFile, findable
from foldwise.study.spec import Study

Progress = Callable[[int, int], None]


@dataclass(frozen=True, repr=False)
class Prepared:
    """Everything that is known before any training.

    Attributes:
        file: the study file as it was read.
        study: what it asks, with what its public data set brings.
        external: the external set; None where the study has none.
    """

    file: StudyFile
    study: Study
    dataset: Dataset
    packed: Packed
    audit: Audit
    splits: tuple[Split, ...]
    configurations: tuple[Configuration, ...]
    plan: Plan
    external: ExternalSet | None = None

    def __repr__(self) -> str:
        names = ", ".join(row.name for row in self.configurations)
        checked = f"{self.study.study}: {names}; {count_kinds(self.plan.items)}"
        findings = [f"{each.severity}: {each.message}" for each in self.audit.findings]
        return "\n".join([*self.dataset.statements, *findings, checked])

    @property
    def tried(self) -> tuple[Configuration, ...]:
        """What is tried before training: every configuration, or of every arm of a search what shows its space."""
        searching = self.study.search
        if searching is None:
            return self.configurations
        return tuple(row for arm in self.configurations for row in samples_of(self.study, searching, arm))

    @property
    def own_code(self) -> list[OwnCode]:
        """The user's own code that the study names, each module once."""
        study = self.study.model_dump(mode="json", include={"look", "measure"})
        trainings = [row.training.model_dump(mode="json") for row in self.tried]
        by_module = {name.partition(":")[0]: name for name in sorted(own_names([study, trainings]))}
        return [own_code(name) for name in by_module.values()]


@contextmanager
def as_stated(file: StudyFile) -> Iterator[None]:
    """Within it, own code that the study names may be run, and errors name what the user has typed."""
    try:
        with trusting(own_names_of(file)):
            yield
    except (SpecError, DataError, MissingExtra) as error:
        file.restate(error)
        raise


def own_names_of(file: StudyFile) -> frozenset[str]:
    """The code of a study file that the user hands over himself: that is how he says that it may be run."""
    return own_names(file.study.model_dump(mode="json"), as_written=True)


def fetch(file: StudyFile, progress: Fetching, fetched: Callable[[Path], None]) -> None:
    """Get the public data set of a study, if it is not here yet; `fetched` is called with its folder where it was got now."""
    data = fetch_source(file.study, file.base, progress=progress)
    if data is not None:
        fetched(data)


def run_root(file: StudyFile, out: Path | None) -> Path:
    """Where the run of a study lies: each choice of variants has a folder of its own."""
    root = out or Path("runs") / "-".join([file.study.study, *file.variants])
    refuse_file(root)
    return root


def prepare(file: StudyFile, *, progress: Progress | None = None) -> Prepared:
    """Decode and audit the images of a study, make the folds and the plan. Nothing is trained.

    Args:
        progress: called with how many images are decoded, and of how many.

    Raises:
        SpecError: the study asks for what does not exist.
        DataError: the images, masks or labels are not usable; every problem is named at once.
    """
    try:
        return _prepared(file, progress)
    except Damaged as damage:
        if not remove_pack(damage):
            raise
        return _prepared(file, progress)


def _prepared(file: StudyFile, progress: Progress | None) -> Prepared:
    study = with_source(file.study, file.base)
    # Before the images: a slip in the study should not be said after minutes of decoding.
    compared = configurations(study)
    if study.search is not None:
        check_sampler(study.search.sampler, where=file.locate("search", "sampler"))
    division = study.validate_
    dataset = read_dataset(study.data, base=file.base, group=division.group, split=division.split)
    compared = in_groups(compared, task=dataset.task, classes=dataset.classes)
    packed = pack(dataset, study.data, progress=progress)
    forget_unused()
    audited = audit(dataset, packed, study.validate_, study.data)
    refuse(audited)
    external = read_external(
        study.data, dataset, packed, base=file.base, validation=division, progress=progress
    )
    if external is not None:
        dataset = replace(dataset, statements=(*dataset.statements, external.statement))
    splits = make_splits(dataset, packed, groups=audited.groups, validation=study.validate_, seed=study.seed)
    study = study.model_copy(update={"validate_": division.with_folds(len({split.fold for split in splits}))})
    digests = [(split.repeat, split.fold, split_digest(split, packed.digest)) for split in splits]
    about: dict[str, Any] = {"task": dataset.task, "packed_digest": packed.digest, "splits": digests}
    if study.search is None:
        pixels = int(packed.shapes.prod(axis=1).sum())
        plan = make_plan(study, compared, images=ImageSizes(len(packed), pixels, packed.is_square), **about)
        if study.validate_.race:
            units, where = units_tested(splits, audited.groups), file.locate("validate", "race")
            race = plan_race(study, compared, units, where=where)
            plan = replace(plan, race=race)
    else:
        plan = plan_searches(study, compared, **about)
    return Prepared(file, study, dataset, packed, audited, splits, compared, plan, external)


def refuse(audited: Audit) -> None:
    """Raise what the audit calls an error, all of it at once."""
    errors = [
        DataError(finding.message, cure=finding.cure, choices=finding.choices)
        for finding in audited.findings
        if finding.severity == "error"
    ]
    if errors:
        # Images that are held for one picture are one group: that may be all there is to mend.
        errors += [
            DataError(finding.message, cure=finding.cure)
            for finding in audited.findings
            if finding.code == "one_picture"
        ]
        raise DataError.together(errors)


def lay_out(prepared: Prepared, root: Path) -> RunFolder:
    """Write what was asked and what was read into the run folder; items already done there stay done."""
    folder = RunFolder(root)
    folder.logs.mkdir(parents=True, exist_ok=True)  # clusters write logs only where the folder is there
    clean_up(folder)
    with written_whole(folder.study_file) as scratch:
        scratch.write_bytes(prepared.file.source.data)
    folder.save_study(findable(prepared.study, prepared.file.base))
    write_cases(folder.cases, prepared.dataset, prepared.packed, prepared.audit)
    source = source_facts(prepared.study.data)
    write_json(folder.audit, audit_record(prepared.dataset, prepared.audit, source))
    write_splits(folder.splits, prepared.splits, prepared.dataset)
    if (external := prepared.external) is not None:
        lay_out_external(external, folder.external)
    groups = prepared.audit.groups
    write_table(folder.statistics, statistics(prepared.dataset, prepared.packed, prepared.splits, groups))
    write_json(folder.environment, environment(prepared))
    study, read = (folder.study_file, folder.study_record), (folder.cases, folder.audit, folder.splits)
    folder.save_plan(prepared.plan, beside=(*study, *read, folder.statistics, folder.environment))
    folder.stop.unlink(missing_ok=True)
    return folder


def lay_out_external(external: ExternalSet, folder: Path) -> None:
    """Write what an external set is, for the judge."""
    folder.mkdir(parents=True, exist_ok=True)
    write_cases(folder / "cases.csv", external.dataset, external.packed, external.audit)
    about = {"path": str(external.dataset.root), "packed": external.packed.digest}
    seal(folder / "set.json", about, [folder / "cases.csv"])


def environment(prepared: Prepared) -> dict[str, Any]:
    """Versions, machine, digests and seeds: what someone needs who wants the same numbers again."""
    study, splits = prepared.study.model_dump(mode="json"), prepared.splits
    return machine_record() | {
        "overrides": list(prepared.file.overrides),
        "variants": list(prepared.file.variants),
        "seed": prepared.study.seed,
        "threads": prepared.study.threads,
        "packed_digest": prepared.packed.digest,
        "own_code": {code.module: code.record() for code in prepared.own_code},
        "study_digest": _digest(json.dumps(study, sort_keys=True)),
        "splits_digest": _digest(repr([(split.repeat, split.fold, split.test.tolist()) for split in splits])),
    }


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
