"""What scores from elsewhere mean: which way is better, what values they can have, and on which scale they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.grid import Grid
from foldwise.judging.external.options import ScoreOptions
from foldwise.judging.external.pieces import Piece
from foldwise.metrics.names import NamedScore, named_score, words_of
from foldwise.metrics.outputs import Floats
from foldwise.metrics.table import METRICS, Metric
from foldwise.text import count

STATE = "State it with --higher-is-better or --lower-is-better"
PLAIN = {"score", "scores", "value", "values", "metric"}  # and not ``rate`` or ``p_value``
GRANTED = "{}: higher is taken to be better, as of most scores between 0 and 1; if not: --lower-is-better"


def metric_of(name: str, scores: Floats, options: ScoreOptions, *, where: str) -> tuple[Metric, str | None]:
    """How scores are judged that are means over cases, and what of it was taken for granted, in words.

    The direction is stated, or that of our metric of this name, or told by the words of the name. A plain ``score``
    between 0 and 1 is taken for one where higher is better, which is said; of anything else the user is asked.

    Args:
        name: what they are called; of our own metrics direction and interval are in the table.
        scores: those that are there, finite.
        options: what is stated of them.
        where: the file, for messages.

    Raises:
        DataError: which way is better is not told, or the values contradict what the name says.
        SpecError: the scores are said to lie between 0 and 1, and do not.
    """
    metric, named = METRICS.get(name), named_score(name)
    low, high = float(scores.min()), float(scores.max())
    inside = low >= 0 and high <= 1
    if options.bounded and not inside:
        cure = "Leave --bounded out; of per cent, divide by 100."
        raise SpecError(f"the scores go from {low:g} to {high:g}, and not from 0 to 1", cure=cure)
    higher, granted = options.higher_is_better, None
    if higher is None:
        higher = metric.higher_is_better if metric else named.higher_is_better
    if higher is None and inside and _is_plain(name, named):
        higher, granted = True, GRANTED.format(name)
    if higher is None:
        raise _undirected(name, named, (low, high), where)
    if options.higher_is_better is None and not higher and low < 0:
        below = count(int((scores < 0).sum()), "score is", "scores are")
        what = f"of {name!r} less is better, by its name, but {below} below 0 (the least is {low:g})"
        raise DataError(
            what, where=where, cure=f"Write values without their sign. If they mean something: {STATE}."
        )
    share = metric.bounded if metric else named.share
    if share and options.bounded is None and (low < 0 or high > 100):
        what = f"{name!r} lies between 0 and 1, or 0 and 100 in per cent, but goes from {low:g} to {high:g}"
        cure = "Leave cells empty where there is no score (-1 and 999 are scores). If they are: --unbounded."
        raise DataError(what, where=where, cure=cure)
    open_ended = not metric.bounded if metric else not higher and not share
    bounded = inside and not open_ended if options.bounded is None else options.bounded
    return _metric(name, metric, scores, higher=higher, bounded=bounded), granted


def _is_plain(name: str, named: NamedScore) -> bool:
    """Whether a name says no more than that it is a score."""
    words = set(words_of(name))
    return not named.measure and not named.rest and bool(PLAIN & words) and "p" not in words


def _metric(name: str, metric: Metric | None, scores: Floats, *, higher: bool, bounded: bool) -> Metric:
    # Scores that are all 0 or 1 are right or wrong, whatever they are called.
    counted = bounded and bool(np.isin(scores, (0.0, 1.0)).all())
    rule = "wilson" if counted else "logit" if bounded else "plain" if scores.min() >= 0 else "free"
    return Metric(
        name,
        metric.title if metric else name,
        (),
        "mean over cases",
        interval=rule,  # type: ignore[arg-type]
        higher_is_better=higher,
        groups_equal=True,
        counted=counted,
    )


def _undirected(name: str, named: NamedScore, ends: tuple[float, float], where: str) -> DataError:
    """The question which way is better, with what the name tells."""
    unclear = "not clear from its name" if named.measure else "told by no word of its name"
    what = f"whether more or less of {name!r} is better is {unclear}; the scores go from {ends[0]:g} to {ends[1]:g}"
    cure = f"{STATE}; or call the column by its metric, such as dice, accuracy, loss, hd95_mm or error_rate (--metric NAME)."
    return DataError(what, where=where, cure=cure)


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
