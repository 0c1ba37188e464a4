"""What the values of all masks of a set mean: a census of every mask decides, or the study file does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from foldwise.data.formats.pixels import MaskKey, Pixels, mask_values_of, value_counts
from foldwise.data.formats.reading import NUM_DECODERS, DecodedMasks
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import IGNORE, DataSpec, Decoding
from foldwise.study.training import Task
from foldwise.text import count, some

NO_CLASS = 254  # marks, while a mask is translated, values that mean nothing
MAX_CLASSES = 32  # more distinct values than this are stray values or instance numbers, not classes


@dataclass(frozen=True)
class MaskMeaning:
    """The task and classes of a set of masks, and the class of every raw value (`IGNORE` for those not counted)."""

    task: Task
    classes: tuple[str, ...]
    values: dict[MaskKey, int]
    statements: tuple[str, ...]
    decoded: DecodedMasks | None = None  # the masks, which had to be decoded to know this


def read_meaning(root: Path, locations: Sequence[str], data: DataSpec) -> MaskMeaning:
    """What the mask values mean, from a census of all masks and what the study file states.

    Raises:
        DataError: masks cannot be read (all at once), or the values leave more than one meaning open.
        SpecError: stated values or classes do not fit.
    """
    palette: Palette = "auto"
    if data.mask_values is not None:
        values = [value for key in data.mask_values for value in _parsed(key)]
        palette = "colour" if any(isinstance(value, tuple) for value in values) else "index"
    census, about_palettes, decoded = take_census(
        root, locations, palette=palette, decoding=data.decoding.of_masks()
    )
    meaning = _recognised(census, data) if data.mask_values is None else _stated(census, data)
    if data.task not in {"auto", meaning.task, "multiclass_segmentation"}:
        problem = f"the masks hold {len(meaning.classes)} classes ({', '.join(meaning.classes)}), not those of {data.task}"
        raise SpecError(problem, where="data.task", cure="Leave data.task out, or state data.mask_values.")
    task = meaning.task if data.task == "auto" else data.task
    statements = (*about_palettes, *meaning.statements)
    return MaskMeaning(task, meaning.classes, meaning.values, statements, decoded)


def _recognised(census: Census, data: DataSpec) -> MaskMeaning:
    """The one meaning that the values allow when none is stated."""
    coloured = any(isinstance(value, tuple) for value in census.pixels)
    ignored: dict[MaskKey, int] = {}
    if data.ignore_value is not None:
        ignored = {as_colour(data.ignore_value) if coloured else data.ignore_value: IGNORE}
    counted = [value for value in census.pixels if (as_colour(value) if coloured else value) not in ignored]
    if coloured:
        classes, values = _colour_classes(census, counted)
    else:
        grey_values = sorted(value for value in counted if isinstance(value, int))
        classes, values = _grey_classes(census, grey_values, data)
    if data.classes is not None:
        if len(data.classes) != len(classes):
            problem = f"{len(data.classes)} names for {len(classes)} classes"
            raise SpecError(problem, where="data.classes", cure=_template(census))
        classes = data.classes
    meanings = [f"{show(value)} is {classes[k]!r}" for value, k in values.items()]
    meanings += [f"{show(value)} is not counted" for value in ignored]
    hint = "" if data.classes is not None else " State data.classes to give them names of your own."
    statement = f"Mask values ({census.num_masks} masks): {', '.join(meanings)}.{hint}"
    return MaskMeaning(_task_of(classes), classes, {**values, **ignored}, (statement,))


def _task_of(classes: tuple[str, ...]) -> Task:
    return "binary_segmentation" if len(classes) == 2 else "multiclass_segmentation"


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
    # A rare class may be on no pixel of a set.
    if data.classes is not None and values[-1] < len(data.classes):
        num_classes, values = len(data.classes), list(range(len(data.classes)))
    allowed = MAX_CLASSES if data.classes is None else NO_CLASS
    if values == list(range(num_classes)) and num_classes <= allowed:
        others = ["foreground"] if num_classes == 2 else [f"class {k}" for k in values[1:]]
        return ("background", *others), {k: k for k in values}
    # 255 is the usual value for pixels that do not count, and a possible class: the harm of a wrong guess is large.
    if values[-1] == 255 and values[:-1] == list(range(len(values) - 1)):
        problem = "255 may be a class, or pixels that do not count"
        raise _unclear(census, problem, "State data.ignore_value: 255, or ")
    # Instance masks number their objects from 1 without a gap, just as classes are numbered.
    if len(values) > MAX_CLASSES and values == list(range(num_classes)):
        problem = f"{num_classes} values look like numbered objects, not classes"
        raise _unclear(census, problem, "If they are classes, state data.classes. Else ")
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
    names = ("background", *(show(colour) for colour in colours[1:]))
    return names, {colour: k for k, colour in enumerate(colours)}


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
    names = ["background", *(f"name {k}" for k in range(1, len(values)))]
    entries = ", ".join(f'"{value}": {name}' for value, name in zip(values, names, strict=True))
    return f"state data.mask_values, for example {{{entries}}} (the first name is the background; 'ignore' is not counted)."


def _stated(census: Census, data: DataSpec) -> MaskMeaning:
    """The meaning that `data.mask_values` states, checked against every value there is."""
    assert data.mask_values is not None
    names = list(dict.fromkeys(name for name in data.mask_values.values() if name != "ignore"))
    classes = data.classes or tuple(names)
    strange = [name for name in names if name not in classes]
    if strange or len(classes) < 2:
        problem = "masks need two classes at least"
        if strange:
            problem = f"{some(strange)} is not among data.classes"
        cure = "Name every class once; the first is the background."
        raise SpecError(problem, where="data.mask_values", cure=cure)
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
        number = count(len(unknown), "value in the masks is", "values in the masks are")
        counts = "; ".join(census.described(value) for value in unknown[:12])
        cure = "State them (a range such as 128-255 is possible, and the name 'ignore'), or mend the masks."
        raise DataError(f"{number} not stated. {counts}", where="data.mask_values", cure=cure)
    statement = f"Mask values as stated: classes {', '.join(classes)}."
    return MaskMeaning(_task_of(classes), classes, values, (statement,))


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
    cure = 'Write 7, 128-255, "#ff0000" or "255,0,0" (0 to 65535).'
    raise SpecError(f"{written!r} is no mask value", where="data.mask_values", cure=cure)


BLACK = (0, 0, 0)


class Census:
    """How many pixels, in how many masks, hold each value; a grey value of a set in colours counts as its colour."""

    def __init__(self, masks: Sequence[tuple[str, Mapping[MaskKey, int]]], formats: set[str]) -> None:
        """Args: masks: of each its location, and how many pixels hold each value."""
        self.num_masks, self.formats = len(masks), formats
        self.pixels: Counter[MaskKey] = Counter()
        self.files: Counter[MaskKey] = Counter()
        self.example: dict[MaskKey, str] = {}
        for location, counts in masks:
            self.pixels.update(counts)
            self.files.update(counts.keys())
            for value in counts:
                self.example.setdefault(value, location)

    def described(self, value: MaskKey) -> str:
        """A value with its counts."""
        counts = f"{self.pixels[value]} pixels in {self.files[value]} mask(s)"
        return f"{show(value)}: {counts}, e.g. {self.example[value]}"

    def table(self, limit: int = 12) -> str:
        """The values with their counts, commonest first."""
        entries = [self.described(value) for value, _ in self.pixels.most_common(limit)]
        more = [f"and {len(self.pixels) - limit} more values"] if len(self.pixels) > limit else []
        return "; ".join([*entries, *more])


Palette = Literal["auto", "index", "colour"]


@dataclass(frozen=True)
class _Counts:
    """How many pixels of one mask hold each value, by index and as shown, and the colours of the indices it uses."""

    indices: dict[MaskKey, int]
    shown: dict[MaskKey, int]
    colours: dict[int, tuple[int, ...]]  # empty for a file without a palette
    format: str


def take_census(
    root: Path, locations: Sequence[str], *, palette: Palette, decoding: Decoding
) -> tuple[Census, tuple[str, ...], DecodedMasks]:
    """The census, sentences about palettes, and the masks that were decoded for it.

    Palette files count as indices where one index has one colour in the whole set, else as colours.

    Raises:
        DataError: masks cannot be read; all at once.
    """
    decoded = DecodedMasks()

    def count_in(location: str) -> _Counts | DataError:
        try:
            return _count(decoded.decode(root, location, decoding), location)
        except DataError as error:
            return DataError(error.what, where=location, cure=error.cure)

    with ThreadPoolExecutor(NUM_DECODERS) as pool:
        counts = list(pool.map(count_in, locations))
    if errors := [entry for entry in counts if isinstance(entry, DataError)]:
        raise DataError.together(errors)
    masks = [entry for entry in counts if isinstance(entry, _Counts)]
    as_index, statements = _by_index(masks, palette)
    values: list[Mapping[MaskKey, int]] = [
        mask.indices if as_index else {as_colour(value): number for value, number in mask.shown.items()}
        for mask in masks
    ]
    census = Census(list(zip(locations, values, strict=True)), {mask.format for mask in masks})
    return census, statements, decoded


def _count(pixels: Pixels, location: str) -> _Counts:
    counts = value_counts(mask_values_of(pixels, palette="index", where=location))
    if pixels.palette is None:
        return _Counts(counts, counts, {}, pixels.format)
    shown = value_counts(mask_values_of(pixels, palette="colour", where=location))
    used = np.unique(pixels.values).tolist()
    return _Counts(counts, shown, {k: tuple(pixels.palette[k].tolist()) for k in used}, pixels.format)


def _by_index(masks: Sequence[_Counts], palette: Palette) -> tuple[bool, tuple[str, ...]]:
    """Whether palette files count as their indices, and a sentence where that had to be found out."""
    colours_of: dict[int, set[tuple[int, ...]]] = {}
    for mask in masks:
        for index, colour in mask.colours.items():
            colours_of.setdefault(index, set()).add(colour)
    if not colours_of or palette == "index":
        return True, ()
    if palette == "colour":
        return False, ()
    # One colour for every index and one index for every colour, so that no two files mean different things by one.
    is_single = all(len(colours) == 1 for colours in colours_of.values())
    is_steady = is_single and len(set.union(*colours_of.values())) == len(colours_of)
    first_is_black = colours_of.get(0, {BLACK}) == {BLACK}
    if all(mask.colours for mask in masks) and is_steady and first_is_black:
        return True, ("The masks have palettes; their indices are taken as class numbers.",)
    reason = "are not the same in all files, or do not begin with black"
    return False, (f"The masks have palettes that {reason}; their colours count.",)


def as_colour(value: MaskKey) -> tuple[int, int, int]:
    """A grey value as the colour it shows."""
    return (value, value, value) if isinstance(value, int) else value


def show(value: MaskKey) -> str:
    """A value as the study file spells it: ``128`` or ``#ff0000``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)
