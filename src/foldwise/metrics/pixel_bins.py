"""The bins in which pixels are counted by their probability of a class: from them AUROC and average precision follow.

Networks are sure of most pixels, and much of a ranking lies beyond 0.999. So bins are of equal width in
asinh(logit / 0.5): around one half about even, 0.006 of probability wide, and towards the ends of equal proportion, 4.5 %
of the logit. The bits of a float32 tell the bin, so that numpy and torch agree to the last pixel; edges are rounded to
1024 steps to an octave.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from foldwise.metrics.outputs import Floats, Ints

# Not 256, as many as earlier versions had, of equal width: the number of bins says which they are.
NUM_BINS = 254
HALF = NUM_BINS // 2
LEAST = 2.0**-120  # what is below it, or above 1 minus it, has one bin at either end, and counts as tied
SHIFT = 13  # leaves the exponent of a float32 and 10 bits of its mantissa
_BEND = 0.5  # the logit around which bins go over from even to proportional


def _edge_steps() -> Ints:
    """(HALF - 1,) the steps of the edges below one half, ascending; the first one is that of `LEAST`."""
    reach = np.arcsinh((np.log1p(-LEAST) - np.log(LEAST)) / _BEND)
    lower = expit(-_BEND * np.sinh(np.linspace(reach, 0, HALF)[:-1])).astype(np.float32)
    rounded: Ints = (lower.view(np.int32).astype(np.int64) + (1 << SHIFT - 1)) >> SHIFT
    return rounded


_EDGES = _edge_steps()
FIRST_STEP = int(_EDGES[0]) - 1  # what is below `LEAST` counts as this one
_STEPS = np.arange(FIRST_STEP, np.float32(0.5).view(np.int32) >> SHIFT)
# Of every step up to one half: how many bins it lies away from there. A bin has its lower end below it, its upper one above.
DISTANCES = (HALF - 1 - np.searchsorted(_EDGES, _STEPS, side="right")).astype(np.uint8)


def bin_edges(number: int = NUM_BINS) -> Floats:
    """(number + 1,) the edges of so many bins; of any number but `NUM_BINS` they are even."""
    if number != NUM_BINS:
        return np.linspace(0, 1, number + 1)
    lower = (_EDGES << SHIFT).astype(np.int32).view(np.float32).astype(np.float64)
    return np.concatenate([[0.0], lower, [0.5], 1 - lower[::-1], [1.0]])
