"""Optimisers, and how the learning rate changes while they work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from inspect import unwrap
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from foldwise.errors import SpecError, choose
from foldwise.learning.options import bound
from foldwise.study.ranges import Decay, Factor, LearningRate, Share
from foldwise.study.training import Choice

Parameters = list[nn.Parameter]


def sgd(
    parameters: Parameters,
    device: torch.device,
    *,
    lr: LearningRate = 0.01,
    momentum: Share = 0.9,
    nesterov: bool = False,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Steps along the gradient; momentum keeps a share of the last step, Nesterov looks ahead along it."""
    if nesterov and not momentum:
        what = "the optimizer 'sgd' has nesterov without momentum"
        raise SpecError(what, cure="Give a momentum above 0, for example 0.9.")
    steps = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    return _eager(SGD)(parameters, lr=lr, **steps, fused=_fused(device))


def rmsprop(
    parameters: Parameters,
    device: torch.device,
    *,
    lr: LearningRate = 1e-3,
    smoothing: Share = 0.99,
    momentum: Share = 0.0,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Steps divided by the running root mean square of each gradient (Tieleman & Hinton 2012, lecture 6.5)."""
    # torch has no fused form of it.
    rates = {"lr": lr, "alpha": smoothing}
    return _eager(RMSprop)(parameters, **rates, momentum=momentum, weight_decay=weight_decay)


def adam(
    parameters: Parameters,
    device: torch.device,
    *,
    lr: LearningRate = 1e-3,
    beta1: Share = 0.9,
    beta2: Share = 0.999,
    weight_decay: Decay = 0.0,
) -> Optimizer:
    """Momentum and root mean square together; weight decay is part of the gradient (arXiv:1412.6980)."""
    steps = {"lr": lr, "betas": (beta1, beta2), "weight_decay": weight_decay}
    return _eager(Adam)(parameters, **steps, fused=_fused(device))


def adamw(
    parameters: Parameters,
    device: torch.device,
    *,
    lr: LearningRate = 1e-3,
    beta1: Share = 0.9,
    beta2: Share = 0.999,
    weight_decay: Decay = 0.01,
) -> Optimizer:
    """Adam with weight decay apart from the gradient (arXiv:1711.05101)."""
    steps = {"lr": lr, "betas": (beta1, beta2), "weight_decay": weight_decay}
    return _eager(AdamW)(parameters, **steps, fused=_fused(device))


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def constant(total_steps: int, *, warmup: Share = 0.0) -> Callable[[int], float]:
    """The learning rate as stated, after a linear rise over the share `warmup` of all steps."""
    return lambda step: _rise(step, warmup * total_steps)


def cosine(total_steps: int, *, warmup: Share = 0.0, floor: Share = 0.0) -> Callable[[int], float]:
    """Down to `floor` times the learning rate along half a cosine (arXiv:1608.03983), after a linear rise."""
    first = warmup * total_steps

    def factor(step: int) -> float:
        half = (1 + math.cos(math.pi * _gone(step, first, total_steps))) / 2
        return _rise(step, first) * (floor + (1 - floor) * half)

    return factor


def step(
    total_steps: int,
    *,
    at: list[Share] = [0.5, 0.75],  # noqa: B006  # never changed; a study file writes lists
    factor: Factor = 0.1,
) -> Callable[[int], float]:
    """Multiplied by `factor` each time one of the shares `at` of all steps is reached."""
    return lambda now: factor ** sum(now >= share * total_steps for share in at)


def polynomial(total_steps: int, *, power: Factor = 0.9, warmup: Share = 0.0) -> Callable[[int], float]:
    """Down to 0 as (1 - share of the steps gone)^power, after a linear rise; power 1 is a straight line."""
    first = warmup * total_steps
    return lambda step: _rise(step, first) * (1 - _gone(step, first, total_steps)) ** power


SCHEDULES: dict[str, Callable[..., Callable[[int], float]]] = {
    "constant": constant,
    "cosine": cosine,
    "step": step,
    "polynomial": polynomial,
}


def make_optimizer(
    choice: Choice, parameters: Iterable[nn.Parameter], device: torch.device | str
) -> Optimizer:
    """The optimiser asked for, over those `parameters` that are not frozen.

    Raises:
        SpecError: an unknown name or option, or nothing left to train.
    """
    function = choose(OPTIMIZERS, choice.name, "optimizer")
    options = bound(function, choice, "optimizer")
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise SpecError("nothing is left to train: every parameter is frozen", cure="Set 'freeze: none'.")
    return function(trainable, torch.device(device), **options)


def make_schedule(choice: Choice, optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The schedule asked for; its ``step()`` is called after every step of the optimiser."""
    return LambdaLR(optimizer, learning_rate_factor(choice, total_steps))


def learning_rate_factor(choice: Choice, total_steps: int) -> Callable[[int], float]:
    """The function from the number of steps done to what the learning rate is multiplied by."""
    function = choose(SCHEDULES, choice.name, "schedule")
    return function(total_steps, **bound(function, choice, "schedule"))


def check_optimizer(optimizer: Choice, schedule: Choice) -> None:
    """Raise SpecError if either of them, or one of their options, does not exist."""
    # Names and options are all that is looked at, so one number to train is enough.
    make_optimizer(optimizer, [nn.Parameter(torch.zeros(1))], "cpu")
    learning_rate_factor(schedule, 1)


# Around each of these torch puts what its compiler needs, and loads that compiler at the first call of one.
_METHODS = ("add_param_group", "state_dict", "load_state_dict")


@cache
def _eager(kind: type[Optimizer]) -> type[Any]:
    """An optimiser that does what `kind` does without the compiler of torch, whose import takes a worker 1 to 2 s.

    Nor does it tell torch's profiler of every step, which takes 50 us of the 350 us that a step of a linear head takes.
    Where a version of torch puts nothing around a method, the method stays as it is.
    """
    step = unwrap(kind.step)

    def without_gradients(self: Optimizer, closure: Callable[[], float] | None = None) -> Any:
        with torch.no_grad():
            return step(self, closure)

    def zero_grad(self: Optimizer, set_to_none: bool = True) -> None:
        assert set_to_none
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    without_gradients.hooked = True  # type: ignore[attr-defined]  # else torch wraps it for its profiler
    methods = {name: unwrap(getattr(kind, name)) for name in _METHODS}
    return type(kind.__name__, (kind,), {"step": without_gradients, "zero_grad": zero_grad, **methods})


def _rise(step: int, first: float) -> float:
    """From 1 / first in the first step to 1 after `first` steps; 1 where there is no warm-up."""
    return min((step + 1) / first, 1.0) if first >= 1 else 1.0


def _gone(step: int, first: float, total_steps: int) -> float:
    """The share of the steps after the warm-up that is done, 0 to 1."""
    return min(max(step - first, 0) / max(total_steps - first, 1), 1)


def _fused(device: torch.device) -> Any:
    # One kernel for all parameters instead of one for each; None leaves the choice to torch.
    return True if device.type in ("cpu", "cuda") else None
