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
    made, errors = [], []
    for one in configurations:
        try:
            made.append(replace(one, training=_placed(one.training, task, classes)))
        except SpecError as error:
            errors.append(SpecError(error.what, where=one.name, cure=error.cure))
    if errors:
        raise SpecError.together(errors)
    return tuple(made)


def _placed(training: Training, task: Task, classes: Sequence[str]) -> Training:
    asked = training.label_groups
    if asked == 1:
        return training
    if task != "multilabel_classification":
        raise SpecError(
            f"label_groups is for several labels an image, and this task is {task.replace('_', ' ')}",
            cure="Leave label_groups out.",
        )
    if isinstance(asked, int):
        if asked > len(classes):
            raise SpecError(
                f"label_groups asks for {asked} groups, and there are {len(classes)} labels",
                cure=f"Ask for at most {len(classes)} groups.",
            )
        return training
    known = {name: place for place, name in enumerate(classes)}
    groups = tuple(tuple(choose(known, str(name), "label") for name in group) for group in asked)
    listed = [place for group in groups for place in group]
    wrong = [name for place, name in enumerate(classes) if listed.count(place) != 1]
    if wrong or not all(groups):
        what = (
            "label_groups has an empty group"
            if not wrong
            else f"not in exactly one group: {', '.join(wrong)}"
        )
        raise SpecError(what, cure="Put every label into one group of label_groups.")
    return training.model_copy(update={"label_groups": groups})


def places_of(training: Training, num_classes: int) -> Places:
    """The class indices of every group, in order; equal parts of the classes, as they follow one another, for a number.

    >>> places_of(Training(model={"name": "conv"}, label_groups=2), 5)
    ((0, 1, 2), (3, 4))
    """
    asked = training.label_groups
    if not isinstance(asked, int):
        return tuple(tuple(int(place) for place in group) for group in asked)
    least, more = divmod(num_classes, asked)
    sizes = [least + (number < more) for number in range(asked)]
    starts = [sum(sizes[:number]) for number in range(asked)]
    return tuple(tuple(range(start, start + size)) for start, size in zip(starts, sizes, strict=True))


def alone(training: Training) -> Training:
    """The training of one group: the same in everything else."""
    return training.model_copy(update={"label_groups": 1})


def seed_of_group(seed: int, number: int) -> int:
    """The seed of the model of a group, from that of the fit; the first group has the seed of the fit itself."""
    if number == 0:
        return seed
    return int.from_bytes(sha256(f"{seed}/group {number}".encode()).digest()[:8], "big") % SEEDS
