"""What the values of all masks of a set mean: a census of every mask decides, or the study file does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldwise.data.cases import MaskKey
from foldwise.data.formats.reading import DecodedMasks
from foldwise.data.layouts.mask_census import Census, Palette, as_colour, show, take_census
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import IGNORE, DataSpec, Task
from foldwise.text import count, some

NO_CLASS = 254  # marks, while a mask is translated, values that mean nothing
MAX_CLASSES = 32  # more distinct values than this are stray values or instance numbers, not classes


@dataclass(frozen=True)
class MaskMeaning:
    """The task and classes of a set of masks, and the class of every raw value (`IGNORE` for those not counted).

    Attributes:
        decoded: the masks themselves, which had to be decoded to know this.
    """

    task: Task
    classes: tuple[str, ...]
    values: dict[MaskKey, int]
    statements: tuple[str, ...]
    decoded: DecodedMasks | None = None


def read_meaning(root: Path, locations: Sequence[str], data: DataSpec) -> MaskMeaning:
    """What the mask values mean, from a census of all masks and what the study file states.

    Raises:
        DataError: masks cannot be read (all at once), or the values leave more than one meaning open.
        SpecError: stated values or classes do not fit.
    """
    palette: Palette = "auto"
    if data.mask_values is not None:
        palette = (
            "colour"
            if any(isinstance(v, tuple) for key in data.mask_values for v in _parsed(key))
            else "index"
        )
    census, about_palettes, decoded = take_census(root, locations, palette=palette)
    meaning = _recognised(census, data) if data.mask_values is None else _stated(census, data)
    if data.task not in {"auto", meaning.task, "multiclass_segmentation"}:
        raise SpecError(
            f"the masks hold {len(meaning.classes)} classes ({', '.join(meaning.classes)}), not those of {data.task}",
            where="data.task",
            cure="Leave data.task out, or state data.mask_values.",
        )
    task = meaning.task if data.task == "auto" else data.task
    statements = (*about_palettes, *meaning.statements)
    return MaskMeaning(task, meaning.classes, meaning.values, statements, decoded)


def _recognised(census: Census, data: DataSpec) -> MaskMeaning:
    """The one meaning that the values allow when none is stated."""
    coloured = any(isinstance(value, tuple) for value in census.pixels)
    ignored: dict[MaskKey, int] = {}
    if data.ignore_value is not None:
        ignored = {as_colour(data.ignore_value) if coloured else data.ignore_value: IGNORE}
    counted_values = [
        value for value in census.pixels if (as_colour(value) if coloured else value) not in ignored
    ]
    if coloured:
        classes, values = _colour_classes(census, counted_values)
    else:
        classes, values = _grey_classes(
            census, sorted(value for value in counted_values if isinstance(value, int)), data
        )
    if data.classes is not None:
        if len(data.classes) != len(classes):
            raise SpecError(
                f"{len(data.classes)} names for {len(classes)} classes",
                where="data.classes",
                cure=_template(census),
            )
        classes = data.classes
    task: Task = "binary_segmentation" if len(classes) == 2 else "multiclass_segmentation"
    meanings = [f"{show(value)} is {classes[k]!r}" for value, k in values.items()]
    meanings += [f"{show(value)} is not counted" for value in ignored]
    hint = "" if data.classes is not None else " State data.classes to give them names of your own."
    return MaskMeaning(
        task,
        classes,
        {**values, **ignored},
        (f"Mask values ({census.num_masks} masks): {', '.join(meanings)}.{hint}",),
    )


def _grey_classes(
    census: Census, values: list[int], data: DataSpec
) -> tuple[tuple[str, ...], dict[MaskKey, int]]:
    """Classes of grey values: {0, 255}, or 0..K-1 without a gap."""
    if values in ([], [0]):
        raise _unclear(census, "all masks are empty")
    # The usual binary mask; of any other pair of values the meaning must be stated.
    if values == [0, 255]:
        return ("background", "foreground"), {0: 0, 255: 1}
    num_classes = values[-1] + 1
    if data.classes is not None and values[-1] < len(data.classes):
        num_classes, values = len(data.classes), list(range(len(data.classes)))
    if (
        values == list(range(num_classes))
        and (num_classes <= MAX_CLASSES or data.classes is not None)
        and num_classes <= NO_CLASS
    ):
        names = (
            ("background", "foreground")
            if num_classes == 2
            else ("background", *(f"class {k}" for k in values[1:]))
        )
        return names, {k: k for k in values}
    # 255 is the usual value for pixels that do not count, and a possible class: the harm of a wrong guess is large.
    if values[-1] == 255 and values[:-1] == list(range(len(values) - 1)):
        raise _unclear(
            census, "255 may be a class, or pixels that do not count", "State data.ignore_value: 255, or "
        )
    # Instance masks number their objects from 1 without a gap, just as classes are numbered.
    if len(values) > MAX_CLASSES and values == list(range(num_classes)):
        raise _unclear(
            census,
            f"{num_classes} values look like numbered objects, not classes",
            "If they are classes, state data.classes. Else ",
        )
    raise _unclear(census, "the masks are neither 0/255 nor 0..K-1")


def _colour_classes(census: Census, values: list[MaskKey]) -> tuple[tuple[str, ...], dict[MaskKey, int]]:
    """Classes of colours: black is the background, the others are named by their code."""
    colours = sorted({as_colour(value) for value in values})
    if len(colours) > MAX_CLASSES:
        raise _unclear(census, f"the masks hold {len(colours)} colours")
    # Black and white saved as colour is the grey case above.
    if colours == [(0, 0, 0), (255, 255, 255)]:
        return ("background", "foreground"), {(0, 0, 0): 0, (255, 255, 255): 1}
    if colours[0] != (0, 0, 0) or len(colours) < 2:
        raise _unclear(census, "no colour is black, so it is not clear which is the background")
    return ("background", *(show(colour) for colour in colours[1:])), {
        colour: k for k, colour in enumerate(colours)
    }


def _unclear(census: Census, problem: str, cure: str = "") -> DataError:
    """The refusal that shows all values and how to state what they mean."""
    if "JPEG" in census.formats and len(census.pixels) > 2:
        cure = f"JPEG blurs mask values: draw the masks again as PNG if you can. {cure}"
    return DataError(f"{problem}. Values: {census.table()}", where="masks", cure=f"{cure}{_template(census)}")


def _template(census: Census) -> str:
    """The lines of a study file that would state the commonest values."""
    values = [show(value) for value, _ in census.pixels.most_common(4)]
    if len(census.pixels) > MAX_CLASSES and not any(isinstance(value, tuple) for value in census.pixels):
        return "state data.mask_values with ranges, for example {0-127: background, 128-255: foreground}."
    entries = ", ".join(
        f'"{value}": {"background" if k == 0 else f"name {k}"}' for k, value in enumerate(values)
    )
    return f"state data.mask_values, for example {{{entries}}} (the first name is the background; 'ignore' is not counted)."


def _stated(census: Census, data: DataSpec) -> MaskMeaning:
    """The meaning that `data.mask_values` states, checked against every value there is."""
    assert data.mask_values is not None
    names = list(dict.fromkeys(name for name in data.mask_values.values() if name != "ignore"))
    classes = data.classes or tuple(names)
    strange = [name for name in names if name not in classes]
    if strange or len(classes) < 2:
        raise SpecError(
            f"{some(strange)} is not among data.classes" if strange else "masks need two classes at least",
            where="data.mask_values",
            cure="Name every class once; the first is the background.",
        )
    index = {name: k for k, name in enumerate(classes)} | {"ignore": IGNORE}
    values: dict[MaskKey, int] = {}
    for written, name in data.mask_values.items():
        values.update(dict.fromkeys(_parsed(written), index[name]))
    if data.ignore_value is not None:
        values[data.ignore_value] = IGNORE
    if any(isinstance(value, tuple) for value in (*values, *census.pixels)):
        values = {as_colour(value): k for value, k in values.items()}
    unknown = [value for value in census.pixels if value not in values and as_colour(value) not in values]
    if unknown:
        counts = "; ".join(
            f"{show(v)}: {census.pixels[v]} pixels in {census.files[v]} mask(s), e.g. {census.example[v]}"
            for v in unknown[:12]
        )
        raise DataError(
            f"{count(len(unknown), 'value in the masks is', 'values in the masks are')} not stated. {counts}",
            where="data.mask_values",
            cure="State them (a range such as 128-255 is possible, and the name 'ignore'), or mend the masks.",
        )
    task: Task = "binary_segmentation" if len(classes) == 2 else "multiclass_segmentation"
    return MaskMeaning(task, classes, values, (f"Mask values as stated: classes {', '.join(classes)}.",))


def _parsed(written: str) -> list[MaskKey]:
    """The values that a key of `data.mask_values` means: ``7``, ``128-255``, ``#ff0000`` or ``255,0,0``."""
    text = written.strip()
    if re.fullmatch(r"\d+", text) and int(text) <= 65535:
        return [int(text)]
    if (match := re.fullmatch(r"(\d+)\s*-\s*(\d+)", text)) and int(match[1]) <= int(match[2]) <= 65535:
        return list(range(int(match[1]), int(match[2]) + 1))
    if match := re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text):
        return [(int(match[1], 16), int(match[2], 16), int(match[3], 16))]
    parts = text.strip("()[]").split(",")
    if len(parts) == 3 and all(part.strip().isdigit() and int(part) <= 255 for part in parts):
        red, green, blue = map(int, parts)
        return [(red, green, blue)]
    raise SpecError(
        f"{written!r} is no mask value",
        where="data.mask_values",
        cure='Write 7, 128-255, "#ff0000" or "255,0,0" (0 to 65535).',
    )
