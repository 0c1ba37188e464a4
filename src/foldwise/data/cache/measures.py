"""What is measured on every image while it is packed: the ground of the audit and of normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from foldwise.data.cache.fingerprints import fingerprint
from foldwise.data.formats.pixels import Pixels


@dataclass(frozen=True)
class Measure:
    """What was measured on one image.

    `mode`, `format`, `bit_depth` and `original_*` are of the file, the rest is of the packed pixels.

    Attributes:
        mode, format: as in `pixels.Pixels`, e.g. ``RGBA`` and ``PNG``.
        minimum, maximum: over the finite values; nan where there are none.
        mean, square_mean: of every channel, over its finite values: of x and of x².
        num_nan: values that are NaN or infinite.
        file_digest: SHA-256 of the file, or of the slice of a stack.
        pixel_digest: SHA-256 (32 digits) of the decoded channels before resizing: equal pictures, equal digests.
        fingerprints: perceptual hashes, see `fingerprints.fingerprint`.
        class_pixels: pixels of every class of the target, those not counted left out; None for classification.
    """

    index: int
    mode: str
    format: str
    width: int
    height: int
    bit_depth: int
    minimum: float
    maximum: float
    mean: tuple[float, ...]
    square_mean: tuple[float, ...]
    num_nan: int
    file_digest: str
    pixel_digest: str
    fingerprints: tuple[str, ...]
    class_pixels: tuple[int, ...] | None
    original_width: int
    original_height: int


def measure_image(
    image_CHW: np.ndarray,
    pixels: Pixels,
    *,
    index: int,
    digests: tuple[str, str],
    original_hw: tuple[int, int],
    class_pixels: tuple[int, ...] | None,
) -> Measure:
    """The measure of one packed image, from the file it came from and its file and pixel digests."""
    finite = np.nan_to_num(image_CHW) if image_CHW.dtype.kind == "f" else image_CHW
    return Measure(
        index=index,
        mode=pixels.mode,
        format=pixels.format,
        width=image_CHW.shape[2],
        height=image_CHW.shape[1],
        bit_depth=pixels.bit_depth,
        **_statistics(image_CHW),
        file_digest=digests[0],
        pixel_digest=digests[1],
        fingerprints=tuple(fingerprint(finite)),
        class_pixels=class_pixels,
        original_width=original_hw[1],
        original_height=original_hw[0],
    )


def _statistics(image_CHW: np.ndarray) -> dict[str, Any]:
    """The moments and the range of the finite values of an image."""
    flat = image_CHW.reshape(len(image_CHW), -1).astype(np.float64)
    finite = np.isfinite(flat)
    count = finite.sum(1)
    clean = np.where(finite, flat, 0.0)
    divisor = np.maximum(count, 1)
    usable = flat[finite]
    return {
        "minimum": float(usable.min()) if usable.size else float("nan"),
        "maximum": float(usable.max()) if usable.size else float("nan"),
        "mean": tuple((clean.sum(1) / divisor).tolist()),
        "square_mean": tuple(((clean**2).sum(1) / divisor).tolist()),
        "num_nan": int(flat.size - count.sum()),
    }


def as_measure(saved: dict[str, Any]) -> Measure:
    """The measure that was saved as JSON, which knows lists but no tuples."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()
    }
    return Measure(**values)
