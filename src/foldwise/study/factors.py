"""The factors of `compare`: their levels, spelled out and checked, and everything that is wrong with them.

A factor is a setting with a list of values; or a bundle, a name of the user's own whose levels each state several
settings that belong together, such as a network with its weights file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foldwise.study import ranges
from foldwise.study.ranges import shown
from foldwise.study.training import NO_WEIGHTS_FILE, SYNONYM_CURES, Choice, Training
from foldwise.study.validation_errors import Invalid, Keys, from_pydantic, suggest
from foldwise.text import count

NAME = "name"  # of a level of a bundle, for people
# Say nothing without the name of their setting.
UNSPOKEN = ("auto", "none")
# Any row does: it only lets the other keys be checked alone.
SOME_MODEL = {"model": "unet"}
EACH_CURE = "Write for example {adam: {lr: {each: [0.001, 0.01]}}}."
EACH_IN_TRAIN = (
    "each makes levels, and train has none: it is shared by all",
    "Move this key to compare, as a list.",
)


@dataclass(frozen=True)
class Level:
    """One checked level of a factor: the settings it states, its name, and its place in the list that was written."""

    settings: dict[str, Any]
    name: str
    index: int


def find_errors(
    train: Mapping[str, Any], compare: Mapping[str, Any], *, beside: Collection[str] = ()
) -> list[Invalid]:
    """Everything that is wrong with the shared settings and the factors, by place.

    Args:
        beside: settings that are stated elsewhere.
    """
    shared = dict(train)
    errors = checked_part(shared, under=("train",))
    errors += [Invalid(("train", *keys), *EACH_IN_TRAIN) for keys, _ in _each_locations(shared)]
    stated = dict.fromkeys(train, "train")
    for key, written in compare.items():
        if key not in Training.model_fields and not is_bundle(key, written):
            what = f"no setting is called {key!r}, so it cannot be compared"
            errors.append(
                Invalid(("compare", key), what, suggest(key, Training.model_fields, SYNONYM_CURES), at="key")
            )
            continue
        for setting in settings_of(key, written):
            if setting in stated:
                first = "shared in train" if stated[setting] == "train" else f"in {stated[setting]}"
                what = f"{setting} is stated twice: {first}, and as a factor here"
                errors.append(Invalid(("compare", key), what, "Keep one of them.", at="key"))
            stated[setting] = f"compare.{key}"
        if isinstance(written, list):
            errors += levels(key, written)[1]
    if "model" not in stated and "model" not in beside:
        cure = "Add `model: unet` to train, or a list of models to compare."
        errors.append(Invalid((), "no model is named", cure, at="key"))
    return errors


def is_bundle(key: str, written: Any) -> bool:
    """Whether a factor is none of the settings but brings several of them with each level.

    >>> is_bundle("network", [{"model": "conv", "epochs": 20}, {"model": "unet", "epochs": 40}])
    True
    """
    listed = isinstance(written, list) and bool(written)
    return key not in Training.model_fields and listed and all(isinstance(level, dict) for level in written)


def settings_of(key: str, written: Any) -> tuple[str, ...]:
    """The settings that a factor decides: itself, or those of any of its levels where it is a bundle."""
    if not is_bundle(key, written):
        return (key,)
    return tuple(dict.fromkeys(str(setting) for level in written for setting in level if setting != NAME))


def levels(key: str, written: list[Any]) -> tuple[list[Level], list[Invalid]]:
    """The levels of one factor, those of nested factors spelled out, and what is wrong with them."""
    errors: list[Invalid] = []
    good: list[Level] = []
    if not written:
        cure = "List at least one, or remove the line."
        return [], [Invalid(("compare", key), f"compare.{key} has no levels", cure)]
    for index, raw in enumerate(written):
        under: Keys = ("compare", key, index)
        empty = [keys for keys, listed in _each_locations(raw) if not isinstance(listed, list) or not listed]
        if empty:
            what = "each needs a list of at least one value"
            errors += [Invalid((*under, *keys), what, EACH_CURE) for keys in empty]
            continue
        for value in spelled_out(raw):
            wrong = _checked_level(key, value, under)
            errors += wrong
            if not wrong:
                good.append(_level(key, value, index, raw))
    return good, list(dict.fromkeys(errors)) + _twice(key, good)


def _level(key: str, value: Any, index: int, raw: Any) -> Level:
    if key in Training.model_fields:
        return Level({key: value}, _level_name(key, value), index)
    settings = {setting: part for setting, part in value.items() if setting != NAME}
    names = {setting: _level_name(setting, part) for setting, part in settings.items()}
    if NAME not in value:
        return Level(settings, named(names), index)
    # One name for all that `each` spells out would not tell them apart.
    varied = {setting: name for setting, name in names.items() if raw[setting] != value[setting]}
    return Level(settings, " · ".join(filter(None, (str(value[NAME]), named(varied)))), index)


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


def _each_locations(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, dict):
        if value.keys() == {"each"}:
            yield keys, value["each"]
        for key, part in value.items():
            yield from _each_locations(part, (*keys, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _each_locations(part, (*keys, index))


def checked_part(document: Mapping[str, Any], *, under: Keys) -> list[Invalid]:
    """What is wrong with some settings, whatever the others are."""
    document = SOME_MODEL | dict(document)
    try:
        # Through JSON, where strict means what a reader of YAML expects: a list may be a tuple, true is no number.
        Training.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        return from_pydantic(error, document, Training, under=under, cures=SYNONYM_CURES)
    return []


def _checked_level(key: str, value: Any, under: Keys) -> list[Invalid]:
    if key not in Training.model_fields:
        if not isinstance(value, dict):
            what = f"a level of compare.{key} must have keys, got {shown(value)}"
            return [Invalid(under, what, "State its settings: {model: conv, epochs: 20}.")]
        settings = {setting: part for setting, part in value.items() if setting != NAME}
        return checked_part(settings, under=under)
    errors = checked_part({key: value}, under=("compare",))
    # pydantic speaks of the key; the file has a list there, and the error is in one of its levels.
    return [Invalid((*under, *error.keys[2:]), error.what, error.cure, error.at) for error in errors]


def _twice(key: str, good: list[Level]) -> list[Invalid]:
    seen: set[str] = set()
    errors = []
    for level in good:
        checked = Training.model_validate(SOME_MODEL | level.settings)
        dump = json.dumps(checked.model_dump(mode="json", include=set(level.settings)), sort_keys=True)
        if dump in seen:
            cure = "Remove one: equal levels give equal results."
            what = f"compare.{key} states {level.name} twice"
            errors.append(Invalid(("compare", key, level.index), what, cure))
        seen.add(dump)
    return list(dict.fromkeys(errors))


def _level_name(key: str, value: Any) -> str:
    checked = getattr(Training.model_validate(SOME_MODEL | {key: value}), key)
    if key == "label_groups" and isinstance(checked, tuple):
        return f"{len(checked)} stated"
    if key == "weights" and checked not in NO_WEIGHTS_FILE:
        return Path(checked).stem
    if isinstance(checked, str):
        return shown(checked).strip("'")
    return "none" if checked is None else str(checked)


def named(levels_of: Mapping[str, str]) -> str:
    """Choices speak for themselves (``unet · dice``); ``auto``, ``none`` and plain values do not (``epochs 5``)."""
    plain = {key for key, field in Training.model_fields.items() if field.annotation is not Choice}
    return " · ".join(
        f"{key} {name}" if key in plain or name.partition(" ")[0] in UNSPOKEN else name
        for key, name in levels_of.items()
    )


def nested_levels(key: str, written: list[Any]) -> dict[str, str]:
    """Level -> what it is a setting of: itself, but for levels that one entry of the list was spelled out to.

    >>> nested_levels("optimizer", ["adam", {"sgd": {"lr": {"each": [0.1, 0.01]}}}])
    {'adam': 'adam', 'sgd (lr 0.1)': 'sgd', 'sgd (lr 0.01)': 'sgd'}
    """
    good = levels(key, written)[0]
    entries: dict[tuple[int, str], list[Level]] = {}
    for level in good:
        alone = isinstance(written[level.index], dict) and written[level.index].keys() == {"each"}
        entries.setdefault((level.index, level.name if alone else ""), []).append(level)
    # All are settings of the same thing: then these are what is compared.
    if len(entries) < 2:
        return {level.name: level.name for level in good}
    short = {entry: _entry_name(key, written[entry[0]], many, brief=True) for entry, many in entries.items()}
    listed = list(short.values())
    names = {
        entry: name
        if listed.count(name) == 1
        else _entry_name(key, written[entry[0]], entries[entry], brief=False)
        for entry, name in short.items()
    }
    return {level.name: names[entry] for entry, many in entries.items() for level in many}


def _entry_name(key: str, raw: Any, many: list[Level], *, brief: bool) -> str:
    """What an entry is called; with the options that all its levels share where it must be told from another."""
    if len(many) == 1:
        return many[0].name
    if is_bundle(key, [raw]):
        same = {setting: value for setting, value in many[0].settings.items() if raw.get(setting) == value}
        return (
            str(raw[NAME]) if NAME in raw else named({setting: str(value) for setting, value in same.items()})
        )
    if Training.model_fields[key].annotation is not Choice:
        return " / ".join(level.name for level in many)
    chosen = [Choice.model_validate(level.settings[key]) for level in many]
    shared = {
        option: value
        for option, value in chosen[0].options.items()
        if all(option in level.options and level.options[option] == value for level in chosen)
    }
    return chosen[0].name if brief else str(Choice(name=chosen[0].name, options=shared))


def find_too_many(compare: Mapping[str, Any]) -> list[Invalid]:
    """Factors of more levels, and more combinations, than can be spelled out; counted without doing so."""
    errors, combinations = [], 1
    for key, written in compare.items():
        levels_of_it = sum(map(num_spelled_out, written)) if isinstance(written, list) else 1
        combinations *= max(1, levels_of_it)
        if levels_of_it > ranges.MAX_LEVELS:
            what = f"compare.{key} has {_large(levels_of_it)} levels; a factor may have {ranges.MAX_LEVELS:,}"
            errors.append(Invalid(("compare", key), what, "List fewer.", at="key"))
    if not errors and combinations > ranges.MAX_CONFIGURATIONS:
        what = f"the factors make {_large(combinations)} configurations; at most {ranges.MAX_CONFIGURATIONS:,} are compared"
        cure = "List fewer levels, or keep together what belongs together, as the levels of one bundle."
        errors.append(Invalid(("compare",), what, cure, at="key"))
    return errors


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**12 else "more than a million million"


def num_spelled_out(value: Any) -> int:
    """How many values `spelled_out` would yield."""
    if isinstance(value, dict):
        if value.keys() == {"each"} and isinstance(value["each"], list):
            return sum(map(num_spelled_out, value["each"]))
        return prod(map(num_spelled_out, value.values()))
    return prod(map(num_spelled_out, value)) if isinstance(value, list) else 1


def find_too_many_fits(
    compare: Mapping[str, list[Any]], folds: int, repeats: int, *, tried: int = 1
) -> list[Invalid]:
    """More fits than a plan can hold, of levels, folds, repeats and what is `tried` of each, all in their range."""
    combinations = prod(sum(map(num_spelled_out, written)) for written in compare.values())
    fits = combinations * folds * repeats * tried
    if fits <= ranges.MAX_FITS:
        return []
    searched = f", {tried - 1} tried in each and one chosen," if tried > 1 else ""
    what = f"{count(combinations, 'configuration')}, {count(folds, 'fold')} and {count(repeats, 'repeat')}{searched} make {fits:,} fits; at most {ranges.MAX_FITS:,} are planned"
    return [Invalid(("validate",), what, "Ask for fewer levels, folds or repeats.", at="key")]
