"""A CSV file with a header, read whole and checked, and which of its columns holds the images."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from foldwise.data.layouts.listing import Finder, errors_about
from foldwise.errors import DataError, unknown
from foldwise.text import some

IMAGE_COLUMNS = (
    "image", "images", "img", "file", "filename", "file_name", "path", "filepath", "file_path",
    "image_path", "image_name", "image_file", "image_id", "id",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of text: `rows[i][column]` stands in line `lines[i]` of file `name`."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]

    def where(self, row: int, column: str | None = None) -> str:
        """The place of a row for an error: ``labels.csv, line 12, column label``."""
        line = f"{self.name}, line {self.lines[row]}"
        return f"{line}, column {column}" if column else line

    def column(self, name: str, key: str) -> str:
        """`name`, checked to be a column; `key` is where the study file states it."""
        if name not in self.columns:
            raise unknown(name, self.columns, f"column of {self.name}", where=key)
        return name


def read_table(path: Path) -> Table:
    """The table in a CSV file: commas, or semicolons or tabs where the header has no comma.

    Raises:
        DataError: the file is missing, empty, not UTF-8, or a row has more or fewer cells than the header.
    """
    text = _text(path)
    header = text.splitlines()[0]
    # Spreadsheets of several countries write semicolons; a comma in the header is the stronger sign.
    separator = next((mark for mark in (",", ";", "\t") if mark in header), ",")
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator)
    columns = tuple(name.strip() for name in next(reader))
    _check_columns(path, columns)
    rows, lines, errors = [], [], []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                errors.append(f"line {reader.line_num} has {len(cells)}")
                continue
            rows.append(dict(zip(columns, cells, strict=True)))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(
            f"the table cannot be read ({error})", where=f"{path.name}, line {reader.line_num}"
        ) from None
    if errors:
        problem = f"the header has {len(columns)} cells, but {some(errors)}"
        cure = "Put cells that contain the separator in double quotes."
        raise DataError(problem, where=path.name, cure=cure)
    if not rows:
        raise DataError(
            "the table has a header but no rows", where=path.name, cure="Write one row per image."
        )
    return Table(path.name, columns, tuple(rows), tuple(lines))


def _text(path: Path) -> str:
    try:
        # Excel begins UTF-8 files with a byte order mark, which would become part of the first column's name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the table is not UTF-8 text (byte {error.start})", where=path.name, cure="Save it as CSV UTF-8."
        ) from None
    except OSError as error:
        raise DataError(f"the table cannot be read ({error.strerror})", where=str(path)) from None
    if not text.strip():
        raise DataError(
            "the table is empty", where=path.name, cure="Write a header line and one row per image."
        )
    return text


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    twice = [name for name, number in Counter(columns).items() if number > 1]
    if twice:
        raise DataError(
            f"two columns are called {twice[0]!r}", where=path.name, cure="Give every column its own name."
        )


def image_column(table: Table, stated: str | None) -> str:
    """The column that names the images: the stated one, or the one with a usual name.

    Raises:
        SpecError: the stated column does not exist.
        DataError: no column, or more than one, has a usual name.
    """
    if stated is not None:
        return table.column(stated, "data.image_column")
    usual = [name for name in table.columns if name.casefold() in IMAGE_COLUMNS]
    exact = [name for name in usual if name.casefold() in {"image", "file", "filename", "path"}]
    candidates = exact if len(exact) == 1 else usual
    if len(candidates) == 1:
        return candidates[0]
    problem = (
        f"the columns {', '.join(candidates)} could all name the images"
        if candidates
        else "no column is called image"
    )
    raise DataError(
        problem,
        where=table.name,
        cure=f"State data.image_column: one of {', '.join(table.columns)}. (The first line must hold the column names.)",
    )


def match_rows(table: Table, column: str, finder: Finder) -> tuple[dict[str, int], list[DataError]]:
    """Which row belongs to which image path, and what is wrong: rows twice, images that are not there."""
    rows: dict[str, int] = {}
    errors: list[DataError] = []
    absent: list[str] = []
    for row, cells in enumerate(table.rows):
        written = cells[column]
        try:
            path = finder.find(written)
        except DataError as error:
            errors.append(DataError(error.what, where=table.where(row), cure=error.cure))
            continue
        if path is None:
            near = finder.near(written)
            hint = f" (there is {near})" if near else ""
            absent.append(f"line {table.lines[row]} {written!r}{hint}")
        elif path in rows:
            problem = f"the image {path} has a row already, in line {table.lines[rows[path]]}"
            errors.append(DataError(problem, where=table.where(row), cure="Keep one row per image."))
        else:
            rows[path] = row
    cure = "Add the files, mend the names (upper and lower case count), or take the rows out."
    absences = errors_about(
        absent, "listed image is", "listed images are", "not there", where=table.name, cure=cure
    )
    return rows, errors + absences


def unlisted(table: Table, rows: dict[str, int], finder: Finder) -> list[DataError]:
    """An error where images have no row."""
    missing = [path for path in finder.paths if path not in rows]
    cure = "Add their rows, or move the images elsewhere."
    return errors_about(missing, "image has", "images have", "no row", where=table.name, cure=cure)
