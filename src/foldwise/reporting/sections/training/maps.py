"""Maps of a few images through training: prediction, errors, doubt, disagreement, and what a pixel adds to each loss.

The images are of the inner validation, so nobody gets to know the test images by looking here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.heat import (
    HeatScale,
    classes_uri,
    errors_uri,
    heat_uri,
    picked,
    scale_bar,
    smaller,
)
from foldwise.reporting.drawing.pictures import data_uri, displayed
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.disagreement import most_possible, through_training
from foldwise.reporting.sections.images.gallery import legend
from foldwise.reporting.sections.training.epochs import loss_name
from foldwise.reporting.sections.training.pixel_losses import PixelLoss, loss_map, pixel_loss
from foldwise.reporting.wording import percent
from foldwise.study.automatic import stated_loss
from foldwise.study.spec import IGNORE

MAX_ROWS = 4  # configurations; of compared losses, the best of each, as many as there are losses
MAX_LOSSES = 9
MAX_COMPARED = 40  # configurations whose disagreement is drawn
MAX_BYTES = 1_000_000
# Images, and the longer side of their pictures in pixels: one that shows thin things before two that do not.
SIZES = ((2, 128), (1, 128), (2, 96), (1, 96), (1, 72), (1, 48))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """One network at one epoch at one image: probabilities (K, h, w), and the truth (h, w)."""

    epoch: int
    chosen: bool
    p_KHW: Floats
    true_HW: NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """A configuration with its looks by image, early to late, and the pixels of each class it was trained on."""

    name: str
    looks: Mapping[int, tuple[Look, ...]]
    class_pixels_K: NDArray[Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """For one or two images and a few configurations: a block for every kind of map, epochs from left to right."""
    if data.images is None or not data.snapshots:
        return None
    rows = [row for one in _shown(data) if (row := _row(data, one)) is not None]
    if not rows:
        return None
    cases = [case for case in _middle_first(list(rows[0].looks)) if all(case in row.looks for row in rows)]
    losses = _losses(data)
    files = _files(data)
    apart = {case: through_training(files, case, _truth(rows, case)) for case in cases[: SIZES[0][0]]}
    for num_images, longest_px in SIZES:
        held = _drawn(data, rows, cases[:num_images], losses, longest_px)
        for image, case in zip(held["images"], cases, strict=False):
            image["blocks"][2:2] = _apart_blocks(apart[case], len(data.classes), longest_px)
        if sum(len(uri) for uri in _uris(held)) <= MAX_BYTES:
            break
    return {"maps": held}


def _shown(data: ReportData) -> list[str]:
    """The best configuration of each loss where losses are compared; else the best few. Best first."""
    ids = [one["id"] for one in data.configurations if one["id"] in data.snapshots]
    by_loss = {loss_name(data, one): one for one in reversed(ids)}
    if len(by_loss) < 2:
        return ids[:MAX_ROWS]
    return [one for one in ids if one in by_loss.values()][:MAX_LOSSES]


def _row(data: ReportData, configuration: str) -> Row | None:
    """Read one file of watched images; None where its fold did not end well, or where it holds no image."""
    best = _best_epoch(data, configuration)
    return None if best is None else _read(data, configuration, data.snapshots[configuration], best)


def _best_epoch(data: ReportData, configuration: str) -> int | None:
    """Of the first fold; None where it did not end well."""
    chosen = (
        one.get("best_epoch")
        for one in data.results
        if one.get("configuration") == configuration and one.get("repeat") == one.get("fold") == 0
    )
    best = next(chosen, None)
    return None if best is None else int(best)


def _files(data: ReportData) -> list[Path]:
    """The watched images of every configuration whose first fold ended well, or of the best of many."""
    ids = [str(one["id"]) for one in data.configurations]
    ended = (one for one in ids if one in data.snapshots and _best_epoch(data, one) is not None)
    return [data.snapshots[one] for one in islice(ended, MAX_COMPARED)]


def _read(data: ReportData, configuration: str, path: Path, best_epoch: int) -> Row | None:
    assert data.images is not None
    name = next(str(one["name"]) for one in data.configurations if one["id"] == configuration)
    looks: dict[int, tuple[Look, ...]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        epochs, pixels = arrays["epochs"].tolist(), arrays["class_pixels"]
        for case, stride in zip(arrays["cases"].tolist(), arrays["strides"].tolist(), strict=True):
            truth = np.asarray(data.images.target(case))[::stride, ::stride]
            p_EKHW = arrays[str(case)].astype(np.float64)
            looks[case] = tuple(
                Look(epoch, epoch == best_epoch, p, truth) for epoch, p in zip(epochs, p_EKHW, strict=True)
            )
    return Row(name, looks, pixels) if looks else None


def _middle_first(cases: list[int]) -> list[int]:
    """They are ordered from little foreground to much; the middle one is like most, the last one shows most."""
    middle = len(cases) // 2
    return [cases[middle], *cases[middle + 1 :], *reversed(cases[:middle])]


def _losses(data: ReportData) -> dict[str, PixelLoss]:
    """Every loss of the study, but for a user's own, whose formula is not known."""
    found: dict[str, PixelLoss | None] = {}
    for training in data.trainings.values():
        choice = stated_loss(training.loss, data.verdict["task"])
        found.setdefault(str(choice), pixel_loss(choice))
    known = {name: loss for name, loss in found.items() if loss is not None}
    return dict(list(known.items())[:MAX_LOSSES])


def _drawn(
    data: ReportData, rows: list[Row], cases: list[int], losses: dict[str, PixelLoss], longest_px: int
) -> dict[str, Any]:
    lost = {
        (name, place, case): [smaller(_lost(loss, look, row), longest_px) for look in row.looks[case]]
        for name, loss in losses.items()
        for place, row in enumerate(rows)
        for case in cases
    }
    scale = HeatScale(_most([drawn for maps in lost.values() for drawn in maps]))
    images = []
    for case in cases:
        image = _image(data, rows, case, longest_px)
        image["blocks"] += _loss_blocks(losses, rows, lost, scale, case)
        images.append(image)
    return {
        "images": images,
        "legend": legend(data),
        "doubt_bar": scale_bar(HeatScale(1.0), "1 - p of the true class", open_ended=False),
        "loss_bar": scale_bar(scale, "loss of a pixel"),
    }


def _image(data: ReportData, rows: list[Row], case: int, longest_px: int) -> dict[str, Any]:
    """The image, its truth, and the blocks that no loss decides."""
    assert data.images is not None
    truth = _truth(rows, case)
    num_classes = len(data.classes)
    kinds: tuple[tuple[str, str, Callable[[Look], str]], ...] = (
        (
            "prediction",
            "Prediction",
            lambda look: classes_uri(picked(_decided(look), longest_px), num_classes),
        ),
        (
            "errors",
            "Errors",
            lambda look: errors_uri(picked(truth, longest_px), picked(_decided(look), longest_px)),
        ),
        (
            "doubt",
            "1 − p of the true class",
            lambda look: heat_uri(smaller(_doubt(look), longest_px), HeatScale(1.0)),
        ),
    )
    return {
        "name": data.cases[case].name,
        "picture": data_uri(displayed(data.images.image(case)), longest_px=192),
        "truth": classes_uri(picked(truth, longest_px), num_classes),
        "blocks": [
            {
                "kind": kind,
                "title": title,
                "open": kind != "doubt",
                "rows": [_cells(row.name, row.looks[case], drawn) for row in rows],
            }
            for kind, title, drawn in kinds
        ],
    }


def _apart_blocks(
    compared: tuple[int, list[tuple[int, Floats]]], num_classes: int, longest_px: int
) -> list[dict[str, Any]]:
    """One block, with the share of the pixels on which not all say the same; none where only one said anything."""
    num, maps = compared
    if not maps:
        return []
    most = round(most_possible(num, num_classes), 2)
    cells = [
        {
            "source": heat_uri(smaller(share, longest_px), HeatScale(most)),
            "epoch": epoch,
            "chosen": False,
            "words": f"disputed pixels: {percent(float((share > 0).sum() / max(np.isfinite(share).sum(), 1)))}",
        }
        for epoch, share in maps
    ]
    bar = scale_bar(HeatScale(most), "share of configurations", open_ended=False)
    title = "Disagreement between configurations"
    rows = [{"name": f"{num} configurations", "cells": cells}]
    return [{"kind": "apart", "title": title, "open": True, "rows": rows, "bar": bar}]


def _loss_blocks(
    losses: Mapping[str, PixelLoss],
    rows: list[Row],
    lost: Mapping[tuple[str, int, int], list[Floats]],
    scale: HeatScale,
    case: int,
) -> list[dict[str, Any]]:
    """A block a loss; below every map the mean of it, which is the loss of this image."""
    blocks = []
    for name in losses:
        drawn = []
        for place, row in enumerate(rows):
            maps = lost[name, place, case]
            cells = [
                _cell(look, heat_uri(values, scale), f"mean {np.nanmean(values):.2g}")
                for look, values in zip(row.looks[case], maps, strict=True)
            ]
            drawn.append({"name": row.name, "cells": cells})
        title = f"Loss of every pixel: {name}"
        blocks.append({"kind": "loss", "title": title, "open": False, "rows": drawn})
    return blocks


def _truth(rows: list[Row], case: int) -> NDArray[np.uint8]:
    return rows[0].looks[case][0].true_HW


def _cells(name: str, looks: tuple[Look, ...], drawn: Callable[[Look], str]) -> dict[str, Any]:
    return {"name": name, "cells": [_cell(look, drawn(look)) for look in looks]}


def _cell(look: Look, source: str, words: str = "") -> dict[str, Any]:
    return {"source": source, "epoch": look.epoch, "chosen": look.chosen, "words": words}


def _decided(look: Look) -> NDArray[np.uint8]:
    return np.asarray(look.p_KHW.argmax(axis=0), dtype=np.uint8)


def _doubt(look: Look) -> Floats:
    """1 - p of the true class; nan where nothing counts."""
    counts = look.true_HW != IGNORE
    true = np.where(counts, look.true_HW, 0).astype(np.int64)
    p = np.take_along_axis(look.p_KHW, true[None], axis=0)[0]
    return np.asarray(np.where(counts, 1 - p, np.nan))


def _lost(loss: PixelLoss, look: Look, row: Row) -> Floats:
    return loss_map(loss, look.p_KHW, look.true_HW, row.class_pixels_K)


def _most(maps: list[Floats]) -> float:
    """The end of the scale: two digits of a value that one pixel in two hundred exceeds."""
    known = np.concatenate([drawn[np.isfinite(drawn)] for drawn in maps] or [np.zeros(0)])
    high = float(np.percentile(known, 99.5)) if known.size else 1.0
    return float(f"{max(high, 0.01):.2g}")


def _uris(held: Mapping[str, Any]) -> list[str]:
    found = []
    for image in held["images"]:
        found += [image["picture"], image["truth"]]
        for block in image["blocks"]:
            found += [cell["source"] for row in block["rows"] for cell in row["cells"]]
    return found
