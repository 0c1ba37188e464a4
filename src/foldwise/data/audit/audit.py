"""The audit: everything that can be known to be wrong with a data set before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foldwise.data.audit.copies import Copies, clusters, copy_findings, find_copies
from foldwise.data.audit.findings import Finding as Finding
from foldwise.data.audit.leaks import name_findings, property_findings, series_findings
from foldwise.data.audit.soundness import (
    channel_findings,
    class_findings,
    mask_findings,
    size_findings,
    value_findings,
)
from foldwise.data.cases import Dataset
from foldwise.study.spec import Validation
from foldwise.text import some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Audit:
    """What was found, and which images must stay together.

    Attributes:
        findings: errors first, then warnings, then notes.
        groups: of every case: the stated group, or its own name, joined with the groups of its copies.
    """

    findings: tuple[Finding, ...]
    groups: tuple[str, ...]


def audit(dataset: Dataset, packed: Packed, validation: Validation) -> Audit:
    """Look for everything that makes a comparison on these images impossible, wrong or misleading.

    Nothing is changed and nothing raised: an error is a finding too. Copies are grouped unless
    ``validation.near_duplicates`` says ``ignore``.
    """
    # Copies first: the checks of classes and folds count groups, which copies join.
    copies = find_copies(packed)
    grouped = validation.near_duplicates == "group"
    groups = join_groups(dataset, copies if grouped else Copies((), ()))
    findings = [
        *value_findings(dataset, packed),
        *class_findings(dataset, packed, groups, validation),
        *mask_findings(dataset, packed),
        *size_findings(dataset, packed),
        *channel_findings(dataset),
        *copy_findings(dataset, packed, copies, grouped=grouped),
        *_group_findings(dataset, groups, validation),
        *property_findings(dataset, packed),
        *name_findings(dataset, validation),
        *series_findings(dataset, packed, validation),
    ]
    return Audit(tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])), groups)


def join_groups(dataset: Dataset, copies: Copies) -> tuple[str, ...]:
    """The group of every case; groups that hold copies of one picture are one, called by the first of their names."""
    names = [_stated(dataset, index) for index in range(len(dataset.cases))]
    first: dict[str, int] = {}
    links = [(first.setdefault(name, index), index) for index, name in enumerate(names)]
    joined = list(names)
    for members in clusters([*links, *copies.links()], total=len(names)):
        name = min(names[index] for index in members)
        for index in members:
            joined[index] = name
    return tuple(joined)


def _stated(dataset: Dataset, index: int) -> str:
    case = dataset.cases[index]
    return case.name if case.group is None else case.group


def _group_findings(dataset: Dataset, groups: tuple[str, ...], validation: Validation) -> list[Finding]:
    """Stated groups that copies join, and a group too large for its fold."""
    findings = []
    stated: dict[str, set[str]] = {}
    for case, group in zip(dataset.cases, groups, strict=True):
        if case.group is not None:
            stated.setdefault(group, set()).add(case.group)
    joined = [" + ".join(sorted(names)) for names in stated.values() if len(names) > 1]
    if joined:
        message = (
            f"Images of different groups show the same picture, so these groups are one: {some(joined)}."
        )
        cure = "Check the group column: may one patient have two numbers?"
        findings.append(Finding("groups_joined", "warning", message, (), cure))
    largest, count = Counter(groups).most_common(1)[0]
    if count > len(groups) / validation.folds and count > 1:
        concerned = tuple(
            case.name for case, group in zip(dataset.cases, groups, strict=True) if group == largest
        )
        message = (
            f"The group {largest!r} holds {count} of {len(groups)} images, more than one of {validation.folds} folds "
            "should: the folds are uneven."
        )
        cure = "State fewer folds, or finer groups that still keep together what belongs together."
        findings.append(Finding("large_group", "warning", message, concerned, cure))
    return findings
