"""Whether all parts of a TIFF are in its file: tifffile fills what is missing with zeros, or leaves pages out."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import tifffile


def is_whole(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path) -> bool:
    """Whether every page, plane, strip and tile that the file speaks of lies within it."""
    size = path.stat().st_size
    contiguous = series.dataoffset is not None and series.dataoffset + series.nbytes <= size
    planes = contiguous or all(page is not None and _segments_inside(page, size) for page in series.pages)
    stated = (file.imagej_metadata or {}).get("images", 1)
    return planes and series.size >= stated * series.keyframe.size and _chain_ends(path, size)


def _segments_inside(page: tifffile.TiffPage | tifffile.TiffFrame, size: int) -> bool:
    """Whether every strip or tile of a page is stated and ends within `size` bytes."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    return (
        len(ends) == math.prod(page.chunked) and 0 not in page.databytecounts and max(ends, default=0) <= size
    )


def _chain_ends(path: Path, size: int) -> bool:
    """Whether the list of pages comes to its end: each names the place of the next, the last names 0."""
    with path.open("rb") as file:
        head = file.read(16)
        order, big = "<" if head[:2] == b"II" else ">", head[2:4] in {b"+\0", b"\0+"}
        place = struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
        count_format, entry_size, next_format = ("Q", 20, "Q") if big else ("H", 12, "I")
        seen = set()
        while place:
            file.seek(place)
            count = file.read(struct.calcsize(count_format))
            if place in seen or len(count) < struct.calcsize(count_format):
                return False
            seen.add(place)
            file.seek(struct.unpack(order + count_format, count)[0] * entry_size, 1)
            following = file.read(struct.calcsize(next_format))
            if len(following) < struct.calcsize(next_format):
                return False
            place = struct.unpack(order + next_format, following)[0]
    return bool(seen) and max(seen) < size
