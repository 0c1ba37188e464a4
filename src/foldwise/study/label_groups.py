"""Labels in groups, each with a model of its own: which labels form which group, and the seed of its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from foldwise.errors import SpecError, choose
from foldwise.study.configurations import Configuration
from foldwise.study.spec import Task, Training

Places = tuple[tuple[int, ...], ...]
SEEDS = 2**31  # every library takes a seed below this


def in_groups(
    configurations: Sequence[Configuration], *, task: Task, classes: Sequence[str]
) -> tuple[Configuration, ...]:
    """The configurations with class indices in place of the class names of their label groups.

    Raises:
        SpecError: of any configuration: labels in groups where an image has one label only, more groups than labels,
            an unknown class, or one that is in no group or in two.
    """
    grouped, errors = [], []
    for configuration in configurations:
        try:
            grouped.append(replace(configuration, training=_placed(configuration.training, task, classes)))
        except SpecError as error:
            errors.append(SpecError(error.what, where=configuration.name, cure=error.cure))
    if errors:
        raise SpecError.together(errors)
    return tuple(grouped)


def _placed(training: Training, task: Task, classes: Sequence[str]) -> Training:
    groups = training.label_groups
    if groups == 1:
        return training
    if task != "multilabel_classification":
        raise SpecError(
            f"label_groups is for several labels an image, and this task is {task.replace('_', ' ')}",
            cure="Leave label_groups out.",
        )
    if isinstance(groups, int):
        if groups > len(classes):
            raise SpecError(
                f"label_groups asks for {groups} groups, and there are {len(classes)} labels",
                cure=f"Ask for at most {len(classes)} groups.",
            )
        return training
    index_of = {name: index for index, name in enumerate(classes)}
    indices = tuple(tuple(choose(index_of, str(name), "label") for name in group) for group in groups)
    listed = [index for group in indices for index in group]
    wrong = [name for index, name in enumerate(classes) if listed.count(index) != 1]
    if wrong or not all(indices):
        what = (
            "label_groups has an empty group"
            if not wrong
            else f"not in exactly one group: {', '.join(wrong)}"
        )
        raise SpecError(what, cure="Put every label into one group of label_groups.")
    return training.model_copy(update={"label_groups": indices})


def places_of(training: Training, num_classes: int) -> Places:
    """The class indices of every group, in order; equal parts of the classes, as they follow one another, for a number.

    >>> places_of(Training(model={"name": "conv"}, label_groups=2), 5)
    ((0, 1, 2), (3, 4))
    """
    groups = training.label_groups
    if not isinstance(groups, int):
        return tuple(tuple(int(index) for index in group) for group in groups)
    least, more = divmod(num_classes, groups)
    sizes = [least + (number < more) for number in range(groups)]
    starts = [sum(sizes[:number]) for number in range(groups)]
    return tuple(tuple(range(start, start + size)) for start, size in zip(starts, sizes, strict=True))


def alone(training: Training) -> Training:
    """The training of one group: the same in everything else."""
    return training.model_copy(update={"label_groups": 1})


def seed_of_group(seed: int, number: int) -> int:
    """The seed of the model of a group, from that of the fit; the first group has the seed of the fit itself."""
    if number == 0:
        return seed
    return int.from_bytes(sha256(f"{seed}/group {number}".encode()).digest()[:8], "big") % SEEDS
