"""Which images belong together: a column of a table, or a part of the file name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from foldwise.data.cases import Case
from foldwise.data.formats.reading import split_slice
from foldwise.data.layouts.listing import Finder, errors_about
from foldwise.data.layouts.tables import Table, image_column, match_rows, read_table
from foldwise.errors import DataError, SpecError, unknown
from foldwise.study.spec import DataSpec
from foldwise.text import some

GROUP_NAMES = re.compile(
    r"(^|_)(group|patient|subject|child|donor|animal|case|mouse|slide|plate)s?(_id)?$", re.IGNORECASE
)


def with_groups(
    cases: Sequence[Case], *, root: Path, group: str, data: DataSpec, tables: Sequence[Path], folder: str
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases with their stated groups, and what to say about it.

    Args:
        cases: as read, without groups.
        root: the data folder.
        group: ``auto``, ``none``, ``near-duplicates``, ``pattern:<regex with one group>`` or a column name.
        data: for `group_column` and `image_column`.
        tables: CSV files whose columns may be named, in order.
        folder: where names in the tables may start from, e.g. ``images``.

    Raises:
        SpecError: no such column, or the pattern is no pattern with one group.
        DataError: images without a group.
    """
    if data.slices_per_group is not None:
        return _by_blocks(cases, data.slices_per_group, group, data)
    if group.startswith("pattern:"):
        return _by_pattern(cases, group.removeprefix("pattern:"))
    column = data.group_column if group == "auto" else group
    # Near-duplicates are grouped by the audit, from the pixels; here nothing is stated.
    if group in {"none", "near-duplicates"}:
        return tuple(replace(case, group=None) for case in cases), ()
    if column is None:
        return tuple(cases), () if any(case.group for case in cases) else _hint(tables)
    if group != "auto" and data.group_column not in {None, group}:
        problem = f"data.group_column is {data.group_column!r}, but validate.group is {group!r}"
        raise SpecError(problem, where="validate.group", cure="State only one of them.")
    where = "data.group_column" if group == "auto" else "validate.group"
    return _by_column(cases, _table_with(column, root, tables, where), column, data, folder)


def _table_with(column: str, root: Path, tables: Sequence[Path], where: str) -> Table:
    """The first table that has a column; SpecError that lists the columns there are."""
    read_tables = [read_table(path) for path in tables]
    match = next((table for table in read_tables if column in table.columns), None)
    if match is not None:
        return match
    columns = [name for table in read_tables for name in table.columns]
    if not columns:
        problem = f"there is no table with a column {column!r} in {root.name}"
        raise SpecError(problem, where=where, cure="Add a metadata.csv with the columns image and group.")
    raise unknown(
        column, columns, "column of " + " or ".join(table.name for table in read_tables), where=where
    )


def _hint(tables: Sequence[Path]) -> tuple[str, ...]:
    """A sentence about columns that look like groups and are not used."""
    hints = []
    for path in tables:
        try:
            columns = read_table(path).columns
        except DataError:
            continue
        hints += [
            f"Column {name!r} of {path.name} looks like groups but is not used; state validate.group: {name} to keep its images together."
            for name in columns
            if GROUP_NAMES.search(name)
        ]
    return tuple(hints)


def _by_pattern(cases: Sequence[Case], pattern: str) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise SpecError(f"{pattern!r} is no regular expression ({error})", where="validate.group") from None
    if expression.groups != 1:
        problem = f"{pattern!r} has {expression.groups} groups in parentheses, not one"
        cure = r"For names like p12_left.png write pattern:^(p\d+)_"
        raise SpecError(problem, where="validate.group", cure=cure)
    matches = [expression.search(PurePosixPath(case.name).name) for case in cases]
    unmatched = [case.name for case, match in zip(cases, matches, strict=True) if not (match and match[1])]
    if unmatched:
        problem = f"{pattern!r} does not fit {len(unmatched)} file name(s): {some(unmatched)}"
        raise DataError(problem, where="validate.group", cure="Mend the pattern or the names.")
    grouped = tuple(
        replace(case, group=match[1]) for case, match in zip(cases, matches, strict=True) if match
    )
    return grouped, (_counted(grouped, f"the pattern {pattern} on file names"),)


def _by_blocks(
    cases: Sequence[Case], length: int, group: str, data: DataSpec
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """Groups of so many images in a row, in the order of their names, within one stack or one folder."""
    if group != "auto" or data.group_column is not None:
        problem = f"groups are stated twice: here, and as {data.group_column or group!r}"
        raise SpecError(problem, where="data.slices_per_group", cure="State only one of them.")
    last_in: dict[str, int] = {}
    grouped = []
    for case in cases:
        stack, index = split_slice(case.name)
        series = stack if index is not None else PurePosixPath(case.name).parent.as_posix()
        number = last_in[series] = last_in.get(series, -1) + 1
        # Blocks begin with the first slice of each series, so that no block reaches over two volumes.
        first = number - number % length
        grouped.append(replace(case, group=f"{series} {first} to {first + length - 1}"))
    return tuple(grouped), (_counted(grouped, f"data.slices_per_group: {length} in a row"),)


def _by_column(
    cases: Sequence[Case], table: Table, column: str, data: DataSpec, folder: str
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    names = image_column(table, data.image_column if data.image_column in table.columns else None)
    rows, errors = match_rows(table, names, Finder([case.name for case in cases], folder))
    group_of = {path: table.rows[row][column].strip() for path, row in rows.items()}
    ungrouped = [case.name for case in cases if not group_of.get(case.name)]
    cure = "Fill in the column for every image; an image that stands alone gets a name of its own."
    errors += errors_about(ungrouped, "image has", "images have", f"no {column}", where=table.name, cure=cure)
    if errors:
        raise DataError.together(errors)
    grouped = tuple(replace(case, group=group_of[case.name]) for case in cases)
    return grouped, (_counted(grouped, f"column {column!r} of {table.name}"),)


def _counted(cases: Sequence[Case], source: str) -> str:
    num_groups = len({case.group for case in cases})
    return f"{num_groups} groups of {len(cases)} images come from {source}."
