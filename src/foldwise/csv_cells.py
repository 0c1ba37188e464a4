"""CSV files that we write: the one place where their cells are spelled, and read back to the same text.

Spreadsheet programs run a cell that begins like a formula, and names of files, classes and configurations may come from
anybody. Such a text gets an apostrophe before it, the sign of spreadsheets for a text; numbers stay numbers.

Source: OWASP, CSV Injection (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any, TextIO

# The wide forms are what keyboards of East Asia write, and programs there read as the narrow ones.
LEADS = "=+-@\t\r\n＝＋－＠"
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)  # by which Excel is told, above the names
_MAY_LEAD = frozenset(LEADS + "'")
_LEADING = re.compile(rf"'*[{re.escape(LEADS)}]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def spelled(cell: Any) -> Any:
    """A cell as it is written: a text that begins like a formula after an apostrophe, everything else as it is.

    >>> [spelled(cell) for cell in ("=1+1", "-", "-0.5", -0.5, "'=x", "a=b", None)]
    ["'=1+1", "'-", '-0.5', -0.5, "''=x", 'a=b', None]
    """
    if cell is None or isinstance(cell, int | float):
        return cell
    text = cell if isinstance(cell, str) else str(cell)
    if text[:1] not in _MAY_LEAD or not _LEADING.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def as_text(cell: str) -> str:
    """What `spelled` was given.

    >>> [as_text(cell) for cell in ("'=1+1", "''=x", "-0.5", "'tis")]
    ['=1+1', "'=x", '-0.5', "'tis"]
    """
    return cell[1:] if cell[:1] == "'" and _LEADING.match(cell) else cell


def joined(cells: Iterable[Any]) -> str:
    """Cells as a part of a line.

    >>> print(joined(("=1+1", 'a "b", c', 2.5)))
    '=1+1,"a ""b"", c",2.5
    """
    text = StringIO()
    TableWriter(text, end="").row(cells)
    return text.getvalue()


class TableWriter:
    """Writes rows into a file that was opened with ``newline=""``."""

    def __init__(self, file: TextIO, *, end: str = "\r\n") -> None:
        self._file, self._end = file, end
        self._rows = csv.writer(file, lineterminator=end)

    def row(self, cells: Iterable[Any]) -> None:
        """One row."""
        self._rows.writerow([spelled(cell) for cell in cells])

    def rows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Several."""
        self._rows.writerows([spelled(cell) for cell in row] for row in rows)

    def lines(self, lines: Iterable[str]) -> None:
        """Rows whose cells are spelled already, as `joined` does it."""
        self._file.write(self._end.join([*lines, ""]))


class TableReader:
    """Rows of cells as they were before they were written."""

    def __init__(self, lines: Iterable[str], *, separator: str = ",") -> None:
        self._rows = csv.reader(lines, delimiter=separator)

    @property
    def line_num(self) -> int:
        """The line that the last row ended on, from 1."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return [as_text(cell) for cell in next(self._rows)]


def read_rows(lines: Iterable[str]) -> list[dict[str, str]]:
    """Every row by the names of the first one."""
    table = csv.DictReader(())
    table.reader = TableReader(lines)  # type: ignore[assignment]
    return list(table)
