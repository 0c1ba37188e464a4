"""CSV cells: nothing that we write runs as a formula, numbers stay numbers, and every text comes back as it was."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldwise.csv_cells import LEADS, TableReader, TableWriter, as_text, read_rows, spelled
from foldwise.data.layouts.tables import read_table
from foldwise.judging.tables import collect
from foldwise.judging.tables import write_table as write_rows
from foldwise.storage import write_table

SOURCE = Path(__file__).parents[1] / "src" / "foldwise"
FORMULAS = [
    "=1+1", "=HYPERLINK(\"http://x\",\"y\")", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "=", "-", "＝1", "--",
    "+1 %", "-1-1", "=1e5", "-a", "+", "@",
]  # fmt: skip
PLAIN = [
    "a",
    "a=b",
    "0.5",
    "-0.5",
    "+3",
    "-1e-5",
    "-.5",
    "-5.",
    "'tis",
    "'",
    "''",
    " -x",
    "",
    "1-2",
    "é",
    "‑x",
]
texts = st.text(alphabet=st.sampled_from([*LEADS, "'", "a", "0", ".", "e", ",", '"', ";", " "]), max_size=8)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_a_text_and_comes_back(text):
    assert spelled(text) == f"'{text}"
    assert as_text(f"'{text}") == text
    assert as_text(spelled(f"'{text}")) == f"'{text}"  # also where the apostrophe was there before


@pytest.mark.parametrize("text", PLAIN)
def test_everything_else_stays_as_it_is(text):
    assert spelled(text) == as_text(text) == text


@pytest.mark.parametrize(
    "number", [0, -1, -0.5, 1e-300, float("-inf"), np.float64(-0.25), np.int64(-3), True, None]
)
def test_numbers_are_written_as_the_csv_module_writes_them(number):
    theirs, ours = io.StringIO(), io.StringIO()
    csv.writer(theirs).writerow([number, "a"])
    TableWriter(ours).row([number, "a"])
    assert ours.getvalue() == theirs.getvalue()


@given(st.lists(st.lists(texts, min_size=2, max_size=2), min_size=1, max_size=5))
def test_every_table_comes_back_and_no_cell_of_it_is_a_formula(rows):
    file = io.StringIO(newline="")
    TableWriter(file).rows(rows)
    assert list(TableReader(io.StringIO(file.getvalue(), newline=""))) == rows
    for cell in (cell for row in csv.reader(io.StringIO(file.getvalue(), newline="")) for cell in row):
        assert cell[:1] not in [*LEADS] or re.fullmatch(r"[+-](\d+\.?\d*|\.\d+)(e[+-]?\d+)?", cell)


def test_whoever_writes_a_table_here_writes_it_so_and_its_reader_reads_it_so(tmp_path):
    row = {"=name": "@x", "group": "-", "score": -0.5}
    write_table(tmp_path / "a.csv", [row])
    write_rows(tmp_path / "b.csv", list(row), iter([list(row.values())]))
    assert collect(tmp_path / "c.csv", row)
    assert not collect(tmp_path / "c.csv", row)  # known again
    for name in "abc":
        path = tmp_path / f"{name}.csv"
        assert path.read_text().split() == ["'=name,group,score", "'@x,'-,-0.5"]
        with path.open(newline="") as file:
            assert read_rows(file) == [{"=name": "@x", "group": "-", "score": "-0.5"}]
        assert read_table(path).rows[0]["=name"] == "@x"


def test_there_is_no_other_way_to_write_a_table():
    writes = re.compile(r"csv\.(writer|DictWriter)\(|\.to_csv\(")
    users = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if writes.search(path.read_text())
    ]
    # What `foldwise export` writes is a script of its own, which runs where there is no foldwise.
    assert sorted(users) == ["csv_cells.py", "learning/export/standalone.py"]
