"""What is laid over a study or below it: its variants, when they are asked for by name, and profiles of clusters.

Of a profile the user's own lies below the study; files and options lie over it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from platformdirs import user_config_dir

from foldwise.errors import SpecError, unknown
from foldwise.storage import from_home
from foldwise.study.profiles import PROFILES
from foldwise.study.ranges import MAX_VARIANTS, shown
from foldwise.study.spec import Study
from foldwise.study.training import Choice, Training
from foldwise.study.validation_errors import Invalid, Keys, model_at
from foldwise.study.yaml_places import YamlSource, parse_value, read_source
from foldwise.text import some

VARIANTS = "variants"
# A name becomes a part of the name of the run folder.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A variant with one of these brings a data set of its own.
DATA_SETS = {"path", "phantom", "source"}
# Plain mappings whose keys are keys of the study.
SECTIONS: tuple[Keys, ...] = ((), ("train",), ("compare",))
FORM = "Write its keys below it, as they would stand in the study: quick: {train: {epochs: 2}}."


def apply_variants(source: YamlSource, names: Sequence[str]) -> None:
    """Lay variants of a source over what it states, in this order; places in it lead to the variants.

    Raises:
        SpecError: the study has no variant of such a name.
    """
    variants = dict(_variants_in(source.value))
    for name in names:
        if name not in variants:
            where = f"--variant {name}"
            if variants:
                raise unknown(name, variants, "variant", where=where)
            cure = f"Add `{VARIANTS}: {{{name}: {{...}}}}` to it."
            raise SpecError("the study has no variants", where=where, cure=cure)
        source.value, written = _merged(source.value, variants[name])
        source.origins |= {keys: (VARIANTS, name, *keys) for keys in written}


def find_variant_errors(
    source: YamlSource, chosen: Sequence[str], *, errors_of: Callable[[Any], list[Invalid]]
) -> list[Invalid]:
    """What is wrong with the form of any variant, and with what those state that were not chosen.

    Args:
        source: before any variant is applied.
        chosen: those that are applied, and so are checked anyway.
        errors_of: what is wrong with a whole study.
    """
    errors = list(_form(source.value))
    if any(error.keys == (VARIANTS,) for error in errors):
        return errors
    for name, stated in _variants_in(source.value):
        if name not in chosen:
            value, written = _merged(source.value, stated)
            # The weights files that it names may come with another variant.
            for error in errors_of(value):
                if any(error.keys[:length] in written for length in range(1, len(error.keys) + 1)):
                    keys = (VARIANTS, name, *error.keys)
                    errors.append(Invalid(keys, f"in variant {name}, {error.what}", error.cure, error.at))
    return errors


def _variants_in(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The variants of a study that can be laid over it."""
    listed = document.get(VARIANTS) if isinstance(document, dict) else None
    if isinstance(listed, dict):
        yield from ((name, part) for name, part in listed.items() if isinstance(part, dict))


def _form(document: Any) -> Iterator[Invalid]:
    listed = document.get(VARIANTS) if isinstance(document, dict) else None
    if isinstance(listed, dict) and len(listed) > MAX_VARIANTS:
        what = f"the study has {len(listed):,} variants; at most {MAX_VARIANTS} are read"
        yield Invalid(
            (VARIANTS,),
            what,
            "Leave some out, and state what is to be compared as factors of compare.",
            at="key",
        )
    for name, part in listed.items() if isinstance(listed, dict) else ():
        keys: Keys = (VARIANTS, name)
        if not NAME.fullmatch(name):
            cure = "Use letters, digits and . _ - only: it names the run folder."
            yield Invalid(keys, f"a variant cannot be called {name!r}", cure, at="key")
        if not isinstance(part, dict):
            yield Invalid(keys, f"variant {name} must have keys, got {shown(part)}", FORM)
        elif VARIANTS in part:
            yield Invalid((*keys, VARIANTS), "a variant has no variants of its own", "Remove it.", at="key")


def _merged(base: Any, over: Mapping[str, Any]) -> tuple[dict[str, Any], set[Keys]]:
    """A study with a variant laid over it, and the keys of what was taken from the variant."""
    # A copy, since the next variant is laid over the file as it was.
    value, written = deepcopy(base), set[Keys]()
    _lay_over(value, {key: part for key, part in over.items() if key != VARIANTS}, (), written)
    return value, written


def _lay_over(target: dict[str, Any], over: Mapping[str, Any], keys: Keys, written: set[Keys]) -> None:
    """Nothing takes a key out, parts of the study are merged, and every other value replaces the one before."""
    for key, part in over.items():
        inner = (*keys, key)
        there = target.get(key)
        if part is None:
            target.pop(key, None)
        elif isinstance(part, dict) and isinstance(there, dict) and _merges(inner, part):
            _lay_over(there, part, inner, written)
        else:
            target[key] = _without_nothing(part, inner)
            written.add(inner)


def _merges(keys: Keys, part: Mapping[str, Any]) -> bool:
    """Whether keys of both count: not where a variant brings another data set, or a name with its options."""
    if keys in SECTIONS:
        return True
    if keys == ("data",) and part.keys() & DATA_SETS:
        return False
    model = model_at(keys[1:], Training) if keys[0] == "train" else model_at(keys, Study)
    return model is not None and not issubclass(model, Choice)


def _without_nothing(part: Any, keys: Keys) -> Any:
    """A mapping of the study without the keys that say nothing; other values as they are."""
    if not isinstance(part, dict) or not (keys in SECTIONS or _merges(keys, {})):
        return deepcopy(part)
    return {key: _without_nothing(value, (*keys, key)) for key, value in part.items() if value is not None}


def lay_profile(source: YamlSource, engine: str, stated: Sequence[str]) -> None:
    """Lay what is stated of an engine over its part of a study, and what the user's profile says below it; the last counts.

    Args:
        stated: ``KEY=VALUE`` each, or the path of a YAML file with such keys.

    Raises:
        SpecError: the engine has no profile, or a file is none of keys and values.
    """
    if engine in PROFILES:
        _lay_below(source, engine)
    where = f"--profile {' '.join(stated)}"
    if stated and engine not in PROFILES:
        cure = f"Add --on {' or '.join(PROFILES)}, or leave it out."
        raise SpecError(f"workers of {engine!r} have no profile", where=where, cure=cure)
    for text in stated:
        for key, value in _stated(text, engine).items():
            if not isinstance(source.value, dict):
                return  # no study at all, which is said elsewhere
            if not isinstance(source.value.get(engine), dict):
                source.value[engine] = {}
            source.value[engine][key] = value
            source.overrides[engine, key] = f"--profile {text}"


def user_profile() -> Path:
    """Where the user says once what clusters are asked for: $FOLDWISE_PROFILE, or where the system keeps settings of users.

    Never beside a study, and in no run folder: what lies there may be of somebody else, and a profile says what is run.
    """
    stated = os.environ.get("FOLDWISE_PROFILE")
    return (
        from_home(stated) if stated else Path(user_config_dir("foldwise", appauthor=False)) / "profile.yaml"
    )


def from_profile(source: YamlSource, engine: str) -> str:
    """What an engine is asked for by the user's profile, as a sentence; empty where nothing is."""
    path = str(user_profile())
    keys = [keys for keys, where in source.overrides.items() if where == path and keys[0] == engine]
    stated = [f"{key} {shown(source.value[engine][key])}" for _, key in keys]
    return f"{engine}: {some(stated)} from your profile {path}" if stated else ""


def _lay_below(source: YamlSource, engine: str) -> None:
    path = user_profile()
    if not path.is_file() or not isinstance(source.value, dict):
        if os.environ.get("FOLDWISE_PROFILE") and not path.is_file():
            raise SpecError(
                f"there is no file {path}", where="FOLDWISE_PROFILE", cure="Unset it, or name a profile."
            )
        return
    study = source.value.setdefault(engine, {})
    if not isinstance(study, dict):
        return  # which is said elsewhere
    for key, value in _of_file(path, engine, flat=False).items():
        if key not in study:
            study[key] = value
            source.overrides[engine, key] = str(path)


def _stated(text: str, engine: str) -> dict[str, object]:
    """The keys of one ``--profile``."""
    key, equals, written = text.partition("=")
    if equals and not Path(text).is_file():
        return {key.strip(): parse_value(written, where=f"--profile {text}")}
    if not Path(text).is_file() or not text:
        cure = f"For example --profile lab.yaml, or --profile workers=4; keys are {', '.join(PROFILES[engine].model_fields)}."
        what = f"there is no file {text!r}, and this is no KEY=VALUE" if text else "nothing is stated"
        raise SpecError(what, where=f"--profile {text}", cure=cure)
    return _of_file(Path(text), engine, flat=True)


def _of_file(path: Path, engine: str, *, flat: bool) -> dict[str, object]:
    """What a file says of an engine.

    Args:
        flat: whether the keys may stand without the name of an engine above them.
    """
    source = read_source(path)
    if source.errors:
        raise SpecError.together(source.error(error) for error in source.errors)
    keys = {} if source.value is None else source.value
    engines = isinstance(keys, dict) and bool(keys) and keys.keys() <= PROFILES.keys()
    if engines or not flat:  # written as it would stand in a study
        if not isinstance(keys, dict) or not keys.keys() <= PROFILES.keys():
            cure = f"Write {' or '.join(f'{name}:' for name in PROFILES)}, and the keys below it."
            raise SpecError("a profile says of which kind of cluster it is", where=str(path), cure=cure)
        keys = keys.get(engine, {})
    if not isinstance(keys, dict):
        cure = f"Its keys are {', '.join(PROFILES[engine].model_fields)}."
        raise SpecError(
            f"a profile is made of `key: value` lines, got {shown(keys)}", where=str(path), cure=cure
        )
    return keys
