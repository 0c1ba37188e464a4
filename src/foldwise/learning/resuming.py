"""What is predicted already: a line for each image, so that predicting goes on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from foldwise.data.formats.pixels import Step
from foldwise.data.formats.reading import channel_files
from foldwise.storage import written_whole

JOURNAL = "progress.jsonl"


@dataclass(frozen=True)
class Answered:
    """What the tables say of one image.

    Attributes:
        row: its cells in ``predictions.csv``.
        warnings: why not to rely on it.
        labels: indices of the classes that are said; none of a segmentation.
        steps: what decoding did to it.
        files: what was written of it, below the folder of the predictions.
    """

    row: tuple[str, ...]
    warnings: tuple[str, ...]
    labels: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    files: tuple[str, ...] = ()


class Journal:
    """The images that one model with one set of settings has answered about, in the folder of their predictions."""

    def __init__(self, out: Path, key: str) -> None:
        """Read what is there; lines of other models and settings, and one that was not written whole, are dropped."""
        self._path, self._key = out / JOURNAL, key
        self._answers: dict[tuple[str, str], Answered] = {}
        lines = []
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else ():
            try:
                entry = json.loads(line)
                if entry.pop("key") != key:
                    continue
                image = entry.pop("image"), entry.pop("digest")
                self._answers[image] = _answered(entry)
            except (ValueError, LookupError, TypeError, AttributeError):
                continue
            lines.append(line)
        with written_whole(self._path, durable=False) as scratch:
            scratch.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._out = out

    def answer(self, name: str, digest: str, files: Sequence[str]) -> Answered | None:
        """What was said of an image with this content, whose pictures are still there; else None."""
        answer = self._answers.get((name, digest))
        if answer is None or list(answer.files) != list(files):
            return None
        return answer if all((self._out / file).is_file() for file in files) else None

    def add(self, name: str, digest: str, answered: Answered) -> None:
        """Write down that an image is done; its pictures are there."""
        entry = {"key": self._key, "image": name, "digest": digest, **asdict(answered)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _answered(entry: Mapping[str, Any]) -> Answered:
    steps = tuple(Step(str(step["kind"]), str(step["detail"])) for step in entry["steps"])
    texts = (tuple(map(str, entry[name])) for name in ("row", "warnings", "files"))
    row, warnings, files = texts
    return Answered(row, warnings, tuple(map(int, entry["labels"])), steps, files)


def image_digest(root: Path, location: str) -> str:
    """That of the files of an image; empty where one cannot be read, which is said when it is decoded."""
    digests = []
    names = channel_files(location)
    if (root / location).is_dir():  # an OME-Zarr image
        below = sorted(path for path in (root / location).rglob("*") if path.is_file())
        names = [path.relative_to(root).as_posix() for path in below]
        digests = [sha256("\0".join(names).encode()).hexdigest()]
    for name in names:
        try:
            with (root / name).open("rb") as file:
                digests.append(file_digest(file, "sha256").hexdigest())
        except OSError:
            return ""
    return sha256("".join(digests).encode()).hexdigest()[:16] if len(digests) > 1 else digests[0][:16]
