"""Files and folders that are written whole or not at all, what others leave in them, JSON, tables, and where the cache is."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from glob import glob
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
from platformdirs import user_cache_dir

from foldwise.csv_cells import TableWriter
from foldwise.errors import RunError, SpecError
from foldwise.processes import host, started

if TYPE_CHECKING:  # numpy is imported where arrays are written: the command line starts without it
    import numpy as np

MAX_WRITERS = 100  # of one folder within one moment
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES, errno.EPERM, errno.EROFS}
NOT_ALLOWED = {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR}
TAKEN = {errno.ENOTEMPTY, errno.EEXIST}  # what renaming to a folder that another process has put there says
# What systems, network disks, editors and office programs leave in any folder, hidden files among it.
FOREIGN = re.compile(
    r"\..*|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r|~\$.*|.*~|#.*#|.*\.(bak|tmp|swp|orig)", re.I | re.S
)
# File systems whose every call asks a server.
NETWORK = re.compile(
    r"nfs\d?|lustre|gpfs|beegfs|fhgfs|ceph|cifs|smb\w*|afpfs|afs|glusterfs|pvfs2|orangefs|panfs|quobyte|wekafs|9p|virtiofs|fuse\..*"
)
CACHE_CURE = (
    "Make room, or set FOLDWISE_CACHE to a folder with room that may be written; what was finished is kept."
)


@contextmanager
def written_whole(path: Path, *, durable: bool = True, make_folders: bool = True) -> Iterator[Path]:
    """A scratch path that becomes `path` in one step when the block ends, so that no reader sees half a file.

    Where the block raises, `path` stays as it was.

    Args:
        durable: whether it outlives a power cut; waiting for the disk takes most of the time of a small file.
        make_folders: whether those above it are made.
    """
    if make_folders and not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_beside(path)
    try:
        yield scratch
        if durable:
            sync(scratch)
        scratch.replace(path)
    except BaseException as error:
        _name_file(error, path)
        scratch.unlink(missing_ok=True)
        raise


def _name_file(error: BaseException, path: Path) -> None:
    """Have an error of the system say which file could not be written: writing, other than opening, names none."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


@contextmanager
def folder_replaced(folder: Path) -> Iterator[Path]:
    """A scratch folder that takes the place of `folder` when the block ends; the last of several writers wins.

    Folders above it are made. Where the block raises, `folder` stays as it was.
    """
    with _scratch_folder(folder) as scratch:
        yield scratch
        for attempt in range(MAX_WRITERS):
            old = scratch_beside(folder)
            with suppress(FileNotFoundError):
                folder.rename(old)
            try:
                scratch.rename(folder)
                break
            except OSError as error:
                # Another writer may have been faster by this step: then its folder is replaced too.
                if error.errno not in TAKEN or attempt == MAX_WRITERS - 1:
                    with suppress(OSError):
                        old.rename(folder)
                    raise
            finally:
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def folder_cached(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` in one step; where another process was first, its folder stays.

    Scratch folders of processes on this computer that died are removed.

    Raises:
        RunError: there is no room on the disk, or the cache may not be written.
    """
    try:
        with _scratch_folder(folder) as scratch:
            for left in filter(is_abandoned, matching(folder.parent, ".*")):
                shutil.rmtree(left, ignore_errors=True)
            yield scratch
            for path in scratch.rglob("*"):
                sync(path)
            try:
                scratch.rename(folder)
            except OSError as error:
                if error.errno not in TAKEN:
                    raise
    except OSError as error:
        if error.errno not in {*NO_ROOM, *NOT_ALLOWED}:
            raise
        why = (
            "there is no room left for the cache" if error.errno in NO_ROOM else "the cache cannot be written"
        )
        what = f"{why} ({error.strerror})"
        raise RunError(what, where=str(folder.parent), cure=CACHE_CURE) from None


def refuse_no_room(folder: Path, num_bytes: float) -> None:
    """Refuse to begin what would fill the disk of the cache.

    Raises:
        RunError: less is free than will be written.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        what = f"the decoded images take {num_bytes / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of the disk are free"
        raise RunError(what, where=str(folder.parent), cure=f"Ask for a smaller size. {CACHE_CURE}")


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, on the same disk, so that it can be renamed; nothing of it is left."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # below a folder that takes none, as /proc
        raise PermissionError(errno.EACCES, error.strerror, str(folder.parent)) from None
    scratch = scratch_beside(folder)
    scratch.mkdir()
    try:
        yield scratch
    except OSError as error:
        _name_file(error, folder)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_damaged(folder: Path, *, whole: Callable[[Path], bool]) -> None:
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


def from_home(path: str | Path) -> Path:
    """A path with the home folder in place of ``~``; as it is where there is no such user, or no home."""
    return Path(os.path.expanduser(path))


def whole_path(path: str | Path, base: Path) -> Path:
    """The absolute path, without links, of a path that starts at `base` unless it says otherwise.

    Raises:
        SpecError: links of it lead to one another.
    """
    try:
        return (base / from_home(path)).resolve()
    except (RuntimeError, OSError) as error:  # the first up to Python 3.12
        raise SpecError(f"the path {path} leads nowhere: {error}", cure="Mend the links in it.") from None


def cache_root() -> Path:
    """The cache folder: $FOLDWISE_CACHE, or the place the operating system has for caches.

    Raises:
        RunError: there is no such place, as for a user without a home folder.
    """
    if stated := os.environ.get("FOLDWISE_CACHE"):
        return from_home(stated)
    # Without a home, platformdirs raises, or in some of its versions leaves the ~.
    with suppress(RuntimeError):
        root = Path(user_cache_dir("foldwise"))
        if root.parts[0] != "~":
            return root
    cure = "Set HOME, or FOLDWISE_CACHE to a folder that may be written."
    raise RunError("there is no home folder, and so no place for the cache", cure=cure)


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


def is_foreign(name: str) -> bool:
    """Whether a file or folder of this name is none of ours: it is left where it is, and never read."""
    return FOREIGN.fullmatch(name) is not None


def names_in(folder: Path) -> list[str]:
    """The sorted names in one of our folders, but for foreign ones; none where there is no such folder."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if not is_foreign(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def matching(folder: Path, pattern: str) -> list[Path]:
    """The sorted paths in one of our folders that match; `Path.glob` raises where others remove folders meanwhile."""
    return [folder / name for name in sorted(glob(pattern, root_dir=folder))]


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all; see `as_json`."""
    from pydantic_core import to_json  # where JSON is written: help starts without it

    # The json module indents in Python: of the verdict on 500 configurations it took a second, and this takes 20 ms.
    with written_whole(path) as scratch:
        scratch.write_bytes(to_json(value, indent=1, inf_nan_mode="null", fallback=as_json) + b"\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an npy file; not whole or not at all: for folders that are."""
    import numpy as np

    # NumPy hands files to the C library, where a full disk is an error without a number: "12 requested and 0 written".
    with path.open("wb") as file:
        np.save(SimpleNamespace(write=file.write), array, allow_pickle=False)  # type: ignore[arg-type, unused-ignore]


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file with the keys of the first row as its header, whole or not at all."""
    listed = list(rows)
    with written_whole(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        table, columns = TableWriter(file, end="\n"), list(listed[0])
        table.row(columns)
        table.rows([row.get(column, "") for column in columns] for row in listed)


def as_json(value: Any, *, other: Callable[[Any], Any] = str) -> Any:
    """A value as JSON has it; what that does not know, such as paths, as `other` has it.

    Tuples become lists, numpy arrays and numbers plain ones; nan and infinity, which JSON cannot say, become None.
    """
    if value is None or type(value) in (str, int, bool):  # with numbers most of a verdict, so they come first
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): as_json(part, other=other) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(part, other=other) for part in value]
    if hasattr(type(value), "tolist"):  # numpy, which this floor does not import
        return as_json(value.tolist(), other=other)
    return value if isinstance(value, str | int) else other(value)


@lru_cache
def is_on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system of a network, as far as the table of mounts tells."""
    resolved = folder.resolve()
    mounts = [
        mount for mount in psutil.disk_partitions(all=True) if resolved.is_relative_to(mount.mountpoint)
    ]
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint), default=None)
    if nearest is None:
        return False
    return NETWORK.fullmatch(nearest.fstype) is not None or "remote" in nearest.opts.split(",")


def sync(path: Path) -> None:
    """Ask the disk to keep a file or a folder through a power cut."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except (PermissionError, IsADirectoryError):  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        # Some shared file systems cannot, and a rename still is whole; a full or broken disk may say so only now.
        if error.errno in NO_ROOM or (error.errno not in CANNOT_SYNC and not path.is_dir()):
            raise
    finally:
        os.close(handle)
