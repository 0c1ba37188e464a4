"""Images far larger than memory, read window by window: TIFF, OME-Zarr and arrays, of which only what a window meets is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from foldwise.data.formats.arrays import mapped, unnamed
from foldwise.data.formats.axes import Axes, as_picture, axes_of_array
from foldwise.data.formats.microscopes import ome_zarr
from foldwise.data.formats.pixels import Pixels, of_type, resize_image, undecoded
from foldwise.data.formats.steps import carried_out
from foldwise.data.formats.tiff import is_whole, mode_of, opened, stored_as
from foldwise.errors import DataError, FoldwiseError
from foldwise.study.spec import Decoding

# From so many pixels on an image is read in windows: whole, with the probabilities of its classes, it takes gigabytes.
LARGE_PX = 2**25
CACHE_BYTES = 2**28  # of decoded strips and tiles, as windows overlap
CHUNK_BYTES = 2**27  # of one strip, tile or chunk; a file of larger ones is read whole
PREVIEW_PX = 2048  # the longest side of a picture to look at
BAND_PX = 512  # rows that are read at a time where the whole width is
DTYPES = ("uint8", "uint16", "float32")

Read = Callable[[int, int, int, int], np.ndarray]  # top, bottom, left, right -> (C, h, w)


@dataclass(frozen=True)
class Windows:
    """One large picture in a file.

    Attributes:
        shape_CHW: of the picture.
        like: what it is, without values.
        read: its values from a top to before a bottom, and from a left to before a right.
        why_whole: why it cannot be read in windows; empty where it can.
    """

    path: Path
    shape_CHW: tuple[int, int, int]
    like: Pixels
    read: Read
    why_whole: str = ""

    def window(self, top: int, bottom: int, left: int, right: int, decoding: Decoding) -> Pixels:
        """A part of what `formats.decode` gives of the file; DataError where it is damaged there."""
        try:
            values = self.read(top, bottom, left, right)
        except FoldwiseError:
            raise
        except Exception as error:  # whatever is met in broken bytes
            raise undecoded(self.path, error) from None
        return carried_out(replace(self.like, values=values), decoding, where=str(self.path))

    def bands(self, decoding: Decoding) -> Iterator[Pixels]:
        """The picture over its whole width, from top to bottom."""
        _, height, width = self.shape_CHW
        for top in range(0, height, BAND_PX):
            yield self.window(top, min(top + BAND_PX, height), 0, width, decoding)

    def preview(self, decoding: Decoding) -> Pixels:
        """Every so manieth pixel of the picture, so that it has `PREVIEW_PX` at most."""
        step, parts, top = stride_of(self.shape_CHW[1:]), [], 0
        for band in self.bands(decoding):
            parts.append(replace(band, values=band.values[:, -top % step :: step, ::step].copy()))
            top += BAND_PX
        return replace(parts[0], values=np.concatenate([part.values for part in parts], axis=1))


def resize_bands(bands: Iterable[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """What `pixels.resize_image` makes of an image that comes in bands (C, h, W) from top to bottom, to the last digit.

    In memory are a band, and (C, H, width) floats: Pillow, too, brings every row to its width first.
    """
    narrow, dtype = [], np.dtype(np.uint8)
    for band in bands:
        dtype = band.dtype
        narrow.append(resize_image(band.astype(np.float32), (band.shape[1], size_hw[1])))
    return of_type(resize_image(np.concatenate(narrow, axis=1), size_hw), dtype)


def stride_of(size_hw: tuple[int, ...]) -> int:
    """Of how many pixels in a row one is shown."""
    return -(-max(size_hw) // PREVIEW_PX)


@contextmanager
def large_image(path: Path, decoding: Decoding) -> Iterator[Windows | None]:
    """A large picture; None for all others and for a damaged file, of which its decoder says what is wrong."""
    name = path.name.lower()
    opener = next((row for suffixes, row in _OPENERS.items() if name.endswith(suffixes)), None)
    with ExitStack() as stack:
        windows = None
        if opener is not None and path.exists():
            try:
                windows = opener(path, stack)
            except (
                Exception
            ):  # whatever is met in broken bytes; an extra that is missing is said by who decodes
                windows = None
        if windows is not None and windows.shape_CHW[1] * windows.shape_CHW[2] < LARGE_PX:
            windows = None
        if windows is not None and not windows.why_whole:
            windows = replace(windows, why_whole=_why_whole(windows.like, decoding))
        yield windows


def _why_whole(like: Pixels, decoding: Decoding) -> str:
    if any(step.kind == "turned" for step in like.steps) and decoding.orientation != "ignore":
        return "an orientation tag turns it"
    if like.mode in ("LA", "RGBA"):
        return "it has an alpha channel"
    if like.palette is not None:
        return "its values have a palette"
    if like.bit_depth not in (8, 16, 32) or str(like.values.dtype) not in DTYPES:
        return f"its values are of {like.bit_depth} bits, type {like.values.dtype}"
    return ""


def _of_tiff(path: Path, stack: ExitStack) -> Windows | None:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if page.imagelength * page.imagewidth < LARGE_PX:  # of most files, and found in a third of the time
            return None
    file, series = stack.enter_context(opened(path))
    axes = as_picture(series.shape, series.axes)
    if axes is None or len(file.series) > 1 or not is_whole(file, series, path):
        return None
    like, page, shape = stored_as(file, path), file.pages.first, _shape_CHW(axes)
    mode = mode_of(shape[0], getattr(page.photometric, "name", ""), len(page.extrasamples), like.bit_depth)
    empty = np.empty(0, np.dtype(series.dtype).newbyteorder("="))
    like = replace(like, values=empty, mode=mode, steps=(*like.steps, *unnamed(axes)))
    if series.dataoffset is not None:  # uncompressed and in one stretch
        # Mapped anew for each window, as what has been read of a map counts as memory of the process.
        return Windows(path, shape, like, _of_array(lambda: series.asarray(out="memmap"), axes))
    pages: list[Any] = [
        each.aspage() if isinstance(each, tifffile.TiffFrame) else each for each in series.pages
    ]
    why = ""
    if int(np.prod(page.chunks)) * empty.itemsize > CHUNK_BYTES:
        why = f"it is stored in strips or tiles of {'×'.join(map(str, page.chunks[:2]))} pixels"
    if page.planarconfig != 1 or page.imagedepth != 1 or (axes.channel == 0) != (len(pages) > 1):
        why = "the planes of its colours are stored one after the other"
    return Windows(path, shape, like, _of_segments(file, pages, shape), why)


def _shape_CHW(axes: Axes) -> tuple[int, int, int]:
    sides = [
        n for k, n in enumerate(axes.shape) if axes.channel is None or k != axes.channel % len(axes.shape)
    ]
    return (1 if axes.channel is None else axes.shape[axes.channel], sides[0], sides[1])


def _of_array(array: Callable[[], np.ndarray], axes: Axes) -> Read:
    """Windows of what lies in a file as it is, which `array` maps."""

    def read(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        values = array().reshape(axes.shape)
        values = values[None] if axes.channel is None else np.moveaxis(values, axes.channel, 0)
        return np.array(values[:, top:bottom, left:right], order="C")

    return read


def _of_segments(file: tifffile.TiffFile, pages: list[Any], shape_CHW: tuple[int, int, int]) -> Read:
    """Windows of a TIFF in strips or tiles; of several pages each is a channel."""
    first = pages[0]
    (tall, wide), across = first.chunks[:2], first.chunked[1]
    size = int(np.prod(first.chunks)) * np.dtype(first.dtype).itemsize

    def decoded(number: int, index: int) -> np.ndarray:
        page, handle = pages[number], file.filehandle
        handle.seek(page.dataoffsets[index])
        packed = handle.read(page.databytecounts[index])
        values, _, _ = page.decode(packed, index, jpegtables=page.jpegtables)
        if values is None:
            raise DataError(f"part {index} of the TIFF is empty", cure="Copy it again from its source.")
        return np.moveaxis(values[0], -1, 0)

    segment = lru_cache(maxsize=max(4, CACHE_BYTES // max(size, 1)))(decoded)

    def read(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        dtype = np.dtype(first.dtype).newbyteorder("=")
        out = np.empty((shape_CHW[0], bottom - top, right - left), dtype)
        each = shape_CHW[0] // len(pages)
        for number in range(len(pages)):
            for row in range(top // tall, -(-bottom // tall)):
                for column in range(left // wide, -(-right // wide)):
                    values, y, x = segment(number, row * across + column), row * tall, column * wide
                    rows = slice(max(y, top), min(y + values.shape[1], bottom))
                    columns = slice(max(x, left), min(x + values.shape[2], right))
                    out[
                        number * each : (number + 1) * each,
                        rows.start - top : rows.stop - top,
                        columns.start - left : columns.stop - left,
                    ] = values[:, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        return out

    return read


def _of_npy(path: Path, _: ExitStack) -> Windows | None:
    array = mapped(path)
    axes = as_picture(array.shape, axes_of_array(array.ndim))
    if axes is None or array.dtype.kind not in "buif":
        return None
    shape, values = _shape_CHW(axes), np.empty(0, array.dtype.newbyteorder("="))
    like = Pixels(values, _plain_mode(shape[0]), "NPY", array.dtype.itemsize * 8, steps=unnamed(axes))
    return Windows(path, shape, like, _of_array(lambda: mapped(path), axes))


def _of_zarr(path: Path, stack: ExitStack) -> Windows | None:
    scan = stack.enter_context(ome_zarr(path))
    axes = as_picture(*scan.in_row())
    if axes is None or scan.part is None:
        return None
    part, shape = scan.part, _shape_CHW(axes)
    letters = [name for name in scan.axes if name in "CYXS"]
    order = [letters.index(name) for name in "CSYX" if name in letters]

    def read(top: int, bottom: int, left: int, right: int) -> np.ndarray:
        spans = {"Y": slice(top, bottom), "X": slice(left, right), "C": slice(None), "S": slice(None)}
        values = part(tuple(spans.get(name, 0) for name in scan.axes))
        return values.transpose(order).reshape(shape[0], bottom - top, right - left)

    like = replace(
        scan.like("OME-ZARR"), values=np.empty(0, scan.dtype.newbyteorder("=")), mode=_plain_mode(shape[0])
    )
    why = "" if scan.part_bytes <= CHUNK_BYTES else f"its chunks take {scan.part_bytes / 2**20:.0f} MiB each"
    return Windows(path, shape, like, read, why)


def _plain_mode(num_channels: int) -> str:
    return {1: "L", 3: "RGB"}.get(num_channels, f"C{num_channels}")


_OPENERS: dict[tuple[str, ...], Callable[[Path, ExitStack], Windows | None]] = {
    (".tif", ".tiff"): _of_tiff,
    (".npy",): _of_npy,
    (".zarr",): _of_zarr,
}
