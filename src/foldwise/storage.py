"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from foldwise.errors import RunError
from foldwise.processes import host, started

MAX_WRITERS = 100  # of one folder within one moment


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A scratch path that becomes `path` in one step when the block ends, so that no reader sees half a file.

    Folders above it are made. Where the block raises, `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_beside(path)
    try:
        yield scratch
        sync(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def folder_replaced(folder: Path) -> Iterator[Path]:
    """A scratch folder that takes the place of `folder` when the block ends; the last of several writers wins.

    Folders above it are made. Where the block raises, `folder` stays as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch, old = scratch_beside(folder), scratch_beside(folder)
    scratch.mkdir()
    try:
        yield scratch
        for attempt in range(MAX_WRITERS):
            with suppress(FileNotFoundError):
                folder.rename(old)
            try:
                scratch.rename(folder)
                break
            except OSError as error:
                # Another writer may have been faster by this step: then its folder is replaced too.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or attempt == MAX_WRITERS - 1:
                    with suppress(OSError):
                        old.rename(folder)
                    raise
            finally:
                shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def scratch_beside(path: Path) -> Path:
    """A new hidden name beside `path`, which says who writes there."""
    return path.with_name(f".{path.name}.{host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")


def is_abandoned(scratch: Path) -> bool:
    """Whether this is a name of `scratch_beside` whose process, on this computer, has ended.

    False where it cannot be known: of another computer, or a hidden file of someone else.
    """
    parts = scratch.name.split(".")
    if len(parts) < 5 or parts[0] or parts[-3] != host() or not parts[-2].isdigit():
        return False
    return started(int(parts[-2])) is None


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    Tuples become lists, paths text, numpy arrays and numbers plain ones; nan and infinity, which JSON cannot say,
    become null.
    """
    with written_whole(path) as scratch:
        scratch.write_text(
            json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):  # numpy, which this floor does not import
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def read_json(path: Path) -> Any:
    """The value of a JSON file of a run.

    Raises:
        RunError: it is not there or is no JSON, which only a hand or a broken disk can do.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            "this file of the run is not there", where=str(path), cure="Run the study again."
        ) from None
    except ValueError as error:
        raise RunError(
            f"this file of the run is damaged ({error})",
            where=str(path),
            cure="Delete it, or the item's folder, and run again.",
        ) from None


def sync(path: Path) -> None:
    """Ask the disk to keep a file or a folder through a power cut."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no folders
        return
    with suppress(OSError):  # some shared file systems cannot; a rename still is whole or not at all
        os.fsync(handle)
    os.close(handle)
