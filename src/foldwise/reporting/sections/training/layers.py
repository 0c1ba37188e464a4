"""Layers through training: how their weights and gradients are spread, how large they are, and what to notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foldwise.reporting.drawing.histograms import ridges, trimmed
from foldwise.reporting.drawing.series import HUES, Series, panel, span_of
from foldwise.reporting.drawing.svg import Scale
from foldwise.reporting.report_data import ReportData
from foldwise.reporting.wording import amount, count, percent

MAX_LOOKS = 4
MAX_DRAWN = 6  # layers
MAX_LISTED = 200  # layers in the table
MAX_NAMED = 3
STILL = 0.5  # share of gradients that are exactly 0, from which a layer is named
FAR_APART = 1e-3  # of the gradient in the first layer against the last
BLOWN_UP = 100.0  # times the gradient before training
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layers:
    """What one look counted: E epochs, N layers in forward order, B bins.

    Attributes:
        name: of the configuration.
        fit: the fold it was looked into, in words.
        chosen: the chosen epoch.
        arrays: layers.npz.
    """

    name: str
    fit: str
    chosen: int
    arrays: Mapping[str, NDArray[Any]]

    @property
    def epochs(self) -> list[int]:
        """That were looked at, rising; 0 is before training."""
        return [int(epoch) for epoch in self.arrays["epochs"]]

    @property
    def names(self) -> list[str]:
        """Of the layers."""
        return [str(name).removesuffix(".weight") for name in self.arrays["names"]]

    def typical_EN(self, kind: str) -> Floats:
        """Root mean square of the weights (kind "weight") or gradients of a layer, so that sizes do not matter."""
        norm_EN = np.asarray(self.arrays[f"{kind}_norm"], dtype=np.float64)
        return np.asarray(norm_EN / np.sqrt(self.arrays["sizes"]))


def section(data: ReportData) -> dict[str, Any] | None:
    """A block for every fit whose layers were counted; None where none were."""
    looks = read_looks(data, "layers.npz")[:MAX_LOOKS]
    told = [_told(Layers(*about, arrays)) for about, arrays in looks if len(arrays["names"])]
    return {"layers": told} if told else None


def read_looks(data: ReportData, file: str) -> list[tuple[tuple[str, str, int], dict[str, NDArray[Any]]]]:
    """Name, fold and chosen epoch of every look that has the file, and its arrays; the best configuration first."""
    names = data.names
    order = list(names)
    held = [
        one
        for one in data.auxiliary
        if one.kind == "landscape"
        and one.done
        and one.result["configuration"] in names
        and (one.path / file).exists()
    ]
    found = []
    for one in sorted(held, key=lambda one: order.index(one.result["configuration"])):
        with np.load(one.path / file, allow_pickle=False) as arrays:
            fold = f"fold {one.result['fold'] + 1}"
            words = fold if not one.result["repeat"] else f"repeat {one.result['repeat'] + 1}, {fold}"
            about = names[one.result["configuration"]], words, int(one.result["chosen_epoch"])
            found.append((about, dict(arrays)))
    return found


def _told(layers: Layers) -> dict[str, Any]:
    drawn = spread_places(len(layers.names), MAX_DRAWN)
    return {
        "name": layers.name,
        "fit": layers.fit,
        "noticed": noticed(layers),
        "key_of": [(hue, layers.names[place]) for hue, place in enumerate(drawn)],
        "norms": [_norms(layers, drawn, kind) for kind in ("weight", "gradient")],
        "figures": [_figure(layers, place) for place in drawn],
        "left_out": len(layers.names) - len(drawn),
        "rows": _rows(layers),
        "unlisted": max(0, len(layers.names) - MAX_LISTED),
        "shown_epochs": _shown_epochs(layers),
    }


def spread_places(num: int, most: int) -> list[int]:
    """The first, the last, and as many evenly between them."""
    return sorted({round(place) for place in np.linspace(0, num - 1, min(num, most))})


def _norms(layers: Layers, drawn: list[int], kind: str) -> Any:
    """The typical size of weights or gradients by epoch, a line for every layer drawn."""
    sizes_EN = layers.typical_EN(kind)
    lines = [
        Series(
            [
                (epoch, float(size))
                for epoch, size in zip(layers.epochs, sizes_EN[:, place], strict=True)
                if size > 0
            ],
            hue % HUES,
            layers.names[place],
        )
        for hue, place in enumerate(drawn)
    ]
    heights = [height for one in lines for _, height in one.points]
    return panel(
        f"{kind} by epoch, {layers.name}",
        lines,
        x=Scale(0, max(layers.epochs[-1], 1), whole=True),
        y=span_of(heights, log_beyond=20),
        x_title="epoch →",
        y_title=f"↑ typical {kind}",
    )


def _figure(layers: Layers, place: int) -> dict[str, Any]:
    """How weights and gradients of one layer are spread at every epoch."""
    held, name, size = layers.arrays, layers.names[place], int(layers.arrays["sizes"][place])
    weights_EB = np.asarray(held["weight_counts"][:, place], dtype=np.float64)
    own = np.asarray(held["weight_edges"][place], dtype=np.float64)
    edges = np.asarray(held["log_gradient_edges"], dtype=np.float64)
    gradients_ENB = np.asarray(held["log_gradient_counts"], dtype=np.float64)
    inside, common = trimmed(own, weights_EB), trimmed(edges, gradients_ENB.sum(axis=1))
    weights = ridges(
        f"weights of {name}",
        own[inside.start : inside.stop + 1],
        weights_EB[:, inside],
        layers.epochs,
        chosen=layers.chosen,
        x_title="weight →",
    )
    gradients = ridges(
        f"gradients of {name}",
        edges[common.start : common.stop + 1],
        gradients_ENB[:, place, common],
        layers.epochs,
        chosen=layers.chosen,
        x_title="size of the gradient →",
        decades=True,
    )
    return {
        "name": name,
        "size": count(size, "weight") if size < 1000 else f"{amount(size)} weights",
        "drawings": [weights, gradients],
        "note": f"gradients that are exactly 0: {_range(held['gradient_zero'][:, place])}",
    }


def _range(shares: NDArray[Any]) -> str:
    low, high = percent(float(np.nanmin(shares))), percent(float(np.nanmax(shares)))
    return low if low == high else f"{low} to {high}"


def _shown_epochs(layers: Layers) -> list[int]:
    return sorted({layers.epochs[0], layers.chosen, layers.epochs[-1]})


def _rows(layers: Layers) -> list[dict[str, Any]]:
    """One per layer: its number of weights, and at the first, chosen and last epoch the two norms and the zeros."""
    places = [layers.epochs.index(epoch) for epoch in _shown_epochs(layers)]
    held = layers.arrays
    return [
        {
            "name": name,
            "size": f"{int(held['sizes'][n]):,}".replace(",", "\u202f"),
            "weight": [_digits(held["weight_norm"][e, n]) for e in places],
            "gradient": [_digits(held["gradient_norm"][e, n]) for e in places],
            "zero": [percent(float(held["gradient_zero"][e, n])) for e in places],
        }
        for n, name in enumerate(layers.names[:MAX_LISTED])
    ]


def _digits(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if np.isfinite(value) else "not a number"


def _times(ratio: float) -> str:
    """Two digits that count: 6 800."""
    return f"{float(f'{ratio:.2g}'):,.0f}".replace(",", "\u202f")


def noticed(layers: Layers) -> list[str]:
    """Sentences on what stands out by rules of thumb: gradients of 0, far apart, grown, or no numbers.

    They look at every epoch but the one before training; only the growth is measured against that.
    """
    trained = [place for place, epoch in enumerate(layers.epochs) if epoch > 0]
    gradient_EN = np.asarray(layers.arrays["gradient_norm"], dtype=np.float64)
    whole_E = np.sqrt((gradient_EN**2).sum(axis=1))
    if not np.isfinite(gradient_EN).all():
        return [
            "Some gradients are no finite numbers: training has blown up. A lower learning rate may help."
        ]
    found = [*_standing_still(layers, trained), *_far_apart(layers, trained)]
    high = max(trained, key=lambda place: whole_E[place], default=0)
    if whole_E[0] > 0 and whole_E[high] > BLOWN_UP * whole_E[0]:
        found.append(
            f"The gradient of the whole network is {_times(whole_E[high] / whole_E[0])} times that before training at "
            f"epoch {layers.epochs[high]} (exploding gradients). A lower learning rate or clipping may help."
        )
    chosen = layers.epochs.index(layers.chosen)
    sizes = f"from {_digits(whole_E[0])} before training to {_digits(whole_E[chosen])} at the chosen epoch"
    if not found:
        found = ["Nothing stands out by these rules of thumb."]
    return [*found, f"The gradient of the whole network goes {sizes}."]


def _standing_still(layers: Layers, trained: list[int]) -> list[str]:
    zero_N = np.asarray(layers.arrays["gradient_zero"], dtype=np.float64)[trained].min(axis=0, initial=1.0)
    still = [name for name, share in zip(layers.names, zero_N, strict=True) if trained and share >= STILL]
    if not still:
        return []
    more = f" and {len(still) - MAX_NAMED} more" if len(still) > MAX_NAMED else ""
    named = ", ".join(still[:MAX_NAMED]) + more
    return [
        f"In {count(len(still), 'layer')} half of the gradients or more are exactly 0 at every epoch looked at: "
        f"{named}. Those weights stand still: units that never fire, or a part that is frozen."
    ]


def _far_apart(layers: Layers, trained: list[int]) -> list[str]:
    typical_EN = layers.typical_EN("gradient")[trained]
    if not trained or len(layers.names) < 2 or (typical_EN[:, [0, -1]] <= 0).any():
        return []
    ratio = float(np.median(typical_EN[:, 0] / typical_EN[:, -1]))
    if FAR_APART < ratio < 1 / FAR_APART:
        return []
    first, last = (layers.names[0], layers.names[-1]) if ratio < 1 else (layers.names[-1], layers.names[0])
    times = 1 / ratio if ratio < 1 else ratio
    return [
        f"A gradient of {first} is typically {_times(times)} times smaller than one of {last} (vanishing gradients): that "
        f"layer learns slowly, if at all."
    ]
