"""A disk of some megabytes in memory, which can be filled, run out of names, and be made read-only under those who write."""

import os
import subprocess
from contextlib import contextmanager, suppress

import pytest

SIZE_MB, NUM_FILES = 64, 6000


@contextmanager
def small_disk(folder):
    """`folder` as a disk of its own; the test skips where it may not be mounted."""
    folder.mkdir()
    if not mounted(folder):
        pytest.skip("a small disk is mounted by the superuser only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def mounted(folder):
    """Whether `folder` could be mounted as such a disk."""
    options = f"size={SIZE_MB}m,nr_inodes={NUM_FILES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "foldwise-tests", folder]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def fill(disk):
    """Take all room; what gives it back."""
    path = disk / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return lambda: path.unlink(missing_ok=True)


def take_all_names(disk):
    """Make files until there can be no more; what takes them away."""
    folder = disk / "fillers"
    with suppress(OSError):
        folder.mkdir()
        for number in range(NUM_FILES):
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_WRONLY))

    def undo():
        for path in folder.glob("*"):
            path.unlink()
        with suppress(OSError):
            folder.rmdir()

    return undo


def make_read_only(disk):
    """Refuse all writing; what allows it again. None where somebody always had a file open."""
    for _ in range(200):  # the kernel refuses while somebody writes
        if _remounted(disk, "ro"):
            return lambda: _remounted(disk, "rw")
    return None


def _remounted(disk, how):
    command = ["mount", "-o", f"remount,{how}", disk]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
