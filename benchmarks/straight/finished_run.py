"""What the plain scripts take from a finished run: cases, folds, seeds and settings. Plain csv and json."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Fit:
    """One configuration on one fold.

    Attributes:
        parts: the images (rows of cases.csv) of train, validation and test.
        cases: indices of those images among all cases, as batches are dealt by them.
    """

    id: str
    configuration: str
    task: str
    num_classes: int
    training: dict[str, Any]
    settings: dict[str, Any]
    parts: dict[str, list[dict[str, str]]]
    cases: dict[str, np.ndarray]

    @property
    def seed(self) -> int:
        """Of its network and of the order of its batches."""
        return int(self.settings["seed"])


def read_fits(run: Path) -> list[Fit]:
    """All fits of a run, in the order of its plan."""
    plan = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    classes = json.loads((run / "audit.json").read_text(encoding="utf-8"))["classes"]
    cases = {row["index"]: row for row in _rows(run / "cases.csv")}
    dealt = list(_rows(run / "splits.csv"))
    fits = []
    for item in plan["items"]:
        if item["kind"] != "fit":
            continue
        settings = item["settings"]
        numbers: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
        for row in dealt:
            numbers[row[f"repeat {settings['repeat']} fold {settings['fold']}"]].append(row["case"])
        parts = {name: [cases[number] for number in some] for name, some in numbers.items()}
        indices = {name: np.array([int(number) for number in some]) for name, some in numbers.items()}
        ids = (item["id"], settings["configuration"], settings["task"], len(classes))
        fits.append(Fit(*ids, settings["training"], settings, parts, indices))
    return fits


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def network_of(fit: Fit, in_channels: int, size_hw: tuple[int, int]) -> torch.nn.Module:
    """The network that foldwise would train, with the numbers it begins with, so that scores can be compared."""
    from foldwise.learning.networks.models import build
    from foldwise.learning.networks.network import DataShape
    from foldwise.study.training import Training

    shape = DataShape(fit.task, in_channels, fit.num_classes, size_hw)
    encoder_seed = fit.settings.get("encoder_seed") if fit.training["freeze"] == "encoder" else None
    training = Training.model_validate(fit.training)
    return build(training, shape, seed=fit.seed, encoder_seed=encoder_seed)


def optimizer_of(fit: Fit, network: torch.nn.Module) -> torch.optim.Optimizer:
    """As torch has it, of what is trained."""
    choice = fit.training["optimizer"]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[choice["name"]]
    return kind([values for values in network.parameters() if values.requires_grad], **choice["options"])


def order_of(fit: Fit, epoch: int) -> list[np.ndarray]:
    """The places in the training part of the images of every batch, in the order of foldwise."""
    from foldwise.data.batches.sampling import epoch_order

    train = fit.cases["train"]
    place = {int(case): number for number, case in enumerate(train)}
    batches = epoch_order(train, batch_size=fit.training["batch_size"], seed=fit.seed, epoch=epoch)
    return [np.array([place[int(case)] for case in batch]) for batch in batches]
