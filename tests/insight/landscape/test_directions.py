"""Directions are as long as the filters they belong to, and a moved network comes back as it was."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes_to_try import cross_entropy_of, dense, normed
from torch import nn

from foldwise.insight.landscape.directions import (
    Mover,
    difference,
    filter_normalised,
    placed,
    raw_direction,
    weights_of,
)
from foldwise.insight.landscape.surfaces import line


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one | other)


def test_a_direction_follows_from_shapes_and_seed_alone():
    one, other = raw_direction(normed(seed=0), 7), raw_direction(normed(seed=1), 7)
    assert same(one, other)
    assert not same(one, raw_direction(normed(seed=0), 8))
    assert all(parameter.requires_grad for parameter in normed().parameters())
    assert {name: values.shape for name, values in one.items()} == {
        name: parameter.shape for name, parameter in normed().named_parameters()
    }


def test_a_direction_is_gaussian():
    drawn = raw_direction(nn.Linear(200, 200, bias=False), 0)["weight"]
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.std() == pytest.approx(1, abs=0.02)


def test_what_is_frozen_has_no_direction_and_does_not_move():
    network = normed()
    network[0].requires_grad_(False)
    assert not {"0.weight", "0.bias"} & set(raw_direction(network, 0))
    assert not {"0.weight", "0.bias"} & set(weights_of(network))
    fixed = network[0].weight.clone()
    Mover(network).to(weights_of(network), [(1.0, raw_direction(network, 0))])
    assert torch.equal(network[0].weight, fixed)


def test_a_shared_parameter_is_there_once():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    assert list(weights_of(network)) == ["0.weight", "0.bias", "1.bias"]


@given(st.integers(0, 2**32), st.floats(0.01, 100))
def test_every_filter_of_the_direction_is_as_long_as_that_of_the_weights(seed, scale):
    network = normed(seed=seed % 100)
    weights = {name: values * scale for name, values in weights_of(network).items()}
    direction = filter_normalised(raw_direction(network, seed), weights)
    for name, weight in weights.items():
        if weight.ndim > 1:
            lengths = [part.flatten(1).norm(dim=1) for part in (direction[name], weight)]
            torch.testing.assert_close(*lengths, rtol=1e-5, atol=0)
        else:
            assert not direction[name].any()


def test_a_filter_of_nothing_has_no_direction():
    network = nn.Linear(3, 2)
    with torch.no_grad():
        network.weight[0] = 0
    direction = filter_normalised(raw_direction(network, 0), weights_of(network))["weight"]
    assert not direction[0].any()
    assert direction[1].norm() == pytest.approx(float(network.weight[1].detach().norm()), rel=1e-6)


@pytest.mark.parametrize("factor", [0.25, 7.0])
def test_a_scaled_network_without_biases_has_the_same_curve(factor):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    steps = np.linspace(-1, 1, 21)

    def curve(normalised):
        raw, weights = raw_direction(network, 3), weights_of(network)
        return line(
            cross_entropy_of(network), weights, filter_normalised(raw, weights) if normalised else raw, steps
        )

    before, before_raw = curve(True), curve(False)
    with torch.no_grad():
        network[0].weight *= factor
        network[2].weight /= factor
    np.testing.assert_allclose(curve(True), before, rtol=1e-5)
    assert np.abs(curve(False) - before_raw).max() > 0.1  # without normalisation it is another curve


@given(st.lists(st.floats(-3, 3), min_size=0, max_size=2), st.integers(0, 100))
def test_a_mover_sets_the_weights_and_brings_them_back_to_the_last_bit(steps, seed):
    network = normed(seed=seed)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    centre = weights_of(normed(seed=seed + 1))
    directions = [raw_direction(network, number) for number in range(len(steps))]
    with Mover(network) as mover:
        mover.to(centre, list(zip(steps, directions, strict=True)))
        for name, parameter in network.named_parameters():
            wanted = centre[name] + sum(step * d[name] for step, d in zip(steps, directions, strict=True))
            torch.testing.assert_close(parameter.detach(), wanted)
        for layer in network:
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.fill_(float("nan"))
                layer.num_batches_tracked.add_(3)
    after = network.state_dict()
    assert all(values.numpy().tobytes() == after[name].numpy().tobytes() for name, values in before.items())


def moved_until_it_fails(network):
    with Mover(network) as mover:
        mover.to(weights_of(network), [(1.0, raw_direction(network, 0))])
        raise RuntimeError("in between")


def test_a_mover_goes_back_after_an_error_too():
    network = dense()
    before = weights_of(network)
    with pytest.raises(RuntimeError, match="in between"):
        moved_until_it_fails(network)
    assert same(before, weights_of(network))


def test_a_network_can_still_be_trained_after_it_was_moved():
    network = normed(dropout=0)
    with Mover(network) as mover:
        mover.to(weights_of(network), [(0.5, raw_direction(network, 0))])
    network.train()
    network(torch.randn(4, 2, 8, 8)).sum().backward()
    assert network[0].weight.grad is not None


def test_the_difference_leads_from_one_network_to_the_other():
    start, end = dense(seed=0), dense(seed=1)
    values = line(
        cross_entropy_of(start),
        weights_of(start),
        difference(weights_of(end), weights_of(start)),
        np.array([0, 1]),
    )
    assert values[0, 0] == pytest.approx(cross_entropy_of(start).values()[0], rel=1e-6)
    assert values[0, 1] == pytest.approx(cross_entropy_of(end).values()[0], rel=1e-5)


def test_vectors_are_placed_in_the_layout_of_the_network():
    network = normed().to(memory_format=torch.channels_last)
    plain = {name: values.contiguous().double() for name, values in weights_of(network).items()}
    made = placed(plain, network)
    assert same(made, weights_of(network))
    assert made["4.weight"].stride() == network[4].weight.stride()
    assert made["4.weight"].dtype == torch.float32
    assert not made["4.weight"].requires_grad
