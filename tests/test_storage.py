"""Files and folders that are written whole or not at all, and what a kill leaves of them."""

import errno
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from foldwise.errors import RunError
from foldwise.processes import host
from foldwise.sealed import read_json
from foldwise.storage import (
    folder_replaced,
    is_abandoned,
    scratch_beside,
    sync,
    write_array,
    write_json,
    written_whole,
)


def test_written_whole_leaves_the_old_file_when_the_writer_fails(tmp_path):
    path = tmp_path / "below" / "file.txt"
    with written_whole(path) as scratch:
        scratch.write_text("old")

    def fail():
        with written_whole(path) as scratch:
            scratch.write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_writer_that_is_killed_leaves_the_old_file_and_its_own_can_be_told(tmp_path, killed_while_writing):
    path = tmp_path / "file.json"
    write_json(path, {"version": 1})
    killed_while_writing(path)
    assert read_json(path) == {"version": 1}
    assert [is_abandoned(left) for left in tmp_path.iterdir() if left != path] == [True]


def test_only_what_a_dead_process_of_this_computer_wrote_is_abandoned(tmp_path):
    ours = scratch_beside(tmp_path / "a.b.json")
    assert not is_abandoned(ours)  # we live
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = ours.with_name(ours.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    assert is_abandoned(dead)
    assert not is_abandoned(dead.with_name(dead.name.replace(host(), "elsewhere")))
    assert not any(
        is_abandoned(tmp_path / name) for name in ("a.json", ".a", f".a.{host()}.x.1", f"a.b.{host()}.1.1")
    )


def test_a_replaced_folder_is_the_new_one_whole_or_the_old_one(tmp_path):
    folder = tmp_path / "below" / "winner"
    for text in ("old", "new"):
        with folder_replaced(folder) as scratch:
            (scratch / text).write_text(text)
    assert [path.name for path in folder.iterdir()] == ["new"]

    def fail():
        with folder_replaced(folder) as scratch:
            (scratch / "half").write_text("h")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "below",
        "below/winner",
        "below/winner/new",
    ]


def test_many_who_replace_a_folder_at_once_leave_one_whole_folder(tmp_path):
    folder = tmp_path / "winner"
    together = threading.Barrier(6)

    def replace(number):
        together.wait()
        for _ in range(20):
            with folder_replaced(folder) as scratch:
                for name in ("model", "weights"):
                    (scratch / name).write_text(str(number))

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(replace, number) for number in range(6)]:
            done.result()
    assert len({(folder / name).read_text() for name in ("model", "weights")}) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_json_holds_what_it_cannot_say_as_null_and_numpy_as_plain(tmp_path):
    path = tmp_path / "value.json"
    write_json(
        path,
        {
            "nan": math.nan,
            "list": (1, np.float32(0.5)),
            "array": np.array([1.0, np.inf]),
            3: Path("a"),
            "è": True,
        },
    )
    assert read_json(path) == {"nan": None, "list": [1, 0.5], "array": [1.0, None], "3": "a", "è": True}


def test_damaged_and_absent_files_say_what_to_do(tmp_path):
    path = tmp_path / "value.json"
    with pytest.raises(RunError) as refused:
        read_json(path)
    assert str(refused.value) == f"{path}: the file is gone\n  → Run the study again, or copy the file again."
    path.write_text("{")
    with pytest.raises(RunError, match="the file is damaged"):
        read_json(path)


def test_an_array_is_the_file_that_numpy_writes_and_a_full_disk_is_an_error_with_its_number(tmp_path):
    for array in (np.arange(6.0), np.arange(6).reshape(2, 3).T, np.zeros((0, 3), np.uint8), np.float32(3)):
        write_array(tmp_path / "ours.npy", np.asarray(array))
        np.save(tmp_path / "theirs.npy", array)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left") as full:
            write_array(Path("/dev/full"), np.zeros(100_000))
        assert full.value.errno == errno.ENOSPC


def test_a_full_disk_says_which_file_it_could_not_take(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")  # what writing says, with no name in it
    for writing in (written_whole, folder_replaced):
        with (
            pytest.raises(OSError, match=r"No space left on device: .*plan\.json") as refused,
            writing(tmp_path / "plan.json"),
        ):
            raise full
        assert refused.value.filename == str(tmp_path / "plan.json")
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "is_raised"), [("EIO", True), ("ENOSPC", True), ("ESTALE", True), ("EINVAL", False)]
)
def test_a_disk_that_could_not_keep_a_file_says_so(tmp_path, monkeypatch, error, is_raised):
    def fsync(handle):
        raise OSError(getattr(errno, error), error)

    monkeypatch.setattr("os.fsync", fsync)
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(OSError, match=error) if is_raised else nullcontext():
        sync(tmp_path / "a.txt")
    with nullcontext() if error != "ENOSPC" else pytest.raises(OSError, match=error):
        sync(tmp_path)  # many file systems keep no folders on demand
