"""The table of speeds: what every row states, how it is run and written, and that ways which differ end the command with 1."""

import json
import sys

import pytest

from benchmarks import __main__ as runner
from benchmarks.measuring import Figure, in_turns, machine, ratio, spent
from benchmarks.results import Record, lines_of, page, write
from benchmarks.rows.growth import power
from benchmarks.rows.table import ROWS
from benchmarks.table import Equality, Goal, Measured, Row

SAME, DIFFERENT = Equality("difference 0", True), Equality("difference 0.1", False)
ENOUGH = Goal(1.5)


def row(name="fake", equality=SAME, value=2.0, goal=ENOUGH, lacks="", growth=None):
    def measure(bench):
        assert bench.folder.is_dir()
        return Measured(
            {"CPU time": Figure.of([value])}, equality, "1.8x is what it can be", (), growth or {}
        )

    return Row(name, "work", "the plain way", {"CPU time": goal}, measure, 2, 0.5, lambda: lacks)


@pytest.fixture
def here(monkeypatch):
    """Rows are measured in this process."""
    monkeypatch.setattr(
        runner,
        "alone",
        lambda row, **how: Record(lacks=row.lacks()) if row.lacks() else runner.measured(row, **how),
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_says_what_it_is_and_what_it_takes(row):
    assert row.work
    assert row.against
    assert row.goals
    assert all(goal.value > 0 for goal in row.goals.values())
    assert all(goal.unit in ("x", "s", "ms", "MB", "") for goal in row.goals.values())
    assert 0 < row.quick_minutes < row.minutes
    assert isinstance(row.lacks(), str)


def test_names_are_unlike_and_a_quick_run_is_quick():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert sum(row.quick_minutes for row in ROWS) <= 15


def test_a_row_is_measured_and_its_goal_is_answered(here, tmp_path, capsys):
    assert runner.main(["--out", str(tmp_path)], [row()]) == 0
    printed = capsys.readouterr().out
    assert "about 2 minutes" in printed
    assert "CPU time: 2x; goal at least 1.5x: reached" in printed
    assert "equal: difference 0" in printed
    written = (tmp_path / "results.md").read_text()
    assert "| work | the plain way | CPU time | **2x** | at least 1.5x | reached | difference 0 |" in written
    assert machine()["features"] in written


def test_a_goal_that_is_missed_is_no_failure_and_shows_its_limit(here, tmp_path, capsys):
    assert runner.main(["--out", str(tmp_path)], [row(goal=Goal(3.0))]) == 0
    assert "not reached" in capsys.readouterr().out
    assert "limit: 1.8x is what it can be" in (tmp_path / "results.md").read_text()


def test_ways_that_differ_are_a_failure(here, tmp_path, capsys):
    assert runner.main(["--out", str(tmp_path)], [row(equality=DIFFERENT), row("other")]) == 1
    assert "NOT EQUAL: difference 0.1" in capsys.readouterr().out
    assert "**not equal**" in (tmp_path / "results.md").read_text()


def test_what_is_not_here_is_said_and_what_another_machine_measured_stays(here, tmp_path, capsys):
    assert runner.main(["--out", str(tmp_path)], [row(lacks="no GPU here")]) == 0
    assert "not measured: no GPU here" in capsys.readouterr().out
    assert runner.main(["--out", str(tmp_path)], [row()]) == 0
    assert runner.main(["--out", str(tmp_path)], [row(lacks="no GPU here")]) == 0
    assert "**2x**" in (tmp_path / "results.md").read_text()


def test_a_quick_run_says_that_goals_are_not_for_it_and_writes_nothing(here, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "none")
    assert runner.main(["--quick"], [row()]) == 0
    assert "goal at least 1.5x, of the full size" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_an_unknown_row_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit):
        runner.main(["gel"], [row()])
    assert "no row is called gel; there are fake" in capsys.readouterr().err


def test_a_row_that_fails_in_its_process_is_shown_and_fails_the_command(tmp_path, capsys):
    broken = row("no-such-row")  # its process does not know it
    assert runner.main(["--out", str(tmp_path)], [broken]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_records_are_read_back_as_they_were_and_growth_is_drawn(tmp_path):
    growing = row("growth-images", growth={"check": [(100, 1.0), (1000, 9.0)]})
    record = runner.measured(growing)
    assert Record.load(json.loads(json.dumps(record.dump()))) == record
    write(tmp_path, [growing], {"growth-images": record})
    first = (tmp_path / "growth-images.svg").read_bytes()
    assert b"check" in first
    write(tmp_path, [growing], {"growth-images": record})
    assert (tmp_path / "growth-images.svg").read_bytes() == first
    assert "![work](growth-images.svg)" in page([growing], {"growth-images": record})


def test_a_range_is_shown_where_there_were_rounds():
    record = Record(Measured({"CPU time": Figure.of([2.0, 3.0, 1.0])}, SAME))
    assert next(lines_of(row(), record)) == "CPU time: 2x (1x to 3x); goal at least 1.5x: reached"


def test_a_command_is_measured_with_the_processes_that_it_starts(tmp_path):
    busy = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(3_000_000))'])"
    alone = spent([sys.executable, "-c", "pass"], cwd=tmp_path)
    both = in_turns(
        {"idle": lambda: alone, "busy": lambda: spent([sys.executable, "-c", busy], cwd=tmp_path)}, 2
    )
    assert len(both["busy"]) == 2
    assert both["busy"][0].cpu_s > alone.cpu_s
    with pytest.raises(SystemExit, match="failed"):
        spent([sys.executable, "-c", "raise ValueError"], cwd=tmp_path)


def test_ratios_are_of_one_round():
    assert ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == Figure(3.0, 2.0, 4.0, 3)


def test_the_power_is_that_of_the_steepest_line():
    lines = {"flat": [(100, 1.0), (1000, 1.0)], "square": [(100, 1.0), (1000, 100.0)]}
    assert power(lines).middle == pytest.approx(2)
