"""Directions in the space of a network's weights, random ones and those a training moves in most; and moving along them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

Vector = Mapping[str, Tensor]  # one tensor for every trainable parameter, by its name
CHUNK = 2**18  # weights at a time, of all checkpoints together in float64
# From here on the shares of random walks hardly differ from those of endless dimensions.
MANY_DIMENSIONS = 1000
WALKS = 200


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
    normalised = {name: torch.zeros_like(direction) for name, direction in raw.items()}
    for name, direction in raw.items():
        if direction.ndim > 1:
            axes = tuple(range(1, direction.ndim))
            length = torch.linalg.vector_norm(direction, dim=axes, keepdim=True)
            wanted = torch.linalg.vector_norm(weights[name], dim=axes, keepdim=True)
            normalised[name] = direction * (wanted / (length + 1e-10))
    return normalised


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
        moved = (*self.parameters.values(), *network.buffers())
        self._before = [(tensor, tensor.detach().clone()) for tensor in moved]

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
        for tensor, values in self._before:
            tensor.copy_(values)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.back()


@dataclass(frozen=True)
class MainPlane:
    """The plane through the last of C checkpoints along the two main axes of them all.

    Attributes:
        centre: the last checkpoint.
        axes: two directions of norm 1, at right angles; 0 where the checkpoints do not spread that way. Each points
            to the side of the first checkpoint.
        coordinates: (C, 2) float64 of the checkpoints; the last is at (0, 0).
        residual: (C,) how far each checkpoint is from the plane, as a share of its distance from the last: 0 lies
            in the plane, 1 straight above the last checkpoint; 0 where it is the last one.
        shares: (2,) of the variance of the checkpoints that each axis has; nan where they are all the same. Two high
            shares are no finding of themselves: see `null_shares`.
    """

    centre: Vector
    axes: tuple[dict[str, Tensor], dict[str, Tensor]]
    coordinates: np.ndarray
    residual: np.ndarray
    shares: np.ndarray


def fit_plane(checkpoints: Sequence[Vector]) -> MainPlane:
    """The plane of a trajectory: principal components of the checkpoints, from their C x C inner products in float64.

    The components are those of the variance around the mean of the checkpoints; the plane is then laid through the
    last checkpoint, so that it holds the solution itself.

    Args:
        checkpoints: the trainable weights in order of time, at least one, on one device; see `weights_of`.

    Source: Li et al. 2018, arXiv:1712.09913, section 7.
    """
    last = checkpoints[-1]
    num = len(checkpoints)
    # Inner products of the differences to the last checkpoint: a few checkpoints of millions of weights have a small
    # matrix of these, and never stand beside each other in float64.
    gram = np.zeros((num, num))
    for chunk in _chunks(checkpoints, last):
        gram += (chunk @ chunk.T).numpy()
    centring = np.eye(num) - 1 / num
    variances, vectors = np.linalg.eigh(centring @ gram @ centring)
    variances, vectors = variances[::-1][:2], vectors[:, ::-1][:, :2]
    total = np.trace(centring @ gram @ centring)
    weights = np.zeros((num, 2))  # an axis is this mixture of the differences
    for axis, variance in enumerate(variances):
        if variance > 1e-12 * total:
            mixture = centring @ vectors[:, axis] / np.sqrt(variance)
            weights[:, axis] = mixture if (gram @ mixture)[0] >= 0 else -mixture
    coordinates = gram @ weights
    squares = np.diag(gram)
    left = np.maximum(squares - (coordinates**2).sum(1), 0)
    shares = np.pad(np.maximum(variances, 0), (0, 2 - len(variances)))
    return MainPlane(
        centre=last,
        axes=(_mixed(checkpoints, last, weights[:, 0]), _mixed(checkpoints, last, weights[:, 1])),
        coordinates=coordinates,
        residual=np.sqrt(np.divide(left, squares, out=np.zeros(num), where=squares > 0)),
        shares=shares / total if total > 0 else np.full(2, np.nan),
    )


def null_shares(num_checkpoints: int, dimensions: int) -> np.ndarray:
    """Shares (2,) of the variance that two axes have on average where the weights walk at random.

    For many dimensions they are known: the covariance of a centred walk of C points is the pseudo-inverse of the
    Laplacian of a path, so share k is 1.5 / ((C^2 - 1) sin^2(pi k / (2 C))), and 6 / (pi k)^2 for large C: 0.608 and
    0.152. Below `MANY_DIMENSIONS`, the mean of walks drawn with a fixed seed.

    Args:
        num_checkpoints: C points of the walk, evenly spaced in time.

    Returns:
        nan for fewer than two points; the second share is 0 for two points, or in one dimension.

    Source of the limit: Antognini & Sohl-Dickstein 2018, arXiv:1806.08805.
    """
    if num_checkpoints < 2:
        return np.full(2, np.nan)
    if dimensions >= MANY_DIMENSIONS:
        k = np.array([1, 2])
        shares = 1.5 / ((num_checkpoints**2 - 1) * np.sin(np.pi * k / (2 * num_checkpoints)) ** 2)
        return np.where(k < num_checkpoints, shares, 0.0)
    draw = np.random.default_rng(0)  # fixed, so that a look done again says the same
    shares = np.zeros(2)
    for _ in range(WALKS):
        walk = draw.standard_normal((num_checkpoints, dimensions)).cumsum(0)
        variances = np.linalg.svd(walk - walk.mean(0), compute_uv=False) ** 2
        shares[: len(variances)] += variances[:2] / variances.sum() / WALKS
    return shares


def _chunks(checkpoints: Sequence[Vector], last: Vector) -> Iterator[Tensor]:
    """Differences of all checkpoints to the last, (C, some weights) float64 on the CPU, until all weights were there."""
    for name, end in last.items():
        for start in range(0, end.numel(), CHUNK):
            rows = [vector[name].reshape(-1)[start : start + CHUNK].cpu().double() for vector in checkpoints]
            yield torch.stack(rows) - rows[-1]


def _mixed(checkpoints: Sequence[Vector], last: Vector, weights: np.ndarray) -> dict[str, Tensor]:
    """The sum of weight times difference to the last checkpoint."""
    mixed = {name: torch.zeros_like(end) for name, end in last.items()}
    for vector, weight in zip(checkpoints, weights.tolist(), strict=True):
        for name, total in mixed.items():
            total.add_(vector[name] - last[name], alpha=weight)
    return mixed
