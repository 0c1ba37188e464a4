"""A count of every value in every mask of a set: the ground on which their meaning is decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from foldwise.data.cases import MaskKey
from foldwise.data.formats.pixels import Pixels, mask_values_of
from foldwise.data.formats.reading import NUM_DECODERS, DecodedMasks
from foldwise.errors import DataError

BLACK = (0, 0, 0)


@dataclass
class Census:
    """How many pixels, in how many files, hold each value; colour counts are (r, g, b)."""

    pixels: Counter[MaskKey] = field(default_factory=Counter)
    files: Counter[MaskKey] = field(default_factory=Counter)
    example: dict[MaskKey, str] = field(default_factory=dict)
    num_masks: int = 0
    formats: set[str] = field(default_factory=set)

    def add(self, location: str, counts: dict[MaskKey, int], format_name: str) -> None:
        """Add the counts of one mask."""
        self.num_masks += 1
        self.formats.add(format_name)
        for value, count in counts.items():
            self.pixels[value] += count
            self.files[value] += 1
            self.example.setdefault(value, location)

    def table(self, limit: int = 12) -> str:
        """The values with their counts, commonest first."""
        entries = [
            f"{show(value)}: {count} pixels in {self.files[value]} mask(s), e.g. {self.example[value]}"
            for value, count in self.pixels.most_common(limit)
        ]
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
    root: Path, locations: Sequence[str], *, palette: Palette
) -> tuple[Census, tuple[str, ...], DecodedMasks]:
    """The census, sentences about palettes, and the masks that were decoded for it.

    Palette files count as indices where one index has one colour in the whole set, else as colours.

    Raises:
        DataError: masks cannot be read; all at once.
    """
    decoded = DecodedMasks()

    def count(location: str) -> _Counts | DataError:
        try:
            return _count(decoded.decode(root, location), location)
        except DataError as error:
            return DataError(error.what, where=location, cure=error.cure)

    with ThreadPoolExecutor(NUM_DECODERS) as pool:
        counts = list(pool.map(count, locations))
    if errors := [entry for entry in counts if isinstance(entry, DataError)]:
        raise DataError.together(errors)
    masks = [entry for entry in counts if isinstance(entry, _Counts)]
    as_index, statements = _by_index(masks, palette)
    census = Census()
    for location, mask in zip(locations, masks, strict=True):
        census.add(location, mask.indices if as_index else mask.shown, mask.format)
    return census if as_index else _as_colours(census), statements, decoded


def _count(pixels: Pixels, location: str) -> _Counts:
    counts = _histogram(mask_values_of(pixels, palette="index", where=location))
    if pixels.palette is None:
        return _Counts(counts, counts, {}, pixels.format)
    shown = _histogram(mask_values_of(pixels, palette="colour", where=location))
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
    steady = len(set.union(*colours_of.values())) == len(colours_of) and all(
        len(colours) == 1 for colours in colours_of.values()
    )
    first_is_black = colours_of.get(0, {BLACK}) == {BLACK}
    if all(mask.colours for mask in masks) and steady and first_is_black:
        return True, ("The masks have palettes; their indices are taken as class numbers.",)
    return False, (
        "The masks have palettes that are not the same in all files, or do not begin with black; their colours count.",
    )


def _as_colours(census: Census) -> Census:
    """The same counts with grey values spelled as colours."""

    def spelled(counts: dict[MaskKey, int]) -> Counter[MaskKey]:
        total: Counter[MaskKey] = Counter()
        for key, count in counts.items():
            total[as_colour(key)] += count
        return total

    example: dict[MaskKey, str] = {as_colour(key): location for key, location in census.example.items()}
    return Census(spelled(census.pixels), spelled(census.files), example, census.num_masks, census.formats)


def as_colour(value: MaskKey) -> tuple[int, int, int]:
    """A grey value as the colour it shows."""
    return (value, value, value) if isinstance(value, int) else value


def show(value: MaskKey) -> str:
    """A value as the study file spells it: ``128`` or ``#ff0000``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def _histogram(mask: np.ndarray) -> dict[MaskKey, int]:
    """How many pixels of a mask (H, W) or (H, W, 3) hold each value."""
    if mask.ndim == 2:
        counts = np.bincount(mask.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    wide = mask.astype(np.uint32)
    packed, number = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_counts=True)
    return {
        (int(p) >> 16, int(p) >> 8 & 255, int(p) & 255): int(n) for p, n in zip(packed, number, strict=True)
    }
