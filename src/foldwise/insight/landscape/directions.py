"""Directions in the space of a network's weights, and moving the network along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

Vector = Mapping[str, Tensor]  # one tensor for every trainable parameter, by its name


def raw_direction(network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Standard Gaussian numbers for every trainable parameter, where and as the parameter lies.

    They are drawn on the CPU: equal shapes and an equal `seed` give equal numbers on every device.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    drawn = {
        name: torch.randn(parameter.shape, generator=generator)
        for name, parameter in trainable(network).items()
    }
    return placed(drawn, network)


def filter_normalised(raw: Vector, weights: Vector) -> dict[str, Tensor]:
    """`raw` with every filter scaled to the norm of the same filter of `weights`.

    A filter is what the first axis of a tensor counts: of a convolution all that makes one output channel, of a
    fully connected layer one row. Tensors of one axis or none (biases, norm layers) get a direction of 0, and so
    does a filter whose weights are 0.

    Source: Li et al. 2018, arXiv:1712.09913, with their 1e-10 against a division by 0.
    """
    return {name: _scaled(direction, weights[name]) for name, direction in raw.items()}


def _scaled(direction: Tensor, weight: Tensor) -> Tensor:
    if direction.ndim <= 1:
        return torch.zeros_like(direction)
    axes = tuple(range(1, direction.ndim))
    length, wanted = (torch.linalg.vector_norm(part, dim=axes, keepdim=True) for part in (direction, weight))
    return direction * (wanted / (length + 1e-10))


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the trainable parameters, by name; what is frozen is not among them."""
    return {name: parameter.detach().clone() for name, parameter in trainable(network).items()}


def difference(end: Vector, start: Vector) -> dict[str, Tensor]:
    """The direction that leads from `start` to `end` in a step of 1."""
    return {name: values - start[name] for name, values in end.items()}


def placed(vector: Vector, network: nn.Module) -> dict[str, Tensor]:
    """Copies of `vector` on the devices, and in the precision and memory layout, of the network's parameters.

    Moving along them is then an addition, with nothing to be carried between devices at every point.
    """
    return {
        name: torch.empty_like(parameter, requires_grad=False).copy_(vector[name])
        for name, parameter in trainable(network).items()
    }


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training moves, by name; one that several layers share is there once."""
    return {
        name: parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.is_floating_point()
    }


def flat(vector: Vector) -> Tensor:
    """All numbers, one parameter after the other, (W,)."""
    return torch.cat([values.reshape(-1) for values in vector.values()])


def unflattened(numbers: Tensor, like: Vector) -> dict[str, Tensor]:
    """What `flat` gave (W,), by the names and shapes of `like`."""
    sizes = [values.numel() for values in like.values()]
    parts = zip(like.items(), numbers.split(sizes), strict=True)
    return {name: part.view(values.shape) for (name, values), part in parts}


def dot(a: Tensor, b: Tensor) -> float:
    """The inner product of two vectors in float64; on the CPU, since not every device has that."""
    return float(a.cpu().double() @ b.cpu().double())


class Mover:
    """Moves the trainable weights of a network in place, and brings them back bit for bit.

    What `back` restores is what the network held when the mover was made: its trainable parameters, and its buffers
    too, since batch-norm statistics are made anew at the points in between. As a context manager it goes back at
    the end, whatever happened within. In place, since `load_state_dict` at every point takes four times as long.
    """

    def __init__(self, network: nn.Module) -> None:
        self.parameters = trainable(network)
        self._kept = [
            (tensor, tensor.detach().clone()) for tensor in (*self.parameters.values(), *network.buffers())
        ]

    @torch.no_grad()
    def to(self, centre: Vector, steps: Sequence[tuple[float, Vector]] = ()) -> None:
        """Set the weights to `centre` plus each step times its direction; buffers stay as they are."""
        for name, parameter in self.parameters.items():
            parameter.copy_(centre[name])
            for step, direction in steps:
                parameter.add_(direction[name], alpha=float(step))

    @torch.no_grad()
    def back(self) -> None:
        """Restore weights and buffers."""
        for tensor, values in self._kept:
            tensor.copy_(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.back()
