"""What rows gave, as records: kept in `results.json`, shown in `results.md`, and their growth drawn beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure
from benchmarks.table import Equality, Goal, Measured, Row, in_unit

ABOUT = """# How fast foldwise is

`make bench` measures this table anew and writes this page. A number with x is how many times as fast foldwise is; above 1 it is
faster. CPU time is of whole process trees, both ways taking turns; the median of the rounds, and the least and the most. *Equal*
says what both ways gave: the same where the arithmetic is the same. What each row does is in `benchmarks/rows/`;
[docs/speed.md](../docs/speed.md) says what lies behind it.
"""


@dataclass(frozen=True)
class Record:
    """What came of a row, here or elsewhere.

    Attributes:
        measured: None where it failed, or lacked something.
        loads: of the machine before and after, in processes that wanted to run.
        failed, lacks: why there is nothing.
    """

    measured: Measured | None = None
    quick: bool = False
    minutes: float = 0.0
    loads: tuple[float, float] = (0.0, 0.0)
    when: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    failed: str = ""
    lacks: str = ""

    @property
    def is_right(self) -> bool:
        """Whether both ways gave the same, as far as they ran."""
        return not self.failed and (self.measured is None or self.measured.equality.is_equal)

    def dump(self) -> dict[str, Any]:
        """As plain JSON; `Record.load` reads it."""
        return asdict(self)

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Record:
        """From what `dump` gave."""
        found = stored["measured"]
        if found is None:
            return cls(**stored)
        figures = {name: Figure(**figure) for name, figure in found["figures"].items()}
        growth = {name: [tuple(point) for point in points] for name, points in found["growth"].items()}
        about = found | {"figures": figures, "equality": Equality(**found["equality"]), "growth": growth}
        about["remarks"] = tuple(found["remarks"])
        return cls(**stored | {"measured": Measured(**about), "loads": tuple(stored["loads"])})


def lines_of(row: Row, record: Record) -> Iterator[str]:
    """A row as the terminal shows it."""
    if record.measured is None:
        yield f"FAILED: {record.failed}" if record.failed else f"not measured: {record.lacks}"
        return
    for name, goal in row.goals.items():
        figure = record.measured.figures[name]
        yield f"{name}: {shown(figure, goal)}; goal {goal}{said_of(record, figure, goal)}"
    yield f"{'equal' if record.measured.equality.is_equal else 'NOT EQUAL'}: {record.measured.equality.words}"
    if record.measured.limit:
        yield f"limit: {record.measured.limit}"
    yield from record.measured.remarks


def shown(figure: Figure, goal: Goal) -> str:
    """Median, and the range where there was more than one round."""
    middle = in_unit(figure.middle, goal.unit)
    if figure.rounds == 1:
        return middle
    low, high = (in_unit(value, goal.unit) for value in (figure.low, figure.high))
    return f"{middle} ({low} to {high})"


def said_of(record: Record, figure: Figure, goal: Goal) -> str:
    """Behind a goal: whether it is reached; that it is not meant for these sizes, of a quick run."""
    return ", of the full size" if record.quick else f": {verdict_on(figure, goal)}"


def verdict_on(figure: Figure, goal: Goal) -> str:
    """Whether the goal is reached."""
    return "reached" if goal.is_reached(figure) else "not reached"


def write(folder: Path, rows: Sequence[Row], fresh: Mapping[str, Record]) -> None:
    """Put fresh records among those of earlier runs, and draw the page and the growth of all.

    What this machine cannot measure keeps the record of one that could.
    """
    file = folder / "results.json"
    folder.mkdir(parents=True, exist_ok=True)
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    records = {name: Record.load(record) for name, record in stored.items()}
    for name, record in fresh.items():
        if not (record.lacks and name in records):
            records[name] = record
    records = {row.name: records[row.name] for row in rows if row.name in records}
    dumped = {name: record.dump() for name, record in records.items()}
    file.write_text(json.dumps(dumped, indent=1) + "\n", encoding="utf-8")
    plots = [name for name, record in records.items() if record.measured and record.measured.growth]
    for name in plots:
        found = records[name].measured
        assert found is not None
        draw(folder / f"{name}.svg", name.removeprefix("growth-"), found.growth)
    (folder / "results.md").write_text(page(rows, records), encoding="utf-8")


def page(rows: Sequence[Row], records: Mapping[str, Record]) -> str:
    """`results.md`."""
    lines = [ABOUT, *_machines(records), ""]
    lines += ["| work | against | what | result | goal | | equal |", "|---|---|---|---|---|---|---|"]
    notes: list[str] = []
    for row in rows:
        record = records.get(row.name)
        if record is None:
            continue
        lines += _cells(row, record)
        notes += _notes(row, record)
    plots = [
        f"![{row.work}]({row.name}.svg)"
        for row in rows
        if (record := records.get(row.name)) and record.measured and record.measured.growth
    ]
    return "\n".join([*lines, "", "## Limits and remarks", "", *notes, "", "## Growth", "", *plots, ""])


def _cells(row: Row, record: Record) -> Iterator[str]:
    if record.measured is None:
        words = "failed" if record.failed else record.lacks
        yield f"| {row.work} | {row.against} | {', '.join(row.goals)} | {words} | | | |"
        return
    for number, (name, goal) in enumerate(row.goals.items()):
        figure, equality = record.measured.figures[name], record.measured.equality
        head = (row.work, row.against) if number == 0 else ("", "")
        reached = "" if record.quick else verdict_on(figure, goal)
        result = f"**{shown(figure, goal)}**{' (quick)' if record.quick else ''}"
        words = (
            (equality.words if equality.is_equal else f"**not equal**: {equality.words}")
            if number == 0
            else ""
        )
        yield f"| {head[0]} | {head[1]} | {name} | {result} | {goal} | {reached} | {words} |"


def _notes(row: Row, record: Record) -> Iterator[str]:
    if record.measured is None:
        return
    missed = [name for name, goal in row.goals.items() if not goal.is_reached(record.measured.figures[name])]
    limit = [f"limit: {record.measured.limit}"] if record.measured.limit and missed else []
    words = [
        *limit,
        *record.measured.remarks,
        f"load {record.loads[0]} to {record.loads[1]}, {record.minutes} min",
    ]
    yield f"* **{row.name}**: {'; '.join(words)}."


def _machines(records: Mapping[str, Record]) -> Iterator[str]:
    """The machines and states of the program that the records come from, each with its rows."""
    of: dict[str, list[str]] = {}
    for name, record in records.items():
        if record.measured is not None:
            about = record.machine
            words = f"{about['processor']} ({about['features']}), GPU: {about['gpu']}, {about['software']}, foldwise {about['commit']}"
            of.setdefault(f"{words}, {record.when[:10]}", []).append(name)
    for words, names in of.items():
        yield f"Measured on {words}{'' if len(of) == 1 else ': ' + ', '.join(names)}.\n"


def draw(file: Path, x_title: str, growth: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Lines on two logarithmic axes, as SVG whose text is text."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "foldwise", "font.size": 9}
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(6.2, 3.6), layout="constrained")
    for name, points in growth.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=1, label=name)
    axes.set(xscale="log", yscale="log", xlabel=x_title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
