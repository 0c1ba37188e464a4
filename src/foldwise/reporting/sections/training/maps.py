"""Maps of a few images through training: prediction, errors, doubt, disagreement, and what a pixel adds to each loss.

The images are of the inner validation: looking here tells nobody about the test images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
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
from foldwise.reporting.sections.images.gallery import legend
from foldwise.reporting.sections.images.snapshots import (
    Snapshot,
    Watched,
    most_possible,
    read_snapshots,
)
from foldwise.reporting.sections.training.epochs import loss_name
from foldwise.reporting.wording import percent
from foldwise.study.spec import IGNORE

MAX_ROWS = 4  # configurations; of compared losses, the best of each, as many as there are losses
MAX_LOSSES = 9
MAX_BYTES = 1_000_000  # of all pictures: a section must not double the size of the page
# Images, and the longer side of their pictures in pixels: one that shows thin things before two that do not.
SIZES = ((2, 128), (1, 128), (2, 96), (1, 96), (1, 72), (1, 48))
Floats = NDArray[np.float64]
Block = dict[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """For one or two images and a few configurations: a block for every kind of map, epochs from left to right."""
    if data.images is None:
        return None
    losses, rows = _loss_names(data), []
    for configuration in _shown(data):
        best = _best_epoch(data, configuration)
        if best is not None:
            path, name = data.snapshots[configuration], data.names[configuration]
            rows.append(read_snapshots(path, name, best, images=data.images, losses=losses))
    rows = [row for row in rows if row.snapshots]
    if not rows:
        return None
    cases = [
        case for case in _middle_first(list(rows[0].snapshots)) if all(case in row.snapshots for row in rows)
    ]
    # Smaller pictures of fewer images until the section is small enough.
    for num_images, longest_px in SIZES:
        images = _images(data, rows, cases[:num_images], longest_px)
        if sum(len(uri) for uri in _uris(images)) <= MAX_BYTES:
            break
    has_losses = any(block["kind"] == "loss" for image in images for block in image["blocks"])
    return {"maps": {"images": images, "legend": legend(data), "has_losses": has_losses}}


def _loss_names(data: ReportData) -> list[str]:
    """The losses that fits of the study were trained with."""
    return list(dict.fromkeys(loss_name(data, configuration) for configuration in data.trainings))[
        :MAX_LOSSES
    ]


def _shown(data: ReportData) -> list[str]:
    """The best configuration of each loss where losses are compared; else the best few. Best first."""
    ids = [id_ for id_ in data.names if id_ in data.snapshots]
    by_loss = {loss_name(data, configuration): configuration for configuration in reversed(ids)}
    if len(by_loss) < 2:
        return ids[:MAX_ROWS]
    best = set(by_loss.values())
    return [configuration for configuration in ids if configuration in best][:MAX_LOSSES]


def _best_epoch(data: ReportData, configuration: str) -> int | None:
    """Of the first fold; None where it did not end well."""
    first = (
        result.get("best_epoch")
        for result in data.results
        if result.get("configuration") == configuration and result.get("repeat") == result.get("fold") == 0
    )
    best = next(first, None)
    return None if best is None else int(best)


def _middle_first(cases: list[int]) -> list[int]:
    """They are ordered from little foreground to much; the middle one is like most, the last one shows most."""
    middle = len(cases) // 2
    return [cases[middle], *cases[middle + 1 :], *reversed(cases[:middle])]


def _truth(rows: Sequence[Watched], case: int) -> NDArray[np.uint8]:
    return rows[0].snapshots[case][0].true_HW


def _images(
    data: ReportData,
    rows: Sequence[Watched],
    cases: Sequence[int],
    longest_px: int,
) -> list[dict[str, Any]]:
    """Each image with its truth and its blocks of maps."""
    assert data.images is not None
    num_classes, scale = len(data.classes), _loss_scale(rows, cases, longest_px)
    bar = scale_bar(scale, "loss of a pixel")
    images = []
    for case in cases:
        decisions = _decisions(rows, case, num_classes, longest_px)
        doubt = _block(
            "doubt",
            "1 − p of the true class",
            rows,
            case,
            lambda snapshot: heat_uri(smaller(snapshot.doubt_HW, longest_px), HeatScale(1.0)),
            bar=scale_bar(HeatScale(1.0), "1 - p of the true class", open_ended=False),
        )
        images.append(
            {
                "name": data.cases[case].name,
                "picture": data_uri(displayed(data.images.image(case)), longest_px=192),
                "truth": classes_uri(picked(_truth(rows, case), longest_px), num_classes),
                "blocks": [
                    *decisions,
                    *_disagreement(data, case, _truth(rows, case), longest_px),
                    doubt,
                    *_loss_blocks(
                        rows,
                        case,
                        _loss_names(data),
                        lambda map_HW: heat_uri(smaller(map_HW, longest_px), scale),
                        bar,
                    ),
                ],
            }
        )
    return images


def _block(
    kind: str,
    title: str,
    rows: Sequence[Watched],
    case: int,
    drawn: Callable[[Snapshot], str],
    words: Callable[[Snapshot], str] = lambda snapshot: "",
    bar: Markup | None = None,
) -> Block:
    """A row for each configuration, a cell for each epoch."""
    cells = [
        {
            "name": row.name,
            "cells": [
                {
                    "source": drawn(snapshot),
                    "epoch": snapshot.epoch,
                    "chosen": snapshot.chosen,
                    "words": words(snapshot),
                }
                for snapshot in row.snapshots[case]
            ],
        }
        for row in rows
    ]
    return {"kind": kind, "title": title, "open": kind in ("prediction", "errors"), "rows": cells, "bar": bar}


def _decisions(rows: Sequence[Watched], case: int, num_classes: int, longest_px: int) -> list[Block]:
    """What was predicted, and where that is wrong."""
    truth = picked(_truth(rows, case), longest_px)
    return [
        _block(
            "prediction",
            "Prediction",
            rows,
            case,
            lambda snapshot: classes_uri(picked(snapshot.decided_HW, longest_px), num_classes),
        ),
        _block(
            "errors",
            "Errors",
            rows,
            case,
            lambda snapshot: errors_uri(truth, picked(snapshot.decided_HW, longest_px)),
        ),
    ]


def _disagreement(data: ReportData, case: int, truth_HW: NDArray[np.uint8], longest_px: int) -> list[Block]:
    """One block, with the share of the pixels on which not all agree; none where only one network was watched."""
    compared = data.curves.disagreement.get(case)
    if compared is None:
        return []
    num = compared.num
    highest = round(most_possible(num, len(data.classes)), 2)
    maps_EHW = np.where(truth_HW == IGNORE, np.nan, compared.shares_EHW)
    cells = [
        {
            "source": heat_uri(smaller(share, longest_px), HeatScale(highest)),
            "epoch": epoch,
            "chosen": False,
            "words": f"disputed pixels: {percent(float((share > 0).sum() / max(np.isfinite(share).sum(), 1)))}",
        }
        for epoch, share in zip(compared.epochs, maps_EHW, strict=True)
    ]
    return [
        {
            "kind": "disagreement",
            "title": "Disagreement between configurations",
            "open": True,
            "rows": [{"name": f"{num} configurations", "cells": cells}],
            "bar": scale_bar(HeatScale(highest), "share of configurations", open_ended=False),
        }
    ]


def _loss_blocks(
    rows: Sequence[Watched], case: int, names: Sequence[str], drawn: Callable[[Floats], str], bar: Markup
) -> list[Block]:
    """A block a loss, with a row for each fit that wrote its maps."""
    having = {name: [row for row in rows if name in row.snapshots[case][0].losses] for name in names}
    return [_loss_block(having[name], case, name, drawn, bar) for name in names if having[name]]


def _loss_block(
    rows: Sequence[Watched], case: int, name: str, drawn: Callable[[Floats], str], bar: Markup
) -> Block:
    """Below every map the loss of this image."""
    return _block(
        "loss",
        f"Loss of every pixel: {name}",
        rows,
        case,
        lambda snapshot: drawn(snapshot.losses[name][0]),
        lambda snapshot: f"mean {snapshot.losses[name][1]:.2g}",
        bar,
    )


def _loss_scale(rows: Sequence[Watched], cases: Sequence[int], longest_px: int) -> HeatScale:
    """One scale for all losses and epochs, to two digits of a value that one pixel in two hundred exceeds."""
    maps = [
        smaller(map_HW, longest_px)
        for row in rows
        for case in cases
        for snapshot in row.snapshots[case]
        for map_HW, _ in snapshot.losses.values()
    ]
    values = np.concatenate([map_HW[np.isfinite(map_HW)] for map_HW in maps] or [np.zeros(0)])
    high = float(np.percentile(values, 99.5)) if values.size else 1.0
    return HeatScale(float(f"{max(high, 0.01):.2g}"))


def _uris(images: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every picture of the section."""
    cells = [
        cell
        for image in images
        for block in image["blocks"]
        for row in block["rows"]
        for cell in row["cells"]
    ]
    return [cell["source"] for cell in cells] + [
        image[key] for image in images for key in ("picture", "truth")
    ]
