"""Which image files a folder holds, and which of them a written name means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from foldwise.errors import DataError
from foldwise.text import natural, some

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
# fmt: off
FOREIGN_SUFFIXES = frozenset({
    ".czi", ".lif", ".nd2", ".oib", ".oif", ".lsm", ".svs", ".ndpi", ".dcm", ".nii", ".gif", ".webp", ".heic", ".jp2",
    ".zarr", ".mha", ".nrrd", ".psd", ".eps", ".pdf", ".svg",
})
# fmt: on


def image_files(folder: Path) -> list[str]:
    """Names of the images that lie directly in a folder, in natural order; hidden files are left out."""
    return sorted(
        (p.name for p in folder.iterdir() if _visible_file(p) and p.suffix.lower() in SUFFIXES), key=natural
    )


def image_files_below(folder: Path) -> list[str]:
    """POSIX paths, relative to a folder, of all images in it at any depth, in natural order."""
    found = (
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and _visible_file(path) and not _hidden(path.relative_to(folder))
    )
    return sorted(found, key=natural)


def other_files(folder: Path) -> tuple[list[str], list[str]]:
    """Names of files in a folder that are images of a kind not read here, and of files that are no images."""
    names = [p.name for p in folder.iterdir() if _visible_file(p) and p.suffix.lower() not in SUFFIXES]
    foreign = [name for name in names if Path(name).suffix.lower() in FOREIGN_SUFFIXES]
    return sorted(foreign, key=natural), sorted(set(names) - set(foreign), key=natural)


def subfolders(folder: Path) -> list[str]:
    """Names of the visible folders in a folder, in natural order."""
    names = (p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))
    return sorted(names, key=natural)


def stem(path: str) -> str:
    """The last part of a path without its suffix."""
    return PurePosixPath(path).stem


def _visible_file(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _hidden(relative: Path) -> bool:
    return any(part.startswith((".", "__")) for part in relative.parts)


def one_per_stem(paths: Sequence[str], what: str) -> list[DataError]:
    """An error for every stem that two files share, and for stems that differ only in case."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_stem[stem(path).casefold()].append(path)
    return [
        DataError(
            f"{len(same)} {what} share the name {stem(same[0])!r} but for case or suffix: {some(same)}",
            cure="Keep one of them, or rename the others.",
        )
        for same in by_stem.values()
        if len(same) > 1
    ]


class Finder:
    """Finds the image a table means by a name: a path, a file name, or either without its suffix."""

    def __init__(self, paths: Sequence[str], folder: str = "") -> None:
        """Args: paths: relative to the root; folder: where names may start from as well, e.g. ``images``."""
        self.paths = tuple(paths)
        self._forms = [
            _by(paths, lambda p: p),
            _by(paths, lambda p: p.removeprefix(f"{folder}/")),
            _by(paths, lambda p: PurePosixPath(p).name),
            _by(paths, lambda p: str(PurePosixPath(p).with_suffix(""))),
            _by(paths, stem),
        ]

        self._loose = _by(paths, lambda p: stem(p).casefold())

    def find(self, written: str) -> str | None:
        """The path that `written` means; None where there is none.

        Raises:
            DataError: several files could be meant.
        """
        name = written.strip().replace("\\", "/").removeprefix("./")
        for form in self._forms:
            found = form.get(name, ())
            if len(found) == 1:
                return found[0]
            if found:
                raise DataError(
                    f"{written!r} could be any of {some(found)}",
                    cure="Write the path from the data folder, with its suffix.",
                )
        return None

    def near(self, written: str) -> str | None:
        """A path that differs from what is written only in case, space or suffix."""
        return self._loose.get(stem(written.strip().replace("\\", "/")).casefold(), (None,))[0]


def _by(paths: Sequence[str], form: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        found[form(path)].append(path)
    return {key: tuple(same) for key, same in found.items()}
