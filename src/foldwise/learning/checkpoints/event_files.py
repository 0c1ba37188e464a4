"""A run as event files, for those who look at training in TensorBoard."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from foldwise.errors import RunError, need
from foldwise.run.folder import RunFolder

EXTRA = "tensorboard"
SCALARS = {"train_loss": "loss/training", "val_loss": "loss/validation", "lr": "learning rate"}
LONGEST_NAME = 80


class Estimated(Protocol):
    """A configuration with its estimate, as the verdict has it."""

    id: str
    levels: dict[str, str]
    estimate: float | None


def write_events(folder: RunFolder, metric: str, configurations: Sequence[Estimated], out: Path) -> int:
    """Write every fit that is done, and the settings and scores of every configuration; the number of fits.

    A fit is a run ``<configuration>/repeat 1 fold 2`` with its losses, its validation score and its learning rate by
    epoch. A configuration is a run with its levels as hyperparameters, and its estimate of the deciding metric.

    Raises:
        MissingExtra: TensorBoard is not installed.
        RunError: the folder holds event files already, which TensorBoard would mix with these.
    """
    need("tensorboard", EXTRA)
    from torch.utils.tensorboard import SummaryWriter

    if out.exists() and (not out.is_dir() or any(out.rglob("events.out.tfevents.*"))):
        what = "holds event files already" if out.is_dir() else "is a file"
        raise RunError(f"{out} {what}", where="--tensorboard", cure="Name a new folder.")
    plan, fits = folder.load_plan(), 0
    names = {
        configuration.id: _named(number, configuration.name)
        for number, configuration in enumerate(plan.configurations, 1)
    }
    for item in plan.items:
        result = folder.result(item.id)
        if item.kind != "fit" or result is None or result["status"] != "done":
            continue
        run = f"repeat {result['repeat'] + 1} fold {result['fold'] + 1}"
        with SummaryWriter(str(out / names[result["configuration"]] / run)) as writer:
            _write_fit(writer, result)
        fits += 1
    for configuration in configurations:
        if configuration.estimate is not None and configuration.id in names:
            with SummaryWriter(str(out / names[configuration.id])) as writer:
                _write_settings(writer, configuration.levels, metric, configuration.estimate)
    return fits


def _named(number: int, name: str) -> str:
    """A folder for a configuration: its number keeps names apart that are cut."""
    plain = re.sub(r"[^\w.,=()+-]+", " ", name)
    return f"{number:03d} {plain[:LONGEST_NAME].strip()}"


def _write_fit(writer: Any, result: Mapping[str, Any]) -> None:
    titles = SCALARS | {"val_score": f"score/{result.get('select') or 'validation'}"}
    for record in result["epochs"]:
        for key, title in titles.items():
            if record.get(key) is not None:
                writer.add_scalar(title, float(record[key]), int(record["epoch"]))


def _write_settings(writer: Any, levels: Mapping[str, Any], metric: str, estimate: float) -> None:
    from torch.utils.tensorboard.summary import hparams

    levels_told = {
        str(factor): level if isinstance(level, (int, float, bool)) else str(level)
        for factor, level in levels.items()
    }
    for summary in hparams(levels_told, {f"estimate/{metric}": estimate}):
        writer.file_writer.add_summary(summary)
    writer.add_scalar(f"estimate/{metric}", estimate, 0)
