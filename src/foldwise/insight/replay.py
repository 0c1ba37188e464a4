"""A fit trained once more, from the same seed and by the same code, to keep what it was like on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foldwise.learning.checkpoints.saved import read_weights
from foldwise.learning.training.devices import steady
from foldwise.learning.training.setup import FitRequest, TrainingSetup, set_up
from foldwise.learning.training.train import restore, state_of

if TYPE_CHECKING:
    from foldwise.learning.training.resuming import ResumedTraining

MAX_BYTES = 2**30  # of all checkpoints together
MIN_STEPS = 4

CPU = torch.device("cpu")  # checkpoints of a whole training would not fit beside it on a GPU
State = dict[str, Tensor]  # on the CPU, without what is frozen


@dataclass(frozen=True)
class Replay:
    """A training as it went: the network, now at its last epoch, and its state at chosen ones; 0 is before training."""

    setup: TrainingSetup
    states: dict[int, State]

    @property
    def network(self) -> nn.Module:
        """On its device."""
        return self.setup.learner.network

    def weights(self, epoch: int) -> State:
        """The trainable weights of an epoch, by name."""
        # Without buffers: directions and planes are of what the optimiser moves.
        learning = {name for name, parameter in self.network.named_parameters() if parameter.requires_grad}
        return {name: values for name, values in self.states[epoch].items() if name in learning}

    def go_to(self, epoch: int) -> None:
        """Make the network what it was at an epoch that was kept, its batch-norm statistics too."""
        restore(self.network, self.states[epoch])


@dataclass
class _KeptStates:
    """The states that are kept so far, by epoch."""

    states: dict[int, State]

    def state(self) -> dict[str, Any]:
        """All of them."""
        return {"states": self.states}

    def restore(self, state: dict[str, Any]) -> None:
        """Put them back to what `state` gave."""
        self.states.update(state["states"])


def replay(
    request: FitRequest,
    resuming: ResumedTraining,
    *,
    last: int,
    keep: Callable[[int], Collection[int]],
    tell: Callable[[int, int], None],
) -> Replay:
    """Train again up to epoch `last`; the inner validation is not asked, which changes no weight.

    Args:
        request: as the fit was, with as many halvings of its batch.
        resuming: where an earlier attempt left it; a replay of a long training outlives time limits, too.
        keep: which epochs to keep, from the bytes of one checkpoint.
        tell: is told the epoch and the last.
    """
    # As `with_less_memory` ran the fit: the same seed, threads and order of draws give the same weights bit for bit.
    with steady(request.seed, request.settings["threads"], request.device):
        setup = set_up(request)
        network = setup.learner.network
        course = _KeptStates(states := {0: state_of(network, CPU)})
        size = sum(values.nbytes for values in states[0].values())
        wanted = set(keep(size))
        if last:
            for epoch in resuming.epochs(request, setup.learner, setup.batches_of, course):
                if epoch.number in wanted:
                    states[epoch.number] = state_of(network, CPU)
                tell(epoch.number, last)
                if epoch.number == last:
                    break
    network.eval()
    return Replay(setup, states)


def most_steps(wanted: int, checkpoint_bytes: int) -> int:
    """How many checkpoints of the way of training are kept: fewer of a large network."""
    return max(MIN_STEPS, min(wanted, MAX_BYTES // max(checkpoint_bytes, 1)))


def weights_in(path: Path, *, prefix: str, like: Mapping[str, Tensor]) -> State:
    """Of a file of weights those that `like` has, by its names, which stand in the file after `prefix`."""
    written = read_weights(path)
    return {name: written[f"{prefix}{name}"] for name in like}


def largest_difference(state_a: Mapping[str, Tensor], state_b: Mapping[str, Tensor]) -> float:
    """The largest difference of any number of two states of one network; 0 where they are equal bit for bit."""
    return max(
        (
            float((values.double() - state_b[name].double()).abs().max())
            for name, values in state_a.items()
            if values.numel() and not torch.equal(values, state_b[name])
        ),
        default=0.0,
    )
