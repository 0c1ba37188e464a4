"""What a text is checked against: one form for a verdict and for a plain table of results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Record = Mapping[str, Any]
RANKED = ("winner", "could be best", "worse")
UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Measure:
    """A column of numbers.

    Attributes:
        name: of the column.
        title: for people.
        higher_is_better: None where nobody said and the name does not tell.
        share: its values lie between 0 and 1, so that a text may say them in per cent.
        unit: of times, one of `UNITS_S`; else empty.
        tested: whether the differences between configurations were tested by it.
    """

    name: str
    title: str
    higher_is_better: bool | None
    share: bool = False
    unit: str = ""
    tested: bool = False


@dataclass(frozen=True, eq=False)
class Row:
    """A configuration, or a baseline; two rows with the same numbers are two rows.

    Attributes:
        levels: factor -> level.
        values: measure -> number; what is not known is not there.
        intervals: measure -> (low, high), of those that are known.
        standing: its record in the verdict; empty for a row of a plain table.
        baseline: it stands beside the comparison.
    """

    name: str
    levels: Mapping[str, str]
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    standing: Record = field(default_factory=dict)
    baseline: bool = False
    id: str = ""


@dataclass(frozen=True)
class Table:
    """All that is known.

    Attributes:
        source: what the numbers are of, for people.
        measures: by name.
        default: the measure of a sentence that names none; the one that decides, of a verdict.
        verdict: verdict.json; empty for a plain table, in which nothing was tested.
    """

    source: str
    rows: tuple[Row, ...]
    measures: Mapping[str, Measure]
    default: str
    verdict: Record = field(default_factory=dict)

    @cached_property
    def configurations(self) -> tuple[Row, ...]:
        """The rows that are configurations."""
        return tuple(row for row in self.rows if not row.baseline)

    @cached_property
    def compared(self) -> tuple[Row, ...]:
        """Those that can be compared: of a run, the ones that are complete."""
        return tuple(
            row for row in self.configurations if not row.standing or row.standing["verdict"] in RANKED
        )

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Factor -> levels, in the order of the table."""
        names = dict.fromkeys(name for row in self.configurations for name in row.levels)
        return {
            name: tuple(dict.fromkeys(row.levels[name] for row in self.configurations if name in row.levels))
            for name in names
        }

    @property
    def tested(self) -> bool:
        """Whether anything was tested: a table of averages cannot say what is chance."""
        return bool(self.verdict.get("pairs") or self.verdict.get("factors"))

    @property
    def sure(self) -> str:
        """The confidence of the intervals: ``95 %``."""
        return f"{100 * (1 - float(self.verdict.get('alpha') or 0.05)):g} %"

    @property
    def margin(self) -> float | None:
        """The difference that was called of no consequence; None where nobody said."""
        return (self.verdict.get("metric") or {}).get("equivalent_within")

    def holding(self, wanted: Mapping[str, Iterable[str]]) -> list[Row]:
        """The configurations that have one of the levels of every factor that is named."""
        sets = {factor: set(levels) for factor, levels in wanted.items()}
        return [
            row
            for row in self.configurations
            if all(row.levels.get(factor) in levels for factor, levels in sets.items())
        ]

    def ranked(self, measure: Measure, rows: Sequence[Row] | None = None) -> list[Row]:
        """The configurations with a value, best first; where no way is better, the largest first."""
        sign = -1 if measure.higher_is_better is not False else 1
        known = [row for row in (self.compared if rows is None else rows) if measure.name in row.values]
        return sorted(known, key=lambda row: sign * row.values[measure.name])

    def pair(self, a: Row, b: Row) -> Record | None:
        """What the verdict tells of two configurations; None where it tells nothing."""
        for record in self.verdict.get("pairs") or ():
            if {record["a"], record["b"]} == {a.id, b.id} and a.id != b.id:
                return dict(record)
        return None

    def matched(
        self, factor: str, a: Iterable[str], b: Iterable[str], within: Mapping[str, Iterable[str]]
    ) -> Iterator[tuple[Row, Row]]:
        """Every two configurations that differ in one factor alone: a level of `a` and one of `b`."""
        right: dict[tuple[str, ...], list[Row]] = defaultdict(list)
        for row in self._comparable({**within, factor: b}):
            right[self._rest(row, factor)].append(row)
        for row in self._comparable({**within, factor: a}):
            for other in right[self._rest(row, factor)]:
                yield row, other

    def _comparable(self, wanted: Mapping[str, Iterable[str]]) -> list[Row]:
        known = set(self.compared)
        return [row for row in self.holding(wanted) if row in known]

    def _rest(self, row: Row, factor: str) -> tuple[str, ...]:
        return tuple(row.levels.get(name, "") for name in self.factors if name != factor)

    def mattered(self, factor: str, *, tuned: bool = False) -> Record | None:
        """What the verdict tells of a factor: of a nested one over all settings, or with the best of each (tuned)."""
        told = (self.verdict.get("factors") or {}).get("factors", ())
        of = (one for one in told if one["factor"] == factor)
        return next((one for one in of if (one["view"] == "as tuned") == tuned), None)

    def contrast(self, factor: str, a: set[str], b: set[str], *, tuned: bool = False) -> Record | None:
        """What the verdict tells of two levels of a factor; `leads`: whether `a` is the better of them."""
        told = self.mattered(factor, tuned=tuned)
        if told is None:
            return None
        labels = [label_of(told, levels) for levels in (a, b)]
        for pair in told["pairs"]:
            if [pair["a"], pair["b"]] == labels:
                return dict(pair) | {"leads": True}
            if [pair["b"], pair["a"]] == labels:
                return dict(pair) | {"leads": False}
        return None


def label_of(mattered: Record, levels: set[str]) -> str | None:
    """What a factor calls the level that these are, or that they are settings of; None where they are several."""
    for one in mattered["levels"]:
        settings = {str(setting) for setting in one["settings"]}
        if levels <= settings | {one["level"]} or settings <= levels:
            return str(one["level"])
    return None
