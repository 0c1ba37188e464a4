"""What the values of all masks of a set mean: a census of every mask decides, or the study file does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foldwise.data.cases import NO_CLASS
from foldwise.data.class_names import legend_beside
from foldwise.data.formats.pixels import MaskKey
from foldwise.data.formats.reading import DecodedMasks
from foldwise.data.masks.census import (
    BLACK,
    IGNORED,
    MAX_LISTED,
    OTHER,
    Census,
    Palette,
    are_pictures,
    as_colour,
    mapping,
    parsed,
    show,
    suggestion,
    take_census,
)
from foldwise.data.masks.objects import numbered_objects
from foldwise.errors import DataError, SpecError
from foldwise.study.ranges import IGNORE
from foldwise.study.spec import DataSpec
from foldwise.study.training import Task
from foldwise.text import count, some

MAX_CLASSES = 32  # more distinct values than this are stray values or instance numbers, not classes
# What programs write for "yes" in a mask of two values: true, and the largest number of 8 and of 16 bit.
FULL = frozenset({1, 255, 65535})
_MOSTLY = 0.5  # of the masks with a value: so many have it along their edges where they are inverted


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
        DataError, SpecError: masks cannot be read (all at once) or mean more than one thing; what is stated does not fit.
    """
    palette: Palette = "auto"
    if data.mask_values is not None:
        values = [value for key in data.mask_values for value in parsed(key)]
        palette = "colour" if any(isinstance(value, tuple) for value in values) else "index"
    census, about_palettes, decoded = take_census(
        root, locations, palette=palette, decoding=data.decoding.of_masks()
    )
    if data.mask_values is None and (census.is_coloured or data.classes is None):
        legend, about_legend = legend_beside(root, None if census.is_coloured else census.pixels)
        data, about_palettes = data.model_copy(update={"mask_values": legend}), about_palettes + about_legend
    meaning = _recognised(census, data) if data.mask_values is None else _stated(census, data)
    if data.task not in {"auto", meaning.task, "multiclass_segmentation"}:
        problem = f"the masks hold {len(meaning.classes)} classes ({', '.join(meaning.classes)}), not those of {data.task}"
        if data.task.endswith("classification"):
            problem = f"the labels are masks, which are for {meaning.task}, not {data.task}"
        raise SpecError(problem, where="data.task", cure="Leave data.task out, or state data.mask_values.")
    task = meaning.task if data.task == "auto" else data.task
    statements = (*about_palettes, *meaning.statements)
    return MaskMeaning(task, meaning.classes, meaning.values, statements, decoded)


def _recognised(census: Census, data: DataSpec) -> MaskMeaning:
    """The one meaning that the values allow when none is stated."""
    ignored: dict[MaskKey, int] = {}
    if data.ignore_value is not None:
        value = as_colour(data.ignore_value) if census.is_coloured else data.ignore_value
        ignored, census = {value: IGNORE}, census.without(value)
    try:
        classes, values, about = (_colour_classes if census.is_coloured else _grey_classes)(census, data)
    except DataError as error:
        if data.classes is None:
            raise
        cure = f"{error.cure} With data.mask_values, data.classes is left out, or has the same names."
        raise DataError(error.what, where=error.where, cure=cure) from None
    if data.classes is not None:
        if len(data.classes) != len(classes):
            problem = f"{len(data.classes)} names for {len(classes)} classes"
            raise SpecError(problem, where="data.classes", cure=suggestion(census))
        classes = data.classes
    meanings = [f"{show(value)} is {classes[k]!r}" for value, k in values.items()]
    meanings += [f"{show(value)} is not counted" for value in ignored]
    hint = "" if data.classes is not None else " State data.classes to give them names of your own."
    statement = f"Mask values ({census.num_masks} masks): {', '.join(meanings)}.{hint}"
    return MaskMeaning(_task_of(classes), classes, {**values, **ignored}, (statement, *about))


def _task_of(classes: tuple[str, ...]) -> Task:
    return "binary_segmentation" if len(classes) == 2 else "multiclass_segmentation"


Classes = tuple[tuple[str, ...], dict[MaskKey, int], tuple[str, ...]]  # names, class by value, what to say


def _grey_classes(census: Census, data: DataSpec) -> Classes:
    """Classes of grey values: one that means "yes" beside 0, or 0..K-1 without a gap."""
    values = sorted(value for value in census.pixels if isinstance(value, int))
    if values in ([], [0]):
        raise _unclear(census, "all masks are empty")
    foreground = [value for value in values if value != 0]
    # The usual binary masks; of any other pair of values the meaning must be stated.
    never_share = values[0] == 0 and _never_share(census, foreground)
    if never_share and FULL.issuperset(foreground) and foreground != [1]:
        return _one_class(census, foreground)
    num_classes = values[-1] + 1
    # A rare class may be on no pixel of a set.
    if data.classes is not None and values[-1] < len(data.classes):
        num_classes, values = len(data.classes), list(range(len(data.classes)))
    elif why := numbered_objects(census, [value for value in foreground if value != _border(census)]):
        raise _numbered(census, data, why)
    if values == list(range(num_classes)):
        if num_classes > (MAX_CLASSES if data.classes is None else NO_CLASS):
            if are_pictures(census):
                raise _unclear(census, f"the masks hold {num_classes} values")
            # Instance masks number their objects from 1 without a gap, just as classes are numbered.
            raise _numbered(census, data, "there are so many")
        others = ["foreground"] if num_classes == 2 else [f"class {k}" for k in values[1:]]
        return ("background", *others), {k: k for k in values}, ()
    if never_share and len(foreground) > 1:
        raise _once_or_twice(census, foreground, data)
    # 255 is the usual value for pixels that do not count, and a possible class: the harm of a wrong guess is large.
    if values[-1] == 255 and values[:-1] == list(range(len(values) - 1)):
        # What does not count lies beside what does; where 255 is mostly alone, it marks objects.
        beside = sum({255} < mask.pixels.keys() - {0} for mask in census.masks)
        if beside >= census.files[255] / 2:
            problem = "255 may be a class, or pixels that do not count"
            raise _unclear(census, problem, "State data.ignore_value: 255, or ")
        raise _unclear(census, "255 may be a class of its own, or one of the others")
    raise _unclear(census, "the masks are neither 0/255 nor 0..K-1")


def _border(census: Census) -> int | None:
    """255 where it may mark the borders of numbered objects: beyond their numbers, and in as many masks as any of them."""
    others = [census.files[value] for value in census.pixels if value not in (0, 255)]
    is_beyond = 254 not in census.pixels and max(census.pixels, key=_as_number) == 255
    return 255 if others and is_beyond and census.files[255] >= max(others) else None


def _as_number(value: MaskKey) -> int:
    return value if isinstance(value, int) else -1


def _never_share(census: Census, foreground: Sequence[MaskKey]) -> bool:
    """Whether no mask holds two of the values."""
    return all(sum(value in mask.pixels for value in foreground) < 2 for mask in census.masks)


def _one_class(census: Census, foreground: list[int]) -> Classes:
    """Background and foreground, where values that mean "yes" never meet: they are one class, written in several ways.

    Raises:
        DataError: by what lies at their edges, some masks are inverted.
    """
    meaning: dict[MaskKey, int] = {0: 0, **dict.fromkeys(foreground, 1)}
    if len(foreground) == 1:
        return ("background", "foreground"), meaning, ()
    holding = {value: [mask for mask in census.masks if value in mask.pixels] for value in foreground}
    at_edge = {value: sum(mask.edge == value for mask in own) / len(own) for value, own in holding.items()}
    named = " and ".join(map(str, foreground))
    counts = ", ".join(f"{count(len(own), 'mask')} {value}" for value, own in holding.items())
    inverted = [value for value in foreground if at_edge[value] > _MOSTLY]
    if 0 < len(inverted) < len(foreground):
        files = [mask.location for value in inverted for mask in holding[value]]
        problem = (
            f"{named} never share a mask, but masks with {' or '.join(map(str, inverted))} look inverted: "
        )
        problem += "there the foreground lies along the edge, and in the others the background does"
        cure = f"Save the {count(len(files), 'mask')} inverted ({some(files)}); or, if they are right as they are, "
        raise _unclear(census, problem, cure, template=mapping(_as_one(foreground)))
    sentence = f"{named} never share a mask, so they are one class that is written in {len(foreground)} ways ({counts})."
    return ("background", "foreground"), meaning, (sentence,)


def _as_one(foreground: Sequence[int]) -> dict[MaskKey | str, str]:
    if len(foreground) > MAX_LISTED:
        return {0: "background", OTHER: "foreground"}
    return {0: "background", **dict.fromkeys(foreground, "foreground")}


def _once_or_twice(census: Census, foreground: Sequence[int], data: DataSpec) -> DataError:
    """The question whether values that never meet are one class or several; no answer to it loses an object."""
    problem = f"{some(map(str, foreground))} never share a mask: are they one class, or one each?"
    template = mapping(_as_one(foreground))
    if len(foreground) <= MAX_LISTED and data.task != "binary_segmentation":
        several: dict[MaskKey | str, str] = {
            0: "background",
            **{value: f"name {k}" for k, value in enumerate(foreground, 1)},
        }
        template += f" for one class, or {mapping(several)}"
    return _unclear(census, problem, template=template)


def _numbered(census: Census, data: DataSpec, why: str) -> DataError:
    """The question whether values are numbers of objects or classes, with what to state for either."""
    values = sorted(census.pixels, key=lambda value: (as_colour(value) != BLACK, as_colour(value)))
    names = (
        data.classes if data.classes is not None and len(data.classes) == 2 else ("background", "foreground")
    )
    border: dict[MaskKey | str, str] = {} if _border(census) is None else {255: IGNORED}
    as_one = mapping({values[0]: names[0], **border, OTHER: names[1]})
    cure = f"To segment objects as one class, state data.mask_values: {as_one}"
    cure += " (where 255 marks borders, which are not counted)" if border else ""
    number, choices = len(values), [f"data.mask_values={as_one}"]
    if number <= NO_CLASS and data.task != "binary_segmentation":
        as_classes = _as_classes(values)
        cure += f"; if they are classes, name them: {as_classes}"
        if number <= MAX_LISTED:  # of more, the names are not spelt out
            choices.append(as_classes.removeprefix("state ").replace(": ", "=", 1))
    problem = f"{number} values look like numbered objects, not classes: {why}"
    return DataError(f"{problem}. Values: {census.table()}", where="masks", cure=f"{cure}.", choices=choices)


def _as_classes(values: Sequence[MaskKey]) -> str:
    """How the study file says that every value is a class."""
    names = ["background", *(f"class {k}" for k in range(1, len(values)))]
    is_gapless = list(values) == list(range(len(values)))
    key = (
        "data.classes"
        if is_gapless or (len(values) <= MAX_CLASSES and isinstance(values[0], tuple))
        else "data.mask_values"
    )
    if len(values) > MAX_LISTED:
        return f"state {key} with a name for each of the {len(values)}, the background first"
    if key == "data.classes":
        return f"state data.classes: [{', '.join(names)}]"
    return f"state data.mask_values: {mapping(dict(zip(values, names, strict=True)))}"


def _colour_classes(census: Census, data: DataSpec) -> Classes:
    """Classes of colours: black is the background, the others are named by their code."""
    colours = sorted(map(as_colour, census.pixels))
    # Black and white saved as colour is the grey case above.
    if colours == [BLACK, (255, 255, 255)]:
        return ("background", "foreground"), {BLACK: 0, (255, 255, 255): 1}, ()
    is_stated = data.classes is not None and len(data.classes) == len(colours)
    by_number = sorted(colours[1:], key=lambda colour: -census.files[colour])
    if colours[:1] == [BLACK] and not is_stated and (why := numbered_objects(census, by_number)):
        raise _numbered(census, data, why)
    if len(colours) > MAX_CLASSES:
        raise _unclear(census, f"the masks hold {len(colours)} colours")
    if len(colours) < 2 or colours[0] != BLACK:
        raise _unclear(census, "no colour is black, so it is not clear which is the background")
    names = ("background", *(show(colour) for colour in colours[1:]))
    return names, {colour: k for k, colour in enumerate(colours)}, ()


def _unclear(census: Census, problem: str, cure: str = "", *, template: str | None = None) -> DataError:
    """The refusal that shows all values and how to state what they mean; no study can tell classes where there is one value."""
    if len(census.pixels) < 2:
        cure = "Draw what is to be found with a value of its own, or state data.masks: the folder of the right masks."
        raise DataError(f"{problem}. Values: {census.table()}", where="masks", cure=cure)
    blurred = "JPEG" in census.formats and len(census.pixels) > 2
    first = "JPEG blurs mask values: draw the masks again as PNG if you can. " if blurred else ""
    stated = suggestion(census) if template is None else f"state data.mask_values: {template}."
    cure = first + cure + (stated if cure else stated[0].upper() + stated[1:])
    end = "" if problem.endswith("?") else "."
    return DataError(f"{problem}{end} Values: {census.table()}", where="masks", cure=cure)


def _stated(census: Census, data: DataSpec) -> MaskMeaning:
    """The meaning that `data.mask_values` states, checked against every value there is."""
    assert data.mask_values is not None
    names = list(dict.fromkeys(name for name in data.mask_values.values() if name != IGNORED))
    classes = data.classes or tuple(names)
    strange = [name for name in names if name not in classes]
    if strange or len(classes) < 2:
        problem = "masks need two classes at least"
        if strange:
            problem = f"{some(strange)} is not among data.classes"
        cure = "Name every class once; the first is the background."
        raise SpecError(problem, where="data.mask_values", cure=cure)
    index = {name: k for k, name in enumerate(classes)} | {IGNORED: IGNORE}
    values: dict[MaskKey, int] = {}
    for written, name in data.mask_values.items():
        values.update(dict.fromkeys(parsed(written), index[name]))
    if data.ignore_value is not None:
        values[data.ignore_value] = IGNORE
    if any(isinstance(value, tuple) for value in (*values, *census.pixels)):
        values = {as_colour(value): k for value, k in values.items()}
    unknown = [value for value in census.pixels if value not in values and as_colour(value) not in values]
    if OTHER in data.mask_values:
        others = index[data.mask_values[OTHER]]
        values, unknown = {**values, **dict.fromkeys(unknown, others)}, []
    if unknown:
        number = count(len(unknown), "value in the masks is", "values in the masks are")
        counts = "; ".join(census.described(value) for value in unknown[:12])
        cure = "State them (a range such as 128-255 is possible, and the name 'ignore'), or mend the masks."
        raise DataError(f"{number} not stated. {counts}", where="data.mask_values", cure=cure)
    statement = f"Mask values as stated: classes {', '.join(classes)}."
    return MaskMeaning(_task_of(classes), classes, values, (statement,))
