"""What tables say of images and a study does not use, with the key that would: where they come from, and flagged labels.

Keys of where they come from are tried before.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from foldwise.data.audit.copies import Copies, join_groups
from foldwise.data.audit.division import FEWEST_GROUPS, division_findings
from foldwise.data.cases import Column, ColumnKind, Dataset, Finding, Severity
from foldwise.data.folds.strata import class_presence, impossible_folds
from foldwise.data.layouts.columns import is_mark, words_of
from foldwise.data.layouts.parts import parts_of
from foldwise.errors import DataError
from foldwise.study.spec import DEALT, LEAVE_ONE_OUT, Validation
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

MAX_SITES = 20  # that are left out one by one; each is a fold of its own


@dataclass(frozen=True)
class _Offer:
    """What a column holds, what the study states to use it (nothing where it cannot), and whether images leak without."""

    holds: str
    keys: str = ""
    is_leak: bool = False

    @property
    def choice(self) -> str | None:
        """Its key as `FoldwiseError.choices` have it: ``validate.group=patient``; None where it takes several keys."""
        stated = re.match(r"(validate\.\w+): (.+?)(?: (?:to|and) |$)", self.keys)
        return stated and f"{stated[1]}={stated[2]}"


def column_findings(
    dataset: Dataset, packed: Packed, copies: Copies, validation: Validation
) -> list[Finding]:
    """One finding that names every column which says where images come from, and the key that would use it.

    It is a warning where images of one patient or the like can be in training and test at once, else a note.
    """
    study = _Study(dataset, packed, copies, validation)
    offers = [offer for column in dataset.columns if (offer := _OFFERS[column.kind](study, column))]
    if not offers:
        return []
    message = f"Columns that say where the images come from are not used: {'; '.join(offer.holds for offer in offers)}."
    keys = [offer.keys for offer in offers if offer.keys]
    cure = f"State {'; or '.join(keys)}." if keys else "Mend the columns; then a key of validate uses them."
    severity: Severity = "warning" if any(offer.is_leak for offer in offers) else "note"
    leaks_first = sorted(offers, key=lambda offer: not offer.is_leak)
    choices = tuple(choice for offer in leaks_first if (choice := offer.choice))
    return [Finding("columns_not_used", severity, message, (), cure, choices=choices)]


def review_findings(dataset: Dataset) -> list[Finding]:
    """Images whose label a person has flagged: a note while they are used, a warning once they are left out.

    Who flags labels where networks were wrong, and leaves these images out, leaves out what is hard.
    """
    if not dataset.flagged:
        return []
    named = [f"{name} ({note})" if note else name for name, note in dataset.flagged.items()]
    names, cases = some(named, 10), tuple(dataset.flagged)
    number = count(len(cases), "label")
    if dataset.flagged.keys() & {case.name for case in dataset.cases}:
        cure = "Mend these labels, and decide anew; or state data.flagged: leave_out, and the report says so."
        message = f"{number} flagged in review.csv, and used as all others: {names}."
        return [Finding("flagged", "note", message, cases, cure, choices=("data.flagged=leave_out",))]
    message = (
        f"Images left out, because their labels are flagged in review.csv: {names}. Where labels were flagged because networks"
        " disagreed with them, what is left is easier than what comes, and scores are too good."
    )
    cure = "Mend these labels rather than leave them out; say in a paper how many were left out, and who decided."
    return [Finding("flagged_left_out", "warning", message, cases, cure)]


@dataclass(frozen=True)
class _Study:
    """A study in which a column is tried, before its key is offered."""

    dataset: Dataset
    packed: Packed
    copies: Copies
    validation: Validation

    @property
    def is_grouped(self) -> bool:
        """Whether the study says which images are one group, or that there are none."""
        return self.validation.group != "auto" or any(case.group is not None for case in self.dataset.cases)

    def errors(self, dataset: Dataset, **stated: Any) -> list[str]:
        """What the audit would refuse with the images in other parts or groups; `stated` is laid over `validate`."""
        own = self.validation.model_dump(exclude_unset=True) | stated
        if own.get("split", "auto") not in DEALT:
            own.pop("folds", None)
        validation = Validation(**own)
        joined = self.copies if validation.near_duplicates == "group" else Copies((), ())
        groups = join_groups(dataset, joined)
        if not validation.is_given:
            presence_NK = class_presence(dataset, self.packed)
            impossible = impossible_folds(dataset, presence_NK, groups, folds=validation.folds)
            return [error.what for error in impossible]
        findings = division_findings(dataset, self.packed, groups, self.copies, validation)
        return [finding.message for finding in findings if finding.severity == "error"]

    def grouped(self, column: Column) -> Dataset:
        """The images in the groups of a column."""
        pairs = zip(self.dataset.cases, column.values, strict=True)
        return replace(self.dataset, cases=tuple(replace(case, group=value) for case, value in pairs))


def _split(study: _Study, column: Column) -> _Offer | None:
    """A split is taken as it is; with copies on both sides only if these are ignored."""
    if study.validation.split != "auto":
        return None
    cases, name = study.dataset.cases, _written(column.name)
    counts = sorted(Counter(filter(None, column.values)).items())
    holds = f"{_of(column)} is a split ({some(f'{value} {number}' for value, number in counts)})"
    if is_mark(words_of(column.name), [value for value, _ in counts]):
        takes = f"which validate.split: {name} takes once train and test stand in place of its marks"
        return _Offer(f"{holds}, {takes}")
    try:
        parts = parts_of(cases, {case.name: value for case, value in zip(cases, column.values, strict=True)})
    except DataError as error:
        problem = error.what.splitlines()[0].split("a column: ")[-1]
        return _Offer(f"{holds}, which cannot be used as it is ({problem})")
    dataset = replace(study.dataset, cases=tuple(replace(case, part=parts[case.name]) for case in cases))
    also = " (and take validate.folds out)" if "folds" in study.validation.model_fields_set else ""
    errors = study.errors(dataset, split=column.name)
    if not errors:
        return _Offer(holds, f"validate.split: {name} to train and test by it{also}")
    if not study.errors(dataset, split=column.name, near_duplicates="ignore"):
        keys = f"validate: {{split: {name}, near_duplicates: ignore}} to train and test by it, with copies on both sides{also}"
        return _Offer(holds, keys)
    return _Offer(f"{holds}, which cannot be used as it is ({errors[0].removesuffix('.')})")


def _bearer(study: _Study, column: Column) -> _Offer | None:
    """Images of one patient, animal, slide ... are one group."""
    return None if study.is_grouped else _as_groups(study, column, "together in one fold", is_leak=True)


def _date(study: _Study, column: Column) -> _Offer | None:
    """Images of one day are one group, if nothing finer is stated."""
    return None if study.is_grouped else _as_groups(study, column, "of one date together in one fold")


def _site(study: _Study, column: Column) -> _Offer | None:
    """Sites are left out one by one, which tells how well models do at others; or at least kept together."""
    if study.validation.is_given:
        return None
    number, dataset = len(set(column.values) - {""}), study.grouped(column)
    holds = f"{_of(column)} ({count(number, 'site')} or the like: {some(_by_number(column))})"
    can_leave_out = FEWEST_GROUPS <= number <= MAX_SITES and "" not in column.values
    if can_leave_out and not study.errors(dataset, group=column.name, split=LEAVE_ONE_OUT):
        keys = f"validate: {{group: {_written(column.name)}, split: {LEAVE_ONE_OUT}}} to test each by models that have not seen it"
        return _Offer(holds, keys)
    return None if study.is_grouped else _as_groups(study, column, "of one site together in one fold")


def _as_groups(study: _Study, column: Column, effect: str, *, is_leak: bool = False) -> _Offer:
    """A column as groups, with as many folds as there can be then."""
    largest = Counter(filter(None, column.values)).most_common(1)[0][1]
    number = len(set(column.values) - {""})
    holds = f"{_of(column)} ({count(number, 'value')}, up to {count(largest, 'image')} each)"
    name = _written(column.name)
    if lacking := column.values.count(""):
        fill = f"{holds}, which {count(lacking, 'image lacks', 'images lack')}: fill it in and state validate.group: {name}"
        return _Offer(fill, is_leak=is_leak)
    dataset, folds = study.grouped(column), study.validation.folds
    if study.validation.is_given:
        if study.errors(dataset, group=column.name):
            holds += ", and the split that is given puts images of one of them into several parts"
            return _Offer(holds, is_leak=is_leak)
        return _Offer(holds, f"validate.group: {name} to check the split by it", is_leak=is_leak)
    for fewer in range(folds, 1, -1):
        if not study.errors(dataset, group=column.name, folds=fewer):
            also = "" if fewer == folds else f" and validate.folds: {fewer}"
            return _Offer(holds, f"validate.group: {name}{also} to keep images {effect}", is_leak=is_leak)
    errors = study.errors(dataset, group=column.name, folds=2)
    return _Offer(f"{holds}, which no folds can keep together ({errors[0]})", is_leak=is_leak)


_OFFERS: dict[ColumnKind, Callable[[_Study, Column], _Offer | None]] = {
    "split": _split,
    "bearer": _bearer,
    "site": _site,
    "date": _date,
}


def _of(column: Column) -> str:
    return column.table if column.name == column.table else f"column {column.name!r} of {column.table}"


def _by_number(column: Column) -> list[str]:
    return [f"{value} {number}" for value, number in Counter(filter(None, column.values)).most_common()]


def _written(name: str) -> str:
    """A name as a study file has it."""
    return name if re.fullmatch(r"[A-Za-z][\w.]*", name) else json.dumps(name, ensure_ascii=False)
