"""A TIFF of many pages as a stack of slices: mapped where the file allows it, so that a slice is read alone."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile

from foldwise.data.formats.tiff_parts import is_whole
from foldwise.errors import DataError

SLICES = {"Z", "T"}  # axes that ImageJ and OME name; other programs name none (Q, I)
MAX_PAGES = 16  # of a picture with unnamed channels
KEPT = 4  # stacks that cannot be mapped stay decoded, since every slice is asked for by itself


def is_stack(path: Path) -> bool:
    """Whether a TIFF holds slices and not one picture; False for what is no TIFF, or cannot be read."""
    try:
        with tifffile.TiffFile(path) as file:
            axes = file.series[0].axes
            long = dict(zip(axes, file.series[0].shape, strict=True))
    except (tifffile.TiffFileError, OSError, IndexError, ValueError):
        return False
    named = any(long.get(axis, 1) > 1 for axis in SLICES)
    return named or any(long.get(axis, 1) > MAX_PAGES for axis in "QI")


def open_tiff_stack(path: Path) -> np.ndarray:
    """The slices (N, H, W), (N, H, W, C) or (N, C, H, W) of a TIFF, read-only; bilevel ones hold 0 and 255.

    Raises:
        DataError: the file is not there, damaged, or holds no slices.
    """
    try:
        status = path.stat()
        return _opened(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(path),
            cure="Check that it is there and may be read.",
        ) from None
    except DataError:
        raise
    except Exception as error:  # tifffile raises whatever it meets in broken bytes
        raise DataError(
            f"the TIFF cannot be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})",
            where=str(path),
            cure="Save it again as a TIFF with one page per slice.",
        ) from None


@lru_cache(maxsize=KEPT)
def _opened(path: Path, _changed_ns: int, _size: int) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if len(file.series) > 1 or not is_whole(file, series, path):
            problem = (
                "parts of it are missing" if len(file.series) == 1 else "its pages are of different kinds"
            )
            raise DataError(
                f"the stack cannot be used: {problem}", where=str(path), cure="Save it again, or take it out."
            )
        if getattr(series.keyframe.photometric, "name", "") in {"MINISWHITE", "PALETTE"}:
            raise DataError(
                "the stack is saved inverted or with a palette",
                where=str(path),
                cure="Save it as plain grey.",
            )
        shape = _shape(series.shape, series.axes, path)
        values: np.ndarray = _values(path, series).reshape(shape)
    return values.astype(np.uint8) * np.uint8(255) if values.dtype == np.bool_ else values


def _values(path: Path, series: tifffile.TiffPageSeries) -> np.ndarray:
    try:
        return np.asanyarray(tifffile.memmap(path, mode="r"))
    except ValueError:  # compressed, or in pieces
        return np.asarray(series.asarray())


def _shape(shape: tuple[int, ...], axes: str, path: Path) -> tuple[int, ...]:
    """The shape with the slices first: axes of length 1 dropped, but for Y, X and the first."""
    kept = [(axis, n) for axis, n in zip(axes, shape, strict=True) if n > 1 or axis in "YX"]
    named = "".join(axis for axis, _ in kept)
    lengths = tuple(n for _, n in kept)
    if named == "YX":
        return (1, *lengths)
    if named[1:] in ("YX", "YXS", "CYX", "SYX", "YXC"):
        return lengths
    raise DataError(
        f"the TIFF holds no slices in a row (axes {axes}, shape {'×'.join(map(str, shape))})",
        where=str(path),
        cure="Save slices one after the other; with several channels, in the order of ImageJ (ZCYX).",
    )
