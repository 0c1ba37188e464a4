"""Every number that a study can ask for has a range, and what is out of it is refused with what is allowed."""

import math
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from foldwise.errors import SpecError
from foldwise.insight.shallow_baselines import BASELINES
from foldwise.learning.networks.models import HEADS, MODELS
from foldwise.learning.objectives.losses import LOSSES
from foldwise.learning.objectives.optimizers import OPTIMIZERS, SCHEDULES
from foldwise.learning.objectives.pretraining import PRETRAINING
from foldwise.learning.options import bound, options_of
from foldwise.study.factors import num_spelled_out, spelled_out
from foldwise.study.reading import study_from_dict
from foldwise.study.spec import Study
from foldwise.study.training import Choice, Training

FOUR_ROWS = {"study": "s", "data": {"path": "x"}, "train": {"model": "unet"}}


def numbers_in(annotation, limits=(), path=()):
    """(path, int or float, its limits) of every number in a type; in a model, of all its fields."""
    if hasattr(annotation, "__metadata__"):
        annotated = [part for meta in annotation.__metadata__ for part in getattr(meta, "metadata", [meta])]
        yield from numbers_in(get_args(annotation)[0], (*limits, *annotated), path)
    elif annotation in (int, float):
        yield path, annotation, limits
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        hints = get_type_hints(annotation, include_extras=True)
        for name, field in annotation.model_fields.items():
            yield from numbers_in(hints[name], (), (*path, field.alias or name))
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from numbers_in(part, () if part in (int, float) else limits, path)


TABLES = {
    "model": {
        f"{name}.{kind}": make
        for name, row in MODELS.items()
        for kind in ("encoder", "segmenter")
        if (make := getattr(row, kind)) is not None
    },
    "head": HEADS,
    "loss": {name: row.make for name, row in LOSSES.items()},
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "pretraining": PRETRAINING,
    "baseline": BASELINES,
}
FIELDS = [*numbers_in(Study), *numbers_in(Training, path=("train",))]
OPTIONS = [
    (kind, name, number)
    for kind, rows in TABLES.items()
    for name, make in rows.items()
    for option, parameter in options_of(make).items()
    for number in numbers_in(parameter.annotation, path=(option,))
]


def range_of(limits):
    low = [limit.ge if isinstance(limit, Ge) else limit.gt for limit in limits if isinstance(limit, Ge | Gt)]
    high = [limit.le if isinstance(limit, Le) else limit.lt for limit in limits if isinstance(limit, Le | Lt)]
    return (low[0] if low else None), (high[0] if high else None)


def test_there_are_numbers_in_fields_and_in_options():
    assert len(FIELDS) > 40
    assert len(OPTIONS) > 60
    assert isinstance(Study.model_fields["seed"], FieldInfo)


@pytest.mark.parametrize("number", FIELDS, ids=lambda number: ".".join(number[0]))
def test_every_number_of_the_study_has_a_lowest_and_a_highest_value(number):
    low, high = range_of(number[2])
    assert low is not None
    assert high is not None
    assert math.isfinite(low)
    assert math.isfinite(high)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option[1]}.{option[2][0][0]}")
def test_so_has_every_number_among_the_options_of_a_name(option):
    low, high = range_of(option[2][2])
    assert low is not None
    assert high is not None
    assert math.isfinite(low)
    assert math.isfinite(high)


def placed(path, value):
    """A study that states one value at a path, or None where the path leads through a list or names of its own."""
    document = {key: dict(part) if isinstance(part, dict) else part for key, part in FOUR_ROWS.items()}
    if path[:2] == ("data", "phantom"):
        document["data"] = {"phantom": {"kind": "cells"}}
    target = document
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value
    return document


OUTSIDE = [math.nan, math.inf, -math.inf, 1e300, -1e300, 10**30, -(10**30), -1e10]


@pytest.mark.parametrize("path", dict.fromkeys(number[0] for number in FIELDS), ids=".".join)
def test_no_field_takes_what_is_out_of_all_ranges(path):
    for value in OUTSIDE:
        # Where lists may stand, one of this value.
        lists = {"batch_sizes": [value], "blur_px": [0, value], "noise": [0, value], "options": {"a": value}}
        plain = path[0] == "train" or path[-1] not in lists
        with pytest.raises(SpecError) as refused:
            study_from_dict(placed(path, value if plain else lists[path[-1]]))
        assert path[-1] in str(refused.value)
        assert "must be" in str(refused.value)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: f"{option[1]}.{option[2][0][0]}")
def test_no_option_does(option):
    kind, name, ((key,), *_) = option
    for value in OUTSIDE:
        for stated in (value, [value]):
            with pytest.raises(SpecError, match=f"'{key}'"):
                bound(TABLES[kind][name], Choice.model_construct(name=name, options={key: stated}), kind)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("train", "epochs"), 10**15, "train.epochs must be at most 100,000, got 1000000000000000"),
        (("train", "batch_size"), 10**6, "train.batch_size must be at most 65,536"),
        (("validate", "folds"), -3, "validate.folds must be at least 1, got -3"),
        (("validate", "inner"), 0.5, "validate.inner must be less than 0.5"),
        (("judge", "equivalent_within"), 5, "judge.equivalent_within must be at most 0.5, got 5"),
        (("judge", "alpha"), 0, "judge.alpha must be at least 0.0001"),
        (("seed",), 2**64, "seed must be at most 9,223,372,036,854,775,807"),
        (("data", "size"), 10**9, "data.size must be a whole number of pixels from 1 to 16,384"),
        (("data", "size"), [10**9, 8], "data.size must be a whole number of pixels from 1 to 16,384"),
        (("title",), "x" * 400, "title must have at most 300 letters"),
        (("data", "table"), "x" * 5000, "data.table must have at most 4,096 letters"),
    ],
    ids=str,
)
def test_a_message_says_what_is_allowed(path, value, words):
    with pytest.raises(SpecError) as refused:
        study_from_dict(placed(path, value))
    assert words in str(refused.value)


@pytest.mark.parametrize("value", [1e9, math.nan, math.inf, [0.1, -1e300], {"a": [{"b": 10**12}]}], ids=str)
@pytest.mark.parametrize("name", ["adam", "my.module:own"])
def test_what_no_option_takes_is_refused_before_any_image_is_read(name, value):
    for change in (
        {"train": {"model": "unet", "optimizer": {name: {"lr": value}}}},
        {"compare": {"optimizer": [{name: {"lr": value}}]}},
    ):
        with pytest.raises(
            SpecError, match=r"optimizer.* has lr: .*; numbers of options are from -100,000,000 to 100"
        ):
            study_from_dict(FOUR_ROWS | change)


@pytest.mark.parametrize(
    "value", [1, [1, 2], {"each": [1, 2, 3]}, {"a": {"each": [1, {"each": [2, 3]}]}, "b": {"each": [4, 5]}}]
)
def test_levels_are_counted_as_they_are_spelled_out(value):
    assert num_spelled_out(value) == len(list(spelled_out(value)))


NINE = {"each": list(range(1, 10))}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"compare": {"epochs": list(range(1, 1100))}}, "compare.epochs has 1,099 levels; a factor may have 1,000"),
        ({"compare": {"optimizer": [{"sgd": {f"o{i}": NINE for i in range(40)}}]}}, "more than a million million"),
        ({"compare": {"weights": [[NINE] * 40]}}, "compare.weights has more than a million million levels"),
        ({"compare": {"epochs": list(range(1, 200)), "batch_size": list(range(1, 200))}}, "39,601 configurations"),
        ({"validate": {"folds": 1000, "repeats": 1000}}, "make 1,000,000 fits; at most 100,000"),
        ({"data": {"phantom": {"kind": "cells", "images": 99_999, "size": 9999}}}, "at most 2,000,000,000 are drawn"),
    ],
    ids=lambda case: str(case)[:30],
)  # fmt: skip
def test_so_does_one_on_what_several_numbers_make(change, words):
    with pytest.raises(SpecError) as refused:
        study_from_dict(FOUR_ROWS | change)
    assert words in str(refused.value)
    assert "→" in str(refused.value)
