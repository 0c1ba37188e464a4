"""A report opened by its path; of a plain table, which columns are names, factors and scores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd

from foldwise.errors import DataError, RunError, SpecError, unknown
from foldwise.judging.claim_check.table import ReportedMetric, Row, ScoreTable, of_verdict
from foldwise.judging.external.text import EMPTY, open_text
from foldwise.judging.verdict import read_verdict
from foldwise.metrics.names import LOWER_IS_BETTER, family_of
from foldwise.text import count

SOURCES = "a run folder, a verdict.json, or a CSV table with one row per configuration"
# Columns by which a results.csv of our own is recognised: it lacks what was tested.
OWN = ({"configuration", "name", "verdict", "metric"}, {"configuration", "verdict", "could_be_best"})
NAME = re.compile(r"((.*[_ ])?(id|name|nr|no|number)|configuration|run|experiment|row|#)$", re.IGNORECASE)
MATRIX = r"[\[(].*[\])]$"
TIME = re.compile(r"time|duration|latency", re.IGNORECASE)


def open_report(path: Path, *, metric: str | None = None) -> ScoreTable:
    """The numbers of a run folder, of a verdict.json, or of a table with one row per configuration.

    `metric` is what a sentence means that names none: by default the one that decides, or the first of the table.
    SpecError where there is no such file or metric, RunError where there is no verdict, DataError for other tables.
    """
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {SOURCES}.")
    if path.is_dir() and not (path / "verdict.json").is_file():
        cure = f"Name {SOURCES}; a run that has no verdict yet gets one by: foldwise report {path}"
        raise RunError("there is no verdict.json in this folder", where=str(path), cure=cure)
    path = path / "verdict.json" if path.is_dir() else path
    table = of_verdict(read_verdict(path), str(path)) if path.suffix == ".json" else of_csv(path)
    if metric and metric not in table.measures:
        raise unknown(metric, table.measures, f"metric of {path}")
    return replace(table, default=metric or table.default)


def of_csv(path: Path) -> ScoreTable:
    """The numbers of a table with one row per configuration, in which nothing was tested; DataError where it is none."""
    text, where = open_text(path, path.name), path.name
    if any(own <= set(text.columns) for own in OWN):
        cure = "Name the run folder, or the verdict.json beside it."
        raise DataError("this table is a copy of a verdict, without what was tested", where=where, cure=cure)
    frame = pd.read_csv(path, sep=text.separator, dtype=str, index_col=False, encoding="utf-8-sig").fillna("")
    frame = frame.apply(lambda cells: cells.str.strip()).set_axis(list(text.columns), axis=1)
    numbers = {name: _numbers(frame[name], text.separator) for name in frame if name}
    # Numbers that are neither, such as a rate or a depth, are settings.
    scored = (name for name in numbers if family_of(name) or TIME.search(name) or "%" in "".join(frame[name]))
    measures = [_measure(name, numbers[name]) for name in scored]
    measures.sort(key=lambda measure: family_of(measure.name) is None)
    scores = {measure.name: measure for measure in measures}
    if not measures or not (family_of(measures[0].name) or measures[0].share):
        cure = "Call a column by its metric, such as accuracy or dice, and write one row per configuration."
        columns = ", ".join(text.columns)
        raise DataError(f"no column is a score (there are: {columns})", where=where, cure=cure)
    rest = [name for name in numbers if name not in scores and not frame[name].str.match(MATRIX).all()]
    factors = [name for name in rest if frame[name].duplicated().any()]
    names = [name for name in rest if name not in factors and (NAME.match(name) or numbers[name].hasnans)]
    names.sort(key=lambda name: NAME.match(name) is None)
    rows = []
    for k, cells in enumerate(frame.to_dict("records")):
        levels = {factor: cells[factor] for factor in factors if cells[factor] not in EMPTY}
        values = {name: float(numbers[name][k]) for name in scores if pd.notna(numbers[name][k])}
        rows.append(Row(cells[names[0]] if names else " · ".join(levels.values()), levels, values))
    num = len({row.name for row in rows})
    if num < len(rows):
        several = f"the table has {len(rows)} rows of {count(num, 'configuration')}"
        cure = "Make the verdict first: foldwise judge FILE --out verdict; then name verdict/verdict.json."
        raise DataError(f"{several}; a claim is checked against one row of each", where=where, cure=cure)
    return ScoreTable(where, tuple(rows), scores, measures[0].name)


def _numbers(cells: pd.Series[str], separator: str) -> pd.Series[float]:
    """The numbers of a column: ``95.45%`` is 0.9545; nan where a cell is no number."""
    bare = cells.str.rstrip("% ") if separator == "," else cells.str.rstrip("% ").str.replace(",", ".")
    return pd.to_numeric(bare, errors="coerce") / (1 + 99 * cells.str.endswith("%"))


def _measure(name: str, values: pd.Series[float]) -> ReportedMetric:
    family = family_of(name)
    better = False if family in LOWER_IS_BETTER or TIME.search(name) else True if family else None
    return ReportedMetric(name, name.replace("_", " "), better, bool(values.dropna().between(0, 1).all()))
