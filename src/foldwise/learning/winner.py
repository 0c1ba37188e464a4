"""The winner laid out for use: the models of its folds, together in one folder that stands alone."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldwise.errors import RunError
from foldwise.learning.features import ENCODER
from foldwise.learning.networks import Network
from foldwise.learning.saved import MODEL, WEIGHTS, SavedModel, read_model, read_weights, versions

SCHEMA = 1
THRESHOLD = 0.5  # of each label of a multilabel task; other tasks take the most probable class


@dataclass(frozen=True)
class Member:
    """One trained network of the winner."""

    model: SavedModel
    network: Network


@dataclass(frozen=True)
class Winner:
    """The networks whose probabilities are averaged; they agree in all but their weights and normalisation."""

    members: tuple[Member, ...]
    threshold: float

    @property
    def model(self) -> SavedModel:
        """What all members have in common."""
        return self.members[0].model


def make_winner(done: list[Path], out: Path, *, verdict: dict[str, Any] | None = None) -> Path:
    """Copy the models of the winning configuration's fits into `out`, whole or not at all; `out`.

    Args:
        done: the done folders of its fits; those that failed hold no model and are left out.
        out: the winner's folder; what was there is replaced.
        verdict: whose answer is copied beside the models.

    Raises:
        RunError: none of the fits left a model.
    """
    fits = [folder for folder in done if (folder / MODEL).is_file()]
    if not fits:
        raise RunError("none of the winner's fits left a model", cure="See foldwise status for what failed.")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        members = [_copy(folder, number, scratch) for number, folder in enumerate(fits)]
        answer = verdict["answer"] if verdict else None
        record = {
            "schema": SCHEMA,
            "answer": answer,
            "threshold": THRESHOLD,
            "versions": versions(),
            "members": members,
        }
        (scratch / MODEL).write_text(json.dumps(record, indent=1), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return out


def _copy(fit: Path, number: int, scratch: Path) -> dict[str, Any]:
    """One member: its weights copied, an encoder that fits share only once; its record."""
    model = read_model(fit)
    files = [f"member-{number}.safetensors"]
    shutil.copyfile(fit / WEIGHTS, scratch / files[0])
    if model.encoder_from is not None:
        shared = f"{model.encoder_from}.safetensors"
        if not (scratch / shared).exists():
            shutil.copyfile(fit.parent / model.encoder_from / ENCODER, scratch / shared)
        files.append(shared)
    return {"fit": fit.name, "weights": files, "model": model.dump()}


def load_winner(folder: Path, device: torch.device) -> Winner:
    """The winner in `folder`, ready to be asked.

    Raises:
        RunError: the folder holds no winner, or its files do not fit together.
    """
    try:
        record = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        if record["schema"] != SCHEMA:
            raise RunError(f"the winner was written in form {record['schema']}, this foldwise reads {SCHEMA}")
        members = tuple(_load(folder, member, device) for member in record["members"])
    except OSError:
        raise RunError(
            f"{folder} holds no winner", cure="Finish the run, then: foldwise report RUN"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"the winner cannot be read ({error})", where=str(folder / MODEL)) from None
    return Winner(members, record["threshold"])


def _load(folder: Path, member: dict[str, Any], device: torch.device) -> Member:
    weights: dict[str, Tensor] = {}
    for name in member["weights"]:
        weights |= read_weights(folder / Path(name).name)
    model = SavedModel.load(member["model"])
    return Member(model, model.rebuild(weights).to(device))
