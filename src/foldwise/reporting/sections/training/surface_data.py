"""Surfaces as a page can carry them: 16 bits a point, packed, and drawn by `templates/scripts/3-surfaces.js`.

A value is held on the common scale of its criterion, as asinh(`FINE` * value), so that a point a thousand times above
the trivial predictor costs the neighbourhood of the solution no digits. Every surface has a range of its own. What is
packed is how far each number is from what its three neighbours foretell, high bytes first: smooth surfaces pack well.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.surfaces import LEVELS, RAMP
from foldwise.reporting.sections.training.surface_numbers import Floats, Look

FINE = 100.0
ABSENT = 65535  # a point that is no finite number
STEPS = ABSENT - 1


def embedded(looks: Sequence[Look]) -> dict[str, Any]:
    """What the script draws: colours, levels, and every look with its packed surfaces."""
    return {"ramp": RAMP, "levels": LEVELS, "fine": FINE, "looks": [_look(one) for one in looks]}


def _look(look: Look) -> dict[str, Any]:
    scaled_ELGG = look.scaled(np.asarray(look.arrays["surface"]), axis=1)
    ranges, data = packed(scaled_ELGG)
    trained = look.result.get("trained_with")
    return {
        "name": look.name,
        "criteria": look.titles,
        "trained": None if trained is None else int(trained),
        "epochs": look.epochs,
        "chosen": look.chosen,
        "points": len(look.arrays["alpha"]),
        "zero": _short(look.zero_L),
        "unit": _short(look.unit_L),
        "comparable": [bool(one) for one in look.comparable_L],
        "centre": [_short(row) for row in np.asarray(look.arrays["centre"], dtype=np.float64)],
        "ranges": ranges,
        "data": data,
    }


def _short(values: Floats) -> list[float | None]:
    """Six digits that count; null for what is not finite, which JSON has no word for."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]


def packed(values_NGG: NDArray[Any]) -> tuple[list[float], str]:
    """Surfaces (..., G, G) in 16 bits a point.

    Returns:
        lowest and highest warped value of every surface, one after the other; and the packed bytes in base 64.
    """
    warped = np.arcsinh(FINE * values_NGG.reshape(-1, *values_NGG.shape[-2:]))
    finite = np.isfinite(warped)
    low = np.where(finite, warped, np.inf).min(axis=(1, 2))
    high = np.where(finite, warped, -np.inf).max(axis=(1, 2))
    low, high = (np.where(np.isfinite(end), end, 0.0).astype(np.float32) for end in (low, high))
    span = np.where(high > low, high - low, 1.0)[:, None, None]
    steps = np.clip(np.rint((np.where(finite, warped, 0) - low[:, None, None]) / span * STEPS), 0, STEPS)
    levels = np.where(finite, steps, ABSENT).astype(np.uint16)
    zero = np.uint16(0)
    off = np.diff(np.diff(levels, axis=2, prepend=zero), axis=1, prepend=zero).view(np.int16)
    folded = ((off << 1) ^ (off >> 15)).view(np.uint16)  # small numbers of either sign become small numbers
    planes = np.concatenate([(folded >> 8).ravel(), (folded & 255).ravel()]).astype(np.uint8)
    ranges = np.stack([low, high], axis=1).ravel()
    data = b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")
    return [round(float(end), 5) for end in ranges], data
