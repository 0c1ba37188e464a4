"""A verdict, or a plain table of results, as the one form that claims are checked against."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foldwise.errors import DataError, RunError, SpecError, unknown
from foldwise.judging.claim_check.columns import Columns, sorted_columns
from foldwise.judging.claim_check.table import Measure, Row, Table
from foldwise.judging.claim_check.wording import COSTS
from foldwise.judging.external.text import EMPTY, open_text
from foldwise.storage import read_json
from foldwise.text import count

VERDICT = "verdict.json"
KINDS = "a run folder, a verdict.json, or a CSV table with one row per configuration"
OWN = ({"configuration", "name", "verdict", "metric"}, {"configuration", "verdict", "could_be_best"})


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
        raise SpecError(f"there is no file {path}", cure=f"Name {KINDS}.")
    if path.is_dir():
        if not (path / VERDICT).is_file():
            cure = f"Name {KINDS}; a run that has no verdict yet gets one by: foldwise report {path}"
            raise RunError(f"there is no {VERDICT} in this folder", where=str(path), cure=cure)
        path = path / VERDICT
    known = of_verdict(read_json(path), str(path)) if path.suffix == ".json" else of_csv(path)
    if metric is None:
        return known
    if metric not in known.measures:
        raise unknown(metric, known.measures, f"metric of {path}")
    return Table(known.source, known.rows, known.measures, metric, known.verdict)


def of_verdict(verdict: Any, source: str = VERDICT) -> Table:
    """The numbers of a verdict.

    Raises:
        RunError: it is none, or one without a configuration that has a score.
    """
    if not isinstance(verdict, Mapping) or not {"schema", "metric", "configurations"} <= set(verdict):
        raise RunError("this is no verdict of foldwise", where=source, cure=f"Name {KINDS}.")
    decides = verdict["metric"]["name"]
    measures = {
        name: Measure(name, one["title"], one["higher_is_better"], one["bounded"], tested=name == decides)
        for name, one in verdict["metrics"].items()
    }
    measures |= {
        name: Measure(name, title, False, unit=unit)
        for name, (title, unit) in COSTS.items()
        if any(record["cost"].get(name) is not None for record in verdict["configurations"])
    }
    rows = [_row(record, baseline=False) for record in verdict["configurations"]]
    rows += [_row(record, baseline=True) for record in verdict.get("baselines", ())]
    if not any(row.values for row in rows):
        cure = f"foldwise run goes on; foldwise report judges what is done. Then name {KINDS}."
        raise RunError("this verdict holds no score yet", where=source, cure=cure)
    return Table(source, tuple(rows), measures, decides, verdict)


def _row(record: Mapping[str, Any], *, baseline: bool) -> Row:
    metrics, costs = record.get("metrics") or {}, record.get("cost") or {}
    values = {name: one["estimate"] for name, one in metrics.items()}
    values |= {name: costs.get(name) for name in COSTS}
    intervals = {
        name: (one["low"], one["high"])
        for name, one in metrics.items()
        if one.get("low") is not None and one.get("high") is not None
    }
    known = {name: float(value) for name, value in values.items() if value is not None}
    levels = {factor: str(level) for factor, level in (record.get("levels") or {}).items()}
    return Row(record["name"], levels, known, intervals, {} if baseline else record, baseline, record["id"])


def of_csv(path: Path) -> Table:
    """The numbers of a table with one row per configuration; nothing in it was tested.

    Raises:
        DataError: it cannot be read, has no column of scores, or several rows of one configuration.
    """
    name = path.name
    text = open_text(path, name)
    for own in OWN:
        if own <= set(text.columns):
            raise DataError(
                "this table is a copy of a verdict, without what was tested",
                where=name,
                cure="Name the run folder, or the verdict.json beside it.",
            )
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows_of_cells = [[cell.strip() for cell in row] for row in csv.reader(file, delimiter=text.separator)]
    found = [dict(zip(text.columns, row, strict=False)) for row in rows_of_cells[1:] if any(row)]
    columns = sorted_columns(text.columns, found, text.separator, name)
    rows = tuple(_of_cells(place, cells, columns) for place, cells in enumerate(found))
    _one_row_each(rows, name)
    return Table(name, rows, {one.name: one for one in columns.measures}, columns.measures[0].name)


def _of_cells(place: int, cells: Mapping[str, str], columns: Columns) -> Row:
    levels = {factor: cells[factor] for factor in columns.factors if cells.get(factor, "") not in EMPTY}
    known = {name: values[place] for name, values in columns.numbers.items()}
    values = {one: value for one, value in known.items() if value is not None}
    name = cells[columns.names[0]] if columns.names else " · ".join(levels.values()) or f"row {place + 1}"
    return Row(name, levels, values, id=name)


def _one_row_each(rows: Sequence[Row], name: str) -> None:
    """Refuse a table of images: of it the verdict is made first."""
    named = {row.name for row in rows}
    if len(named) < len(rows):
        raise DataError(
            f"the table has {len(rows)} rows of {count(len(named), 'configuration')}; a claim is checked against one row of each",
            where=name,
            cure="Of scores per image make the verdict first: foldwise judge FILE --out verdict; then name verdict/verdict.json.",
        )
