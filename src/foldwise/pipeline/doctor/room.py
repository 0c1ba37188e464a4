"""Room and rights, as `foldwise doctor` finds them: disks, who else may write, and whether a folder can hold a run."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from foldwise.pipeline.doctor.symptoms import Symptom
from foldwise.runs.share import try_folder
from foldwise.storage import NO_ROOM, cache_root

GB = 1e9
LITTLE_DISK = 10 * GB


def disks() -> Iterator[Symptom]:
    """Whether there is room for the cache and for runs, and who may write there."""
    for about, folder, cure in (
        ("cache", cache_root(), "Set FOLDWISE_CACHE to a folder with room that may be written."),
        ("runs", Path("runs").absolute(), "Run where there is room, or say where with --out."),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        room = f"{folder}, {free / GB:.0f} GB free"
        if not os.access(there, os.W_OK | os.X_OK):
            yield Symptom("error", about, f"{folder} may not be written", cure)
        elif free < LITTLE_DISK:
            yield Symptom("warning", about, room, cure)
        else:
            yield Symptom("note", about, room)
        yield from _writers(about, there)


def _writers(about: str, folder: Path) -> Iterator[Symptom]:
    """Who else may write in a folder, and so change what comes out."""
    if os.name != "posix":
        return
    status = folder.stat()
    cure = f"chmod o-w {folder}; docs/security.md says what others could change."
    # In a folder such as /tmp others may add files, and change none of yours.
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        yield Symptom(
            "warning", about, f"everybody on this computer may write in {folder}, and change results", cure
        )
    elif status.st_uid not in (os.geteuid(), 0):
        yield Symptom(
            "note", about, f"{folder} belongs to {_user(status.st_uid)}, who may change what is in it"
        )
    elif status.st_mode & stat.S_IWGRP and _num_members(status.st_gid) != 1:
        yield Symptom(
            "note", about, f"the group {_group(status.st_gid)} may write in {folder}, and change results"
        )


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _num_members(number: int) -> int:
    """How many users a group has; 0 where that is not written down here."""
    import grp
    import pwd

    try:
        members = set(grp.getgrgid(number).gr_mem)
    except KeyError:
        return 0
    return len(members | {user.pw_name for user in pwd.getpwall() if user.pw_gid == number})


def folder(folders: Sequence[Path]) -> Iterator[Symptom]:
    """Whether a folder can hold a run.

    Args:
        folders: paths of it, such as two mounts.
    """
    yield from _tried(folders)
    for path in folders[:1]:
        if path.is_dir():
            yield from _writers("folder", path)


def _tried(folders: Sequence[Path]) -> Iterator[Symptom]:
    where = " and ".join(map(str, folders))
    try:
        trials = try_folder(folders)
    except OSError as error:
        there = all(folder.is_dir() for folder in folders)
        what = f"nothing can be written in it ({error.strerror})" if there else f"{error.strerror}"
        full = error.errno in NO_ROOM
        cure = "Make room there." if full else "Name a folder that is there and may be written."
        yield Symptom("error", "folder", f"{where}: {what}", cure)
        return
    cure = "Keep runs on a POSIX file system: a local disk, NFS, Lustre, GPFS or sshfs; docs/clusters.md."
    for trial in trials:
        yield Symptom(
            "note" if trial.holds else "error",
            "folder",
            f"{where}: {trial.what}",
            None if trial.holds else cure,
        )
