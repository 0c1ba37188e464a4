"""The weights of networks: how they are spread after training, and layer by layer, with their gradients, through it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.reporting.drawing.histograms import histogram, ridges, trimmed
from foldwise.reporting.drawing.rows import standing
from foldwise.reporting.drawing.series import HUES, Series, epoch_panel, span_of
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training.looks import MAX_LOOKS, Look, read_looks
from foldwise.reporting.wording import amount, count, percent, shown
from foldwise.sealed_arrays import Arrays
from foldwise.study.training import Training

MAX_DRAWN = 6  # layers
MAX_LISTED = 200  # layers in the table
LOG_BEYOND = 20.0  # times the smallest: layers differ by decades, and those of small gradients matter most
MIN_BINS, MAX_BINS = 15, 61
PARTS = {"network": "Whole network", "head": "Last layers"}
QUANTILES = "weight_quantiles.npz"
Numbers = Mapping[str, Any]


def section(data: ReportData) -> dict[str, Any] | None:
    """A block for every fit whose layers were counted; None where none were."""
    looks = [look for look in read_looks(data, "layers.npz") if len(look.arrays["names"])]
    return {"layers": [_block(look) for look in looks[:MAX_LOOKS]]} if looks else None


def _block(look: Look) -> dict[str, Any]:
    names = _names(look)
    drawn = evenly(len(names), MAX_DRAWN)
    return {
        "name": look.name,
        "fit": look.fit,
        "noticed": look.result.get("noticed", []),
        "key_of": [(hue, names[layer]) for hue, layer in enumerate(drawn)],
        "norms": [_norms(look, drawn, kind) for kind in ("weight", "gradient")],
        "figures": [_figure(look, layer) for layer in drawn],
        "left_out": len(names) - len(drawn),
        "rows": _rows(look),
        "unlisted": max(0, len(names) - MAX_LISTED),
        "shown_epochs": _shown_epochs(look),
    }


def _names(look: Look) -> list[str]:
    return [str(name).removesuffix(".weight") for name in look.arrays["names"]]


def evenly(num: int, most: int) -> list[int]:
    """The first, the last, and as many evenly between them."""
    return sorted({round(index) for index in np.linspace(0, num - 1, min(num, most))})


def _norms(look: Look, drawn: list[int], kind: str) -> Markup:
    """The typical size of weights or gradients by epoch, a line for every layer drawn."""
    # A norm grows with the root of the number of weights: divided by it, layers of any size can be compared.
    sizes_EN = np.asarray(look.arrays[f"{kind}_norm"], dtype=np.float64) / np.sqrt(look.arrays["sizes"])
    names, epochs = _names(look), look.epochs
    lines = []
    for hue, layer in enumerate(drawn):
        sizes = zip(epochs, sizes_EN[:, layer].tolist(), strict=True)
        # A gradient of 0 has no place on a logarithmic axis.
        lines.append(Series([(epoch, size) for epoch, size in sizes if size > 0], hue % HUES, names[layer]))
    y = span_of([size for line in lines for _, size in line.points], log_beyond=LOG_BEYOND)
    title, y_title = f"{kind} by epoch, {look.name}", f"↑ typical {kind}"
    return epoch_panel(title, lines, y=y, y_title=y_title, last=epochs[-1], first=0)


def _figure(look: Look, layer: int) -> dict[str, Any]:
    """How weights and gradients of one layer are spread at every epoch."""
    name, size = _names(look)[layer], int(look.arrays["sizes"][layer])
    gradients_ENB = np.asarray(look.arrays["log_gradient_counts"], dtype=np.float64)
    # All layers share one axis of gradients, so that a vanishing one is seen to lie far to the left.
    shared = trimmed(look.arrays["log_gradient_edges"], gradients_ENB.sum(axis=1))
    weights_EB = np.asarray(look.arrays["weight_counts"][:, layer], dtype=np.float64)
    edges = np.asarray(look.arrays["weight_edges"][layer], dtype=np.float64)
    weights = _ridges(look, f"weights of {name}", edges, weights_EB, trimmed(edges, weights_EB))
    title, log_edges = f"gradients of {name}", np.asarray(look.arrays["log_gradient_edges"], dtype=np.float64)
    gradients = _ridges(look, title, log_edges, gradients_ENB[:, layer], shared, decades=True)
    return {
        "name": name,
        "size": count(size, "weight") if size < 1000 else f"{amount(size)} weights",
        "drawings": [weights, gradients],
        "note": f"gradients that are exactly 0: {_range(look.arrays['gradient_zero'][:, layer])}",
    }


def _ridges(
    look: Look,
    title: str,
    edges: NDArray[Any],
    counts_EB: NDArray[Any],
    inside: slice,
    *,
    decades: bool = False,
) -> Markup:
    return ridges(
        title,
        edges[inside.start : inside.stop + 1],
        counts_EB[:, inside],
        look.epochs,
        chosen=look.chosen_epoch,
        x_title="size of the gradient →" if decades else "weight →",
        decades=decades,
    )


def _range(shares: NDArray[Any]) -> str:
    low, high = percent(float(np.nanmin(shares))), percent(float(np.nanmax(shares)))
    return low if low == high else f"{low} to {high}"


def _shown_epochs(look: Look) -> list[int]:
    return sorted({look.epochs[0], look.chosen_epoch, look.epochs[-1]})


def _rows(look: Look) -> list[dict[str, Any]]:
    """One per layer: its number of weights, and at the first, chosen and last epoch the two norms and the zeros."""
    places, arrays = [look.epochs.index(epoch) for epoch in _shown_epochs(look)], look.arrays
    return [
        {
            "name": name,
            "size": f"{int(arrays['sizes'][n]):,}".replace(",", "\u202f"),
            "weight": [_digits(arrays["weight_norm"][e, n]) for e in places],
            "gradient": [_digits(arrays["gradient_norm"][e, n]) for e in places],
            "zero": [percent(float(arrays["gradient_zero"][e, n])) for e in places],
        }
        for n, name in enumerate(_names(look)[:MAX_LISTED])
    ]


def _digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if np.isfinite(value) else "not a number"


def weights_section(data: ReportData) -> dict[str, Any] | None:
    """The winner, and the configurations that differ from it in regularisation only.

    None where no fit wrote numbers of its weights.
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
    # Of a single configuration the parts stand beside each other, in one row.
    shown = rows if several else [[panel for row in rows for panel in row]]
    return {"weights": {"rows": shown, "several": several}}


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
    with Arrays(path) as arrays:
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
