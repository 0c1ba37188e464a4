"""The space of a search: settings with ranges and choices in place of values, and every configuration that lies in it.

A number is searched between two ends, ``{low: 1e-4, high: 1e-1, log: true}``; a list at a setting, or ``{each: [a, b]}``
inside one, is a choice, whose parts may hold ranges of their own. Whole ends make whole numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

from foldwise.study.factors import NAME, checked_part, find_errors, is_bundle, settings_of
from foldwise.study.own_code import identity
from foldwise.study.ranges import shown
from foldwise.study.training import SYNONYM_CURES, Training
from foldwise.study.validation_errors import Invalid, Keys, dotted, suggest

if TYPE_CHECKING:
    from foldwise.study.spec import Searching

RANGE_KEYS = ("low", "high", "log", "step")
RANGE_CURE = "Write for example {low: 0.0001, high: 0.1, log: true}."
# Of hardware no score comes, and groups of labels are names that only the images explain.
NOT_SEARCHED = ("device", "label_groups")
# What is asked of single fits before any is chosen.
NOT_BESIDE = ("look", "robustness", "measure")
IN_ANOTHER = "or ask for it in a study of the configuration that was found"
AFTERWARDS = {"measure": "and measure what was chosen when the search has ended, by: foldwise measure RUN"}
MAX_PROBES = 200  # ends of ranges and choices that are tried before training, beside each other


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both among them; whole ones where the ends are and no step breaks them."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        stated = (self.low, self.high, 1 if self.step is None else self.step)
        return all(isinstance(number, int) for number in stated)


@dataclass(frozen=True)
class Choices:
    """One of several values, each of which may hold ranges and choices of its own."""

    options: tuple[Any, ...]


Parameter = Range | Choices
Values = dict[str, float | int]  # by parameter a number of a range, or the index of a choice
Pick = Callable[[str, Parameter], float | int]


def drawn(space: Mapping[str, Any], pick: Pick) -> dict[str, Any]:
    """The settings of one configuration: every range and choice replaced by what `pick` says of it.

    Args:
        space: as the study states it, checked.
        pick: called with the name of a parameter (``optimizer.sgd.lr``) and its range or choice, in the order of the
            file; with those inside a choice only where it was chosen.
    """
    settings: dict[str, Any] = {}
    for key, written in space.items():
        value = _drawn({"each": written} if isinstance(written, list) else written, pick, key)
        if key in Training.model_fields:
            settings[key] = value
        else:
            settings |= {setting: part for setting, part in value.items() if setting != NAME}
    return settings


def _drawn(value: Any, pick: Pick, name: str) -> Any:
    if _is_range(value):
        return pick(name, Range(**value))
    if isinstance(value, dict) and value.keys() == {"each"}:
        options = value["each"]
        index = int(pick(name, Choices(tuple(options))))
        return _drawn(options[index], pick, _name_inside(name, options, index))
    if isinstance(value, dict):
        return {key: _drawn(part, pick, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return [_drawn(part, pick, f"{name}[{index}]") for index, part in enumerate(value)]
    return value


def _name_inside(name: str, options: list[Any], index: int) -> str:
    """Options of a choice by their own names where these are all different, such as optimizer.sgd.lr; else by number."""
    keys = [next(iter(option)) for option in options if isinstance(option, dict) and len(option) == 1]
    alone = isinstance(options[index], dict) and len(options[index]) == 1
    return name if alone and len(set(keys)) == len(keys) else f"{name}[{index}]"


def _is_range(value: Any) -> bool:
    return isinstance(value, dict) and bool({"low", "high"} & value.keys())


def probes(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings that show every end and every choice: the first of all, then each of the others with the first of the rest."""
    seen: set[str] = set()
    todo: list[Values] = [{}]
    while todo:
        fixed, met = todo.pop(0), dict[str, Parameter]()

        # The defaults are bound now, as the loop gives these names other values.
        def pick(
            name: str, parameter: Parameter, fixed: Values = fixed, met: dict[str, Parameter] = met
        ) -> float | int:
            met[name] = parameter
            return fixed.get(name, parameter.low if isinstance(parameter, Range) else 0)

        yield drawn(space, pick)
        for name, parameter in met.items():
            if name not in seen:
                seen.add(name)
                ends = [parameter.high] if isinstance(parameter, Range) else range(1, len(parameter.options))
                todo += [fixed | {name: end} for end in ends]


def random_settings(space: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    """So many configurations drawn at random, evenly on the scale of each range; always the same."""
    random = Random(0)

    def pick(name: str, parameter: Parameter) -> float | int:
        if not isinstance(parameter, Range):
            return random.randrange(len(parameter.options))
        low, high = (math.log(end) if parameter.log else end for end in (parameter.low, parameter.high))
        value = random.uniform(low, high)
        value = math.exp(value) if parameter.log else value
        if parameter.step is not None:
            value = parameter.low + round((value - parameter.low) / parameter.step) * parameter.step
        return min(max(round(value) if parameter.is_whole else value, parameter.low), parameter.high)

    return [drawn(space, pick) for _ in range(number)]


def spoken(space: Mapping[str, Any], values: Values) -> dict[str, str]:
    """The values of a configuration for people, by parameter: 0.00316, adam."""
    words: dict[str, str] = {}

    def pick(name: str, parameter: Parameter) -> float | int:
        value = values[name]
        words[name] = f"{value:.3g}" if isinstance(parameter, Range) else _word(parameter.options[int(value)])
        if isinstance(parameter, Range) and parameter.is_whole:
            words[name] = str(value)
        return value

    drawn(space, pick)
    return words


def _word(option: Any) -> str:
    """A choice by its name; what it holds beside it is said by its own parameters."""
    if isinstance(option, dict):
        stated = option.get(NAME)
        names = (key if isinstance(part, dict | None) else f"{key} {part}" for key, part in option.items())
        return stated if isinstance(stated, str) else ", ".join(names)
    plain = isinstance(option, bool)  # true and false as the file has them
    return "none" if option is None else str(option).lower() if plain else str(option)


def described(value: Any) -> str:
    """What is searched, in words: ``adam (lr 0.0001 to 0.1, on a log scale)``, ``none | flips``."""
    if _is_range(value):
        scale = ", on a log scale" if value.get("log") else ""
        step = f", in steps of {value['step']:g}" if value.get("step") is not None else ""
        return f"{value['low']:g} to {value['high']:g}{scale}{step}"
    if isinstance(value, dict) and value.keys() == {"each"}:
        return described(value["each"])
    if isinstance(value, list):
        return " | ".join(map(described, value))
    if not isinstance(value, dict) or isinstance(value.get(NAME), str):
        return _word(value)
    parts = []
    for name, options in value.items():
        if isinstance(options, dict) and not _is_range(options) and options.keys() != {"each"}:
            inside = ", ".join(f"{key} {described(part)}" for key, part in options.items())
            parts.append(f"{name} ({inside})" if inside else str(name))
        else:
            parts.append(str(name) if options is None else f"{name} {described(options)}")
    return ", ".join(parts)


def edges(space: Mapping[str, Any], values: Values) -> list[str]:
    """Ranges at, or within a twentieth of, whose ends a configuration lies, by parameter."""
    near: list[str] = []

    def pick(name: str, parameter: Parameter) -> float | int:
        value = values[name]
        if isinstance(parameter, Range):
            scale = math.log if parameter.log else float
            low, here, high = (scale(number) for number in (parameter.low, value, parameter.high))
            if min(here - low, high - here) <= 0.05 * (high - low):
                near.append(name)
        return value

    drawn(space, pick)
    return near


def search_digest(searching: Searching, shared: Mapping[str, Any]) -> str:
    """Hex digits of all that can change what is proposed for these shared settings, but for results, seed and budget."""
    ways = [identity(Training.model_validate({**shared, **settings})) for settings in probes(searching.space)]
    stated = searching.model_dump(mode="json", exclude={"configurations", "hours"})
    return sha256(json.dumps([ways, stated], sort_keys=True).encode()).hexdigest()


def find_search_errors(document: Mapping[str, Any]) -> list[Invalid]:
    """Everything that is wrong with `train`, `compare` and the space of `search` of a study, by place."""
    train, compare, search = (document.get(key) or {} for key in ("train", "compare", "search"))
    space = search.get("space") if isinstance(search, dict) else None
    if not isinstance(space, dict):
        return find_errors(train, compare)
    named = {setting for key, written in space.items() for setting in settings_of(key, written)}
    errors = find_errors(train, compare, beside=named)
    stated = {setting for key, written in compare.items() for setting in settings_of(key, written)} | {*train}
    for key, written in space.items():
        errors += _key_errors(key, written, stated) or _value_errors(key, written)
        stated |= {*settings_of(key, written)}
    if not errors and len(list(islice(probes(space), 2))) == 1:
        cure = "Name a setting with a range, such as {batch_size: {low: 8, high: 64, log: true}}."
        holds = "holds one configuration" if space else "is empty"
        errors.append(Invalid(("search", "space"), f"search.space {holds}: there is nothing to search", cure))
    once = train.get("epochs") == 1 and "epochs" not in {*named, *compare}
    if not errors and search.get("halving") and once:
        cure = "Leave halving out, or state train.epochs: 3 or more."
        what = "search.halving tries in a third of the epochs, and train.epochs is 1: nothing would be saved"
        errors.append(Invalid(("search", "halving"), what, cure))
    return errors + _beside_errors(document)


def _beside_errors(document: Mapping[str, Any]) -> list[Invalid]:
    """What cannot be asked for together with a search."""
    validation = document.get("validate")
    stated = [key for key in NOT_BESIDE if document.get(key, False) not in (None, False)]
    division = validation if isinstance(validation, dict) else {}
    stated += [f"validate.{key}" for key in ("aa_test", "race") if division.get(key)]
    what = "{} is asked of fits that are planned before training, and a search chooses them on the way"
    cures = {key: f"Leave {key} out, {AFTERWARDS.get(key, IN_ANOTHER)}." for key in stated}
    return [Invalid(tuple(key.split(".")), what.format(key), cures[key], at="key") for key in stated]


def _key_errors(key: str, written: Any, stated: set[str]) -> list[Invalid]:
    at: Keys = ("search", "space", key)
    if key not in Training.model_fields and (not is_bundle(key, written) or any(map(_is_range, written))):
        what = f"no setting is called {key!r}, so it cannot be searched"
        return [Invalid(at, what, suggest(key, Training.model_fields, SYNONYM_CURES), at="key")]
    if fixed := [setting for setting in settings_of(key, written) if setting in NOT_SEARCHED]:
        cure = "State it in train, or compare its values."
        return [Invalid(at, f"{fixed[0]} is not searched", cure, at="key")]
    twice = [setting for setting in settings_of(key, written) if setting in stated]
    what = f"{', '.join(twice)} is stated twice: in the space, and in train, compare or another part of the space"
    return [Invalid(at, what, "Keep one of them.", at="key")] if twice else []


def _value_errors(key: str, written: Any) -> list[Invalid]:
    """What is wrong with the ranges of one setting; of its values at the ends and of its choices where these are right."""
    at: Keys = ("search", "space", key)
    whole = {"each": written} if isinstance(written, list) else written
    if errors := list(_range_errors(whole, at)):
        return errors
    invalid: list[Invalid] = []
    for number, settings in enumerate(probes({key: written})):
        if number == MAX_PROBES:
            what = f"{dotted(at)} has more than {MAX_PROBES} ends and choices"
            return [Invalid(at, what, "Choose among fewer.")]
        # The places of what is drawn are not those of what is written.
        invalid += [Invalid(at, error.what, error.cure) for error in checked_part(settings, under=at[:2])]
    return list(dict.fromkeys(invalid))


def _range_errors(value: Any, at: Keys) -> Iterator[Invalid]:
    if _is_range(value):
        if problem := _wrong_range(value):
            yield Invalid(at, f"{dotted(at)} {problem}, got {shown(value)}", RANGE_CURE)
    elif isinstance(value, dict):
        if value.keys() == {"each"} and not (isinstance(value["each"], list) and value["each"]):
            yield Invalid(at, f"{dotted(at)} has a choice of nothing", "List at least one value.")
            return
        options = value["each"] if value.keys() == {"each"} else []
        if twice := [option for number, option in enumerate(options) if option in options[:number]]:
            yield Invalid(at, f"{dotted(at)} lists {shown(twice[0])} twice", "Remove one.")
        for key, part in value.items():
            yield from _range_errors(part, at if key == "each" else (*at, key))
    elif isinstance(value, list):
        for part in value:
            yield from _range_errors(part, at)


def _wrong_range(value: Mapping[str, Any]) -> str | None:
    numbers = [value.get(key) for key in ("low", "high")] + [value[key] for key in ("step",) if key in value]
    if unknown := value.keys() - set(RANGE_KEYS):
        return f"has a range with {sorted(unknown)[0]!r}; its keys are low, high, log and step"
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        return "needs numbers as low and high, and as step"
    if not isinstance(value.get("log", False), bool):
        return "needs log: true or log: false"
    if not value["low"] < value["high"]:
        return "needs low below high"
    if value.get("log") and (value["low"] <= 0 or "step" in value):
        return "needs low above 0, and no step, for log: true"
    if not 0 < value.get("step", 1) <= max(value["high"] - value["low"], 1):
        return "needs a step above 0, and not beyond high"
    return None
