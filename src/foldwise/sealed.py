"""Reading what foldwise wrote: one reader for every kind of file, none of which believes a file before it is compared.

A folder of a run has a record: the ``result.json`` of an item, the ``plan.json`` of a run, the ``model.json`` of a
winner. It states the size and the digest of every file beside it, and the digest of its own other bytes. Files of
folders whose record states none, as older versions wrote them, are read as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple

from foldwise.csv_cells import read_rows
from foldwise.errors import FoldwiseError, RunError
from foldwise.foreign import is_file_name
from foldwise.processes import collecting_later
from foldwise.storage import as_json, is_foreign, written_whole

HEAD, HEX = b'{\n "digest": "', 64  # how a record begins, and the digits that follow
AGAIN = "Run the study again: foldwise run writes it anew, and what is done stays done."
# By the name of the record, how damage to it and to what it states is mended.
CURES = {
    "result.json": "Run the study again: foldwise run puts this item away, does it once more and keeps all others. "
    "(By hand: delete its folder.)",
    "plan.json": AGAIN,
    "judged.json": "foldwise report RUN judges again what is done, and writes it anew.",
    "set.json": AGAIN,
    "index.json": "Run foldwise check STUDY: it packs the images again.",
    "export.json": "foldwise export RUN writes it anew.",
    "model.json": "foldwise report RUN lays the winner of a run out anew; a model from elsewhere is to be copied again.",
}
NO_RECORD = "Run the study again, or copy the file again."
CANNOT_BE_READ = (
    "Check that the disk is there and that the file may be read; nothing is wrong with the study."
)


class Damaged(RunError):
    """A file that foldwise wrote is gone, or is not what was written; `where` is its path."""


class Seal(NamedTuple):
    """What a record states of a file."""

    size: int
    sha256: str


def seal(record: Path, value: Mapping[str, Any], files: Iterable[Path], *, durable: bool = True) -> None:
    """Write `value` as a record, whole or not at all, with the sizes and digests of `files`, which lie beside it.

    Args:
        durable: whether it outlives a power cut at once; else whoever asked for it syncs it.
    """
    seals = {path.name: _sealed(path) for path in sorted(files)}
    body = {"digest": ""} | {**as_json(value), "files": seals}
    text = json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with written_whole(record, durable=durable) as scratch:
        scratch.write_bytes(HEAD + sha256(text).hexdigest().encode() + text[len(HEAD) :])


def seal_folder(record: Path, value: Mapping[str, Any] | None = None) -> None:
    """Write a record that states what all files beside it are; whoever moves the folder syncs it.

    Args:
        value: what else it says; what the JSON file in its place says, by default.
    """
    value = json.loads(record.read_bytes()) if value is None else value
    seal(record, value, (path for path in record.parent.iterdir() if _is_own(path, record)), durable=False)


def _is_own(path: Path, record: Path) -> bool:
    return path.is_file() and path.name != record.name and not is_foreign(path.name)


def _sealed(path: Path) -> Seal:
    with path.open("rb") as file:
        return Seal(os.fstat(file.fileno()).st_size, file_digest(file, "sha256").hexdigest())


def digest_of_folder(folder: Path) -> str:
    """One digest of all files below a folder, by their names; foreign ones do not count."""
    digest = sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(map(is_foreign, path.relative_to(folder).parts)):
            digest.update(f"{path.relative_to(folder).as_posix()} {_sealed(path).sha256}\n".encode())
    return digest.hexdigest()


def verified(path: Path) -> Path:
    """`path`, whose bytes are those that were sealed; each file is compared once in a process, and again if it changes.

    Raises:
        Damaged: it is gone, or its size or its digest is another.
    """
    if (sealed := stated(path)[1]) is not None:
        _compare(path, sealed, fully=True)
    return path


def check_sizes(record: Path, seals: Mapping[str, Seal]) -> None:
    """Refuse a folder of which a file is gone, or longer or shorter than it was; that costs one look at each.

    Raises:
        Damaged: names the first such file.
    """
    inside = str(record.parent)
    for name, sealed in seals.items():
        # By plain text: for the files of 20,000 items, paths as objects take as long as all the rest.
        with suppress(OSError):
            if os.stat(f"{inside}{os.sep}{name}").st_size == sealed.size:
                continue
        _compare(record.parent / name, sealed, fully=False)


def _compare(path: Path, sealed: Seal, *, fully: bool) -> None:
    try:
        about = path.stat()
    except FileNotFoundError:
        raise damaged(path, "the file is gone") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if about.st_size != sealed.size:
        raise damaged(
            path, f"the file is damaged: it has {about.st_size} bytes, and {sealed.size} were written"
        )
    if fully and _digest(path, _version(about)) != sealed.sha256:
        raise damaged(path, "the file is damaged: its bytes are not those that were written")


def _version(about: os.stat_result) -> tuple[int, ...]:
    """What is another once a file is written anew."""
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns


# The version is an argument only so that a file that changed is read anew.
@lru_cache(maxsize=200_000)
def _digest(path: Path, version: tuple[int, ...]) -> str:
    try:
        return _sealed(path).sha256
    except OSError as error:
        raise unreadable(path, error) from None


def read_record(record: Path) -> tuple[dict[str, Any], dict[str, Seal]]:
    """The value of a record and what it states of the files beside it, none where it is not sealed; not to be changed.

    Raises:
        Damaged: it is gone, or is not what was written.
    """
    with decoding(record), collecting_later():
        return _record(record, _version(record.stat()))


@lru_cache(maxsize=100_000)
def _record(record: Path, version: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, Seal]]:
    # Committed results never change, and every worker asks for all of them twice a second.
    value = _value(record)
    if not isinstance(value, dict):
        raise damaged(record, "the file is damaged: it is no record")
    seals = {name: Seal(*stated) for name, stated in value.pop("files", {}).items()}
    if strange := [name for name in seals if not is_file_name(name)]:
        raise damaged(record, f"it states what {strange[0]!r:.80} is, which is no file beside it")
    return value, seals


def texts_of(record: str, keys: Iterable[str]) -> dict[str, str | None] | None:
    """Texts that a record has under these keys, and None for one it has not; without decoding what else it says.

    In JSON of ours no text goes over a line, and only keys of the record itself have one space before them. Of thousands
    of records that is all that can be looked at in a second. None where anything, also the size of a file beside it, is
    not just as it was written: `read_record` says what.
    """
    try:
        with open(record, "rb", buffering=0) as file:
            data = file.read()
        if not data.startswith(HEAD) or not _has_own_digest(data):
            return None
        texts: dict[str, str | None] = {}
        for key in keys:
            _, key_there, after = data.partition(b'\n "%s": ' % key.encode())
            texts[key] = json.loads(after.partition(b"\n")[0].rstrip(b",")) if key_there else None
        files = data.partition(b'\n "files": ')[2].decode()
        beside = json.JSONDecoder().raw_decode(files)[0].items()
        folder = record.rpartition(os.sep)[0]
        sizes = (os.stat(f"{folder}{os.sep}{name}").st_size == seal[0] for name, seal in beside)
        return texts if all(is_file_name(name) for name, _ in beside) and all(sizes) else None
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return None


def _has_own_digest(data: bytes) -> bool:
    start, stop = len(HEAD), len(HEAD) + HEX
    (digest := sha256(HEAD)).update(memoryview(data)[stop:])
    return digest.hexdigest().encode() == data[start:stop]


def _value(path: Path) -> Any:
    """What a JSON file says, without its digest, which was compared."""
    data = path.read_bytes()
    if data.startswith(HEAD) and not _has_own_digest(data):
        raise damaged(path, "the file is damaged: its bytes are not those that were written")
    value = json.loads(data)
    if data.startswith(HEAD):
        del value["digest"]
    return value


def stated(path: Path) -> tuple[Path | None, Seal | None]:
    """The record that states what a file is, itself for a record, and what it states of another; None where nothing is.

    Raises:
        Damaged: no record states it, and one beside it is damaged.
    """
    broken = None
    for record in _records_beside(path):
        try:
            if record.name != path.name and (sealed := read_record(record)[1].get(path.name)):
                return record, sealed
        except Damaged as damage:
            broken = broken or damage
    if path.name in CURES and (not broken or _has_digest(path)):
        return path, None
    if broken:
        raise broken
    return None, None


def _has_digest(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(len(HEAD)) == HEAD
    return False


def _records_beside(path: Path) -> Iterator[Path]:
    return (record for name in CURES if (record := path.parent / name).is_file())


def damaged(path: Path, what: str) -> Damaged:
    """The error for a file that is not what was written, with what mends it where it lies."""
    record = None
    with suppress(RunError):  # the record is damaged as well
        record, _ = stated(path)
    record = record or next(_records_beside(path), path)
    return Damaged(what, where=str(path), cure=CURES.get(record.name, NO_RECORD))


def unreadable(path: Path, error: OSError) -> RunError:
    """The error for a file that the operating system does not give."""
    what = f"the file cannot be read ({error.strerror or error})"
    return RunError(what, where=str(path), cure=CANNOT_BE_READ)


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Within it, whatever a reader meets in a file becomes an error that names the file and what mends it.

    Raises:
        Damaged: the file is gone, or its bytes are none of its kind.
        RunError: the operating system does not give it.
    """
    try:
        yield
    except (FoldwiseError, MemoryError):
        raise
    except FileNotFoundError:
        raise damaged(path, "the file is gone") from None
    except OSError as error:
        if error.errno is not None:
            raise unreadable(path, error) from None
        raise damaged(path, f"the file is damaged: {_cannot_be_read(path)}") from None
    # Zip, JSON, NumPy and safetensors raise whatever they meet in broken bytes, each errors of its own. Their texts are
    # left out: some tell how a file could be read that must not be.
    except Exception as error:
        what = f"the file is damaged: {_cannot_be_read(path)} ({type(error).__name__})"
        raise damaged(path, what) from None


def _cannot_be_read(path: Path) -> str:
    return f"it cannot be read as {path.suffix.removeprefix('.') or 'text'}"


def read_json(path: Path) -> Any:
    """The value of a JSON file that foldwise wrote, without the digests of a record.

    Raises:
        RunError: it is gone, damaged or may not be read.
    """
    with decoding(path):
        value = _value(verified(path))
        if isinstance(value, dict) and path.name in CURES:
            value.pop("files", None)
        return value


def read_text(path: Path) -> str:
    """The text of a file that foldwise wrote.

    Raises:
        RunError: it is gone, damaged or may not be read.
    """
    with decoding(path):
        return verified(path).read_text(encoding="utf-8")


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that foldwise wrote, by the names in its header.

    Raises:
        RunError: it is gone, damaged or may not be read.
    """
    with decoding(path), verified(path).open(newline="", encoding="utf-8") as file:
        return read_rows(file)
