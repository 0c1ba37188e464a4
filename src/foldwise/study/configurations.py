"""The configurations of a study: every combination of the factors of `compare`, over what `train` shares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import file_digest, sha256
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from foldwise.errors import SpecError, choose
from foldwise.study.factors import NO_WEIGHTS_FILE, find_errors, levels, named
from foldwise.study.spec import Study
from foldwise.study.training import Task, Training

# Where a user's own function may stand; its code is a part of what is trained.
OWN = ("model", "loss")


@dataclass(frozen=True)
class Configuration:
    """One way to train, to be compared with the others.

    Attributes:
        id: ``c-`` and ten hex digits that change when, and only when, the training does.
        name: its factor levels, for people: ``unet · dice``; the model where nothing is compared.
        levels: factor -> level, for tables.
    """

    id: str
    name: str
    levels: dict[str, str]
    training: Training


def configurations(study: Study) -> tuple[Configuration, ...]:
    """Every combination of the levels, in the order of the file, the first factor slowest.

    Raises:
        SpecError: all errors of `train` and `compare` at once.
    """
    errors = find_errors(study.train, study.compare)
    if errors:
        raise SpecError.together(SpecError(error.what, cure=error.cure) for error in errors)
    factors = {key: levels(key, written)[0] for key, written in study.compare.items()}
    compared = []
    for combination in product(*factors.values()):
        chosen = dict(zip(factors, combination, strict=True))
        stated = {setting: value for level in combination for setting, value in level.settings.items()}
        training = Training.model_validate(study.train | stated)
        names = {key: level.name for key, level in chosen.items()}
        # The order of the keys in the file does not change what is trained, so it does not change the id.
        digest = sha256(json.dumps(identity(training), sort_keys=True).encode()).hexdigest()
        name = named(names) or str(training.model)
        compared.append(Configuration(f"c-{digest[:10]}", name, names, training))
    return tuple(compared)


def identity(training: Training) -> dict[str, Any]:
    """What of a training can change its result: all of it, a weights file by its content and not its place.

    Of a user's own ``package.module:function`` the code of that module counts too, so that edited code is run again.
    """
    dump = training.model_dump(mode="json")
    dump |= {key: dump[key] | {"code": code} for key in OWN if (code := _own_code(dump[key]["name"]))}
    path = Path(training.weights)
    if training.weights not in NO_WEIGHTS_FILE and path.is_file():
        dump["weights"] = _content_of(path)
    return dump


def _own_code(name: str) -> str | None:
    """The digest of the module that a ``package.module:function`` lives in; None for names of a table."""
    module, colon, function = name.partition(":")
    if not colon or not function.isidentifier() or not module.replace(".", "").isidentifier():
        return None
    # That a module cannot be imported is said when the model or the loss is built.
    with suppress(ImportError, ValueError):
        spec = find_spec(module)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            return _content_of(Path(spec.origin))
    return None


def _content_of(path: Path) -> str:
    about = path.stat()
    return _content(path, about.st_size, about.st_mtime_ns)


# Size and time are arguments only so that a file that was edited is read anew.
@lru_cache(maxsize=256)
def _content(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{file_digest(file, 'sha256').hexdigest()}"


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
