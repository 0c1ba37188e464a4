"""What a text is checked against: one form for a verdict and for a plain table of results, opened by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from foldwise.csv_cells import as_text
from foldwise.errors import DataError, RunError, SpecError, unknown
from foldwise.foreign import refuse_strange
from foldwise.judging.external.text import EMPTY, UNNAMED, cells_of, open_text
from foldwise.judging.verdict import Pair, Verdict, read_verdict
from foldwise.judging.verdict_configurations import ConfigurationResult
from foldwise.judging.verdict_sections import LevelPair
from foldwise.metrics.names import kind_of, named_score
from foldwise.text import count, in_shell

SOURCES = "a run folder, a verdict.json, or a CSV table with one row per configuration"
# Columns by which a results.csv of our own is recognised: it lacks what was tested.
OWN = ({"configuration", "name", "verdict", "metric"}, {"configuration", "verdict", "could_be_best"})
NAME = re.compile(r"((.*[_ ])?(id|name|nr|no|number)|configuration|run|experiment|row|#)$", re.IGNORECASE)
MATRIX = r"[\[(].*[\])]$"
TIME = re.compile(r"time|duration|latency", re.IGNORECASE)
MAX_NAMED = 4
FAMILIES = {"best": "comparisons with the best", "all pairs": "all pairs"}
Levels = Mapping[str, Sequence[str]]
Two = tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True)
class ReportedMetric:
    """A metric; a `share` lies between 0 and 1, and `tested` is the one whose differences were tested."""

    name: str
    title: str
    higher_is_better: bool | None  # None where the name does not tell
    share: bool = False
    tested: bool = False

    def shown_of(self, rows: Sequence[Row]) -> str:
        """``a 0.91, b 0.8725 and 3 more``: more digits than a text prints, so that its rounding can be followed."""
        values = ", ".join(f"{row.shown} {row.values[self.name]:.4g}" for row in rows[:MAX_NAMED])
        return values + (f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else "")


@dataclass(frozen=True, eq=False)
class Row:
    """A configuration with what the verdict says of it, if any; two rows with the same numbers are two rows."""

    name: str
    levels: Mapping[str, str]
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    result: ConfigurationResult | None = None

    @property
    def shown(self) -> str:
        """Its name; of a number also what it stands for."""
        levels = f" ({' · '.join(self.levels.values())})" if self.levels else ""
        return f"#{self.name}{levels}" if self.name.isdigit() else self.name


@dataclass(frozen=True)
class Contrast:
    """Two that are compared, the first minus the second, by all pairs of rows that differ in nothing else."""

    pairs: Sequence[tuple[Row, Row]]
    each: Sequence[float]  # the differences of the pairs
    value: float  # the tested difference, else the mean of `each`
    conclusion: str | None = None  # of the test; None where nothing was tested
    intervals: Sequence[tuple[float, float]] = ()  # that of the test, then that of this pair alone
    family: str = ""  # over what that of the test holds together with others
    agree: int = 0  # of so many pairs the verdict says that they differ in this direction

    @property
    def sure(self) -> bool:
        """Whether it is beyond chance: 0 is not in the interval by which the verdict tells two apart."""
        low, high = self.intervals[0] if self.conclusion and self.intervals else (0.0, 0.0)
        return low * high > 0

    def tested(self, pairs: Sequence[Pair[str] | LevelPair], a: str | None, b: str | None) -> Contrast:
        """The same with what the verdict says of a and b; unchanged where it says nothing."""
        pair = next((pair for pair in pairs if {pair.a, pair.b} == {a, b} and a != b), None)
        if pair is None:
            return self
        sign = 1 if pair.a == a else -1
        if isinstance(pair, Pair):
            family, agree = FAMILIES[pair.family], 0
            ends = [(pair.low_all, pair.high_all), (pair.low, pair.high)]
        else:
            family, agree = "all levels", pair.agree
            ends = [pair.interval] if pair.interval else []
        turned = ends if sign == 1 else [(-high, -low) for low, high in ends]
        value = self.value if pair.difference is None else sign * pair.difference
        judged = replace(self, conclusion=pair.conclusion, intervals=turned, family=family)
        return replace(judged, value=value, agree=agree)


@dataclass(frozen=True)
class ScoreTable:
    """All that is known; `default` is the measure of a sentence that names none, and a plain table has no verdict."""

    source: str
    rows: tuple[Row, ...]
    measures: Mapping[str, ReportedMetric]
    default: str
    verdict: Verdict | None = None

    @cached_property
    def compared(self) -> tuple[Row, ...]:
        """The configurations that can be compared: of a run, the ones that are complete."""
        return tuple(row for row in self.rows if row.result is None or row.result.compared)

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Factor -> levels, in the order of the table."""
        levels: dict[str, dict[str, None]] = {}
        for name, level in (pair for row in self.rows for pair in row.levels.items()):
            levels.setdefault(name, {})[level] = None
        return {name: tuple(of) for name, of in levels.items()}

    @property
    def limit(self) -> str:
        """How far a true sentence reaches."""
        reach = self.verdict.reach if self.verdict else "this table only: nothing in it was tested"
        return f"Holds for {reach}."

    def holding(self, wanted: Levels) -> list[Row]:
        """The configurations that have one of the levels of every factor that is named."""
        return [row for row in self.rows if all(row.levels.get(name) in of for name, of in wanted.items())]

    def of_rows(self, measure: ReportedMetric, a: Row, b: Row) -> Contrast | None:
        """Two configurations; None where one has no value."""
        plain = _contrast(measure, [(a, b)])
        if plain and measure.tested and self.verdict and a.result and b.result:
            return plain.tested(self.verdict.pairs, a.result.id, b.result.id)
        return plain

    def of_levels(self, measure: ReportedMetric, factor: str, two: Two, among: Levels) -> Contrast | None:
        """Two levels of a factor; None where no two configurations differ in it alone."""
        firsts, seconds = (self.holding({**among, factor: levels}) for levels in two)
        others = [name for name in self.factors if name != factor]
        pairs = [(a, b) for a in firsts for b in seconds if {a, b} <= set(self.compared)]
        alike = [(a, b) for a, b in pairs if all(a.levels.get(name) == b.levels.get(name) for name in others)]
        plain, effects = _contrast(measure, alike), self.verdict.factors if self.verdict else None
        effect = effects.effect(factor) if effects else None
        if plain and effect and measure.tested and not among:
            return plain.tested(effect.pairs, *(effect.level_of(set(levels)) for levels in two))
        return plain


def _contrast(measure: ReportedMetric, pairs: Sequence[tuple[Row, Row]]) -> Contrast | None:
    valued = [(a, b) for a, b in pairs if measure.name in a.values and measure.name in b.values]
    each = [a.values[measure.name] - b.values[measure.name] for a, b in valued]
    return Contrast(valued, each, sum(each) / len(each)) if each else None


def of_verdict(verdict: Verdict, source: str = "verdict.json") -> ScoreTable:
    """The numbers of a verdict; RunError where no configuration has a score yet."""
    rows = []
    for result in verdict.configurations:
        scores = {name: of.estimate for name, of in result.metrics.items() if of.estimate is not None}
        ends = {name: of.interval for name, of in result.metrics.items()}
        intervals = {name: both for name, both in ends.items() if both and both[0] < both[1]}
        rows.append(Row(result.name, result.levels, scores, intervals, result))
    if not any(row.values for row in rows):
        cure = "foldwise run goes on; foldwise report judges what is done."
        raise RunError("this verdict holds no score yet", where=source, cure=cure)
    measures = {
        name: ReportedMetric(name, of.title, of.higher_is_better, of.bounded, name == verdict.metric.name)
        for name, of in verdict.metrics.items()
    }
    return ScoreTable(source, tuple(rows), measures, verdict.metric.name, verdict)


def open_report(path: Path, *, metric: str | None = None) -> ScoreTable:
    """The numbers of a run folder, of a verdict.json, or of a table with one row per configuration.

    `metric` is what a sentence means that names none: by default the one that decides, or the first of the table.
    SpecError where there is no such file or metric, RunError where there is no verdict, DataError for other tables.
    """
    if not path.exists():
        raise SpecError(f"there is no file {path}", cure=f"Name {SOURCES}.")
    if path.is_dir() and not (path / "verdict.json").is_file():
        cure = f"Name {SOURCES}; a run that has no verdict yet gets one by: foldwise report {in_shell(path)}"
        raise RunError("there is no verdict.json in this folder", where=str(path), cure=cure)
    if path.is_dir():
        refuse_strange(path)
        path = path / "verdict.json"
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
    cells = cells_of(text, text.columns).fillna("").apply(lambda column: column.str.strip()).map(as_text)
    frame = cells[(cells != "").any(axis=1)].reset_index(drop=True)
    numbers = {name: _numbers(frame[name], text.separator) for name in frame if not UNNAMED.fullmatch(name)}
    # Numbers that are neither, such as a rate or a depth, are settings.
    scored = (name for name in numbers if kind_of(name) or TIME.search(name) or "%" in "".join(frame[name]))
    measures = [_measure(name, numbers[name]) for name in scored]
    measures.sort(key=lambda measure: kind_of(measure.name) is None)
    scores = {measure.name: measure for measure in measures}
    if not measures or not (kind_of(measures[0].name) or measures[0].share):
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
    better = False if TIME.search(name) else named_score(name).higher_is_better
    return ReportedMetric(name, name.replace("_", " "), better, bool(values.dropna().between(0, 1).all()))
