"""Arrays with named axes, as libraries of scanners and microscopes hand them over: one picture, or images in a row."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TypedDict

import numpy as np

from foldwise.data.formats.axes import Stack, as_picture, as_stack
from foldwise.data.formats.pixels import COPY_AGAIN, Pixels, PixelUm, Step
from foldwise.errors import DataError, FoldwiseError
from foldwise.resources import usable

EXTRA = "formats"  # of pyproject.toml: what brings the libraries
MAX_OPEN = 4  # stacks stay decoded, since every slice is asked for by itself
SMALL = 2**26  # bytes
ROWS = "TPZ"  # times, positions and depths: images in a row
AS_TIFF = "Export the image that is meant as a TIFF with named axes (CYX), for example by Fiji."


@dataclass(frozen=True)
class Scan:
    """An array in a file, before its values are read.

    Attributes:
        shape, axes: lengths, and a letter for each: X, Y, Z, T, C, P for stage positions, S for the samples of a colour;
            any other is one that no study has a use for.
        dtype: of the values.
        values: reads them, in that shape.
        steps: what the file asks for.
        bit_depth: of a sample in the file; 0 for that of `dtype`.
        part: reads some of the values, by an index for every axis; None where all are read at once.
        part_bytes: of what is read at least.
        pixel_um: gives the size of a pixel along Y and X, as the file states it; None where it does not.
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype
    values: Callable[[], np.ndarray]
    steps: tuple[Step, ...] = ()
    bit_depth: int = 0
    part: Callable[[tuple[int | slice, ...]], np.ndarray] | None = None
    part_bytes: int = 0
    pixel_um: Callable[[], PixelUm | None] = lambda: None

    def in_row(self) -> tuple[tuple[int, ...], str]:
        """Lengths and names after `arranged`: ``Z`` counts all images in a row, then come C, Y, X and S.

        Raises:
            DataError: an axis of several values is neither channels nor images in a row, or there are too many values
                and they cannot be read in parts.
        """
        length = dict(zip(self.axes, self.shape, strict=True))
        strange = [f"{name} ({n} long)" for name, n in length.items() if name not in ROWS + "CYXS" and n > 1]
        if strange or not {"Y", "X"} <= length.keys():
            problem = f"axes {self.axes}, shape {'×'.join(map(str, self.shape))}: "
            problem += (
                f"{', '.join(strange)} is neither channels nor images in a row" if strange else "no picture"
            )
            raise DataError(problem, cure=AS_TIFF)
        if self.part is None:
            self.refuse_too_large()
        rows = math.prod(length.get(name, 1) for name in ROWS)
        rest = [name for name in "CYXS" if name in length]
        return (rows, *(length[name] for name in rest)), "Z" + "".join(rest)

    def refuse_too_large(self) -> None:
        """Raise DataError where the values do not fit into memory."""
        needed = math.prod(self.shape) * self.dtype.itemsize
        # What is small is not worth a look at the limits of this process.
        if needed > SMALL and needed > (free := usable().free):
            problem = (
                f"the image takes {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB of memory are free"
            )
            raise DataError(problem, cure="Cut it into smaller files first.")

    def arranged(self) -> np.ndarray:
        """The values with their axes as `in_row` says; DataError where they do not fit into memory."""
        shape, axes = self.in_row()
        self.refuse_too_large()
        keep = [name for name in self.axes if name in ROWS + "CYXS"]
        values = self.values().reshape(
            [n for name, n in zip(self.axes, self.shape, strict=True) if name in keep]
        )
        order = sorted(keep, key=(ROWS + axes[1:]).index)
        values = values.transpose([keep.index(name) for name in order]).reshape(shape)
        if values.dtype.kind not in "buif":
            raise DataError(f"values of type {values.dtype} are no picture", cure=AS_TIFF)
        # Signed numbers may be below 0 in one image and not in the next; floats have all of them, in one type for a set.
        if values.dtype.kind == "i":
            values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
        return values

    def like(self, name: str) -> Pixels:
        """What every image of it is, without values; `name` is that of its format."""
        return Pixels(np.empty(0), "L", name, self.bit_depth or self.dtype.itemsize * 8, steps=self.steps)


Reader = Callable[[Path], AbstractContextManager[Scan]]


class Columns(TypedDict):
    """What a row of the table of formats needs beside its suffixes and first bytes."""

    decode: Callable[[Path], Pixels]
    open_stack: Callable[[Path], Stack]
    axes: Callable[[Path], tuple[tuple[int, ...], str]]
    pixel_um: Callable[[Path], PixelUm | None]


def read_by(name: str, reader: Reader) -> Columns:
    """The row of a format whose files `reader` opens as a scan."""
    return {
        "decode": partial(_decode, name, reader),
        "open_stack": partial(_open_stack, name, reader),
        "axes": partial(_axes, reader),
        "pixel_um": partial(_pixel_um, reader),
    }


def _decode(name: str, reader: Reader, path: Path) -> Pixels:
    try:
        with reader(path) as scan:
            shape, names = scan.in_row()
            axes = as_picture(shape, names)
            if axes is None:
                problem = f"the file holds {shape[0]} images in a row (axes {names}, shape {'×'.join(map(str, shape))}), not one"
                cure = "Images in a row with a mask each are read with data.layout: arrays; else save one of them as a TIFF."
                raise DataError(problem, cure=cure)
            values, like = scan.arranged().reshape(axes.shape), scan.like(name)
    except DataError as error:
        raise DataError(error.what, where=str(path), cure=error.cure) from None
    image_CHW = values[None] if axes.channel is None else np.moveaxis(values, axes.channel, 0)
    mode = {1: "L", 3: "RGB"}.get(len(image_CHW), f"C{len(image_CHW)}")
    return replace(like, values=np.ascontiguousarray(image_CHW), mode=mode)


def _axes(reader: Reader, path: Path) -> tuple[tuple[int, ...], str]:
    with reader(path) as scan:
        return scan.in_row()


def _pixel_um(reader: Reader, path: Path) -> PixelUm | None:
    with reader(path) as scan:
        return scan.pixel_um()


def _open_stack(name: str, reader: Reader, path: Path) -> Stack:
    try:
        # Times and sizes are part of the key, so that a file that is written anew is read anew.
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        written = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        return _stack(name, reader, path, hash(written))
    except DataError as error:
        raise DataError(error.what, where=str(path), cure=error.cure) from None
    except (FoldwiseError, FileNotFoundError):
        raise
    except Exception as error:  # libraries raise whatever they meet in broken bytes
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        problem = f"the file is damaged or cut short ({reason})"
        raise DataError(problem, where=str(path), cure=COPY_AGAIN) from None


@lru_cache(maxsize=MAX_OPEN)
def _stack(name: str, reader: Reader, path: Path, _written: int) -> Stack:
    with reader(path) as scan:
        shape, names = scan.in_row()
        axes = as_stack(shape, names)
        if axes is None:
            problem = f"no images in a row (axes {names}, shape {'×'.join(map(str, shape))})"
            raise DataError(problem, cure=AS_TIFF)
        values = scan.arranged().reshape(axes.shape)
        values.flags.writeable = False
        return Stack(values, axes.channel, scan.like(name))
