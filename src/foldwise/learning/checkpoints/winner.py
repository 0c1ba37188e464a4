"""The winner laid out for use: the models of its folds, copied into one folder that stands alone. No torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foldwise.errors import RunError
from foldwise.storage import folder_replaced

MODEL, WEIGHTS, ENCODER = "model.json", "weights.safetensors", "encoder.safetensors"
SCHEMA = 1
THRESHOLD = 0.5  # of each of several labels, where the verdict says none


@dataclass(frozen=True)
class Decision:
    """What the judge settled about a winner; all of it may be unknown.

    Attributes:
        answer: of the verdict, to be shown beside predictions.
        thresholds: of several labels: ``method``, and ``values``, one for each class, None for one that is never predicted.
        temperature: by which logits are divided.
    """

    answer: Mapping[str, Any] | None = None
    thresholds: Mapping[str, Any] | None = None
    temperature: float | None = None


def make_winner(
    done: list[Path], out: Path, *, decision: Decision = Decision(), channels: Sequence[str] = ()
) -> Path:
    """Copy the models of the winning configuration's fits into `out`, whole or not at all; `out`.

    Args:
        done: the done folders of its fits; those that failed hold no model and are left out.
        out: the winner's folder; what was there is replaced.
        decision: of the judge, written beside the models.
        channels: what names the files of the channels, in the order that the models know; none for whole images.

    Raises:
        RunError: none of the fits left a model.
    """
    fits = [folder for folder in done if (folder / MODEL).is_file()]
    if not fits:
        raise RunError("none of the winner's fits left a model", cure="See foldwise status for what failed.")
    with folder_replaced(out) as scratch:
        members = [_copy(folder, number, scratch) for number, folder in enumerate(fits)]
        record = {
            "schema": SCHEMA,
            **asdict(decision),
            "channels": list(channels),
            "members": members,
        }
        (scratch / MODEL).write_text(json.dumps(record, indent=1), encoding="utf-8")
    return out


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
