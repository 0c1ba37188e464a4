"""The winner loaded for use: the networks of its folds, whose probabilities are averaged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foldwise.errors import RunError
from foldwise.learning.keeping.saved import SavedModel, read_weights
from foldwise.learning.keeping.winner import MODEL, SCHEMA
from foldwise.learning.networks.network import Network


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
