"""A count of every value in every mask of a set: the ground on which their meaning is decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from foldwise.data.cases import MaskKey, channel_files, split_slice
from foldwise.data.formats.images import joined, mask_values_of
from foldwise.data.formats.pixels import Pixels, decode, read_slice
from foldwise.errors import DataError


@dataclass
class Census:
    """How many pixels, in how many files, hold each value; colour counts are (r, g, b)."""

    pixels: Counter[MaskKey] = field(default_factory=Counter)
    files: Counter[MaskKey] = field(default_factory=Counter)
    example: dict[MaskKey, str] = field(default_factory=dict)
    num_masks: int = 0
    formats: set[str] = field(default_factory=set)

    def add(self, place: str, counts: dict[MaskKey, int]) -> None:
        """Add the counts of one mask."""
        self.num_masks += 1
        for value, count in counts.items():
            self.pixels[value] += count
            self.files[value] += 1
            self.example.setdefault(value, place)

    def table(self, limit: int = 12) -> str:
        """The values with their counts, commonest first."""
        listed = [
            f"{show(value)}: {count} pixels in {self.files[value]} mask(s), e.g. {self.example[value]}"
            for value, count in self.pixels.most_common(limit)
        ]
        more = [f"and {len(self.pixels) - limit} more values"] if len(self.pixels) > limit else []
        return "; ".join([*listed, *more])


def read_pixels(root: Path, place: str) -> Pixels:
    """The decoded file, or slice of a stack, or the channel files in their order, at a place of a case."""
    files = channel_files(place)
    if len(files) > 1:
        return joined([decode(root / name) for name in files], files, where=place)
    name, index = split_slice(place)
    return decode(root / name) if index is None else read_slice(root / name, index)


def take_census(
    root: Path, places: list[str], *, palette: Literal["auto", "index", "colour"]
) -> tuple[Census, tuple[str, ...]]:
    """The census; palette files count as indices where one index has one colour in the whole set, else as colours."""
    indices, colours = Census(), Census()
    colour_of: dict[int, set[tuple[int, ...]]] = {}
    num_palettes, errors = 0, []
    for place in places:
        try:
            pixels = read_pixels(root, place)
            counts = _counts(mask_values_of(pixels, palette="index", where=place))
            plain = pixels.palette is None
            shown = counts if plain else _counts(mask_values_of(pixels, palette="colour", where=place))
        except DataError as error:
            errors.append(DataError(error.what, where=place, cure=error.cure))
            continue
        indices.add(place, counts)
        colours.add(place, shown)
        indices.formats.add(pixels.format)
        colours.formats.add(pixels.format)
        if pixels.palette is not None:
            num_palettes += 1
            for index in np.unique(pixels.values):
                colour_of.setdefault(int(index), set()).add(tuple(pixels.palette[index].tolist()))
    if errors:
        raise DataError.together(errors)
    if not num_palettes or palette == "index":
        return indices, ()
    if palette == "colour":
        return _as_colours(colours), ()
    steady = all(len(found) == 1 for found in colour_of.values()) and len(
        set.union(*colour_of.values())
    ) == len(colour_of)
    first_is_black = colour_of.get(0, {(0, 0, 0)}) == {(0, 0, 0)}
    if num_palettes == len(places) and steady and first_is_black:
        return indices, ("The masks have palettes; their indices are taken as class numbers.",)
    return _as_colours(colours), (
        "The masks have palettes that are not the same in all files, or do not begin with black; their colours count.",
    )


def _as_colours(census: Census) -> Census:
    """The same counts with grey values spelled as colours."""

    def spelled(counts: dict[MaskKey, int]) -> Counter[MaskKey]:
        total: Counter[MaskKey] = Counter()
        for key, count in counts.items():
            total[as_colour(key)] += count
        return total

    example: dict[MaskKey, str] = {as_colour(key): place for key, place in census.example.items()}
    return Census(spelled(census.pixels), spelled(census.files), example, census.num_masks, census.formats)


def as_colour(value: MaskKey) -> tuple[int, int, int]:
    """A grey value as the colour it shows."""
    return (value, value, value) if isinstance(value, int) else value


def show(value: MaskKey) -> str:
    """A value as the study file spells it: ``128`` or ``#ff0000``."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def _counts(mask: np.ndarray) -> dict[MaskKey, int]:
    """How many pixels of a mask (H, W) or (H, W, 3) hold each value."""
    if mask.ndim == 2:
        counts = np.bincount(mask.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    wide = mask.astype(np.uint32)
    packed, number = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_counts=True)
    return {
        (int(p) >> 16, int(p) >> 8 & 255, int(p) & 255): int(n) for p, n in zip(packed, number, strict=True)
    }
