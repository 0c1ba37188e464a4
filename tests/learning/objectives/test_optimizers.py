"""Optimisers and schedules: the right class with the right numbers, and the learning rate over time."""

import pytest
import torch
from torch import nn

from foldwise.errors import SpecError
from foldwise.learning.objectives.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    check_optimizer,
    learning_rate_factor,
    make_optimizer,
    make_schedule,
)
from foldwise.study.training import Choice


def weights():
    return nn.Parameter(torch.tensor([3.0, -2.0]))


def factors(name, total=100, **options):
    factor = learning_rate_factor(Choice(name=name, options=options), total)
    return [factor(step) for step in range(total)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_finds_the_bottom_of_a_bowl(name):
    w = weights()
    optimizer = make_optimizer(Choice(name=name, options={"lr": 0.05}), [w], "cpu")
    for _ in range(300):
        optimizer.zero_grad()
        (w**2).sum().backward()
        optimizer.step()
    assert w.abs().max() < 0.1


@pytest.mark.parametrize(
    ("name", "options", "direct"),
    [
        (
            "sgd",
            {"lr": 0.1, "momentum": 0.9, "nesterov": True},
            lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True),
        ),
        ("sgd", {"lr": 0.1, "momentum": 0.0}, lambda p: torch.optim.SGD(p, 0.1)),
        ("rmsprop", {"lr": 0.01, "momentum": 0.5}, lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.5)),
        ("adam", {"lr": 0.01, "weight_decay": 0.1}, lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
        ("adamw", {"lr": 0.01, "beta1": 0.8}, lambda p: torch.optim.AdamW(p, 0.01, betas=(0.8, 0.999))),
    ],
)
def test_steps_are_those_of_torch(name, options, direct):
    ours, theirs = weights(), weights()
    pair = [
        (ours, make_optimizer(Choice(name=name, options=options), [ours], "cpu")),
        (theirs, direct([theirs])),
    ]
    for w, optimizer in pair:
        for _ in range(5):
            optimizer.zero_grad()
            (w**3).sum().backward()
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_weight_decay_is_an_l2_term_of_half_its_size_in_the_loss(name):
    decayed, penalised = weights(), weights()
    for w, decay, penalty in ((decayed, 0.02, 0.0), (penalised, 0.0, 0.01)):
        optimizer = make_optimizer(Choice(name=name, options={"lr": 0.01, "weight_decay": decay}), [w], "cpu")
        for _ in range(5):
            optimizer.zero_grad()
            ((w**3).sum() + penalty * (w**2).sum()).backward()
            optimizer.step()
    assert torch.allclose(decayed, penalised, atol=1e-6)
    assert not torch.allclose(decayed, weights(), atol=1e-3)


def test_weight_decay_of_adamw_shrinks_the_weights_apart_from_the_gradient():
    w = weights()
    optimizer = make_optimizer(Choice(name="adamw", options={"lr": 0.1, "weight_decay": 0.5}), [w], "cpu")
    for _ in range(3):
        (0 * w).sum().backward()
        optimizer.step()
    assert torch.allclose(w, weights() * (1 - 0.1 * 0.5) ** 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_are_forgotten_and_no_step_is_told_to_a_profiler(name):
    optimizer = make_optimizer(Choice(name=name), [w := weights()], "cpu")
    (w**2).sum().backward()
    with torch.autograd.profiler.profile() as profile:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    assert w.grad is None
    assert not [event.name for event in profile.function_events if event.name.startswith("Optimizer.")]


def test_what_is_frozen_is_left_out():
    frozen, w = weights().requires_grad_(False), weights()
    optimizer = make_optimizer(Choice(name="adam"), [frozen, w], "cpu")
    assert [parameter is w for group in optimizer.param_groups for parameter in group["params"]] == [True]


def test_nothing_to_train_is_refused():
    with pytest.raises(SpecError, match="nothing is left to train: every parameter is frozen"):
        make_optimizer(Choice(name="adam"), [weights().requires_grad_(False)], "cpu")


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_stays_between_nothing_and_the_stated_rate(name):
    assert all(0 <= factor <= 1 for factor in factors(name))
    assert factors(name)[0] == 1


@pytest.mark.parametrize("name", ["constant", "cosine", "polynomial"])
def test_a_warm_up_rises_to_the_stated_rate(name):
    rise = factors(name, warmup=0.1)[:10]
    assert rise == pytest.approx([(step + 1) / 10 for step in range(10)])


def test_cosine_is_half_way_down_in_the_middle():
    assert factors("cosine")[50] == pytest.approx(0.5)
    assert factors("cosine", floor=0.2)[50] == pytest.approx(0.6)
    assert learning_rate_factor(Choice(name="cosine"), 100)(100) == pytest.approx(0)


def test_steps_are_taken_at_their_shares():
    got = factors("step", at=[0.5, 0.75], factor=0.1)
    assert (got[49], got[50], got[74], got[75]) == pytest.approx((1, 0.1, 0.1, 0.01))


def test_a_polynomial_of_power_one_is_a_line():
    assert factors("polynomial", power=1.0)[25] == pytest.approx(0.75)


def test_a_schedule_moves_the_rate_of_its_optimiser():
    optimizer = make_optimizer(Choice(name="sgd", options={"lr": 0.1}), [weights()], "cpu")
    schedule = make_schedule(Choice(name="polynomial", options={"power": 1.0}), optimizer, 4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])


@pytest.mark.parametrize(
    ("optimizer", "schedule", "part"),
    [
        (
            Choice(name="adamm"),
            Choice(name="constant"),
            "no optimizer is called 'adamm'\n  → Did you mean 'adam",
        ),
        (
            Choice(name="adam", options={"momentum": 0.9}),
            Choice(name="constant"),
            "no option of optimizer 'adam'",
        ),
        (Choice(name="adam", options={"lr": 0.0}), Choice(name="constant"), "greater than 0"),
        (
            Choice(name="sgd", options={"nesterov": True, "momentum": 0.0}),
            Choice(name="constant"),
            "without momentum",
        ),
        (
            Choice(name="sgd"),
            Choice(name="cosin"),
            "no schedule is called 'cosin'\n  → Did you mean 'cosine'?",
        ),
    ],
)
def test_what_does_not_exist_is_refused(optimizer, schedule, part):
    with pytest.raises(SpecError) as refused:
        check_optimizer(optimizer, schedule)
    assert part in str(refused.value)


def test_no_step_of_any_optimiser_loads_the_compiler_of_torch(forked, tmp_path):
    # Its import takes every worker 1 to 2 s of CPU time; here only ours are known to need none, so in a process of its own.
    code = """
import sys, torch
from foldwise.learning.objectives.optimizers import OPTIMIZERS, make_optimizer, make_schedule
from foldwise.study.training import Choice
for name in OPTIMIZERS:
    optimizer = make_optimizer(Choice(name=name), [weight := torch.nn.Parameter(torch.ones(2))], "cpu")
    schedule = make_schedule(Choice(name="cosine"), optimizer, 2)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        weight.square().sum().backward()
        optimizer.step()
        schedule.step()
    optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert forked.run(code, cwd=tmp_path, out=tmp_path / "out.txt") == 0, (tmp_path / "out.txt").read_text()
