"""Options of a choice, checked against the function that takes them, so no table states them twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from foldwise.errors import SpecError, unknown
from foldwise.study.own_code import refuse_untrusted
from foldwise.study.ranges import shown
from foldwise.study.training import Choice
from foldwise.study.validation_errors import WORDS

# "0.1" is no number and true is no count: a study file has types, so nothing need be guessed.
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def bound(function: Callable[..., Any], choice: Choice, what: str) -> dict[str, Any]:
    """The options of `choice`, checked: they are the keyword-only parameters of `function`.

    Args:
        function: a function or a class; its annotations say what a value may be.
        what: what is chosen, for the message: "loss", "model".

    Raises:
        SpecError: an unknown option (with the nearest known one), a value of the wrong type or range, or an
            option without a default that is not given. All of them at once.
    """
    parameters = options_of(function)
    # All of them at once, so that a study file is mended once and not error by error.
    problems: list[SpecError] = []
    values: dict[str, Any] = {}
    for name, value in choice.options.items():
        try:
            values[name] = _checked(name, value, parameters, f"{what} {choice.name!r}")
        except SpecError as problem:
            problems.append(problem)
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in choice.options:
            problems.append(SpecError(f"{what} {choice.name!r} needs the option {name!r}"))
    if problems:
        raise problems[0] if len(problems) == 1 else SpecError.together(problems)
    return values


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function or class, with their annotations resolved."""
    parameters = inspect.signature(function).parameters.values()
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    return {
        parameter.name: parameter.replace(annotation=hints.get(parameter.name, Any))
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def imported(name: str, what: str) -> Callable[..., Any]:
    """The function a user names as ``package.module:function``; this is the only place that imports code by a name.

    Raises:
        RunError: nobody has said that this code may be run, see `trusting`.
        SpecError: the module cannot be imported, or holds no such function.
    """
    refuse_untrusted([name])
    module_name, _, function_name = name.partition(":")
    try:
        module = import_module(module_name)
    # A user's module may fail in any way, and each is the user's to mend: a script without a main guard ends the program.
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        cure = f'Mend it; where it fails, says: python -c "import {module_name}".'
        if missing:
            cure = f"Install {missing.split('.')[0]!r} beside foldwise, or set PYTHONPATH to its folder."
        problem = f"the {what} {name!r} cannot be imported: {type(error).__name__}: {error}"
        raise SpecError(problem, cure=cure) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown(function_name, public, f"function of {module_name}")
    return function


def _checked(name: str, value: Any, parameters: dict[str, inspect.Parameter], owner: str) -> Any:
    """`value` as the annotation of the option `name` allows it."""
    if name not in parameters:
        if not parameters:
            raise SpecError(f"{owner} has no options, got {name!r}", cure=f"Remove {name!r}.")
        raise unknown(name, parameters, f"option of {owner}")
    hint = parameters[name].annotation
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        reasons = " or ".join(dict.fromkeys(map(_reason, error.errors())))
        raise SpecError(f"the option {name!r} of {owner} {reasons}, got {shown(value)}") from None


def _reason(problem: ErrorDetails) -> str:
    """What the value, or a part of it, must be."""
    words = WORDS.get(problem["type"])
    if words is None:
        return f"cannot be used ({problem['msg']})"
    return words(problem.get("ctx", {}), problem["input"])[0]


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=_STRICT)
    except PydanticUserError:  # a hint that brings its own configuration
        return TypeAdapter(hint)
