"""Curves with as many points as a drawing shows, so that the page stays small."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CURVE_POINTS = 80
Curve = Mapping[str, Any]


def thinned(curve: Curve) -> dict[str, Any]:
    """The curve with at most `CURVE_POINTS` points a line, evenly along its length."""
    return {
        **curve,
        "folds": [_thin(points) for points in curve["folds"]],
        "mean": _thin(curve["mean"]) if curve.get("mean") is not None else None,
    }


def held(curve: Curve) -> Curve:
    """Precision-recall lines from their first point with a recall above 0, and level from there to recall 0.

    Thresholds so high that nothing true is found have a precision of 0, which drew a stroke along the axis.
    """
    mean = curve.get("mean")
    return {
        **curve,
        "folds": [_level(points) for points in curve["folds"]],
        "mean": _level(mean) if mean is not None else None,
    }


def _level(points: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    recall, precision = np.asarray(points[0], dtype=float), np.asarray(points[1], dtype=float)
    found = recall > 0
    if not found.any():
        return recall, precision
    recall, precision = recall[found], precision[found]
    return np.concatenate([[0.0], recall]), np.concatenate([precision[:1], precision])


def _thin(points: Sequence[Any]) -> tuple[list[float], list[float]]:
    x, y = np.asarray(points[0], dtype=float), np.asarray(points[1], dtype=float)
    if len(x) > CURVE_POINTS:
        travelled = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        places = np.unique(
            np.searchsorted(travelled, np.linspace(0, travelled[-1], CURVE_POINTS)).clip(0, len(x) - 1)
        )
        x, y = x[places], y[places]
    return [round(float(value), 4) for value in x], [round(float(value), 4) for value in y]
