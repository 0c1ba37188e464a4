"""Calls of the file system below one folder, counted as this process makes them, by what they ask of a server."""

from __future__ import annotations

import builtins
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What a network file system is asked, at most, since clients keep some answers for a while: a file is opened, read or
# written, and closed; a folder of more entries than one reply holds is listed by several.
REQUESTS = {"stat": 1, "list": 1, "read": 3, "write": 3, "mkdir": 1, "rename": 1, "remove": 1, "sync": 1}
ENTRIES_A_REPLY = 150  # of NFS with 32 KiB a reply, names and attributes; Lustre sends more
KINDS = {
    "stat": "stat",
    "lstat": "stat",
    "access": "stat",
    "utime": "stat",
    "scandir": "list",
    "listdir": "list",
    "mkdir": "mkdir",
    "rename": "rename",
    "replace": "rename",
    "unlink": "remove",
    "remove": "remove",
    "rmdir": "remove",
    "fsync": "sync",
}


@contextmanager
def counted(root: Path) -> Iterator[Counter[str]]:
    """The number of calls of each kind that are made within it on what lies below a folder, and on open files."""
    calls: Counter[str] = Counter()
    below = f"{root}{os.sep}"

    def counting(kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keys: Any) -> Any:
            where = args[0] if args else keys.get("path", "")
            if isinstance(where, int) or os.fspath(where).startswith(below):
                calls[kind or _opened(*args, **keys)] += 1
            return function(*args, **keys)

        return call

    places = {(os, name): kind for name, kind in KINDS.items()} | {(io, "open"): "", (builtins, "open"): ""}
    before = {(module, name): getattr(module, name) for module, name in places}
    try:
        for (module, name), kind in places.items():
            setattr(module, name, counting(kind, before[module, name]))
        yield calls
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)


def _opened(path: Any, mode: str = "r", *_: Any, **__: Any) -> str:
    return "read" if set(mode) <= set("rbt") else "write"


def requests(calls: Counter[str]) -> int:
    """How many requests these calls are to a server, at most."""
    return sum(REQUESTS[kind] * number for kind, number in calls.items())
