"""What is predicted already: a line for each image, and rows of a large one, so that predicting goes on where it was stopped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.data.formats.pixels import Step
from foldwise.data.formats.reading import channel_files
from foldwise.learning.checkpoints.unfinished import read_unfinished, write_unfinished
from foldwise.learning.networks.tiles import Carried
from foldwise.storage import written_whole

JOURNAL, UNFINISHED = "progress.jsonl", "unfinished"
PARTS, PART = "tiles", "band-{}"  # in the folder of an image that is not finished


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

    def unfinished(self, name: str, digest: str) -> Path:
        """The folder for what is done of a large image with this content."""
        return self._out / UNFINISHED / sha256("\0".join((self._key, name, digest)).encode()).hexdigest()[:16]

    def forget_unfinished(self) -> None:
        """Delete what is there of images that are not finished: all that can be are."""
        rmtree(self._out / UNFINISHED, ignore_errors=True)

    def note(self, name: str, digest: str, doing: str) -> None:
        """Write down what is being done of an image, for who looks into the file; the next start drops it."""
        self._write({"key": self._key, "image": name, "digest": digest, "doing": doing})

    def add(self, name: str, digest: str, answered: Answered) -> None:
        """Write down that an image is done; its pictures are there."""
        self._write({"key": self._key, "image": name, "digest": digest, **asdict(answered)})

    def _write(self, entry: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


@dataclass(frozen=True)
class Band:
    """Some rows of the mask of a large image.

    Attributes:
        top: the first row.
        labels_hW: uint8.
        sure: the sum of the probabilities of what is drawn.
        p_Khw: probabilities, where they are to be written.
    """

    top: int
    labels_hW: np.ndarray
    sure: float
    p_Khw: Tensor | None = None


class Unfinished:
    """What is done of a large image: its bands, and what its last row of tiles leaves to the next; nothing without a folder.

    A band is believed only up to where the tiles are: what is damaged begins anew.
    """

    def __init__(self, folder: Path | None, *, with_p: bool) -> None:
        self._folder, self._with_p, self._num = folder, with_p, 0

    def begun(self, side_px: int) -> Carried | None:
        """Where to go on with tiles of this side; None at the top."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            record, state = read_unfinished(self._folder / PARTS)
            if record["side_px"] != side_px:
                return None
            position = record["position"]
            for number in range(position["step"]):  # each by itself: all would not fit into memory
                self._read(number)
            self._num = position["step"]
            return Carried(position["epoch"], record["first"], *state)
        except (OSError, ValueError, LookupError, TypeError, zlib.error):
            return None

    def bands(self) -> Iterator[Band]:
        """Those that are done; call `begun` first."""
        yield from map(self._read, range(self._num))

    def kept(self, top: int, p_Khw: Tensor) -> Band:
        """The band of these probabilities, which is kept for the next time."""
        labels, p = p_Khw.argmax(0).to(torch.uint8), p_Khw if self._with_p else None
        band = Band(top, labels.numpy(), float(p_Khw.amax(0).sum(dtype=torch.float64)), p)
        if self._folder is not None:
            packed = torch.frombuffer(
                bytearray(zlib.compress(band.labels_hW.tobytes(), 1)), dtype=torch.uint8
            )
            record = {"position": _position(0, top), "sure": band.sure, "shape": list(labels.shape)}
            write_unfinished(self._folder / PART.format(self._num), record, (packed, p))
            self._num += 1
        return band

    def carry(self, carried: Carried, *, side_px: int) -> None:
        """Write down that all bands up to here are done."""
        if self._folder is not None:
            position = _position(carried.rows, self._num)
            record = {"position": position, "first": carried.first, "side_px": side_px}
            write_unfinished(self._folder / PARTS, record, (carried.total, carried.weight))

    def _read(self, number: int) -> Band:
        assert self._folder is not None
        record, (packed, p) = read_unfinished(self._folder / PART.format(number))
        labels = np.frombuffer(zlib.decompress(packed.numpy().tobytes()), np.uint8)
        return Band(record["position"]["step"], labels.reshape(record["shape"]), record["sure"], p)


def _position(rows: int, within: int) -> dict[str, int]:
    """Where an image is, as checkpoints state it: rows of tiles that are done, and bands, or the row of pixels."""
    return {"epoch": rows, "step": within}


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
