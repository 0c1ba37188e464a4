"""The metric that scores from elsewhere are judged by: which way is better, and what values it can have."""

from __future__ import annotations

import numpy as np

from foldwise.errors import DataError, SpecError
from foldwise.judging.external.options import ScoreOptions
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
