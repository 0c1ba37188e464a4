"""Losses of all folds in pairs of panels, and losses as curves."""

import re
from dataclasses import replace

import numpy as np
import pytest
from altered import altered

from foldwise.reporting.sections.training import epochs, losses
from foldwise.study.training import Choice, Training


@pytest.fixture
def data(trained_data):
    return trained_data


def like_first(data, ids):
    """The same run with configurations of these ids, each otherwise like the first, under its id as a name."""
    first = data.verdict.dump()["configurations"][0]
    return altered(data, configurations=[first | {"id": one, "name": one} for one in ids])


def test_only_configurations_with_one_loss_share_a_pair_of_panels_and_their_scale(data):
    pairs = losses.panels_section(data)["pairs"]
    assert [pair["loss"] for pair in pairs] == [epochs.loss_name(data, one.id) for one in data.configurations]
    for pair in pairs:
        left, right = (re.findall(r"text-anchor=\"end\">([\d.]+)<", str(one)) for one in pair["drawings"])
        assert left == right  # the ticks of one scale
        assert [str(one).count("<polyline") for one in pair["drawings"]] == [2, 2]  # a line a fold


def test_models_have_a_colour_each_and_wide_ranges_a_logarithm(data):
    ids = list(data.names)
    models = {
        one: data.trainings[one].model.model_copy(update={"name": f"m{n % 2}"}) for n, one in enumerate(ids)
    }
    same = data.trainings[ids[0]].loss
    trainings = {
        one: data.trainings[one].model_copy(update={"model": models[one], "loss": same}) for one in ids
    }
    results = [
        {**result, "epochs": [{"epoch": n, "train_loss": 10.0**-n, "val_loss": 1.0} for n in (1, 2, 3)]}
        for result in data.results
    ]
    (pair,) = losses.panels_section(replace(data, trainings=trainings, results=results))["pairs"]
    assert pair["key_of"] == [(0, "m0"), (1, "m1")]
    assert ">0.001<" in str(pair["drawings"][0])
    assert ">0.001<" in str(pair["drawings"][1])
    assert pair["left_out"] == 0


def test_a_fit_that_ran_away_does_not_flatten_the_others(data):
    far = [
        {**result, "epochs": [{"epoch": n, "train_loss": 0.5, "val_loss": 10.0 ** (20 - n)} for n in (1, 2)]}
        for result in data.results[:1]
    ]
    told = losses.panels_section(replace(data, results=[*far, *data.results[1:]]))["pairs"]
    assert [pair["beyond"] for pair in told].count(True) == 1
    pair = next(pair for pair in told if pair["beyond"])
    ticks = re.findall(r"text-anchor=\"end\">([^<]+)<", str(pair["drawings"][1]))
    assert "100" in ticks
    assert not any("10" in tick and tick[-1] in "⁰¹²³⁴⁵⁶⁷⁸⁹" for tick in ticks)


def test_of_many_sizes_of_models_all_folds_are_drawn_in_the_colour_of_their_kind(data):
    first, result = next(iter(data.trainings.values())), data.results[0]
    ids = [f"c{n}" for n in range(12)]
    results = [
        {"configuration": one, "epochs": [{"epoch": n, "train_loss": 1.0, "val_loss": 2.0} for n in (1, 2)]}
        for one in ids
        for _ in range(3)
    ]

    def pair_of(kinds):
        models = {
            one: Choice(name=f"m{n % kinds}", options={"width": 8 * (n + 1)}) for n, one in enumerate(ids)
        }
        trainings = {one: first.model_copy(update={"model": models[one]}) for one in ids}
        told = replace(
            like_first(data, ids),
            results=[result | one for one in results],
            trainings=trainings,
        )
        (pair,) = losses.panels_section(told)["pairs"]
        return pair

    few, many = pair_of(kinds=5), pair_of(kinds=12)
    assert few["key_of"] == [(hue, f"m{hue}") for hue in range(5)]
    assert [str(one).count("<polyline") for one in few["drawings"]] == [36, 36]
    assert few["left_out"] == 0
    assert [str(one).count("<polyline") for one in many["drawings"]] == [27, 27]
    assert many["left_out"] == 3


def test_curves_are_drawn_where_losses_are_compared(data):
    curves = losses.curves_section(data)["curves"]
    assert [name for _, name in curves["key_of"]] == ["focal (gamma 3)", "cross_entropy"]
    assert curves["left_out"] == ["dice"]
    weighted = Choice(name="cross_entropy", options={"weight": [1, 3]})
    more = data.trainings | {"c": Training(model=Choice(name="unet"), loss=weighted)}
    alike = next(one for one, training in data.trainings.items() if training.loss.name == "cross_entropy")
    folders = {**data.folders, "c": data.folders[alike]}
    again = losses.curves_section(replace(data, trainings=more, folders=folders))["curves"]
    assert [name for _, name in again["key_of"]] == [
        "focal (gamma 3)",
        "cross_entropy, cross_entropy (weight 1-3)",
    ]
    single = dict(list(data.folders.items())[:1])
    assert losses.curves_section(replace(data, folders=single)) is None
    numbers = re.search(r'data-numbers="([^"]*)"', str(curves["drawings"][0]))[1].splitlines()
    p, loss = (
        float(value) for value in next(one for one in numbers if one.startswith("cross")).split(",")[1:]
    )
    assert loss == pytest.approx(-np.log(p), rel=1e-4)
