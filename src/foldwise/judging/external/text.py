"""Tables of scores as they stand in CSV and TSV files, small or very large."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

from foldwise.csv_cells import SEPARATOR_LINE, as_text
from foldwise.errors import DataError
from foldwise.judging.external.pieces import Coded, Places
from foldwise.metrics.outputs import Bools
from foldwise.text import some

# Enough rows to recognise columns by, of a file that may be larger than the memory.
HEAD_BYTES = 1 << 18
CHUNK_BYTES = 1 << 24
MAX_COLUMNS = 10_000
EMPTY = ["", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-", "#N/A", "missing"]  # fmt: skip
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
UNNAMED = re.compile(r"Unnamed: \d+")  # as pandas calls a column without a name
MEANT = re.compile(
    r"[-+]?(\d*[.,]\d+|\d+|\d{1,3}([.,' \N{RIGHT SINGLE QUOTATION MARK}]\d{3})+([.,]\d+)?) ?%?"
)
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
SHEETS = (".xlsx", ".xls", ".ods", ".numbers")


@dataclass(frozen=True)
class Text:
    """A table on disk and how it begins.

    Attributes:
        path, name: of the file.
        columns: their names.
        separator: between its cells.
        sample: its first rows, as text.
        first: the line of its names, from 1; Excel may write ``sep=;`` above it.
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    separator: str
    sample: tuple[dict[str, str], ...]
    first: int = 1

    def number(self, cell: str, *, decimal: str = ".") -> float | None:
        """A cell as a number; None where it is none, or none that every program reads: ``1_000``.

        Where the `decimal` mark of the table is a comma, a point marks thousands, as in ``1.201,5``, and None is given.
        """
        if not cell.isascii() or "_" in cell or (decimal == "," and "." in cell):
            return None
        if self.separator != "," and COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        try:
            return float(cell)
        except ValueError:
            return None

    def decimal(self, columns: Sequence[str]) -> str:
        """The mark in the numbers of these columns: a comma where a spreadsheet of such a country wrote one."""
        commas = any(COMMA.fullmatch(_unsigned(row[name])) for row in self.sample for name in columns)
        return "," if commas and self.separator != "," else "."

    def in_percent(self, column: str) -> bool:
        """Whether all cells of the sample that are not empty have a per cent sign."""
        cells = [row[column] for row in self.sample if row[column] not in EMPTY]
        return bool(cells) and all(cell.endswith("%") for cell in cells)

    def numeric(self, column: str) -> bool:
        """Whether most cells of the sample are numbers, or empty; a column without name and cells holds none.

        ``87%`` counts, and ``0,81`` between commas: meant as a number, it is refused where it is read.
        """
        cells = [row[column] for row in self.sample if row[column] not in EMPTY]
        numbers = sum(self.number(cell) is not None or _meant(cell) for cell in cells)
        most = 2 * numbers >= len(cells)
        return most and bool(cells or not UNNAMED.fullmatch(column))


def _unsigned(cell: str) -> str:
    """A cell without its per cent sign."""
    return cell.removesuffix("%").rstrip()


def _meant(cell: str) -> bool:
    """Whether a cell that is no number was meant as one: a percentage, a comma, a typographic minus, a wide space."""
    plainly = normalize("NFKC", cell).replace("\N{MINUS SIGN}", "-").strip()
    return bool(MEANT.fullmatch(plainly))


def open_text(path: Path, name: str) -> Text:
    """The beginning of a table.

    Raises:
        DataError: it cannot be read, is empty, no UTF-8 text, or no table.
    """
    if path.suffix.lower() in SHEETS:
        cure = "Save the sheet as CSV (UTF-8), and judge that file."
        raise DataError("a spreadsheet program's own file cannot be read", where=name, cure=cure)
    lines, first = _beginning(path, name), 1
    stated = SEPARATOR_LINE.fullmatch(lines[0].strip("\r\n"))
    if stated:
        lines, first = lines[1:] or [""], 2
    separator = stated[1] if stated else max((",", ";", "\t"), key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True)) or [[]]
    except csv.Error as error:
        cure = "Put cells that contain the separator or quotes in double quotes."
        raise DataError(f"the table cannot be read ({error})", where=name, cure=cure) from None
    columns = tuple(as_text(cell.strip()) or f"Unnamed: {index}" for index, cell in enumerate(rows[0]))
    _check(columns, rows, name, first)
    cells = [[as_text(cell.strip()) for cell in row] for row in rows[1:] if any(cell.strip() for cell in row)]
    sample = tuple(dict(zip(columns, row, strict=False)) for row in cells if len(row) >= len(columns))
    if not sample:
        what = f"the header has {len(columns)} cells, and no row has as many"
        cure = "Separate all cells by the same sign: commas, semicolons or tabs."
        raise DataError(what, where=name, cure=cure)
    return Text(path, name, columns, separator, sample, first)


def _beginning(path: Path, name: str) -> list[str]:
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
        more = bool(file.read(1))
        file.seek(0)
        # Readers of tables pass over them, or end there: either would change a name or a number.
        chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
        if any(b"\0" in chunk for chunk in chunks) and not raw.startswith(UTF_16):
            cure = "Export the table as CSV UTF-8 once more."
            raise DataError("the file holds null bytes, so it is no text", where=name, cure=cure)
    # The last line is cut somewhere, perhaps within a character.
    if more and raw.count(b"\n") + raw.count(b"\r") > 1:
        raw = raw[: max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1]
    elif more:
        what = f"its first two lines are longer than {HEAD_BYTES // 1024} kB"
        raise DataError(what, where=name, cure="Write a row per case, in lines.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        cure = "Save it as CSV UTF-8."
        raise DataError("the file is not UTF-8 text", where=name, cure=cure) from None
    if not text.strip():
        raise DataError("the file is empty", where=name, cure="Write a header line and one row per score.")
    # Only these end a line of a table; str.splitlines knows others, which may stand in a cell.
    return list(io.StringIO(text, newline=""))


def _check(columns: Sequence[str], rows: Sequence[Sequence[str]], name: str, first: int) -> None:
    if len(columns) > MAX_COLUMNS:
        cure = "Write a row per case, and a column per configuration."
        raise DataError(
            f"the header has {len(columns):,} cells; at most {MAX_COLUMNS:,} are read", where=name, cure=cure
        )
    twice = sorted(name for name, number in Counter(columns).items() if number > 1)
    if twice:
        cure = "Give every column its own name."
        raise DataError(f"two columns are called {some(map(repr, twice))}", where=name, cure=cure)
    if len(columns) < 2:
        cure = "Put commas, semicolons or tabs between the columns, and their names into the first line."
        raise DataError("the file has a single column", where=name, cure=cure)
    if len(rows) < 2:
        raise DataError("the file has a header but no rows", where=name, cure="Write one row per score.")
    wrong = [number + first for number, row in enumerate(rows) if len(row) > len(columns) and any(row)]
    if wrong:
        cure = (
            "Name every column in the first line, and put cells that contain the separator in double quotes."
        )
        raise DataError(
            f"the header has {len(columns)} cells, and line {wrong[0]} has more", where=name, cure=cure
        )


def load(text: Text, names: Sequence[str], scores: Sequence[str]) -> tuple[pd.DataFrame, Places]:
    """Columns of names, as categories, and of scores, as numbers, and the (N,) lines that the rows stand in.

    Blank lines are left out.

    Raises:
        DataError: a score is no number, or a row has too many cells; all such scores at once.
    """
    # Names are text: as numbers, 12.10 would be 12.1, and 001 would be 1.
    kinds: dict[str, Any] = dict.fromkeys(names, str) | dict.fromkeys(scores, np.float64)
    try:
        frame = _read(text, kinds)
    except ValueError:
        # pandas does not say which cell was no number: the columns are read once more, as names.
        frame = _without_signs(text, cells_of(text, list(kinds)), scores)
    for name in names:
        if frame[name].str.startswith("'").any():
            frame[name] = frame[name].map(as_text)
    frame = frame.astype(dict.fromkeys(names, "category"))
    lines = np.arange(text.first + 1, len(frame) + text.first + 1, dtype=np.int32)
    blank = frame[list(scores)].isna().all(axis=1).to_numpy()
    for name in names:
        blank = blank & _is_empty(frame[name])
    return (frame[~blank], lines[~blank]) if blank.any() else (frame, lines)


def cells_of(text: Text, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns as text, with the blank lines.

    Raises:
        DataError: a row has too many cells, or quotes that do not end.
    """
    return _read(text, dict.fromkeys(columns, str))


def _read(text: Text, kinds: dict[str, Any]) -> pd.DataFrame:
    try:
        return _read_csv(text, kinds)
    except pd.errors.ParserError as error:
        cure = "Put cells that contain the separator in double quotes."
        raise DataError(f"the table cannot be read ({error})", where=text.name, cure=cure) from None
    except UnicodeDecodeError:
        raise DataError("the file is not UTF-8 text", where=text.name, cure="Save it as CSV UTF-8.") from None


def _read_csv(text: Text, kinds: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(
        text.path,
        sep=text.separator,
        decimal=text.decimal([name for name, kind in kinds.items() if kind is np.float64]),
        header=text.first - 1,
        names=list(text.columns),
        index_col=False,
        usecols=list(kinds),
        dtype=kinds,
        # Only scores may be missing: a configuration may well be called NA.
        keep_default_na=False,
        na_values={name: EMPTY for name, kind in kinds.items() if kind is np.float64},
        # Kept, so that the place of a row tells its line in the file.
        skip_blank_lines=False,
        skipinitialspace=True,
        encoding="utf-8-sig",
    )


def _without_signs(text: Text, frame: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """A frame of text with numbers for scores that all have a per cent sign, which is left out: ``80 %`` is 80.

    Raises:
        DataError: some score has no such sign, or is no number without it.
    """
    cells = {column: frame[column].str.strip() for column in scores}
    there = {column: own[~own.isin(EMPTY)] for column, own in cells.items()}
    if not all(own.str.endswith("%").all() for own in there.values()):
        raise _no_numbers(text, frame, scores)
    bare = frame.assign(**{column: own.map(_unsigned) for column, own in cells.items()})
    decimal = text.decimal(scores)
    for column, own in there.items():
        numbers = [text.number(_unsigned(cell), decimal=decimal) for cell in own]
        if None in numbers:
            raise _no_numbers(text, bare, scores)
        frame[column] = pd.Series(numbers, index=own.index, dtype=np.float64).reindex(frame.index)
    return frame


def _no_numbers(text: Text, frame: pd.DataFrame, scores: Sequence[str]) -> DataError:
    """Every score that is no number, with its line."""
    wrong_cells = []
    decimal = text.decimal(scores)
    for column in scores:
        cells = frame[column].astype("category")
        bad = [
            name
            for name in cells.cat.categories
            if text.number(str(name), decimal=decimal) is None and str(name).strip() not in EMPTY
        ]
        wrong = np.flatnonzero(cells.isin(bad)).tolist()
        wrong_cells += [(line + text.first + 1, column, str(cells.iloc[line])) for line in wrong]
    listed = [f"line {line}, column {column}: {cell!r}" for line, column, cell in sorted(wrong_cells)]
    cure = (
        "Write a number such as 0.85, with no mark of thousands, per cent or unit, or leave the cell empty where "
        "there is no score."
        if listed
        else "Write numbers with a point, such as 0.85."
    )
    what = "a score is" if len(listed) == 1 else f"{len(listed) or 'some'} scores are"
    return DataError(f"{what} no number: {some(listed)}", where=text.name, cure=cure)


def _is_empty(column: pd.Series[Any]) -> Bools:
    codes = column.cat.codes.to_numpy()
    empty = [code for code, name in enumerate(column.cat.categories) if not str(name).strip()]
    return np.asarray(np.isin(codes, [-1, *empty]))


def coded(column: pd.Series[Any]) -> Coded:
    """A column of names as codes; an empty cell is the empty name."""
    codes, names = column.cat.codes.to_numpy().astype(np.int32), [str(name) for name in column.cat.categories]
    return Coded.of(np.where(codes < 0, len(names), codes), [*names, ""])
