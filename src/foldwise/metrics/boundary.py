"""How near the boundary of a predicted mask is to the true one: the share of it within a tolerance, and a distance.

Implementations of these scores differ from each other by more than methods do, so there is one here, and its
conventions are stated: the boundary of a mask is those of its pixels that a pixel of something else, or the edge of
the image, touches with a side; distances are Euclidean, from pixel centre to pixel centre.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt, find_objects

from foldwise.metrics.outputs import Bools, Floats

VERSION = 1  # of the conventions; saved scores of another one are computed anew
PERCENTILE = 95.0


def boundary(mask_HW: Bools) -> Bools:
    """(H, W) the pixels of a mask that its erosion by a cross takes away; outside the image nothing belongs to it."""
    return np.asarray(mask_HW & ~binary_erosion(mask_HW))


def distances(true_HW: Bools, predicted_HW: Bools) -> tuple[Floats, Floats]:
    """From every pixel of the true boundary to the nearest of the predicted one, and the other way round; no mask is empty."""
    # Neither mask goes beyond the box of both, so that its edge is no other boundary than the image's.
    both = find_objects((true_HW | predicted_HW).astype(np.uint8))[0]
    true, predicted = boundary(true_HW[both]), boundary(predicted_HW[both])
    to_predicted, to_true = distance_transform_edt(~predicted), distance_transform_edt(~true)
    return np.asarray(to_predicted[true]), np.asarray(to_true[predicted])


def nearness(true_HW: Bools, predicted_HW: Bools, *, tolerance: float) -> tuple[float, float]:
    """NSD and HD95 of one mask.

    The NSD is the share of both boundaries within `tolerance` of the other one, the HD95 the larger of the 95th
    percentiles of the distances from either boundary to the other.

    Returns:
        0 and the diagonal of the image where one mask is empty and the other is not; nan where both are.

    Source of the NSD: Nikolov et al. 2018, arXiv:1809.04430; here boundaries are counted in pixels.
    """
    if not (true_HW.any() and predicted_HW.any()):
        both_empty = true_HW.any() == predicted_HW.any()
        return (np.nan, np.nan) if both_empty else (0.0, cap(true_HW.shape))
    apart = distances(true_HW, predicted_HW)
    # A distance is a root, and must not miss its own value by a rounding.
    near = sum((side <= tolerance + 1e-9).sum() for side in apart) / sum(map(len, apart))
    return float(near), float(max(np.percentile(side, PERCENTILE) for side in apart))


def cap(shape: tuple[int, ...]) -> float:
    """The diagonal of an image: no two of its pixels are farther apart."""
    return float(np.hypot(shape[0], shape[1]))


def of_image(
    target_HW: NDArray[np.uint8], predicted_HW: NDArray[np.uint8], num_classes: int, *, tolerance_px: float
) -> tuple[Floats, Floats]:
    """(K,) NSD and (K,) HD95 of every class of one image; nan for the background, class 0.

    Masks hold class indices; where the target is 255 pixels do not count, and belong to nothing, true or predicted.
    """
    # What is predicted where nothing is known is neither right nor wrong.
    counts_HW = target_HW < num_classes
    near, far = np.full(num_classes, np.nan), np.full(num_classes, np.nan)
    for k in range(1, num_classes):
        near[k], far[k] = nearness(target_HW == k, (predicted_HW == k) & counts_HW, tolerance=tolerance_px)
    return near, far
