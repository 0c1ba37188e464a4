"""The packed data set: every image decoded once, memory-mapped, addressed by its content, shared by studies."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from foldwise.data.cache.measures import Measure as Measure
from foldwise.data.cache.measures import measures_saved
from foldwise.data.cache.unused import used
from foldwise.errors import RunError, SpecError
from foldwise.foreign import checked_id
from foldwise.resources import usable
from foldwise.sealed import Damaged, check_sizes, damaged, decoding, read_record, verified
from foldwise.sealed_arrays import read_array
from foldwise.storage import cache_root
from foldwise.study.training import Task

PACK_VERSION = 2  # raised when the same files would be packed differently
INDEX, IMAGES, TARGETS = "index.json", "images.bin", "targets.bin"
SUMS = "sums.npy"  # (2, n) CRC-32 of every image and of every mask, 0 where there is none


def open_packed(digest: str) -> Packed:
    """The packed data set of a digest; RunError where the cache does not hold it whole."""
    return Packed(used(packed_folder(digest)))


def packed_folder(digest: str) -> Path:
    """Where the packed data set of a digest is, or would be."""
    return cache_root() / "packed" / checked_id(digest, "data set")


class Packed:
    """A packed data set, read-only.

    Attributes:
        digest: names the content; the name of `folder`.
        num_channels, dtype: the same for all images: uint8, uint16 or float32.
        shapes: (n, 2) int64: height and width of every image.
        labels: (n,) int64 class indices; multilabel (n, K) uint8; segmentation: empty.
    """

    cache = "disk"  # where the pixels come from each time they are asked for

    def __init__(self, folder: Path) -> None:
        self.folder, self.digest = folder, folder.name
        if not (folder / INDEX).is_file():
            problem = f"the packed images {self.digest} are not in the cache"
            cure = "Run foldwise check STUDY: it packs them again. (FOLDWISE_CACHE must be the same as then.)"
            raise Damaged(problem, where=str(folder / INDEX), cure=cure)
        index, seals = read_record(folder / INDEX)
        check_sizes(folder / INDEX, seals)
        with decoding(folder / INDEX):
            if index["version"] != PACK_VERSION or not seals:
                raise ValueError("written by another version")
            self.shapes: np.ndarray = read_array(folder / "shapes.npy")
            self.labels: np.ndarray = read_array(folder / "labels.npy")
            self._sums: np.ndarray = read_array(folder / SUMS)
            self._compared = np.zeros(self._sums.shape, bool)
            self.task: Task = index["task"]
            self.classes: tuple[str, ...] = tuple(index["classes"])
            self.num_channels: int = index["channels"]
            self.dtype = np.dtype(index["dtype"])
            areas = self.shapes.prod(1)
            self._starts = np.concatenate([[0], np.cumsum(areas)])
            self._images = self._mapped(IMAGES, self.dtype, self.num_channels * int(areas.sum()))
            segmented = self.task.endswith("segmentation")
            self._targets = self._mapped(TARGETS, np.dtype(np.uint8), int(areas.sum())) if segmented else None
            if len(areas) and (self.shapes == self.shapes[0]).all():
                self._images = self._images.reshape(len(areas), self.num_channels, *self.shapes[0])
                self._targets = (
                    None if self._targets is None else self._targets.reshape(len(areas), *self.shapes[0])
                )

    def _mapped(self, name: str, dtype: np.dtype, count: int) -> np.ndarray:
        path = self.folder / name
        # A full disk or a cut copy shows in the length. The bytes of each image are compared when it is first read: all
        # of them would cost reading them at every start.
        if path.stat().st_size != count * dtype.itemsize:
            size = f"it has {path.stat().st_size} bytes, not {count * dtype.itemsize}"
            raise damaged(path, f"the file is damaged: {size}")
        # As a plain array: a part of a memmap takes five times as long, and batches are made of many.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(count,)))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.shapes)

    @property
    def is_square(self) -> bool:
        """Whether all images are, so that they may be turned by 90°."""
        return bool((self.shapes[:, 0] == self.shapes[:, 1]).all())

    @property
    def num_bytes(self) -> int:
        """Of all decoded images and masks."""
        per_pixel = self.num_channels * self.dtype.itemsize + (self._targets is not None)
        return int(self.shapes.prod(1).sum() * per_pixel)

    def image(self, index: int) -> np.ndarray:
        """Image `index` as (C, H, W), a read-only view of the file."""
        if self._images.ndim == 4:
            return self._intact(IMAGES, index, self._images[index])
        height, width = self.shapes[index]
        start, stop = self._starts[index] * self.num_channels, self._starts[index + 1] * self.num_channels
        values = self._intact(IMAGES, index, self._images[start:stop])
        return values.reshape(self.num_channels, height, width)

    def target(self, index: int) -> np.ndarray:
        """The class map (H, W) uint8 of image `index`, 255 where pixels do not count; segmentation only."""
        if self._targets is None:
            raise RunError(
                f"a {self.task} set has no masks",
                where=str(self.folder),
                cure="Please report it with this message.",
            )
        if self._targets.ndim == 3:
            return self._intact(TARGETS, index, self._targets[index])
        height, width = self.shapes[index]
        values = self._targets[self._starts[index] : self._starts[index + 1]]
        return self._intact(TARGETS, index, values).reshape(height, width)

    def _intact(self, name: str, index: int, values: np.ndarray) -> np.ndarray:
        """`values`, which are those that were packed; compared once, when they come from the disk anyway.

        Raises:
            Damaged: they are others.
        """
        row = (IMAGES, TARGETS).index(name)
        if not self._compared[row, index]:
            if zlib.crc32(values.data) != self._sums[row, index]:
                what = f"the file is damaged: its image {index} is not what was decoded"
                raise damaged(self.folder / name, what)
            self._compared[row, index] = True
        return values

    @cached_property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured on every image, in order."""
        path = self.folder / "measures.json"
        with decoding(path):
            return measures_saved(verified(path).read_bytes())

    def channel_stats(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (C,) float32 over all pixels of the images at `indices`."""
        # Images are weighted by their pixels: the moments are of all pixels of a part, not a mean over images.
        weights = self.shapes[indices].prod(1).astype(np.float64)[:, None]
        mean_C = (self._moments[0][indices] * weights).sum(0) / weights.sum()
        square_C = (self._moments[1][indices] * weights).sum(0) / weights.sum()
        std_C = np.sqrt(np.maximum(square_C - mean_C**2, 0))
        return mean_C.astype(np.float32), std_C.astype(np.float32)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([m.mean for m in self.measures]), np.array([m.square_mean for m in self.measures])


class Remembered(Packed):
    """A packed data set that keeps every image that was read in memory, by the index of its case.

    Never by its row in a batch: batches are shuffled.
    """

    cache = "memory"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._images_by_index: dict[int, np.ndarray] = {}
        self._targets_by_index: dict[int, np.ndarray] = {}

    def image(self, index: int) -> np.ndarray:
        """Image `index` as (C, H, W), read-only."""
        return _remembered(self._images_by_index, index, super().image)

    def target(self, index: int) -> np.ndarray:
        """The class map (H, W) uint8 of image `index`; segmentation only."""
        return _remembered(self._targets_by_index, index, super().target)

    @property
    def num_in_memory(self) -> int:
        """How many images are in memory by now."""
        return len(self._images_by_index)


def _remembered(arrays: dict[int, np.ndarray], index: int, read: Callable[[int], np.ndarray]) -> np.ndarray:
    if index not in arrays:
        copy = np.array(read(index))  # the system may drop pages of the map from memory again
        copy.flags.writeable = False
        arrays[index] = copy
    return arrays[index]


def check_room(packed: Packed) -> None:
    """Refuse to cache a data set in memory that does not fit there.

    Raises:
        SpecError: says how large it is and how much is free.
    """
    # Asked before anything is trained: what does not fit would be met in the middle of a fit.
    free = usable().free
    if packed.num_bytes > free:
        raise SpecError(
            f"the decoded images take {packed.num_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free",
            where="train.cache",
            cure="State cache: disk; it is as fast where the system keeps the file in memory.",
        )
