"""Histograms of several epochs one below the other, each with its own floor, as a mountain range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing.svg import RAISED, Numbers, Scale, drawing, element, text, tick_text

WIDTH, LEFT, RIGHT, TOP = 250, 44, 242, 40
STEP_PX, HEIGHT_PX = 15, 34  # from one floor to the next, and of the highest ridge
MIN_BINS, MAX_BINS = 12, 40


def ridges(
    title: str,
    edges: NDArray[np.float64],
    counts_EB: NDArray[np.float64],
    epochs: Sequence[int],
    *,
    chosen: int | None,
    x_title: str,
    decades: bool = False,
) -> Markup:
    """The earliest epoch at the back, the latest in front; all ridges of a drawing have one scale.

    Args:
        title: for those who cannot see it.
        edges: (B + 1,) of the bins.
        counts_EB: how many lie in every bin, an epoch a row; nan is drawn as nothing.
        epochs: their numbers; 0 is before training.
        chosen: the epoch that is marked.
        x_title: what lies along the axis.
        decades: the edges are decimal logarithms, and the ticks say what they are logarithms of.
    """
    counts_EB = np.nan_to_num(counts_EB)
    asked = int(counts_EB.sum(axis=1).max(initial=0) ** 0.5)
    edges, counts_EB = fewer_bins(edges, counts_EB, min(max(asked, MIN_BINS), MAX_BINS))
    x = Scale(float(edges[0]), float(edges[-1]), LEFT, RIGHT)
    bottom = TOP + STEP_PX * (len(epochs) - 1)
    parts = [_ticks(x, bottom, decades), text(x_title, x.end, bottom + 30, "tick title", "end")]
    middles = (edges[1:] + edges[:-1]) / 2
    highest = float(counts_EB.max(initial=0.0)) or 1.0
    for place, (epoch, counts) in enumerate(zip(epochs, counts_EB, strict=True)):
        floor, marked = TOP + STEP_PX * place, epoch == chosen
        line = [
            (x(float(at)), floor - HEIGHT_PX * float(one) / highest)
            for at, one in zip(middles, counts, strict=True)
        ]
        corners = [(x.start, floor), *line, (x.end, floor)]
        listed = " ".join(f"{left:.0f},{top:.1f}" for left, top in corners)
        parts.append(element("polygon", points=listed, class_="ridge marked" if marked else "ridge"))
        words = f"● {epoch}" if marked else str(epoch)
        parts.append(text(words, x.start - 5, floor + 1, "tick strong" if marked else "tick", "end"))
    parts.append(text("epoch", 2, TOP - 22, "tick title"))
    columns = ("from", "to", *(f"epoch {epoch}" for epoch in epochs))
    numbers = Numbers(columns, np.column_stack([edges[:-1], edges[1:], counts_EB.T]).tolist())
    return drawing(*parts, width=WIDTH, height=bottom + 34, title=title, numbers=numbers)


def _ticks(x: Scale, bottom: float, decades: bool) -> Markup:
    ticks = x.ticks(4)
    if decades:
        whole = np.arange(np.ceil(x.low), np.floor(x.high) + 1)
        ticks = [float(one) for one in whole[:: max(1, -(-len(whole) // 5))]]
    parts = []
    for value in ticks:
        parts.append(
            element("line", x1=x(value), x2=x(value), y1=TOP - HEIGHT_PX / 2, y2=bottom + 3, class_="grid")
        )
        words = decade(round(value)) if decades else tick_text(value, ticks)
        parts.append(text(words, x(value), bottom + 15, anchor="middle"))
    parts.append(element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis"))
    return Markup("").join(parts)


def decade(power: int) -> str:
    """A power of ten as it is written: 10⁻⁶."""
    return f"10{'⁻' if power < 0 else ''}{str(abs(power)).translate(RAISED)}"


def trimmed(edges: NDArray[np.float64], counts_EB: NDArray[np.float64]) -> slice:
    """The bins that hold all but a thousandth of any epoch at either end; all bins where nothing was counted."""
    totals = counts_EB.sum(axis=1, keepdims=True)
    if not (totals > 0).any():
        return slice(0, len(edges) - 1)
    reached = np.cumsum(counts_EB, axis=1)[totals[:, 0] > 0] / totals[totals[:, 0] > 0]
    first = int((reached > 0.001).argmax(axis=1).min())
    last = int((reached >= 0.999).argmax(axis=1).max())
    return slice(max(0, first - 1), min(len(edges) - 1, last + 2))


def fewer_bins(
    edges: NDArray[np.float64], counts_EB: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same with neighbouring bins put together, so that there are at most `most`, and all equally wide.

    Bins that are left over at the upper end are joined by empty ones.
    """
    together = -(-counts_EB.shape[1] // most)
    short = -counts_EB.shape[1] % together
    step = edges[-1] - edges[-2]
    ends = np.append(edges, edges[-1] + step * np.arange(1, short + 1))
    padded = np.pad(counts_EB, ((0, 0), (0, short)))
    return ends[::together], padded.reshape(len(counts_EB), -1, together).sum(axis=2)
