"""Windows of pictures, cut of arrays in memory or on disk, or of a data set that lies on the device itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.normalize import Normalization
from foldwise.study.ranges import IGNORE

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """The values there, without waiting until a GPU has done what it was given before."""
    # Of memory that is not pinned, CUDA takes a copy before it returns; of other devices nobody promises that.
    return values.to(device, non_blocking=device.type == "cuda")


MAX_SHARE = 0.5  # of the memory that is free on the device: training wants the rest


def cut(
    pictures_CHW: Sequence[Any], corners_N2: np.ndarray | None, size_hw: tuple[int, int], fill: int = 0
) -> tuple[Tensor, Tensor | None]:
    """Windows (N, C, h, w) of arrays or tensors, on their device, and where (N, h, w) they hold picture.

    The second is None where all of them do everywhere. Without corners, the windows begin where the pictures do.
    """
    if corners_N2 is None:
        if all(picture.shape[1:] == size_hw for picture in pictures_CHW):
            return _stacked(pictures_CHW), None
        corners_N2 = np.zeros((len(pictures_CHW), 2), np.int64)
    spans = [_spans(*pair, size_hw) for pair in zip(pictures_CHW, corners_N2.tolist(), strict=True)]
    if all(to == (slice(0, size_hw[0]), slice(0, size_hw[1])) for to, _ in spans):
        return _stacked(
            [picture[:, y, x] for picture, (_, (y, x)) in zip(pictures_CHW, spans, strict=True)]
        ), None
    first = pictures_CHW[0]
    dtype = torch.uint8 if first.dtype in (np.uint8, torch.uint8) else torch.float32
    device = first.device if isinstance(first, Tensor) else torch.device("cpu")
    windows = torch.empty((len(spans), len(first), *size_hw), dtype=dtype, device=device)
    windows.fill_(fill)
    inside = torch.zeros((len(spans), *size_hw), dtype=torch.bool, device=device)
    pixels = windows if isinstance(first, Tensor) else windows.numpy()  # of the same memory
    for row, (picture, (to, source)) in enumerate(zip(pictures_CHW, spans, strict=True)):
        pixels[row, :, to[0], to[1]] = picture[:, source[0], source[1]]
        inside[row, to[0], to[1]] = True
    return windows, inside


def _stacked(windows_Chw: Sequence[Any]) -> Tensor:
    """Windows of one size as one tensor: on a device in one kernel, where one for each would cost more than its pixels."""
    if isinstance(windows_Chw[0], Tensor):
        return torch.stack(list(windows_Chw))
    # 16-bit integers are rare in torch; 8-bit ones stay small until they are on the device.
    dtype = np.uint8 if windows_Chw[0].dtype == np.uint8 else np.float32
    return torch.from_numpy(np.stack(windows_Chw, dtype=dtype))


def _spans(
    picture_CHW: np.ndarray | Tensor, corner: Sequence[int], size_hw: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What a window shares with a picture: its rows and columns in the window, and in the picture."""
    bounds = [
        (start, max(start, 0), min(start + side, length))
        for length, start, side in zip(picture_CHW.shape[1:], corner, size_hw, strict=True)
    ]
    to = tuple(slice(low - start, high - start) for start, low, high in bounds)
    return to, tuple(slice(low, high) for _, low, high in bounds)


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
        rows = on_device(torch.from_numpy(cases), self.mean_nC.device)
        return self.mean_nC[rows], self.std_nC[rows]

    def cut(
        self, cases: np.ndarray, corners: np.ndarray | None, size_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """Windows (N, C, h, w) of these cases, and where (N, h, w) they hold picture; None: everywhere."""
        return cut([self.images[case] for case in cases.tolist()], corners, size_hw)

    def cut_targets(self, cases: np.ndarray, corners: np.ndarray | None, size_hw: tuple[int, int]) -> Tensor:
        """The class maps (N, h, w) of the same windows; `IGNORE` outside the picture."""
        targets = [self.targets[case] for case in cases.tolist()]
        return cut(targets, corners, size_hw, fill=IGNORE)[0][:, 0]


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
