"""Checks of a split that is given: groups and copies on both sides, parts without a class, shares that differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.audit.copies import Copies
from foldwise.data.cases import Dataset, Finding, Severity
from foldwise.data.folds.strata import PLACES, class_presence, given_folds, is_segmentation, is_single_label
from foldwise.study.spec import LEAVE_ONE_OUT, Validation
from foldwise.text import count, some

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

FEWEST_GROUPS = 3  # of leave-one-group-out: one to test, one to watch, one to learn from
# A share of a class that differs by more, and by more than so many standard errors.
SHIFTED, ERRORS = 0.1, 3.0


def division_findings(
    dataset: Dataset, packed: Packed, groups: Sequence[str], copies: Copies, validation: Validation
) -> list[Finding]:
    """What is wrong with a split that is given; nothing of it is mended, and nothing where folds are dealt.

    Args:
        groups: of every case, joined over copies unless these are ignored.
        copies: of one picture.
    """
    if not validation.is_given:
        return []
    if validation.split == LEAVE_ONE_OUT and (finding := _too_few_groups(dataset, groups)):
        return [finding]
    folds = given_folds(dataset, groups, validation)
    return [
        *_number_of_folds(len(folds), validation),
        *_divided(dataset, groups, copies),
        *_lacking_classes(dataset, packed, groups, folds),
        *(_shifted(dataset, packed, folds[0]) if len(folds) == 1 else ()),
    ]


def _too_few_groups(dataset: Dataset, groups: Sequence[str]) -> Finding | None:
    number = len(set(groups))
    if all(case.group is None for case in dataset.cases):
        message = "validate.split is leave_one_group_out, and nothing says which images are one group."
        cure = "State validate.group: a column, or pattern:<regex> on the file names."
    elif number < FEWEST_GROUPS:
        message = (
            f"validate.split is leave_one_group_out, and there are {number} groups: each fold needs one to"
        )
        message += " test, one to choose the epoch on and one to learn from."
        cure = "State a finer group, or leave validate.split out."
    else:
        return None
    return Finding("impossible_folds", "error", message, (), cure)


def _number_of_folds(number: int, validation: Validation) -> list[Finding]:
    if "folds" not in validation.model_fields_set or validation.folds == number:
        return []
    message = (
        f"validate.folds is {validation.folds}, and the split that is given has {count(number, 'fold')}."
    )
    cure = "Take validate.folds out: a split that is given has its own."
    return [Finding("impossible_folds", "error", message, (), cure)]


def _divided(dataset: Dataset, groups: Sequence[str], copies: Copies) -> list[Finding]:
    """Groups, and copies where these are no group, whose images are in several parts."""
    cases = dataset.cases
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    stated: list[list[int]] = []
    alike: list[list[int]] = []
    for indices in members.values():
        if len({cases[index].part for index in indices}) > 1:
            by_copies = len({cases[index].group for index in indices}) > 1 or cases[indices[0]].group is None
            (alike if by_copies else stated).append(indices)
    findings = []
    if stated:
        examples = [f"{cases[own[0]].group} ({_in_parts(dataset, own)})" for own in stated]
        message = f"The split puts {count(len(stated), 'group')} of images into more than one part: {some(examples)}."
        cure = (
            "What is tested has been trained on: move each group into one part, or correct the group column."
        )
        findings.append(_finding("split_divides_groups", "error", message, dataset, stated, cure))
    ignored = [[i, j] for i, j in copies.links() if cases[i].part != cases[j].part and groups[i] != groups[j]]
    if alike or ignored:
        severity: Severity = "error" if alike else "warning"
        examples = [_in_parts(dataset, own) for own in alike or ignored]
        number = count(len(examples), "picture")
        message = f"The split puts copies of {number} into more than one part: {some(examples)}."
        cure = (
            "What is tested has been trained on, and the scores are too good: take the copies out of one part"
        )
        cure += (
            ", or, to score by the split as it is, state validate.near_duplicates: ignore." if alike else "."
        )
        findings.append(_finding("split_divides_copies", severity, message, dataset, alike or ignored, cure))
    return findings


def _finding(
    code: str, severity: Severity, message: str, dataset: Dataset, sets: Iterable[Sequence[int]], cure: str
) -> Finding:
    concerned = sorted({index for indices in sets for index in indices})
    return Finding(code, severity, message, tuple(dataset.cases[index].name for index in concerned), cure)


def _in_parts(dataset: Dataset, indices: Sequence[int]) -> str:
    """``train a.png; test b.png``: the first image of each part."""
    first: dict[str, str] = {}
    for index in indices:
        part = dataset.cases[index].part
        first.setdefault(
            f"fold {part + 1}" if isinstance(part, int) else str(part), dataset.cases[index].name
        )
    return "; ".join(f"{part} {name}" for part, name in first.items())


def _lacking_classes(
    dataset: Dataset, packed: Packed, groups: Sequence[str], folds: Sequence[np.ndarray]
) -> list[Finding]:
    """Classes that no image of some part has; an error where they cannot be left out of the score."""
    presence_NK = class_presence(dataset, packed)
    first = 1 if is_segmentation(dataset) else 0
    lacking: dict[str, list[str]] = {}
    absent: set[int] = set()
    for number, part_N in enumerate(folds):
        for part, role in PLACES.items():
            chosen = part_N == role
            if not chosen.any() or (
                part == "test" and len(folds) > 1 and len(set(np.array(groups)[chosen])) == 1
            ):
                continue  # a test part of one group need not have all classes
            missing = [k for k in range(first, len(dataset.classes)) if not presence_NK[chosen, k].any()]
            if missing:
                where = f"the {part} part" + (f" of fold {number + 1}" if len(folds) > 1 else "")
                lacking[where] = [dataset.classes[k] for k in missing]
                absent |= set(missing) if part != "validation" else set()
    if not lacking:
        return []
    scored = len(dataset.classes) - first - len(absent)
    # Whether a mask that nobody is tested on has a class is not in the run folder, so that it cannot be left out there.
    single = len(folds) == 1 and not dataset.task.startswith("multilabel")
    impossible = bool(absent) and (single or scored < (2 if is_single_label(dataset) else 1))
    examples = "; ".join(f"{where} has no image of {some(names)}" for where, names in lacking.items())
    effect = "" if impossible or not absent else " No score counts classes that training or test part lack."
    message = f"By the split that is given, {examples}.{effect}"
    cure = (
        "Move images of it there, merge it with another class, or leave it out (data.classes, or its rows)."
    )
    return [Finding("split_lacks_class", "error" if impossible else "warning", message, (), cure)]


def _shifted(dataset: Dataset, packed: Packed, part_N: np.ndarray) -> list[Finding]:
    """Classes whose share of the test images is another than of the training images, by more than luck."""
    presence_NK = class_presence(dataset, packed)
    train_NK, test_NK = (presence_NK[part_N == PLACES[part]] for part in ("train", "test"))
    if not len(train_NK) or not len(test_NK):
        return []
    train_K, test_K = train_NK.mean(axis=0), test_NK.mean(axis=0)
    shares_K = presence_NK.mean(axis=0)
    error_K = np.sqrt(shares_K * (1 - shares_K) * (1 / len(train_NK) + 1 / len(test_NK)))
    shifted = np.flatnonzero(np.abs(train_K - test_K) > np.maximum(SHIFTED, ERRORS * error_K))
    if not len(shifted):
        return []
    examples = some([f"{dataset.classes[k]} {train_K[k]:.0%} and {test_K[k]:.0%}" for k in shifted])
    message = f"Classes have another share of the training images than of the test images: {examples}."
    cure = (
        "Draw the parts so that classes have like shares in both; else scores hold for such test images only."
    )
    return [Finding("shifted_shares", "warning", message, (), cure)]
