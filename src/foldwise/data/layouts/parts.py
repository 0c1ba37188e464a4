"""A split that is given: which part or fold every image is in, by a column, a file, or the folders the images lie in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from foldwise.data.cases import Case
from foldwise.data.layouts.files import PARTS, Finder, errors_about, part_in
from foldwise.data.layouts.tables import Table, image_column, match_rows, read_table, table_with
from foldwise.errors import DataError, SpecError
from foldwise.storage import whole_path
from foldwise.study.spec import DEALT, LEAVE_ONE_OUT, DataSpec
from foldwise.text import composed, some

if TYPE_CHECKING:
    from foldwise.data.layouts.listing import Listing

PART_COLUMNS = ("part", "split", "fold", "set", "subset", "partition")
WORDS = "train, validation (val) or test; or fold numbers from 0 or from 1"
OTHERS = (
    "It may also be folders, pooled_folders, leave_one_group_out, or a CSV file of images and their parts."
)
_NUMBER = re.compile(
    r"(\d+)(\.0+)?"
)  # tables from elsewhere write 1.0 where a cell of the column was once empty


@dataclass(frozen=True)
class _Written:
    """The word of every image that has one, where each stands, and where they all do."""

    word: dict[str, str]
    where: dict[str, str]
    source: str


def with_parts(
    cases: Sequence[Case],
    *,
    listing: Listing,
    base: Path,
    tables: Sequence[Path],
    folder: str,
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The cases with their parts of the split that is given, and what to say about it.

    Args:
        cases: as read, without parts.
        listing: of the data folder, and with it who divides the images.
        base: the folder of the study file, where a file of the split may lie as well as in the data folder.
        tables: CSV files whose columns may be named, in order.
        folder: where names in the tables may start from, e.g. ``images``.

    Raises:
        SpecError: no such column or file.
        DataError: words that are no part, images without one, parts without images, fold numbers with gaps.
    """
    split = listing.split
    if split in DEALT or split == LEAVE_ONE_OUT:
        return tuple(cases), ()
    if split == "folders":
        written = _by_folders(cases, listing)
    else:
        table, column = _table_of(split, listing.root, base, tables)
        written = _by_rows(cases, table, column, data=listing.data, folder=folder)
    parts = _parts(cases, written)
    divided = tuple(replace(case, part=parts[case.name]) for case in cases)
    return divided, (_statement(divided, written.source),)


def refuse_part_folders(listing: Listing) -> None:
    """Raise where whole layouts lie in folders called train, test and the like, and nobody says what becomes of them."""
    names = listing.part_folders or list(listing.sides)
    if len(names) < 2 or listing.divided or listing.table is not None:
        return
    others = [name for name in listing.class_folders if name not in names]
    is_flat = any(name in listing.class_folders for name in names)
    has_labels = bool(listing.sides) or any(
        each.label_files for each in (listing, *(listing.part(name) for name in names))
    )
    if (others and not listing.sides) or (is_flat and not has_labels):
        return
    pooled = "validate.split: pooled_folders to make new folds of all images"
    choices = ["validate.split=folders", "validate.split=pooled_folders"]
    cure = f"State validate.split: folders to train and test by it, or {pooled}."
    if not {"train", "test"} <= set(map(part_in, names)):
        cure = f"State {pooled}. (For validate.split: folders, one is to be called test: its images are scored once.)"
        choices = choices[1:]
    what = f"the folders {', '.join(names)} are the parts of a split"
    raise DataError(what, where=str(listing.root), cure=cure, choices=choices)


def _table_of(split: str, root: Path, base: Path, tables: Sequence[Path]) -> tuple[Table, str]:
    """The table of the split and its column: of a file the column with a usual name, or the only one left."""
    if not split.casefold().endswith(".csv"):
        try:
            return table_with(split, root, tables, "validate.split"), composed(split)
        except SpecError as error:
            raise SpecError(error.what, where=error.where, cure=f"{error.cure} {OTHERS}") from None
    candidates = [whole_path(split, folder) for folder in (base, root)]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        cure = (
            f"Put it beside the study file ({base}) or into the data folder ({root}), or name its whole path."
        )
        raise SpecError(f"there is no file {split}", where="validate.split", cure=cure)
    table = read_table(path)
    names = image_column(table, None)
    others = [name for name in table.columns if name != names]
    usual = [name for name in others if name.casefold() in PART_COLUMNS]
    chosen = usual if len(usual) == 1 else others
    if len(chosen) != 1:
        problem = f"no one column says which part an image is in (columns: {', '.join(table.columns)})"
        cure = f"Call one of them part; it holds {WORDS}."
        raise DataError(problem, where=table.name, cure=cure)
    return table, chosen[0]


def _by_rows(cases: Sequence[Case], table: Table, column: str, *, data: DataSpec, folder: str) -> _Written:
    names = image_column(table, data.image_column if data.image_column in table.columns else None)
    rows, errors = match_rows(table, names, Finder([case.name for case in cases], folder))
    if errors:
        raise DataError.together(errors)
    word = {name: table.rows[row][column].strip() for name, row in rows.items()}
    where = {name: f"line {table.lines[row]}" for name, row in rows.items()}
    return _Written(word, where, f"column {column!r} of {table.name}")


def _by_folders(cases: Sequence[Case], listing: Listing) -> _Written:
    word = {}
    for case in cases:
        if (part := part_in(PurePosixPath(case.name).parent.as_posix())) is not None:
            word[case.name] = part
    return _Written(word, {name: name for name in word}, f"the folders of {listing.root.name}")


def parts_of(cases: Sequence[Case], words: dict[str, str]) -> dict[str, str | int]:
    """The part or fold of every image by its name, from the word of each; DataError where they make no split."""
    return _parts(cases, _Written(words, words, "a column"))


def _parts(cases: Sequence[Case], written: _Written) -> dict[str, str | int]:
    """The part or fold of every image by its name; every error of the words at once."""
    lacking = [case.name for case in cases if not written.word.get(case.name)]
    there = {name: word for name, word in written.word.items() if word}
    cure = f"Write for every image one of {WORDS}."
    where = f"validate.split, {written.source}"
    errors = errors_about(lacking, "image has", "images have", "no part", where=where, cure=cure)
    numbers = {name: int(match[1]) for name, word in there.items() if (match := _NUMBER.fullmatch(word))}
    words = {name: PARTS[word.casefold()] for name, word in there.items() if word.casefold() in PARTS}
    strange = [f"{written.where[name]} {there[name]!r}" for name in there if name not in numbers | words]
    nouns = ("cell is", "cells are")
    errors += errors_about(strange, *nouns, "neither a part nor a fold", where=where, cure=cure)
    if numbers and words:
        fewer = list(numbers if len(numbers) <= len(words) else words)
        places = [f"{written.where[name]} {there[name]!r}" for name in fewer]
        problem = f"some images have fold numbers and some have parts ({some(places)})"
        errors.append(DataError(problem, where=where, cure="Write one or the other for all images."))
    elif numbers:
        errors += _number_errors(sorted(set(numbers.values())), where)
    elif words:
        errors += _word_errors(set(words.values()), where)
    if errors:
        raise DataError.together(errors)
    lowest = min(numbers.values(), default=0)
    return {**words, **{name: number - lowest for name, number in numbers.items()}}


def _number_errors(numbers: list[int], where: str) -> list[DataError]:
    if numbers[0] > 1:
        problem = f"the first fold is {numbers[0]}"
        return [DataError(problem, where=where, cure="Number the folds from 0 or from 1.")]
    gaps = sorted(set(range(numbers[0], numbers[-1])) - set(numbers))
    if gaps:
        problem = f"folds go from {numbers[0]} to {numbers[-1]}, and no image is in {some(map(str, gaps))}"
        return [DataError(problem, where=where, cure="Number the folds without gaps.")]
    if len(numbers) < 2:
        cure = "State two folds or more, or the parts train and test."
        return [DataError(f"all images are in fold {numbers[0]}", where=where, cure=cure)]
    return []


def _word_errors(parts: set[str], where: str) -> list[DataError]:
    lacking = [part for part in ("train", "test") if part not in parts]
    if not lacking:
        return []
    problem = f"no image is for {' or '.join(lacking)} (only {' and '.join(sorted(parts))})"
    cure = "The models learn from train, and test is scored once; call the images that are to be scored test; or state validate.split: pooled_folders, where they are folders, for new folds of all."
    return [DataError(problem, where=where, cure=cure)]


def _statement(cases: Sequence[Case], source: str) -> str:
    counts = Counter(case.part for case in cases)
    if isinstance(cases[0].part, int):
        sizes = ", ".join(str(counts[fold]) for fold in range(len(counts)))
        return f"{len(counts)} folds are given by {source}, of {sizes} images."
    sizes = ", ".join(f"{part} {counts[part]}" for part in ("train", "validation", "test") if counts[part])
    rest = (
        ""
        if counts["validation"]
        else (
            " No image is for validation: the share validate.inner of the training part is set aside to choose the epoch."
        )
    )
    return f"The split is given by {source}: {sizes}.{rest}"
