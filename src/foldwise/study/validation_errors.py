"""Errors in a study, in plain words: what pydantic finds is reworded here, so that no jargon reaches a user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from foldwise.errors import SpecError
from foldwise.study.ranges import InvalidValue, shown
from foldwise.text import count

Keys = tuple[str | int, ...]
Part = TypeVar("Part", bound=BaseModel)
ALIKE = 0.7  # of values; less would answer gpu with cpu
TYPED_WRONG = (
    0.9  # of names: batch_size and batch_sizes, but not pretrained and pretrain, which mean two things
)
NO_CURES: Mapping[str, str] = MappingProxyType({})


# Settings that have names, and are switched on and off elsewhere: a name for true. None of them is `none`.
SWITCHED_ON = {"weights": "imagenet", "augment": "flips", "freeze": "encoder", "pretrain": "denoise"}
# What is done to a dict in place of what its cure says of a file.
IN_A_DICT = {
    "Write its keys below it, indented, or remove the line.": "Give a dict of its keys, or leave it out.",
    "Write its keys below it, indented.": "Give a dict of its keys.",
    "Write its keys below it": "Give a dict of its keys",
}


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


def in_a_dict(cure: str | None) -> str | None:
    """A cure as it is for who has given a study as a dict, which has no lines."""
    for of_file, of_dict in IN_A_DICT.items():
        cure = cure and cure.replace(of_file, of_dict)
    return cure


def suggest(name: str, names: Iterable[str], cures: Mapping[str, str] = NO_CURES) -> str:
    """``Did you mean 'loss'? Known: head, loss, model.``, without the first half where nothing is near.

    Args:
        cures: by name, what else it may mean, for example of a key that belongs to another part of the study; a name
            that is one letter off comes before these.
    """
    listed, plain = list(names), name.casefold().replace("-", "_")
    near = get_close_matches(plain, listed, n=1, cutoff=TYPED_WRONG)
    if not near and plain in cures:
        return cures[plain]
    near = near or get_close_matches(name, listed, n=1) or get_close_matches(plain, listed, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(listed)}."


def from_pydantic(
    error: ValidationError,
    document: Any,
    model: type[BaseModel],
    *,
    under: Keys = (),
    cures: Mapping[str, str] = NO_CURES,
) -> list[Invalid]:
    """Every error that pydantic found in `document`, one a place, in plain words.

    Args:
        error: what validating `document` as `model` raised.
        under: the keys that lead from the top of the study to `document`.
        cures: of `suggest`, for keys that the study does not have where they stand.
    """
    by_keys: dict[Keys, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_keys.setdefault(_keys_of(detail, document), []).append(detail)
    # Parts that cannot be used are missing then, and a list that would be long enough is called too short.
    is_short = {keys for keys, details in by_keys.items() if details[0]["type"] == "too_short"}
    is_short &= {keys[:-1] for keys in by_keys if keys}
    return [
        _error(keys, details, document, model, under, cures)
        for keys, details in by_keys.items()
        if keys not in is_short
    ]


def with_options(part: Part, stated: Mapping[str, Any], *, under: str) -> Part:
    """A part of a study, called `under`, with what options state otherwise.

    Raises:
        SpecError: an option cannot be used; all of them at once.
    """
    document, kind = part.model_dump(mode="json", exclude=set(stated)) | dict(stated), type(part)
    try:
        return kind.model_validate_json(json.dumps(document, default=repr), strict=True)
    except ValidationError as error:
        errors = from_pydantic(error, document, kind, under=(under,))
        raise SpecError.together(SpecError(error.what, cure=error.cure) for error in errors) from None


def _keys_of(detail: ErrorDetails, document: Any) -> Keys:
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
    keys: Keys,
    details: list[ErrorDetails],
    document: Any,
    model: type[BaseModel],
    under: Keys,
    cures: Mapping[str, str],
) -> Invalid:
    detail, whole = details[0], (*under, *keys)
    kind, ctx, name = detail["type"], detail.get("ctx", {}), dotted(whole) or "the study"
    inside = f" in {parent}" if (parent := dotted(whole[:-1])) else ""
    if kind == "missing":
        return Invalid(whole[:-1], f"{keys[-1]} is missing{inside}", f"Add the key {keys[-1]}.", at="key")
    if kind == "extra_forbidden":
        near = suggest(str(keys[-1]), known_keys(model_at(keys[:-1], model)), cures)
        return Invalid(whole, f"no key is called {keys[-1]!r}{inside}", near, at="key")
    got = document
    for key in keys:
        got = got[key]
    if isinstance(got, bool) and (switched_on := SWITCHED_ON.get(str(keys[-1]))):
        state = f"State {keys[-1]}: {switched_on}, for example." if got else f"State {keys[-1]}: none."
        return Invalid(whole, f"{name} must be a name, got {shown(got)}", state)
    if len(details) > 1:  # no member of a union fits; what the members would have liked confuses
        names = [part for each in details for part in _expected(each.get("ctx", {}))]
        what = f"{name} must be {_union_words(keys, model)}, got {shown(got)}"
        return Invalid(whole, what, _did_you_mean(got, names))
    if isinstance(unfit := ctx.get("error"), InvalidValue):
        return Invalid(whole, f"{name} {unfit.what}", unfit.cure)
    if kind not in WORDS:
        return Invalid(whole, f"{name} cannot be used: {detail['msg']}")
    words, cure = WORDS[kind](ctx, got)
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys_there = known_keys(model_at(keys, model))
        cure = "Write its keys below it, indented" + (", or remove the line." if got is None else ".")
        cure += f" {suggest('', keys_there)}" if keys_there else ""
    return Invalid(whole, f"{name} {words}, got {shown(got)}", cure)


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


def _expected(ctx: Mapping[str, Any]) -> list[str]:
    """The names that pydantic lists as ``'a', 'b' or 'c'``."""
    return [part.strip("'") for part in str(ctx.get("expected", "")).replace(" or ", ", ").split(", ")]


def _did_you_mean(got: Any, names: list[str]) -> str | None:
    near = get_close_matches(got, names, n=1, cutoff=ALIKE) if isinstance(got, str) else []
    return f"Did you mean {near[0]!r}?" if near else None


Words = tuple[str, str | None]
Wording = Callable[[Mapping[str, Any], Any], Words]


def _always(words: str, cure: str | None = None) -> Wording:
    """Words in which only the limits that pydantic reports are filled in."""
    return lambda ctx, got: (words.format(**{key: _limit(part) for key, part in ctx.items()}), cure)


def _limit(value: Any) -> str:
    """A limit as people write it: 100,000 and 0.5."""
    plain = isinstance(value, int | float) and value == int(value)
    return f"{int(value):,}" if plain else str(value)


def _one_of(ctx: Mapping[str, Any], got: Any) -> Words:
    names = _expected(ctx)
    only = f"must be one of {', '.join(names)}" if len(names) > 1 else f"must be {names[0]}"
    return only, _did_you_mean(got, names)


def _text(ctx: Mapping[str, Any], got: Any) -> Words:
    plain = isinstance(got, bool | int | float)
    return "must be text", f'Put it in quotes: "{json.dumps(got)}".' if plain else None


def _list(ctx: Mapping[str, Any], got: Any) -> Words:
    written = got if isinstance(got, str) else json.dumps(got)
    plain = isinstance(got, str | bool | int | float)
    return "must be a list", f"Write it in brackets: [{written}]." if plain else None


# One row per kind of error that a field of the study can raise: what the value must be, and a cure.
WORDS: dict[str, Wording] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _always("must be a whole number")),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _always("must be a number")),
    **dict.fromkeys(("bool_type", "bool_parsing"), _always("must be true or false")),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _always("must have keys")),
    "string_type": _text,
    "string_too_long": _always("must have at most {max_length} letters"),
    "string_pattern_mismatch": _always(
        "must begin with a letter or a digit and hold only letters, digits and . _ -",
        "It names the run folder; put what is to be read in `title`.",
    ),
    "literal_error": _one_of,
    "list_type": _list,
    "tuple_type": _list,
    "too_short": lambda ctx, _: (f"must have at least {count(ctx['min_length'], 'part')}", None),
    "too_long": _always("must have at most {max_length} parts"),
    "greater_than": _always("must be greater than {gt}"),
    "greater_than_equal": _always("must be at least {ge}"),
    "less_than": _always("must be less than {lt}"),
    "less_than_equal": _always("must be at most {le}"),
}
