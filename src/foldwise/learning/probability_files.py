"""Probabilities of every pixel as a file beside the mask, which other programs read: OME-TIFF with the classes as channels, or npy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Any

import numpy as np
import tifffile

from foldwise.data.formats.pixels import PixelUm
from foldwise.errors import DataError, SpecError, choose
from foldwise.storage import write_array, written_whole
from foldwise.study.training import Task

FOLDER = "probabilities"
CLASSIC_BYTES = 2**32 - 2**25  # beyond which a TIFF needs 64-bit offsets
Rows = Callable[[int, np.ndarray], None]  # the first row, and probabilities (K, h, W) from there on


@dataclass(frozen=True)
class ProbabilityKind:
    """How probabilities are stored, as planes (K, H, W) in the order of the classes.

    Attributes:
        scale: what 1 is stored as.
        words: for a terminal.
    """

    suffix: str
    dtype: str
    scale: int
    words: str

    def stored(self, p: np.ndarray) -> np.ndarray:
        """Probabilities as the file has them."""
        return (
            p.astype(self.dtype)
            if self.scale == 1
            else np.rint(p * self.scale).clip(0, self.scale).astype(self.dtype)
        )

    def num_bytes(self, num_classes: int, size_hw: tuple[int, ...]) -> int:
        """Of an image, before it is compressed."""
        return num_classes * math.prod(size_hw) * np.dtype(self.dtype).itemsize


PROBABILITIES = {
    "uint16": ProbabilityKind(".ome.tif", "<u2", 65535, "whole numbers, 65,535 for 1"),
    "float32": ProbabilityKind(".ome.tif", "<f4", 1, "numbers from 0 to 1"),
    "npy": ProbabilityKind(".npy", "<f4", 1, "numbers from 0 to 1, (classes, height, width)"),
}


def kind_of(name: str | None, task: Task) -> ProbabilityKind | None:
    """The kind of that name.

    Raises:
        SpecError: there is none, or the model has no probabilities by pixel.
    """
    if name is None:
        return None
    kind = choose(PROBABILITIES, name, "kind of probabilities", where="--probabilities")
    if not task.endswith("segmentation"):
        what = "files of probabilities go with masks, and this model says one thing of an image"
        cure = "Leave it out; predictions.csv has the probability of every class."
        raise SpecError(what, where="--probabilities", cure=cure)
    return kind


def write_probabilities(
    path: Path,
    kind: ProbabilityKind,
    p_Khw: np.ndarray,
    classes: Sequence[str],
    pixel_um: PixelUm | None = None,
) -> None:
    """The file of an image whose probabilities are all there, whole; a TIFF is compressed."""
    stored = kind.stored(p_Khw)
    with written_whole(path, durable=False) as scratch:
        if kind.suffix == ".npy":
            write_array(scratch, stored)
        else:
            tifffile.imwrite(
                scratch, stored, compression="zlib", **_tags(kind, stored.shape, classes, pixel_um)
            )


@contextmanager
def rows_kept(
    path: Path | None,
    kind: ProbabilityKind | None,
    classes: Sequence[str],
    size_hw: tuple[int, int],
    pixel_um: PixelUm | None = None,
) -> Iterator[Rows]:
    """Takes the probabilities of a large image as they come, and writes them where they belong; nothing where no `kind` is.

    The file is not compressed, as planes are written at the same time, and there only when it is whole.

    Raises:
        DataError: the disk has not so much room.
    """
    if path is None or kind is None:
        yield lambda *_: None
        return
    shape = (len(classes), *size_hw)
    _refuse_full_disk(path, kind.num_bytes(len(classes), size_hw))
    with written_whole(path) as scratch:
        begin = _laid_out(scratch, kind, shape, classes, pixel_um)
        with scratch.open("r+b") as file:

            def write(top: int, p_Khw: np.ndarray) -> None:
                for plane, stored_hW in enumerate(kind.stored(p_Khw)):
                    first = (plane * shape[1] + top) * shape[2]
                    file.seek(begin + first * stored_hW.itemsize)
                    file.write(np.ascontiguousarray(stored_hW).data)

            yield write


def _laid_out(
    path: Path,
    kind: ProbabilityKind,
    shape: tuple[int, ...],
    classes: Sequence[str],
    pixel_um: PixelUm | None,
) -> int:
    """Write a file of this shape without its values; where in it they begin."""
    if kind.suffix == ".npy":
        with path.open("wb") as file:
            header = {"descr": kind.dtype, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            begin = file.tell()
            file.truncate(begin + kind.num_bytes(shape[0], shape[1:]))
            return begin
    tifffile.imwrite(path, shape=shape, dtype=kind.dtype, **_tags(kind, shape, classes, pixel_um))
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.series[0].dataoffset
    assert offset is not None  # planes that are not compressed lie one after the other
    return int(offset)


def _tags(
    kind: ProbabilityKind, shape: tuple[int, ...], classes: Sequence[str], pixel_um: PixelUm | None
) -> dict[str, Any]:
    """Of an OME-TIFF whose channels have the names of the classes, and whose pixels have their size."""
    # What XML has no letter for is a space.
    names = ["".join(letter if letter.isprintable() else " " for letter in name) for name in classes]
    large = kind.num_bytes(shape[0], shape[1:]) > CLASSIC_BYTES
    metadata: dict[str, Any] = {"axes": "CYX", "Channel": {"Name": names}}
    for side, size in zip("YX", pixel_um or (), strict=False):
        metadata |= {f"PhysicalSize{side}": size, f"PhysicalSize{side}Unit": "µm"}
    return {
        "ome": True,
        "photometric": "minisblack",
        "metadata": metadata,
        "bigtiff": large,
        "byteorder": "<",
    }


def _refuse_full_disk(path: Path, needed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    free = disk_usage(path.parent).free
    if needed > free:
        what = f"its probabilities take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} are free on the disk"
        cure = "Write them to another disk with --out, as uint16, or leave --probabilities out."
        raise DataError(what, cure=cure)
