"""The typed study: what a value may be, and that it cannot be changed."""

import pytest
from pydantic import ValidationError

from foldwise.study.spec import DataSpec, Study
from foldwise.study.training import AUGMENTS, Augment, Choice, Training
from foldwise.study.validation_errors import WORDS


def test_a_choice_is_a_name_or_a_name_with_options():
    written = {"adam": {"lr": 0.1}}
    assert Choice.model_validate(written) == Choice(name="adam", options={"lr": 0.1})
    assert Choice.model_validate("adam") == Choice.model_validate({"adam": None}) == Choice(name="adam")
    assert Choice.model_validate(Choice(name="adam").model_dump()) == Choice(name="adam")


@pytest.mark.parametrize("name", AUGMENTS)
def test_every_augmentation_has_a_name_and_survives_a_dump(name):
    training = Training.model_validate({"model": "unet", "augment": name})
    assert training.augment == AUGMENTS[name]
    assert Training.model_validate(training.model_dump(mode="json")) == training


def test_nothing_is_augmented_unless_asked():
    assert Training.model_validate({"model": "unet"}).augment == Augment() == AUGMENTS["none"]


def test_a_study_cannot_be_changed():
    data = DataSpec(path="x")
    with pytest.raises(ValidationError, match="frozen"):
        data.path = "y"


def test_the_name_of_a_key_is_the_word_of_the_file():
    study = Study.model_validate({"study": "a", "data": {"path": "x"}, "validate": {"folds": 3}})
    assert study.validate_.folds == 3
    assert study.model_dump(mode="json", by_alias=True)["validate"]["folds"] == 3


def test_every_kind_of_error_that_a_field_can_raise_has_words():
    bad = [
        {"study": 1},
        {"study": "a b"},
        {"study": "g" * 99},
        {"seed": "x"},
        {"seed": 1.5},
        {"threads": 0},
        {"data": 3},
    ]
    bad += [
        {"data": {"size": [1]}},
        {"data": {"classes": 1}},
        {"data": {"layout": "x"}},
        {"compare": 1},
        {"compare": {"a": 1}},
    ]
    bad += [
        {"train": 1},
        {"validate": {"folds": 1, "inner": 0, "stratify": 3}},
        {"judge": {"alpha": 9, "equivalent_within": "a"}},
    ]
    seen = set()
    for part in bad:
        with pytest.raises(ValidationError) as raised:
            Study.model_validate({"study": "a", "data": {"path": "x"}} | part, strict=True)
        seen |= {detail["type"] for detail in raised.value.errors()}
    assert seen - {"missing", "extra_forbidden", "value_error"} <= set(WORDS)
