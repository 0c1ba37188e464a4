"""TIFF files: one picture, or a stack of slices that is mapped where the file allows it, so that a slice is read alone."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile

from foldwise.data.formats.pixels import COPY_AGAIN, TURNS, Pixels, Step, channel_axis, full_palette
from foldwise.errors import DataError

SLICE_AXES = {"Z", "T"}  # axes that ImageJ and OME name; other programs name none (Q, I)
MAX_PAGES = 16  # of a picture with unnamed channels
MAX_OPEN = 4  # stacks that cannot be mapped stay decoded, since every slice is asked for by itself
ORIENTATION = 274  # the tag


def decode_tiff(path: Path) -> Pixels:
    """The one picture of a TIFF."""
    with _opened(path) as (file, series):
        if len(file.series) > 1:
            problem = f"the TIFF holds {len(file.series)} images of different kinds"
            cure = "Save each as a file of its own, or take the extra ones (a preview?) out."
            raise DataError(problem, where=str(path), cure=cure)
        # tifffile fills what is missing with zeros, or leaves pages out, without an error.
        if not _is_whole(file, series, path):
            problem = "the file is damaged or cut short (parts of the TIFF are not there)"
            raise DataError(problem, where=str(path), cure=COPY_AGAIN)
        page = file.pages.first
        values = _channels_first(series.asarray(), series.axes, path)
        orientation = int(page.tags.valueof(ORIENTATION, 1))
        steps = [Step("turned", str(orientation))] if orientation in TURNS else []
        bits, photometric = int(page.bitspersample), getattr(page.photometric, "name", "")
        num_extra = len(page.extrasamples)
        if photometric == "PALETTE" and len(values) == 1:
            # TIFF palettes have 16 bits a colour; the high byte is what was drawn.
            colours = (np.asarray(page.colormap).reshape(3, -1).T >> 8).astype(np.uint8)[:256]
            return Pixels(values, "P", "TIFF", bits, full_palette(colours), tuple(steps))
    if photometric in {"SEPARATED", "CIELAB"}:
        raise DataError(
            f"the colour mode {photometric} is not supported", where=str(path), cure="Save it as grey or RGB."
        )
    if photometric == "MINISWHITE":
        steps.append(Step("inverted", str(values.dtype)))
    if bits == 1:
        values = (values != 0).astype(np.uint8) * np.uint8(255)
    mode = _mode(len(values), photometric, num_extra, bits)
    return Pixels(values, mode, "TIFF", bits, steps=tuple(steps))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPageSeries]]:
    """The file and its first series, of pages that are all in this very file."""
    with tifffile.TiffFile(path) as file:
        # tifffile would open the files that an OME header names, wherever they are: two images would show the same
        # picture, and the digest of a file would not tell what its pixels are.
        if len(set(re.findall(r"<UUID\b[^>]*>\s*([^<\s]+)", file.ome_metadata or ""))) > 1:
            cure = "Save the image as one file, or its channels as plain TIFF files and state data.channels."
            raise DataError("the TIFF is one of several files of one OME image", where=str(path), cure=cure)
        # Whatever else a header may do: pages of another file are none of this image.
        if any(page is not None and page.parent is not file for each in file.series for page in each.pages):
            cure = "Save the image as one file."
            raise DataError("the TIFF takes pages from other files", where=str(path), cure=cure)
        if not file.series:
            raise DataError("the TIFF holds no image", where=str(path), cure="Save it again, or take it out.")
        yield file, file.series[0]


def _mode(num_channels: int, photometric: str, num_extra: int, bits: int) -> str:
    """What the channels of a TIFF mean: colour only where the file says so."""
    if num_channels == 1:
        return "1" if bits == 1 else "L"
    if photometric in {"RGB", "YCBCR"} and num_channels == 3 + num_extra and num_channels <= 4:
        return "RGBA" if num_extra else "RGB"
    if num_channels == 2 and num_extra == 1:
        return "LA"
    return f"C{num_channels}"


def _channels_first(array: np.ndarray, axes: str, path: Path) -> np.ndarray:
    """(C, H, W) of an array with named axes; a stack in depth or time is refused."""
    # Axes of length 1 say nothing; Y and X are kept even so, since a picture may be one pixel high.
    keep = [k for k, length in enumerate(array.shape) if length > 1 or axes[k] in "YX"]
    named = "".join(axes[k] for k in keep)
    array = array.reshape([array.shape[k] for k in keep])
    if named == "YX":
        return array[None]
    if len(named) == 3 and set(named) - {"Y", "X"} <= {"C", "S", "Q", "I"}:
        unnamed = set(named) & {"Q", "I"}
        channel = (
            channel_axis(array.shape[0], array.shape[-1])
            if unnamed
            else named.find((set(named) - {"Y", "X"}).pop())
        )
        if channel is not None:
            return np.moveaxis(array, channel, 0)
    raise DataError(
        f"the TIFF is a stack (axes {axes}, shape {'×'.join(map(str, array.shape))}), not one picture",
        where=str(path),
        cure="Save its planes as files of their own, or its channels with a channel axis (OME or ImageJ). Volumes"
        " are read slice by slice with data.layout: arrays.",
    )


def _is_whole(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> bool:
    """Whether every page, plane, strip and tile that the file speaks of lies within it."""
    size = path.stat().st_size
    # A series in one stretch states its length itself; else every strip and tile has to be looked at.
    contiguous = series.dataoffset is not None and series.dataoffset + series.nbytes <= size
    planes = contiguous or all(page is not None and _segments_inside(page, size) for page in series.pages)
    # ImageJ may write one directory for all planes, so that only its note tells that some are cut off.
    stated = (file.imagej_metadata or {}).get("images", 1)
    return planes and series.size >= stated * series.keyframe.size and _chain_ends(path, size)


def _segments_inside(page: tifffile.TiffPage | tifffile.TiffFrame, size: int) -> bool:
    """Whether every strip or tile of a page is stated and ends within `size` bytes."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    return (
        len(ends) == math.prod(page.chunked) and 0 not in page.databytecounts and max(ends, default=0) <= size
    )


def _chain_ends(path: Path, size: int) -> bool:
    """Whether the list of pages comes to its end: each states the offset of the next, the last states 0."""
    with path.open("rb") as file:
        head = file.read(16)
        order, big = "<" if head[:2] == b"II" else ">", head[2:4] in {b"+\0", b"\0+"}
        start = struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
        count_format, entry_size, next_format = ("Q", 20, "Q") if big else ("H", 12, "I")
        seen = set()
        while start:
            file.seek(start)
            count = file.read(struct.calcsize(count_format))
            # A list of pages that comes back to itself would never end.
            if start in seen or len(count) < struct.calcsize(count_format):
                return False
            seen.add(start)
            file.seek(struct.unpack(order + count_format, count)[0] * entry_size, 1)
            following = file.read(struct.calcsize(next_format))
            if len(following) < struct.calcsize(next_format):
                return False
            start = struct.unpack(order + next_format, following)[0]
    return bool(seen) and max(seen) < size


def is_tiff_stack(path: Path) -> bool:
    """Whether a TIFF holds slices and not one picture; False for what is no TIFF, or cannot be read."""
    try:
        with _opened(path) as (_, series):
            lengths = dict(zip(series.axes, series.shape, strict=True))
    except (DataError, tifffile.TiffFileError, OSError, IndexError, ValueError):
        return False
    named = any(lengths.get(axis, 1) > 1 for axis in SLICE_AXES)
    return named or any(lengths.get(axis, 1) > MAX_PAGES for axis in "QI")


def open_tiff_stack(path: Path) -> np.ndarray:
    """The slices (N, H, W), (N, H, W, C) or (N, C, H, W) of a TIFF, read-only; bilevel ones hold 0 and 255.

    Raises:
        DataError: the file is not there, damaged, or holds no slices.
    """
    try:
        status = path.stat()
        # The time and size are part of the key, so that a file that is written anew is read anew.
        return _slices(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or error})"
        raise DataError(problem, where=str(path), cure="Check that it is there and may be read.") from None
    except DataError:
        raise
    except Exception as error:  # tifffile raises whatever it meets in broken bytes
        problem = f"the TIFF cannot be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        cure = "Save it again as a TIFF with one page per slice."
        raise DataError(problem, where=str(path), cure=cure) from None


@lru_cache(maxsize=MAX_OPEN)
def _slices(path: Path, _changed_ns: int, _size: int) -> np.ndarray:
    with _opened(path) as (file, series):
        if len(file.series) > 1 or not _is_whole(file, series, path):
            problem = (
                "parts of it are missing" if len(file.series) == 1 else "its pages are of different kinds"
            )
            raise DataError(
                f"the stack cannot be used: {problem}", where=str(path), cure="Save it again, or take it out."
            )
        if getattr(series.keyframe.photometric, "name", "") in {"MINISWHITE", "PALETTE"}:
            cure = "Save it as plain grey."
            raise DataError("the stack is saved inverted or with a palette", where=str(path), cure=cure)
        if int(file.pages.first.tags.valueof(ORIENTATION, 1)) in TURNS:
            cure = "Save it again as it is to be seen, without that tag."
            raise DataError("the stack has an orientation tag that turns it", where=str(path), cure=cure)
        shape = _stack_shape(series.shape, series.axes, path)
        values: np.ndarray = _mapped(path, series).reshape(shape)
    return values.astype(np.uint8) * np.uint8(255) if values.dtype == np.bool_ else values


def _mapped(path: Path, series: tifffile.TiffPageSeries) -> np.ndarray:
    try:
        return np.asanyarray(tifffile.memmap(path, mode="r"))
    except ValueError:  # compressed, or in pieces
        return np.asarray(series.asarray())


def _stack_shape(shape: tuple[int, ...], axes: str, path: Path) -> tuple[int, ...]:
    """The shape with the slices first: axes of length 1 dropped, but for Y and X."""
    long_axes = [(axis, n) for axis, n in zip(axes, shape, strict=True) if n > 1 or axis in "YX"]
    named = "".join(axis for axis, _ in long_axes)
    lengths = tuple(n for _, n in long_axes)
    if named == "YX":
        return (1, *lengths)
    if named[1:] in ("YX", "YXS", "CYX", "SYX", "YXC"):
        return lengths
    problem = f"the TIFF holds no slices in a row (axes {axes}, shape {'×'.join(map(str, shape))})"
    cure = "Save slices one after the other; with several channels, in the order of ImageJ (ZCYX)."
    raise DataError(problem, where=str(path), cure=cure)
