"""What pretraining leaves on disk for the fits that begin with it: a network without its output layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from foldwise.learning.checkpoints.saved import read_weights, write_tensors
from foldwise.learning.networks.network import Network, body_of

BODY = "body.safetensors"


def write_body(folder: Path, network: Network) -> None:
    """``body.safetensors``: everything but the output layer, by the names of the whole network."""
    write_tensors(folder / BODY, body_of(network))


@dataclass(frozen=True)
class Pretrained:
    """A done pretrain item."""

    folder: Path

    @classmethod
    def among(cls, inputs: Mapping[str, Path]) -> Self | None:
        """The pretrain item which a fit needs; None where it needs none."""
        return next((cls(inputs[item]) for item in inputs if item.startswith("pretrain-")), None)

    def body(self) -> dict[str, Tensor]:
        """The tensors; RunError where they are not there or damaged."""
        return read_weights(self.folder / BODY)

    @property
    def cost(self) -> dict[str, Any]:
        """Of pretraining, which all fits that need it share: among others `pretrain_s` and `energy_j`."""
        cost: dict[str, Any] = json.loads((self.folder / "result.json").read_text(encoding="utf-8"))["cost"]
        return cost
