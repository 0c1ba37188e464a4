"""What comes before training: pretraining without labels, and the augmentation of the training images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.data.overlays import Pixels
from foldwise.reporting.drawing.pictures import (
    data_uri,
    displayed,
    displayed_alike,
    enlarged,
    hatched,
    outlined,
)
from foldwise.reporting.drawing.series import learning_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import Picture, legend
from foldwise.reporting.wording import score
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.runs.planning import augmentation_name
from foldwise.sealed_arrays import Arrays
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Augment, Choice, Training
from foldwise.text import some

MAX_NETWORKS = 12  # pretrained ones, with a panel
PICTURES = {"damaged": "damaged", "restored": "given back", "clean": "as it was"}
LEAST_PX = 144  # of a drawn image: outlines stay thin lines
WORDS = {
    "flip": "flips",
    "turn": "quarter turns",
    "rotate_deg": "rotation ≤ {:g}°",
    "scale": "scale ± {:g}",
    "shift": "shift ± {:g}",
    "brightness": "brightness ± {:g}",
    "contrast": "contrast ± {:g}",
    "noise": "noise ≤ {:g}",
    "blur_px": "blur ≤ {:g} px",
}
MAX_NAMES = 3  # configurations that are named


def pretraining_section(data: ReportData) -> dict[str, Any] | None:
    """A panel of every pretrained network, all its folds in one drawing; None where there was no pretraining."""
    networks: dict[str, list[AuxiliaryItem]] = {}
    for item in data.auxiliary:
        if item.kind == "pretrain":
            # All folds of one network have these settings.
            networks.setdefault(json.dumps(item.settings["training"], sort_keys=True), []).append(item)
    if not networks:
        return None
    panels = [_pretrained(items) for items in list(networks.values())[:MAX_NETWORKS]]
    return {"pretraining": {"panels": panels, "left_out": max(0, len(networks) - MAX_NETWORKS)}}


def _pretrained(items: Sequence[AuxiliaryItem]) -> dict[str, Any]:
    first = items[0]
    name = f"{Choice.model_validate(first.settings['training']['model'])} · {first.result['by']}"
    results = [item.result for item in items]
    ends = [float(np.mean([result["epochs"][epoch]["val_loss"] for result in results])) for epoch in (0, -1)]
    return {
        "name": name,
        "drawing": learning_panel(f"Pretraining of {name}", results, scores=None),
        "note": f"validation error {score(ends[0], 3)} after the first epoch, {score(ends[1], 3)} after the last",
        "pictures": next((drawn for item in items if (drawn := _pictures(item.path / "pictures.npz"))), []),
    }


def _pictures(path: Path) -> list[dict[str, str]]:
    """Data URIs and words; none where the fold has no pictures."""
    if not path.exists():
        return []
    with Arrays(path) as stored:
        parts = [stored[name] for name in PICTURES]
    # Side by side, so that all three are stretched alike.
    together = displayed(np.concatenate(parts, axis=2))
    shown = np.split(together, len(parts), axis=1)
    return [
        {"source": data_uri(picture), "words": words}
        for picture, words in zip(shown, PICTURES.values(), strict=True)
    ]


def augmentation_section(data: ReportData) -> dict[str, Any] | None:
    """A panel of every augmentation; None where there is none."""
    panels = [_augmented(data, item) for item in data.auxiliary if item.kind == "preview"]
    if not panels:
        return None
    return {
        "augmentation": {
            "panels": panels,
            "legend": legend(data),
            "ignored": any(panel["ignored"] for panel in panels),
            "fixed": any(panel["fixed"] for panel in panels),
        }
    }


def _augmented(data: ReportData, item: AuxiliaryItem) -> dict[str, Any]:
    augment, crop_px = item.settings["augment"], item.settings["crop_px"]
    with Arrays(item.path / "preview.npz") as arrays:
        rows = [
            _row(data, int(case), arrays[f"draws_{row}"], arrays[f"masks_{row}"])
            for row, case in enumerate(arrays["case"])
        ]
        ignored = any(bool((arrays[f"masks_{row}"] == IGNORE).any()) for row in range(len(rows)))
    return {
        "name": augmentation_name(augment, crop_px),
        "parts": _parts(augment),
        "used": _used(data, augment, crop_px),
        "fixed": _fixed(data, augment, crop_px),
        "rows": rows,
        "ignored": ignored,
    }


def _parts(augment: dict[str, Any]) -> str:
    """What is done, in words: ``flips, rotation ≤ 15°``."""
    parts = Augment.model_validate(augment).model_dump(exclude_defaults=True)
    return ", ".join(WORDS[part].format(size) for part, size in parts.items())


def _used(data: ReportData, augment: dict[str, Any], crop_px: int | None) -> str:
    """Which configurations have it, where not all do."""
    return _named(data, [name for name, _ in _having(data, augment, crop_px)])


def _fixed(data: ReportData, augment: dict[str, Any], crop_px: int | None) -> str:
    """Which configurations were shown few fixed views, by how many: ``8 fixed views in place of fresh ones each epoch``."""
    names: dict[str, list[str]] = {}
    for name, training in _having(data, augment, crop_px):
        if training.fixed_views:
            names.setdefault(training.views_sentence, []).append(name)
    listed = {sentence: _named(data, those) for sentence, those in names.items()}
    return "; ".join(sentence + (f": {those}" if those else "") for sentence, those in listed.items())


def _having(data: ReportData, augment: dict[str, Any], crop_px: int | None) -> list[tuple[str, Training]]:
    wanted = Augment.model_validate(augment), crop_px
    trainings = ((result.name, data.trainings.get(result.id)) for result in data.configurations)
    return [
        (name, training)
        for name, training in trainings
        if training is not None and (training.augment, training.crop_px) == wanted
    ]


def _named(data: ReportData, names: Sequence[str]) -> str:
    # What all have needs no names.
    return "" if len(names) == len(data.configurations) else some(names, MAX_NAMES)


def _row(
    data: ReportData, case: int, draws_NCHW: NDArray[Any], masks_NHW: NDArray[np.uint8]
) -> dict[str, Any]:
    """The original, where it is still there, and its draws."""
    # Without the cache the draws are still shown.
    originals = [] if data.images is None else [np.asarray(data.images.image(case))]
    pictures = displayed_alike([*originals, *draws_NCHW])
    masks = [_truth(data, case) for _ in originals] + list(masks_NHW)
    words = ["as it is"] * len(originals) + [f"draw {number}" for number in range(1, len(masks_NHW) + 1)]
    drawn = [
        Picture(data_uri(_marked(picture, mask), longest_px=2 * LEAST_PX), text)
        for picture, mask, text in zip(pictures, masks, words, strict=True)
    ]
    return {"name": data.cases[case].name, "pictures": drawn}


def _truth(data: ReportData, case: int) -> NDArray[np.uint8]:
    assert data.images is not None
    if data.segmentation:
        return np.asarray(data.images.target(case))
    return np.zeros(np.asarray(data.images.shapes)[case], dtype=np.uint8)


def _marked(picture: Pixels, mask_HW: NDArray[np.uint8]) -> Pixels:
    large, mask = enlarged(picture, LEAST_PX), enlarged(mask_HW, LEAST_PX)
    return hatched(outlined(large, mask, coloured=True), mask == IGNORE)
