"""Heads: their sizes, their options, and their seeds."""

import pytest
import torch
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.networks.models import HEADS, build_head
from foldwise.study.training import Choice, Training


def make_head(choice, num_features, num_classes):
    return build_head(Training(model=Choice(name="conv"), head=choice), num_features, num_classes, seed=0)


def kinds(head):
    return [type(layer).__name__ for layer in head]


@pytest.mark.parametrize("name", HEADS)
def test_every_head_gives_one_logit_for_each_class(name):
    head = make_head(Choice(name=name), 12, 5)
    x = torch.randn(3, 12)
    head(x).square().sum().backward()
    assert head(x).shape == (3, 5)
    assert isinstance(head[-1], nn.Linear)
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize(
    ("name", "num_features", "parameters"), [("linear", 512, 1026), ("mlp", 512, 394_498)]
)
def test_the_heads_of_the_gel_study_have_their_size(name, num_features, parameters):
    head = make_head(Choice(name=name), num_features, 2)
    assert sum(parameter.numel() for parameter in head.parameters()) == parameters


def test_an_mlp_has_a_dropout_after_each_hidden_layer():
    head = make_head(Choice(name="mlp"), 12, 5)
    assert kinds(head) == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.25, 0.5]


def test_one_dropout_serves_all_hidden_layers():
    head = make_head(Choice(name="mlp", options={"hidden": [4, 4, 4], "dropout": 0.1}), 12, 5)
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.1] * 3


def test_no_hidden_layer_is_a_linear_head():
    assert kinds(make_head(Choice(name="mlp", options={"hidden": [], "dropout": []}), 12, 5)) == ["Linear"]


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("linar", {}, "no head is called 'linar'\n  → Did you mean 'linear'?"),
        ("mlp", {"hiden": [4]}, "no option of head 'mlp' is called 'hiden'\n  → Did you mean 'hidden'?"),
        ("mlp", {"hidden": [4]}, "the head 'mlp' has 1 hidden layers and 2 dropouts"),
        ("mlp", {"hidden": [0], "dropout": 0.1}, "must be at least 1, got"),
        ("linear", {"dropout": 1.0}, "less than 1"),
    ],
)
def test_what_is_no_head_is_refused(name, options, part):
    with pytest.raises(SpecError) as refused:
        make_head(Choice(name=name, options=options), 12, 5)
    assert part in str(refused.value)


def test_a_seed_is_a_head():
    asked = Training(model="conv")
    one, two, other = (build_head(asked, 12, 5, seed)[1].weight for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
