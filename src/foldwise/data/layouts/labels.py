"""What the columns of a table say about each image: one label, or several."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from foldwise.data.class_names import alike, read_classes, tidy
from foldwise.data.layouts.label_cells import (
    Joined,
    as_list,
    separators,
    split_by,
    stated_separators,
)
from foldwise.data.layouts.tables import Table
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec
from foldwise.study.training import Task
from foldwise.text import composed, count, listed, some

# fmt: off
LABEL_NAMES = frozenset({
    "label", "labels", "class", "classes", "target", "targets", "category", "categories", "diagnosis", "tag", "tags",
})
# Never taken as labels unless stated: they say where an image comes from, not what it shows.
OTHER_NAMES = frozenset({
    "group", "groups", "patient", "subject", "child", "donor", "animal", "case", "eye", "side", "sex", "gender",
    "age", "split", "part", "partition", "subset", "fold", "set", "train", "test", "valid", "validation", "is_train", "is_test", "is_valid",
    "width", "height", "size", "mode", "format", "bits", "source", "site", "centre", "center", "scanner", "device",
    "date",
})
# fmt: on
MOSTLY = 0.8  # of the cells of a 0/1 column; of ages, scores and counts fewer are 0 or 1
_MIN_CELLS = 10  # from which on labels of which most stand once are no classes
TRUE, FALSE = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


@dataclass(frozen=True)
class Labels:
    """The task, the class names, and the class indices of every row that was read."""

    task: Task
    classes: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    statements: tuple[str, ...]


def read_labels(table: Table, data: DataSpec, image_column: str, *, split: str = "auto") -> Labels:
    """The labels of every row of a table; a column called `split` says who divides the images.

    Raises:
        SpecError: a stated column does not exist, or the stated task does not fit.
        DataError: the label columns or the task are ambiguous, or cells cannot be read; the cure names the choices.
    """
    columns = label_columns(table, data, image_column, split)
    used = {*columns, image_column, composed(data.group_column or ""), composed(split)}
    unused = [name for name in table.columns if name not in used]
    several = f"the {len(columns)} columns {', '.join(columns)}"
    named = several if len(columns) > 1 else f"column {columns[0]!r}"
    statements = [f"Labels come from {named} of {table.name}, images from column {image_column!r}."]
    if unused:
        names = ", ".join(name or "(no name)" for name in unused)
        statements.append(f"Columns of {table.name} that are not used: {names}.")
    if len(columns) > 1:
        labels = _from_indicators(table, columns, data)
    else:
        where = [table.where(i, columns[0]) for i in range(len(table.rows))]
        labels = label_list([row[columns[0]] for row in table.rows], data, where)
    return replace(labels, statements=(*statements, *labels.statements))


def label_columns(table: Table, data: DataSpec, image_column: str, split: str) -> tuple[str, ...]:
    """The columns that hold labels: those stated, one called ``label``, the 0/1 columns, or the only other one."""
    if data.label_columns is not None:
        if not data.label_columns:
            cure = f"Name some of: {', '.join(table.columns)}."
            raise SpecError("no column is named", where="data.label_columns", cure=cure)
        return tuple(table.column(name, "data.label_columns") for name in data.label_columns)
    used = {"", image_column, composed(data.group_column or ""), composed(split)}
    others = [name for name in table.columns if name not in used]
    named = [name for name in others if name.casefold() in LABEL_NAMES]
    usable = [name for name in others if not _is_other(name)]
    indicators = [name for name in usable if name not in named and _is_indicator(table, name)]
    # A column called label beside several 0/1 columns leaves both readings open.
    if len(named) == 1 and len(indicators) < 2:
        return (named[0],)
    if not named and len(indicators) > 1:
        return tuple(indicators)
    if len(others) == 1 and usable:
        return (usable[0],)
    choices = named + [name for name in usable if name not in named]
    problem = f"which columns are the labels is not clear among {some(others, 20) or '(none)'}"
    cure = f"State data.label_columns, for example [{(choices or others or ['label'])[0]}]."
    answers = [f"data.label_columns={json.dumps([name], ensure_ascii=False)}" for name in choices]
    raise DataError(problem, where=table.name, cure=cure, choices=answers)


def _is_indicator(table: Table, column: str) -> bool:
    """Whether nearly all cells of a column are 0 or 1: one that is not must not take the whole column from the labels."""
    marked = sum(row[column].strip().casefold() in TRUE | FALSE for row in table.rows)
    return marked > 0 and marked >= min(MOSTLY * len(table.rows), len(table.rows) - 1)


def _is_other(name: str) -> bool:
    """Whether a column name says that it is no label: an id, a group, a split, a file property."""
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    parts = plain.split("_")
    return (
        plain in OTHER_NAMES
        or parts[-1] in {"id", "group", "keywords", "sha256"}
        or parts[0] in {"source", "patient", "group"}
    )


def _from_indicators(table: Table, columns: Sequence[str], data: DataSpec) -> Labels:
    rows, errors = [], []
    cure = "Write 0 or 1; or name the columns that are labels in data.label_columns, if this one is none."
    for k, row in enumerate(table.rows):
        marks = [row[name].strip().casefold() for name in columns]
        errors += [
            DataError(f"{row[name]!r} is neither 0 nor 1", where=table.where(k, name), cure=cure)
            for name, mark in zip(columns, marks, strict=True)
            if mark not in TRUE | FALSE
        ]
        rows.append(tuple(k for k, mark in enumerate(marks) if mark in TRUE))
    if errors:
        raise DataError.together(errors)
    return indicator_labels(rows, tuple(columns), data, table.name)


def indicator_labels(
    rows: Sequence[tuple[int, ...]], classes: tuple[str, ...], data: DataSpec, where: str
) -> Labels:
    """Labels from 0/1 columns: several per image, or one per image where the task is stated so."""
    single = all(len(row) == 1 for row in rows)
    if data.classes is not None and len(data.classes) != len(classes):
        problem = f"{len(data.classes)} names for {len(classes)} columns"
        raise SpecError(problem, where="data.classes", cure="Name one class per column.")
    classes = tuple(map(tidy, data.classes or classes))
    if data.classes is None and (twins := alike(classes)):
        pairs = some(" and ".join(map(repr, own)) for own in twins)
        cure = (
            "Leave all but one out of data.label_columns, or state data.classes with a name for every column."
        )
        raise DataError(f"columns of labels differ in spelling only: {pairs}", where=where, cure=cure)
    if data.task == "auto" and single:
        raise DataError(
            "every row has exactly one 1: is that one label per image, or several that happen not to meet?",
            where=where,
            cure="State data.task: multiclass_classification or multilabel_classification.",
        )
    one_label: Task = "binary_classification" if len(classes) == 2 else "multiclass_classification"
    task = stated_task(data, "multilabel_classification", one_label)
    several = task == "multilabel_classification"
    if not several and not single:
        problem = f"rows of {where} have no 1 or several"
        raise SpecError(problem, where="data.task", cure="State data.task: multilabel_classification.")
    how = "several labels per image are possible" if several else "one label per image"
    return Labels(task, classes, tuple(rows), (_counted(classes, rows, how),))


def label_list(cells: Sequence[str], data: DataSpec, where: Sequence[str]) -> Labels:
    """Labels from one cell of text per image: a name, or several that are listed or joined by a sign."""
    classes = tuple(map(tidy, data.classes or ()))
    lists, are_lists = _lists(cells, data, where)
    blank = [cell_name for cell_name, items in zip(where, lists, strict=True) if not items]
    try:
        signs = _signs(lists, data, where, are_lists=are_lists)
    except DataError as doubt:
        raise DataError.together([_unlabelled(blank), doubt]) if blank else doubt from None
    parts = [tuple(part for item in items for part in split_by(item, signs, classes)) for items in lists]
    several = bool(signs) or are_lists or data.task == "multilabel_classification"
    if data.task in {"binary_classification", "multiclass_classification"}:
        several = False
    empty = [cell_name for cell_name, names in zip(where, parts, strict=True) if not names]
    if empty and (not several or data.task == "auto"):
        raise _unlabelled(empty)
    written = [(name, cell) for cell, names in zip(where, parts, strict=True) for name in names]
    classes, index, statements = read_classes(written, data.classes)
    cure = f"Known: {', '.join(classes)}."
    errors = [
        DataError(f"the label {name!r} is not among data.classes", where=cell, cure=cure)
        for name, cell in written
        if name not in index
    ]
    if errors:
        raise DataError.together(errors)
    rows = tuple(tuple(sorted({index[name] for name in names})) for names in parts)
    statements = (*_about_spelling(cells, where, several), *statements)
    if several:
        text = _counted(classes, rows, f"several labels per image{_by(signs, are_lists=are_lists)}")
        return Labels("multilabel_classification", classes, rows, (*statements, text))
    _refuse_measures(classes, data, where)
    task = stated_task(data, "binary_classification" if len(classes) == 2 else "multiclass_classification")
    return Labels(task, classes, rows, (*statements, _counted(classes, rows, "one label per image")))


def _refuse_measures(classes: Sequence[str], data: DataSpec, where: Sequence[str]) -> None:
    """Raise DataError where nearly every image has a label of its own: a measure, a name or a remark, and no class."""
    if data.classes is not None or len(where) < _MIN_CELLS or len(classes) <= len(where) / 2:
        return
    problem = f"there are {len(classes)} different labels for {len(where)} images ({some(classes, 3)}): they are no classes"
    cure = "State data.label_columns: the column of the classes. Measures are not predicted: put them into classes, such as low and high."
    raise DataError(problem, where=where[0], cure=cure)


def _unlabelled(cells: Sequence[str]) -> DataError:
    cure = "Fill the cells, take the rows out, or state data.task: multilabel_classification if none is an answer."
    return DataError(listed(cells, "image has", "images have", "no label"), cure=cure)


def _lists(cells: Sequence[str], data: DataSpec, where: Sequence[str]) -> tuple[list[tuple[str, ...]], bool]:
    """The items of every cell, tidied, and whether cells are written as lists; of another cell the only item is all of it.

    Raises:
        DataError: every list has one item, so that it is not clear whether several are possible.
        SpecError: a list has several items, and the study says that there is one label per image.
    """
    cells = list(map(tidy, cells))
    filled = [cell for cell in cells if cell]
    always = all(as_list(cell, always=True) is not None for cell in filled)
    written = [as_list(cell, always=always) for cell in cells]
    rows = [
        tuple(filter(None, (cell,) if items is None else map(tidy, items)))
        for cell, items in zip(cells, written, strict=True)
    ]
    lists = [(name, items) for name, items in zip(where, written, strict=True) if items is not None]
    longer = [name for name, items in lists if len(items) > 1]
    if longer and data.task in {"binary_classification", "multiclass_classification"}:
        problem = listed(longer, "cell holds", "cells hold", "a list of several labels")
        cure = "State data.task: multilabel_classification, or leave it out."
        raise SpecError(problem, where="data.task", cure=cure)
    if data.task == "auto" and lists and all(len(row) == 1 for row in rows):
        problem = "every cell has exactly one label, and some are written as lists: is that one label per image, or several that happen not to meet?"
        raise _one_or_several(problem, lists[0][0], {row[0] for row in rows})
    return rows, bool(lists)


def _one_or_several(problem: str, where: str, names: Collection[str]) -> DataError:
    single, several = (
        "binary_classification" if len(names) == 2 else "multiclass_classification",
        "multilabel_classification",
    )
    cure = f"State data.task: {single} for one label per image, or {several} for several."
    return DataError(problem, where=where, cure=cure, choices=[f"data.task={single}", f"data.task={several}"])


def _signs(
    lists: Sequence[tuple[str, ...]], data: DataSpec, where: Sequence[str], *, are_lists: bool
) -> list[str]:
    """The signs that separate labels within a cell.

    Raises:
        DataError: cells hint at a sign, and do not settle it.
    """
    stated, tokens = tuple(map(tidy, data.classes or ())), {item for items in lists for item in items}
    if data.task in {"binary_classification", "multiclass_classification"}:
        return []
    if data.task == "multilabel_classification":
        return stated_separators(tokens, stated, are_lists=are_lists)
    signs, doubts = separators(tokens, stated, are_lists=are_lists)
    if doubts:
        token = doubts[0].token
        cell = next(k for k, items in enumerate(lists) if any(token in item for item in items))
        raise _doubt(doubts[0], tokens, where[cell])
    return signs


def _doubt(joined: Joined, tokens: Collection[str], where: str) -> DataError:
    labels = f": {some(map(repr, joined.labels))} {'is a label by itself' if len(joined.labels) == 1 else 'are labels by themselves'}"
    problem = f"is {joined.token!r} one name, or several labels with {_mark(joined.sign)} between them{labels if joined.labels else ''}?"
    return _one_or_several(problem, where, tokens)


def _mark(sign: str) -> str:
    return "spaces" if sign == " " else repr(sign.strip())


def _by(signs: Sequence[str], *, are_lists: bool) -> str:
    """How labels are told apart within a cell, in words."""
    ways = (["written as lists"] if are_lists else []) + [f"separated by {_mark(sign)}" for sign in signs]
    return f", {' or '.join(ways)}" if ways else ""


def _about_spelling(cells: Sequence[str], where: Sequence[str], several: bool) -> tuple[str, ...]:
    """A sentence on cells that are read without some of their quotes and spaces; blanks between labels are none of these."""
    changed = [(cell, name) for cell, name in zip(cells, where, strict=True) if composed(cell) != tidy(cell)]
    if not changed or several:
        return ()
    (cell, name), number = changed[0], len(changed)
    more = f", and so in {count(number - 1, 'more cell')}" if number > 1 else ""
    return (
        f"Quotes and spaces are no part of a class name: {cell!r} ({name}) is read as {tidy(cell)!r}{more}.",
    )


def stated_task(data: DataSpec, *possible: Task) -> Task:
    """The stated task if it is among the possible ones; the first of them where nothing is stated."""
    if data.task == "auto":
        return possible[0]
    wider = {
        "binary_classification": "multiclass_classification",
        "binary_segmentation": "multiclass_segmentation",
    }
    if data.task in possible or data.task in {wider.get(task) for task in possible}:
        return data.task
    problem = f"the data are {' or '.join(possible)}, not {data.task}"
    raise SpecError(problem, where="data.task", cure="Leave data.task out, or mend the data.")


def _counted(classes: Sequence[str], rows: Sequence[tuple[int, ...]], how: str) -> str:
    counts = [sum(k in row for row in rows) for k in range(len(classes))]
    counted_classes = ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    return f"{len(classes)} classes, {how}: {counted_classes}."
