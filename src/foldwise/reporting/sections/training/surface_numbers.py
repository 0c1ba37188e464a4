"""Loss surfaces of a look: brought to one scale, summed up for tables, and packed for the page.

A page can carry surfaces as 16 bits a point, drawn by `templates/scripts/3-surfaces.js`. A value is packed on the common
scale of its criterion, as asinh(`FINE` * value), so that a point a thousand times above the trivial predictor costs the
neighbourhood of the solution no digits. Every surface has a range of its own. What is packed is how far each number is
from what its three neighbours foretell, high bytes first: smooth surfaces pack well.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.surfaces import LEVELS, RAMP
from foldwise.reporting.sections.training.looks import Look
from foldwise.reporting.wording import NOTHING, Cell, cell, count, difference, fit_name, number, plain

Floats = NDArray[np.float64]
LEAST_UNIT = 1e-6  # of the trivial predictor's value: below it, the solution is no better than that predictor
NEEDED = ("epochs", "alpha", "surface", "centre", "trivial", "line_alpha", "lines")
CURVATURES = {
    "top_eigenvalue": "highest eigenvalue",
    "lowest_eigenvalue": "lowest eigenvalue",
    "trace": "trace",
    "sam_sharpness": "SAM sharpness",
    "average_sharpness": "average sharpness",
}
FINE = 100.0
ABSENT = 65535  # a point that is no finite number
STEPS = ABSENT - 1


class Surfaces(Look):
    """The surfaces of one look: E epochs, L criteria, G x G points of a plane, P points of a line, D directions."""

    @property
    def titles(self) -> list[str]:
        """Of the criteria, as a reader calls them."""
        return [_title(criterion) for criterion in self.result["criteria"]]

    @property
    def chosen(self) -> int:
        """The place of the chosen epoch among those looked at."""
        return self.epochs.index(self.chosen_epoch)

    @cached_property
    def zero_L(self) -> Floats:
        """What the criteria are at the weights that training chose."""
        return np.asarray(self.arrays["centre"][self.chosen], dtype=np.float64)

    @cached_property
    def comparable_L(self) -> NDArray[np.bool_]:
        """Whether the trivial predictor is worse than the solution, so that there is a scale between the two."""
        trivial = np.asarray(self.arrays["trivial"], dtype=np.float64)
        return np.asarray(trivial - self.zero_L > LEAST_UNIT * np.maximum(np.abs(trivial), 1e-12))

    @cached_property
    def unit_L(self) -> Floats:
        """From the solution to the trivial predictor; where that is no better, the range of the chosen epoch's plane."""
        trivial = np.asarray(self.arrays["trivial"], dtype=np.float64)
        planes = np.asarray(self.arrays["surface"][self.chosen], dtype=np.float64)
        finite = [plane[np.isfinite(plane)] for plane in planes]
        # A flat plane has no range to divide by.
        ranges = np.array([(float(np.ptp(values)) if values.size else 0.0) or 1.0 for values in finite])
        return np.where(self.comparable_L, trivial - self.zero_L, ranges)

    def scaled(self, values: NDArray[Any], axis: int) -> Floats:
        """Values of the criteria, along `axis`, on the common scale: 0 is this solution, 1 the trivial predictor.

        Source: `(value - centre) / (trivial - centre)`; any positive rescaling or shift of a loss leaves it as it is.
        """
        shape = [1] * values.ndim
        shape[axis] = -1
        zero, unit = self.zero_L.reshape(shape), self.unit_L.reshape(shape)
        return np.asarray((values.astype(np.float64) - zero) / unit)


def _title(criterion: Mapping[str, Any]) -> str:
    """Its title; a name that has none, as words; and a true minus."""
    name, title = str(criterion["name"]), str(criterion.get("title") or criterion["name"])
    words = plain(name) if title == name else title
    return words[:1].upper() + words[1:].replace("- ", "− ", 1)


def surfaces_of(look: Look) -> Surfaces | None:
    """The surfaces of a look; None where a part is missing that every look has."""
    if set(NEEDED) - set(look.arrays) or look.result.get("chosen_epoch") not in look.epochs:
        return None
    return Surfaces(**vars(look))


def surface_rows(surfaces: Surfaces) -> list[dict[str, Any]]:
    """One row per epoch and criterion: its value at the centre, its mean rise nearby and farther, and the spread."""
    arrays = surfaces.arrays
    spread_EL = surfaces.result["direction_spread"]
    return [
        {
            "epoch": epoch,
            "chosen": e == surfaces.chosen,
            "title": title,
            "centre": brief_cell(arrays["centre"][e, k]),
            "rises": _rises(surfaces, e, k),
            "spread": brief_cell(spread_EL[e][k]),
            "missing": int((~np.isfinite(arrays["surface"][e, k])).sum()),
        }
        for e, epoch in enumerate(surfaces.epochs)
        for k, title in enumerate(surfaces.titles)
    ]


def _rises(surfaces: Surfaces, e: int, k: int) -> list[Cell]:
    """How far a plane rises within each distance; below it the same on the common scale, where there is one."""
    cells = []
    for value in map(number, surfaces.result["rises"][e][k]):
        scaled = value is not None and surfaces.comparable_L[k]
        cells.append(brief_cell(value, difference(value / surfaces.unit_L[k]) if scaled else ""))
    return cells


def path_rows(surfaces: Surfaces) -> list[dict[str, Any]]:
    """One row per checkpoint of the trajectory; none where it was not written."""
    arrays = surfaces.arrays
    if "path" not in arrays:
        return []
    return [
        {
            "epoch": int(epoch),
            "places": [brief_cell(value) for value in arrays["path"][c]],
            "residual": brief_cell(arrays["path_residual"][c]),
            "criteria": [
                (brief_cell(true), brief_cell(projected))
                for true, projected in zip(arrays["path_true"][c], arrays["path_projected"][c], strict=True)
            ],
        }
        for c, epoch in enumerate(arrays["path_epochs"])
    ]


def curvature_rows(surfaces: Surfaces) -> list[dict[str, Any]]:
    """One row per epoch of the scalars of curvature, in the order of `CURVATURES`."""
    return [
        {"epoch": int(record["epoch"]), "cells": [_curvature(record, name) for name in CURVATURES]}
        for record in surfaces.result.get("curvature", [])
    ]


def _curvature(record: Mapping[str, Any], name: str) -> Cell:
    note = ""
    if name == "trace" and number(record.get("trace_se")) is not None:
        note = f"± {brief(record['trace_se'])}"
    if name == "top_eigenvalue" and record.get("top_eigenvalue_converged") is False:
        note = "not converged"
    return brief_cell(record.get(name), note)


def barriers(surfaces: Surfaces) -> list[dict[str, Any]]:
    """Per other fit of the same configuration: which one, and the barrier of every criterion in its own units."""
    return [
        {"name": fit_name(record), "barrier": [brief_cell(value) for value in record["barrier"]]}
        for record in surfaces.result.get("between", [])
    ]


def brief_cell(value: Any, note: str = "") -> Cell:
    """A number for a table: three digits that count, and the whole of it for sorting."""
    exact = None if value is None else float(value)
    return cell(brief(exact), exact, note)


def brief(value: Any) -> str:
    """0.0123, 1.23, 12.3, 123, 1.2e+04 with a true minus; a dash for what is no finite number."""
    exact = number(value)
    # Adding 0 turns -0.0 into 0.0.
    return NOTHING if exact is None else f"{exact + 0.0:.3g}".replace("-", "−", 1 if exact < 0 else 0)


def missing_words(surfaces: Surfaces) -> str:
    """How many points of all planes are no finite number; empty for none."""
    absent = int((~np.isfinite(surfaces.arrays["surface"])).sum())
    nouns = "point of the planes is no finite number", "points of the planes are no finite numbers"
    return count(absent, *nouns) if absent else ""


def embedded(looks: Sequence[Surfaces]) -> dict[str, Any]:
    """What the script draws: colours, levels, and every look with its packed surfaces."""
    return {"ramp": RAMP, "levels": LEVELS, "fine": FINE, "looks": [_look(surfaces) for surfaces in looks]}


def _look(surfaces: Surfaces) -> dict[str, Any]:
    scaled_ELGG = surfaces.scaled(np.asarray(surfaces.arrays["surface"]), axis=1)
    ranges, data = packed(scaled_ELGG)
    trained = surfaces.result.get("trained_with")
    return {
        "name": surfaces.name,
        "criteria": surfaces.titles,
        "trained": None if trained is None else int(trained),
        "epochs": surfaces.epochs,
        "chosen": surfaces.chosen,
        "points": len(surfaces.arrays["alpha"]),
        "zero": _short(surfaces.zero_L),
        "unit": _short(surfaces.unit_L),
        "comparable": [bool(comparable) for comparable in surfaces.comparable_L],
        "centre": [_short(row) for row in np.asarray(surfaces.arrays["centre"], dtype=np.float64)],
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
    # 16 bits hold a value to 0.05 %, and 41 x 41 points of 20 epochs and 4 criteria stay below 300 kB; both are tested.
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
    # Small numbers of either sign become small numbers.
    folded = ((off << 1) ^ (off >> 15)).view(np.uint16)
    planes = np.concatenate([(folded >> 8).ravel(), (folded & 255).ravel()]).astype(np.uint8)
    ranges = np.stack([low, high], axis=1).ravel()
    data = b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")
    return [round(float(end), 5) for end in ranges], data
