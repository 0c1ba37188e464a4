"""Which columns of a table are labels, and which only describe the images."""

from __future__ import annotations

from foldwise.data.layouts.tables import Table
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec

# fmt: off
LABEL_NAMES = frozenset({
    "label", "labels", "class", "classes", "target", "targets", "category", "categories", "diagnosis", "tag", "tags",
})
# Never taken as labels unless stated: they say where an image comes from, not what it shows.
OTHER_NAMES = frozenset({
    "group", "groups", "patient", "subject", "child", "donor", "animal", "case", "eye", "side", "sex", "gender",
    "age", "split", "fold", "set", "train", "test", "valid", "validation", "is_train", "is_test", "is_valid",
    "width", "height", "size", "mode", "format", "bits", "source", "site", "centre", "center", "scanner", "device",
    "date",
})
# fmt: on
TRUE, FALSE = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


def label_columns(table: Table, data: DataSpec, image_column: str) -> tuple[str, ...]:
    """The columns that hold labels: those stated, one called ``label``, the 0/1 columns, or the only other one."""
    if data.label_columns is not None:
        if not data.label_columns:
            raise SpecError(
                "no column is named", where="data.label_columns", cure=f"Columns: {', '.join(table.columns)}."
            )
        return tuple(table.column(name, "data.label_columns") for name in data.label_columns)
    others = [name for name in table.columns if name and name not in {image_column, data.group_column}]
    named = [name for name in others if name.casefold() in LABEL_NAMES]
    usable = [name for name in others if not is_other(name)]
    indicators = [name for name in usable if name not in named and _is_indicator(table, name)]
    if len(named) == 1 and len(indicators) < 2:
        return (named[0],)
    if not named and len(indicators) > 1:
        return tuple(indicators)
    if len(others) == 1 and usable:
        return (usable[0],)
    choices = named + [name for name in usable if name not in named]
    raise DataError(
        f"which columns are the labels is not clear among {', '.join(others) or '(none)'}",
        where=table.name,
        cure=f"State data.label_columns, for example [{(choices or others or ['label'])[0]}].",
    )


def is_other(name: str) -> bool:
    """Whether a column name says that it is no label: an id, a group, a split, a file property."""
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    parts = plain.split("_")
    return (
        plain in OTHER_NAMES
        or parts[-1] in {"id", "group", "keywords", "sha256"}
        or parts[0] in {"source", "patient", "group"}
    )


def _is_indicator(table: Table, column: str) -> bool:
    return all(row[column].strip().casefold() in TRUE | FALSE for row in table.rows)
