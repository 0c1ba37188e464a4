"""The loop. It is a loop, and a generator: choosing, saving and stopping belong to who asks for the next epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from foldwise.data.batches.batches import Batch
from foldwise.errors import FoldwiseError
from foldwise.learning.training.devices import Stopwatch
from foldwise.learning.training.scoring import ForwardPass, Loss


@dataclass(frozen=True)
class Learner:
    """What is trained, and how.

    Attributes:
        network: gives logits; some of its parameters may be frozen.
        loss: of logits and targets; see `losses.make_loss`.
        schedule: is stepped after every step of the optimiser.
        forward: the task, device, precision and memory layout.
        seed: every epoch's dropout follows from it and from the number of the epoch.
        passes: into how many parts a batch is cut whose gradients are summed, so that less memory is needed.
    """

    network: nn.Module
    loss: Loss
    optimizer: Optimizer
    schedule: LRScheduler
    forward: ForwardPass
    seed: int
    passes: int = 1


@dataclass(frozen=True)
class Epoch:
    """One pass of training: its mean loss, the learning rate it began with, and its seconds."""

    number: int
    loss: float
    lr: float
    seconds: float


def train(learner: Learner, batches_of: Callable[[int], Iterable[Batch]], epochs: int) -> Iterator[Epoch]:
    """Train, and yield after each epoch; stop by not asking for more.

    Args:
        learner: is changed in place.
        batches_of: the batches of an epoch by its number, from 1.
        epochs: how many at most.

    Raises:
        FoldwiseError: the loss is no longer a number.
    """
    device = learner.forward.device
    for number in range(1, epochs + 1):
        # A stream for each epoch: whoever trains again up to an epoch draws the same dropout, whatever came between.
        torch.manual_seed((learner.seed + number) % 2**63)
        learner.network.train()
        lr = float(learner.optimizer.param_groups[0]["lr"])
        watch = Stopwatch(device)
        total, images = torch.zeros((), device=device), 0
        with watch.lap():
            for batch in batches_of(number):
                total += step(learner, batch) * len(batch.cases)  # stays on the device: reading it would wait
                images += len(batch.cases)
            mean = float(total) / images
        if not math.isfinite(mean):
            raise _diverged(number, mean, lr)
        yield Epoch(number, mean, lr, watch.seconds)


def step(learner: Learner, batch: Batch) -> Tensor:
    """One step of the optimiser; the loss of the batch, on the device."""
    learner.optimizer.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=learner.forward.device)
    parts = zip(batch.inputs.chunk(learner.passes), batch.targets.chunk(learner.passes), strict=True)
    for inputs, targets in parts:
        # Weighted by their images, the parts of a mean loss have the gradient of the whole batch.
        share = len(inputs) / len(batch.inputs)
        part = learner.loss(learner.forward.logits(learner.network, inputs), targets) * share
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.detach()
    learner.optimizer.step()
    learner.schedule.step()
    return loss


def _diverged(epoch: int, loss: float, lr: float) -> FoldwiseError:
    return FoldwiseError(
        f"the training loss became {loss} in epoch {epoch}, at a learning rate of {lr:g}",
        cure="Lower the learning rate, add a warm-up to the schedule, or use precision: fp32.",
    )


def state_of(network: nn.Module, device: torch.device | None = None) -> dict[str, Tensor]:
    """Copies of the parameters that learn and of all buffers, on `device` or where they are; what is frozen is left out."""
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    return {
        name: values.detach().to(device, copy=True)
        for name, values in network.state_dict().items()
        if name not in frozen
    }


def restore(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a network back to what `state_of` gave."""
    network.load_state_dict(state, strict=False)
