"""The numbers of a look inside training: read from its folder, brought to one scale, and summed up for tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.wording import NOTHING, count, difference, number, plain
from foldwise.run.auxiliary_results import AuxiliaryItem

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
WITHIN = (0.25, 0.5, 1.0)  # distances from the centre of a plane
LEAST_UNIT = 1e-6  # of the trivial predictor's value: below it, the solution is no better than that predictor
NEEDED = ("epochs", "alpha", "surface", "centre", "trivial", "line_alpha", "lines")


@dataclass(frozen=True)
class Look:
    """One fit that was looked into.

    Attributes:
        name, configuration: how its configuration is called, and its id.
        result: its result.json.
        arrays: its surfaces.npz; E epochs, L criteria, G x G points of a plane, P points of a line, D directions.
    """

    name: str
    configuration: str
    result: Mapping[str, Any]
    arrays: Arrays

    @property
    def titles(self) -> list[str]:
        """Of the criteria, as a reader calls them."""
        return [_title(one) for one in self.result["criteria"]]

    @property
    def epochs(self) -> list[int]:
        """That were looked at, rising; 0 is before training."""
        return [int(epoch) for epoch in self.arrays["epochs"]]

    @property
    def chosen(self) -> int:
        """The place of the chosen epoch among those looked at."""
        return self.epochs.index(int(self.result["chosen_epoch"]))

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
        ranges = np.array([_reach(plane) for plane in planes])
        return np.where(self.comparable_L, trivial - self.zero_L, ranges)

    def scaled(self, values: NDArray[Any], axis: int) -> Floats:
        """Values of the criteria, along `axis`, on the common scale: 0 is this solution, 1 the trivial predictor.

        Source: `(value - centre) / (trivial - centre)`; any positive rescaling or shift of a loss leaves it as it is.
        """
        shape = [1] * values.ndim
        shape[axis] = -1
        return np.asarray(
            (values.astype(np.float64) - self.zero_L.reshape(shape)) / self.unit_L.reshape(shape)
        )


def _title(criterion: Mapping[str, Any]) -> str:
    """Its title; a name that has none, as words; and a true minus."""
    name, title = str(criterion["name"]), str(criterion.get("title") or criterion["name"])
    words = plain(name) if title == name else title
    return words[:1].upper() + words[1:].replace("- ", "− ", 1)


def _reach(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) or 1.0 if finite.size else 1.0


def read_look(item: AuxiliaryItem, name: str) -> Look | None:
    """The look of an item that is done; None where its file is gone, damaged, or lacks what every look has."""
    try:
        with np.load(item.path / "surfaces.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, BadZipFile):
        return None
    epochs = arrays.get("epochs", np.zeros(0)).tolist()
    if set(NEEDED) - set(arrays) or item.result.get("chosen_epoch") not in epochs:
        return None
    return Look(name, str(item.result["configuration"]), item.result, arrays)


def rise(alpha: NDArray[Any], plane_GG: NDArray[Any], centre: float, within: float) -> tuple[float, int]:
    """How far the mean over the points of a plane that lie within a distance is above its centre.

    Returns:
        the rise, nan where no point is finite; and how many points there were left out because they are not.
    """
    near = np.hypot(alpha[None, :], alpha[:, None]) <= within + 1e-6
    values = plane_GG[near].astype(np.float64)
    finite = np.isfinite(values)
    return (float(values[finite].mean()) - centre if finite.any() else float("nan")), int((~finite).sum())


def surface_rows(look: Look) -> list[dict[str, Any]]:
    """One row per epoch and criterion: its value at the centre, its mean rise nearby and farther, and the spread."""
    arrays, rows = look.arrays, []
    spread_EL = np.asarray(look.result.get("direction_spread", []), dtype=np.float64)
    for e, epoch in enumerate(look.epochs):
        for place, title in enumerate(look.titles):
            centre = float(arrays["centre"][e, place])
            rises = [rise(arrays["alpha"], arrays["surface"][e, place], centre, end) for end in WITHIN]
            missing = int((~np.isfinite(arrays["surface"][e, place])).sum())
            rows.append(
                {
                    "epoch": epoch,
                    "chosen": e == look.chosen,
                    "title": title,
                    "centre": cell(centre),
                    "rises": [cell(value, note=_relative(look, value, place)) for value, _ in rises],
                    "spread": cell(float(spread_EL[e, place]) if spread_EL.size else None),
                    "missing": missing,
                }
            )
    return rows


def _relative(look: Look, value: float, place: int) -> str:
    """A rise on the common scale, for the small line below it."""
    if not look.comparable_L[place] or not np.isfinite(value):
        return ""
    return difference(value / look.unit_L[place])


def path_rows(look: Look) -> list[dict[str, Any]]:
    """One row per checkpoint of the trajectory; none where it was not kept."""
    arrays = look.arrays
    if "path" not in arrays:
        return []
    return [
        {
            "epoch": int(epoch),
            "places": [cell(float(value)) for value in arrays["path"][c]],
            "residual": cell(float(arrays["path_residual"][c])),
            "criteria": [
                (cell(float(true)), cell(float(projected)))
                for true, projected in zip(arrays["path_true"][c], arrays["path_projected"][c], strict=True)
            ],
        }
        for c, epoch in enumerate(arrays["path_epochs"])
    ]


CURVATURES = (
    ("top_eigenvalue", "highest eigenvalue"),
    ("lowest_eigenvalue", "lowest eigenvalue"),
    ("trace", "trace"),
    ("sam_sharpness", "SAM sharpness"),
    ("average_sharpness", "average sharpness"),
)


def curvature_rows(look: Look) -> list[dict[str, Any]]:
    """One row per epoch of the scalars of curvature, in the order of `CURVATURES`."""
    return [
        {"epoch": int(one["epoch"]), "cells": [_curvature(one, name) for name, _ in CURVATURES]}
        for one in look.result.get("curvature", [])
    ]


def _curvature(one: Mapping[str, Any], name: str) -> dict[str, Any]:
    note = ""
    if name == "trace" and number(one.get("trace_se")) is not None:
        note = f"± {brief(one['trace_se'])}"
    if name == "top_eigenvalue" and one.get("top_eigenvalue_converged") is False:
        note = "not converged"
    return cell(number(one.get(name)), note=note)


def barriers(look: Look) -> list[dict[str, Any]]:
    """Per other fit of the same configuration: which one, and the barrier of every criterion in its own units."""
    return [
        {
            "name": fit_name(one),
            "barrier": [cell(number(value)) for value in one["barrier"]],
        }
        for one in look.result.get("between", [])
    ]


def fit_name(one: Mapping[str, Any]) -> str:
    """Repeat and fold as they are counted everywhere: from 1."""
    return f"repeat {int(one['repeat']) + 1}, fold {int(one['fold']) + 1}"


def cell(value: float | None, *, note: str = "") -> dict[str, Any]:
    """A number for a table: three digits that count, and the whole of it for sorting."""
    known = number(value)
    return {"value": known, "shown": brief(known), "note": note}


def brief(value: Any) -> str:
    """0.0123, 1.23, 12.3, 123, 1.2e+04 with a true minus; a dash for what is no finite number."""
    known = number(value)
    return NOTHING if known is None else f"{known + 0.0:.3g}".replace("-", "−", 1 if known < 0 else 0)


def missing_words(look: Look) -> str:
    """How many points of all planes are no finite number; empty for none."""
    absent = int((~np.isfinite(look.arrays["surface"])).sum())
    told = "is no finite number" if absent == 1 else "are no finite numbers"
    return f"{count(absent, 'point')} of the planes {told}" if absent else ""
