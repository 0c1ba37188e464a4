"""The audit: everything that can be known to be wrong with a data set before it is trained on, and what a run records.

Records are a row per image, the findings, and numbers for every part of every fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foldwise.csv_cells import TableWriter
from foldwise.data.audit import image_findings
from foldwise.data.audit.columns import column_findings, review_findings
from foldwise.data.audit.copies import MAX_COMPARED, Copies, clusters, find_copies, join_groups
from foldwise.data.audit.decoding import decoding_findings
from foldwise.data.audit.division import division_findings
from foldwise.data.audit.leaks import name_findings, property_findings, series_findings
from foldwise.data.audit.pixel_sizes import pixel_size_findings, pixel_size_of, pixel_sizes
from foldwise.data.cases import Dataset, Finding, Severity
from foldwise.data.folds.splits import ROLES, Split
from foldwise.data.folds.strata import class_presence, group_numbers, is_segmentation, is_single_label
from foldwise.data.formats.steps import in_words
from foldwise.storage import written_whole
from foldwise.study.spec import DataSpec, Validation
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.formats.pixels import PixelUm

LIMITS = "Copies that were turned by other angles, cut or recoloured are not recognised."
_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Audit:
    """What was found, and which images must stay together.

    Attributes:
        findings: errors first, then warnings, then notes.
        groups: of every case: the stated group, or its own name, joined with the groups of its copies.
        pixel_um: height and width of a pixel, as the study or all files state it.
    """

    findings: tuple[Finding, ...]
    groups: tuple[str, ...]
    pixel_um: PixelUm | None = None


def audit(dataset: Dataset, packed: Packed, validation: Validation, data: DataSpec | None = None) -> Audit:
    """Look for everything that makes a comparison on these images impossible, wrong or misleading.

    Nothing is changed and nothing raised: an error is a finding too. Copies are grouped unless
    ``validation.near_duplicates`` says ``ignore``.
    """
    # Copies first: the checks of classes and folds count groups, which copies join.
    copies = find_copies(packed)
    grouped = validation.near_duplicates == "group"
    sizes = pixel_sizes(dataset) if data is not None else {}
    groups = join_groups(dataset, copies if grouped else Copies((), ()))
    findings = [
        *decoding_findings(dataset, packed),
        *image_findings.value_findings(dataset, packed),
        *image_findings.class_findings(dataset, packed, groups, validation),
        *image_findings.mask_findings(dataset, packed),
        *image_findings.size_findings(dataset, packed),
        *image_findings.channel_findings(dataset),
        *(pixel_size_findings(dataset, data, sizes) if data is not None else ()),
        *copy_findings(dataset, packed, copies, grouped=grouped),
        *_group_findings(dataset, groups, validation),
        *division_findings(dataset, packed, groups, copies, validation),
        *column_findings(dataset, packed, copies, validation),
        *review_findings(dataset),
        *property_findings(dataset, packed),
        *name_findings(dataset, validation),
        *series_findings(dataset, packed, validation),
    ]
    pixel_um = pixel_size_of(data, sizes) if data is not None else None
    return Audit(tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])), groups, pixel_um)


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
    largest, size = Counter(groups).most_common(1)[0]
    if size > len(groups) / validation.folds and size > 1 and not validation.is_given:
        concerned = tuple(dataset.cases[k].name for k, group in enumerate(groups) if group == largest)
        share = f"{size} of {len(groups)} images, more than one of {validation.folds} folds should"
        message = f"The group {largest!r} holds {share}: the folds are uneven."
        cure = "State fewer folds, or finer groups that still keep together what belongs together."
        findings.append(Finding("large_group", "warning", message, concerned, cure))
    return findings


def copy_findings(dataset: Dataset, packed: Packed, copies: Copies, *, grouped: bool) -> list[Finding]:
    """What to say about the copies, with the severity that follows from whether their labels agree.

    `grouped` copies are put into one group, so that they cannot leak.
    """
    names = [case.name for case in dataset.cases]
    consequence = "They are kept in one fold, so that no model is tested on what it was trained on."
    if not grouped:
        consequence = "They can be in training and test at once, which makes every score too good: state"
        consequence += " validate.near_duplicates: group."
    findings = []
    if copies.exact:
        examples = some([" = ".join(_first(cluster, names)) for cluster in copies.exact])
        message = f"{count(len(copies.exact), 'picture is', 'pictures are')} in the data more than once, pixel for pixel: {examples}."
        cure = f"{consequence} Take the extra files out all the same, since they count more than once."
        concerned, alike = _concerned(copies.exact, names), _named(copies.exact, names)
        findings.append(Finding("exact_duplicates", "warning", message, concerned, cure, alike))
    crowds = [members for members in clusters(copies.near, total=len(names)) if len(members) > MAX_COMPARED]
    crowded = {index for members in crowds for index in members}
    pairs = [pair for pair in copies.near if pair[0] not in crowded]
    if pairs:
        examples = some([f"{names[i]} ~ {names[j]}" for i, j in pairs])
        message = f"{count(len(pairs), 'pair of images looks', 'pairs of images look')} like the same picture: {examples}."
        cure = f"{consequence} {LIMITS}"
        severity: Severity = "note" if grouped else "warning"
        concerned = _concerned(pairs, names)
        alike = _named(clusters(pairs, total=len(names)), names)
        findings.append(Finding("near_duplicates", severity, message, concerned, cure, alike))
    return [
        *findings,
        *_crowd_findings(crowds, copies, names, consequence, grouped=grouped),
        *_contradictions(dataset, packed, copies),
    ]


def _crowd_findings(
    crowds: Sequence[Sequence[int]], copies: Copies, names: Sequence[str], consequence: str, *, grouped: bool
) -> list[Finding]:
    """Pictures that very many images show, and pairs of images that were too many to be compared in full."""
    findings = []
    if crowds:
        sizes = [
            f"{count(len(members), 'image')} ({', '.join(_first(members, names))})" for members in crowds
        ]
        message = f"{some(sizes)} look like one picture, as those of a camera that does not move do."
        apart = "state" if grouped else "leave"
        cure = f"{consequence} Look at a few: where different specimens lie before one background, {apart} validate.near_duplicates: ignore, and state by validate.group what belongs together."
        concerned, alike = _concerned(crowds, names), _named(crowds, names)
        findings.append(Finding("one_picture", "warning", message, concerned, cure, alike))
    if copies.cut_short:
        message = (
            "So many images look alike without being copies that some pairs were compared without shifts."
        )
        cure = "Copies that were cut out anew may be missed: state by validate.group what belongs together."
        findings.append(Finding("copies_cut_short", "note", message, (), cure))
    return findings


def _first(cluster: Sequence[int], names: Sequence[str]) -> list[str]:
    first = [names[index] for index in cluster[:3]]
    return [*first, f"{len(cluster) - 3} more"] if len(cluster) > 3 else first


def _named(sets: Iterable[Sequence[int]], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[index] for index in indices) for indices in sets)


def _concerned(sets: Iterable[Sequence[int]], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(names[index] for index in sorted({index for indices in sets for index in indices}))


def _contradictions(dataset: Dataset, packed: Packed, copies: Copies) -> list[Finding]:
    """Copies with different labels or masks: at most one of them is right."""
    names = [case.name for case in dataset.cases]
    exact = [(cluster[0], other) for cluster in copies.exact for other in cluster[1:]]
    # Masks are compared for exact copies only: those of a turned copy are turned as well.
    if is_segmentation(dataset):
        pairs = [(i, j) for i, j in exact if not np.array_equal(packed.target(i), packed.target(j))]
        return _disagreeing("warning", "exact", pairs, names=names, labels=())
    differ = [
        [pair for pair in pairs if dataset.cases[pair[0]].labels != dataset.cases[pair[1]].labels]
        for pairs in (exact, list(copies.near))
    ]
    labels = [
        " ".join(dataset.classes[label] for label in case.labels) or "no label" for case in dataset.cases
    ]
    # The same pixels cannot be of two classes that exclude each other; with several labels, or with another cut of
    # the picture, a rater may have had reasons.
    severity: Severity = "error" if is_single_label(dataset) else "warning"
    return [
        *_disagreeing(severity, "exact", differ[0], names=names, labels=labels),
        *_disagreeing("warning", "near", differ[1], names=names, labels=labels),
    ]


def _disagreeing(
    severity: Severity,
    kind: str,
    pairs: Sequence[tuple[int, int]],
    *,
    names: Sequence[str],
    labels: Sequence[str],
) -> list[Finding]:
    """The finding for pairs that disagree; `labels` is empty where it is masks that differ."""
    if not pairs:
        return []
    described = [f"{name} ({label})" for name, label in zip(names, labels, strict=True)] if labels else names
    truth = "labels" if labels else "masks"
    examples = some([f"{described[i]} and {described[j]}" for i, j in pairs])
    number = count(len(pairs), "pair of images has", "pairs of images have")
    if kind == "exact":
        message = f"{number} the same pixels but different {truth}: {examples}."
        cure = "Keep one of each pair, with the mask that you trust; two observers make two data sets."
        if labels:
            cure = "Correct the labels, or take all but one of each out."
    else:
        number = count(len(pairs), "pair of images looks", "pairs of images look")
        message = f"{number} like the same picture and {'has' if len(pairs) == 1 else 'have'} different labels: {examples}."
        # Alike is not the same: a network that mends labels by its likes would be taught by them.
        cure = "Look at both: two pictures may well look alike and be of two classes. A label is wrong only where a person finds it so."
    return [Finding(f"{kind}_duplicates_disagree", severity, message, _concerned(pairs, names), cure)]


CASES = (
    "index", "name", "image", "mask", "labels", "group", "width", "height", "mode", "format", "pixel_digest",
    "steps", "mask_steps",
)  # fmt: skip


def write_cases(path: Path, dataset: Dataset, packed: Packed, audit: Audit) -> None:
    """One row per image: where it is, its labels and group, and what was measured on its file."""
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table = TableWriter(file)
        table.row(CASES)
        for case, group, measure in zip(dataset.cases, audit.groups, packed.measures, strict=True):
            labels = " ".join(str(label) for label in case.labels)
            size = [measure.original_width, measure.original_height]
            kind = [measure.mode, measure.format, measure.pixel_digest]
            kind += [in_words(measure.steps), in_words(measure.mask_steps)]
            table.row([case.index, case.name, case.image, case.mask or "", labels, group, *size, *kind])


def audit_record(dataset: Dataset, audit: Audit, source: Mapping[str, str] | None) -> dict[str, Any]:
    """audit.json: the findings, what was recognised, and where a public data set comes from."""
    return {
        "findings": [asdict(finding) for finding in audit.findings],
        "statements": list(dataset.statements),
        "layout": dataset.layout,
        "task": dataset.task,
        "classes": list(dataset.classes),
        "channels": list(dataset.channels),
        "decoding": dataset.decoding.model_dump(),
        "pixel_um": audit.pixel_um,
        "source": dict(source) if source else None,
    }


def statistics(
    dataset: Dataset, packed: Packed, splits: Sequence[Split], groups: Sequence[str]
) -> list[dict[str, Any]]:
    """One row for all images, whose part is ``all``, and one for every part of every fold. No pixel is read again.

    The columns are repeat and fold (from 0, as in splits.csv), part, images, groups; ``pixels NAME`` of every class
    (not of ignored pixels), or ``images NAME`` for classification; ``mean CHANNEL`` and ``std CHANNEL`` of the
    intensities as they are in the files, over all pixels of the part. Channels without names have numbers from 1.
    """
    unit, counts_NK = class_counts(dataset, packed)
    group_N = group_numbers(groups)
    channels = dataset.channels or tuple(str(k + 1) for k in range(packed.num_channels))

    def row(indices: np.ndarray) -> dict[str, Any]:
        mean_C, std_C = packed.channel_stats(indices)
        counts_K = counts_NK[indices].sum(axis=0).tolist()
        return {
            "images": len(indices),
            "groups": len(np.unique(group_N[indices])),
            **{f"{unit} {name}": count for name, count in zip(dataset.classes, counts_K, strict=True)},
            **{f"mean {name}": round(float(v), 6) for name, v in zip(channels, mean_C, strict=True)},
            **{f"std {name}": round(float(v), 6) for name, v in zip(channels, std_C, strict=True)},
        }

    rows = [{"repeat": "", "fold": "", "part": "all", **row(np.arange(len(packed)))}]
    for split in splits:
        fold = {"repeat": split.repeat, "fold": split.fold}
        rows += [{**fold, "part": role, **row(getattr(split, role))} for role in ROLES]
    return rows


def class_counts(dataset: Dataset, packed: Packed) -> tuple[str, np.ndarray]:
    """``pixels`` or ``images``, and how many of each class (N, K) every image has; an image is one of its classes."""
    if is_segmentation(dataset):
        return "pixels", np.array([measure.class_pixels for measure in packed.measures], np.int64)
    return "images", class_presence(dataset, packed).astype(np.int64)
