"""Where a classifying network looks: class activation maps over a few images, through training."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from foldwise.reporting.drawing.heat import LEVELS, ramp, smaller, swatches
from foldwise.reporting.drawing.pictures import data_uri, displayed, grey
from foldwise.reporting.drawing.series import HUES, Series, panel
from foldwise.reporting.drawing.svg import Scale, drawing, element, text
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training.layers import MAX_LOOKS, read_looks
from foldwise.reporting.wording import percent

PICTURE_PX = 160
MAP_PX = 40  # a feature map is coarse, and the page smooths it
STRONGEST = 0.82  # how much of the colour lies over the image where the map is 1


def section(data: ReportData) -> dict[str, Any] | None:
    """A block for every fit with activation maps, or the reason why it has none; None without any look."""
    if data.segmentation:
        return None
    blocks = (
        []
        if data.images is None
        else [_block(data, *held) for held in read_looks(data, "attention.npz")[:MAX_LOOKS]]
    )
    blocks = [one for one in blocks if one["rows"]]
    absent = sorted(
        {
            str(one.result["attention_absent"])
            for one in data.auxiliary
            if one.kind == "landscape" and one.done and one.result.get("attention_absent")
        }
    )
    if not blocks and not absent:
        return None
    return {"attention": {"blocks": blocks, "absent": absent, "bar": _bar()}}


def _block(
    data: ReportData, about: tuple[str, str, int], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    name, fit, chosen = about
    epochs = [int(epoch) for epoch in arrays["epochs"]]
    cases = [int(case) for case in arrays["cases"]]
    rows = [
        _row(data, case, place, epochs, chosen, arrays)
        for place, case in enumerate(cases)
        if case < len(data.cases)
    ]
    places = sorted({arrays[str(case)].shape[1:] for case in cases})
    return {
        "name": name,
        "fit": fit,
        "rows": rows,
        "drawing": _sureness(name, rows, epochs),
        "places": " or ".join(f"{height} × {width}" for height, width in places),
    }


def _row(
    data: ReportData,
    case: int,
    place: int,
    epochs: list[int],
    chosen: int,
    arrays: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    """One image: its picture, and at every epoch the map over it and the probability of the target."""
    assert data.images is not None
    picture = displayed(data.images.image(case))
    target = int(arrays["target"][place])
    p_EK = np.asarray(arrays["p"][:, place], dtype=np.float64)
    maps_EHW = np.asarray(arrays[str(case)], dtype=np.float64)
    height, width = (int(side) for side in picture.shape[:2])
    cells = [
        {
            "source": overlay_uri(map_HW),
            "epoch": epoch,
            "chosen": epoch == chosen,
            "empty": not np.nan_to_num(map_HW).any(),
            "share": percent(float(p_K[target])),
            "said": _said(data, p_K, target),
        }
        for epoch, map_HW, p_K in zip(epochs, maps_EHW, p_EK, strict=True)
    ]
    return {
        "name": data.cases[case].name,
        "target": data.classes[target],
        "picture": data_uri(picture, longest_px=PICTURE_PX),
        "grey": data_uri(grey(picture), longest_px=PICTURE_PX),
        "shape": f"{width} / {height}",
        "cells": cells,
        "line": [float(p) for p in p_EK[:, target]],
    }


def _said(data: ReportData, p_K: NDArray[np.float64], target: int) -> str:
    """What is said instead of the target; empty where the target is said."""
    if data.multilabel:
        return "" if p_K[target] >= 0.5 else f"not {data.classes[target]}"
    likeliest = int(p_K.argmax())
    return "" if likeliest == target else data.classes[likeliest]


def overlay_uri(map_HW: NDArray[np.float64]) -> str:
    """A map from 0 to 1 as a small PNG: the larger, the brighter and the less transparent; nan and 0 are clear."""
    coarse = np.nan_to_num(smaller(map_HW, MAP_PX)).clip(0, 1)
    places = np.linspace(0, 1, LEVELS)
    channels = [np.interp(coarse, places, [colour[c] for colour in ramp()]) for c in range(3)]
    pixels = np.stack([*channels, 255 * STRONGEST * coarse], axis=-1)
    stored = BytesIO()
    Image.fromarray((pixels + 0.5).astype(np.uint8), "RGBA").save(stored, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(stored.getvalue()).decode("ascii")


def _bar() -> Markup:
    """The colours of the maps over a middle grey."""
    width, left, top = 280.0, 2.0, 4.0
    parts = [element("rect", x=left, y=top, width=width, height=12, fill="#808080")]
    parts += swatches(left, top, width, strongest=STRONGEST)
    parts.append(text("0: nothing speaks for it", left, top + 25))
    parts.append(text("1: the most in its image", left + width, top + 25, anchor="end"))
    return drawing(*parts, width=left * 2 + width, height=34, title="colours of the activation maps")


def _sureness(name: str, rows: list[dict[str, Any]], epochs: list[int]) -> Markup:
    """The probability of the target by epoch, a line for every image."""
    lines = [
        Series(list(zip(epochs, row["line"], strict=True)), hue % HUES, row["name"])
        for hue, row in enumerate(rows)
    ]
    x = Scale(0, max(epochs[-1], 1), whole=True)
    title = f"probability of the true class by epoch, {name}"
    return panel(
        title, lines, x=x, y=Scale(0.0, 1.0), x_title="epoch →", y_title="↑ probability of the truth"
    )
