"""The bins of pixels, by numpy: an oracle of those that torch counts."""

import numpy as np

from foldwise.metrics.pixel_bins import DISTANCES, FIRST_STEP, HALF, SHIFT


def bins_of(p, rest=None):
    """The bin of each probability, from 0 to `NUM_BINS` - 1, by numpy: what torch counts in training must agree to the pixel.

    Args:
        p: of any shape and precision.
        rest: 1 - p, where it is known better than from p: a float32 above 1 - 6e-8 is 1, while those of the other classes
            still differ.
    """
    p = np.asarray(p)
    lower = p < 0.5
    small = np.where(lower, p, 1 - p if rest is None else rest).astype(np.float32, copy=False)
    steps = small.view(np.int32) >> SHIFT
    distance = DISTANCES.take(steps - FIRST_STEP, mode="clip")
    return np.where(lower, HALF - 1 - distance, HALF + distance).astype(np.int64)
