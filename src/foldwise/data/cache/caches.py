"""Where the pixels of a packed data set come from: the memory map, memory, or their files, decoded anew each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from foldwise.data.cache.decoding import read_image, sized_image, sized_target
from foldwise.data.cache.packed import Packed, Remembered, open_packed
from foldwise.data.cases import Dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.spec import DataSpec


class FromFiles(Packed):
    """A packed data set whose images are read and decoded from their files each time, as a plain script does.

    `dataset` and `data` say where the files are and how they were read when they were packed.
    """

    cache = "none"

    def __init__(self, folder: Path, dataset: Dataset, data: DataSpec) -> None:
        super().__init__(folder)
        # Every read decodes anew, masks too: that is what this cache measures.
        self.dataset, self.data = replace(dataset, decoded_masks=None), data
        self._checked: set[tuple[str, int]] = set()
        if len(dataset.cases) != len(self):
            raise _changed(f"there are {len(dataset.cases)} images, and {len(self)} were packed", None)

    def image(self, index: int) -> np.ndarray:
        """Image `index` as (C, H, W), decoded now.

        Raises:
            DataError: its file is not what it was when it was packed.
        """
        case = self.dataset.cases[index]
        _, image = read_image(self.dataset, case, self.data)
        image = sized_image(image, self.data)
        self._check("image", index, image, super().image)
        return image

    def target(self, index: int) -> np.ndarray:
        """The class map (H, W) uint8 of image `index`, decoded now; segmentation only.

        Raises:
            DataError: its file is not what it was when it was packed.
        """
        measure = self.measures[index]
        original = (measure.original_height, measure.original_width)
        target = sized_target(self.dataset, self.dataset.cases[index], self.data, original)
        self._check("mask", index, target, super().target)
        return target

    def _check(self, kind: str, index: int, decoded: np.ndarray, packed: Callable[[int], np.ndarray]) -> None:
        """Compare with what was packed, once: the scores of all three ways are the same, or there are none."""
        if (kind, index) in self._checked:
            return
        # Each image once: afterwards a comparison would be a second read of what is measured as the plain way.
        saved = packed(index)
        if decoded.dtype != saved.dtype or not np.array_equal(
            decoded, saved, equal_nan=decoded.dtype.kind == "f"
        ):
            case = self.dataset.cases[index]
            where = case.mask if kind == "mask" else case.image
            raise _changed(f"the {kind} has changed since it was packed", where)
        self._checked.add((kind, index))


def _changed(change: str, where: str | None) -> DataError:
    return DataError(change, where=where, cure="Run the study again: it packs the images as they are now.")


def open_cached(digest: str, cache: str, files: Callable[[], tuple[Dataset, DataSpec]]) -> Packed:
    """The packed data set of a digest, with its pixels from where `cache` says: disk, memory or none.

    Where the files are is asked of `files`, for ``none`` only.

    Raises:
        RunError: the packed data set is not there.
        SpecError: it is to be cached in memory, and is larger than what is free.
        DataError: its files differ from those that were packed.
    """
    packed = open_packed(digest)
    if cache == "none":
        return FromFiles(packed.folder, *files())
    if cache == "memory":
        check_room(packed)
        return Remembered(packed.folder)
    return packed


def check_room(packed: Packed) -> None:
    """Refuse to cache a data set in memory that does not fit there.

    Raises:
        SpecError: says how large it is and how much is free.
    """
    # Asked before anything is trained: what does not fit would be met in the middle of a fit.
    free = psutil.virtual_memory().available
    if packed.num_bytes > free:
        raise SpecError(
            f"the decoded images take {packed.num_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free",
            where="train.cache",
            cure="State cache: disk; it is as fast where the system keeps the file in memory.",
        )
