"""Archives unpacked without trust: nothing lands outside the folder, no links, no flood of bytes."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from foldwise.data.public.conversions import Progress, silent
from foldwise.errors import DataError, RunError

# The largest set in the table is about 33 GB unpacked.
MAX_BYTES = 64 * 2**30
MAX_FILES = 1_000_000
CHUNK = 1 << 20


class _Member(NamedTuple):
    """One file or folder of an archive; `size` in bytes as the archive states it."""

    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path, *, progress: Progress = silent, most_bytes: int = MAX_BYTES) -> None:
    """Unpack a zip or tar archive into a folder that does not exist yet; all names are checked before any is written.

    Raises:
        DataError: it is no zip or tar file, is damaged or encrypted, or holds paths that lead out of the folder,
            links, devices, the same file twice, or more than `most_bytes`.
        RunError: it does not fit on the disk.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _write(
                    _checked(_zip_members(zipped, archive), archive, most_bytes), folder, archive, progress
                )
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tarred:
                _write(
                    _checked(_tar_members(tarred, archive), archive, most_bytes), folder, archive, progress
                )
        else:
            raise _not_supported(archive)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError) as error:
        problem = f"the archive is damaged or of a kind that cannot be unpacked ({error})"
        cure = "Download it again, or unpack it yourself and give the folder with --local."
        raise DataError(problem, where=str(archive), cure=cure) from None


def _not_supported(archive: Path) -> DataError:
    with archive.open("rb") as file:
        head = file.read(6)
    kind = "RAR" if head.startswith(b"Rar!") else "7z" if head.startswith(b"7z\xbc\xaf") else None
    if kind is None:
        problem = "the file is neither a zip nor a tar archive"
        return DataError(problem, where=str(archive), cure="Download it again.")
    problem = f"the file is a {kind} archive, which only other programs can unpack"
    cure = "Unpack it with unar, unrar or 7-Zip, then give the unpacked folder with --local FOLDER."
    return DataError(problem, where=str(archive), cure=cure)


def _zip_members(zipped: zipfile.ZipFile, archive: Path) -> Iterator[_Member]:
    for info in zipped.infolist():
        # The upper half holds the Unix mode, where links show; 0 in archives of other systems.
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _refused(info.filename, "is a link or a device", archive)
        if info.flag_bits & 1:
            problem = f"{info.filename!r} is encrypted"
            raise DataError(problem, where=str(archive), cure="Unpack it yourself, give --local.")
        yield _Member(info.filename, info.file_size, info.is_dir(), partial(zipped.open, info))


def _tar_members(tarred: tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    for info in tarred.getmembers():
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise _refused(info.name, "is a link, a device or a sparse file", archive)
        yield _Member(info.name, info.size, info.isdir(), partial(tarred.extractfile, info))


def _write(files: Mapping[str, _Member], folder: Path, archive: Path, progress: Progress) -> None:
    """Write files that were checked."""
    total = sum(member.size for member in files.values())
    folder.mkdir(parents=True)
    # Half an archive on a full disk would have to be found and removed by hand.
    free = shutil.disk_usage(folder).free
    if total > free:
        problem = f"unpacking {archive.name} needs {total / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise RunError(problem, where=str(folder), cure="Make room, or choose another place with --out.")
    done = 0
    for name, member in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        reading = member.open()
        assert reading is not None, "only plain files are opened"
        with reading, target.open("xb") as writing:
            shutil.copyfileobj(reading, writing, CHUNK)
        done += member.size
        progress(f"Unpacking {archive.name}", done, total)


def _checked(members: Iterable[_Member], archive: Path, most_bytes: int) -> dict[str, _Member]:
    """The files by the path they will have, all of them safe to write."""
    files: dict[str, _Member] = {}
    seen: set[str] = set()
    total = 0
    for member in members:
        name = _safe(member.name, archive)
        if member.is_folder:
            continue
        # Two names that differ in case only are one file on some disks.
        if name.casefold() in seen:
            raise _refused(member.name, "is in it twice", archive)
        seen.add(name.casefold())
        files[name] = member
        total += member.size
        if total > most_bytes or len(files) > MAX_FILES:
            problem = f"the archive unpacks to more than {most_bytes / 2**30:.3g} GiB or {MAX_FILES} files"
            cure = "If that is right, unpack it yourself and give the folder with --local."
            raise DataError(problem, where=str(archive), cure=cure)
    return files


def _safe(name: str, archive: Path) -> str:
    """The path of a member within the folder; refused where it leads out of it, or means something elsewhere."""
    path = PurePosixPath(name)
    if name in {".", "./"}:  # the folder itself, which tar likes to name
        return "."
    drive = ":" in name.split("/")[0]
    if path.is_absolute() or drive or "\\" in name or "\0" in name or ".." in path.parts or not path.name:
        raise _refused(name, "leads out of the folder it is unpacked into", archive)
    return path.as_posix()


def _refused(name: str, why: str, archive: Path) -> DataError:
    cure = "No sound copy of this data set holds such a file. Delete the archive and get it again from its source."
    return DataError(f"the archive was not unpacked: {name!r} {why}", where=str(archive), cure=cure)
