"""Batches straight from the memory map, in this process: decoded once, there is nothing left for loaders to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from foldwise.data.batches.augment import augment_batch, drawn_views, reach
from foldwise.data.batches.normalize import Normalization, normalized
from foldwise.data.batches.windows import Resident, cut, fits, on_device
from foldwise.data.cache.packed import Packed, Remembered, open_packed
from foldwise.study.ranges import IGNORE
from foldwise.study.training import DRAWN, Augment, Task

# Pixels of one batch of whole images, at most: it bounds memory, which crops would keep far below. A CPU is faster
# by a fifth with few images at a time (their feature maps stay in its caches), a GPU wants more to do at once.
BATCH_PIXELS = {"cpu": 2**18}
BATCH_PIXELS_ELSEWHERE = 2**22
# Of small batches some are made at once: between two steps of a network, whose work empties the caches of a processor,
# making one of 16 x 1 x 32 x 32 takes 400 us, in a row 150 us.
AHEAD_VALUES = 2**17


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
        made = self._training(order, crop_px, augment, generators)
        for batch in made:
            yield batch
            yield from list(islice(made, AHEAD_VALUES // batch.inputs.numel()))

    def _training(
        self,
        order: Iterable[np.ndarray],
        crop_px: int | None,
        augment: Augment,
        generators: Iterable[torch.Generator],
    ) -> Iterator[Batch]:
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
            return *self.resident.cut(cases, corners, size_hw), self._fixed or self.resident.statistics(cases)
        images = [self.packed.image(case) for case in cases.tolist()]
        raw, inside = cut(images, corners, size_hw)
        statistics = self._fixed or self._statistics(images)
        inside = None if inside is None else on_device(inside, self.device)
        return on_device(raw, self.device), inside, statistics

    @cached_property
    def _fixed(self) -> tuple[Tensor, Tensor] | None:
        """What all images are normalised by, (1, C); None where each has its own."""
        return self._statistics([np.empty(0)]) if self.normalization.kind == "fixed" else None

    def _statistics(self, images: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        mean_NC, std_NC = map(torch.from_numpy, self.normalization.statistics(images))
        return on_device(mean_NC, self.device), on_device(std_NC, self.device)

    def _targets(self, cases: np.ndarray, corners: np.ndarray | None, size_hw: tuple[int, int]) -> Tensor:
        if not self.packed.task.endswith("segmentation"):
            return on_device(targets_of(self.packed, cases), self.device)
        if self.resident is not None:
            return self.resident.cut_targets(cases, corners, size_hw).long()
        masks = [self.packed.target(case)[None] for case in cases.tolist()]
        windows, _ = cut(masks, corners, size_hw, fill=IGNORE)
        return on_device(windows[:, 0], self.device).long()

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
        if (
            len(self.views) == 1
        ):  # nothing is drawn, and to make a generator takes as long as a head of a few features
            yield from map(self.gather, order)
            return
        for cases, generator in zip(order, generators, strict=False):  # of the latter there is no end
            if self.views[-1] >= DRAWN:
                places = torch.randint(1, len(self.views), (len(cases),), generator=generator)
            else:
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
        rows = on_device(torch.from_numpy(cases), device)
        if places is None:
            features_nF = self.features_VNF[0].index_select(0, rows)
        else:
            features_nF = self.features_VNF[on_device(places, device), rows]
        return Batch(features_nF, self._targets.index_select(0, rows), cases)

    @cached_property
    def _targets(self) -> Tensor:
        """Of all cases, on the device."""
        return targets_of(self.packed, np.arange(len(self.packed.labels))).to(self.features_VNF.device)


def targets_of(packed: Packed, cases: np.ndarray) -> Tensor:
    """Labels as a loss takes them: int64 class indices (N,), or float32 (N, K) of a multilabel task."""
    labels = torch.from_numpy(packed.labels[cases])
    return labels.float() if packed.task == "multilabel_classification" else labels.long()
