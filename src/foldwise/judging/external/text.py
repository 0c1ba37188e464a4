"""Tables of scores as they stand in CSV and TSV files, small or very large, and as rows of scores with coded names."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from foldwise.errors import DataError
from foldwise.metrics.outputs import Bools, Floats
from foldwise.text import natural, some

# Enough rows to recognise columns by, of a file that may be larger than the memory.
HEAD_BYTES = 1 << 18
EMPTY = ["", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-", "#N/A", "missing"]  # fmt: skip
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
SHEETS = (".xlsx", ".xls", ".ods", ".numbers")

Places = NDArray[np.integer[Any]]  # of 4 bytes where there are many
ROLES = ("configuration", "case", "repeat", "fold", "group")
Levels = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Coded:
    """A column of names: (N,) places in `names`, which are distinct and in natural order."""

    codes: Places
    names: tuple[str, ...]

    @classmethod
    def of(cls, codes: Places, names: Sequence[str]) -> Coded:
        """From codes of names that may be unordered, unused, or the same but for spaces around them."""
        stripped = [name.strip() for name in names]
        used = np.zeros(len(names), dtype=bool)
        used[codes] = True
        ordered = sorted({name for name, seen in zip(stripped, used, strict=True) if seen}, key=natural)
        position = {name: index for index, name in enumerate(ordered)}
        moved = np.array([position.get(name, -1) for name in stripped], dtype=np.int32)
        return cls(moved[codes], tuple(ordered))

    @classmethod
    def constant(cls, name: str, size: int) -> Coded:
        """The same name in every row."""
        return cls(np.zeros(size, dtype=np.int32), (name,))


@dataclass(frozen=True)
class Piece:
    """The scores of a file; N rows.

    Attributes:
        file: what it is called.
        columns: by role, of `ROLES`; a role that the file does not have is one name, the empty one.
        score: (N,) nan where there is none.
        lines: (N,) of the file, from 1; 0 where it has none.
        levels: configuration -> factor -> level.
        undefined: a score that is nan is there, and undefined; else it is missing.
        arrays: (N, ...) whatever else belongs to the rows.
        files: (N,) which of several files a row is from; None: of one.
        names: of the files.
    """

    file: str
    columns: dict[str, Coded]
    score: Floats
    lines: Places
    levels: Levels = field(default_factory=dict)
    undefined: bool = False
    arrays: dict[str, Floats | Bools] = field(default_factory=dict)
    files: Places | None = None
    names: tuple[str, ...] = ()

    def at(self, row: int) -> str:
        """Where a row is written: ``scores.csv, line 12``."""
        file = self.names[self.files[row]] if self.files is not None else self.file
        return f"{file}, line {self.lines[row]}" if self.lines[row] else str(file)

    def cell(self, role: str, row: int) -> str:
        """What a row has in a column."""
        return str(self.columns[role].names[int(self.columns[role].codes[row])])

    def keep(self, wanted: Bools) -> Piece:
        """Only some of the rows; a configuration that has none left is still there."""
        columns = {
            role: Coded.of(column.codes[wanted], column.names) for role, column in self.columns.items()
        }
        every = self.columns["configuration"]
        return replace(
            self,
            columns=columns | {"configuration": Coded(every.codes[wanted], every.names)},
            score=self.score[wanted],
            lines=self.lines[wanted],
            arrays={name: values[wanted] for name, values in self.arrays.items()},
        )


def with_all_roles(columns: dict[str, Coded]) -> dict[str, Coded]:
    """The columns, with the empty name in every row for the roles that a file does not have."""
    size = len(next(iter(columns.values())).codes)
    return {role: columns.get(role) or Coded.constant("", size) for role in ROLES}


def joined(pieces: Sequence[Piece]) -> Piece:
    """The rows of several files together; levels that only some of them have are left out."""
    if len(pieces) == 1:
        return pieces[0]
    return Piece(
        file=f"{len(pieces)} files",
        columns={role: _joined([piece.columns[role] for piece in pieces]) for role in ROLES},
        score=np.concatenate([piece.score for piece in pieces]),
        lines=np.concatenate([piece.lines for piece in pieces]),
        levels=dict(_common([piece.levels for piece in pieces])),
        undefined=any(piece.undefined for piece in pieces),
        arrays={name: np.concatenate([piece.arrays[name] for piece in pieces]) for name in pieces[0].arrays},
        files=np.repeat(np.arange(len(pieces)), [len(piece.score) for piece in pieces]),
        names=tuple(piece.file for piece in pieces),
    )


def _joined(columns: Sequence[Coded]) -> Coded:
    starts = np.cumsum([0, *(len(column.names) for column in columns[:-1])])
    codes = np.concatenate([column.codes + start for column, start in zip(columns, starts, strict=True)])
    return Coded.of(codes, [name for column in columns for name in column.names])


def _common(levels: Sequence[Levels]) -> Iterator[tuple[str, dict[str, str]]]:
    """The factors that every configuration of every file has."""
    every = [own for of_file in levels for own in of_file.values()]
    shared = set.intersection(*(set(own) for own in every)) if every else set()
    for of_file in levels:
        for name, own in of_file.items():
            yield name, {factor: level for factor, level in own.items() if factor in shared}


@dataclass(frozen=True)
class Text:
    """A table on disk and how it begins.

    Attributes:
        path, name: of the file.
        columns: their names.
        separator: between its cells.
        sample: its first rows, as text.
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    separator: str
    sample: tuple[dict[str, str], ...]

    def number(self, cell: str) -> float | None:
        """A cell as a number; None where it is none."""
        if self.separator != "," and COMMA.fullmatch(cell):
            cell = cell.replace(",", ".")
        try:
            return float(cell)
        except ValueError:
            return None

    def decimal(self, columns: Sequence[str]) -> str:
        """The mark in the numbers of these columns: a comma where a spreadsheet of such a country wrote one."""
        commas = any(COMMA.fullmatch(row[name]) for row in self.sample for name in columns)
        return "," if commas and self.separator != "," else "."

    def numeric(self, column: str) -> bool:
        """Whether most cells of the sample are numbers, or empty; a column without a name holds none."""
        cells = [row[column] for row in self.sample if row[column] not in EMPTY]
        return bool(column) and 2 * sum(self.number(cell) is not None for cell in cells) >= len(cells)


def open_text(path: Path, name: str) -> Text:
    """The beginning of a table.

    Raises:
        DataError: it cannot be read, is empty, no UTF-8 text, or no table.
    """
    if path.suffix.lower() in SHEETS:
        cure = "Save the sheet as CSV (UTF-8), and judge that file."
        raise DataError("a spreadsheet program's own file cannot be read", where=name, cure=cure)
    lines = _beginning(path, name)
    separator = max((",", ";", "\t"), key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    columns = tuple(cell.strip() for cell in rows[0])
    _check(columns, rows, name)
    cells = [[cell.strip() for cell in row] for row in rows[1:] if any(cell.strip() for cell in row)]
    sample = tuple(dict(zip(columns, row, strict=False)) for row in cells if len(row) >= len(columns))
    return Text(path, name, columns, separator, sample)


def _beginning(path: Path, name: str) -> list[str]:
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
        more = bool(file.read(1))
    # The last line is cut somewhere, perhaps within a character.
    if more and b"\n" in raw:
        raw = raw[: raw.rindex(b"\n") + 1]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        cure = "Save it as CSV UTF-8."
        raise DataError("the file is not UTF-8 text", where=name, cure=cure) from None
    if not text.strip():
        raise DataError("the file is empty", where=name, cure="Write a header line and one row per score.")
    return text.splitlines(keepends=True)


def _check(columns: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        cure = "Give every column its own name."
        raise DataError(f"two columns are called {some(map(repr, twice))}", where=name, cure=cure)
    if len(columns) < 2:
        cure = "Put commas, semicolons or tabs between the columns, and their names into the first line."
        raise DataError("the file has a single column", where=name, cure=cure)
    if len(rows) < 2:
        raise DataError("the file has a header but no rows", where=name, cure="Write one row per score.")
    wrong = [number + 1 for number, row in enumerate(rows) if len(row) > len(columns) and any(row)]
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
    kinds: dict[str, Any] = dict.fromkeys(names, "category") | dict.fromkeys(scores, np.float64)
    try:
        frame = _read(text, kinds)
    except pd.errors.ParserError as error:
        cure = "Put cells that contain the separator in double quotes."
        raise DataError(f"the table cannot be read ({error})", where=text.name, cure=cure) from None
    except UnicodeDecodeError:
        raise DataError("the file is not UTF-8 text", where=text.name, cure="Save it as CSV UTF-8.") from None
    # pandas does not say which cell it was: the columns are read once more, as names.
    except ValueError:
        raise _no_numbers(text, kinds, scores) from None
    lines = np.arange(2, len(frame) + 2, dtype=np.int32)
    blank = frame[list(scores)].isna().all(axis=1).to_numpy()
    for name in names:
        blank = blank & _is_empty(frame[name])
    return (frame[~blank], lines[~blank]) if blank.any() else (frame, lines)


def _read(text: Text, kinds: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(
        text.path,
        sep=text.separator,
        decimal=text.decimal([name for name, kind in kinds.items() if kind is np.float64]),
        header=0,
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


def _no_numbers(text: Text, kinds: dict[str, Any], scores: Sequence[str]) -> DataError:
    """Every score that is no number, with its line."""
    frame = _read(text, {name: "category" if kind is np.float64 else kind for name, kind in kinds.items()})
    wrong_cells = []
    for column in scores:
        cells = frame[column]
        bad = [
            name
            for name in cells.cat.categories
            if text.number(str(name)) is None and str(name).strip() not in EMPTY
        ]
        wrong = np.flatnonzero(cells.isin(bad)).tolist()
        wrong_cells += [(line + 2, column, str(cells.iloc[line])) for line in wrong]
    listed = [f"line {line}, column {column}: {cell!r}" for line, column, cell in sorted(wrong_cells)]
    cure = (
        "Write a number such as 0.85, or leave the cell empty where there is no score."
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
