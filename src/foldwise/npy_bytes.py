"""Arrays from the bytes of npy files, whose headers are parsed once each.

Files of a run have a few headers between them, and numpy takes longer to parse one than to read a small array.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


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
