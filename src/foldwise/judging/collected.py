"""A CSV file that gathers one row of every run, written by many commands: whole rows of one schema or none."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO

from foldwise.errors import RunError
from foldwise.text import some


def collect(path: Path, row: Mapping[str, Any]) -> bool:
    """Append `row` to the CSV file `path`, after its header where the file is new; whether it was not there yet.

    A row that stands there already is not written again, so that a command may be repeated. Numbers are written as
    numbers; None is an empty cell.

    Raises:
        RunError: the file has other columns; it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened to append, read under the lock: two commands that both find the file empty would both write a header.
    with path.open("a+b") as file, _alone(file):
        file.seek(0)
        text = file.read().decode("utf-8")
        _refuse_others(path, text, list(row))
        written = _line(row.values())
        if written.strip() in text.splitlines():
            return False
        start = "" if text.endswith("\n") or not text else "\n"
        added = (start if text else _line(row)) + written
        _append(file, added.encode("utf-8"), len(text.encode("utf-8")))
    return True


def _line(cells: Any) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _refuse_others(path: Path, text: str, columns: list[str]) -> None:
    header = next(csv.reader(text.splitlines()), None)
    if header is None or header == columns:
        return
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in columns]
    differs = [f"lacks {some(missing)}"] * bool(missing) + [f"has {some(unknown)}"] * bool(unknown)
    raise RunError(
        f"its columns are others: it {' and '.join(differs) or 'has them in another order'}",
        where=str(path),
        cure="Name another file, since other tasks have other metrics. Nothing is trained again.",
    )


def _append(file: BinaryIO, added: bytes, size: int) -> None:
    try:
        file.write(added)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), size)  # a full disk leaves no half row
        raise


@contextmanager
def _alone(file: BinaryIO) -> Iterator[None]:
    """One command at a time, so that none appends between another's look and its row."""
    try:
        import fcntl
    except ImportError:  # Windows: a single write appends whole rows there too
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
