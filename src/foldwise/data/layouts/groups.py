"""The groups that images belong to: a column of a table, a pattern on file names, folders, or slices in a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from foldwise.data.cases import Case
from foldwise.data.class_names import alike
from foldwise.data.formats.reading import split_slice
from foldwise.data.layouts.files import Finder, errors_about
from foldwise.data.layouts.tables import Table, image_column, match_rows, table_with
from foldwise.errors import DataError, SpecError
from foldwise.processes import try_apart
from foldwise.study.spec import DataSpec
from foldwise.text import composed, listed, some

PATTERN_S = 20.0  # for a pattern to be looked for in all names; a million of them take one

UNGROUPED = {"none", "near-duplicates"}
# Folders within those of the classes, or around them, or in which images of a table lie: the outermost, or those within.
_FOLDERS = re.compile(r"folders(?::([1-9]))?")
Grouped = tuple[tuple[Case, ...], tuple[str, ...]]  # cases with their groups, and what to say about these


def with_groups(
    cases: Sequence[Case], *, root: Path, group: str, data: DataSpec, tables: Sequence[Path], folder: str
) -> Grouped:
    """The cases with their stated groups, and what to say about it.

    Args:
        group: ``auto``, ``none``, ``near-duplicates``, ``folders``, ``folders:2`` for those within these,
            ``pattern:<regex with one group>`` or a column name.
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
    column = composed((data.group_column if group == "auto" else group) or "") or None
    # Near-duplicates are grouped by the audit, from the pixels; here nothing is stated.
    if group in UNGROUPED:
        return tuple(replace(case, group=None) for case in cases), ()
    if column is None:
        return tuple(cases), ()
    if group != "auto" and data.group_column not in {None, group}:
        problem = f"data.group_column is {data.group_column!r}, but validate.group is {group!r}"
        raise SpecError(problem, where="validate.group", cure="State only one of them.")
    if depth_of(group) is not None:
        return _by_folders(cases)
    where = "data.group_column" if group == "auto" else "validate.group"
    return _by_column(cases, table_with(column, root, tables, where), column, data, folder)


def depth_of(group: str) -> int | None:
    """How deep the folders lie that `validate.group` names: 1 of ``folders``, 2 of ``folders:2``; None where it names none."""
    match = _FOLDERS.fullmatch(group)
    return int(match[1] or 1) if match else None


def ask_for_groups(
    problem: str,
    folders: Mapping[int, Sequence[str]],
    root: Path,
    *,
    others: Mapping[str, str] = MappingProxyType({}),
    none_first: bool = False,
    more: str = "",
) -> DataError:
    """The question what folders are, where a study does not say it: of patients or the like, or of nothing.

    Args:
        folders: the names of those that may be groups, by how deep they lie.
        others: what else they may be, by what then is to be stated: ``data.classes: [a, b]`` -> ``these are the classes``.
        none_first: whether it is the first answer that they mean nothing.
        more: of the cure.
    """
    none = {"validate.group: none": "they mean nothing"}
    patients: dict[str, str] = {}
    for depth, names in folders.items():
        each = "each" if depth == 1 else f"each of those within ({some(names)})"
        key = "folders" if depth == 1 else f"folders:{depth}"
        like = "" if patients else " a patient, an animal or the like, whose images belong together"
        patients[f"validate.group: {key}"] = f"{each} is{like}"
    meanings = {**others, **(none | patients if none_first else patients | none)}
    ways = "; or ".join(f"{state} if {meaning}" for state, meaning in meanings.items())
    choices = [state.replace(": ", "=", 1) for state in meanings]
    return DataError(problem, where=str(root), cure=f"State {ways}.{more}", choices=choices)


def grouped_by(
    cases: Sequence[Case], group: str, folders_of: Callable[[str], Sequence[str]]
) -> tuple[Case, ...]:
    """The cases with the folder that `validate.group` names of those that may be their groups; None where there is none.

    Args:
        folders_of: the folders that may be groups, the outermost first, by the name of a case.
    """
    if (depth := depth_of(group)) is None:
        return tuple(cases)
    return tuple(replace(case, group=next(iter(folders_of(case.name)[depth - 1 :]), None)) for case in cases)


def _by_folders(cases: Sequence[Case]) -> Grouped:
    """The folders that a layout has read as groups; an image in none of them is a group of its own."""
    own = (
        case.group for case in cases if split_slice(case.name)[1] is None
    )  # slices are grouped by their file
    folders = list(dict.fromkeys(name for name in own if name is not None))
    if not folders:
        problem = "no image lies in a folder within that of its class, or below the folder of images"
        cure = "State a column of a table, or pattern:<regex> on the file names."
        raise SpecError(problem, where="validate.group", cure=cure)
    # Files of one patient may have been copied from systems that do not tell Patient1 from patient1.
    twins = alike(folders)
    first = {name: names[0] for names in twins for name in names}
    names = [case.name if case.group is None else first.get(case.group, case.group) for case in cases]
    grouped, statements = _grouped(cases, names, f"the folders {some(folders)}")
    joined = some(" and ".join(map(repr, names)) for names in twins)
    statements += (f"Folders that differ in spelling only are one group: {joined}.",) if twins else ()
    alone = [case.name for case in cases if case.group is None]
    words = "image lies in none of them and is a group", "images lie in none of them, each a group"
    return grouped, (*statements, *([f"{listed(alone, *words, 'of its own')}."] if alone else []))


def with_group_column(data: DataSpec, group: str) -> DataSpec:
    """The same with the column that `validate.group` names, if any: one that holds groups holds no labels."""
    if (
        data.group_column is not None
        or group in UNGROUPED | {"auto"}
        or group.startswith("pattern:")
        or depth_of(group) is not None
    ):
        return data
    return data.model_copy(update={"group_column": group})


_MATCHES = """
import re
expression = re.compile(given[0])
for name in given[1]:
    match = expression.search(name)
    answer(match[1] if match else None)
"""


def _by_pattern(cases: Sequence[Case], pattern: str) -> Grouped:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        cure = r"Write one with a part in parentheses, such as pattern:^(p\d+)_"
        problem = f"{pattern!r} is no regular expression ({error})"
        raise SpecError(problem, where="validate.group", cure=cure) from None
    if expression.groups != 1:
        problem = f"{pattern!r} has {expression.groups} groups in parentheses, not one"
        cure = r"Put one part in parentheses: for names like p12_left.png, pattern:^(p\d+)_"
        raise SpecError(problem, where="validate.group", cure=cure)
    # In a process of its own: some patterns, as (a+)+b, try more ways than there are seconds, and cannot be interrupted.
    files = [PurePosixPath(case.name).name for case in cases]
    matches = try_apart(_MATCHES, [pattern, files], seconds=PATTERN_S)
    names = list(matches.lines)
    if matches.ending:
        problem = f"{pattern!r} {matches.ending} on the file name {files[len(names)]!r}"
        cure = (
            "Write it without a repetition within a repetition, such as (a+)+, or state a column of a table."
        )
        raise SpecError(problem, where="validate.group", cure=cure)
    unmatched = [case.name for case, name in zip(cases, names, strict=True) if not name]
    if unmatched:
        problem = f"{pattern!r} does not fit {len(unmatched)} file name(s): {some(unmatched)}"
        raise DataError(problem, where="validate.group", cure="Mend the pattern or the names.")
    return _grouped(cases, names, f"the pattern {pattern} on file names")


def _by_blocks(cases: Sequence[Case], length: int, group: str, data: DataSpec) -> Grouped:
    """Groups of so many images in a row, in the order of their names, within one stack or one folder."""
    if group != "auto" or data.group_column is not None:
        problem = f"groups are stated twice: here, and as {data.group_column or group!r}"
        raise SpecError(problem, where="data.slices_per_group", cure="State only one of them.")
    last_in: dict[str, int] = {}
    names = []
    for case in cases:
        stack, index = split_slice(case.name)
        series = stack if index is not None else PurePosixPath(case.name).parent.as_posix()
        number = last_in[series] = last_in.get(series, -1) + 1
        # Blocks begin with the first slice of each series, so that no block reaches over two volumes.
        first = number - number % length
        names.append(f"{series} {first} to {first + length - 1}")
    return _grouped(cases, names, f"data.slices_per_group: {length} in a row")


def _by_column(cases: Sequence[Case], table: Table, column: str, data: DataSpec, folder: str) -> Grouped:
    names = image_column(table, data.image_column if data.image_column in table.columns else None)
    rows, errors = match_rows(table, names, Finder([case.name for case in cases], folder))
    group_of = {path: table.rows[row][column].strip() for path, row in rows.items()}
    ungrouped = [case.name for case in cases if not group_of.get(case.name)]
    cure = "Fill in the column for every image; an image that stands alone gets a name of its own."
    errors += errors_about(ungrouped, "image has", "images have", f"no {column}", where=table.name, cure=cure)
    if errors:
        raise DataError.together(errors)
    return _grouped(cases, [group_of[case.name] for case in cases], f"column {column!r} of {table.name}")


def _grouped(cases: Sequence[Case], names: Sequence[str | None], source: str) -> Grouped:
    grouped = tuple(replace(case, group=name) for case, name in zip(cases, names, strict=True))
    return grouped, (f"{len(set(names))} groups of {len(cases)} images come from {source}.",)
