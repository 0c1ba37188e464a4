"""What the columns of a plain table of results are: names, factors or numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foldwise.errors import DataError
from foldwise.judging.claim_check.table import Measure
from foldwise.judging.claim_check.wording import family_of, is_lower_better, normal
from foldwise.judging.external.asked import SCORES, is_loss, is_score
from foldwise.judging.external.text import EMPTY

NAMES = re.compile(r"(?:.*[_ ])?(?:id|name|nr|no|number)|configuration|run|experiment|row|#", re.IGNORECASE)
UNIT = re.compile(
    r"[_ (\[](ms|milliseconds?|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?)[)\]]?$", re.IGNORECASE
)
SPELT = {"ms": "ms", "milli": "ms", "s": "s", "sec": "s", "min": "min", "h": "h", "hr": "h", "hour": "h"}
TIMED = re.compile(r"time|duration|latency", re.IGNORECASE)
MATRIX = re.compile(r"^[\[(].*[\])]$")


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        names: what the rows are called by, the first one most.
        factors: what configurations differ in.
        numbers: values of every measure, row by row; shares as shares, also where they are written in per cent.
        measures: scores first.
    """

    names: tuple[str, ...]
    factors: tuple[str, ...]
    numbers: Mapping[str, tuple[float | None, ...]]
    measures: tuple[Measure, ...]


def sorted_columns(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], separator: str, where: str
) -> Columns:
    """Every column under what it is; those that are none of it, such as confusion matrices, are left out.

    Raises:
        DataError: none is a score.
    """
    cells = {column: [row.get(column, "") for row in rows] for column in columns if column}
    names = [one for one in cells if NAMES.fullmatch(one) and len(set(cells[one])) == len(rows)]
    numbers = {one: _numbers(cells[one], separator) for one in cells if one not in names}
    scores = [one for one, values in numbers.items() if values and _is_measured(one, cells[one])]
    if not any(is_score(one) or family_of(one) or "%" in "".join(cells[one]) for one in scores):
        raise DataError(
            f"no column is a score (there are: {', '.join(columns)})",
            where=where,
            cure="Call a column by its metric, such as accuracy or dice, and write one row per configuration.",
        )
    words = [one for one in cells if one not in names and one not in scores]
    factors = [one for one in words if len(set(cells[one])) < len(rows) and not _all(MATRIX, cells[one])]
    named = [
        one
        for one in words
        if numbers[one] is None and len(set(cells[one])) == len(rows) and not _all(MATRIX, cells[one])
    ]
    measures = [_measure(one, numbers[one] or ()) for one in scores]
    shown = {one: numbers[one] or () for one in scores}
    ordered = sorted(
        measures, key=lambda one: bool(one.unit) or not (is_score(one.name) or family_of(one.name))
    )
    return Columns((*names, *named), tuple(factors), shown, tuple(ordered))


def _all(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    return all(pattern.match(cell) for cell in cells)


def _numbers(cells: Sequence[str], separator: str) -> tuple[float | None, ...] | None:
    """The numbers of a column; None where one of its cells is neither a number nor empty."""
    found = [_number(cell, separator) for cell in cells]
    if any(value is None and cell not in EMPTY for cell, value in zip(cells, found, strict=True)):
        return None
    return tuple(found) if any(value is not None for value in found) else None


def _number(cell: str, separator: str) -> float | None:
    """``95.45%`` is 0.9545."""
    bare = cell.rstrip("%").strip()
    if separator != "," and re.fullmatch(r"[-+]?\d*,\d+", bare):
        bare = bare.replace(",", ".")
    try:
        return float(bare) / (100 if cell.endswith("%") else 1)
    except ValueError:
        return None


def _is_measured(name: str, cells: Sequence[str]) -> bool:
    """Whether a column of numbers is measured; a setting such as a rate or a depth is not."""
    if is_score(name) or family_of(name) or UNIT.search(name) or any(cell.endswith("%") for cell in cells):
        return True
    return any("." in cell for cell in cells) and len(set(cells)) > len(cells) / 2


def _measure(name: str, values: Sequence[float | None]) -> Measure:
    known, unit = [value for value in values if value is not None], ""
    found = UNIT.search(name)
    if found and TIMED.search(name):
        spelt = found[1].lower().rstrip("s") or "s"
        unit = next(SPELT[key] for key in sorted(SPELT, key=len, reverse=True) if spelt.startswith(key))
    scored = is_score(name) or bool(family_of(name))
    better = False if unit or is_loss(name) or is_lower_better(name) else True if scored else None
    share = not unit and min(known) >= 0 and max(known) <= 1 and (normal(name) in SCORES or scored)
    title = UNIT.sub("", name) if unit else name
    return Measure(name, title.replace("_", " "), better, share, unit)
