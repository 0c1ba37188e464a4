"""The space of a search: what is drawn from it, what shows it, and what is wrong with it."""

import math

import pytest

from foldwise.errors import SpecError
from foldwise.study.configurations import configurations, in_arm, in_groups, samples_of
from foldwise.study.reading import open_study, study_from_dict
from foldwise.study.search_space import Range, described, drawn, edges, probes, random_settings, spoken

SPACE = {
    "optimizer": [
        "rmsprop",
        {"adam": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}},
        {"sgd": {"lr": {"low": 0.01, "high": 1.0}, "momentum": {"each": [0.0, 0.9]}}},
    ],
    "batch_size": {"low": 4, "high": 16},
    "network": [
        {"name": "small", "model": "conv", "crop_px": 16},
        {"name": "large", "model": "resnet", "epochs": {"low": 5, "high": 9}},
    ],
}


def study(space=SPACE, **top):
    return study_from_dict(
        {"study": "a", "data": {"path": "x"}, "search": {"space": space}} | {"train": {}} | top
    )


def test_a_configuration_is_the_space_with_a_value_at_every_range_and_choice():
    asked = []

    def pick(name, parameter):
        asked.append(name)
        return parameter.high if isinstance(parameter, Range) else len(parameter.options) - 1

    assert drawn(SPACE, pick) == {
        "optimizer": {"sgd": {"lr": 1.0, "momentum": 0.9}},
        "batch_size": 16,
        "model": "resnet",
        "epochs": 9,
    }
    assert asked == [
        *("optimizer", "optimizer.sgd.lr", "optimizer.sgd.momentum", "batch_size", "network"),
        "network[1].epochs",
    ]


def test_options_of_one_name_are_told_apart_by_their_number():
    space = {
        "optimizer": [{"adam": {"lr": {"low": 0.1, "high": 1}}}, {"adam": {"lr": {"low": 1, "high": 2}}}]
    }
    names = []
    drawn(space, lambda name, parameter: names.append(name) or 1)
    assert names == ["optimizer", "optimizer[1].adam.lr"]


def test_probes_show_every_end_and_every_choice_also_those_inside_choices():
    every = list(probes(SPACE))
    rates = {
        tuple(options.items())
        for row in every
        if isinstance(row["optimizer"], dict)
        for options in row["optimizer"].values()
    }
    assert {dict(options)["lr"] for options in rates} == {1e-4, 1e-1, 0.01, 1.0}
    assert {dict(options).get("momentum") for options in rates} == {None, 0.0, 0.9}
    assert {row["batch_size"] for row in every} == {4, 16}
    assert {row.get("epochs") for row in every} == {None, 5, 9}
    assert len(every) == 1 + 2 + 1 + 1 + 2 + 1 + 1  # the first; choices and ends beside the first of each


def test_random_configurations_are_always_the_same_and_even_on_the_scale_of_the_range():
    space = {
        "optimizer": {"adam": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}},
        "epochs": {"low": 5, "high": 25, "step": 5},
    }
    rows = random_settings(space, 400)
    assert rows == random_settings(space, 400)
    rates = [row["optimizer"]["adam"]["lr"] for row in rows]
    assert 0.4 < sum(rate < 1e-3 for rate in rates) / 400 < 0.6
    assert {row["epochs"] for row in rows} == {5, 10, 15, 20, 25}


def test_values_in_words_and_which_of_them_lie_at_an_edge():
    values = {"optimizer": 1, "optimizer.adam.lr": 0.000101, "batch_size": 9, "network": 0}
    assert spoken(SPACE, values) == {
        "optimizer": "adam",
        "optimizer.adam.lr": "0.000101",
        "batch_size": "9",
        "network": "small",
    }
    assert edges(SPACE, values) == ["optimizer.adam.lr"]


def test_a_space_in_words():
    assert {key: described(written) for key, written in SPACE.items()} == {
        "optimizer": "rmsprop | adam (lr 0.0001 to 0.1, on a log scale) | sgd (lr 0.01 to 1, momentum 0.0 | 0.9)",
        "batch_size": "4 to 16",
        "network": "small | large",
    }
    unnamed = [{"model": "conv", "epochs": {"low": 5, "high": 9}}, {"model": "unet"}]
    assert described(unnamed) == "model conv, epochs 5 to 9 | model unet"
    assert spoken({"network": unnamed}, {"network": 0, "network[0].epochs": 7}) == {
        "network": "model conv, epochs",
        "network[0].epochs": "7",
    }
    assert spoken({"head": {"x": {"each": [True, False]}}}, {"head.x": 1}) == {"head.x": "false"}
    assert described({"low": 0, "high": 1, "step": 0.25}) == "0 to 1, in steps of 0.25"


def test_arms_are_the_levels_of_compare_and_change_with_the_space_but_not_with_the_budget():
    space = {"batch_size": {"low": 4, "high": 16}}
    arms = configurations(study(space, compare={"model": ["conv", "resnet"]}))
    assert [arm.name for arm in arms] == ["conv", "resnet"]
    more = study(space, compare={"model": ["conv", "resnet"]}, search={"space": space, "configurations": 99})
    assert [arm.id for arm in configurations(more)] == [arm.id for arm in arms]
    wider = study({"batch_size": {"low": 4, "high": 17}}, compare={"model": ["conv", "resnet"]})
    assert {arm.id for arm in configurations(wider)}.isdisjoint({arm.id for arm in arms})
    assert [arm.name for arm in configurations(study(space, train={"model": "conv"}))] == ["conv, tuned"]
    (arm,) = configurations(study())
    assert arm.name == "tuned"
    samples = samples_of(study(), study().search, arm)
    assert len({row.id for row in samples}) == 9 + 8
    assert [row.is_drawn for row in samples] == [False] * 9 + [True] * 8


@pytest.mark.parametrize(
    ("space", "what"),
    [
        ({"batch_size": {"low": 4}}, 'search.space.batch_size needs numbers as low and high, and as step, got {"low": 4}'),
        ({"batch_size": {"low": "4", "high": 8}}, 'search.space.batch_size needs numbers as low and high, and as step, got {"low": "4", "high": 8}'),
        ({"batch_size": {"low": True, "high": 8}}, 'search.space.batch_size needs numbers as low and high, and as step, got {"low": true, "high": 8}'),
        ({"batch_size": {"low": 8, "high": 8}}, 'search.space.batch_size needs low below high, got {"low": 8, "high": 8}'),
        ({"batch_size": {"low": math.nan, "high": 8}}, None),
        ({"batch_size": {"low": 0, "high": 8}}, "search.space.batch_size must be at least 1, got 0"),
        ({"batch_size": {"low": 4.5, "high": 8}}, "search.space.batch_size must be a whole number, got 4.5"),
        ({"batch_size": {"low": 4, "high": 8, "log": "yes"}}, 'search.space.batch_size needs log: true or log: false, got {"low": 4, "high": 8, "log": "yes"}'),
        ({"batch_size": {"low": 4, "high": 8, "step": 0}}, 'search.space.batch_size needs a step above 0, and not beyond high, got {"low": 4, "high": 8, "step": 0}'),
        ({"optimizer": {"adam": {"lr": {"low": 0, "high": 1, "log": True}}}}, 'search.space.optimizer.adam.lr needs low above 0, and no step, for log: true, got {"low": 0, "high": 1, "log": true}'),
        ({"optimizer": {"adam": {"lr": {"low": 0.1, "high": 1, "lag": 1}}}}, "search.space.optimizer.adam.lr has a range with 'lag'; its keys are low, high, log and step"),
        ({"optimizer": {"adam": {"lr": {"each": []}}}}, "search.space.optimizer.adam.lr has a choice of nothing"),
        ({"augment": []}, "search.space.augment has a choice of nothing"),
        ({"augment": ["none", "flipz"]}, "is unknown"),
        ({"model": ["conv"]}, "model is stated twice: in the space, and in train, compare or another part of the space"),
        ({"batch_siz": [1]}, "no setting is called 'batch_siz', so it cannot be searched"),
        ({"device": ["cpu", "cuda"]}, "device is not searched"),
        ({"place": [{"batch_size": 4, "device": "cpu"}]}, "device is not searched"),
        ({}, "search.space is empty: there is nothing to search"),
        ({"batch_size": [4]}, "search.space holds one configuration: there is nothing to search"),
        ({"batch_size": 4, "augment": {"each": ["flips"]}}, "search.space holds one configuration: there is nothing to search"),
        ({"batch_size": [4, 8, 4]}, "search.space.batch_size lists 4 twice"),
        ({"optimizer": {"adam": {"lr": {"each": [0.1, 0.1]}}}}, "search.space.optimizer.adam.lr lists 0.1 twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_space_is_said_by_its_place(space, what):
    with pytest.raises(SpecError) as refused:
        study(space, train={"model": "conv"})
    assert what is None or what in str(refused.value)


def test_what_is_asked_of_fits_that_a_search_has_not_chosen_yet_is_refused():
    space = {"batch_size": [4, 8]}
    asked = [
        ("look", True),
        ("look", {}),
        ("robustness", {"noise": [0]}),
        ("robustness", {}),
        ("validate", {"aa_test": True}),
    ]
    for key, stated in asked:
        with pytest.raises(SpecError, match="is asked of fits that are planned before training"):
            study(space, train={"model": "conv"}, **{key: stated})
    study(space, train={"model": "conv"}, look=False)


def test_an_error_points_at_the_key_in_the_file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: a\ndata: {path: x}\ntrain: {model: conv}\nsearch:\n  space:\n    batch_size: {low: 9, high: 8}\n"
    )
    with pytest.raises(SpecError) as refused:
        open_study(path)
    assert "study.yaml:6:17" in str(refused.value)


def test_groups_of_labels_stay_the_class_indices_that_they_are_in_the_arm():
    made = study({"batch_size": [4, 8]}, train={"model": "conv", "label_groups": [["a"], ["b", "c"]]})
    (arm,) = in_groups(configurations(made), task="multilabel_classification", classes=("a", "b", "c"))
    assert {row.training.label_groups for row in samples_of(made, made.search, arm)} == {((0,), (1, 2))}
    assert in_arm(made, arm, {"batch_size": 8}).training.label_groups == ((0,), (1, 2))


def test_more_trials_than_a_plan_holds_are_refused():
    with pytest.raises(SpecError) as refused:
        study_from_dict(
            {
                "study": "a",
                "data": {"path": "x"},
                "compare": {"model": ["conv", "resnet"]},
                "search": {"space": {"batch_size": [4, 8]}, "configurations": 1000},
                "validate": {"folds": 10, "repeats": 10},
            }
        )
    assert (
        "2 configurations, 10 folds and 10 repeats, 1000 tried in each and one chosen, make 200,200 fits"
        in str(refused.value)
    )


@pytest.mark.parametrize(("epochs", "refused"), [(1, True), (2, False), (3, False)])
def test_halving_of_one_epoch_saves_nothing_and_is_refused(epochs, refused):
    stated = {
        "study": "a",
        "data": {"path": "x"},
        "train": {"model": "conv", "epochs": epochs},
        "search": {"space": {"batch_size": {"low": 2, "high": 64, "log": True}}, "halving": True},
    }
    if refused:
        with pytest.raises(SpecError, match=r"train\.epochs is 1: nothing would be saved"):
            study_from_dict(stated)
    else:
        study_from_dict(stated)
