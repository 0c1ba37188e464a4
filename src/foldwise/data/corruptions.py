"""Images corrupted on purpose, by blur and then noise: the same draw for every configuration."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from foldwise.data.cache.packed import Packed


def corrupted(image_CHW: NDArray[Any], *, blur_px: float, noise: float, key: str) -> NDArray[Any]:
    """The image under a Gaussian blur, then with Gaussian noise; the very same array where both are 0.

    Args:
        image_CHW: unnormalised, of any type.
        blur_px: sigma of the blur, in pixels; the edge pixels are repeated outward.
        noise: standard deviation of the noise, in units of the range of each channel of the image as it was: from its
            0.5 to its 99.5 percentile, or from least to most where those are equal. A channel of one value stays.
        key: names the draw; equal keys give equal noise.

    Returns:
        float32, neither rounded nor clipped: the question is how much a network stands, not what a file can hold.
    """
    if blur_px == 0 and noise == 0:
        return image_CHW
    values = image_CHW.astype(np.float32)
    corrupted_values = gaussian_filter(values, (0, blur_px, blur_px), mode="nearest") if blur_px else values
    if noise:
        drawn = np.random.default_rng(int.from_bytes(sha256(key.encode()).digest()[:8], "big"))
        unit = drawn.standard_normal(values.shape, dtype=np.float32)
        corrupted_values = corrupted_values + unit * (noise * _range(values))
    return np.asarray(corrupted_values, dtype=np.float32)


def _range(values_CHW: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, 1, 1); a few outliers do not count."""
    low, high = np.percentile(values_CHW, (0.5, 99.5), axis=(1, 2), keepdims=True)
    whole = np.ptp(values_CHW, axis=(1, 2), keepdims=True)
    return np.asarray(np.where(high > low, high - low, whole), dtype=np.float32)


def key_of(seed: int, case: int, blur_px: float, noise: float) -> str:
    """The name of the noise of a case in one condition; `seed` is of the fold, the same for all configurations."""
    return f"{seed}/{case}/{blur_px:g}/{noise:g}"


def as_stored(images: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values as a file of that type would hold them, to be looked at: rounded and clipped where it holds whole numbers."""
    if dtype.kind != "u":
        return images.astype(dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(images), limits.min, limits.max).astype(dtype))


class Corrupted:
    """A packed data set with corrupted images, see `corrupted` and `key_of`; everything else is as it was."""

    cache = "disk"

    def __init__(self, packed: Packed, *, blur_px: float, noise: float, seed: int) -> None:
        self.packed, self.blur_px, self.noise, self.seed = packed, blur_px, noise, seed

    def __getattr__(self, name: str) -> Any:
        """Of the data set itself."""
        return getattr(self.packed, name)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.packed)

    def image(self, index: int) -> NDArray[Any]:
        """Image `index` as (C, H, W), corrupted."""
        key = key_of(self.seed, index, self.blur_px, self.noise)
        return corrupted(self.packed.image(index), blur_px=self.blur_px, noise=self.noise, key=key)
