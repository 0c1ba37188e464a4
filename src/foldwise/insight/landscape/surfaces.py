"""Loss surfaces: every criterion along lines and over planes through the weights of a network; ``surfaces.npz``.

A surface is a cross-section at one place in the directions chosen, and no more: it shows neither that there is no
other minimum nor the way the optimiser took. All of these leave the network as they found it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from foldwise.insight.landscape.directions import (
    Mover,
    Vector,
    difference,
    filter_normalised,
    fit_plane,
    null_shares,
    placed,
    raw_direction,
)
from foldwise.insight.landscape.points import Landscape, batch_norms
from foldwise.runs.landscapes import RISES_WITHIN

if TYPE_CHECKING:  # only a type here
    from foldwise.insight.replay import Replay

MARGIN = 0.2  # of the plane of the path, beyond the path itself
BEYOND = 0.2  # of the line from start to end, beyond both

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Course:
    """What is drawn of a training.

    Attributes:
        epochs: rising, 0 first; surfaces are drawn at each.
        steps: epochs of the path, rising.
        chosen: the epoch whose weights were kept.
        points: along each side of a surface; lines have 2 points + 1.
        directions: along which lines are drawn.
        others: weights of fits of the same configuration, to which lines are drawn.
    """

    epochs: list[int]
    steps: list[int]
    chosen: int
    points: int
    directions: int
    seed: int
    others: Sequence[Mapping[str, Tensor]]

    @property
    def along(self) -> np.ndarray:
        """Steps of lines, from -1 to 1."""
        return np.linspace(-1, 1, 2 * self.points + 1)

    def num_points(self) -> int:
        """How many points `surfaces_of` visits, at most."""
        # Two lines more: from before training to the chosen weights, and with the statistics that training left.
        lines = len(self.epochs) * self.directions + 2 + len(self.others)
        planes = (len(self.epochs) + 1) * self.points**2
        return planes + lines * len(self.along) + len(self.epochs) + 2 * len(self.steps)


def surfaces_of(
    landscape: Landscape, replay: Replay, course: Course, tell: Callable[[int, int], None]
) -> Arrays:
    """Everything in ``surfaces.npz`` but the trivial predictor; docs/look.md has the shapes.

    Args:
        tell: is told points done, and points in all.
    """
    number, total = count(1), course.num_points()
    watched = replace(landscape, watch=lambda: tell(next(number), total))
    arrays = _around(watched, replay, course) | _path(watched, replay, course)
    arrays |= _straight(watched, replay, course)
    kinds = {"epochs": np.int32, "path_epochs": np.int32}
    return {name: np.asarray(values, kinds.get(name, np.float32)) for name, values in arrays.items()}


def _around(landscape: Landscape, replay: Replay, course: Course) -> dict[str, Any]:
    """Surfaces and lines around each epoch: the same raw directions at all of them, scaled anew to its filters."""
    alpha = np.linspace(-1, 1, course.points)
    surface, lines, centre = [], [], []
    stale = None
    for epoch in course.epochs:
        weights = replay.weights(epoch)
        # The same seeds at every epoch: surfaces then differ by the network and not by the direction.
        axes = [_direction(replay, weights, course.seed + number) for number in (0, 1)]
        surface.append(plane(landscape, weights, (axes[0], axes[1]), (alpha, alpha)))
        centre.append(at_each(landscape, [weights])[:, 0])
        along = [axes[0]]
        lines.append([line(landscape, weights, axes[0], course.along)])
        for number in range(1, course.directions):
            along[0] = _direction(replay, weights, course.seed + 2 * number)
            lines[-1].append(line(landscape, weights, along[0], course.along))
        if epoch == course.chosen and batch_norms(replay.network):
            replay.go_to(epoch)  # with the statistics that training left
            as_trained = replace(landscape, recalibrated=False)
            stale = line(as_trained, weights, axes[0], course.along)
    arrays: dict[str, Any] = {"epochs": course.epochs, "alpha": alpha, "line_alpha": course.along}
    arrays |= {"surface": np.stack(surface), "lines": np.array(lines), "centre": np.stack(centre)}
    return arrays if stale is None else arrays | {"stale": stale}


def _direction(replay: Replay, weights: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    raw = {name: values.cpu() for name, values in raw_direction(replay.network, seed).items()}
    return filter_normalised(raw, weights)


def _path(landscape: Landscape, replay: Replay, course: Course) -> dict[str, Any]:
    """The plane that the path of training fits best, what every criterion is on it, and how far the path is from it."""
    checkpoints = [replay.weights(epoch) for epoch in course.steps]
    plane_of_path = fit_plane(checkpoints)
    centre, axes = plane_of_path.centre, plane_of_path.axes
    x, y = (_reach(plane_of_path.coordinates[:, axis], course.points) for axis in (0, 1))
    return {
        "path_epochs": course.steps,
        "path": plane_of_path.coordinates,
        "path_residual": plane_of_path.residual,
        "path_true": at_each(landscape, checkpoints).T,
        "path_projected": scattered(landscape, centre, axes, plane_of_path.coordinates).T,
        "shares": plane_of_path.shares,
        "null_shares": null_shares(len(checkpoints), sum(weight.numel() for weight in centre.values())),
        "plane_x": x,
        "plane_y": y,
        "plane": plane(landscape, centre, axes, (x, y)),
    }


def _reach(coordinates: np.ndarray, points: int) -> np.ndarray:
    """Evenly over all of the path and a margin."""
    low, high = float(coordinates.min()), float(coordinates.max())
    room = MARGIN * (high - low) or 1.0  # a path that does not go this way still has a plane
    return np.linspace(low - room, high + room, points)


def _straight(landscape: Landscape, replay: Replay, course: Course) -> dict[str, Any]:
    """Straight lines: from before training to the chosen weights, and from these to those of other fits."""
    num = len(course.along)
    chosen, start = replay.weights(course.chosen), replay.weights(0)
    walk_t, between_t = np.linspace(-BEYOND, 1 + BEYOND, num), np.linspace(0, 1, num)
    walk = line(landscape, start, difference(chosen, start), walk_t)
    # Readers find the array also where there is no other fit.
    between = np.zeros((len(course.others), len(landscape.criteria), num))
    for number, other in enumerate(course.others):
        between[number] = line(landscape, chosen, difference(other, chosen), between_t)
    return {"walk_t": walk_t, "walk": walk, "between_t": between_t, "between": between}


def barriers(arrays: Arrays) -> np.ndarray:
    """(M, L) how far each criterion rises above the straight line between its two ends, at most; nan where it is not known.

    Never below 0: at the ends it is 0.
    """
    t, values = arrays["between_t"], arrays["between"]
    chord = values[..., :1] * (1 - t) + values[..., -1:] * t
    above = values - chord
    return np.where(np.isnan(above).any(-1), np.nan, above.max(-1, initial=0.0))


def direction_spread(arrays: Arrays) -> np.ndarray:
    """(E, L) standard deviation over the directions of the mean rise along a line; nan where it is not known."""
    lines, centre = arrays["lines"].astype(np.float64), arrays["centre"].astype(np.float64)
    rises = lines.mean(-1) - centre[:, None]
    if rises.shape[1] < 2:
        return np.full(centre.shape, np.nan)
    return rises.std(1, ddof=1)


def rises(arrays: Arrays) -> np.ndarray:
    """(E, L, W) how far the mean over the finite points of a plane within a distance is above its centre.

    The distances are `RISES_WITHIN`; nan where no point is finite.
    """
    alpha, planes = arrays["alpha"], arrays["surface"].astype(np.float64)
    centre = arrays["centre"].astype(np.float64)
    rises_W = []
    for within in RISES_WITHIN:
        # A hair more: distances of points on the circle are rounded.
        near = planes[..., np.hypot(alpha[None, :], alpha[:, None]) <= within + 1e-6]
        finite = np.isfinite(near)
        total, num = np.where(finite, near, 0).sum(-1), finite.sum(-1)
        rises_W.append(np.where(num > 0, total / np.maximum(num, 1), np.nan) - centre)
    return np.stack(rises_W, axis=-1)


def plane(
    landscape: Landscape, centre: Vector, axes: tuple[Vector, Vector], steps: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Every criterion over a plane, (L, Y, X) float64: [:, i, j] is at centre + x[j] * axes[0] + y[i] * axes[1].

    Args:
        centre: the weights at (0, 0), on any device.
        axes: two directions; see `directions.filter_normalised`.
        steps: x (X,) and y (Y,).

    Returns:
        nan where a value is not finite.
    """
    x, y = steps
    grid = np.stack(np.meshgrid(x, y), axis=-1)  # (Y, X, 2)
    values = scattered(landscape, centre, axes, grid.reshape(-1, 2))
    return values.reshape(len(values), len(y), len(x))


def line(landscape: Landscape, centre: Vector, direction: Vector, steps: np.ndarray) -> np.ndarray:
    """Every criterion at centre + step * direction, (L, P) float64 for P steps; nan where a value is not finite.

    With `directions.difference(end, start)` from `start`, it is the straight line between two networks.
    """
    return scattered(landscape, centre, (direction,), steps[:, None])


def scattered(
    landscape: Landscape, centre: Vector, axes: Sequence[Vector], coordinates: np.ndarray
) -> np.ndarray:
    """Every criterion at points of a plane, (L, P) float64; nan where a value is not finite.

    Args:
        centre: the weights at the origin, on any device.
        axes: A directions.
        coordinates: (P, A).
    """
    # Once and not at each point: checkpoints lie on the CPU, and there are hundreds of points.
    centre, axes = placed(centre, landscape.network), [placed(axis, landscape.network) for axis in axes]
    places = ((centre, list(zip(point, axes, strict=True))) for point in coordinates.tolist())
    return _visited(landscape, places, len(coordinates))


def at_each(landscape: Landscape, weights: Sequence[Vector]) -> np.ndarray:
    """Every criterion at each of P `weights`, (L, P) float64; nan where a value is not finite."""
    return _visited(landscape, ((point, []) for point in weights), len(weights))


def _visited(
    landscape: Landscape, places: Iterable[tuple[Vector, list[tuple[float, Vector]]]], total: int
) -> np.ndarray:
    values = np.empty((len(landscape.criteria), total))
    with Mover(landscape.network) as mover:
        for done, (centre, steps) in enumerate(places):
            mover.to(centre, steps)
            values[:, done] = landscape.values()
    return values
