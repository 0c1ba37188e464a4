"""Pixel values to the range a network learns well from, with statistics that no test image has touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed


# Of values in 0..1, as timm and torchvision.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}  # the value that stands for full brightness
SMALLEST_STD = 1e-6  # of the full range: a constant image or channel becomes 0, not noise blown up


@dataclass(frozen=True)
class Normalization:
    """(value - mean) / std for every channel; by fixed numbers, or by those of each image itself.

    Attributes:
        kind: ``fixed`` uses `mean` and `std`; ``image`` the statistics of the whole image, never of a crop.
        mean, std: one number per channel, in the values of the files (0..255 for 8 bit); () for ``image``.
        dtype: of the files; the floor under every std follows from it.
    """

    kind: Literal["fixed", "image"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str

    def statistics(self, images_CHW: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and std (N, C) float32 for these whole images."""
        if self.kind == "fixed":
            repeated = (len(images_CHW), 1)
            return np.tile(np.array(self.mean, np.float32), repeated), np.tile(
                np.array(self.std, np.float32), repeated
            )
        mean_NC = np.stack([image.mean((1, 2), dtype=np.float64) for image in images_CHW])
        std_NC = np.stack([image.std((1, 2), dtype=np.float64) for image in images_CHW])
        floor = SMALLEST_STD * WHITE[self.dtype]
        return mean_NC.astype(np.float32), np.maximum(std_NC, floor).astype(np.float32)

    def dump(self) -> dict[str, Any]:
        """As plain JSON; `Normalization.load` reads it."""
        return asdict(self)

    @classmethod
    def load(cls, record: dict[str, Any]) -> Normalization:
        """From what `dump` gave."""
        return cls(record["kind"], tuple(record["mean"]), tuple(record["std"]), record["dtype"])


def normalization(kind: str, *, pretrained: bool, packed: Packed, train: np.ndarray) -> Normalization:
    """The normalisation a configuration asks for.

    ``auto`` is ``train`` for networks that start from random weights. Pretrained ones get ``imagenet`` where full
    brightness is known (8 bit, or floats in 0..1), else ``image``: a 12-bit picture in a 16-bit file would be all
    but black to them. Both are the same in every fold, so that frozen encoders can be shared.

    Args:
        kind: auto, train, imagenet, half (full brightness becomes 1, black -1), image or none (values divided by full
            brightness only).
        pretrained: whether the network starts from trained weights.
        packed: the images.
        train: the case indices whose statistics may be used.
    """
    dtype, num_channels = str(packed.dtype), packed.num_channels
    if kind == "auto":
        kind = ("imagenet" if _has_known_white(packed) else "image") if pretrained else "train"
    if kind == "image":
        return Normalization("image", (), (), dtype)
    white = WHITE[dtype]
    if kind == "imagenet":
        mean, std = _imagenet(num_channels)
        return Normalization("fixed", tuple(white * mean), tuple(white * std), dtype)
    if kind == "half":
        half = (white / 2,) * num_channels
        return Normalization("fixed", half, half, dtype)
    if kind == "none":
        return Normalization("fixed", (0.0,) * num_channels, (white,) * num_channels, dtype)
    mean, std = packed.channel_stats(train)
    # A channel that is constant in the training part becomes 0 there, and stays finite in the test part.
    std = np.maximum(std, SMALLEST_STD * white)
    return Normalization("fixed", tuple(mean.tolist()), tuple(std.tolist()), dtype)


def _imagenet(num_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """ImageNet's numbers; any other count of channels gets the mean of the three, as its first weights are a sum."""
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    if num_channels == 3:
        return mean, std
    return np.full(num_channels, mean.mean()), np.full(num_channels, std.mean())


def _has_known_white(packed: Packed) -> bool:
    if packed.dtype == np.uint8:
        return True
    in_range = all(measure.minimum >= 0 and measure.maximum <= 1 for measure in packed.measures)
    return bool(packed.dtype == np.float32) and in_range


def normalized(raw_NCHW: torch.Tensor, mean_NC: torch.Tensor, std_NC: torch.Tensor) -> torch.Tensor:
    """The images as float32 (N, C, H, W), normalised."""
    return (raw_NCHW.float() - mean_NC[:, :, None, None]) / std_NC[:, :, None, None]
