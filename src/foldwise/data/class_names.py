"""Class names as they are meant: without stray quotes and spaces, each once however it is spelled, in the order of the study."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from foldwise.errors import DataError, SpecError
from foldwise.text import composed, natural, some

# Invisible: soft hyphen, zero-width space, marks of direction, byte order marks. Joiners of letters stay, since words of
# some languages are spelled with them.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0e-\x1b\x7f]")
# What programs write into a cell that has nothing in it: those of tables, of statistics, and people by hand. `none` and
# `unknown` are classes as often.
_NOTHING = frozenset({
    "na", "n/a", "n.a.", "<na>", "nan", "-nan", "nat", "null", "#n/a", "#na", "#value!", "#ref!", "#name?", "#div/0!",
    "#null!", "#num!", "?", "??", "???", "-", "--", "---", "–", "—", ".", "...", "…", "missing", "(blank)",
})  # fmt: skip
MAX_OBJECT_CLASSES = 250  # values of an 8-bit mask, without the background and 255 for what does not count
_SIGNED = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
_PAIRS = ('""', "''", "``", "´´", "`'", "“”", "„“", "„”", "‘’", "‚‘", "‚’", "«»", "»«", "‹›", "›‹", "「」")


@lru_cache(maxsize=4096)  # a set has few names and many cells
def tidy(text: str) -> str:
    """A class name as it is meant: one form of Unicode, single spaces between its words, no quotes around it."""
    text = " ".join(_INVISIBLE.sub("", composed(text)).split())
    for pair in _PAIRS:
        first, last = pair[0], pair[1]
        inside = text[1:-1]
        if len(text) > 1 and text[0] == first and text[-1] == last and not set(inside) & {first, last}:
            return tidy(inside)
    # Spreadsheets write one sign before what is to stay text; after a number it means minutes or inches.
    if text[:1] in ("'", '"', "`") and text.count(text[0]) == 1:
        return tidy(text[1:])
    if text[-1:] == '"' and text.count('"') == 1 and not text[-2:-1].isdigit():
        return tidy(text[:-1])
    return text


def sameness(name: str) -> str:
    """The same for names that differ in case, spaces or the width of letters only; and for 1 and 1.0."""
    plain = "".join(unicodedata.normalize("NFKC", tidy(name)).casefold().split())
    return str(int(plain.split(".")[0])) if re.fullmatch(r"\d{1,9}(\.0*)?", plain) else plain


def alike(names: Iterable[str]) -> list[list[str]]:
    """Sets of two names or more that are the same name but for their spelling."""
    sets: dict[str, list[str]] = {}
    for name in names:
        sets.setdefault(sameness(name), []).append(name)
    return [own for own in sets.values() if len(own) > 1]


def read_classes(
    written: Sequence[tuple[str, str]], stated: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, int], tuple[str, ...]]:
    """Class names in order, the index that each written label means, and what to say about it.

    Args:
        written: of every label its name and where it stands.
        stated: the classes that the study names; None where it does not.

    Raises:
        DataError: names differ in their spelling only, or say that there is no label, and the study does not name the classes.
    """
    there = {name for name, _ in written}
    if stated is None:
        _refuse_nothing(written)
        _refuse_alike(Counter(name for name, _ in written), dict(reversed(written)))
        classes = tuple(sorted(there, key=natural))
        if all(map(_SIGNED.fullmatch, classes)):
            classes = tuple(sorted(classes, key=float))  # -1 comes before 1
        return classes, {name: k for k, name in enumerate(classes)}, ()
    classes = tuple(map(tidy, stated))
    index = {name: k for k, name in enumerate(classes)}
    numbers = all(name.isdigit() and int(name) < len(classes) for name in there)
    if numbers and not there & index.keys():
        statement = f"The labels are numbers and were read as places in data.classes: 0 is {classes[0]!r}."
        return classes, {name: int(name) for name in there}, (statement,)
    by_sound = {sameness(name): name for name in classes} if not alike(classes) else {}
    others = {name: by_sound[sameness(name)] for name in there - index.keys() if sameness(name) in by_sound}
    index |= {name: index[other] for name, other in others.items()}
    pairs = some(f"{name!r} as {others[name]!r}" for name in sorted(others, key=natural))
    return classes, index, (f"Labels are read as data.classes spells them: {pairs}.",) if others else ()


def _refuse_nothing(written: Sequence[tuple[str, str]]) -> None:
    """Raise DataError where a name is what is written in place of a label; a study that names its classes may mean it."""
    empty = [(name, cell) for name, cell in written if name.casefold() in _NOTHING]
    if not empty:
        return
    counts = some(f"{name!r} ({number})" for name, number in Counter(name for name, _ in empty).items())
    classes = sorted({name for name, _ in written}, key=natural)
    problem = f"is {counts} a class, or does it say that the label is not known?"
    cure = f"Take these rows out, or fill their cells; if it is a class, state data.classes: {listing_of(classes)}."
    raise DataError(problem, where=empty[0][1], cure=cure)


def _refuse_alike(counts: Counter[str], first: Mapping[str, str]) -> None:
    """Raise DataError where names of classes differ in spelling only; `first` is where each stands first."""
    names = sorted(counts, key=natural)
    twins = alike(names)
    if not twins:
        return
    usual = {name: max(own, key=counts.__getitem__) for own in twins for name in own}
    once = list(dict.fromkeys(usual.get(name, name) for name in names))
    pairs = some(" and ".join(f"{name!r} ({counts[name]})" for name in own) for own in twins)
    cure = f"data.classes: {listing_of(names)} if they are several."
    if len(once) > 1:  # as one class there would be nothing to compare
        cure = f"data.classes: {listing_of(once)} to read them as one class, or {cure}"
    rarest = min(twins[0], key=counts.__getitem__)
    problem = f"class names differ in spelling only: {pairs}"
    raise DataError(problem, where=first[rarest], cure=f"State {cure}")


# A legend says which class each colour of masks is: a table of names and colours, or CVAT's labelmap.txt.
MAX_LEGEND_BYTES = 2**20
_NAMES = ("name", "class", "class_name", "classname", "label", "label_name")
_CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))
_COLOURS = ("color", "colour", "hex", "rgb", "html")


def legend_beside(
    root: Path, values: Iterable[object] | None
) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """The legend that lies beside masks and their values, or their colours where None; and a sentence about it.

    Raises:
        DataError: there are several.
    """
    kind, kinds = ("colours", (".csv", ".txt")) if values is None else ("values", (".json",))
    files = [path for path in sorted(root.glob("*")) if path.suffix in kinds]
    there = set(map(str, values or ()))  # a legend of other values is of other masks
    legends = {
        path.name: legend for path in files if (legend := read_legend(path)) and there <= legend.keys()
    }
    if len(legends) > 1:
        cure = "Take all but one out, or state data.mask_values."
        raise DataError(f"{some(legends)} could all be the legend of the masks", where=str(root), cure=cure)
    for name, legend in legends.items():
        return legend, (f"The {kind} of the masks are those of {name}.",)
    return None, ()


def read_legend(path: Path) -> dict[str, str]:
    """``#rrggbb`` -> name of the class, in the order of a legend; none where a file is no legend.

    Of nnU-Net's dataset.json it is the value of each class, in their order.

    A class called background comes first, or else that of black: it is the one that `data.mask_values` takes as such.

    Raises:
        DataError: two classes have one colour.
    """
    try:
        if path.stat().st_size > MAX_LEGEND_BYTES:
            return {}
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return {}
    if path.suffix == ".json":
        return _values_of_nnunet("\n".join(lines))
    pairs = _labelmap(lines) if path.suffix == ".txt" else _legend_table(lines)
    legend = dict(pairs)
    if len(legend) < len(pairs):
        again = next(
            colour for colour, number in Counter(colour for colour, _ in pairs).items() if number > 1
        )
        cure = "Give every class a colour of its own, or state data.mask_values."
        raise DataError(f"two classes of the legend have the colour {again}", where=path.name, cure=cure)
    is_first = [colour for colour, name in pairs if name.strip("_ ").casefold() == "background"]
    is_first += ["#000000"] if "#000000" in legend else []
    return {colour: legend[colour] for colour in dict.fromkeys([*is_first, *legend])}


def _legend_table(lines: Sequence[str]) -> list[tuple[str, str]]:
    rows = [
        {key.strip().casefold(): (cell or "").strip() for key, cell in row.items() if key}
        for row in csv.DictReader(lines)
        if None not in row
    ]
    name = next((key for key in _NAMES if rows and key in rows[0]), None)
    if name is None:
        return []
    channels = next((keys for keys in _CHANNELS if set(keys) <= rows[0].keys()), ())
    colour = next((key for key in _COLOURS if key in rows[0]), "")
    pairs = [
        (_hex([row[key] for key in channels] or re.split(r"[,\s]+", row.get(colour, ""))), tidy(row[name]))
        for row in rows
    ]
    return pairs if all(code and class_name for code, class_name in pairs) else []


def _values_of_nnunet(text: str) -> dict[str, str]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        return {}
    # In its first version names stood by values; regions, which are lists of values, are no classes.
    by_value = {str(name): value for value, name in labels.items()} if "0" in labels else labels
    pairs = [(value, tidy(name)) for name, value in by_value.items() if re.fullmatch(r"\d{1,3}", str(value))]
    return (
        {str(value): name for value, name in sorted(pairs, key=lambda pair: int(pair[0]))}
        if len(pairs) == len(labels)
        else {}
    )


def _labelmap(lines: Sequence[str]) -> list[tuple[str, str]]:
    parts = [line.split(":") for line in lines if line.strip() and not line.startswith("#")]
    pairs = [(_hex(part[1].split(",")), tidy(part[0])) for part in parts if len(part) > 1]
    return pairs if len(pairs) == len(parts) and all(code and name for code, name in pairs) else []


def _hex(cells: Sequence[str]) -> str:
    """``#rrggbb`` of three numbers, or of one such text; empty where they are no colour."""
    cells = [cell.strip("()[] ") for cell in cells if cell.strip("()[] ")]
    if len(cells) == 1 and re.fullmatch("#?[0-9a-fA-F]{6}", cells[0]):
        return f"#{cells[0].lstrip('#').lower()}"
    if len(cells) == 3 and all(re.fullmatch(r"\d{1,3}", cell) and int(cell) < 256 for cell in cells):
        return "#" + "".join(f"{int(cell):02x}" for cell in cells)
    return ""


def listing_of(names: Iterable[str]) -> str:
    """Names as a list of a study file."""
    plain = re.compile(r"[A-Za-z][\w -]*")
    words = {"null", "true", "false", "yes", "no", "on", "off"}
    shown = (
        name
        if plain.fullmatch(name) and name.casefold() not in words
        else json.dumps(name, ensure_ascii=False)
        for name in names
    )
    return f"[{', '.join(shown)}]"


def classes_of_objects(names: Sequence[str], stated: Sequence[str] | None, left_out: int) -> tuple[str, ...]:
    """The classes by their values in the masks: what the study states, or the background and those of the objects.

    Args:
        names: of the objects.
        left_out: how many labels have no area.
    """
    backgrounds = [name for name in names if name.strip("_ ").casefold() == "background"]
    classes = stated or ("background", *(name for name in names if name not in backgrounds))
    if stated is not None and (strange := [name for name in names if name not in (*classes, *backgrounds)]):
        problem = f"the labels hold {some(strange)}, which data.classes does not name"
        raise SpecError(
            problem, where="data.classes", cure="Name every class once; the first is the background."
        )
    if not names or len(classes) < 2:
        problem, cure = "the labels hold no object", "State data.masks: the right file or folder."
        if left_out:
            problem = f"the labels are boxes, points or lines ({left_out}), none of which has an outline"
            cure = "Export polygons or masks from the program that they are from: foldwise segments, and detects nothing."
        raise DataError(problem, where="masks", cure=cure)
    if len(classes) > MAX_OBJECT_CLASSES:
        problem = f"the labels hold {len(classes)} classes, more than {MAX_OBJECT_CLASSES}"
        raise DataError(problem, where="masks", cure="Give objects of one kind one class.")
    return tuple(classes)
