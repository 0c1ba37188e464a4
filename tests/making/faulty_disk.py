"""A disk of which one chosen call fails: the n-th that opens to write, writes, syncs, renames or makes a folder.

It is the C library that refuses, so that files are no safer by the hand of a library that is no Python.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


def built(folder):
    """The library, to be named in LD_PRELOAD; the test skips where it cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not Path("/proc/self/fd").is_dir():
        pytest.skip("faults of a disk need a C compiler and Linux: apt install gcc")
    library = folder / "faulty_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def arm(root, at, error, forever=False):
    """In a process that was started with the library: the `at`-th call below `root` fails, and all later ones if `forever`."""
    ctypes.CDLL(None).faulty_arm(os.fsencode(root), ctypes.c_long(at), int(error), int(forever))


def list_calls(path):
    """Every such call is listed in this file, a line each: what was called, and the file below the root."""
    ctypes.CDLL(None).faulty_list(os.fsencode(path))
