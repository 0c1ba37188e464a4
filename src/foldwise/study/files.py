"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from foldwise.errors import RunError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A scratch path that becomes `path` in one step when the block ends, so that no reader sees half a file.

    Folders above it are made. Where the block raises, `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        yield scratch
        sync(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


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
