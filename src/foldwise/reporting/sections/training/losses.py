"""Losses by epoch in two panels, training and validation; and losses as functions of one pixel's probability."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.series import HUES, LOSS_TITLES, Series, epoch_panel, panel, span_of
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training.epochs import Fit, loss_name, trained_fits
from foldwise.reporting.wording import number
from foldwise.sealed_arrays import Arrays

LOG_BEYOND = 20.0  # times the lowest loss, before the axis of the losses is logarithmic
# Times the lowest loss, where the axis ends: a fit that ran away would flatten all the others.
MAX_TIMES = 1000.0
HIGHEST_LOSS = 5.0  # of the curves; at a probability of 0 they go on for ever
MAX_LINES = 150  # fits in a panel; of more the page would be long in coming, and nothing could be seen
CURVE = "loss_curve.npz"
Curve = Mapping[str, NDArray[Any]]


def panels_section(data: ReportData) -> dict[str, Any] | None:
    """For every loss one pair of panels with all folds: training to the left, inner validation to the right.

    Only configurations with one loss share a pair, as values of different losses cannot be compared.
    """
    fits: dict[str, list[Fit]] = {}
    for result in data.configurations:
        if own := trained_fits(data, result.id):
            fits.setdefault(loss_name(data, result.id), []).extend(own)
    pairs = [_pair(data, loss, own) for loss, own in fits.items()]
    return {"pairs": pairs} if pairs else None


def _pair(data: ReportData, loss: str, fits: list[Fit]) -> dict[str, Any]:
    names = _few(_colours(data, fits), fits)
    hues = {name: hue for hue, name in enumerate(dict.fromkeys(names.values()))}
    left_out = len({fit["configuration"] for fit in fits} - names.keys())
    fits = [fit for fit in fits if fit["configuration"] in names]
    y, beyond = _loss_scale(fits)
    last = max(len(fit["epochs"]) for fit in fits)
    drawings = []
    for key, title in LOSS_TITLES.items():
        owners = ((fit, names[fit["configuration"]], str(fit["configuration"])) for fit in fits)
        lines = [
            Series(_points(fit, key), hues[name], name, thin=True, configuration=configuration)
            for fit, name, configuration in owners
        ]
        drawings.append(epoch_panel(f"{title}, {loss}", lines, y=y, y_title=title, last=last))
    key_of = [(hue, name) for name, hue in hues.items()]
    return {"loss": loss, "drawings": drawings, "key_of": key_of, "left_out": left_out, "beyond": beyond}


def _loss_scale(fits: list[Fit]) -> tuple[Scale, bool]:
    """One scale for training and validation, and whether some losses lie beyond it."""
    values = [value for fit in fits for key in LOSS_TITLES for _, value in _points(fit, key)]
    lowest = min((value for value in values if value > 0), default=0.0)
    beyond = lowest > 0 and max(values) > MAX_TIMES * lowest
    if beyond:
        values = [min(value, MAX_TIMES * lowest) for value in values]
    return span_of(values, log_beyond=LOG_BEYOND), beyond


def _few(names: Mapping[str, str], fits: list[Fit]) -> dict[str, str]:
    """The best configurations, as many as have `MAX_LINES` fits together, and the best of every colour."""
    num_fits = Counter(str(fit["configuration"]) for fit in fits)
    few: dict[str, str] = {}
    lines = 0
    for configuration, name in names.items():
        if lines + num_fits[configuration] <= MAX_LINES or name not in few.values():
            few[configuration] = name
            lines += num_fits[configuration]
    return few


def _points(fit: Fit, key: str) -> list[tuple[float, float]]:
    values = [(float(epoch["epoch"]), number(epoch.get(key))) for epoch in fit["epochs"]]
    return [(epoch, value) for epoch, value in values if value is not None]


def _colours(data: ReportData, fits: list[Fit]) -> dict[str, str]:
    """By configuration, what its colour stands for.

    Its model where models are compared, of many sizes the kind of it; else itself, and only the best few are drawn.
    """
    ids = list(dict.fromkeys(str(fit["configuration"]) for fit in fits))
    models = {name: data.trainings[name].model for name in ids if name in data.trainings}
    for names in (
        {configuration: str(model) for configuration, model in models.items()},
        {configuration: model.name for configuration, model in models.items()},
    ):
        if len(names) == len(ids) and 1 < len(set(names.values())) <= HUES:
            return names
    return {configuration: data.names[configuration] for configuration in ids[:HUES]}


def curves_section(data: ReportData) -> dict[str, Any] | None:
    """Loss and slope against the probability of the true class; None unless losses are compared."""
    curves: dict[str, Curve | None] = {}
    for configuration, folders in data.folders.items():
        name = loss_name(data, configuration)
        if folders and name not in curves:
            # All fits with one loss write the same curve.
            curves[name] = _written_curve(folders[0] / CURVE)
    drawn = _merged({name: curve for name, curve in curves.items() if curve is not None})
    if len(curves) < 2 or not drawn:
        return None
    return {
        "curves": {
            "drawings": _curve_panels(drawn, "pixel" if data.segmentation else "image"),
            "key_of": list(enumerate(drawn)),
            "left_out": [name for name, curve in curves.items() if curve is None],
        }
    }


def _written_curve(path: Path) -> Curve | None:
    """``p``, ``loss`` and ``slope`` of a fit; None where its loss has no curve."""
    if not path.is_file():
        return None
    with Arrays(path) as arrays:
        return dict(arrays)


def _merged(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Losses with one curve, as those that differ in class weights alone, are one line with all their names."""
    alike: list[list[str]] = []
    for name, curve in curves.items():
        # Formulas that are equal differ in the last bits: they were computed in 32 bits.
        same = (names for names in alike if np.allclose(curves[names[0]]["loss"], curve["loss"], atol=1e-4))
        names = next(same, None)
        if names is None:
            alike.append([name])
        else:
            names.append(name)
    return {", ".join(names): curves[names[0]] for names in alike}


def _curve_panels(curves: Mapping[str, Curve], what: str) -> list[Any]:
    steepest = max(float(curve["slope"].max()) for curve in curves.values())
    panels = []
    for kind, title, highest in (
        ("loss", f"loss of one {what}", HIGHEST_LOSS),
        ("slope", "slope by the logit", 1.05 * steepest),
    ):
        lines = [
            # A curve that leaves the panel ends there; drawn along the edge it would look like a value.
            Series(
                [(float(p), float(v)) for p, v in zip(curve["p"], curve[kind], strict=True) if v <= highest],
                hue,
                name,
            )
            for hue, (name, curve) in enumerate(curves.items())
        ]
        panels.append(
            panel(
                title,
                lines,
                x=Scale(0, 1),
                y=Scale(0, highest),
                x_title="probability of the true class →",
                y_title=title,
            )
        )
    return panels
