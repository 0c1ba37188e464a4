"""The configurations of a study: every combination of the factors of `compare`, over what `train` shares."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise, product
from typing import Any

from foldwise.errors import SpecError, choose
from foldwise.study.factors import levels, named
from foldwise.study.own_code import identity
from foldwise.study.search_space import find_search_errors, probes, random_settings, search_digest
from foldwise.study.spec import Searching, Study
from foldwise.study.training import Task, Training

NUM_DRAWN = 8  # configurations of a space whose mean cost is taken for that of all


@dataclass(frozen=True)
class Configuration:
    """One way to train, to be compared with the others.

    Attributes:
        id: ``c-`` and ten hex digits that change when, and only when, the training does.
        name: its factor levels, for people: ``unet · dice``; the model where nothing is compared.
        levels: factor -> level, for tables.
        is_drawn: whether it was drawn at random from the space of a search, to see what one costs.
    """

    id: str
    name: str
    levels: dict[str, str]
    training: Training
    is_drawn: bool = False


def configurations(study: Study) -> tuple[Configuration, ...]:
    """Every combination of the levels, in the order of the file, the first factor slowest.

    With a search each of them is an arm, which is searched by itself; its training is the first of its space.

    Raises:
        SpecError: all errors of `train`, `compare` and the space of `search` at once.
    """
    errors = find_search_errors(study.model_dump(mode="json", include={"train", "compare", "search"}))
    if errors:
        raise SpecError.together(SpecError(error.what, cure=error.cure) for error in errors)
    factors = {key: levels(key, written)[0] for key, written in study.compare.items()}
    compared = []
    for combination in product(*factors.values()):
        chosen = dict(zip(factors, combination, strict=True))
        stated = {setting: value for level in combination for setting, value in level.settings.items()}
        shared = study.train | stated
        names = {key: level.name for key, level in chosen.items()}
        if study.search is None:
            training = Training.model_validate(shared)
            # The order of the keys in the file does not change what is trained, so it does not change the id.
            digest = sha256(json.dumps(identity(training), sort_keys=True).encode()).hexdigest()
            name = named(names) or str(training.model)
        else:
            training = Training.model_validate(shared | next(probes(study.search.space)))
            digest = search_digest(study.search, shared)
            name = named(names) or (f"{training.model}, tuned" if "model" in shared else "tuned")
        compared.append(Configuration(f"c-{digest[:10]}", name, names, training))
    return tuple(compared)


def settings_of_arm(study: Study, arm: Configuration) -> dict[str, Any]:
    """What all configurations of an arm share: `train`, and the levels of the arm."""
    shared = dict(study.train)
    for key, written in study.compare.items():
        level = next(level for level in levels(key, written)[0] if level.name == arm.levels[key])
        shared |= level.settings
    return shared


def samples_of(study: Study, searching: Searching, arm: Configuration) -> list[Configuration]:
    """Configurations that show an arm: every end of its ranges and every choice, then `NUM_DRAWN` drawn at random."""
    shown = list(probes(searching.space))
    every = (in_arm(study, arm, own) for own in [*shown, *random_settings(searching.space, NUM_DRAWN)])
    return [
        replace(row, id=f"{arm.id}-{number}", is_drawn=number >= len(shown))
        for number, row in enumerate(every)
    ]


def in_arm(study: Study, arm: Configuration, settings: Mapping[str, Any]) -> Configuration:
    """The arm with the training of one configuration of its space."""
    training = Training.model_validate({**settings_of_arm(study, arm), **settings})
    # Class indices, where the study names classes.
    grouped = training.model_copy(update={"label_groups": arm.training.label_groups})
    return replace(arm, training=grouped)


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
        problem = f"label_groups is for several labels an image, and this task is {task.replace('_', ' ')}"
        raise SpecError(problem, cure="Leave label_groups out.")
    if isinstance(groups, int):
        if groups > len(classes):
            problem = f"label_groups asks for {groups} groups, and there are {len(classes)} labels"
            raise SpecError(problem, cure=f"Ask for at most {len(classes)} groups.")
        return training
    index_of = {name: index for index, name in enumerate(classes)}
    indices = tuple(tuple(choose(index_of, str(name), "label") for name in group) for group in groups)
    listed = [index for group in indices for index in group]
    wrong = [name for index, name in enumerate(classes) if listed.count(index) != 1]
    if wrong or not all(indices):
        what = f"not in exactly one group: {', '.join(wrong)}" if wrong else "label_groups has an empty group"
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
    edges = [number * least + min(number, more) for number in range(groups + 1)]
    return tuple(tuple(range(*edge)) for edge in pairwise(edges))


def alone(training: Training) -> Training:
    """The training of one group: the same in everything else."""
    return training.model_copy(update={"label_groups": 1})


def seed_of_group(seed: int, number: int) -> int:
    """The seed of the model of a group, from that of the fit; the first group has the seed of the fit itself."""
    if number == 0:
        return seed
    return int.from_bytes(sha256(f"{seed}/group {number}".encode()).digest()[:8], "big") % SEEDS
