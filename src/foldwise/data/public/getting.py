"""A data set by name: listed, got whole into a folder, and checked against what was first recorded of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foldwise.data.cache.decoding import file_digest
from foldwise.data.public.archives import unpack
from foldwise.data.public.catalogue import SOURCES
from foldwise.data.public.download import fetch
from foldwise.data.public.source import Progress, Source, Web, silent
from foldwise.errors import DataError, RunError, SpecError, choose
from foldwise.storage import cache_root, read_json, scratch_beside, write_json
from foldwise.text import some

RECORD = "source.json"


@dataclass(frozen=True)
class Verified:
    """What became of the files that were got: all empty means that they are as they were.

    Attributes:
        digest: one SHA-256 over the names and digests of all recorded files.
        basis: in a sentence, what the files were compared with.
    """

    name: str
    folder: Path
    num_files: int
    digest: str
    basis: str
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether no file was changed, lost or added."""
        return not (self.changed or self.missing or self.added)

    def require_whole(self) -> None:
        """Raise a DataError that names what was changed, lost or added, if anything was."""
        differences = (("changed", self.changed), ("missing", self.missing), ("added", self.added))
        if not self.whole:
            problem = "; ".join(f"{len(paths)} {verb}: {some(paths)}" for verb, paths in differences if paths)
            cure = f"Move the folder away, then: foldwise data get {self.name} --out {self.folder}"
            raise DataError(problem, where=str(self.folder), cure=cure)


def list_sources() -> tuple[Source, ...]:
    """All sources, in the order of the table."""
    return tuple(SOURCES.values())


def get(name: str, folder: Path, *, local: Path | None = None, progress: Progress = silent) -> Path:
    """The folder with the data set `name`, laid out for foldwise: made whole or not at all, and only once.

    Args:
        name: of a row of `SOURCES`.
        folder: does not exist yet, is empty, or holds this data set already.
        local: a folder or an archive with the original, in place of a download; nothing in it is changed.
        progress: told what is done.

    Raises:
        SpecError: no such source; the folder holds something else; `local` does not exist.
        DataError: the download or the original is not what it should be.
        MissingExtra: a package or an account is needed.
        RunError: it cannot be written.
    """
    source = choose(SOURCES, name, "data source")
    if (folder / RECORD).is_file() and read_record(folder)["source"] == name:
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(
            f"{folder} is not empty", where="--out", cure="Choose a folder that does not exist yet."
        )
    with _scratch_folder(folder) as scratch:
        raw, provenance = _original(source, local, scratch, progress)
        out = scratch / "laid_out"
        out.mkdir()
        statements = source.convert(raw, out, progress)
        write_json(out / RECORD, _new_record(source, provenance, statements, _digests(out, progress)))
        # It is empty, as was checked; a rename does not replace a folder on every system.
        if folder.exists():
            folder.rmdir()
        out.rename(folder)
    return folder


def verify(name: str, folder: Path, *, progress: Progress = silent) -> Verified:
    """Whether every file of a data set that was got is still as it was when it first came.

    Raises:
        SpecError: no such source, or the folder holds another one.
        RunError: the folder was not made by `get`.
    """
    source = choose(SOURCES, name, "data source")
    if not (folder / RECORD).is_file():
        problem = f"there is no {RECORD}, which foldwise data get writes"
        raise RunError(problem, where=str(folder), cure=f"foldwise data get {name} --out {folder}")
    record = read_record(folder)
    if record["source"] != name:
        raise SpecError(f"the folder holds {record['source']}, not {name}", where=str(folder))
    then, now = record["files"], _digests(folder, progress)
    return Verified(
        name,
        folder,
        len(then),
        _of_all(then),
        _basis(source, record),
        changed=tuple(path for path in then if path in now and now[path] != then[path]),
        missing=tuple(path for path in then if path not in now),
        added=tuple(path for path in now if path not in then),
    )


def _basis(source: Source, record: dict[str, Any]) -> str:
    published = isinstance(source.origin, Web) and source.origin.sha256 is not None
    if published and record["original_sha256"] == source.origin.sha256:  # type: ignore[union-attr]
        return "The download had the published checksum; the files are compared with those made from it."
    came = "the local copy that was given" if record["local"] else "the first download"
    return (
        f"No published checksum is known here: the digests of {came} ({record['got']}) were recorded in {RECORD} beside"
        " the data, and the files are checked against them from then on."
    )


def read_record(folder: Path) -> dict[str, Any]:
    """What `get` wrote down of a data set: title, licence, citation, notes, what was done, digests of the files.

    Raises:
        RunError: there is no such record, or it is damaged.
    """
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or not {"source", "files", "local", "got", "original_sha256"} <= set(
        record
    ):
        raise RunError(
            "this is no record of a data source", where=str(folder / RECORD), cure="Get the data set again."
        )
    return record


@contextmanager
def _scratch_folder(folder: Path) -> Iterator[Path]:
    """A folder on the same disk, for one rename at the end; gone afterwards."""
    scratch = scratch_beside(folder)
    try:
        scratch.mkdir(parents=True)
        yield scratch
    except OSError as error:
        problem = f"the data set cannot be written ({error.strerror or error})"
        cure = "Make room, or choose another place with --out. A download that is whole is kept."
        raise RunError(problem, where=str(folder), cure=cure) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _original(
    source: Source, local: Path | None, scratch: Path, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """The folder of the original, unpacked, and where it comes from."""
    copy = (
        fetch(source.origin, cache_root() / "downloads" / source.shelf, progress) if local is None else local
    )
    if not copy.exists():
        cure = f"It must hold {some(source.original)}."
        raise SpecError(f"{copy} does not exist", where="--local" if local else None, cure=cure)
    provenance = {"local": local is not None, "original_sha256": None if copy.is_dir() else file_digest(copy)}
    if copy.is_dir():
        return copy, provenance
    if isinstance(source.origin, Web) and source.origin.sha256 not in {None, provenance["original_sha256"]}:
        problem = f"its SHA-256 is {provenance['original_sha256']}, published is {source.origin.sha256}"
        cure = "It is damaged or another version: get it again. An unpacked folder is taken as it is."
        raise DataError(problem, where=str(copy), cure=cure)
    unpack(copy, scratch / "original", progress=progress)
    return scratch / "original", provenance


def _new_record(
    source: Source, provenance: dict[str, Any], statements: tuple[str, ...], files: dict[str, str]
) -> dict[str, Any]:
    return {
        "schema": 1,
        "source": source.name,
        "title": source.title,
        "licence": source.licence,
        "citation": source.citation,
        "from": source.where,
        "got": datetime.now(UTC).date().isoformat(),
        **provenance,
        "said": statements,
        "notes": source.notes,
        "study": source.study,
        "files": files,
    }


def _digests(folder: Path, progress: Progress) -> dict[str, str]:
    """The SHA-256 of every file of a data set but its record, by POSIX path; hidden files are not of it."""
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path != folder / RECORD
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    digests = {}
    for done, path in enumerate(paths, 1):
        digests[path.relative_to(folder).as_posix()] = file_digest(path)
        progress("Checking files", done, len(paths))
    return digests


def _of_all(files: dict[str, str]) -> str:
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
