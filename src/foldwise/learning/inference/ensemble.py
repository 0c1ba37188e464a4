"""The winner loaded for use: the networks of its folds, whose probabilities are averaged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import SavedModel, read_weights
from foldwise.learning.checkpoints.winner import MODEL, SCHEMA, THRESHOLD
from foldwise.learning.networks.network import Network

LEAST, MOST = 1e-38, 1 - 2**-25  # of a probability whose logarithm is taken, as where the temperature was set


@dataclass(frozen=True)
class Member:
    """One trained network of the winner."""

    model: SavedModel
    network: Network


@dataclass(frozen=True)
class Winner:
    """The networks whose probabilities are averaged; they agree in all but their weights and normalisation.

    Attributes:
        thresholds: (K,) from which probability on each of several labels is said.
        channels: what names the files of the channels of an image, in order; empty where an image is one file.
        temperature: that logits are divided by for calibrated probabilities; None where there is none.
    """

    members: tuple[Member, ...]
    thresholds: np.ndarray
    channels: tuple[str, ...] = ()
    temperature: float | None = None

    @property
    def model(self) -> SavedModel:
        """What all members have in common."""
        return self.members[0].model

    def decided(self, probabilities_K: np.ndarray) -> list[int]:
        """Indices of the classes that are said: the likeliest one, or all labels at their threshold or above."""
        if self.model.task == "multilabel_classification":
            return [int(label) for label in np.flatnonzero(probabilities_K >= self.thresholds)]
        return [int(probabilities_K.argmax())]

    def calibrated(self, probabilities_K: np.ndarray) -> np.ndarray | None:
        """(K,) the probabilities at the temperature, in the same order of size; None where there is no temperature."""
        if self.temperature is None:
            return None
        # In double precision, as where the temperature was set: near 1 a float32 has few digits of 1 - p.
        p_K = torch.from_numpy(probabilities_K).double().clamp(LEAST, MOST)
        if self.model.task == "multilabel_classification":
            return np.asarray((torch.logit(p_K) / self.temperature).sigmoid())
        return np.asarray((p_K.log() / self.temperature).softmax(0))


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
    thresholds = _thresholds(record["thresholds"], members[0].model)
    return Winner(members, thresholds, tuple(record.get("channels", ())), record.get("temperature"))


def _thresholds(thresholds: dict[str, Any] | None, model: SavedModel) -> np.ndarray:
    if thresholds is None:
        return np.full(len(model.classes), THRESHOLD)
    return np.array([np.inf if value is None else value for value in thresholds["values"]])


def _load(folder: Path, member: dict[str, Any], device: torch.device) -> Member:
    weights: dict[str, Tensor] = {}
    for name in member["weights"]:
        weights |= read_weights(
            folder / Path(name).name
        )  # the name alone: a record cannot lead out of the folder
    model = SavedModel.load(member["model"])
    return Member(model, model.rebuild(weights).to(device))
