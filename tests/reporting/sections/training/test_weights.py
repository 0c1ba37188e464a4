"""Histograms of weights: counted from the files themselves, and the right configurations beside each other."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from foldwise.reporting.report import render
from foldwise.reporting.report_data import gather
from foldwise.reporting.sections.training.weights import compared, read, section, spread, told
from foldwise.study.spec import Training

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data(runs):
    return gather(runs["multilabel"])


def written(folder, **tensors):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name.replace("__", "."): torch.as_tensor(values) for name, values in tensors.items()},
        folder / "weights.safetensors",
    )
    return folder


def network(folder, scale=1.0):
    torch.manual_seed(0)
    return written(
        folder,
        encoder__conv__weight=scale * torch.randn(8, 3, 3, 3),
        encoder__norm__weight=torch.ones(8),
        encoder__norm__running_mean=100 * torch.ones(8),
        encoder__norm__running_var=100 * torch.ones(8),
        encoder__norm__num_batches_tracked=torch.tensor(7),
        encoder__places=torch.arange(5),
        head__weight=scale * torch.randn(4, 8),
        head__bias=torch.zeros(4),
    )


def test_all_trained_numbers_are_read_and_no_statistics_of_batch_norm(tmp_path):
    held = read(network(tmp_path))
    assert held["network"].size == 8 * 27 + 8 + 4 * 8 + 4
    assert held["network"].max() < 50
    assert held["head"].size == 4 * 8 + 4


def test_the_last_layers_of_a_segmentation_are_its_head(tmp_path):
    held = read(
        written(tmp_path, body__encoder__a=torch.ones(6), body__segmentation_head__0__weight=torch.ones(3))
    )
    assert (held["network"].size, held["head"].size) == (9, 3)


def test_a_frozen_encoder_is_read_where_it_lies(tmp_path):
    fit = written(tmp_path / "fit-1", head__weight=torch.ones(4))
    (fit / "model.json").write_text(json.dumps({"encoder_from": "features-1"}))
    written(tmp_path / "features-1", encoder__a=torch.ones(9))
    (tmp_path / "features-1" / "weights.safetensors").rename(tmp_path / "features-1" / "encoder.safetensors")
    assert read(fit)["network"].size == 13


def test_files_that_are_damaged_or_gone_hold_nothing(tmp_path):
    assert read(tmp_path)["network"].size == 0
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    assert read(tmp_path)["network"].size == 0


def test_numbers_are_those_of_numpy():
    weights = RNG.standard_t(3, 5000).astype(np.float32)
    known = spread(weights)
    assert (known.count, known.low, known.high) == (5000, weights.min(), weights.max())
    assert known.sd == pytest.approx(np.std(weights.astype(float)))
    far = np.abs(weights - weights.mean()) > 3 * weights.std()
    assert known.beyond == pytest.approx(far.mean())
    assert known.reach == pytest.approx(np.quantile(np.abs(weights), 0.99), rel=0.02)


def test_extremes_are_said_in_words():
    weights = np.concatenate([np.zeros(997), [-29.77, 76.21, 0.5]]).astype(np.float32)
    words = told(spread(weights))
    assert words.startswith(
        "1.0\u00a0k weights from −29.77 to 76.21, standard deviation 2.59; 0.2\u00a0% beyond"
    )


def test_constant_weights_are_drawn(tmp_path, data):
    shown = with_weights(data, tmp_path, lambda folder, n: written(folder, encoder__a=torch.zeros(9)))
    assert len(section(shown)["weights"]["rows"][0]) == 1


def with_weights(data, root, write, trainings=None):
    """The data with files of weights for two fits of every configuration."""
    folders = {
        one["id"]: [write(root / one["id"] / str(fold), number) for fold in range(2)]
        for number, one in enumerate(data.configurations)
    }
    return replace(data, folders=folders, trainings=trainings or data.trainings)


def regularised(data, *changes):
    base = {"model": "conv", "optimizer": {"adamw": {"lr": 0.01}}}
    return {
        one["id"]: Training.model_validate(base | change)
        for one, change in zip(data.configurations, changes, strict=True)
    }


DECAY = [{"optimizer": {"adamw": {"lr": 0.01, "weight_decay": decay}}} for decay in (0.1, 0, 1)]


def test_configurations_that_differ_in_regularisation_stand_side_by_side_from_weak_to_strong(tmp_path, data):
    trainings = regularised(data, *DECAY)
    shown = with_weights(data, tmp_path, lambda folder, number: network(folder, 1 / (number + 1)), trainings)
    names = [one["name"] for one in data.configurations]
    rows = section(shown)["weights"]["rows"]
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
    wanted = {first["id"], second["id"]} if alike else {first["id"]}
    assert {one["id"] for one in compared(shown)} == wanted


def test_without_weights_there_is_no_section(data):
    assert section(replace(data, folders={})) is None
