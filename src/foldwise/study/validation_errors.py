"""Errors in a study, in plain words: what pydantic finds is reworded here, so that no jargon reaches a user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Keys = tuple[str | int, ...]
SHOWN_LETTERS = 60
ALIKE = 0.7  # of values; less would answer gpu with cpu


class InvalidValue(ValueError):
    """A value that its field cannot take; raised by our own validators.

    Args:
        what: goes on after the key: "must be ..., got ...".
        cure: one sentence, or none.
    """

    def __init__(self, what: str, cure: str | None = None) -> None:
        self.what, self.cure = what, cure
        super().__init__(what)


@dataclass(frozen=True)
class Invalid:
    """One thing that is wrong with a study.

    Attributes:
        keys: where: keys and list indices from the top; of a missing key, its parent.
        what: one sentence.
        cure: what to do about it.
        at: whether the caret points at the key or at its value.
    """

    keys: Keys
    what: str
    cure: str | None = None
    at: Literal["key", "value"] = "value"


def dotted(keys: Iterable[str | int]) -> str:
    """``('compare', 'loss', 0)`` as ``compare.loss[0]``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def shown(value: Any) -> str:
    """A value as the study file would write it, cut where it is long; nothing is said to be nothing."""
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]} ..."


def suggest(name: str, names: Iterable[str]) -> str:
    """``Did you mean 'loss'? Known: head, loss, model.``, without the first half where nothing is near."""
    listed = list(names)
    near = get_close_matches(name, listed, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(listed)}."


def from_pydantic(
    error: ValidationError, document: Any, model: type[BaseModel], *, under: Keys = ()
) -> list[Invalid]:
    """Every error that pydantic found in `document`, one a place, in plain words.

    Args:
        error: what validating `document` as `model` raised.
        document: the plain value that was validated.
        model: names the keys that are known.
        under: the keys that lead from the top of the study to `document`.
    """
    places: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors():
        places.setdefault(_place(detail, document), []).append(detail)
    return [_error(keys, details, document, model, under) for keys, details in places.items()]


def _place(detail: ErrorDetails, document: Any) -> Keys:
    """The keys of an error that exist in the document; pydantic adds the names of union members to them."""
    keys: list[str | int] = []
    for key in detail["loc"]:
        inside = isinstance(document, Mapping) and key in document
        if not inside and not (isinstance(document, list) and isinstance(key, int) and key < len(document)):
            break
        keys.append(key)
        document = document[key]
    if detail["type"] == "missing":
        keys.append(detail["loc"][-1])
    return tuple(keys)


def _error(
    keys: Keys, details: list[ErrorDetails], document: Any, model: type[BaseModel], under: Keys
) -> Invalid:
    detail, name = details[0], dotted((*under, *keys)) or "the study"
    kind = detail["type"]
    if kind == "missing":
        parent = dotted((*under, *keys[:-1]))
        inside = f" in {parent}" if parent else ""
        return Invalid(
            (*under, *keys[:-1]), f"{keys[-1]} is missing{inside}", f"Add the key {keys[-1]}.", at="key"
        )
    if kind == "extra_forbidden":
        parent = dotted((*under, *keys[:-1]))
        inside = f" in {parent}" if parent else ""
        keys_there = known_keys(model_at(keys[:-1], model))
        return Invalid(
            (*under, *keys),
            f"no key is called {keys[-1]!r}{inside}",
            suggest(str(keys[-1]), keys_there),
            at="key",
        )
    got = _value_at(keys, document)
    if len(details) > 1:  # no member of a union fits; what the members would have liked confuses
        return Invalid(
            (*under, *keys),
            f"{name} must be {_union_words(keys, model)}, got {shown(got)}",
            _choice_cure(details, got),
        )
    unfit = detail.get("ctx", {}).get("error")
    if isinstance(unfit, InvalidValue):
        return Invalid((*under, *keys), f"{name} {unfit.what}", unfit.cure)
    words, cure = (
        WORDS[kind](detail.get("ctx", {}), got)
        if kind in WORDS
        else (f"cannot be used: {detail['msg']}", None)
    )
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys_there = known_keys(model_at(keys, model))
        cure = "Write its keys below it, indented" + (", or remove the line." if got is None else ".")
        cure += f" {suggest('', keys_there)}" if keys_there else ""
    return Invalid(
        (*under, *keys), f"{name} {words}" + (f", got {shown(got)}" if kind in WORDS else ""), cure
    )


def known_keys(model: type[BaseModel] | None) -> list[str]:
    """The keys of a part of the study, as they are written; none where any key may stand."""
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def model_at(keys: Keys, model: type[BaseModel]) -> type[BaseModel] | None:
    """What a part of a document must be, below `model`; None where it is a plain value, or any key may stand."""
    part: type[BaseModel] | None = model
    for key in keys:
        if part is None:
            return None
        field = next((field for name, field in part.model_fields.items() if key in (name, field.alias)), None)
        part = next(iter(_models_in(field.annotation)), None) if field else None
    return part


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


def _value_at(keys: Keys, document: Any) -> Any:
    for key in keys:
        document = document[key]
    return document


def _union_words(keys: Keys, model: type[BaseModel]) -> str:
    parent = model_at(keys[:-1], model)
    field = parent.model_fields.get(str(keys[-1])) if parent and keys else None
    if field is None:
        return "something else"
    if field.description:
        return field.description
    return "one of " + ", ".join(_literals(field.annotation))


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [name for part in get_args(annotation) for name in _literals(part)]


def _choice_cure(details: list[ErrorDetails], got: Any) -> str | None:
    names = [part.strip().strip("'") for detail in details for part in _expected(detail)]
    near = get_close_matches(got, names, n=1, cutoff=ALIKE) if isinstance(got, str) else []
    return f"Did you mean {near[0]!r}?" if near else None


def _expected(detail: ErrorDetails) -> list[str]:
    expected = str(detail.get("ctx", {}).get("expected", ""))
    return expected.replace(" or ", ", ").split(", ")


Words = tuple[str, str | None]


def _one_of(ctx: Mapping[str, Any], got: Any) -> Words:
    names = [part.strip("'") for part in str(ctx["expected"]).replace(" or ", ", ").split(", ")]
    near = get_close_matches(got, names, n=1, cutoff=ALIKE) if isinstance(got, str) else []
    only = f"must be one of {', '.join(names)}" if len(names) > 1 else f"must be {names[0]}"
    return only, f"Did you mean {near[0]!r}?" if near else None


def _text(ctx: Mapping[str, Any], got: Any) -> Words:
    plain = isinstance(got, bool | int | float)
    return "must be text", f'Put it in quotes: "{json.dumps(got)}".' if plain else None


def _list(ctx: Mapping[str, Any], got: Any) -> Words:
    plain = isinstance(got, str | bool | int | float)
    return (
        "must be a list",
        f"Write it in brackets: [{got if isinstance(got, str) else json.dumps(got)}]." if plain else None,
    )


def _whole(ctx: Mapping[str, Any], got: Any) -> Words:
    return "must be a whole number", None


def _number(ctx: Mapping[str, Any], got: Any) -> Words:
    return "must be a number", None


def _keys(ctx: Mapping[str, Any], got: Any) -> Words:
    return "must have keys", None


def _length(ctx: Mapping[str, Any], got: Any) -> Words:
    least, most = ctx.get("min_length"), ctx.get("max_length")
    return (
        f"must have at least {least} parts" if least is not None else f"must have at most {most} parts"
    ), None


# One row per kind of error that a field of the study can raise: what the value must be, and a cure.
WORDS: dict[str, Callable[[Mapping[str, Any], Any], Words]] = {
    "int_type": _whole,
    "int_parsing": _whole,
    "int_from_float": _whole,
    "float_type": _number,
    "float_parsing": _number,
    "finite_number": _number,
    "bool_type": lambda ctx, got: ("must be true or false", None),
    "bool_parsing": lambda ctx, got: ("must be true or false", None),
    "string_type": _text,
    "string_too_long": lambda ctx, got: (f"must have at most {ctx['max_length']} letters", None),
    "string_pattern_mismatch": lambda ctx, got: (
        "must begin with a letter or a digit and hold only letters, digits and . _ -",
        "It names the run folder; put what is to be read in `title`.",
    ),
    "literal_error": _one_of,
    "list_type": _list,
    "tuple_type": _list,
    "too_short": _length,
    "too_long": _length,
    "dict_type": _keys,
    "model_type": _keys,
    "model_attributes_type": _keys,
    "greater_than": lambda ctx, got: (f"must be greater than {ctx['gt']:g}", None),
    "greater_than_equal": lambda ctx, got: (f"must be at least {ctx['ge']:g}", None),
    "less_than": lambda ctx, got: (f"must be less than {ctx['lt']:g}", None),
    "less_than_equal": lambda ctx, got: (f"must be at most {ctx['le']:g}", None),
}
