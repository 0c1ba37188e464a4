"""A public data set by name: got whole into a folder, checked against what was first recorded of it, read by a study."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foldwise.data.cache.packing import digest_of_file
from foldwise.data.public.archives import unpack
from foldwise.data.public.catalogue import SOURCES, ByHand, Cutouts, Kaggle, Source, Web
from foldwise.data.public.conversions import Progress, find_root, silent
from foldwise.errors import DataError, MissingExtra, RunError, SpecError, choose
from foldwise.sealed import read_json
from foldwise.storage import cache_root, folder_replaced, whole_path, write_json
from foldwise.study.spec import DataSpec, Study, Validation
from foldwise.study.yaml_places import parse
from foldwise.text import some

RECORD = "source.json"
# The original lies unpacked beside what is laid out; hidden, so that it is not taken for data.
UNPACKED = ".original"
DATA_FOLDER = Path("data")  # where `foldwise data get` puts a set, below the current folder
FACTS = ("source", "title", "licence", "citation", "from", "got")  # of a record, for a paper


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


def get(name: str, folder: Path, *, local: Path | None = None, progress: Progress = silent) -> Path:
    """The folder with the data set `name`, laid out for foldwise: made whole or not at all, and only once.

    Args:
        folder: does not exist yet, is empty, or holds this data set already.
        local: a folder or an archive with the original, in place of a download; nothing in it is changed.

    Raises:
        SpecError: no such source; the folder holds something else; `local` does not exist.
        DataError: the download or the original is not what it should be.
        MissingExtra: a package or an account is needed.
        RunError: it cannot be written.
    """
    source = choose(SOURCES, name, "data source")
    if _holds(source, folder):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        cure = "Choose a folder that does not exist yet."
        raise SpecError(f"{folder} is not empty", where="--out", cure=cure)
    try:
        with folder_replaced(folder) as out:
            raw, provenance = _original(source, local, out / UNPACKED, progress)
            statements = source.convert(raw, out, progress)
            shutil.rmtree(out / UNPACKED, ignore_errors=True)
            record = {
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
                "files": _digests(out, progress),
            }
            write_json(out / RECORD, record)
    except OSError as error:
        problem = f"the data set cannot be written ({error.strerror or error})"
        cure = "Make room, or choose another place with --out. A download that is whole is kept."
        raise RunError(problem, where=str(folder), cure=cure) from None
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
        problem, cure = f"the folder holds {record['source']}, not {name}", "Name another folder with --out."
        raise SpecError(problem, where=str(folder), cure=cure)
    then, now = record["files"], _digests(folder, progress)
    return Verified(
        name,
        folder,
        len(then),
        hashlib.sha256("".join(f"{then[path]}  {path}\n" for path in sorted(then)).encode()).hexdigest(),
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
    if isinstance(record, dict) and {"source", "files", "local", "got", "original_sha256"} <= record.keys():
        return record
    problem, cure = "this is no record of a data source", "Get the data set again."
    raise RunError(problem, where=str(folder / RECORD), cure=cure)


def _holds(source: Source, folder: Path) -> bool:
    return (folder / RECORD).is_file() and bool(read_record(folder)["source"] == source.name)


def _original(
    source: Source, local: Path | None, unpacked: Path, progress: Progress
) -> tuple[Path, dict[str, Any]]:
    """The folder of the original, unpacked, and where it comes from."""
    copy = local
    if copy is None:
        from foldwise.data.public.download import fetch  # only fetching needs the network client

        copy = fetch(source.origin, cache_root() / "downloads" / source.shelf, progress)
    if not copy.exists():
        cure = f"Name a folder that holds {some(source.original)}, or an archive of it."
        raise SpecError(f"{copy} does not exist", where="--local" if local else None, cure=cure)
    if copy.is_dir():
        return copy, {"local": local is not None, "original_sha256": None}
    sha256 = digest_of_file(copy)
    if isinstance(source.origin, Web) and source.origin.sha256 not in {None, sha256}:
        problem = f"its SHA-256 is {sha256}, published is {source.origin.sha256}"
        cure = "It is damaged or another version: get it again. An unpacked folder is taken as it is."
        raise DataError(problem, where=str(copy), cure=cure)
    unpack(copy, unpacked, progress=progress)
    return unpacked, {"local": local is not None, "original_sha256": sha256}


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
        digests[path.relative_to(folder).as_posix()] = digest_of_file(path)
        progress("Checking files", done, len(paths))
    return digests


def with_source(study: Study, base: Path) -> Study:
    """The study with the folder of its public data set, and with the settings that it needs; others as they are.

    What the study states itself counts; the settings of the source fill in what it leaves out.

    Raises:
        SpecError: no such source, or `data.path` holds something else.
        DataError: the data set is not here; says its size, its licence, and the command that gets it.
        MissingExtra: nor is what getting it takes.
    """
    if study.data.source is None:
        return study
    source = choose(SOURCES, study.data.source, "data source", where="data.source")
    folder = _folder_of(source, study.data, base)
    if folder is None:
        raise _absent(source, _local(study.data, base))
    settings: dict[str, Any] = parse(source.study, name=source.name).value or {}
    data = _filled(study.data, settings.get("data", {}), path=str(folder))
    validation = _filled(study.validate_, settings.get("validate", {}))
    return study.model_copy(update={"data": data, "validate_": validation})


def fetch_source(study: Study, base: Path, *, progress: Progress) -> Path | None:
    """Get the public data set of a study that is not here yet, into data/<name>; None where nothing is to be got.

    Raises:
        FoldwiseError: as `get`, of which the local copy is at `data.path` where the study states it.
    """
    if study.data.source is None:
        return None
    source = choose(SOURCES, study.data.source, "data source", where="data.source")
    if _folder_of(source, study.data, base) is not None:
        return None
    return get(source.name, DATA_FOLDER / source.name, local=_local(study.data, base), progress=progress)


def source_facts(data: DataSpec) -> dict[str, str] | None:
    """What a paper must say of the public data set at `data.path`; None where the data are none."""
    if data.source is None or data.path is None:
        return None
    source, folder = SOURCES[data.source], Path(data.path)
    record = {"source": source.name, "from": source.where, **vars(source)}
    if (folder / RECORD).is_file():
        record = read_record(folder)
    return {key: str(record[key]) for key in FACTS if record.get(key)}


def _filled(part: DataSpec | Validation, settings: Mapping[str, Any], **replaced: Any) -> Any:
    """A part of the study with the settings that it does not state itself, and with those that are replaced."""
    stated = part.model_dump(mode="json", include=part.model_fields_set)
    return type(part).model_validate_json(json.dumps({**settings, **stated, **replaced}), strict=True)


def _local(data: DataSpec, base: Path) -> Path | None:
    return None if data.path is None else whole_path(data.path, base)


def _folder_of(source: Source, data: DataSpec, base: Path) -> Path | None:
    """The folder to read: the stated one where it can be read as it is, else where the set was got to."""
    local = _local(data, base)
    if local is not None and (original := _checked_copy(source, local)) is not None:
        return original
    folders = [DATA_FOLDER / source.name, base / DATA_FOLDER / source.name]
    return next((folder.resolve() for folder in folders if _holds(source, folder)), None)


def _checked_copy(source: Source, local: Path) -> Path | None:
    """The folder of a stated copy that can be read as it is; None where it must be laid out first."""
    if _holds(source, local):
        return local
    if local.is_file():
        return None
    if not local.is_dir():
        cure = f"Name the folder of your copy, or leave data.path out and: foldwise data get {source.name}"
        raise SpecError(f"there is nothing at {local}", where="data.path", cure=cure)
    try:
        root = find_root(local, source.original)
    except DataError as error:
        problem = f"{local} is no copy of {source.name}: {error.what}"
        cure = f"Name a copy, which holds {', '.join(source.original)}; for images of your own leave data.source out."
        raise SpecError(problem, where="data.path", cure=cure) from None
    return root if source.as_it_is else None


def _absent(source: Source, local: Path | None) -> DataError | MissingExtra:
    """That the data set must be got first: what it takes, and the command; of the kind that getting it would raise."""
    size = f"{source.size_mb:g} MB" if source.size_mb is not None else "its size is not known here"
    missing = "must be laid out first" if local else "is not here"
    cure = f"foldwise data get {source.name}" + (f" --local {local}" if local else "")
    by_hand = local is None and isinstance(source.origin, ByHand)
    cure += " --local FOLDER" if by_hand else "\n    or: foldwise run, which does it before it begins."
    if local is None:
        cure += _needs(source)
    problem = f"the data set {source.name} ({source.title}) {missing}; {size}; licence: {source.licence}"
    package = {Kaggle: "kagglehub", Cutouts: "intern"}.get(type(source.origin))
    lacks = local is None and (by_hand or (package is not None and find_spec(package) is None))
    return (MissingExtra if lacks else DataError)(problem, where="data.source", cure=cure)


def _needs(source: Source) -> str:
    """What is needed beside a connection."""
    match source.origin:
        case Kaggle(competition=competition, url=url):
            rules = f" that has accepted the rules at {url}" if competition else f" ({url})"
            return f"\n    It needs an account at Kaggle{rules}, and pip install 'foldwise[kaggle]'."
        case Cutouts():
            return "\n    It needs pip install 'foldwise[bossdb]'."
        case ByHand(how=how):
            return f"\n    It cannot be downloaded: {how}"
    return ""
