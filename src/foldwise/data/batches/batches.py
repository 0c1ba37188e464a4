"""Batches straight from the memory map, in this process: decoded once, there is nothing left for loaders to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.augment import augment_batch, drawn_views, reach
from foldwise.data.batches.normalize import Normalization, normalized
from foldwise.data.cache.packed import Packed, Remembered, open_packed
from foldwise.study.spec import IGNORE
from foldwise.study.training import DRAWN, Augment, Task

# Pixels of one batch of whole images, at most: it bounds memory, which crops would keep far below. A CPU is faster
# by a fifth with few images at a time (their feature maps stay in its caches), a GPU wants more to do at once.
BATCH_PIXELS = {"cpu": 2**18}
BATCH_PIXELS_ELSEWHERE = 2**22


@dataclass(frozen=True)
class Batch:
    """What a network and a loss take.

    Attributes:
        inputs: normalised images (N, C, H, W) float32, or cached features (N, F).
        targets: class indices (N,) int64; labels (N, K) float32 of a multilabel task; class maps (N, H, W) int64
            with `IGNORE` where nothing is known.
        cases: the case index of every row.
    """

    inputs: Tensor
    targets: Tensor
    cases: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """Images of a packed data set as batches: normalised, on one device.

    Attributes:
        resident: the images on the device itself; None where they are sent there batch by batch.
    """

    packed: Packed
    normalization: Normalization
    device: torch.device
    resident: Resident | None = None

    @property
    def cache(self) -> str:
        """Where the pixels come from: ``disk``, ``memory``, ``device`` or, from the files, ``none``."""
        return "device" if self.resident is not None else self.packed.cache

    @property
    def task(self) -> Task:
        """What the targets are."""
        return self.packed.task

    def training(
        self,
        order: Iterable[np.ndarray],
        *,
        crop_px: int | None,
        augment: Augment,
        generators: Iterable[torch.Generator],
    ) -> Iterator[Batch]:
        """The batches of one epoch, cropped and augmented.

        Args:
            order: the case indices of each batch; see `epoch_order`.
            crop_px: side of random crops; None for whole images.
            augment: the changes to draw.
            generators: a CPU generator for each batch; see `step_generators`.
        """
        # A turned or zoomed crop reaches outside itself: cut larger, its corners hold picture and not padding.
        window = math.ceil(crop_px * reach(augment)) if crop_px else None
        size_hw = (crop_px, crop_px) if crop_px else None
        for cases, generator in zip(order, generators, strict=False):  # of the latter there is no end
            corners = None if window is None else self._corners(cases, window, generator)
            batch = self.gather(cases, corners=corners, window=window)
            masks = batch.targets if batch.targets.ndim == 3 else None
            images, masks = augment_batch(batch.inputs, masks, augment, generator=generator, size_hw=size_hw)
            yield Batch(images, batch.targets if masks is None else masks, cases)

    def whole(self, cases: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
        """Each image once, whole and unchanged, the largest first; images of one size share a batch, so that none is padded."""
        shapes = self.packed.shapes[cases]
        bound = BATCH_PIXELS.get(self.device.type, BATCH_PIXELS_ELSEWHERE)
        sizes = np.unique(shapes, axis=0)
        # What the largest took serves all others: in the reverse order 28 sizes took 610 MB of a CPU, so 320 to 440 MB.
        for shape in sizes[np.argsort(-sizes.prod(axis=1), kind="stable")]:
            alike = cases[(shapes == shape).all(1)]
            max_images = max(1, min(batch_size, bound // int(shape[0] * shape[1])))
            for start in range(0, len(alike), max_images):
                yield self.gather(alike[start : start + max_images])

    def gather(
        self, cases: np.ndarray, *, corners: np.ndarray | None = None, window: int | None = None
    ) -> Batch:
        """These cases as one batch.

        Args:
            cases: case indices.
            corners: upper left corner (N, 2) of a square window in each image; it may lie outside.
            window: side of those windows; without it, whole images, padded below and right to the largest.

        Returns:
            Images that are 0 and masks that are `IGNORE` outside the picture.
        """
        if window is None:
            height, width = self.packed.shapes[cases].max(0).tolist()
        else:
            height = width = window
        raw, inside, (mean_NC, std_NC) = self._raw(cases, corners, (height, width))
        inputs = normalized(raw, mean_NC, std_NC)
        # Zero after normalisation is the mean: padding looks like nothing, not like black.
        if inside is not None:
            inputs *= inside[:, None]
        return Batch(inputs, self._targets(cases, corners, (height, width)), cases)

    def _raw(
        self, cases: np.ndarray, corners: np.ndarray | None, size_hw: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, Tensor]]:
        """Windows of raw pixels, where they hold picture, and what they are normalised by; on the device."""
        if self.resident is not None:
            return *self.resident.cut(cases, corners, size_hw), self.resident.statistics(cases)
        images = [self.packed.image(int(case)) for case in cases]
        mean_NC, std_NC = (
            torch.from_numpy(part).to(self.device) for part in self.normalization.statistics(images)
        )
        raw, inside = cut(images, corners, size_hw)
        return raw.to(self.device), None if inside is None else inside.to(self.device), (mean_NC, std_NC)

    def _targets(self, cases: np.ndarray, corners: np.ndarray | None, size_hw: tuple[int, int]) -> Tensor:
        if not self.packed.task.endswith("segmentation"):
            return targets_of(self.packed, cases).to(self.device)
        if self.resident is not None:
            return self.resident.cut_targets(cases, corners, size_hw).long()
        masks = [self.packed.target(int(case))[None] for case in cases]
        windows, _ = cut(masks, corners, size_hw, fill=IGNORE)
        return windows[:, 0].to(self.device).long()

    def _corners(self, cases: np.ndarray, window: int, generator: torch.Generator) -> np.ndarray:
        """A random window in each image; in the middle where the image is smaller than its window."""
        room = self.packed.shapes[cases] - window
        drawn = torch.rand(len(cases), 2, generator=generator).numpy()
        corners: np.ndarray = np.where(room > 0, np.floor(drawn * (room + 1)), room // 2).astype(np.int64)
        return corners


def pictures_of(packed: Packed, normalization: Normalization, device: torch.device) -> Pictures:
    """The images as batches; those that are to be held in memory are held on the device where it has room."""
    if isinstance(packed, Remembered) and fits(packed, device):
        resident = Resident.of(open_packed(packed.digest), normalization, device)
        return Pictures(packed, normalization, device, resident)
    return Pictures(packed, normalization, device)


@dataclass(frozen=True)
class CachedFeatures:
    """Outputs of a frozen encoder in place of images: the same batches at a thousandth of the price.

    Attributes:
        features_VNF: of every view and case, on the device; the first view is of images as they are.
        views: what each is: numbers of `Augment.views`, or 0 and from `DRAWN` on views that stand for all others.
    """

    packed: Packed
    features_VNF: Tensor
    views: tuple[int, ...] = (0,)
    cache = "features"  # no pixels are asked for

    def training(
        self, order: Iterable[np.ndarray], *, augment: Augment, generators: Iterable[torch.Generator]
    ) -> Iterator[Batch]:
        """The batches of one epoch, in the views that `Pictures.training` would draw, or each in any that is fixed."""
        for cases, generator in zip(order, generators, strict=False):  # of the latter there is no end
            places = None
            if self.views[-1] >= DRAWN:
                places = torch.randint(1, len(self.views), (len(cases),), generator=generator)
            elif len(self.views) > 1:
                drawn = drawn_views(len(cases), augment, generator, square=self.packed.is_square)
                places = torch.tensor([self.views.index(view) for view in drawn.tolist()])
            yield self.gather(cases, places)

    def whole(self, cases: np.ndarray, *, batch_size: int) -> Iterator[Batch]:
        """Each case once."""
        for start in range(0, len(cases), batch_size):
            yield self.gather(cases[start : start + batch_size])

    def gather(self, cases: np.ndarray, places: Tensor | None = None) -> Batch:
        """These cases as one batch, each in the view at its place among `views`; all as they are where None."""
        device = self.features_VNF.device
        rows = torch.from_numpy(cases).to(device)
        shown = torch.zeros_like(rows) if places is None else places.to(device)
        return Batch(self.features_VNF[shown, rows], targets_of(self.packed, cases).to(device), cases)


def targets_of(packed: Packed, cases: np.ndarray) -> Tensor:
    """Labels as a loss takes them: int64 class indices (N,), or float32 (N, K) of a multilabel task."""
    labels = torch.from_numpy(np.ascontiguousarray(packed.labels[cases]))
    return labels.float() if packed.task == "multilabel_classification" else labels.long()


MAX_SHARE = 0.5  # of the memory that is free on the device: training wants the rest


def cut(
    pictures_CHW: Sequence[Any],
    corners_N2: np.ndarray | None,
    size_hw: tuple[int, int],
    fill: int = 0,
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
        rows = torch.from_numpy(cases).to(self.mean_nC.device)
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
