"""Digests of files and of packed data sets: equal content has one name, wherever and under what names it lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from foldwise.data.cache.packed import PACK_VERSION
from foldwise.data.cases import Dataset
from foldwise.data.formats.formats import open_stack
from foldwise.data.formats.reading import channel_files, split_slice
from foldwise.errors import DataError, limited
from foldwise.study.spec import DataSpec


def file_digests(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of every image and mask file, or slice of a stack, by its location.

    Raises:
        DataError: files cannot be read; all at once.
    """
    digests: dict[str, str] = {}
    errors = []
    for location in (name for case in dataset.cases for name in (case.image, case.mask) if name is not None):
        try:
            digests[location] = _digest_of(dataset.root, location)
        except OSError as error:
            errors.append(
                DataError(
                    f"the file cannot be read ({error.strerror})",
                    where=location,
                    cure="Check that it is there and may be read.",
                )
            )
    if errors:
        raise limited(errors)
    return digests


def _digest_of(root: Path, location: str) -> str:
    parts = channel_files(location)
    if len(parts) > 1:
        digests = "".join(_digest_of(root, part) for part in parts)
        return hashlib.sha256(f"channels {digests}".encode()).hexdigest()
    name, index = split_slice(location)
    path = root / name
    # Of the values and not of the file: slices of a stack that is saved anew, or grows, keep their digests.
    if index is not None:
        array = np.ascontiguousarray(open_stack(path)[index])
        return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()
    if path.is_dir():  # an image that is a folder: all its files, by their names
        files = sorted(file for file in path.rglob("*") if file.is_file())
        listed = [(file.relative_to(path).as_posix(), _file_digest(file)) for file in files]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return _file_digest(path)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack_digest(dataset: Dataset, data: DataSpec, files: dict[str, str]) -> str:
    """Thirty-two digits that change when, and only when, the packed folder would."""
    # The words do not count: which file is which channel stands in the digests of the files.
    channels = data.channels if isinstance(data.channels, str) else len(data.channels)
    values = sorted((str(key), k) for key, k in (dataset.mask_values or {}).items())
    cases = [(files[c.image], files[c.mask] if c.mask else None, c.labels) for c in dataset.cases]
    content = [PACK_VERSION, dataset.task, dataset.classes, channels, data.size, values, cases]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
