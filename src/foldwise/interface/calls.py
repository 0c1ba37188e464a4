"""Calls from Python: what the arguments of public functions may be, and messages that name them as a call writes them.

Messages are written for the command line, whose options they name: ``--trust-code``, ``--metric dice``. All that a public
function raises or warns of passes through here, where it becomes ``trust_code=True`` and ``metric="dice"``.
"""

from __future__ import annotations

import inspect
import json
import operator
import os
import re
import shlex
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, partial, wraps
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from foldwise.errors import FoldwiseError, SpecError, of_machine

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
PathLike = str | os.PathLike[str]
RunLike = PathLike  # a run folder, the folder of a model that was handed over, or a `Run`, which stands for its folder
StudyLike = PathLike | Mapping[str, Any]

# What an option of a command is called in its function, where that is not the same.
RENAMED = {
    "set_": "overrides",
    "variant": "variants",
    "on": "launcher",
    "no_fetch": "fetch",
    "author": "authors",
    "folder": "images",
}
# Options that no function has, and that messages name all the same.
OF_THE_SHELL = {"--local": "foldwise data get", "--dry-run": "foldwise run"}
MAX_SHOWN = 60
# Words that follow an option in a sentence and are none of its values.
PROSE = "and or where when of is in on to for here if puts prints names says starts writes has it goes out"
VALUE = rf"""(?!--|(?:{PROSE.replace(" ", "|")})\b)(?:'[^']*'|"[^"]*"|[^\s;,:)'"`]*[^\s;,:.)'"`])"""
OPTION = rf"(?<![\w-])(--[a-z][a-z-]*)(?: ({VALUE})|(?![\w-]))"
OPTIONS = re.compile(rf"{OPTION}(?: {OPTION})*")
# What a path, a file or a placeholder looks like in a command, and no word of a sentence does.
ARGUMENT = r"""(?:'[^']+'|[^\s;,:)'"`]*[/~][^\s;,)'"`]*[^\s;,:.)'"`]|[A-Z_]+\b|\w+\.\w+)"""
# Of a command that stands alone the argument may look like a word.
SHOWN_WHOLE = re.compile(r"(^|: )foldwise ([a-z]+) ([\w-]*[a-z][\w-]*)$")
COMMAND = re.compile(rf"foldwise (data )?([a-z]+)((?: {ARGUMENT}| {OPTION})*)")


def plain_study(study: StudyLike) -> Path | Mapping[str, Any]:
    """A study as it is read: its file, or what would stand in one."""
    return study if isinstance(study, Mapping) else Path(study)


class WrongArgument(SpecError, TypeError):
    """An argument of a public function is not there, is of a wrong type, or has no such name."""


def public(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A public function whose arguments are checked, and whose errors are of foldwise and name them as a call does."""

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        spelled = partial(as_called, name=function.__name__)
        try:
            bound = _checked(function, args, kwargs)
            return function(*bound.args, **bound.kwargs)
        except FoldwiseError as error:
            error.what, error.args = spelled(error.what), (spelled(error.what),)
            error.cure = error.cure and spelled(error.cure)
            error.where = error.where and spelled(error.where).strip()
            raise
        except Exception as error:
            if (wrong := of_machine(error)) is None:
                raise
            raise type(wrong)(wrong.what, cure=spelled(wrong.cure or "")) from error

    return call


def as_called(text: str, name: str) -> str:
    """A message of a command as who calls the public function `name` reads it: its options and commands are calls."""

    def options(match: re.Match[str]) -> str:
        return _keywords(match[0], name)

    pieces, end = [], 0
    alone = SHOWN_WHOLE.search(text)
    if alone and alone[2] in _functions():
        text = f"{text[: alone.start(3)]}'{alone[3]}'"
    for match in COMMAND.finditer(text):
        pieces += [OPTIONS.sub(options, text[end : match.start()]), _call(match)]
        end = match.end()
    whole = "".join([*pieces, OPTIONS.sub(options, text[end:])])
    return re.sub("([Tt]he same) command", r"\1 call", whole)


class _Option(NamedTuple):
    """What an option is in a call: ``fetch``, and the value that it stands for, or None where one follows it."""

    argument: str
    flag: bool | None


@cache
def _commands() -> dict[str, Any]:
    """The commands, by name; they stand above this module, and come when a message first names one of their options."""
    import typer.main

    group = typer.main.get_command(import_module("foldwise.interface.cli").app)
    return dict(getattr(group, "commands"))  # noqa: B009 - of click's Group


@cache
def _options() -> dict[str, dict[str, _Option]]:
    """The options of each command that is a function, too, and what they are in a call."""
    listed: dict[str, dict[str, _Option]] = {}
    for name, command in _commands().items():
        if name not in _functions():
            continue
        listed[name], parameters = {}, inspect.signature(_functions()[name]).parameters
        takes_more = any(row.kind is row.VAR_KEYWORD for row in parameters.values())
        for row in command.params:
            argument, flag = RENAMED.get(row.name, row.name), getattr(row, "is_flag", False)
            on = row.name != "no_fetch" if flag else None
            if argument not in parameters and (argument == "out" or not takes_more):
                continue
            listed[name] |= dict.fromkeys(row.opts, _Option(argument, on))
            listed[name] |= dict.fromkeys(row.secondary_opts, _Option(argument, False))
    return listed


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The public functions, by name."""
    package = import_module("foldwise")
    every = {name: getattr(package, name) for name in package.__all__}
    return {name: value for name, value in every.items() if inspect.isfunction(value)}


def _keywords(text: str, name: str) -> str:
    """Options in a row, as keywords of the function; as they are where no function has such an option."""
    stated: dict[str, list[str]] = {}
    for option, value in re.findall(OPTION, text):
        every = (_options().get(name, {}), *_options().values())
        row = next((each[option] for each in every if option in each), None)
        if row is None:
            return f"{text} (of {OF_THE_SHELL[option]}, at a shell)" if option in OF_THE_SHELL else text
        argument, values = row.argument, [] if row.flag is None else [str(row.flag)]
        if (name, option) == ("evaluate", "--set"):  # of which each is a keyword of its own
            argument, _, value = value.strip("'\"").partition("=")
        values = values or [_literal(value) if value else "…"]
        stated.setdefault(argument or "a keyword", []).extend(values)
        if row.flag is not None and value:  # the word after a sign is no value of it
            return f"{argument}={values[0]} {value}"
    words = {
        key: values[0] if len(values) == 1 else f"[{', '.join(values)}]" for key, values in stated.items()
    }
    return ", ".join(key if key == "a keyword" else f"{key}={value}" for key, value in words.items())


def _literal(word: str) -> str:
    """A word of a command as Python writes it; names in capitals, which stand for something, as they are."""
    plain = shlex.split(word)[0] if word[:1] in "'\"" else word
    if re.fullmatch(r"-?\d+(\.\d+)?|[A-Z_]+", plain):
        return plain
    return json.dumps(plain, ensure_ascii=False)


def _call(match: re.Match[str]) -> str:
    """A command that is shown whole, as a call of its function; as it is where it has none or is but spoken of."""
    words, name = match[3].strip(), match[2]
    if not words or match[1] or name not in _functions():
        return match[0]
    if any(option not in _options()[name] for option, _ in re.findall(OPTION, words)):
        return match[0]
    options = " ".join(option[0] for option in re.finditer(OPTION, words))
    arguments = [_literal(word) for word in re.findall(ARGUMENT, re.sub(OPTION, "", words))]
    return f"foldwise.{name}({', '.join([*arguments, *([_keywords(options, name)] if options else [])])})"


def _is_number(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_path(value: object) -> bool:
    return (
        isinstance(value, str | os.PathLike) and bool(os.fspath(value)) and "\0" not in str(os.fspath(value))
    )


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


class _Kind(NamedTuple):
    """What an argument may be: whether a value is one, in words, and the form in which the function takes it."""

    fits: Callable[[Any], bool]
    words: str
    taken: Callable[[Any], Any] = lambda value: value


PATH, RUN = _Kind(_is_path, "a path"), _Kind(_is_path, "a run, or its folder as a path")
STUDY = _Kind(
    lambda value: isinstance(value, Mapping) or _is_path(value), "the path of a study file, or a dict"
)
# By the annotation in the signature; `| None` allows None as well. A callable is asked for what it is called with.
KINDS = {
    "PathLike": PATH,
    "RunLike": RUN,
    "StudyLike": STUDY,
    "PathLike | pd.DataFrame": _Kind(
        lambda value: _is_path(value) or hasattr(value, "notna"), "a path, or a frame of pandas"
    ),
    "str": _Kind(lambda value: isinstance(value, str), "a text"),
    "bool": _Kind(lambda value: type(value).__name__ in ("bool", "bool_"), "True or False", bool),
    "int": _Kind(lambda value: _is_number(value, Integral), "a whole number", operator.index),
    "float": _Kind(lambda value: _is_number(value, Real), "a number", float),
    "Sequence[str]": _Kind(
        lambda value: isinstance(value, str) or _is_names(value),
        "a list of texts",
        lambda value: (value,) if isinstance(value, str) else tuple(value),
    ),
    "Sequence[int]": _Kind(
        lambda value: isinstance(value, list | tuple) and all(_is_number(each, Integral) for each in value),
        "a list of whole numbers",
        lambda value: tuple(map(operator.index, value)),
    ),
    "Mapping[str, str]": _Kind(
        lambda value: isinstance(value, Mapping) and _is_names([*value, *value.values()]), "a dict of texts"
    ),
    "Callable": _Kind(callable, "a function"),
}


def _checked(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    """The arguments of a call, each of a kind that its parameter takes.

    Raises:
        WrongArgument: all that is wrong with them, at once.
    """
    signature, errors = inspect.signature(function), []
    parameters = signature.parameters
    if not any(row.kind is row.VAR_KEYWORD for row in parameters.values()):
        for name in kwargs.keys() - parameters.keys():
            near = get_close_matches(name, parameters, n=1)
            cure = f"Did you mean {near[0]!r}? " if near else ""
            what = f"foldwise.{function.__name__} has no argument {name!r}"
            errors.append(WrongArgument(what, cure=f"{cure}It has: {', '.join(parameters)}."))
    if errors:
        raise WrongArgument.together(errors)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        shown = ", ".join(str(row).partition(":")[0].partition(" =")[0] for row in parameters.values())
        cure = f"Call foldwise.{function.__name__}({shown})."
        raise WrongArgument(f"foldwise.{function.__name__}: {error}", cure=cure) from None
    for name, value in bound.arguments.items():
        several = parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        annotation = str(parameters[name].annotation).partition("Callable")
        words = "Callable" if annotation[1] else annotation[0]
        kind, may_be_none = KINDS.get(words.removesuffix(" | None")), words.endswith("None")
        if kind is None or parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            continue
        values = value if several else (value,)
        unfit = [each for each in values if not kind.fits(each) and not (each is None and may_be_none)]
        errors += [_wrong(each, name, kind, function.__name__) for each in unfit]
        if not errors and value is not None:
            taken = tuple(map(kind.taken, values))
            bound.arguments[name] = taken if several else taken[0]
            errors += _beyond(taken[0], name, function.__name__) if _is_number(value, Real) else []
    if errors:
        raise WrongArgument.together(errors)
    return bound


def _wrong(value: object, name: str, kind: _Kind, function: str) -> WrongArgument:
    shown = repr(value)
    shown = shown if len(shown) <= MAX_SHOWN and "\n" not in shown else f"a {type(value).__name__}"
    cure = f"Give {kind.words}."
    if "path" in kind.words and hasattr(value, "__array__"):
        cure += " Arrays go to a model: foldwise.load(run)(array)."
    return WrongArgument(
        f"must be {kind.words}, got {shown}", where=f"{name} of foldwise.{function}", cure=cure
    )


def _beyond(value: Any, name: str, function: str) -> list[WrongArgument]:
    """The error for a number that the option of the command refuses, too."""
    command = _commands().get(function)
    for row in command.params if command else ():
        low, high = getattr(row, "min", None), getattr(row, "max", None)
        if RENAMED.get(row.name, row.name) != name:
            continue
        if not ((low is None or value >= low) and (high is None or value <= high)):
            allowed = f"{low:g} to {high:g}" if high is not None else f"at least {low:g}"
            where = f"{name} of foldwise.{function}"
            return [
                WrongArgument(
                    f"must be {allowed}, got {value:g}", where=where, cure=f"Give a number of {allowed}."
                )
            ]
    return []
