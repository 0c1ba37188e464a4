from io import BytesIO

import numpy as np
import pytest

from foldwise import sealed_arrays
from foldwise.sealed import Damaged, seal_folder
from foldwise.sealed_arrays import array_of, read_arrays

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


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("small", [sealed_arrays.SMALL, 0], ids=["read whole", "read in parts"])
def test_arrays_of_a_file_are_what_numpy_reads_and_damage_to_any_is_refused(
    tmp_path, monkeypatch, save, small
):
    monkeypatch.setattr(sealed_arrays, "SMALL", small)
    path = tmp_path / "scores.npz"
    arrays = {f"é {place}": array for place, array in enumerate(ARRAYS[:-1])}
    save(path, **arrays)
    for sealed in (False, True):
        if sealed:
            (tmp_path / "result.json").write_text("{}")
            seal_folder(tmp_path / "result.json")
        read = read_arrays(path)
        assert list(read) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)
        with pytest.raises(Damaged, match="KeyError"):
            read_arrays(path, ["absent"])
        whole = path.read_bytes()
        at = whole.index(b"NUMPY") + 130 if save is np.savez else 80  # within the numbers of the first array
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Damaged, match="bytes are not those" if sealed else "BadZipFile|error"):
            read_arrays(path)
        path.write_bytes(whole)
