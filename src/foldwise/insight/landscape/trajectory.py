"""The plane that the weights of a training move in most, and how much of the way it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foldwise.insight.landscape.directions import Vector

CHUNK = 2**18  # weights at a time, of all checkpoints together in float64
MANY_DIMENSIONS = (
    1000  # from here on the shares of random walks hardly differ from those of endless dimensions
)
WALKS = 200


@dataclass(frozen=True)
class Plane:
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


def fit_plane(checkpoints: Sequence[Vector]) -> Plane:
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
    return Plane(
        centre=last,
        axes=(_mixed(checkpoints, last, weights[:, 0]), _mixed(checkpoints, last, weights[:, 1])),
        coordinates=coordinates,
        residual=np.sqrt(np.divide(left, squares, out=np.zeros(num), where=squares > 0)),
        shares=np.pad(np.maximum(variances, 0), (0, 2 - len(variances))) / total
        if total > 0
        else np.full(2, np.nan),
    )


def project(plane: Plane, weights: Vector) -> np.ndarray:
    """Coordinates (2,) float64 of the point of the plane that is nearest to `weights`."""
    return np.array([_inner(weights, plane.centre, axis) for axis in plane.axes])


def null_shares(num_checkpoints: int, dimensions: int) -> np.ndarray:
    """Shares (2,) of the variance that two axes have on average where the weights walk at random.

    For many dimensions they are known: the covariance of a centred walk of C points is the pseudo-inverse of the
    Laplacian of a path, so share k is 1.5 / ((C^2 - 1) sin^2(pi k / (2 C))), and 6 / (pi k)^2 for large C: 0.608 and
    0.152. Below `MANY_DIMENSIONS`, the mean of walks drawn with a fixed seed.

    Args:
        num_checkpoints: C points of the walk, evenly spaced in time.
        dimensions: how many weights walk.

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
    draw = np.random.default_rng(0)
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


def _inner(weights: Vector, centre: Vector, axis: Vector) -> float:
    return sum(
        float(
            (weights[name] - centre[name]).reshape(-1).cpu().double() @ direction.reshape(-1).cpu().double()
        )
        for name, direction in axis.items()
    )
