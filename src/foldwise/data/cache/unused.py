"""Entries of the cache that nobody has used for long: each can be made again from files that are here, and is forgotten."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from foldwise.storage import cache_root, remove_damaged

# What may be forgotten: decoded images, masks drawn from labels, phantoms, trials of configurations. What was downloaded
# stays, as it could not be made again without a network.
FORGOTTEN = ("packed", "outlines", "phantoms", "trials")
KEPT_DAYS, DAY_S = 90, 86400.0


def used(entry: Path) -> Path:
    """The entry, with a note, its time, that it is used now; at most one a day, for the sake of shared disks."""
    with suppress(OSError):  # a cache that may only be read
        if time.time() - entry.stat().st_mtime > DAY_S:
            os.utime(entry)
    return entry


def forget_unused() -> None:
    """Remove what was last used longer ago than `KEPT_DAYS`; what cannot be removed stays."""
    for name in FORGOTTEN:
        with suppress(OSError):
            for entry in [entry for entry in (cache_root() / name).iterdir() if not _is_fresh(entry)]:
                if entry.is_dir():  # put back if somebody has begun to use it meanwhile
                    remove_damaged(entry, whole=_is_fresh)
                else:
                    entry.unlink(missing_ok=True)


def _is_fresh(entry: Path) -> bool:
    return time.time() - entry.stat().st_mtime < KEPT_DAYS * DAY_S
