"""What networks were taught before they saw a label: the loss of every fold, and one image damaged and given back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.reporting.drawing.pictures import data_uri, displayed
from foldwise.reporting.drawing.series import learning_panel
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import score
from foldwise.run.auxiliary_results import AuxiliaryItem
from foldwise.study.spec import Choice

MOST = 12  # networks with a panel
PICTURES = {"damaged": "damaged", "restored": "given back", "clean": "as it was"}


def section(data: ReportData) -> dict[str, Any] | None:
    """A panel of every pretrained network, all its folds in one drawing; None where there was no pretraining."""
    networks: dict[str, list[AuxiliaryItem]] = {}
    for item in data.auxiliary:
        if item.kind == "pretrain":
            networks.setdefault(json.dumps(item.settings["training"], sort_keys=True), []).append(item)
    if not networks:
        return None
    panels = [_panel(items) for items in list(networks.values())[:MOST]]
    return {"pretraining": {"panels": panels, "left_out": max(0, len(networks) - MOST)}}


def _panel(items: Sequence[AuxiliaryItem]) -> dict[str, Any]:
    first = items[0]
    name = f"{Choice.model_validate(first.settings['training']['model'])} · {first.result['by']}"
    results = [item.result for item in items]
    ends = [float(np.mean([result["epochs"][place]["val_loss"] for result in results])) for place in (0, -1)]
    return {
        "name": name,
        "drawing": learning_panel(f"Pretraining of {name}", results, scores=None),
        "note": f"validation error {score(ends[0], 3)} after the first epoch, {score(ends[1], 3)} after the last",
        "pictures": next((made for item in items if (made := _pictures(item.path / "pictures.npz"))), []),
    }


def _pictures(path: Path) -> list[dict[str, str]]:
    """Data URIs and words; none where the fold has no pictures."""
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as stored:
        parts = [stored[name] for name in PICTURES]
    # Side by side, so that all three are stretched alike.
    together = displayed(np.concatenate(parts, axis=2))
    shown = np.split(together, len(parts), axis=1)
    return [
        {"source": data_uri(picture), "words": words}
        for picture, words in zip(shown, PICTURES.values(), strict=True)
    ]
