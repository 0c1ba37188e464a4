"""A report opened by its path; of a plain table, which columns are names, factors and scores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from foldwise.errors import DataError, RunError, SpecError, unknown
from foldwise.judging.claim_check.table import Measure, Row, Table, of_verdict
from foldwise.judging.external.text import EMPTY, open_text
from foldwise.judging.verdict import read_verdict
from foldwise.metrics.names import LOWER_IS_BETTER, family_of
from foldwise.text import count

SOURCES = "a run folder, a verdict.json, or a CSV table with one row per configuration"
# Columns by which a results.csv of our own is recognised: it lacks what was tested.
OWN = ({"configuration", "name", "verdict", "metric"}, {"configuration", "verdict", "could_be_best"})
NAME = re.compile(r"(.*[_ ])?(id|name|nr|no|number)|configuration|run|experiment|row|#", re.IGNORECASE)
TIME = re.compile(r"time|duration|latency", re.IGNORECASE)


def open_report(path: Path, *, metric: str | None = None) -> Table:
    """The numbers of a run folder, of a verdict.json, or of a table with one row per configuration.

    Args:
        path: of it.
        metric: what a sentence means that names none; None: the metric that decides, or the first of the table.

    Raises:
        SpecError: there is no such file, or no such metric.
        RunError: the run has no verdict yet, or the file is none.
        DataError: the table is not one of results.
    """
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {SOURCES}.")
    if path.is_dir():
        if not (path / "verdict.json").is_file():
            cure = f"Name {SOURCES}; a run that has no verdict yet gets one by: foldwise report {path}"
            raise RunError("there is no verdict.json in this folder", where=str(path), cure=cure)
        path = path / "verdict.json"
    table = of_verdict(read_verdict(path), str(path)) if path.suffix == ".json" else of_csv(path)
    if metric and metric not in table.measures:
        raise unknown(metric, table.measures, f"metric of {path}")
    return replace(table, default=metric or table.default)


def of_csv(path: Path) -> Table:
    """The numbers of a table with one row per configuration; nothing in it was tested.

    Raises:
        DataError: it cannot be read, has no column of scores, or several rows of one configuration.
    """
    text, where = open_text(path, path.name), path.name
    if any(own <= set(text.columns) for own in OWN):
        cure = "Name the run folder, or the verdict.json beside it."
        raise DataError("this table is a copy of a verdict, without what was tested", where=where, cure=cure)
    frame = pd.read_csv(path, sep=text.separator, dtype=str, index_col=False, encoding="utf-8-sig").fillna("")
    frame = frame.apply(lambda cells: cells.str.strip()).set_axis(list(text.columns), axis=1)
    measures = [
        _measure(name, frame[name], text.separator) for name in frame if _is_measured(name, frame[name])
    ]
    measures.sort(key=lambda one: family_of(one[0].name) is None)
    if not measures or not (family_of(measures[0][0].name) or measures[0][0].share):
        cure = "Call a column by its metric, such as accuracy or dice, and write one row per configuration."
        raise DataError(
            f"no column is a score (there are: {', '.join(text.columns)})", where=where, cure=cure
        )
    scores = {measure.name: values for measure, values in measures}
    rest = [
        name
        for name in frame
        if name and name not in scores and not frame[name].str.match(r"[\[(].*[\])]$").all()
    ]
    factors = [name for name in rest if frame[name].duplicated().any()]
    names = [
        name
        for name in rest
        if name not in factors and (NAME.fullmatch(name) or _numbers(frame[name]).isna().any())
    ]
    names.sort(key=lambda name: NAME.fullmatch(name) is None)
    rows = []
    for k, cells in enumerate(frame.to_dict("records")):
        levels = {factor: cells[factor] for factor in factors if cells[factor] not in EMPTY}
        values = {name: float(of[k]) for name, of in scores.items() if pd.notna(of[k])}
        rows.append(Row(cells[names[0]] if names else " · ".join(levels.values()), levels, values))
    num = len({row.name for row in rows})
    if num < len(rows):
        several = f"the table has {len(rows)} rows of {count(num, 'configuration')}"
        cure = "Make the verdict first: foldwise judge FILE --out verdict; then name verdict/verdict.json."
        raise DataError(f"{several}; a claim is checked against one row of each", where=where, cure=cure)
    return Table(where, tuple(rows), {one.name: one for one, _ in measures}, measures[0][0].name)


def _is_measured(name: str, cells: pd.Series[str]) -> bool:
    """Whether a column holds scores or times; other numbers, such as a rate or a depth, are settings."""
    return bool(family_of(name) or TIME.search(name) or cells.str.endswith("%").any())


def _numbers(cells: pd.Series[str], separator: str = ",") -> pd.Series[float]:
    """The numbers of a column: ``95.45%`` is 0.9545; nan where a cell is no number."""
    bare = cells.str.rstrip("% ")
    bare = bare if separator == "," else bare.str.replace(",", ".")
    return pd.to_numeric(bare, errors="coerce") / (1 + 99 * cells.str.endswith("%"))


def _measure(name: str, cells: pd.Series[str], separator: str) -> tuple[Measure, pd.Series[float]]:
    values, family = _numbers(cells, separator), family_of(name)
    better = False if family in LOWER_IS_BETTER or TIME.search(name) else True if family else None
    return Measure(name, name.replace("_", " "), better, bool(values.dropna().between(0, 1).all())), values
