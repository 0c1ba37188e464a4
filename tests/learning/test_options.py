"""Options, checked against the function that takes them."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from foldwise.errors import SpecError
from foldwise.learning.options import bound, imported, options_of
from foldwise.study.own_code import trusting
from foldwise.study.training import Choice


def tune(
    given,
    *,
    rate: Annotated[float, Field(gt=0)],
    steps: int = 3,
    kind: Literal["a", "b"] | list[int] = "a",
    on: bool = False,
):
    return given, rate, steps, kind, on


class Tuned:
    def __init__(self, given, *, depth: int = 2) -> None:
        self.given, self.depth = given, depth


def ask(**options):
    return bound(tune, Choice.model_construct(name="tune", options=options), "thing")


def test_what_is_given_is_kept_and_nothing_is_added():
    assert ask(rate=1, kind=[1, 2]) == {"rate": 1, "kind": [1, 2]}


def test_a_class_is_asked_by_its_constructor():
    assert list(options_of(Tuned)) == ["depth"]
    assert bound(Tuned, Choice(name="tuned", options={"depth": 4}), "thing") == {"depth": 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rate": 1.0, "step": 2},
            "no option of thing 'tune' is called 'step'\n  → Did you mean 'steps'? Known: kind, on, rate, steps.",
        ),
        ({}, "thing 'tune' needs the option 'rate'"),
        ({"rate": 0}, "the option 'rate' of thing 'tune' must be greater than 0, got 0"),
        ({"rate": "0.1"}, "the option 'rate' of thing 'tune' must be a number, got '0.1'"),
        ({"rate": float("nan")}, "the option 'rate' of thing 'tune' must be a number, got NaN"),
        (
            {"rate": 1.0, "steps": 2.5},
            "the option 'steps' of thing 'tune' must be a whole number, got 2.5",
        ),
        (
            {"rate": 1.0, "steps": True},
            "the option 'steps' of thing 'tune' must be a whole number, got true",
        ),
        ({"rate": 1.0, "on": 1}, "the option 'on' of thing 'tune' must be true or false, got 1"),
        (
            {"rate": 1.0, "kind": "c"},
            "the option 'kind' of thing 'tune' must be one of a, b or must be a list, got 'c'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(SpecError) as refused:
        ask(**options)
    assert str(refused.value) == message


def test_all_mistakes_are_said_at_once():
    with pytest.raises(SpecError) as refused:
        ask(steps="x", kindd="a")
    assert str(refused.value).startswith("3 problems:")


def test_a_choice_without_options_says_so():
    with pytest.raises(SpecError, match="thing 'len' has no options, got 'x'"):
        bound(lambda: None, Choice(name="len", options={"x": 1}), "thing")


@pytest.fixture(autouse=True)
def _own_code_may_be_run():
    with trusting({"math:sqrt", "math:sqroot", "math:pi", "no_such_module:f"}):
        yield


def test_a_users_function_is_found():
    assert imported("math:sqrt", "loss")(9) == 3


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("no_such_module:f", "the loss 'no_such_module:f' cannot be imported: ModuleNotFoundError"),
        ("math:sqroot", "no function of math is called 'sqroot'\n  → Did you mean 'sqrt'?"),
        ("math:pi", "no function of math is called 'pi'"),
    ],
)
def test_what_cannot_be_imported_is_refused(name, part):
    with pytest.raises(SpecError) as refused:
        imported(name, "loss")
    assert part in str(refused.value)


def test_a_script_that_ends_the_program_is_refused(tmp_path, monkeypatch):
    (tmp_path / "ends_at_import.py").write_text("import sys\nsys.exit(3)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        trusting({"ends_at_import:build"}),
        pytest.raises(SpecError, match=r"cannot be imported: SystemExit: 3"),
    ):
        imported("ends_at_import:build", "model")
