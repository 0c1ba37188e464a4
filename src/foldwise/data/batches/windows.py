"""Windows of images as one array, cut on the host or on the device that trains, where all images may stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from foldwise.study.spec import IGNORE

if TYPE_CHECKING:
    from foldwise.data.batches.normalize import Normalization
    from foldwise.data.cache.packed import Packed

MAX_SHARE = 0.5  # of the memory that is free on the device: training wants the rest

Bounds = tuple[int, int, int, int]  # top, bottom, left, right


def cut(
    pictures_CHW: Sequence[np.ndarray], corners_N2: np.ndarray, size_hw: tuple[int, int], fill: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Windows of pictures as one array (N, C, h, w), and where (N, h, w) they hold picture; None: everywhere."""
    height, width = size_hw
    first = pictures_CHW[0]
    # 16-bit integers are rare in torch; 8-bit ones stay small until they are on the device.
    dtype = np.uint8 if first.dtype == np.uint8 else np.float32
    overlaps = _overlaps([picture.shape for picture in pictures_CHW], corners_N2, size_hw)
    full = _is_full(overlaps, size_hw)
    shape = (len(pictures_CHW), len(first), height, width)
    windows = np.empty(shape, dtype) if full else np.full(shape, fill, dtype)
    inside = None if full else np.zeros((len(pictures_CHW), height, width), np.bool_)
    for row, (picture, (to, source)) in enumerate(zip(pictures_CHW, overlaps, strict=True)):
        windows[row, :, to[0] : to[1], to[2] : to[3]] = picture[
            :, source[0] : source[1], source[2] : source[3]
        ]
        if inside is not None:
            inside[row, to[0] : to[1], to[2] : to[3]] = True
    return windows, inside


def cut_on_device(
    pictures_CHW: Sequence[Tensor], corners_N2: np.ndarray, size_hw: tuple[int, int], fill: int = 0
) -> tuple[Tensor, Tensor | None]:
    """The same as `cut`, of tensors on the device where they are."""
    overlaps = _overlaps([tuple(picture.shape) for picture in pictures_CHW], corners_N2, size_hw)
    windows = [
        picture[:, source[0] : source[1], source[2] : source[3]]
        for picture, (_, source) in zip(pictures_CHW, overlaps, strict=True)
    ]
    if _is_full(overlaps, size_hw):
        return torch.stack(windows), None
    first = pictures_CHW[0]
    padded = first.new_full((len(windows), len(first), *size_hw), fill)
    inside = torch.zeros((len(windows), *size_hw), dtype=torch.bool, device=first.device)
    for row, (window, (to, _)) in enumerate(zip(windows, overlaps, strict=True)):
        padded[row, :, to[0] : to[1], to[2] : to[3]] = window
        inside[row, to[0] : to[1], to[2] : to[3]] = True
    return padded, inside


def _overlaps(
    shapes: Sequence[tuple[int, ...]], corners_N2: np.ndarray, size_hw: tuple[int, int]
) -> list[tuple[Bounds, Bounds]]:
    return [_overlap(shape, corner, size_hw) for shape, corner in zip(shapes, corners_N2, strict=True)]


def _is_full(overlaps: Sequence[tuple[Bounds, Bounds]], size_hw: tuple[int, int]) -> bool:
    return all((to[1] - to[0], to[3] - to[2]) == size_hw for to, _ in overlaps)


def _overlap(shape: tuple[int, ...], corner: np.ndarray, size_hw: tuple[int, int]) -> tuple[Bounds, Bounds]:
    """What a window shares with a picture: its bounds in the window, and in the picture."""
    to, source = [], []
    for length, start, side in zip(shape[1:], corner.tolist(), size_hw, strict=True):
        low, high = max(start, 0), min(start + side, length)
        source += [low, high]
        to += [low - start, high - start]
    return (to[0], to[1], to[2], to[3]), (source[0], source[1], source[2], source[3])


@dataclass(frozen=True)
class Resident:
    """Images, masks and what they are normalised by, each under the index of its case.

    Attributes:
        images: of every case (C, H, W), uint8 as in the files, else float32.
        targets: class maps of every case (1, H, W) uint8; none for classification.
        mean_nC, std_nC: as `Normalization.statistics` gives them, for all cases.
    """

    images: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    mean_nC: Tensor
    std_nC: Tensor

    @classmethod
    def of(cls, packed: Packed, norm: Normalization, device: torch.device) -> Resident:
        """Every image of a packed data set, sent to the device once."""
        every = range(len(packed))
        statistics = [norm.statistics([packed.image(index)]) for index in every]
        mean_nC, std_nC = (
            torch.from_numpy(np.concatenate(part)).to(device) for part in zip(*statistics, strict=True)
        )
        segmented = packed.task.endswith("segmentation")
        return cls(
            tuple(_sent(packed.image(index), device) for index in every),
            tuple(_sent(packed.target(index)[None], device) for index in every) if segmented else (),
            mean_nC,
            std_nC,
        )

    def statistics(self, cases: np.ndarray) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N, C) of these cases."""
        rows = torch.from_numpy(cases).to(self.mean_nC.device)
        return self.mean_nC[rows], self.std_nC[rows]

    def cut(
        self, cases: np.ndarray, corners: np.ndarray, size_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """Windows (N, C, h, w) of these cases, and where (N, h, w) they hold picture; None: everywhere."""
        return cut_on_device([self.images[case] for case in cases.tolist()], corners, size_hw)

    def cut_targets(self, cases: np.ndarray, corners: np.ndarray, size_hw: tuple[int, int]) -> Tensor:
        """The class maps (N, h, w) of the same windows; `IGNORE` outside the picture."""
        return cut_on_device([self.targets[case] for case in cases.tolist()], corners, size_hw, fill=IGNORE)[
            0
        ][:, 0]


def _sent(array: np.ndarray, device: torch.device) -> Tensor:
    values = array if array.dtype == np.uint8 else array.astype(np.float32)
    return torch.tensor(values, device=device)


def fits(packed: Packed, device: torch.device, *, free: Callable[[torch.device], int] | None = None) -> bool:
    """Whether a data set may be held on a device: a CUDA one with room for it, and more, to spare."""
    if device.type != "cuda":
        return False
    free_bytes = free(device) if free else torch.cuda.mem_get_info(device)[0]
    # 16-bit images become 32-bit floats on the device.
    widened = 2 if packed.dtype == np.uint16 else 1
    return packed.num_bytes * widened <= MAX_SHARE * free_bytes
