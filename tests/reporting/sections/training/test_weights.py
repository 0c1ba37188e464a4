"""Histograms of weights: drawn from what fits wrote, and the right configurations beside each other."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from foldwise.learning.training.fit_files import LEVELS, trained_numbers, weight_numbers
from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training.layers import compared, note, weights_section
from foldwise.study.training import Training


@pytest.fixture(scope="module")
def data(runs):
    return gather(runs["multilabel"])


def network(scale=1.0):
    torch.manual_seed(0)
    return {"encoder.weight": scale * torch.randn(8, 3, 3, 3), "head.weight": scale * torch.randn(4, 8)}


def with_weights(data, root, made, trainings=None):
    """The data with what two fits of every configuration wrote of their weights; `made` says which, by its number."""
    folders, results = {}, []
    for number, one in enumerate(data.configurations):
        parts = trained_numbers(made(number))
        folders[one.id] = [root / f"{one.id}-{fold}" for fold in range(2)]
        for folder in folders[one.id]:
            folder.mkdir()
            quantiles = {part: np.quantile(values, LEVELS) for part, values in parts.items()}
            np.savez(folder / "weight_quantiles.npz", levels=LEVELS, **quantiles)
            results.append({"item": folder.name, "weights": {part: weight_numbers(values) for part, values in parts.items()}})  # fmt: skip
    return replace(data, folders=folders, results=results, trainings=trainings or data.trainings)


def test_a_histogram_is_that_of_numpy(tmp_path, data):
    shown = with_weights(data, tmp_path, lambda number: network())
    weights = trained_numbers(network())["network"]
    drawing = str(weights_section(shown)["weights"]["rows"][0][0]["drawing"])
    rows = np.array(
        [row.split(",") for row in re.search(r'data-numbers="([^"]*)"', drawing)[1].splitlines()[1:]], float
    )
    counted, _ = np.histogram(weights, np.append(rows[:, 0], rows[-1, 1]))
    assert len(rows) == 15
    np.testing.assert_allclose(rows[:, 2], counted / weights.size, atol=2 / weights.size)
    np.testing.assert_allclose(rows[:, 2], rows[:, 3])


def test_extremes_are_said_in_words():
    weights = np.concatenate([np.zeros(997), [-29.77, 76.21, 0.5]]).astype(np.float32)
    words = note(weight_numbers(weights))
    assert words.startswith(
        "1.0\u00a0k weights from −29.77 to 76.21, standard deviation 2.59; 0.2\u00a0% beyond"
    )


def test_constant_weights_are_drawn(tmp_path, data):
    shown = with_weights(data, tmp_path, lambda number: {"encoder.a": torch.zeros(9)})
    ((panel,),) = weights_section(shown)["weights"]["rows"]
    assert ",1,1" in panel["drawing"]


def regularised(data, *changes):
    base = {"model": "conv", "optimizer": {"adamw": {"lr": 0.01}}}
    return {
        one.id: Training.model_validate(base | change)
        for one, change in zip(data.configurations, changes, strict=True)
    }


DECAY = [{"optimizer": {"adamw": {"lr": 0.01, "weight_decay": decay}}} for decay in (0.1, 0, 1)]


def test_configurations_that_differ_in_regularisation_stand_side_by_side_from_weak_to_strong(tmp_path, data):
    trainings = regularised(data, *DECAY)
    shown = with_weights(data, tmp_path, lambda number: network(1 / (number + 1)), trainings)
    names = list(data.names.values())
    rows = weights_section(shown)["weights"]["rows"]
    assert [row[0]["part"] for row in rows] == ["Whole network", "Last layers"]
    assert [panel["title"] for panel in rows[0]] == [names[1], names[0], names[2]]
    ticks = [str(panel["drawing"]).split("<polygon")[0] for panel in rows[0]]
    assert len({part.partition("</title>")[2] for part in ticks}) == 1  # one scale for all
    assert str(rows[0][0]["drawing"]).count('class="outline"') == 1  # the second fold
    page = render(shown)
    assert 'id="weights"' in page
    assert "from weak to strong regularisation" in page


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({"head": {"linear": {"dropout": 0.5}}}, True),
        ({"optimizer": {"adamw": {"lr": 0.01, "weight_decay": 0.3}}}, True),
        ({"optimizer": {"adamw": {"lr": 0.1}}}, False),
        ({"optimizer": {"sgd": {"lr": 0.01}}}, False),
        ({"epochs": 7}, False),
    ],
)
def test_only_weight_decay_and_dropout_are_regularisation(data, change, alike):
    first, second, _ = data.configurations
    shown = replace(data, trainings=regularised(data, {}, change, {"loss": "focal"}))
    wanted = {first.id, second.id} if alike else {first.id}
    assert {one.id for one in compared(shown)} == wanted


def test_fits_that_wrote_nothing_of_their_weights_have_no_section(data):
    assert weights_section(data) is None
