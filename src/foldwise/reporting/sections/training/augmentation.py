"""Training images before and after augmentation, as the networks were shown them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.pictures import Pixels, data_uri, displayed_alike, enlarged, hatched, outlined
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.images.gallery import Picture, legend
from foldwise.run.auxiliary import augmentation_name
from foldwise.run.auxiliary_results import AuxiliaryItem
from foldwise.study.spec import IGNORE, Augment

LEAST_PX = 144
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


def section(data: ReportData) -> dict[str, Any] | None:
    """A panel of every augmentation; None where there is none."""
    panels = [_panel(data, one) for one in data.auxiliary if one.kind == "preview"]
    if not panels:
        return None
    return {
        "augmentation": {
            "panels": panels,
            "legend": legend(data),
            "ignored": any(p["ignored"] for p in panels),
        }
    }


def _panel(data: ReportData, one: AuxiliaryItem) -> dict[str, Any]:
    augment, crop_px = one.settings["augment"], one.settings["crop_px"]
    with np.load(one.path / "preview.npz", allow_pickle=False) as arrays:
        rows = [
            _row(data, int(case), arrays[f"draws_{place}"], arrays[f"masks_{place}"])
            for place, case in enumerate(arrays["case"])
        ]
        ignored = any(bool((arrays[f"masks_{place}"] == IGNORE).any()) for place in range(len(rows)))
    return {
        "name": augmentation_name(augment, crop_px),
        "parts": _parts(augment),
        "used": _used(data, augment, crop_px),
        "rows": rows,
        "ignored": ignored,
    }


def _parts(augment: dict[str, Any]) -> str:
    """What is done, in words: ``flips, rotation ≤ 15°``."""
    parts = Augment.model_validate(augment).model_dump(exclude_defaults=True)
    return ", ".join(WORDS[part].format(size) for part, size in parts.items())


def _used(data: ReportData, augment: dict[str, Any], crop_px: int | None) -> str:
    """Which configurations have it, where not all do."""
    asked = Augment.model_validate(augment)
    own = [
        one.name
        for one in data.configurations
        if (training := data.trainings.get(one.id)) is not None
        and (training.augment, training.crop_px) == (asked, crop_px)
    ]
    if len(own) == len(data.configurations):
        return ""
    return ", ".join(own[:MAX_NAMES]) + (f" and {len(own) - MAX_NAMES} more" if own[MAX_NAMES:] else "")


def _row(
    data: ReportData, case: int, draws_NCHW: NDArray[Any], masks_NHW: NDArray[np.uint8]
) -> dict[str, Any]:
    """The original, where it is still there, and its draws."""
    if data.images is None:
        originals: list[NDArray[Any]] = []
    else:
        originals = [np.asarray(data.images.image(case))]
    pictures = displayed_alike([*originals, *draws_NCHW])
    masks = [_truth(data, case) for _ in originals] + list(masks_NHW)
    words = ["as it is"] * len(originals) + [f"draw {number}" for number in range(1, len(masks_NHW) + 1)]
    drawn = [
        Picture(data_uri(_marked(picture, mask), longest_px=2 * LEAST_PX), said)
        for picture, mask, said in zip(pictures, masks, words, strict=True)
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
