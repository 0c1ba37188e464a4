"""The winner laid out for use: the models of its folds, copied into one folder that stands alone. No torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foldwise.errors import RunError
from foldwise.storage import folder_replaced

MODEL, WEIGHTS, ENCODER = "model.json", "weights.safetensors", "encoder.safetensors"
SCHEMA = 1
THRESHOLD = 0.5  # of each of several labels, where the verdict says none


def make_winner(
    done: list[Path], out: Path, *, verdict: dict[str, Any] | None = None, channels: Sequence[str] = ()
) -> Path:
    """Copy the models of the winning configuration's fits into `out`, whole or not at all; `out`.

    Args:
        done: the done folders of its fits; those that failed hold no model and are left out.
        out: the winner's folder; what was there is replaced.
        verdict: whose answer is copied beside the models, with the mean over folds of the thresholds of several labels,
            and the median over folds of the temperature.
        channels: what names the files of the channels, in the order that the models know; none for whole images.

    Raises:
        RunError: none of the fits left a model.
    """
    fits = [folder for folder in done if (folder / MODEL).is_file()]
    if not fits:
        raise RunError("none of the winner's fits left a model", cure="See foldwise status for what failed.")
    with folder_replaced(out) as scratch:
        members = [_copy(folder, number, scratch) for number, folder in enumerate(fits)]
        answer = verdict["answer"] if verdict else None
        record = {
            "schema": SCHEMA,
            "answer": answer,
            "thresholds": _thresholds(verdict or {}),
            "temperature": _temperature(verdict or {}),
            "channels": list(channels),
            "members": members,
        }
        (scratch / MODEL).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return out


def _thresholds(verdict: dict[str, Any]) -> dict[str, Any] | None:
    """The method and a threshold for each class, None for one that is never said; None where there are none."""
    thresholds = verdict.get("thresholds")
    if not thresholds:
        return None
    return {
        "method": thresholds["method"],
        "values": [threshold["mean"] for threshold in thresholds["classes"].values()],
    }


def _temperature(verdict: dict[str, Any]) -> float | None:
    """Of the configuration that the answer names; None of a segmentation, and where it is not told."""
    chosen = (verdict.get("answer") or {}).get("configuration")
    calibrations = (verdict.get("calibration") or {}).get("configurations", [])
    calibration = next(
        (calibration["temperature"] for calibration in calibrations if calibration["id"] == chosen), None
    )
    return calibration["median"] if calibration else None


def _copy(fit: Path, number: int, scratch: Path) -> dict[str, Any]:
    """One member: its weights copied, an encoder that fits share only once; its record."""
    model = json.loads((fit / MODEL).read_text(encoding="utf-8"))
    files = [f"member-{number}.safetensors"]
    shutil.copyfile(fit / WEIGHTS, scratch / files[0])
    if model["encoder_from"] is not None:
        shared = f"{model['encoder_from']}.safetensors"
        if not (scratch / shared).exists():
            shutil.copyfile(fit.parent / model["encoder_from"] / ENCODER, scratch / shared)
        files.append(shared)
    return {"fit": fit.name, "weights": files, "model": model}
