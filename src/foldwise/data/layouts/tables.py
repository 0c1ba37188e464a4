"""CSV files read whole and checked, and which of their rows is of which image."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from foldwise.csv_cells import SEPARATOR_LINE, TableReader
from foldwise.data.formats.formats import has_image_name
from foldwise.data.layouts.files import Finder, errors_about
from foldwise.errors import DataError, FoldwiseError, SpecError, unknown
from foldwise.text import composed, some

# A table of labels is held in memory, which takes some ten times its size.
MAX_BYTES, MAX_COLUMNS = 2**28, 50_000
IMAGE_COLUMNS = (
    "image", "images", "img", "file", "filename", "file_name", "path", "filepath", "file_path",
    "image_path", "image_name", "image_file", "image_id", "id",
)  # fmt: skip
REVIEW, DECISION = "review.csv", "decision"


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
        column = composed(name)
        if column not in self.columns:
            raise unknown(name, self.columns, f"column of {self.name}", where=key)
        return column


def read_table(path: Path) -> Table:
    """The table in a CSV file, in the form of Unicode by which names are compared: commas, or semicolons or tabs where the header has no comma.

    Raises:
        DataError: the file is missing, empty, not UTF-8, or a row has more or fewer cells than the header.
    """
    reader, columns = _header(path)
    # Spreadsheets save empty columns beside a table; one without a name that holds something is the index of a program.
    unnamed = [k for k, name in enumerate(columns) if not name]
    rows, lines, errors, used = [], [], [], set[int]()
    with _in_words(reader, path.name):
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            while len(cells) > len(columns) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(columns):
                errors.append(f"line {reader.line_num} has {len(cells)}")
                continue
            used |= {k for k in unnamed if cells[k].strip()}
            pairs = zip(columns, cells, strict=True)
            rows.append({"": ""} | {name: cell for name, cell in pairs if name or cell.strip()})
            lines.append(reader.line_num)
    if errors:
        problem = f"the header has {len(columns)} cells, but {some(errors)}"
        cure = "Put cells that contain the separator in double quotes."
        raise DataError(problem, where=path.name, cure=cure)
    if len(used) > 1:
        problem = f"{len(used)} columns with values have no name"
        raise DataError(problem, where=path.name, cure="Give every column its own name, in the first line.")
    columns = tuple(name for name in columns if name) + ("",) * len(used)
    if not rows:
        problem, cure = "the table has a header but no rows", "Write one row per image."
        raise DataError(problem, where=path.name, cure=cure)
    return Table(path.name, columns, tuple(rows), tuple(lines))


def _header(path: Path) -> tuple[TableReader, tuple[str, ...]]:
    """The names of the columns, empty where they have none, and the reader of the rows that follow."""
    lines_of_text = _text(path).splitlines(keepends=True)
    # Excel may write its separator above the names, whatever it is.
    is_stated = SEPARATOR_LINE.fullmatch(lines_of_text[0].strip())
    header = lines_of_text[min(1, len(lines_of_text) - 1) if is_stated else 0]
    # Spreadsheets of several countries write semicolons; a comma in the header is the stronger sign.
    separator = next((mark for mark in (",", ";", "\t") if mark in header), ",")
    if is_stated:
        separator = is_stated[1]
    reader = TableReader(lines_of_text, separator=separator)
    with _in_words(reader, path.name):
        if is_stated:
            next(reader)
        columns = tuple(name.strip() for name in next(reader, ()))
    if len(columns) > MAX_COLUMNS:
        problem = f"the header has {len(columns):,} cells; at most {MAX_COLUMNS:,} are read"
        raise DataError(
            problem, where=path.name, cure="Keep the columns that name images, labels and groups."
        )
    if twice := [name for name, number in Counter(columns).items() if number > 1 and name]:
        problem = f"two columns are called {twice[0]!r}"
        raise DataError(problem, where=path.name, cure="Give every column its own name.")
    return reader, columns


@contextmanager
def _in_words(reader: TableReader, name: str) -> Iterator[None]:
    """Errors of the CSV reader as ours, with the line."""
    try:
        yield
    except csv.Error as error:
        cure = "Put cells that contain the separator in double quotes, and close them."
        where = f"{name}, line {max(1, reader.line_num)}"
        raise DataError(f"the table cannot be read ({error})", where=where, cure=cure) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            problem = f"the table is larger than {MAX_BYTES // 2**20} MB"
            raise DataError(
                problem, where=path.name, cure="Keep the rows and columns that are of these images."
            )
        # Excel begins UTF-8 files with a byte order mark, which would become part of the first column's name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"the table is not UTF-8 text (byte {error.start})"
        raise DataError(problem, where=path.name, cure="Save it as CSV UTF-8.") from None
    except OSError as error:
        cure = "Get leave to read it, or copy it again."
        raise DataError(f"the table cannot be read ({error.strerror})", where=str(path), cure=cure) from None
    if "\0" in text:
        problem, cure = "the table holds null bytes, so it is no text", "Export it as CSV UTF-8 once more."
        raise DataError(problem, where=path.name, cure=cure)
    if not text.strip():
        cure = "Write a header line and one row per image."
        raise DataError("the table is empty", where=path.name, cure=cure)
    return composed(text)


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
    if not candidates and any(has_image_name(Path(name)) for name in table.columns):
        problem = (
            f"the first line holds the name of an image ({some(table.columns)}), and no names of columns"
        )
        cure = "Write a first line that names the columns, for example image,label."
        raise DataError(problem, where=table.name, cure=cure)
    several = f"the columns {', '.join(candidates)} could all name the images"
    cure = f"State data.image_column: one of {some(table.columns, 50)}."
    cure += " (The first line must hold the column names.)"
    raise DataError(several if candidates else "no column is called image", where=table.name, cure=cure)


def is_review(path: Path) -> bool:
    """Whether a file is the table in which a person decides on labels: it is called so, and has a column of decisions."""
    with suppress(FoldwiseError):  # of what cannot be read, whoever reads it says so
        return path.name == REVIEW and path.is_file() and DECISION in _header(path)[1]
    return False


def match_rows(table: Table, column: str, finder: Finder) -> tuple[dict[str, int], list[DataError]]:
    """Which row belongs to which image path, and what is wrong: rows twice, images that are not there."""
    rows: dict[str, int] = {}
    errors: list[DataError] = []
    absent: list[str] = []
    again: dict[str, list[int]] = {}
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
            again.setdefault(path, [table.lines[rows[path]]]).append(table.lines[row])
        else:
            rows[path] = row
    several = [f"{path} (lines {', '.join(map(str, lines))})" for path, lines in again.items()]
    cure = "Keep one row per image; of several readers or objects, decide on one label beforehand."
    errors += errors_about(
        several, "image has", "images have", "more than one row", where=table.name, cure=cure
    )
    cure = "Add the files, mend the names (case and zeros at the front count), or take the rows out."
    absences = errors_about(
        absent, "listed image is", "listed images are", "not there", where=table.name, cure=cure
    )
    return rows, errors + absences


def unlisted(table: Table, rows: dict[str, int], finder: Finder) -> list[DataError]:
    """An error where images have no row."""
    missing = [path for path in finder.paths if path not in rows]
    cure = "Add their rows, or move the images elsewhere."
    return errors_about(missing, "image has", "images have", "no row", where=table.name, cure=cure)


def table_with(column: str, root: Path, tables: Sequence[Path], where: str) -> Table:
    """The first table that has a column; SpecError that lists the columns there are."""
    read_tables = [read_table(path) for path in tables]
    match = next((table for table in read_tables if composed(column) in table.columns), None)
    if match is not None:
        return match
    columns = [name for table in read_tables for name in table.columns]
    if not columns:
        problem = f"there is no table with a column {column!r} in {root.name}"
        raise SpecError(problem, where=where, cure=f"Add a metadata.csv with the columns image and {column}.")
    names = " or ".join(table.name for table in read_tables)
    raise unknown(column, columns, f"column of {names}", where=where)
