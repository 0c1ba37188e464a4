"""Looks inside the training of a fit, as steps left them: which fit, and the arrays of one of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.report_data import ReportData
from foldwise.runs.folder import AuxiliaryItem

MAX_LOOKS = 4  # with layers, and with activation maps; those of more would make the page heavy
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Look:
    """One fit that was looked into.

    Attributes:
        name, configuration: how its configuration is called, and its id.
        result: its result.json.
        arrays: the content of a file; all of them have ``epochs``.
    """

    name: str
    configuration: str
    result: Mapping[str, Any]
    arrays: Arrays

    @property
    def epochs(self) -> list[int]:
        """That were looked at, rising; 0 is before training."""
        return [int(epoch) for epoch in self.arrays["epochs"]]

    @property
    def chosen_epoch(self) -> int:
        """The epoch whose weights were kept."""
        return int(self.result["chosen_epoch"])

    @property
    def fit(self) -> str:
        """Its fold; and its repeat, but for the first one."""
        return fit_name(self.result).removeprefix("repeat 1, ")


def fit_name(record: Mapping[str, Any]) -> str:
    """Repeat and fold as they are counted everywhere: from 1."""
    return f"repeat {int(record['repeat']) + 1}, fold {int(record['fold']) + 1}"


def done_looks(data: ReportData) -> list[AuxiliaryItem]:
    """Those that are done, the best configuration first."""
    ranks = {result.id: rank for rank, result in enumerate(data.configurations)}
    items = [
        item
        for item in data.auxiliary
        if item.kind == "landscape" and item.done and item.result.get("configuration") in ranks
    ]
    return sorted(
        items,
        key=lambda item: (ranks[item.result["configuration"]], item.result["repeat"], item.result["fold"]),
    )


def read_look(item: AuxiliaryItem, file: str, name: str) -> Look | None:
    """The arrays of one file of a look; None where that is gone or damaged."""
    try:
        with np.load(item.path / file, allow_pickle=False) as stored:
            arrays = dict(stored)
    # The report stands without a look; that a file is damaged is no reason to have none.
    except (OSError, ValueError, BadZipFile):
        return None
    return Look(name, str(item.result["configuration"]), item.result, arrays)


def read_looks(data: ReportData, file: str) -> list[Look]:
    """Every look that has the file."""
    read = [read_look(item, file, data.names[item.result["configuration"]]) for item in done_looks(data)]
    return [look for look in read if look is not None]
