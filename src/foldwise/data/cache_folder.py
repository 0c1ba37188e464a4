"""Where what is made once is kept for every study, and how a folder gets there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_dir

from foldwise.errors import RunError
from foldwise.storage import is_abandoned, scratch_beside


def cache_root() -> Path:
    """The cache folder: $FOLDWISE_CACHE, or the place the operating system has for caches."""
    stated = os.environ.get("FOLDWISE_CACHE")
    return Path(stated).expanduser() if stated else Path(user_cache_dir("foldwise"))


@contextmanager
def folder_written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` in one step; where another process was first, its folder stays.

    Scratch folders of processes on this computer that died are removed.

    Raises:
        RunError: there is no room on the disk, or the cache may not be written.
    """
    scratch = scratch_beside(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        scratch.mkdir()
        yield scratch
        _flush(scratch)
        try:
            scratch.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise RunError(
                f"there is no room left for the cache ({error.strerror})",
                where=str(folder.parent),
                cure=_ELSEWHERE,
            ) from None
        if error.errno in {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR}:
            raise RunError(
                f"the cache cannot be written ({error.strerror})", where=str(folder.parent), cure=_ELSEWHERE
            ) from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_ELSEWHERE = (
    "Make room, or set FOLDWISE_CACHE to a folder with room that may be written; what was finished is kept."
)


def set_aside(folder: Path, *, whole: Callable[[Path], bool]) -> None:
    """Remove a damaged folder in one step, so that no reader sees it half removed.

    Between the look that found the damage and this step another process may have put a good folder there:
    what was moved is looked at once more with `whole`, and put back if it is good.
    """
    doomed = scratch_beside(folder)
    try:
        folder.rename(doomed)
    except FileNotFoundError:
        return
    if whole(doomed) and not folder.exists():
        doomed.rename(folder)
        return
    shutil.rmtree(doomed, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Force the files to disk before the rename, so that a power cut leaves no named but empty folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Remove scratch folders left by processes of this computer that are no more."""
    for path in filter(is_abandoned, parent.glob(".*")):
        shutil.rmtree(path, ignore_errors=True)
