"""Rows below a table that sum it up, such as its mean: they are no cases, and are left out by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from foldwise.judging.external.pieces import Piece
from foldwise.metrics.names import named_score
from foldwise.metrics.outputs import Bools, Floats
from foldwise.text import some

Statistic = Callable[[Floats], Any]
# A case is hardly called so. In the languages of spreadsheets.
_SURE = (
    "mean means average averages avg median std sd stdev stddev stdv std.dev variance sem iqr overall summary "
    "aggregate aggregated mittelwert mittel durchschnitt stdabw standardabweichung moyenne médiane mediane "
    "media promedio desviación deviation medelvärde medel gennemsnitt gemiddelde mediana średnia 平均 平均值 标准差 "
    "標準差"
)
SURE = frozenset((*_SURE.split(), "pvalue", "ci"))
# An animal or a subset may be called so: they sum up where they stand beside such a row, or have the value of one.
PERHAPS: dict[str, Statistic] = {
    "max": np.max,
    "maximum": np.max,
    "min": np.min,
    "minimum": np.min,
    "sum": np.sum,
    "total": np.sum,
    "count": len,
    "n": len,
    "all": np.mean,
    "global": np.mean,
    "range": np.ptp,
    "25%": lambda values: float(np.percentile(values, 25)),
    "50%": np.median,
    "75%": lambda values: float(np.percentile(values, 75)),
}
_AROUND = (
    "of the over all cases case images image rows row score scores value n fold folds standard dev grand"
)
AROUND = frozenset((*_AROUND.split(), "macro", "micro", "weighted", "confidence", "interval"))
STATISTICS = (np.mean, np.median, np.std, partial(np.std, ddof=1), np.sum)
RARE = 4  # times as many cases as rows that sum them up, and more
WITHIN = 0.006  # a summary of two decimals is off by half a hundredth


def without_summaries(piece: Piece) -> tuple[Piece, str | None]:
    """The rows that are cases, and what was left out, in words; None where nothing was."""
    names = piece.columns["case"].names
    sure = np.array([_sums_up(name) for name in names])
    perhaps = np.array([name.casefold() in PERHAPS for name in names])
    codes = piece.columns["case"].codes
    sure |= _unlike_others(piece)
    if perhaps.any() and not sure.any():
        perhaps &= [
            likely and _has_its_value(piece, code, perhaps, PERHAPS[names[code].casefold()])
            for code, likely in enumerate(perhaps)
        ]
    left_out = sure | perhaps
    if not left_out.any() or left_out.all():
        return piece, None
    gone = left_out[codes]
    lines = sorted(set(piece.lines[gone].tolist()) - {0})
    where = f" ({'line' if len(lines) == 1 else 'lines'} {some(map(str, lines))})" if lines else ""
    listed = some([name or "one without a name" for name, out in zip(names, left_out, strict=True) if out])
    return piece.keep(
        ~gone
    ), f"{piece.file}: not used: rows that sum up others and are no cases: {listed}{where}"


def _sums_up(name: str) -> bool:
    """``mean``, ``Std. dev.``, ``Average Dice (n=20)``, ``mean fold 3``; not ``mean_shift.png`` and not ``std_04``."""
    words = re.findall(r"[^\W\d_]+", re.sub(r"\bp[ -]?values?\b", "pvalue", name.casefold()))
    usual = SURE | AROUND | PERHAPS.keys()
    numbered = re.search(r"\d", name) and not {"n", "fold", "folds", "ci"} & set(words)
    others = (word for word in words if word not in usual and not named_score(word).measure)
    return any(word in SURE for word in words) and not numbered and not any(others)


def _unlike_others(piece: Piece) -> Bools:
    """Cases of a rare shape of name, such as ``Ø`` below ``img_01``, that hold a statistic of the others everywhere.

    No name is on a list: Excel writes ``STABW.S`` in German and ``ECARTYPE`` in French. None of a single configuration.
    """
    names = piece.columns["case"].names
    shapes = [re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", name)) for name in names]
    times = Counter(shapes)
    rare = np.array(
        [
            RARE * times[shape] < len(names) and not re.search(r"\d", name)
            for name, shape in zip(names, shapes, strict=True)
        ],
        dtype=bool,
    )
    if len(piece.columns["configuration"].names) < 2:
        return np.zeros_like(rare)
    return np.array(
        [
            likely
            and any(_has_its_value(piece, code, rare, statistic, _rounding) for statistic in STATISTICS)
            for code, likely in enumerate(rare)
        ],
        dtype=bool,
    )


def _rounding(value: float) -> float:
    """What rounding can have taken from a number, by its decimals: 0.006 of 0.71, and so 0.00006 of 0.7153."""
    return next((0.6 * 10.0**-digits for digits in (2, 3) if round(value, digits) == value), 0.00006)


def _roughly(value: float) -> float:
    return WITHIN * max(1.0, abs(value))


def _has_its_value(
    piece: Piece,
    code: int,
    aside: Bools,
    statistic: Statistic,
    within: Callable[[float], float] = _roughly,
) -> bool:
    """Whether a row called ``max`` has the greatest score of its configuration, in every one of them.

    Args:
        aside: cases that do not count among the others.
        within: of a score, how far off the statistic may be.
    """
    case, configuration = piece.columns["case"], piece.columns["configuration"].codes
    here, others = case.codes == code, ~aside[case.codes] & np.isfinite(piece.score)
    for row in np.flatnonzero(here).tolist():
        own = piece.score[others & (configuration == configuration[row])]
        score = float(piece.score[row])
        if not len(own) or not abs(score - statistic(own)) <= within(score):
            return False
    return True
