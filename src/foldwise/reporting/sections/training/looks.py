"""Looks inside training, as steps left them: which fit, the arrays of one of their files, and where a network looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from foldwise.reporting.drawing import pictures
from foldwise.reporting.drawing.series import HUES, Series, epoch_panel
from foldwise.reporting.drawing.svg import Scale, drawing, element, text
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import fit_name, percent
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.sealed_arrays import read_arrays

MAX_LOOKS = 4  # with layers, and with activation maps; those of more would make the page heavy
Arrays = Mapping[str, NDArray[Any]]
PICTURE_PX = 160
MAP_PX = 40  # a feature map is coarse, and the page smooths it
STRONGEST = 0.82  # how much of the colour lies over the image where the map is 1


@dataclass(frozen=True)
class Look:
    """One fit that was looked into.

    Attributes:
        name, configuration: how its configuration is called, and its id.
        result: its result.json.
        arrays: the content of a file; all of them have ``epochs``.
    """

    name: str
    configuration: str
    result: Mapping[str, Any]
    arrays: Arrays

    @property
    def epochs(self) -> list[int]:
        """That were looked at, rising; 0 is before training."""
        return [int(epoch) for epoch in self.arrays["epochs"]]

    @property
    def chosen_epoch(self) -> int:
        """The epoch whose weights were kept."""
        return int(self.result["chosen_epoch"])

    @property
    def fit(self) -> str:
        """Its fold; and its repeat, but for the first one."""
        return fit_name(self.result).removeprefix("repeat 1, ")


def done_looks(data: ReportData) -> list[AuxiliaryItem]:
    """Those that are done, the best configuration first."""
    ranks = {result.id: rank for rank, result in enumerate(data.configurations)}
    items = [
        item
        for item in data.auxiliary
        if item.kind == "landscape" and item.done and item.result.get("configuration") in ranks
    ]
    return sorted(
        items,
        key=lambda item: (ranks[item.result["configuration"]], item.result["repeat"], item.result["fold"]),
    )


def read_look(item: AuxiliaryItem, file: str, name: str) -> Look | None:
    """The arrays of one file of a look; None where it left no such file."""
    path = item.path / file
    if not path.exists():
        return None
    return Look(name, str(item.result["configuration"]), item.result, read_arrays(path))


def read_looks(data: ReportData, file: str) -> list[Look]:
    """Every look that has the file."""
    read = [read_look(item, file, data.names[item.result["configuration"]]) for item in done_looks(data)]
    return [look for look in read if look is not None]


def attention_section(data: ReportData) -> dict[str, Any] | None:
    """A block for every fit with activation maps, or the reason why it has none; None without any look."""
    if data.segmentation:
        return None
    looks = [] if data.images is None else read_looks(data, "attention.npz")[:MAX_LOOKS]
    blocks = [block for look in looks if (block := _block(data, look))["rows"]]
    # Some networks have no map, by how they are made; a reader is told why, and does not look for them.
    reasons = {item.result.get("attention_absent") for item in done_looks(data)} - {None, ""}
    if not blocks and not reasons:
        return None
    return {"attention": {"blocks": blocks, "absent": sorted(map(str, reasons)), "bar": _bar()}}


def _block(data: ReportData, look: Look) -> dict[str, Any]:
    cases = [int(case) for case in look.arrays["cases"]]
    rows = [_row(data, look, case, row) for row, case in enumerate(cases) if case < len(data.cases)]
    sizes = sorted({look.arrays[str(case)].shape[1:] for case in cases})
    return {
        "name": look.name,
        "fit": look.fit,
        "rows": rows,
        "drawing": _certainty(look, rows),
        "places": " or ".join(f"{height} × {width}" for height, width in sizes),
    }


def _row(data: ReportData, look: Look, case: int, row: int) -> dict[str, Any]:
    """One image: its picture, and at every epoch the map over it and the probability of the target."""
    assert data.images is not None
    picture = pictures.displayed(data.images.image(case))
    target = int(look.arrays["target"][row])
    p_EK = np.asarray(look.arrays["p"][:, row], dtype=np.float64)
    maps_EHW = np.asarray(look.arrays[str(case)], dtype=np.float64)
    height, width = (int(side) for side in picture.shape[:2])
    cells = [
        {
            "source": overlay_uri(map_HW),
            "epoch": epoch,
            "chosen": epoch == look.chosen_epoch,
            # ReLU leaves nothing where all evidence speaks against the class; an empty picture would look like a fault.
            "empty": not np.nan_to_num(map_HW).any(),
            "share": percent(float(p_K[target])),
            "wrong": _wrong_answer(data, p_K, target),
        }
        for epoch, map_HW, p_K in zip(look.epochs, maps_EHW, p_EK, strict=True)
    ]
    return {
        "name": data.cases[case].name,
        "target": data.classes[target],
        "picture": pictures.data_uri(picture, longest_px=PICTURE_PX),
        # Without its own colours, which those of the map would mix with.
        "grey": pictures.data_uri(pictures.grey(picture), longest_px=PICTURE_PX),
        "shape": f"{width} / {height}",
        "cells": cells,
        "line": [float(p) for p in p_EK[:, target]],
    }


def _wrong_answer(data: ReportData, p_K: NDArray[np.float64], target: int) -> str:
    """What is predicted instead of the target; empty where the target is predicted."""
    if data.multilabel:
        return "" if p_K[target] >= 0.5 else f"not {data.classes[target]}"
    likeliest = int(p_K.argmax())
    return "" if likeliest == target else data.classes[likeliest]


def overlay_uri(map_HW: NDArray[np.float64]) -> str:
    """A map from 0 to 1 as a small PNG: the larger, the brighter and the less transparent; nan and 0 are clear."""
    coarse = np.nan_to_num(pictures.smaller(map_HW, MAP_PX)).clip(0, 1)
    levels = np.linspace(0, 1, pictures.NUM_COLOURS)
    channels = [np.interp(coarse, levels, [colour[c] for colour in pictures.ramp()]) for c in range(3)]
    pixels = np.stack([*channels, 255 * STRONGEST * coarse], axis=-1)
    return pictures.stored_uri(Image.fromarray((pixels + 0.5).astype(np.uint8), "RGBA"), "png", optimize=True)


def _bar() -> Markup:
    """The colours of the maps over a middle grey."""
    width, left, top = 280.0, 2.0, 4.0
    parts = [element("rect", x=left, y=top, width=width, height=12, fill="#808080")]
    parts += pictures.swatches(left, top, width, strongest=STRONGEST)
    parts.append(text("0: nothing speaks for it", left, top + 25))
    parts.append(text("1: the most in its image", left + width, top + 25, anchor="end"))
    return drawing(*parts, width=left * 2 + width, height=34, title="colours of the activation maps")


def _certainty(look: Look, rows: list[dict[str, Any]]) -> Markup:
    """The probability of the target by epoch, a line for every image."""
    lines = [
        Series(list(zip(look.epochs, row["line"], strict=True)), hue % HUES, row["name"])
        for hue, row in enumerate(rows)
    ]
    title, y_title = f"probability of the true class by epoch, {look.name}", "↑ probability of the truth"
    return epoch_panel(title, lines, y=Scale(0.0, 1.0), y_title=y_title, last=look.epochs[-1], first=0)
