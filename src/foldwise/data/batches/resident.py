"""All images of a data set on the device that trains, so that batches are cut there and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.cutting import cut_there
from foldwise.data.batches.normalize import Normalization
from foldwise.data.cache.packed import Packed
from foldwise.study.spec import IGNORE

MOST = 0.5  # of the memory that is free on the device: training wants the rest


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
        return cut_there([self.images[case] for case in cases.tolist()], corners, size_hw)

    def cut_targets(self, cases: np.ndarray, corners: np.ndarray, size_hw: tuple[int, int]) -> Tensor:
        """The class maps (N, h, w) of the same windows; `IGNORE` outside the picture."""
        return cut_there([self.targets[case] for case in cases.tolist()], corners, size_hw, fill=IGNORE)[0][
            :, 0
        ]


def _sent(array: np.ndarray, device: torch.device) -> Tensor:
    kept = array if array.dtype == np.uint8 else array.astype(np.float32)
    return torch.tensor(kept, device=device)


def fits(packed: Packed, device: torch.device, *, free: Callable[[torch.device], int] | None = None) -> bool:
    """Whether a data set may be held on a device: a CUDA one with room for it, and more, to spare."""
    if device.type != "cuda":
        return False
    free_bytes = free(device) if free else torch.cuda.mem_get_info(device)[0]
    widened = 2 if packed.dtype == np.uint16 else 1
    return packed.num_bytes * widened <= MOST * free_bytes
