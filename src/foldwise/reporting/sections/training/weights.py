"""Histograms of trained weights, with and without regularisation side by side on one scale."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from foldwise.reporting.drawing.charts import standing
from foldwise.reporting.drawing.histograms import histogram
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import amount, percent, shown
from foldwise.study.spec import Training

MOST = 6  # configurations drawn
MIN_BINS, MAX_BINS = 15, 61
RANGE = 0.99  # of the weights lie within the scale; what is beyond is said
MAX_OUTLINED = 20_000_000  # weights of all fits together, beyond which only the first fit is read
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm: measured, not trained
PARTS = {"network": "Whole network", "head": "Last layers"}
HEADS = ("head.", "body.head.", "body.segmentation_head.")
ENCODER = "encoder.safetensors"  # of the item that fits with a frozen encoder share
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Spread:
    """What is said of some weights; `reach` is the size that the share `RANGE` of them stays below."""

    count: int
    low: float
    high: float
    sd: float
    beyond: float
    reach: float


def section(data: ReportData) -> dict[str, Any] | None:
    """The winner, and the configurations that differ from it in regularisation only; None where no weights are."""
    chosen = [one for one in compared(data) if data.folders.get(one["id"])]
    held = {one["id"]: _first(data.folders[one["id"]][0]) for one in chosen}
    chosen = [one for one in chosen if held[one["id"]]["network"].count]
    if not chosen:
        return None
    parts = [part for part in ("network", "head") if all(held[one["id"]][part].count for one in chosen)]
    reach = {part: max(held[one["id"]][part].reach for one in chosen) or 1.0 for part in parts}
    drawn = {one["id"]: _counted(data, one["id"], reach) for one in chosen}
    panels = [
        {
            "title": one["name"],
            "part": PARTS[part],
            "standing": standing(one),
            "drawing": histogram(f"{PARTS[part]}, {one['name']}", drawn[one["id"]][part], reach[part], top),
            "note": told(held[one["id"]][part]),
        }
        for part in parts
        for top in [max(float(max(map(np.max, drawn[one["id"]][part]))) for one in chosen)]
        for one in chosen
    ]
    several = len(chosen) > 1
    rows = [[panel for panel in panels if panel["part"] == PARTS[part]] for part in parts]
    return {"weights": {"rows": rows if several else [panels], "several": several}}


def compared(data: ReportData) -> list[dict[str, Any]]:
    """The winner and those trained alike but for weight decay and dropout, from weak to strong; at most `MOST`."""
    winner = data.winner
    if winner is None or winner["id"] not in data.trainings:
        return [winner] if winner else []
    alike = _unregularised(data.trainings[winner["id"]])
    others = [
        one
        for one in data.configurations
        if one["id"] != winner["id"]
        and one["id"] in data.trainings
        and _unregularised(data.trainings[one["id"]]) == alike
    ]
    few = [winner, *others[: MOST - 1]]
    return sorted(few, key=lambda one: _strength(data.trainings[one["id"]]))


def _unregularised(training: Training) -> dict[str, Any]:
    asked = training.model_dump(mode="json")
    for choice, option in (("optimizer", "weight_decay"), ("head", "dropout"), ("model", "dropout")):
        asked[choice]["options"].pop(option, None)
    return asked


def _strength(training: Training) -> tuple[float, float]:
    dropout = training.head.options.get("dropout", 0)
    most = max(dropout, default=0) if isinstance(dropout, list) else dropout
    return float(training.optimizer.options.get("weight_decay", 0)), float(most)


def _first(folder: Path) -> dict[str, Spread]:
    weights = read(folder)
    return {part: spread(values) for part, values in weights.items()}


def read(folder: Path) -> dict[str, Weights]:
    """Every trained number of a fit, and those of its last layers; both empty where there are none to be read.

    Where only the head was trained, the frozen encoder is read from the item that made it.
    """
    files = [folder / "weights.safetensors"]
    model = folder / "model.json"
    if model.is_file() and (item := json.loads(model.read_text(encoding="utf-8")).get("encoder_from")):
        files.append(folder.parent / item / ENCODER)
    named = [pair for path in files if path.is_file() for pair in _tensors(path)]
    network = [values for _, values in named]
    head = [values for name, values in named if name.startswith(HEADS)]
    return {"network": _joined(network), "head": _joined(head)}


def _tensors(path: Path) -> Iterator[tuple[str, Weights]]:
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                if not name.endswith(STATISTICS) and file.get_slice(name).get_dtype().startswith("F"):
                    yield name, file.get_tensor(name).ravel().astype(np.float32, copy=False)
    except (OSError, SafetensorError):
        return


def _joined(parts: list[Weights]) -> Weights:
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def spread(weights: Weights) -> Spread:
    """Number, extremes, standard deviation, and the share farther than 3 of it from the mean."""
    if not weights.size:
        return Spread(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    mean, sd = float(weights.mean(dtype=np.float64)), float(weights.std(dtype=np.float64))
    sizes = np.abs(weights)
    place = min(weights.size - 1, int(RANGE * weights.size))
    reach = float(np.partition(sizes, place)[place])
    beyond = float((np.abs(weights - np.float32(mean)) > 3 * sd).mean())
    return Spread(weights.size, float(weights.min()), float(weights.max()), sd, beyond, reach)


def _counted(
    data: ReportData, configuration: str, reach: Mapping[str, float]
) -> dict[str, list[NDArray[np.float64]]]:
    """By part, the shares of the weights in every bin: of the first fit, then of the others if they are few."""
    folders = data.folders[configuration]
    first = read(folders[0])
    others = folders[1:] if first["network"].size * len(folders) <= MAX_OUTLINED else []
    every = [first, *(read(folder) for folder in others)]
    return {
        part: [_shares(weights[part], end) for weights in every if weights[part].size]
        for part, end in reach.items()
    }


def _shares(weights: Weights, reach: float) -> NDArray[np.float64]:
    bins = int(min(MAX_BINS, max(MIN_BINS, weights.size**0.5))) // 2 * 2 + 1  # odd: one of them is around 0
    counts, _ = np.histogram(weights, bins=bins, range=(-reach, reach))
    return counts / weights.size


def told(known: Spread) -> str:
    """12 k weights from −0.51 to 0.62, standard deviation 0.093; 1.2 % beyond three of it."""
    return (
        f"{amount(known.count)} weights from {shown(known.low)} to {shown(known.high)}, "
        f"standard deviation {shown(known.sd)}; {_small(known.beyond)} beyond three of it"
    )


def _small(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%" if 0.0005 <= share < 0.0995 else percent(share)
