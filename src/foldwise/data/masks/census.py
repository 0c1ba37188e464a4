"""The census of the values in all masks of a set: how many pixels hold each, in which masks, and which lie at the edge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from foldwise.data.formats.pixels import MaskKey, Pixels, colour_codes, mask_values_of, value_counts
from foldwise.data.formats.reading import DecodedMasks, num_decoders, read_pixels
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import Decoding

BLACK = (0, 0, 0)
Palette = Literal["auto", "index", "colour"]
# In data.mask_values the key of all values without a key of their own, and the name of what does not count.
OTHER, IGNORED = "other", "ignore"
MAX_LISTED = 12  # values that a cure spells out one by one
_STRAY = 0.1  # of the masks, and pixels a mask: a value that has no more is no class
# Of the pixels of a mask of which only the edges are smooth; of a picture no values hold so many.
_DRAWN = 0.5


@dataclass(frozen=True)
class MaskValues:
    """What one mask holds.

    Attributes:
        location: where it is, from the root.
        pixels: how many pixels hold each value.
        edge: the value that most pixels of its four edges have.
    """

    location: str
    pixels: Mapping[MaskKey, int]
    edge: MaskKey


class Census:
    """How many pixels, in how many masks, hold each value; a grey value of a set in colours counts as its colour.

    `read` gives the raw mask at a location again: (H, W), or (H, W, 3) where its colours count.
    """

    def __init__(
        self, masks: Sequence[MaskValues], formats: set[str], read: Callable[[str], np.ndarray]
    ) -> None:
        self.num_masks, self.formats, self.read = len(masks), formats, read
        self.is_coloured = any(isinstance(value, tuple) for mask in masks for value in mask.pixels)
        self.masks = tuple(map(_in_colour, masks) if self.is_coloured else masks)
        self.pixels: Counter[MaskKey] = Counter()
        self.files: Counter[MaskKey] = Counter()
        self.example: dict[MaskKey, str] = {}
        for mask in self.masks:
            self.pixels.update(mask.pixels)
            self.files.update(mask.pixels.keys())
            for value in mask.pixels:
                self.example.setdefault(value, mask.location)

    def without(self, value: MaskKey | None) -> Census:
        """The census without one value, where it is stated that this is not counted."""
        left_out = {value, *(() if value is None else (as_colour(value),))}
        masks = [
            replace(mask, pixels={k: number for k, number in mask.pixels.items() if k not in left_out})
            for mask in self.masks
        ]
        return Census(masks, self.formats, self.read)

    def codes(self, location: str) -> np.ndarray:
        """The mask (H, W) with every value as one number; a grey value of a set in colours as its colour."""
        mask = self.read(location)
        if mask.ndim == 3:
            return colour_codes(mask)
        return colour_codes(np.repeat(mask[..., None], 3, -1)) if self.is_coloured else mask

    def described(self, value: MaskKey) -> str:
        """A value with its counts."""
        counts = f"{self.pixels[value]} pixels in {self.files[value]} mask(s)"
        return f"{show(value)}: {counts}, e.g. {self.example[value]}"

    def table(self, limit: int = 12) -> str:
        """The values with their counts, commonest first."""
        entries = [self.described(value) for value, _ in self.pixels.most_common(limit)]
        more = [f"and {len(self.pixels) - limit} more values"] if len(self.pixels) > limit else []
        return "; ".join([*entries, *more])


@dataclass(frozen=True)
class _Counts:
    """How many pixels of one mask hold each value, by index and as shown, and the colours of the indices it uses."""

    indices: dict[MaskKey, int]
    shown: dict[MaskKey, int]
    edges: tuple[MaskKey, MaskKey]  # what most pixels of the edge hold, by index and as shown
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

    with ThreadPoolExecutor(num_decoders()) as pool:
        counts = list(pool.map(count_in, locations))
    if errors := [entry for entry in counts if isinstance(entry, DataError)]:
        raise DataError.together(errors)
    masks = [entry for entry in counts if isinstance(entry, _Counts)]
    as_index, statements = _by_index(masks, palette)
    values = [_values(own, name, as_index) for own, name in zip(masks, locations, strict=True)]

    def read(location: str) -> np.ndarray:
        pixels = read_pixels(root, location, decoding)
        return mask_values_of(pixels, palette="index" if as_index else "colour", where=location)

    return Census(values, {mask.format for mask in masks}, read), statements, decoded


def _in_colour(mask: MaskValues) -> MaskValues:
    pixels: Counter[MaskKey] = Counter()
    for value, number in mask.pixels.items():
        pixels[as_colour(value)] += number
    return MaskValues(mask.location, pixels, as_colour(mask.edge))


def _values(counts: _Counts, location: str, as_index: bool) -> MaskValues:
    if as_index:
        return MaskValues(location, counts.indices, counts.edges[0])
    return _in_colour(MaskValues(location, counts.shown, counts.edges[1]))


def _count(pixels: Pixels, location: str) -> _Counts:
    mask = mask_values_of(pixels, palette="index", where=location)
    counts, edge = value_counts(mask), _edge_value(mask)
    if pixels.palette is None:
        return _Counts(counts, counts, (edge, edge), {}, pixels.format)
    in_colour = mask_values_of(pixels, palette="colour", where=location)
    edges = (edge, _edge_value(in_colour))
    used = {k: tuple(pixels.palette[k].tolist()) for k in np.unique(pixels.values).tolist()}
    return _Counts(counts, value_counts(in_colour), edges, used, pixels.format)


def _edge_value(mask: np.ndarray) -> MaskKey:
    """The value that most pixels of the four edges of a mask (H, W) or (H, W, 3) hold."""
    edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    counts = value_counts(edges[None])
    return max(counts, key=counts.__getitem__)


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


def as_code(value: MaskKey) -> int:
    """A value as one number, 0xRRGGBB of a colour, as `Census.codes` has it."""
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


def show(value: MaskKey) -> str:
    """A value as the study file spells it: ``128`` or ``#ff0000``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def mapping(entries: Mapping[MaskKey | str, str]) -> str:
    """Entries of data.mask_values as they are written in a study file."""
    keys = (key if isinstance(key, str) else show(key) for key in entries)
    return "{" + ", ".join(f'"{key}": {name}' for key, name in zip(keys, entries.values(), strict=True)) + "}"


def parsed(written: str) -> list[MaskKey]:
    """The values that a key of `data.mask_values` means: ``7``, ``128-255``, ``#ff0000`` or ``255,0,0``; none of ``other``."""
    text = written.strip()
    if text == OTHER:
        return []
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
    cure = 'Write 7, 128-255, "#ff0000" or "255,0,0" (0 to 65535), or other for all values without a key.'
    raise SpecError(f"{written!r} is no mask value", where="data.mask_values", cure=cure)


def suggestion(census: Census) -> str:
    """The lines of a study file that would state all values; of pictures, that they are no masks."""
    common = [value for value, _ in census.pixels.most_common()]
    background = next((value for value in common if as_colour(value) == BLACK), common[0])
    if len(common) > MAX_LISTED:
        if are_pictures(census):
            return "look at them: they are pictures, or drawn over pictures. State data.masks: the folder of the masks."
        largest = max((value for value in common if isinstance(value, int)), default=0)
        if not census.is_coloured and {common[0], common[1]} == {0, largest}:
            ranges = f'{{"0-{largest // 2}": background, "{largest // 2 + 1}-{largest}": foreground}}'
            return f"state data.mask_values with ranges, for example {ranges}."
        both = mapping({background: "background", OTHER: "foreground"})
        return f"state data.mask_values, for example {both} (the first name is the background; '{IGNORED}' is not counted)."
    if "JPEG" in census.formats and not census.is_coloured:
        return 'state data.mask_values with ranges, for example {"0-127": background, "128-255": foreground}.'
    values = [background, *(value for value in common if value != background)]
    strays = [value for value in values[1:] if _is_stray(census, value)]
    classes = [value for value in values if value not in strays]
    names = ["background", *(f"name {k}" for k in range(1, len(classes)))]
    entries: dict[MaskKey | str, str] = {
        **dict(zip(classes, names, strict=True)),
        **dict.fromkeys(strays, IGNORED),
    }
    often = ", as 255 often is" if 255 in classes[1:] and len(classes) > 2 else ""
    notes = f"the first name is the background; '{IGNORED}' is not counted{often}"
    return f"state data.mask_values, for example {mapping(entries)} ({notes})."


def are_pictures(census: Census) -> bool:
    """Whether masks hold many values, and no two of them most of the pixels."""
    commonest = sum(number for _, number in census.pixels.most_common(2))
    return len(census.pixels) > MAX_LISTED and commonest < _DRAWN * census.pixels.total()


def _is_stray(census: Census, value: MaskKey) -> bool:
    """Whether a value is a slip of the pen rather than a class: a few pixels in a few of many masks."""
    few_masks = census.files[value] <= max(1, _STRAY * census.num_masks) < census.num_masks
    return few_masks and census.pixels[value] <= _STRAY * census.num_masks
