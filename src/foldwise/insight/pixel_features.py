"""What a shallow baseline sees of a pixel: its surroundings at four scales, by filters and no learning."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

SIGMAS = (1.0, 2.0, 4.0, 8.0)  # pixels
REACH_PX = (
    80  # how far a feature sees: two filters of the largest sigma, each cut off at four sigma, and some
)
STRIP_PIXELS = 2**18


def pixel_features(image_CHW: np.ndarray) -> np.ndarray:
    """Features (H, W, C * 32) float32 of every pixel; edge pixels are repeated outward.

    Of every channel: its value; and at sigma 1, 2, 4 and 8 pixels the Gaussian, the gradient's magnitude, the
    Laplacian, the two eigenvalues of the Hessian and of the structure tensor (gradients at sigma, summed over the same
    sigma), the larger first; and the differences of neighbouring Gaussians. Derivatives are those of the Gaussian, not
    scaled by sigma.
    """
    return np.concatenate([_of_channel(channel) for channel in image_CHW.astype(np.float32)]).transpose(
        1, 2, 0
    )


def _of_channel(image_HW: np.ndarray) -> np.ndarray:
    """(32, H, W)."""
    parts, smooth = [image_HW], []
    for sigma in SIGMAS:
        smooth.append(_filtered(image_HW, sigma))
        dy, dx = _filtered(image_HW, sigma, (1, 0)), _filtered(image_HW, sigma, (0, 1))
        yy, xx = _filtered(image_HW, sigma, (2, 0)), _filtered(image_HW, sigma, (0, 2))
        yx = _filtered(image_HW, sigma, (1, 1))
        tensor = [_filtered(product, sigma) for product in (dy * dy, dy * dx, dx * dx)]
        parts += [smooth[-1], np.hypot(dy, dx), yy + xx, *_eigenvalues(yy, yx, xx), *_eigenvalues(*tensor)]
    parts += [fine - coarse for fine, coarse in pairwise(smooth)]
    return np.stack(parts)


def _filtered(image_HW: np.ndarray, sigma: float, order: tuple[int, int] = (0, 0)) -> np.ndarray:
    made: np.ndarray = gaussian_filter(image_HW, sigma, order=order, mode="nearest", output=np.float32)
    return made


def _eigenvalues(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the symmetric matrices [[a, b], [b, c]], the larger first."""
    middle, apart = (a + c) / 2, np.hypot((a - c) / 2, b)
    return middle + apart, middle - apart


def strips(image_CHW: np.ndarray, most_pixels: int = STRIP_PIXELS) -> Iterator[tuple[slice, np.ndarray]]:
    """The features of an image strip by strip, so that a large one needs little memory: (rows, features).

    A strip sees its surroundings, so its features are those of the whole image.
    """
    height, width = image_CHW.shape[1:]
    step = max(1, most_pixels // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        above, below = max(0, top - REACH_PX), min(height, bottom + REACH_PX)
        seen = pixel_features(image_CHW[:, above:below])
        yield slice(top, bottom), seen[top - above : bottom - above]
