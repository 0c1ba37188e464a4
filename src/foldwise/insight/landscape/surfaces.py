"""Loss surfaces: every criterion along lines and over planes through the weights of a network.

A surface is a cross-section at one place in the directions chosen, and no more: it shows neither that there is no
other minimum nor the way the optimiser took. All of these leave the network as they found it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from foldwise.insight.landscape.directions import Mover, Vector, placed
from foldwise.insight.landscape.points import Landscape

Tell = Callable[[int, int], None]  # points done, points in all


def _nobody(done: int, total: int) -> None:
    """Hears of nothing."""


def plane(
    landscape: Landscape,
    centre: Vector,
    axes: tuple[Vector, Vector],
    steps: tuple[np.ndarray, np.ndarray],
    *,
    tell: Tell = _nobody,
) -> np.ndarray:
    """Every criterion over a plane, (L, Y, X) float64: [:, i, j] is at centre + x[j] * axes[0] + y[i] * axes[1].

    Args:
        landscape: what is asked at every point.
        centre: the weights at (0, 0), on any device.
        axes: two directions; see `directions.filter_normalised`.
        steps: x (X,) and y (Y,).
        tell: is called after every point.

    Returns:
        nan where a value is not finite.
    """
    x, y = steps
    grid = np.stack(np.meshgrid(x, y), axis=-1)  # (Y, X, 2)
    values = scattered(landscape, centre, axes, grid.reshape(-1, 2), tell=tell)
    return values.reshape(len(values), len(y), len(x))


def line(
    landscape: Landscape, centre: Vector, direction: Vector, steps: np.ndarray, *, tell: Tell = _nobody
) -> np.ndarray:
    """Every criterion at centre + step * direction, (L, P) float64 for P steps; nan where a value is not finite.

    With `directions.difference(end, start)` from `start`, it is the straight line between two networks.
    """
    return scattered(landscape, centre, (direction,), steps[:, None], tell=tell)


def scattered(
    landscape: Landscape,
    centre: Vector,
    axes: Sequence[Vector],
    coordinates: np.ndarray,
    *,
    tell: Tell = _nobody,
) -> np.ndarray:
    """Every criterion at points of a plane, (L, P) float64; nan where a value is not finite.

    Args:
        landscape: what is asked at every point.
        centre: the weights at the origin, on any device.
        axes: A directions.
        coordinates: (P, A).
        tell: is called after every point.
    """
    centre, axes = placed(centre, landscape.network), [placed(axis, landscape.network) for axis in axes]
    places = ((centre, list(zip(point, axes, strict=True))) for point in coordinates.tolist())
    return _visited(landscape, places, len(coordinates), tell)


def at_each(landscape: Landscape, weights: Sequence[Vector], *, tell: Tell = _nobody) -> np.ndarray:
    """Every criterion at each of P `weights`, (L, P) float64; nan where a value is not finite."""
    return _visited(landscape, ((one, []) for one in weights), len(weights), tell)


def _visited(
    landscape: Landscape,
    places: Iterable[tuple[Vector, list[tuple[float, Vector]]]],
    total: int,
    tell: Tell,
) -> np.ndarray:
    values = np.empty((len(landscape.criteria), total))
    with Mover(landscape.network) as mover:
        for done, (centre, steps) in enumerate(places):
            mover.to(centre, steps)
            values[:, done] = landscape.values()
            tell(done + 1, total)
    return values
