"""Arrays of files that foldwise wrote, read with the same care as all others; headers of npy files are parsed once each.

Files of a run have a few headers between them, and numpy takes longer to parse one than to read a small array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zipfile import ZipFile

from foldwise.sealed import decoding, verified

if TYPE_CHECKING:  # imported where arrays are read: the command line starts without it
    import numpy as np


def read_array(path: Path) -> np.ndarray:
    """The array of an npy file that foldwise wrote.

    Raises:
        RunError: it is gone, damaged or may not be read.
    """
    import numpy as np

    with decoding(path):
        array: np.ndarray = np.load(verified(path), allow_pickle=False)
        return array


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """These arrays of an npz file that foldwise wrote; all by default.

    Raises:
        RunError: it is gone, damaged or may not be read, or lacks one of them.
    """
    with Arrays(path) as arrays:
        return {name: arrays[name] for name in (arrays if names is None else names)}


class Arrays(Mapping[str, Any]):
    """The arrays of an npz file that foldwise wrote, each read when it is asked for, within a ``with``.

    Raises:
        RunError: the file is gone, damaged or may not be read, or lacks an array.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with decoding(path), ExitStack() as opened:
            # By the zip itself: numpy looks longer at what a file is than a small array takes to read.
            self._file = opened.enter_context(ZipFile(verified(path)))
            self._names = tuple(name.removesuffix(".npy") for name in self._file.namelist())
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __getitem__(self, name: str) -> Any:
        with decoding(self.path):
            return array_of(self._file.read(f"{name}.npy"))

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def array_of(data: bytes) -> np.ndarray:
    """The array of the bytes of an npy file."""
    import numpy as np  # where arrays are read: the command line starts without it

    start = 10 + int.from_bytes(data[8:10], "little")
    if data[:8] != b"\x93NUMPY\x01\x00":  # no array, or one of a header longer than any of ours
        array: np.ndarray = np.load(BytesIO(data), allow_pickle=False)
        return array
    shape, order, dtype = _header(data[8:start])
    if dtype.hasobject:
        raise ValueError("an array of objects is code")
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if order else "C").copy("K")


@lru_cache(maxsize=10_000)
def _header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    from numpy.lib import format as npy

    return npy.read_array_header_1_0(BytesIO(header))
