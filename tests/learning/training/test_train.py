"""The loop: the same steps as a straight script, whole or in parts, and no silence when a loss is no number."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from foldwise.data.batches.batches import Batch
from foldwise.data.batches.sampling import NETWORK, step_seed
from foldwise.errors import FoldwiseError
from foldwise.learning.objectives.optimizers import make_optimizer, make_schedule
from foldwise.learning.training.scoring import ForwardPass
from foldwise.learning.training.train import Learner, restore, state_of, train
from foldwise.study.training import Choice

CPU = torch.device("cpu")


def batches(seed=0, sizes=(8, 8, 4)):
    generator = torch.Generator().manual_seed(seed)
    return [
        Batch(
            torch.randn(n, 5, generator=generator),
            torch.randint(0, 3, (n,), generator=generator),
            np.arange(n),
        )
        for n in sizes
    ]


def network(dropout=0.0):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def learner(net, *, passes=1, lr=0.1, epochs=3, schedule="constant"):
    optimizer = make_optimizer(Choice(name="sgd", options={"lr": lr}), net.parameters(), CPU)
    scheduled = make_schedule(Choice(name=schedule), optimizer, epochs * 3)
    forward = ForwardPass("multiclass_classification", 3, CPU)
    return Learner(net, F.cross_entropy, optimizer, scheduled, forward, seed=5, passes=passes)


def test_it_is_the_straight_loop_to_the_last_bit():
    ours, theirs = network(dropout=0.5), network(dropout=0.5)
    losses = [epoch.loss for epoch in train(learner(ours), lambda _, first: batches()[first:], 3)]
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, fused=True)
    for number, ours_loss in enumerate(losses, 1):
        theirs.train()
        total = 0.0
        for done, batch in enumerate(batches(), 1):
            torch.manual_seed(step_seed(5, number, done, use=NETWORK))
            optimizer.zero_grad()
            loss = F.cross_entropy(theirs(batch.inputs), batch.targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch.cases)
        assert ours_loss == pytest.approx(total / 20, rel=1e-6)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("passes", [2, 4, 8])
def test_a_batch_in_parts_makes_the_same_step(passes):
    whole, parts = network(), network()
    list(train(learner(whole), lambda _, first: batches()[first:], 2))
    list(train(learner(parts, passes=passes), lambda _, first: batches()[first:], 2))
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_the_learning_rate_is_that_of_the_start_of_the_epoch_and_falls_to_the_schedule():
    rates = [
        epoch.lr
        for epoch in train(learner(network(), schedule="cosine"), lambda _, first: batches()[first:], 3)
    ]
    assert rates[0] == pytest.approx(0.1)
    assert rates[0] > rates[1] > rates[2] > 0


def test_who_asks_for_the_next_epoch_decides_when_to_stop():
    asked = []
    epochs = train(learner(network()), lambda number, _: asked.append(number) or batches(), 100)
    assert [next(epochs).number, next(epochs).number] == [1, 2]
    assert asked == [1, 2]


def test_evaluating_between_epochs_changes_nothing():
    plain, watched = network(dropout=0.5), network(dropout=0.5)
    list(train(learner(plain), lambda _, first: batches()[first:], 3))
    for _ in train(learner(watched), lambda _, first: batches()[first:], 3):
        watched.eval()
        torch.rand(17)
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_loss_that_is_no_number_is_said_with_its_cure():
    wild = batches()
    wild[1].inputs[0, 0] = float("nan")
    with pytest.raises(
        FoldwiseError, match=r"the training loss became nan in epoch 1, at a learning rate of 0\.1"
    ) as raised:
        list(train(learner(network()), lambda *_: wild, 3))
    assert raised.value.cure is not None
    assert "Lower the learning rate" in raised.value.cure


def test_a_state_brings_back_every_number_and_holds_nothing_frozen():
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    net[0].requires_grad_(False)
    state, before = state_of(net), copy.deepcopy(net.state_dict())
    list(train(learner(net), lambda _, first: batches()[first:], 1))
    assert not torch.equal(net[1].running_mean, before["1.running_mean"])
    restore(net, state)
    for name, values in net.state_dict().items():
        assert torch.equal(values, before[name])
    assert not any(name.startswith("0.") for name in state)
