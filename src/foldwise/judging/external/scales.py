"""Scores that are written on two scales, such as fractions beside per cent: they are asked about, never compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foldwise.errors import DataError
from foldwise.judging.external.grid import Grid
from foldwise.judging.external.pieces import Piece
from foldwise.metrics.names import named_score
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import METRICS
from foldwise.text import count

# Between the medians of two configurations: per cent are 100 times a fraction, um 1000 times a mm.
FACTOR = 50
MEAN_FACTOR = 10  # of the means at the same time: of losses near 0 the medians may lie that far apart
GAP, SHARE_GAP = 100, 10  # between two scores of one configuration that follow each other by size
SOME = 0.1  # of its scores lie beyond the gap: a single distance may well be 100 times any other
MORE_THAN_A_SHARE = 1.5  # what lies just above 1 is a share with an error in it, and no per cent
SMALL = 0.01  # smaller ones count as this: losses come as near to 0 as they like
CURE = "Write all scores on one scale (per cent divided by 100; mm or um). If they are on one: --one-scale."


def refuse_scales(grid: Grid, metric: str) -> None:
    """All scores of a metric are on one scale.

    Raises:
        DataError: those of two configurations, or of one, look as if written on two.
    """
    named = named_score(metric)
    share = METRICS[metric].bounded if metric in METRICS else named.share
    # Scores without a name that mostly lie between 0 and 1 are taken for shares.
    share |= not named.measure and float(np.nanmedian(np.abs(grid.piece.score))) <= 1
    piece, names = grid.piece, grid.configurations
    own = [grid.piece.score[grid.piece.columns["configuration"].codes == code] for code in range(len(names))]
    sizes = [np.abs(scores[np.isfinite(scores) & (scores != 0)]) for scores in own]
    measured = [code for code, size in enumerate(sizes) if len(size)]
    if not measured or max(sizes[code].max() for code in measured) <= 1:
        return
    least, *_, most = sorted([*measured, measured[0]], key=lambda code: float(sizes[code].mean()))
    mean, median = (_ratio(sizes[most], sizes[least], middle) for middle in (np.mean, np.median))
    apart = median >= FACTOR and mean >= MEAN_FACTOR
    if apart or (share and sizes[least].max() <= 1 and sizes[most].max() > MORE_THAN_A_SHARE):
        ends = " and ".join(
            f"{names[code]} from {sizes[code].min():g} to {sizes[code].max():g}" for code in (least, most)
        )
        raise DataError(f"scores of {ends} look like two scales", where=piece.file, cure=CURE)
    for code in measured:
        limit = _limit(sizes[code], share=share)
        if limit is not None:
            raise _within(piece, code, limit)


def _ratio(more: Floats, less: Floats, middle: Callable[[Floats], Any]) -> float:
    return float(middle(more)) / max(float(middle(less)), SMALL)


def _limit(sizes: Floats, *, share: bool) -> float | None:
    """The score below a gap that divides those of one configuration; None where there is no such gap."""
    ordered = np.sort(np.maximum(sizes, SMALL))
    if len(ordered) < 2:
        return None
    if share:
        below = int((ordered <= 1).sum())
        apart = 0 < below < len(ordered) and ordered[below] >= SHARE_GAP * ordered[below - 1]
        return float(ordered[below - 1]) if apart else None
    ratios = ordered[1:] / ordered[:-1]
    widest = int(ratios.argmax())
    fewer = min(widest + 1, len(ratios) - widest)
    return float(ordered[widest]) if ratios[widest] >= GAP and fewer >= max(2, SOME * len(ordered)) else None


def _within(piece: Piece, code: int, limit: float) -> DataError:
    own = piece.columns["configuration"].codes == code
    high = np.flatnonzero(own & (np.abs(piece.score) > limit))
    low = int((own & np.isfinite(piece.score)).sum()) - len(high)
    rare = high if len(high) <= low else np.flatnonzero(own & (np.abs(piece.score) <= limit))
    example = f"{piece.cell('case', int(rare[0]))} has {piece.score[rare[0]]:g} ({piece.at(int(rare[0]))})"
    parts = f"{count(low, 'score')} up to {limit:g} and {count(len(high), 'score')} from {np.abs(piece.score[high]).min():g}"
    name = piece.columns["configuration"].names[code]
    return DataError(
        f"{name} has {parts}, which look like two scales: {example}", where=piece.file, cure=CURE
    )
