"""Variants: parts of a study that are laid over its file when they are asked for by name, such as a quick one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from foldwise.errors import SpecError, unknown
from foldwise.study.ranges import MAX_VARIANTS, shown
from foldwise.study.spec import Study
from foldwise.study.training import Choice, Training
from foldwise.study.validation_errors import Invalid, Keys, model_at
from foldwise.study.yaml_places import YamlSource

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
    variants = dict(_stated(source.value))
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
    for name, stated in _stated(source.value):
        if name not in chosen:
            value, written = _merged(source.value, stated)
            # The weights files that it names may come with another variant.
            for error in errors_of(value):
                if any(error.keys[:length] in written for length in range(1, len(error.keys) + 1)):
                    keys = (VARIANTS, name, *error.keys)
                    errors.append(Invalid(keys, f"in variant {name}, {error.what}", error.cure, error.at))
    return errors


def _stated(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
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
