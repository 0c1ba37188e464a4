"""TIFF files: one picture, or a stack of slices that is mapped where the file allows it, so that a slice is read alone."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile

from foldwise.data.formats.arrays import unnamed
from foldwise.data.formats.axes import Stack, as_picture, as_stack
from foldwise.data.formats.pixels import (
    COPY_AGAIN,
    TURNS,
    UNITS_UM,
    Pixels,
    PixelUm,
    Step,
    full_palette,
    pixel_of_resolution,
)
from foldwise.errors import DataError

MAX_OPEN = 4  # stacks that cannot be mapped stay decoded, since every slice is asked for by itself
ORIENTATION = 274  # the tag


def decode_tiff(path: Path) -> Pixels:
    """The one picture of a TIFF."""
    with opened(path) as (file, series):
        if len(file.series) > 1:
            problem = f"the TIFF holds {len(file.series)} images of different kinds"
            cure = "Save each as a file of its own, or take the extra ones (a preview?) out."
            raise DataError(problem, where=str(path), cure=cure)
        # tifffile fills what is missing with zeros, or leaves pages out, without an error.
        if not is_whole(file, series, path):
            problem = "the file is damaged or cut short (parts of the TIFF are not there)"
            raise DataError(problem, where=str(path), cure=COPY_AGAIN)
        axes = as_picture(series.shape, series.axes)
        if axes is None:
            raise _no_picture(series, path)
        values = series.asarray().reshape(axes.shape)
        stored = stored_as(file, path)
        stored = replace(stored, steps=(*stored.steps, *unnamed(axes)))
        photometric, num_extra = _photometric(file), len(file.pages.first.extrasamples)
    image_CHW = values[None] if axes.channel is None else np.moveaxis(values, axes.channel, 0)
    if stored.bit_depth == 1:
        image_CHW = (image_CHW != 0).astype(np.uint8) * np.uint8(255)
    mode = mode_of(len(image_CHW), photometric, num_extra, stored.bit_depth)
    return replace(stored, values=image_CHW, mode="P" if stored.has_palette(len(image_CHW)) else mode)


def stored_as(file: tifffile.TiffFile, path: Path) -> Pixels:
    """How a TIFF stores its pixels, without them: bit depth, palette, and the steps that it asks for."""
    page = file.pages.first
    orientation, photometric = int(page.tags.valueof(ORIENTATION, 1)), _photometric(file)
    if photometric in {"SEPARATED", "CIELAB"}:
        problem = f"the colour mode {photometric} is not supported"
        raise DataError(problem, where=str(path), cure="Save it as grey or RGB.")
    steps = [Step("turned", str(orientation))] if orientation in TURNS else []
    steps += [Step("inverted", str(page.dtype))] if photometric == "MINISWHITE" else []
    palette = None
    if photometric == "PALETTE":
        # TIFF palettes have 16 bits a colour; the high byte is what was drawn.
        colours = (np.asarray(page.colormap).reshape(3, -1).T >> 8).astype(np.uint8)[:256]
        palette = full_palette(colours)
    return Pixels(np.empty(0), "L", "TIFF", int(page.bitspersample), palette, tuple(steps))


def _photometric(file: tifffile.TiffFile) -> str:
    return getattr(file.pages.first.photometric, "name", "")


def _no_picture(series: tifffile.TiffPageSeries, path: Path) -> DataError:
    axes = f"axes {series.axes}, shape {'×'.join(map(str, series.shape))}"
    cure = (
        "Save each plane as a file of its own; or, if they are channels, with an axis of channels (CYX, in ImageJ or OME)."
        " Slices with a mask each are read with data.layout: arrays."
    )
    return DataError(f"the TIFF is a stack ({axes}), not one picture", where=str(path), cure=cure)


@contextmanager
def opened(path: Path) -> Iterator[tuple[tifffile.TiffFile, tifffile.TiffPageSeries]]:
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


def mode_of(num_channels: int, photometric: str, num_extra: int, bits: int) -> str:
    """What the channels of a TIFF mean: colour only where the file says so."""
    if num_channels == 1:
        return "1" if bits == 1 else "L"
    if photometric in {"RGB", "YCBCR"} and num_channels == 3 + num_extra and num_channels <= 4:
        return "RGBA" if num_extra else "RGB"
    if num_channels == 2 and num_extra == 1:
        return "LA"
    return f"C{num_channels}"


def is_whole(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> bool:
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


def tiff_axes(path: Path) -> tuple[tuple[int, ...], str]:
    """The lengths of the axes of a TIFF, and what they are called."""
    with opened(path) as (_, series):
        return tuple(series.shape), str(series.axes)


_PER_CM = {2: 1 / 2.54, 3: 1.0}  # of the tag ResolutionUnit: inch, centimetre


def tiff_pixel_um(path: Path) -> PixelUm | None:
    """What a TIFF states by OME, ImageJ or its tags; of tags what is no resolution for printing."""
    with tifffile.TiffFile(path) as file:
        if file.ome_metadata:
            return _ome_pixel_um(file.ome_metadata)
        tags = file.pages.first.tags
        sides = [tags.valueof(name) for name in ("YResolution", "XResolution")]
        if not all(side and 0 not in side for side in sides):
            return None
        down, across = (side[0] / side[1] for side in sides)
        if file.imagej_metadata is not None:
            # ImageJ keeps its unit in a text, and the tags count in it; inches it takes over from pictures for printing.
            unit = str(file.imagej_metadata.get("unit", "")).replace("\\u00B5", "µ").replace("μ", "µ")
            micron = UNITS_UM.get(unit)
            return None if micron is None else (micron / down, micron / across)
        factor = _PER_CM.get(int(tags.valueof("ResolutionUnit", 2)))
        return None if factor is None else pixel_of_resolution(down * factor, across * factor)


def _ome_pixel_um(text: str) -> PixelUm | None:
    """The size of a pixel of the first image of an OME description."""
    pixels = (re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text) or [""])[0]
    sides = []
    for axis in "YX":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', pixels)
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]+)"', pixels)
        micron = UNITS_UM.get((unit[1] if unit else "µm").replace("μ", "µ").replace("&#181;", "µ"))
        if size is None or micron is None:
            return None
        sides.append(float(size[1]) * micron)
    return sides[0], sides[1]


def open_tiff_stack(path: Path) -> Stack:
    """The slices of a TIFF; bilevel ones hold 0 and 255.

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
def _slices(path: Path, _changed_ns: int, _size: int) -> Stack:
    with opened(path) as (file, series):
        if len(file.series) > 1 or not is_whole(file, series, path):
            problem = (
                "parts of it are missing" if len(file.series) == 1 else "its pages are of different kinds"
            )
            raise DataError(
                f"the stack cannot be used: {problem}", where=str(path), cure="Save it again, or take it out."
            )
        axes = as_stack(series.shape, series.axes)
        if axes is None:
            problem = f"the TIFF holds no slices in a row (axes {series.axes}, shape {'×'.join(map(str, series.shape))})"
            cure = "Save slices one after the other; with several channels, in the order of ImageJ (ZCYX)."
            raise DataError(problem, where=str(path), cure=cure)
        like = stored_as(file, path)
        values: np.ndarray = _mapped(path, series).reshape(axes.shape)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    return Stack(values, axes.channel, like)


def _mapped(path: Path, series: tifffile.TiffPageSeries) -> np.ndarray:
    try:
        return np.asanyarray(tifffile.memmap(path, mode="r"))
    except ValueError:  # compressed, or in pieces
        return np.asarray(series.asarray())
