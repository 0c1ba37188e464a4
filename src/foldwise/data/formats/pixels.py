"""The pixels of one file as they were saved, with what the file says about them; what every decoder ends with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foldwise.errors import DataError

COPY_AGAIN = "Copy it again from its source, or take it out."
MAX_CHANNELS = 16  # an unnamed axis this short is taken as channels; no picture side is
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Pixels:
    """A decoded file, upright (the EXIF orientation is applied).

    Attributes:
        values: (C, H, W) in the file's own dtype; a palette file holds its indices (1, H, W) here.
        mode: ``1``, ``L``, ``LA``, ``RGB``, ``RGBA``, ``P`` as Pillow names them, or ``C4`` for four plain channels.
        format: the name of a row of `formats.FORMATS`.
        palette: (256, 3) uint8 colours of a ``P`` file, else None.
        bit_depth: of one sample in the file: 1, 8, 16 or 32.
    """

    values: np.ndarray
    mode: str
    format: str
    bit_depth: int
    palette: np.ndarray | None = None


def full_palette(colours_N3: np.ndarray) -> np.ndarray:
    """(256, 3) uint8: the colours of a palette, then black; files store only as many as they use."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours_N3)] = colours_N3
    return palette


def plain(values: np.ndarray, path: Path) -> np.ndarray:
    """The same values as uint8, uint16 or float32, where that loses nothing; DataError where it would."""
    if values.dtype in (np.uint8, np.uint16, np.float32):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype in (np.float16, np.float64):
        return values.astype(np.float32)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    # Integers of other widths are common in exports (int32 label maps, int16 scans): what counts is the values, not the type.
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return values.astype(np.uint16)
    raise DataError(
        f"values from {low} to {high} of type {values.dtype} fit neither 16 bit nor float",
        where=str(path),
        cure="Save it as 16-bit unsigned or 32-bit float.",
    )


def upright(values: np.ndarray, orientation: int) -> np.ndarray:
    """(C, H, W) turned and flipped as the orientation tag (1..8) asks; other tags mean 1."""
    turns: dict[int, Any] = {
        2: lambda v: v[:, :, ::-1],
        3: lambda v: v[:, ::-1, ::-1],
        4: lambda v: v[:, ::-1],
        5: lambda v: v.transpose(0, 2, 1),
        6: lambda v: v.transpose(0, 2, 1)[:, :, ::-1],
        7: lambda v: v.transpose(0, 2, 1)[:, ::-1, ::-1],
        8: lambda v: v.transpose(0, 2, 1)[:, ::-1],
    }
    return np.ascontiguousarray(turns[orientation](values) if orientation in turns else values)


def channel_axis(first: int, last: int) -> int | None:
    """0 if `first`, -1 if `last` is the length that must be channels: short, and shorter than the other; else None."""
    if min(first, last) > MAX_CHANNELS or first == last:
        return None
    return 0 if first < last else -1
