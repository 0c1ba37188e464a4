"""Histograms of trained weights, with and without regularisation side by side on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.reporting.drawing.histograms import histogram
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import amount, percent, shown
from foldwise.study.spec import Training

MAX_DRAWN = 6  # configurations
MIN_BINS, MAX_BINS = 15, 61
PARTS = {"network": "Whole network", "head": "Last layers"}
QUANTILES = "weight_quantiles.npz"
Numbers = Mapping[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """The winner, and the configurations that differ from it in regularisation only.

    None where no fit wrote numbers of its weights, as those of older versions did not.
    """
    written = {str(result["item"]): result["weights"] for result in data.results if result.get("weights")}
    first_fits = {
        configuration: folders[0].name for configuration, folders in data.folders.items() if folders
    }
    numbers = {configuration: written[fit] for configuration, fit in first_fits.items() if fit in written}
    drawn = [record for record in compared(data) if record.id in numbers]
    if not drawn:
        return None
    # Networks without a part of this name are compared as a whole.
    parts = [part for part in PARTS if all(part in numbers[record.id] for record in drawn)]
    rows = [_row(data, drawn, numbers, part) for part in parts]
    several = len(drawn) > 1
    return {
        "weights": {
            "rows": rows if several else [[panel for row in rows for panel in row]],
            "several": several,
        }
    }


def _row(
    data: ReportData, drawn: list[ConfigurationResult], numbers: Mapping[str, Any], part: str
) -> list[dict[str, Any]]:
    """A panel of each configuration for one part of the network, all on one scale."""
    # Where 99 % of the weights lie: a few outliers would squeeze all others into the middle bin.
    reach = max(numbers[record.id][part]["reach"] or 0.0 for record in drawn) or 1.0
    shares = {
        record.id: [
            _shares(folder / QUANTILES, part, numbers[record.id][part]["count"], reach)
            for folder in data.folders[record.id]
            if (folder / QUANTILES).is_file()
        ]
        for record in drawn
    }
    highest = max(float(bins.max()) for fits in shares.values() for bins in fits)
    return [
        {
            "title": record.name,
            "part": PARTS[part],
            "standing": standing(record),
            "drawing": histogram(f"{PARTS[part]}, {record.name}", shares[record.id], reach, highest),
            "note": note(numbers[record.id][part]),
        }
        for record in drawn
    ]


def compared(data: ReportData) -> list[ConfigurationResult]:
    """The winner and those trained alike but for weight decay and dropout, from weak to strong; `MAX_DRAWN` of them."""
    winner = data.winner
    if winner is None or winner.id not in data.trainings:
        return [winner] if winner else []
    alike = _unregularised(data.trainings[winner.id])
    others = [
        record
        for record in data.configurations
        if record.id != winner.id
        and record.id in data.trainings
        and _unregularised(data.trainings[record.id]) == alike
    ]
    few = [winner, *others[: MAX_DRAWN - 1]]
    return sorted(few, key=lambda record: _strength(data.trainings[record.id]))


def _unregularised(training: Training) -> dict[str, Any]:
    choices = training.model_dump(mode="json")
    for choice, option in (("optimizer", "weight_decay"), ("head", "dropout"), ("model", "dropout")):
        choices[choice]["options"].pop(option, None)
    return choices


def _strength(training: Training) -> tuple[float, float]:
    """Weight decay, then the highest dropout of the head."""
    dropout = training.head.options.get("dropout", 0)
    highest = max(dropout, default=0) if isinstance(dropout, list) else dropout
    return float(training.optimizer.options.get("weight_decay", 0)), float(highest)


def _shares(path: Path, part: str, count: int, reach: float) -> NDArray[np.float64]:
    """The share of the weights of a fit in each of equally wide bins from -`reach` to `reach`."""
    # An odd number of bins: one of them lies around 0, where most weights are.
    bins = int(min(MAX_BINS, max(MIN_BINS, count**0.5))) // 2 * 2 + 1
    with np.load(path, allow_pickle=False) as arrays:
        below = np.interp(np.linspace(-reach, reach, bins + 1), arrays[part], arrays["levels"])
    return np.asarray(np.diff(below))


def note(numbers: Numbers) -> str:
    """12 k weights from −0.51 to 0.62, standard deviation 0.093; 1.2 % beyond three of it."""
    return (
        f"{amount(numbers['count'])} weights from {shown(numbers['low'])} to {shown(numbers['high'])}, "
        f"standard deviation {shown(numbers['sd'])}; {_small(numbers['beyond'])} beyond three of it"
    )


def _small(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%" if 0.0005 <= share < 0.0995 else percent(share)
