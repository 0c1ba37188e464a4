"""Cells of labels: lists and sets of them, and the signs by which several are joined, where other cells tell."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from foldwise.data.class_names import sameness, tidy

_CERTAIN = ("|", ";", "；")  # always between labels; no name is written with them
_LISTING = (",", "，", "、")  # between labels where the cells between them are labels by themselves
_JOINING = (*_LISTING, "/", "+", "&", " and ")  # may join labels, and are parts of names as well
_QUOTED = re.compile(r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'""")
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")


def as_list(cell: str, *, always: bool) -> tuple[str, ...] | None:
    """The items of a cell that is written as a list or a set, such as ``['scab', 'rust']``; None where it is none.

    A single word in brackets is one only if `always`.
    """
    text = " ".join(cell.split())
    if text == "set()":
        return ()
    if len(text) < 2 or text[-1] != _BRACKETS.get(text[0]):
        return None
    inside = text[1:-1].strip()
    if items := _as_json(text):
        return items
    quoted = [first or second for first, second in _QUOTED.findall(inside)]
    if quoted and not _QUOTED.sub("", inside).strip(" ,;|"):
        return tuple(re.sub(r"\\(.)", r"\1", item) for item in quoted)
    parts = tuple(part for part in re.split(r"[,;|]", inside) if part.strip())
    numbers = inside.replace(",", " ").split()
    if len(numbers) > 1 and all(number.isdigit() for number in numbers):
        return tuple(numbers)
    is_one = text[0] != "(" and (always or len(parts) > 1 or not parts)
    return parts if is_one else None


def _as_json(text: str) -> tuple[str, ...] | None:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_flat = isinstance(items, list) and all(isinstance(item, str | int) for item in items)
    return tuple(map(str, items)) if is_flat else None


@dataclass(frozen=True)
class Joined:
    """A sign that may join labels: a token that it joins, its parts, and those of them that are labels elsewhere."""

    sign: str
    token: str
    parts: tuple[str, ...]
    labels: tuple[str, ...]
    evidence: Literal["all", "some", "none"]


def separators(
    tokens: Collection[str], stated: Collection[str], *, are_lists: bool
) -> tuple[list[str], list[Joined]]:
    """The signs that separate labels for certain, and those of which it is open.

    A comma does where everything that commas join is a label elsewhere too, or a stated class; other signs (/ + & and,
    spaces, hyphens) where all of it are stated classes. Where cells only hint at it, it is open; but where labels are
    separated otherwise, hints say nothing: `Nucleoli fibrillar center|Cytosol` beside `Nucleoli` holds two names.

    Args:
        tokens: the different cells, or items of lists, tidied.
        stated: the classes that the study names.
        are_lists: whether labels are the items of lists.
    """
    signs, left = _certain(tokens, stated)
    doubts = []
    for sign in _others(left):
        joined = look_for(sign, left, stated)
        if joined is None or joined.evidence == "none":
            continue
        if joined.evidence == "all" and (stated or sign in _LISTING):
            signs, left = [*signs, sign], split_all(left, [sign], stated)
        elif joined.evidence == "all" or not (signs or are_lists):
            doubts.append(joined)
    return signs, doubts


def stated_separators(tokens: Collection[str], stated: Collection[str], *, are_lists: bool) -> list[str]:
    """The signs that separate labels where the study says that there are several in a cell.

    They are those that hint at it; else the first sign there is that can join; spaces last, since names have them.
    """
    signs, left = _certain(tokens, stated)
    for sign in (sign for sign in _others(left) if sign != " "):
        joined = look_for(sign, left, stated)
        enough = ("all",) if signs or are_lists else ("all", "some")
        if joined is not None and joined.evidence in enough:
            signs, left = [*signs, sign], split_all(left, [sign], stated)
    present = (look_for(sign, left, stated) for sign in _JOINING)
    first = next((joined.sign for joined in present if joined is not None), None)
    if not signs and not are_lists and first is not None:
        signs, left = [first], split_all(left, [first], stated)
    spaced = look_for(" ", left, stated)
    if spaced is not None and (spaced.evidence == "all" or not (signs or are_lists)):
        signs.append(" ")
    return signs


def _certain(tokens: Collection[str], stated: Collection[str]) -> tuple[list[str], set[str]]:
    signs = [sign for sign in _CERTAIN if any(sign in token for token in tokens)]
    left = split_all(tokens, signs, stated)
    # A space separates numbers (as in 16 0), but is part of names (as in red cell).
    if any(" " in token for token in left) and all(token.replace(" ", "").isdigit() for token in left):
        return [*signs, " "], split_all(left, [" "], stated)
    return signs, left


def _others(tokens: Iterable[str]) -> list[str]:
    """Every sign but letters and digits that is in a token, those that are known to join first, spaces last."""
    text = " ".join(tokens)
    signs = {char for char in text if not char.isalnum() and not char.isspace()} - {"'", "(", ")"}
    joining = [sign for sign in _JOINING if sign in text]
    return [*joining, *sorted(signs - set(_JOINING)), *([" "] if " " in text else [])]


def split_all(tokens: Iterable[str], signs: Sequence[str], stated: Collection[str]) -> set[str]:
    """The different labels that are joined in tokens by signs; a stated class is never split."""
    return {part for token in tokens for part in split_by(token, signs, stated)}


def split_by(token: str, signs: Sequence[str], stated: Collection[str]) -> tuple[str, ...]:
    """The labels that are joined in a token by signs, tidied; a stated class is never split."""
    if not signs or token in stated:
        return (token,) if token else ()
    pattern = "|".join(re.escape(sign) for sign in signs)
    parts = (tidy(part) for part in re.split(pattern, token))
    return tuple(part for part in parts if part)


def look_for(sign: str, tokens: Collection[str], stated: Collection[str]) -> Joined | None:
    """What a sign joins, and what speaks for it; None where it is between no two parts."""
    split = {token: split_by(token, [sign], stated) for token in tokens if sign in token}
    if sign == ".":
        split = {token: parts for token, parts in split.items() if not _NUMBER.fullmatch(token)}
    joined = {token: parts for token, parts in split.items() if len(parts) > 1}
    if not joined:
        return None
    alone = {sameness(token) for token in tokens if token not in joined} | set(map(sameness, stated))
    labels = {token: [part for part in parts if sameness(part) in alone] for token, parts in joined.items()}
    whole = [token for token, parts in joined.items() if len(labels[token]) == len(parts)]
    example = max(joined, key=lambda token: (token in whole, len(labels[token]), token))
    evidence: Literal["all", "some", "none"] = "none"
    if len(whole) == len(joined):
        evidence = "all"
    elif whole or (sign in (*_JOINING, " ") and (any(labels.values()) or _is_mixed(joined.values()))):
        evidence = "some"
    return Joined(sign, example, joined[example], tuple(labels[example]), evidence)


def _is_mixed(rows: Iterable[Sequence[str]]) -> bool:
    """Whether one part is in another position, or among more parts, elsewhere: so are labels, not the words of names."""
    seen: dict[str, set[tuple[int, int]]] = {}
    for parts in rows:
        for position, part in enumerate(parts):
            seen.setdefault(sameness(part), set()).add((position, len(parts)))
    return any(len(own) > 1 for own in seen.values())
