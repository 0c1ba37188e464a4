"""Maps of a few images through training: prediction, errors, doubt, disagreement, and what a pixel adds to each loss.

The images are of the inner validation: looking here tells nobody about the test images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.data.cache.packed import Packed
from foldwise.reporting.drawing.pictures import (
    HeatScale,
    classes_uri,
    data_uri,
    displayed,
    errors_uri,
    heat_uri,
    picked,
    scale_bar,
    smaller,
)
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import legend
from foldwise.reporting.sections.training.epochs import loss_name
from foldwise.reporting.wording import percent
from foldwise.sealed_arrays import Arrays
from foldwise.study.ranges import IGNORE

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


def _images(
    data: ReportData, rows: Sequence[Watched], cases: Sequence[int], longest_px: int
) -> list[dict[str, Any]]:
    """Each image with its truth and its blocks of maps."""
    assert data.images is not None
    num_classes, scale = len(data.classes), _loss_scale(rows, cases, longest_px)
    images = []
    for case in cases:
        truth_HW = rows[0].snapshots[case][0].true_HW
        images.append(
            {
                "name": data.cases[case].name,
                "picture": data_uri(displayed(data.images.image(case)), longest_px=192),
                "truth": classes_uri(picked(truth_HW, longest_px), num_classes),
                "blocks": [
                    *_decisions(rows, case, num_classes, longest_px),
                    *_disagreement(data, case, truth_HW, longest_px),
                    _doubt(rows, case, longest_px),
                    *_loss_blocks(data, rows, case, scale, longest_px),
                ],
            }
        )
    return images


def _block(
    kind: str, title: str, rows: Sequence[tuple[str, Sequence[dict[str, Any]]]], bar: Markup | None = None
) -> Block:
    """A row for each configuration, a cell for each epoch."""
    named = [{"name": name, "cells": cells} for name, cells in rows]
    is_open = kind in ("prediction", "errors", "disagreement")
    return {"kind": kind, "title": title, "open": is_open, "rows": named, "bar": bar}


def _cells(
    rows: Sequence[Watched],
    case: int,
    drawn: Callable[[Snapshot], str],
    words: Callable[[Snapshot], str] = lambda snapshot: "",
) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (
            row.name,
            [
                _cell(drawn(snapshot), snapshot.epoch, words(snapshot), chosen=snapshot.chosen)
                for snapshot in row.snapshots[case]
            ],
        )
        for row in rows
    ]


def _cell(source: str, epoch: int, words: str, *, chosen: bool = False) -> dict[str, Any]:
    return {"source": source, "epoch": epoch, "chosen": chosen, "words": words}


def _decisions(rows: Sequence[Watched], case: int, num_classes: int, longest_px: int) -> list[Block]:
    """What was predicted, and where that is wrong."""
    truth_HW = picked(rows[0].snapshots[case][0].true_HW, longest_px)
    predicted = _cells(
        rows, case, lambda snapshot: classes_uri(picked(snapshot.decided_HW, longest_px), num_classes)
    )
    errors = _cells(
        rows, case, lambda snapshot: errors_uri(truth_HW, picked(snapshot.decided_HW, longest_px))
    )
    return [_block("prediction", "Prediction", predicted), _block("errors", "Errors", errors)]


def _disagreement(data: ReportData, case: int, truth_HW: NDArray[np.uint8], longest_px: int) -> list[Block]:
    """One block, with the share of the pixels on which not all agree; none where only one network was watched."""
    compared = data.curves.disagreement.get(case)
    if compared is None:
        return []
    scale = HeatScale(round(most_possible(compared.num, len(data.classes)), 2))
    shares_EHW = np.where(truth_HW == IGNORE, np.nan, compared.shares_EHW)
    cells = []
    for epoch, share_HW in zip(compared.epochs, shares_EHW, strict=True):
        disputed = float((share_HW > 0).sum() / max(np.isfinite(share_HW).sum(), 1))
        words = f"disputed pixels: {percent(disputed)}"
        cells.append(_cell(heat_uri(smaller(share_HW, longest_px), scale), epoch, words))
    title, row = "Disagreement between configurations", f"{compared.num} configurations"
    bar = scale_bar(scale, "share of configurations", open_ended=False)
    return [_block("disagreement", title, [(row, cells)], bar)]


def _doubt(rows: Sequence[Watched], case: int, longest_px: int) -> Block:
    scale = HeatScale(1.0)
    cells = _cells(rows, case, lambda snapshot: heat_uri(smaller(snapshot.doubt_HW, longest_px), scale))
    bar = scale_bar(scale, "1 - p of the true class", open_ended=False)
    return _block("doubt", "1 − p of the true class", cells, bar)


def _loss_blocks(
    data: ReportData, rows: Sequence[Watched], case: int, scale: HeatScale, longest_px: int
) -> list[Block]:
    """A block a loss, with a row for each fit that wrote its maps; below every map the loss of this image."""

    def block(name: str) -> Block:
        cells = _cells(
            [row for row in rows if name in row.snapshots[case][0].losses],
            case,
            lambda snapshot: heat_uri(smaller(snapshot.losses[name][0], longest_px), scale),
            lambda snapshot: f"mean {snapshot.losses[name][1]:.2g}",
        )
        return _block("loss", f"Loss of every pixel: {name}", cells, scale_bar(scale, "loss of a pixel"))

    return [made for made in map(block, _loss_names(data)) if made["rows"]]


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


@dataclass(frozen=True)
class Snapshot:
    """One network at one epoch at one image.

    Attributes:
        epoch, chosen: its number, and whether its weights were kept.
        p_KHW, true_HW: probabilities, and the truth.
        losses: by name, what each pixel adds, as a map, and the loss of the image.
    """

    epoch: int
    chosen: bool
    p_KHW: Floats
    true_HW: NDArray[np.uint8]
    losses: Mapping[str, tuple[Floats, float]]

    @property
    def decided_HW(self) -> NDArray[np.uint8]:
        """The class of the highest probability."""
        return np.asarray(self.p_KHW.argmax(axis=0), dtype=np.uint8)

    @property
    def doubt_HW(self) -> Floats:
        """1 - p of the true class; nan where nothing counts."""
        counts = self.true_HW != IGNORE
        true = np.where(counts, self.true_HW, 0).astype(np.int64)
        p = np.take_along_axis(self.p_KHW, true[None], axis=0)[0]
        return np.asarray(np.where(counts, 1 - p, np.nan))


@dataclass(frozen=True)
class Watched:
    """A configuration with its snapshots by image, early to late."""

    name: str
    snapshots: Mapping[int, tuple[Snapshot, ...]]


def read_snapshots(
    path: Path, name: str, best_epoch: int, *, images: Packed, losses: Sequence[str]
) -> Watched:
    """One ``watched.npz`` of a configuration; of the losses that are wanted those that the fit wrote."""
    snapshots: dict[int, tuple[Snapshot, ...]] = {}
    with Arrays(path) as arrays:
        epochs = arrays["epochs"].tolist()
        for case, stride in zip(arrays["cases"].tolist(), arrays["strides"].tolist(), strict=True):
            truth = np.asarray(images.target(case))[::stride, ::stride]
            p_EKHW = arrays[str(case)].astype(np.float64)
            losses_E = _image_losses(arrays, case, losses)
            snapshots[case] = tuple(
                Snapshot(epoch, epoch == best_epoch, p_KHW, truth, image_losses)
                for epoch, p_KHW, image_losses in zip(epochs, p_EKHW, losses_E, strict=True)
            )
    return Watched(name, snapshots)


def _image_losses(
    arrays: Mapping[str, NDArray[Any]], case: int, names: Sequence[str]
) -> list[dict[str, Any]]:
    """By epoch and loss, its map of the image and its value."""
    written = arrays["losses"].tolist()
    maps_LEHW, values_LE = arrays[f"loss_maps_{case}"].astype(np.float64), arrays[f"image_losses_{case}"]
    places = {name: written.index(name) for name in names if name in written}
    return [
        {name: (maps_LEHW[index, e], float(values_LE[index, e])) for name, index in places.items()}
        for e in range(values_LE.shape[1])
    ]


def most_possible(num: int, num_classes: int) -> float:
    """The highest share that does not predict what most of so many configurations do: 0.5 of two, 0.4 of five with two classes."""
    return 1 - -(-num // min(num, num_classes)) / num
