"""Reading a study: from YAML, its variants and changes on the command line, to a checked `Study`, or every error at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from foldwise.errors import FoldwiseError, SpecError
from foldwise.storage import whole_path
from foldwise.study.factors import find_too_many, find_too_many_fits, is_bundle, spelled_out
from foldwise.study.laid_over import apply_variants, find_variant_errors, lay_profile
from foldwise.study.ranges import shown
from foldwise.study.search_space import find_search_errors
from foldwise.study.spec import DataSpec, Judging, Study, Validation
from foldwise.study.training import NO_WEIGHTS_FILE, SYNONYM_CURES, Training
from foldwise.study.validation_errors import Invalid, Keys, dotted, from_pydantic, known_keys
from foldwise.study.yaml_places import MAX_DEPTH, YamlSource, parse, parse_value, read_source

# The key at the beginning of each error of several.
PLACE = re.compile(r"^(\d+\. )([a-z_]+(?:\.[a-z_]+)*)(?=: )", re.M)

STATED = re.compile(r"\b([a-z_]+(?:\.[a-z_]+)+): ")

PARTS: dict[str, type[BaseModel]] = {
    "judge": Judging,
    "validate": Validation,
    "data": DataSpec,
    "train": Training,
}
# Of keys that are in the wrong part, such as epochs at the top of the file, and of common names for a setting.
CURES = SYNONYM_CURES | {
    key: f"Write it as {part}.{key}." for part, model in PARTS.items() for key in known_keys(model)
}


@dataclass(frozen=True)
class StudyFile:
    """A study as it was read, once: checked, with the places of what it states.

    Attributes:
        path: the file; paths in it are relative to its folder.
        study: what it states; weights files have their whole paths.
        source: the file as it was, with the place of every key.
        overrides: changes such as ``train.epochs=2``.
        variants: names of variants of the file that were laid over it, in this order.
        name: what it is called in messages.
    """

    path: Path
    study: Study
    source: YamlSource
    overrides: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    name: str = ""

    @property
    def base(self) -> Path:
        """The folder that paths are relative to."""
        return self.path.resolve().parent

    def locate(self, *keys: str | int) -> str:
        """Where a key was set: ``study.yaml:12:5``, of what is around it where it is not written; or its ``--set``."""
        return self.source.where(keys)

    def restate(self, error: FoldwiseError) -> None:
        """Have an error name what was typed, such as ``--set data.path=x``, in place of the key that this set."""
        error.what = PLACE.sub(lambda match: match[1] + self._typed(match[2]), error.what)
        error.where = self._typed(error.where) if error.where else None
        # Where a key is said to be set, an option is.
        error.cure = error.cure and STATED.sub(self._option, error.cure)

    def _typed(self, where: str) -> str:
        return self.source.outside(tuple(where.split("."))) or where

    def _option(self, stated: re.Match[str]) -> str:
        option = self._typed(stated[1]).partition(" ")[0]
        return stated[0] if option in (stated[1], "--set", "--profile") else f"{option} "


def open_study(
    path: Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    variants: Sequence[str] = (),
    *,
    profile: tuple[str, Sequence[str]] = ("", ()),
    typed: Mapping[Keys, str] | None = None,
) -> StudyFile:
    """A study file, read and checked.

    Args:
        path: the file; or the values that would stand in one, with paths relative to the current folder.
        overrides: changes such as ``train.epochs=2``; the value is YAML. They come after the variants.
        variants: names of variants of the file, in the order in which they are laid over it.
        profile: the name of an engine, and what is stated of it beside the study; see `lay_profile`.
        typed: of a file that was made of options, by keys what was typed; errors name it in place of the file.

    Raises:
        SpecError: every error at once, each with its place, the line, and a cure.
    """
    # From Python, where one is easily written so.
    variants = (variants,) if isinstance(variants, str) else variants
    if isinstance(path, Mapping):
        source, path, called = _written(path), Path("study.yaml"), "the study"
    else:
        source, called = read_source(path), path.name
    errors = find_variant_errors(source, variants, errors_of=lambda value: _checked(value, base=None)[1])
    apply_variants(source, variants)
    # Last, so that what is typed at a command counts more than any file.
    override(source, overrides)
    source.overrides |= typed or {}
    source.by_keys |= typed is not None  # nobody wrote the file
    lay_profile(source, *profile)
    study, more_errors = _checked(source.value, base=path.resolve().parent)
    errors = [*source.errors, *errors, *more_errors]
    if study is None or errors:
        raise SpecError.together(source.error(error) for error in sorted(errors, key=source.order))
    return StudyFile(
        path, study, source, tuple(overrides), tuple(variants), "the options" if typed else called
    )


def _written(values: Mapping[str, Any]) -> YamlSource:
    """The source of a study that was never a file, as one would have it."""
    text = in_yaml(_plain(values))
    source = parse(text, name="the study", by_keys=True)
    source.data = text.encode()
    return source


def in_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as a study file has them."""
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style = None
    yaml.width = 110
    yaml.dump(values, text)
    return text.getvalue()


def _plain(values: Any, keys: Keys = ()) -> Any:
    """The values as a file would state them: keys are texts, and so are paths; what numpy has is a number or a list.

    Raises:
        SpecError: something cannot stand in a file.
    """
    if len(keys) > MAX_DEPTH:  # also what holds itself
        what = f"{dotted(keys[:2])} is nested too deeply"
        raise SpecError(what, cure="Write it with fewer levels: nothing here needs so many.")
    if isinstance(values, Mapping):
        return {_plain_key(key, keys): _plain(value, (*keys, str(key))) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value, (*keys, index)) for index, value in enumerate(values)]
    if hasattr(values, "tolist"):
        return _plain(values.tolist(), keys)
    if isinstance(values, os.PathLike):
        return os.fspath(values)
    if values is None or isinstance(values, str | int | float):
        return json.loads(
            json.dumps(values)
        )  # kinds of their own, such as of an enumeration, are plain after it
    cure = "Use dicts, lists, texts, numbers, True, False and None."
    what = f"{dotted(keys)} is of the type {type(values).__name__}, which cannot stand in a study file"
    raise SpecError(what, cure=cure)


def _plain_key(key: Any, above: Keys) -> str:
    if not isinstance(key, str | int):
        what = f"{dotted(above) or 'the study'} has the key {shown(key)}, which cannot stand in a study file"
        raise SpecError(what, cure="Use texts for keys.")
    return str(key)


def findable(study: Study, base: Path) -> Study:
    """The study with its files by their whole paths: workers start elsewhere, and may read the files again."""
    update: dict[str, Any] = {}
    if study.data.path is not None:
        path = whole_path(study.data.path, base)
        update["data"] = study.data.model_copy(update={"path": str(path)})
    # A split that is no file beside the study is a word, a column, or a file in the data folder.
    split = whole_path(study.validate_.split, base)
    if split.is_file():
        update["validate_"] = study.validate_.model_copy(update={"split": str(split)})
    return study.model_copy(update=update)


def study_from_dict(value: dict[str, Any], *, base: Path | None = None) -> Study:
    """A checked study from plain values, as they would stand in a file.

    Args:
        base: the folder that paths are relative to; the current one by default.

    Raises:
        SpecError: every error at once.
    """
    study, errors = _checked(_plain(value), base=(base or Path()).resolve())
    if study is None or errors:
        raise SpecError.together(SpecError(error.what, cure=error.cure) for error in errors)
    return study


def _checked(document: Any, *, base: Path | None) -> tuple[Study | None, list[Invalid]]:
    """The study of a plain value, and what is wrong with it. Without `base`, files are not looked for."""
    if document is None:
        cure = "Begin with `study: a-name` and `data: {path: my_images/}`."
        return None, [Invalid((), "the study is empty", cure)]
    if not isinstance(document, dict):
        cure = f"The keys are {', '.join(known_keys(Study))}."
        return None, [Invalid((), f"a study is made of `key: value` lines, got {shown(document)}", cure)]
    errors: list[Invalid] = []
    if isinstance(document.get("compare"), dict) and (errors := find_too_many(document["compare"])):
        return None, errors
    if base is not None:
        document = _with_whole_paths(document, base, errors)
    study = None
    try:
        # Through JSON, where strict means what a reader of YAML expects: a list may be a tuple, true is no number.
        study = Study.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        errors += from_pydantic(error, document, Study, cures=CURES)
    if all(isinstance(document.get(key, {}), dict) for key in ("train", "compare")):
        errors += find_search_errors(document)
    if study is None or errors:
        return study, errors
    # Each arm of a search trains so many in every fold, and then the one that was chosen.
    tried = 1 if study.search is None else study.search.configurations + 1
    validation = study.validate_
    return study, find_too_many_fits(study.compare, validation.folds, validation.repeats, tried=tried)


def _with_whole_paths(document: dict[str, Any], base: Path, errors: list[Invalid]) -> dict[str, Any]:
    """The document with the weights files of `train` and `compare` by their whole paths: workers start elsewhere."""
    changed = dict(document)
    train, compare = document.get("train"), document.get("compare")
    if isinstance(train, dict) and "weights" in train:
        changed["train"] = train | {"weights": _weights(train["weights"], base, ("train", "weights"), errors)}
    if isinstance(compare, dict):
        changed["compare"] = {key: _factor(key, written, base, errors) for key, written in compare.items()}
    search = document.get("search")
    if isinstance(search, dict) and isinstance(space := search.get("space"), dict):
        whole = {
            key: _factor(key, written, base, errors, ("search", "space")) for key, written in space.items()
        }
        changed["search"] = search | {"space": whole}
    return changed


def _factor(key: str, written: Any, base: Path, errors: list[Invalid], above: Keys = ("compare",)) -> Any:
    """The levels of a factor, or the choices of a space, their weights files by whole paths."""
    if key == "weights" and isinstance(written, list):
        names = [part for level in written for part in spelled_out(level)]
        return [_weights(name, base, (*above, key, index), errors) for index, name in enumerate(names)]
    if is_bundle(key, written):
        return [
            level | {"weights": _weights(level["weights"], base, (*above, key, index, "weights"), errors)}
            if "weights" in level
            else level
            for index, level in enumerate(written)
        ]
    return written


def _weights(name: Any, base: Path, keys: Keys, errors: list[Invalid]) -> Any:
    if not isinstance(name, str) or name in NO_WEIGHTS_FILE:
        return name
    path = whole_path(name, base)
    if not path.is_file():
        what = f"{dotted(keys)} is no file: {shown(name)}, looked for in {base}"
        cure = f"Write {', '.join(NO_WEIGHTS_FILE)}, or the path of a .safetensors file."
        errors.append(Invalid(keys, what, cure))
    return str(path)


def override(source: YamlSource, changes: Sequence[str]) -> None:
    """Set keys of a source from texts such as ``train.epochs=2``; parts that are not there are made.

    Raises:
        SpecError: a change has no ``=``, no YAML value, or leads through something that has no keys.
    """
    for change in (changes,) if isinstance(changes, str) else changes:
        where = f"--set {change}"
        written, equals, text = change.partition("=")
        parts = written.strip().split(".")
        if not equals or not all(parts):
            cure = "For example: --set train.epochs=2."
            raise SpecError("a change is written KEY=VALUE", where=where, cure=cure)
        value = parse_value(text, where=where)
        if source.value is None:
            source.value = {}
        _set(source, parts, value, where)


def _set(source: YamlSource, parts: list[str], value: Any, where: str) -> None:
    target = source.value
    keys: list[str | int] = []
    for depth, part in enumerate(parts):
        key: str | int = part
        if isinstance(target, list):
            if not part.isdigit() or int(part) >= len(target):
                cure = f"Name one of 0 to {len(target) - 1}." if target else "Set the whole list."
                raise SpecError(f"{dotted(keys)} is a list and has no part {part!r}", where=where, cure=cure)
            key = int(part)
        elif not isinstance(target, dict):
            problem = f"{dotted(keys) or 'the study'} is {shown(target)} and has no keys"
            raise SpecError(problem, where=where, cure=f"Set {dotted(keys)} as a whole.")
        keys.append(key)
        if depth == len(parts) - 1:
            target[key] = value
            source.overrides[tuple(keys)] = where
        elif isinstance(target, dict) and target.get(part) is None:
            target[key] = {}
        target = target[key]
