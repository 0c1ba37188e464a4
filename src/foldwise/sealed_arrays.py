"""Arrays of files that foldwise wrote, read with the same care as all others; headers of npy files are parsed once each.

Files of a run have a few headers between them, and numpy takes longer to parse one than to read a small array.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import crc32

from foldwise.resources import HEADERS
from foldwise.sealed import decoding, stated, verified

if TYPE_CHECKING:  # imported where arrays are read: the command line starts without it
    import numpy as np

SMALL = 1 << 18  # bytes: files up to this are read whole, and once; of larger ones a digest is kept instead
LOCAL_HEADER = 30  # bytes before the name of a member, by which its length and that of another field end
MAX_HEAD = 100_000_000  # bytes, as in the library of safetensors


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
            self._data = _verified_bytes(path) if path.stat().st_size <= SMALL else None
            # By the zip itself: numpy looks longer at what a file is than a small array takes to read.
            file = verified(path) if self._data is None else BytesIO(self._data)
            self._file = opened.enter_context(ZipFile(file))
            self._names = tuple(name.removesuffix(".npy") for name in self._file.namelist())
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __getitem__(self, name: str) -> Any:
        with decoding(self.path):
            return array_of(self._bytes_of(self._file.getinfo(f"{name}.npy")))

    def _bytes_of(self, about: ZipInfo) -> bytes:
        """As the zip reads them; where they lie in memory as they are, in a fifth of the time."""
        if self._data is None or about.compress_type != ZIP_STORED:
            return self._file.read(about)
        at = about.header_offset + LOCAL_HEADER
        start = at + sum(int.from_bytes(self._data[end - 2 : end], "little") for end in (at - 2, at))
        data = self._data[start : start + about.file_size]
        if crc32(data) != about.CRC:
            raise BadZipFile(about.filename)
        return data

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _verified_bytes(path: Path) -> bytes:
    """The bytes of a file, which are those that were sealed: read once, to be compared and used.

    Raises:
        Damaged: as `verified` does.
    """
    data, sealed = path.read_bytes(), stated(path)[1]
    if sealed in (None, (len(data), sha256(data).hexdigest())):
        return data
    return verified(path).read_bytes()  # which says what is wrong with it


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

    with HEADERS:
        return npy.read_array_header_1_0(BytesIO(header))


class Head(NamedTuple):
    """What a checkpoint says before its tensors: the bytes as they are, and what they hold."""

    raw: bytes
    tensors: dict[str, dict[str, Any]]
    record: dict[str, Any]
    sha256: str

    @property
    def at(self) -> tuple[int, int]:
        """The epoch that is trained, from 1, and how many of its steps are done."""
        position = self.record["position"]
        return int(position["epoch"]), int(position["step"])


def read_head(path: Path) -> Head:
    """The beginning of a checkpoint, which is a safetensors file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none, or is damaged.
    """
    with path.open("rb") as file:
        length = file.read(8)
        size = int.from_bytes(length, "little")
        if size > MAX_HEAD:
            raise ValueError("its length is none")
        text = file.read(size)
    try:
        tensors = json.loads(text)
        about = tensors.pop("__metadata__")
        head = Head(length + text, tensors, json.loads(about["record"]), about["sha256"])
        head.at  # noqa: B018 - raises where it is missing
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error!r} in its head") from None
    return head
