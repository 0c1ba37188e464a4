"""Folders that others made are data: what they name are ids and never paths, and they hold plain files only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from foldwise.errors import RunError

MAX_LETTERS = 120
SHOWN_LETTERS = 60
# Neither a separator nor a dot, so that an id stays within its folder; ASCII, as no file system changes that.
ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{MAX_LETTERS - 1}}}", re.ASCII)
DEVICE = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE
)  # not files on Windows, whatever the folder


def is_id(name: object) -> bool:
    """Whether a name can be that of a file or folder and of nothing else, on every system.

    >>> [is_id(name) for name in ("fit-2b1c", "../fit", "/etc", "NUL", "a.b", "")]
    [True, False, False, False, False, False]
    """
    return isinstance(name, str) and bool(ID.fullmatch(name)) and not DEVICE.fullmatch(name)


def is_file_name(name: object) -> bool:
    """Whether a name is that of a file with a suffix, beside the file that names it.

    >>> [is_file_name(name) for name in ("scores.npz", "../scores.npz", ".hidden", "NUL.npz")]
    [True, False, False, False]
    """
    return isinstance(name, str) and is_id(name.replace(".", "-")) and is_id(name.partition(".")[0])


def checked_id(name: object, what: str, *, where: str | None = None) -> str:
    """`name`, which is to become a part of a path.

    Raises:
        RunError: it is none of what foldwise writes, so that it could lead elsewhere.
    """
    if is_id(name):
        return str(name)
    raise _not_ours(name, what, where)


def checked_file(name: object, suffix: str, *, where: str | None = None) -> str:
    """`name`, an id with a suffix: of a file beside the one that names it; else the RunError of `checked_id`."""
    if isinstance(name, str) and name.endswith(suffix) and is_id(name.removesuffix(suffix)):
        return name
    raise _not_ours(name, f"{suffix} file", where)


def _not_ours(name: object, what: str, where: str | None) -> RunError:
    text = repr(name)
    shown = text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]} ... ({len(text) - 2} letters)"
    return RunError(
        f"the {what} {shown} is no name that foldwise gives: letters, digits, - and _ only, at most {MAX_LETTERS}",
        where=where,
        cure="Somebody has changed this folder. Get it again from who made it, or run the study again.",
    )


def refuse_strange(root: Path, *, but_inside: str = "") -> None:
    """Refuse a run folder, or a winner, that holds what none ever does; nothing where there is no such folder.

    A link may lead to any file of this computer, whose content would then be shown or copied; reading a pipe never ends.

    Args:
        but_inside: a folder in it, the folders of which are not looked into.

    Raises:
        RunError: names the first link that leads out of the folder, or what is neither a file nor a folder.
    """
    inside = root.resolve()
    for entry in _entries(root, but_inside):
        if entry.is_symlink() or getattr(entry, "is_junction", lambda: False)():
            target = Path(entry.path).resolve()
            if not target.is_relative_to(inside):
                raise _leads_out(Path(entry.path), root, target)
        elif not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
            path = Path(entry.path)
            if path.exists():  # else a worker has just removed it
                what = f"{path.relative_to(root)} is neither a file nor a folder"
                raise RunError(what, where=str(root), cure="Delete it: foldwise writes nothing of the kind.")


def _leads_out(path: Path, root: Path, target: Path) -> RunError:
    what = f"{path.relative_to(root)} is a link that leads out of the folder, to {target}"
    cure = "Links are not followed. Put the file itself there, if you know it; else delete the link."
    return RunError(what, where=str(root), cure=cure)


def _entries(folder: Path | str, but_inside: str = "", *, deep: bool = True) -> Iterable[os.DirEntry[str]]:
    """Everything below a folder, links not followed; what vanishes meanwhile is left out."""
    try:
        with os.scandir(folder) as listed:
            entries = list(listed)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        yield entry
        if deep and entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path, deep=entry.name != but_inside)
