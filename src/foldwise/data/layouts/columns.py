"""Columns of tables that say where images come from, and that a study does not use: a split, patients, sites, dates.

And the one in which a person has decided on labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from foldwise.data.cases import Case, Column, ColumnKind
from foldwise.data.layouts.files import PARTS, Finder
from foldwise.data.layouts.labels import FALSE, LABEL_NAMES, TRUE, label_columns
from foldwise.data.layouts.parts import PART_COLUMNS, parts_of
from foldwise.data.layouts.tables import (
    DECISION,
    REVIEW,
    Table,
    image_column,
    is_review,
    match_rows,
    read_table,
)
from foldwise.errors import DataError, FoldwiseError
from foldwise.study.spec import DataSpec
from foldwise.text import composed, count, listed

# fmt: off
# Who or what several images may be taken of, by the words that names of columns are made of.
BEARERS = frozenset({
    "patient", "pat", "pt", "subject", "subj", "sub", "participant", "person", "individual", "proband", "volunteer",
    "child", "donor", "animal", "mouse", "mice", "rat", "fish", "embryo", "organoid", "case", "specimen", "sample",
    "biopsy", "tumour", "tumor", "slide", "section", "block", "core", "well", "dish", "culture", "clone", "litter",
    "family", "group", "cluster", "session", "visit", "exam", "study", "series", "volume", "stack", "video", "movie",
    "clip", "sequence", "track", "field", "fov", "tree", "plant", "plot", "image", "img", "original", "parent", "mrn",
    "pid", "id",
})
SITES = frozenset({
    "site", "centre", "center", "hospital", "clinic", "institution", "institute", "lab", "laboratory", "department",
    "scanner", "device", "machine", "camera", "microscope", "instrument", "manufacturer", "vendor", "plate", "batch",
    "run", "experiment", "cohort", "dataset", "source", "country", "city", "location", "station", "farm", "operator",
    "technician", "stainer",
})
DATES = frozenset({"date", "day", "datetime", "timestamp", "acquired", "acquisition", "month", "year", "week"})
_WEAK = frozenset({"id", "study"})  # of a bearer unless another word of the name says more
# Bearers only if they have several values: a group of two is as likely to be treated and not treated.
_VAGUE, _MIN_VAGUE = frozenset({"group", "cluster", "image", "img", "section", "field", "study", "id", "block"}), 5
# With one of these words a column describes an image, however its values repeat.
PROPERTIES = frozenset({
    "width", "height", "size", "mode", "format", "bits", "depth", "channels", "intensity", "age", "sex", "gender", "eye",
    "side", "laterality", "weight", "sha256", "md5", "hash", "stage", "grade", "keywords", "count", "type", "status", "kind",
    "quality", "condition", "treatment", "arm", "outcome", "score", "result", "modality", "stain", "magnification",
})
# fmt: on
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ENDINGS = ("", "s", "id", "ids", "no", "nr", "num", "number", "name", "code", "key", "uid")
_DATE = re.compile(
    r"(19|20)\d\d[-/._]?(0[1-9]|1[0-2])[-/._]?(0[1-9]|[12]\d|3[01])([ T_-].*)?"
    r"|(0?[1-9]|[12]\d|3[01])[-/.](0?[1-9]|1[0-2]|[12]\d|3[01])[-/.]((19|20)?\d\d)([ T].*)?"
)
_DECIMAL = re.compile(r"-?\d*\.\d*[1-9]\d*")
_NUMBERED = re.compile(r"([A-Za-z]{1,12})[ _-]?\d{1,8}[A-Za-z]?")
_MIN_NUMBERED = 6  # different values such as P001, from which on they are no grades
_MOSTLY = 0.9  # of the values that must look like what they are taken for
_MAX_BYTES = 500  # of a row of a file of a split
ACCEPT, FLAG = "accept", "flag"  # decisions on labels
_MAX_ROWS = 3  # times as many rows as images: a table with more is of another set


def unused_columns(
    cases: Sequence[Case],
    root: Path,
    tables: Sequence[Path],
    *,
    data: DataSpec,
    used: Sequence[str],
    labels: Path | None,
    folder: str,
) -> tuple[Column, ...]:
    """The columns of a folder's tables that say where images come from, each once, in the order of tables and columns.

    Args:
        cases: of the study.
        tables: CSV files whose columns a study may name; any other in `root` may be a file of the split.
        used: columns that the study uses already.
        labels: the table that the labels come from; None where they come from elsewhere.
        folder: where names in the tables may start from, e.g. ``images``.
    """
    columns: dict[str, Column] = {}
    for path in (*tables, *_other_tables(root, tables, len(cases))):
        try:
            table = read_table(path)
            names = image_column(table, data.image_column if data.image_column in table.columns else None)
            if len(table.rows) > _MAX_ROWS * len(cases):
                continue
            rows, _ = match_rows(table, names, Finder([case.name for case in cases], folder))
        except FoldwiseError:
            continue  # it cannot be used by a study either
        passed = {names, *map(composed, used), *_labels(table, data, names, are_read=path == labels)}
        row_of = [rows.get(case.name) for case in cases]
        if None in row_of and len(rows) < _MOSTLY * len(cases):
            continue
        for name in table.columns:
            values = tuple("" if k is None else table.rows[k][name].strip() for k in row_of)
            if name in passed or name in columns or (kind := kind_of(name, values, cases)) is None:
                continue
            if path in tables:
                columns[name] = Column(name, table.name, kind, values)
            elif kind == "split" and set(table.columns) - {names} == {name}:
                columns[name] = Column(table.name, table.name, kind, values)
    return tuple(columns.values())


def _other_tables(root: Path, tables: Sequence[Path], num_cases: int) -> list[Path]:
    """CSV files in a folder that no study names, as far as they may be a file of the split."""
    return [
        path
        for path in sorted(root.glob("*.csv"))
        if path.is_file()
        and path not in tables
        and not path.name.startswith(".")
        # Measurements may be of any size; a file of a split is a name and a word an image.
        and path.stat().st_size <= _MAX_ROWS * _MAX_BYTES * num_cases
    ]


def _labels(table: Table, data: DataSpec, names: str, *, are_read: bool) -> set[str]:
    """The columns of labels of a table: those that are read, and all that are called so."""
    called = {name for name in table.columns if name.casefold() in LABEL_NAMES}
    if are_read:
        with suppress(FoldwiseError):  # a split that is stated may be among the columns that could be labels
            called |= set(label_columns(table, data, names, "auto"))
    return called


def kind_of(name: str, values: Sequence[str], cases: Sequence[Case]) -> ColumnKind | None:
    """What a column says of where images come from, by its name and its values; None where it says nothing of it.

    Args:
        values: of every case; empty where there is none.
    """
    filled = [value for value in values if value]
    number = len(set(filled))
    if number < 2 or len(filled) < _MOSTLY * len(values):
        return None
    words = words_of(name)
    if words & (LABEL_NAMES | PROPERTIES):
        return None
    if _is_split(words, values, cases):
        return "split"
    if number == len(filled):
        return None  # one image each: nothing that keeps images together
    is_date = _share(_DATE.fullmatch(value) for value in filled) >= _MOSTLY
    bearers = words & BEARERS if number >= _MIN_VAGUE else words & BEARERS - _VAGUE
    if bearers - _WEAK and not is_date:
        return "bearer"
    if any(_DECIMAL.fullmatch(value) for value in filled):
        return None
    if is_date or words & DATES:
        return "date"
    if words & SITES:
        return "site" if number <= len(filled) / 2 else None
    return "bearer" if bearers or _is_numbered(filled) else None


def words_of(name: str) -> set[str]:
    """The words of a column's name, without their endings: of ``PatientID`` and ``patient_ids`` patient and id."""
    parts = [part.casefold() for part in _WORDS.findall(name)]
    stems_of_columns = BEARERS | SITES | DATES | PROPERTIES | set(PART_COLUMNS)
    stems = (
        next(
            (
                part[: len(part) - len(end)]
                for end in _ENDINGS
                if part.endswith(end) and part[: len(part) - len(end)] in stems_of_columns
            ),
            part,
        )
        for part in parts
    )
    return set(stems)


def is_mark(words: set[str], values: Collection[str]) -> bool:
    """Whether a column marks one part of a split by 0 and 1, as ``is_test`` does."""
    is_binary = {value.casefold() for value in values} <= TRUE | FALSE
    return is_binary and bool(words & PARTS.keys()) and not words & set(PART_COLUMNS)


def _is_split(words: set[str], values: Sequence[str], cases: Sequence[Case]) -> bool:
    """Whether values are the parts of a split, marks of one of them, or numbers of folds in a column that is called so."""
    there = {value.casefold() for value in values if value}
    if there <= PARTS.keys():
        return len({PARTS[value] for value in there}) > 1
    if is_mark(words, there):
        return True
    if not words & set(PART_COLUMNS):
        return False
    try:
        parts = parts_of(cases, {case.name: value for case, value in zip(cases, values, strict=True)})
    except DataError:
        return False
    # Numbers that most images have alone, or with one other, are no folds.
    return len(set(parts.values())) <= len(cases) / 3


def _is_numbered(values: Sequence[str]) -> bool:
    """Whether values are numbers behind one word, as P001 and P002, and enough of them."""
    matches = [match for value in values if (match := _NUMBERED.fullmatch(value))]
    if len(matches) < _MOSTLY * len(values) or len(set(values)) < _MIN_NUMBERED:
        return False
    return Counter(match[1].casefold() for match in matches).most_common(1)[0][1] >= _MOSTLY * len(values)


def _share(matches: Iterable[object]) -> float:
    matching = [match is not None for match in matches]
    return sum(matching) / len(matching)


@dataclass(frozen=True)
class Review:
    """What a person has decided on labels: the images whose label is flagged, each with a note; and what to say of it."""

    flagged: dict[str, str] = field(default_factory=dict)
    statements: tuple[str, ...] = ()


def reviewed(
    cases: tuple[Case, ...], root: Path, data: DataSpec, folder: str
) -> tuple[tuple[Case, ...], Review]:
    """The cases, without those whose label is flagged where the study says so, and the decisions in ``review.csv``.

    Rows of images that the study does not have are named and count for nothing: who flags a file may then remove it.

    Args:
        folder: where names in the table may start from, e.g. ``images``.

    Raises:
        DataError: a decision is neither accept nor flag, an image has two rows, or no image is left.
    """
    if not is_review(root / REVIEW):
        return cases, Review()
    decisions, absent = _decisions(read_table(root / REVIEW), Finder([case.name for case in cases], folder))
    flagged = {name: note for name, (decision, note) in decisions.items() if decision == FLAG}
    if data.flagged == "leave_out":
        left = (case for case in cases if case.name not in flagged)
        cases = tuple(replace(case, index=index) for index, case in enumerate(left))
        if not cases:
            what = "the label of every image is flagged, so that none is left"
            raise DataError(what, where=REVIEW, cure="State data.flagged: keep.")
    accepted = sum(decision == ACCEPT for decision, _ in decisions.values())
    about = [f"{REVIEW}: {count(accepted, 'label')} accepted, {len(flagged)} flagged."]
    if absent:
        words = f"row of {REVIEW} names", f"rows of {REVIEW} name", "no image of the study"
        about.append(f"{listed(absent, *words)}.")
    return cases, Review(flagged, tuple(about))


def _decisions(table: Table, finder: Finder) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Decision and note of each image that the study has; and the names that are of none."""
    names, errors = image_column(table, None), list[DataError]()
    decisions, absent = dict[str, tuple[str, str]](), list[str]()
    for row, cells in enumerate(table.rows):
        decision = cells[DECISION].strip().casefold()
        if decision not in ("", ACCEPT, FLAG):
            what, cure = (
                f"{cells[DECISION]!r} is no decision",
                "Write accept or flag, or leave the cell empty.",
            )
            errors.append(DataError(what, where=table.where(row, DECISION), cure=cure))
        try:
            name = finder.find(cells[names])
        except DataError as error:
            errors.append(DataError(error.what, where=table.where(row), cure=error.cure))
            continue
        if name is None:
            absent.append(cells[names])
        elif name in decisions:
            what = f"{name} has a row above already"
            errors.append(DataError(what, where=table.where(row), cure="Keep one row per image."))
        else:
            decisions[name] = decision, cells.get("note", "").strip()
    if errors:
        raise DataError.together(errors)
    return decisions, absent
