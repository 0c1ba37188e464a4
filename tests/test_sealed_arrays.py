from io import BytesIO

import numpy as np
import pytest

from foldwise.sealed_arrays import array_of

ARRAYS = [
    np.arange(12, dtype=np.int32).reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.zeros((0, 5), np.float32),
    np.array(7, np.uint8),
    np.array(["a", "bc"]),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.zeros(1, [("x" * 70_000, "f4")]),  # its header has the form of long ones
]


def bytes_of(array, **options):
    file = BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Stored array in format")
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype)[:20])
def test_an_array_is_what_numpy_reads(array):
    if len(str(array.dtype)) > 10_000:
        with pytest.raises(ValueError, match="Header"):
            array_of(bytes_of(array))
        return
    made = array_of(bytes_of(array))
    assert made.dtype == array.dtype
    assert made.shape == array.shape
    assert made.flags.writeable
    assert np.array_equal(made, array)


def test_objects_and_broken_bytes_are_refused():
    with pytest.raises(ValueError, match="code"):
        array_of(bytes_of(np.array([{}], dtype=object), allow_pickle=True))
    whole = bytes_of(np.arange(5))
    with pytest.raises(EOFError):
        array_of(b"")
    for broken in (whole[:-1], whole[:30], b"no array", whole + b"\0"):
        with pytest.raises(ValueError):  # noqa: PT011 - of numpy, in its words
            array_of(broken)
