"""The configurations of a study: every combination of the factors of `compare`, over what `train` shares."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest, sha256
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foldwise.errors import SpecError
from foldwise.study.mistakes import Keys, Mistake, from_pydantic, shown, suggest
from foldwise.study.spec import AUGMENTS, Augment, Choice, Study, Training

NO_WEIGHTS_FILE = ("none", "imagenet")
# Any row does: it only lets the other keys be checked alone.
SOME_MODEL = {"model": "unet"}


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


@dataclass(frozen=True)
class Level:
    """One checked level of a factor: its value, its name, and its place in the list that was written."""

    value: Any
    name: str
    index: int


def configurations(study: Study) -> tuple[Configuration, ...]:
    """Every combination of the levels, in the order of the file, the first factor slowest.

    Raises:
        SpecError: all mistakes of `train` and `compare` at once.
    """
    mistakes = find_mistakes(study.train, study.compare)
    if mistakes:
        raise SpecError.together(SpecError(mistake.what, cure=mistake.cure) for mistake in mistakes)
    factors = {key: levels(key, written)[0] for key, written in study.compare.items()}
    made = []
    for combination in product(*factors.values()):
        chosen = dict(zip(factors, combination, strict=True))
        training = Training.model_validate(study.train | {key: level.value for key, level in chosen.items()})
        named = {key: level.name for key, level in chosen.items()}
        made.append(Configuration(_id(training), _name(named) or str(training.model), named, training))
    return tuple(made)


def find_mistakes(train: Mapping[str, Any], compare: Mapping[str, Any]) -> list[Mistake]:
    """Everything that is wrong with the shared settings and the factors, by place."""
    shared = dict(train)
    found = _checked_part(SOME_MODEL | shared, under=("train",)) + _each_in_train(shared)
    for key, written in compare.items():
        if key not in Training.model_fields:
            what = f"no setting is called {key!r}, so it cannot be compared"
            found.append(Mistake(("compare", key), what, suggest(key, Training.model_fields), at="key"))
            continue
        if key in train:
            what, cure = f"{key} is stated twice: shared in train, and as a factor here", "Keep one of them."
            found.append(Mistake(("compare", key), what, cure, at="key"))
        if isinstance(written, list):
            found += levels(key, written)[1]
    if "model" not in train and "model" not in compare:
        cure = "Add `model: unet` to train, or a list of models to compare."
        found.append(Mistake((), "no model is named", cure, at="key"))
    return found


def levels(key: str, written: list[Any]) -> tuple[list[Level], list[Mistake]]:
    """The levels of one factor, those of nested factors spelled out, and what is wrong with them."""
    mistakes: list[Mistake] = []
    good: list[Level] = []
    if not written:
        return [], [
            Mistake(
                ("compare", key), f"compare.{key} has no levels", "List at least one, or remove the line."
            )
        ]
    for index, raw in enumerate(written):
        under: Keys = ("compare", key, index)
        empty = list(_empty_each(raw))
        mistakes += [
            Mistake((*under, *keys), "each needs a list of at least one value", EACH_CURE) for keys in empty
        ]
        if empty:
            continue
        for value in spelled_out(raw):
            wrong = _checked_level(key, value, under)
            mistakes += wrong
            if not wrong:
                good.append(Level(value, _level_name(key, value), index))
    return good, _unique(mistakes) + _twice(key, good)


EACH_CURE = "Write for example {adam: {lr: {each: [0.001, 0.01]}}}."


def spelled_out(value: Any) -> Iterator[Any]:
    """A level with every ``{each: [a, b]}`` in it replaced by a, then by b, in all combinations."""
    if isinstance(value, dict):
        if value.keys() == {"each"} and isinstance(value["each"], list):
            for part in value["each"]:
                yield from spelled_out(part)
            return
        for parts in product(*(list(spelled_out(part)) for part in value.values())):
            yield dict(zip(value, parts, strict=True))
    elif isinstance(value, list):
        yield from map(list, product(*(list(spelled_out(part)) for part in value)))
    else:
        yield value


def _each_places(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict):
        if value.keys() == {"each"}:
            yield keys, value["each"]
        for key, part in value.items():
            yield from _each_places(part, (*keys, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _each_places(part, (*keys, index))


def _empty_each(value: Any) -> Iterator[Keys]:
    return (keys for keys, listed in _each_places(value) if not isinstance(listed, list) or not listed)


def _each_in_train(train: Mapping[str, Any]) -> list[Mistake]:
    what, cure = (
        "each makes levels, and train has none: it is shared by all",
        "Move this key to compare, as a list.",
    )
    return [Mistake(("train", *keys), what, cure) for keys, _ in _each_places(dict(train))]


def _checked_part(document: dict[str, Any], *, under: Keys) -> list[Mistake]:
    try:
        # Through JSON, where strict means what a reader of YAML expects: a list may be a tuple, true is no number.
        Training.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        return from_pydantic(error, document, Training, under=under)
    return []


def _checked_level(key: str, value: Any, under: Keys) -> list[Mistake]:
    document = SOME_MODEL | {key: value}
    found = _checked_part(document, under=("compare",))
    # pydantic speaks of the key; the file has a list there, and the mistake is in one of its levels.
    return [Mistake((*under, *mistake.keys[2:]), mistake.what, mistake.cure, mistake.at) for mistake in found]


def _unique(mistakes: list[Mistake]) -> list[Mistake]:
    return list(dict.fromkeys(mistakes))


def _twice(key: str, good: list[Level]) -> list[Mistake]:
    seen: dict[str, int] = {}
    found = []
    for level in good:
        dump = json.dumps(_checked_value(key, level.value), sort_keys=True)
        if dump in seen:
            what = f"compare.{key} states {level.name} twice"
            found.append(
                Mistake(("compare", key, level.index), what, "Remove one: equal levels give equal results.")
            )
        seen[dump] = level.index
    return _unique(found)


def _checked_value(key: str, value: Any) -> Any:
    return Training.model_validate(SOME_MODEL | {key: value}).model_dump(mode="json")[key]


def _level_name(key: str, value: Any) -> str:
    checked = getattr(Training.model_validate(SOME_MODEL | {key: value}), key)
    if isinstance(checked, Augment):
        named = next((name for name, augment in AUGMENTS.items() if augment == checked), None)
        parts = checked.model_dump(exclude_defaults=True)
        return named or ", ".join(
            part if size is True else f"{part} {size:g}" for part, size in parts.items()
        )
    if key == "weights" and checked not in NO_WEIGHTS_FILE:
        return Path(checked).stem
    return (
        "none" if checked is None else shown(checked).strip("'") if isinstance(checked, str) else str(checked)
    )


def _name(named: dict[str, str]) -> str:
    """Choices speak for themselves (``unet · dice``); ``auto`` and plain values do not (``epochs 5``)."""
    chosen = {key for key, field in Training.model_fields.items() if field.annotation is Choice}
    return " · ".join(
        name if key in chosen and name != "auto" else f"{key} {name}" for key, name in named.items()
    )


def identity(training: Training) -> dict[str, Any]:
    """What of a training can change its result: all of it, with a weights file by its content and not its place."""
    dump = training.model_dump(mode="json")
    path = Path(training.weights)
    if training.weights not in NO_WEIGHTS_FILE and path.is_file():
        about = path.stat()
        dump["weights"] = _content(path, about.st_size, about.st_mtime_ns)
    return dump


@lru_cache(maxsize=256)
def _content(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return f"sha256:{file_digest(file, 'sha256').hexdigest()}"


def _id(training: Training) -> str:
    return "c-" + sha256(json.dumps(identity(training), sort_keys=True).encode()).hexdigest()[:10]
