"""Drawings of how numbers are spread: one histogram, and those of several epochs as a mountain range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from foldwise.reporting.drawing import svg

WIDTH, LEFT, RIGHT, TOP = 250, 44, 242, 40
STEP_PX, HEIGHT_PX = 15, 34  # from one floor to the next, and of the highest ridge
MIN_BINS, MAX_BINS = 12, 40
TAIL = 0.001  # share of an epoch beyond which its bins are not drawn, at either end
Floats = NDArray[np.float64]


def histogram(title: str, shares: Sequence[Floats], reach: float, highest: float) -> Markup:
    """The share of numbers in every bin from -`reach` to `reach`: the first filled, others as thin outlines.

    Args:
        shares: one array of equally wide bins for each set of numbers.
        reach: end of the scale, on both sides.
        highest: share at the upper end of the scale.
    """
    x, y = svg.Scale(-reach, reach, 40, 268), svg.Scale(0, highest * 1.04 or 1.0, 108, 16)
    first, *others = shares
    corners = [(x(-reach), y(0)), *_steps(first, x, y), (x(reach), y(0))]
    parts = [svg.axes(x, y, x_title="weight →", y_title="↑ share of the weights", count=4)]
    parts.append(svg.polygon(corners, "filled"))
    parts += [svg.line(_steps(other, x, y), "outline") for other in others]
    edges = np.linspace(-reach, reach, len(first) + 1)
    rows = np.column_stack([edges[:-1], edges[1:], *shares]).tolist()
    numbers = svg.Numbers(("from", "to", *(f"fold {k}" for k in range(1, len(shares) + 1))), rows)
    return svg.drawing(*parts, width=280, height=142, title=title, numbers=numbers)


def _steps(shares: Floats, x: svg.Scale, y: svg.Scale) -> list[tuple[float, float]]:
    """The outline of a histogram: two points a bin."""
    edges = np.linspace(x.low, x.high, len(shares) + 1)
    return [
        (x(float(edge)), y(float(share)))
        for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True)
        for edge in (left, right)
    ]


def ridges(
    title: str,
    edges: Floats,
    counts_EB: Floats,
    epochs: Sequence[int],
    *,
    chosen: int | None,
    x_title: str,
    decades: bool = False,
) -> Markup:
    """The earliest epoch at the back, the latest in front; all ridges of a drawing have one scale.

    Args:
        edges: (B + 1,) of the bins.
        counts_EB: how many lie in every bin, an epoch a row; nan is drawn as nothing.
        decades: the edges are decimal logarithms, and the ticks say what they are logarithms of.
    """
    counts_EB = np.nan_to_num(counts_EB)
    # Few numbers in many bins would be noise.
    wanted = int(counts_EB.sum(axis=1).max(initial=0) ** 0.5)
    edges, counts_EB = fewer_bins(edges, counts_EB, min(max(wanted, MIN_BINS), MAX_BINS))
    x = svg.Scale(float(edges[0]), float(edges[-1]), LEFT, RIGHT)
    bottom = TOP + STEP_PX * (len(epochs) - 1)
    parts = [_ticks(x, bottom, decades), svg.text(x_title, x.end, bottom + 30, "tick title", "end")]
    heights_EB = HEIGHT_PX * counts_EB / (counts_EB.max(initial=0.0) or 1.0)
    for index, (epoch, heights) in enumerate(zip(epochs, heights_EB, strict=True)):
        parts += _ridge(epoch, heights, edges, x, TOP + STEP_PX * index, marked=epoch == chosen)
    parts.append(svg.text("epoch", 2, TOP - 22, "tick title"))
    columns = ("from", "to", *(f"epoch {epoch}" for epoch in epochs))
    numbers = svg.Numbers(columns, np.column_stack([edges[:-1], edges[1:], counts_EB.T]).tolist())
    return svg.drawing(*parts, width=WIDTH, height=bottom + 34, title=title, numbers=numbers)


def _ridge(
    epoch: int, heights: Floats, edges: Floats, x: svg.Scale, floor: float, *, marked: bool
) -> list[Markup]:
    """One epoch and its number."""
    middles = (edges[1:] + edges[:-1]) / 2
    line = [(x(float(at)), floor - float(height)) for at, height in zip(middles, heights, strict=True)]
    # Whole pixels across: a page can hold hundreds of ridges.
    listed = " ".join(f"{left:.0f},{top:.1f}" for left, top in [(x.start, floor), *line, (x.end, floor)])
    words = f"● {epoch}" if marked else str(epoch)
    return [
        svg.element("polygon", points=listed, class_="ridge marked" if marked else "ridge"),
        svg.text(words, x.start - 5, floor + 1, "tick strong" if marked else "tick", "end"),
    ]


def _ticks(x: svg.Scale, bottom: float, decades: bool) -> Markup:
    ticks = x.ticks(4)
    if decades:
        whole = np.arange(np.ceil(x.low), np.floor(x.high) + 1)
        ticks = [float(power) for power in whole[:: max(1, -(-len(whole) // 5))]]
    parts = []
    for value in ticks:
        words = decade(round(value)) if decades else svg.tick_text(value, ticks)
        parts.append(svg.upright(x(value), TOP - HEIGHT_PX / 2, bottom + 3, "grid"))
        parts.append(svg.text(words, x(value), bottom + 15, anchor="middle"))
    parts.append(svg.element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis"))
    return Markup("").join(parts)


def decade(power: int) -> str:
    """A power of ten as it is written: 10⁻⁶."""
    return f"10{'⁻' if power < 0 else ''}{str(abs(power)).translate(svg.RAISED)}"


def trimmed(edges: Floats, counts_EB: Floats) -> slice:
    """The bins that hold all but a thousandth of any epoch at either end; all bins where nothing was counted."""
    totals = counts_EB.sum(axis=1, keepdims=True)
    if not (totals > 0).any():
        return slice(0, len(edges) - 1)
    reached = np.cumsum(counts_EB, axis=1)[totals[:, 0] > 0] / totals[totals[:, 0] > 0]
    first = int((reached > TAIL).argmax(axis=1).min())
    last = int((reached >= 1 - TAIL).argmax(axis=1).max())
    # A bin more at either end, so that ridges come down to their floor within the drawing.
    return slice(max(0, first - 1), min(len(edges) - 1, last + 2))


def fewer_bins(edges: Floats, counts_EB: Floats, most: int) -> tuple[Floats, Floats]:
    """The same with neighbouring bins put together, so that there are at most `most`, and all equally wide.

    Bins that are left over at the upper end are joined by empty ones.
    """
    together = -(-counts_EB.shape[1] // most)
    short = -counts_EB.shape[1] % together
    step = edges[-1] - edges[-2]
    ends = np.append(edges, edges[-1] + step * np.arange(1, short + 1))
    padded = np.pad(counts_EB, ((0, 0), (0, short)))
    return ends[::together], padded.reshape(len(counts_EB), -1, together).sum(axis=2)
