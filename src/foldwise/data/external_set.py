"""A fixed external set of images: read as the images of the study are, checked against them, and only ever scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from foldwise.data.audit.audit import Audit
from foldwise.data.audit.copies import find_copies, join_groups
from foldwise.data.audit.decoding import decoding_findings
from foldwise.data.cache.packing import pack
from foldwise.data.cases import Dataset
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec, Validation
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.measures import Measure
    from foldwise.data.cache.packed import Packed

WHERE = "data.external"


@dataclass(frozen=True)
class ExternalSet:
    """The images of an external set, decoded, and the groups that they are in."""

    dataset: Dataset
    packed: Packed
    audit: Audit

    @property
    def statement(self) -> str:
        """What becomes of it, for the user."""
        groups = len(set(self.audit.groups))
        size = count(len(self.packed), "image") + (
            f" in {groups} groups" if groups < len(self.packed) else ""
        )
        return (
            f"External set {self.dataset.root.name}: {size}, to be scored once by the chosen configuration."
        )


def read_external(
    data: DataSpec,
    dataset: Dataset,
    packed: Packed,
    *,
    base: Path,
    validation: Validation,
    progress: Callable[[int, int], None] | None = None,
) -> ExternalSet | None:
    """The external set of a study; None where it has none.

    Args:
        data: of the study; what its `external` does not state is as there.
        dataset, packed: the images of the study.
        base: the folder of the study file.
        validation: whether copies count, and a pattern that says which images are one group.
        progress: called with how many images are decoded, and of how many.

    Raises:
        SpecError, DataError: it cannot be read, or is of other classes, channels, depth or size; or it shares images or
            groups with those of the study, which the networks have learned from.
    """
    if data.external is None:
        return None
    own = data.external.model_dump(exclude_unset=True)
    blank = {"phantom": None, "source": None, "slices_per_group": None, "external": None, "layout": "auto"}
    blank |= {"flagged": "keep"}  # its images are looked through by nobody
    blank |= dict.fromkeys(("images", "masks", "table", "image_column", "label_columns", "group_column"))
    recognised = {"task": dataset.task, "classes": dataset.classes}
    spec = data.model_copy(update=blank | recognised | own)
    # Of the parts of a split all are scored, since nothing is trained on any.
    answers = {"validate.split": "pooled_folders", "validate.group": validation.group}
    answers["data.layout"] = data.layout
    external = _read(spec, dataset, base, answers, stated=own)
    read = pack(external, spec, progress=progress)
    groups = join_groups(external, find_copies(read))
    errors = _differences(dataset, packed, external, read, data)
    open_questions = (row for row in decoding_findings(external, read) if row.severity == "error")
    errors += [DataError(row.message, where=WHERE, cure=row.cure) for row in open_questions]
    errors += _shared_groups(dataset, external) + _shared_images(dataset, packed, external, read, validation)
    if errors:
        raise DataError.together(errors)
    return ExternalSet(external, read, Audit((), groups))


def _read(
    spec: DataSpec, dataset: Dataset, base: Path, answers: Mapping[str, str], *, stated: Mapping[str, object]
) -> Dataset:
    """The external set; where it has not the task or classes of the study, the error is about it, not about the study."""
    try:
        return _as_the_study(spec, base, answers)
    except SpecError as error:
        # Both were handed down from the study: nobody has written them, so that nobody can leave them out.
        inherited = {f"data.{key}" for key in ("task", "classes") if key not in stated}
        if error.where not in inherited:
            raise
        problem = f"{spec.path} is not labelled as the study is, for {dataset.task.replace('_', ' ')} into {some(dataset.classes)}: {error.what}"
        cure = "Give labels of the same kind, of the same classes; mask_values (of data.external, or with --set) says what masks mean."
        raise DataError(problem, where=WHERE, cure=cure) from error


def _as_the_study(spec: DataSpec, base: Path, answers: Mapping[str, str]) -> Dataset:
    """The external set, of which a question is answered as the study answers it; any other is raised."""
    group = answers["validate.group"]
    reading = {"group": group if group.startswith("pattern:") else "auto", "split": "auto"}
    left = {f"{key}={answer}" for key, answer in answers.items()}
    while True:
        try:
            return read_dataset(spec, base=base, **reading)
        except DataError as error:
            answer = next((choice for choice in error.choices if choice in left), None)
            if answer is None:
                raise
            left.remove(answer)
            key = answer.partition("=")[0]
            if key == "data.layout":
                spec = spec.model_copy(update={"layout": answers[key]})
            else:
                reading[key.removeprefix("validate.")] = answers[key]


def _differences(
    dataset: Dataset, packed: Packed, external: Dataset, read: Packed, data: DataSpec
) -> list[DataError]:
    errors = []
    if external.classes != dataset.classes:
        problem = f"its classes are {some(external.classes)}, and those of the study {some(dataset.classes)}"
        cure = "Give both the same classes; data.external.mask_values says what its masks mean."
        errors.append(DataError(problem, where=WHERE, cure=cure))
    if read.num_channels != packed.num_channels:
        problem = (
            f"its images have {read.num_channels} channels, and those of the study {packed.num_channels}"
        )
        errors.append(DataError(problem, where=WHERE, cure="State data.channels: gray or rgb, for both."))
    if read.dtype != packed.dtype:
        problem = f"its pixels are {read.dtype}, and those of the study {packed.dtype}"
        errors.append(DataError(problem, where=WHERE, cure="Save both with the same bit depth."))
    sizes = {tuple(shape) for shape in packed.shapes.tolist()}
    others = {tuple(shape) for shape in read.shapes.tolist()} - sizes
    if data.size == "native" and len(sizes) == 1 and others and dataset.task.endswith("classification"):
        problem = (
            f"its images are {some(f'{h} x {w}' for h, w in sorted(others))} pixels, and those of the study"
        )
        problem += f" {' x '.join(map(str, next(iter(sizes))))}"
        errors.append(DataError(problem, where=WHERE, cure="State data.size: both are brought to it."))
    return errors


def _shared_groups(dataset: Dataset, external: Dataset) -> list[DataError]:
    shared = {case.group for case in dataset.cases} & {case.group for case in external.cases} - {None}
    if not shared:
        return []
    problem = f"{count(len(shared), 'group is', 'groups are')} in the study as well: {some(sorted(map(str, shared)))}"
    cure = "Take them out of one of the two, or give groups that are others another name."
    return [DataError(problem, where=WHERE, cure=cure)]


def _shared_images(
    dataset: Dataset, packed: Packed, external: Dataset, read: Packed, validation: Validation
) -> list[DataError]:
    """Pictures that are in both: the networks have learned from them, and the score would be too good."""
    if validation.near_duplicates == "ignore":
        return []
    num = len(packed)
    together = cast("Packed", _Together((packed, read)))
    pairs = {(min(i, j), max(i, j)) for i, j in find_copies(together).links()}
    across = sorted((i, j - num) for i, j in pairs if i < num <= j)
    if not across:
        return []
    examples = some([f"{dataset.cases[i].name} = {external.cases[j].name}" for i, j in across])
    problem = f"{count(len(across), 'picture is', 'pictures are')} in the study as well: {examples}"
    cure = "Take them out of one of the two; or, to score by the set as it is, state validate.near_duplicates: ignore."
    return [DataError(problem, where=WHERE, cure=cure)]


class _Together:
    """Two packed sets, one after the other, as far as copies are looked for."""

    def __init__(self, sets: Sequence[Packed]) -> None:
        self._sets = sets
        self.measures: list[Measure] = [measure for own in sets for measure in own.measures]

    def __len__(self) -> int:
        return len(self.measures)

    def image(self, index: int) -> np.ndarray:
        first = len(self._sets[0])
        return self._sets[0].image(index) if index < first else self._sets[1].image(index - first)
