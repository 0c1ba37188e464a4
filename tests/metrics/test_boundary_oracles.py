"""NSD and HD95 beside those of surface-distance, which draws outlines between pixels and counts their length.

Our outline is the outermost pixels of a mask, each counted once; theirs runs half a pixel farther out, through the corners
of pixels, and a slanted piece of it is longer. So distances agree where one outline is the other one moved, and else to
within less than a pixel.
"""

import numpy as np
import pytest
import surface_distance

from foldwise.metrics.boundary import nearness


def surface_dice(true, said, *, tolerance):
    return nearness(true, said, tolerance=tolerance)[0]


def hausdorff_95(true, said):
    return nearness(true, said, tolerance=1)[1]


# It still asks for `scipy.ndimage.filters` and `scipy.ndimage.morphology`, which scipy keeps for a while.
pytestmark = pytest.mark.filterwarnings(r"ignore:Please import .* from the `scipy\.ndimage` namespace")
TOLERANCES = (1, 2, 4, 8)


def theirs(true, said):
    """HD95, and NSD at every tolerance, by surface-distance."""
    apart = surface_distance.compute_surface_distances(true, said, (1.0, 1.0))
    far = surface_distance.compute_robust_hausdorff(apart, 95)

    def near(tolerance):
        return surface_distance.compute_surface_dice_at_tolerance(apart, tolerance)

    return far, near


def rectangle(top, left, height=20, width=30):
    mask = np.zeros((72, 80), dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 3, 7])
def test_a_mask_that_was_moved_has_the_distance_of_both(shift):
    true, said = rectangle(10, 10), rectangle(10, 10 + shift)
    far, near = theirs(true, said)
    assert hausdorff_95(true, said) == far == shift
    for tolerance in TOLERANCES:  # a side is a pixel longer than its pixels are many, of some hundred in all
        assert surface_dice(true, said, tolerance=tolerance) == pytest.approx(near(tolerance), abs=0.005)


def discs(seed):
    """Two discs of any size and place, the second with a bite taken out."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    true, said, bite = (
        np.hypot(y - rng.uniform(50, 75), x - rng.uniform(50, 75)) < rng.uniform(low, high)
        for low, high in ((8, 35), (20, 35), (4, 8))
    )
    return true, said & ~bite


@pytest.mark.parametrize("seed", range(12))
def test_any_masks_agree_to_within_a_pixel(seed):
    true, said = discs(seed)
    far, near = theirs(true, said)
    assert hausdorff_95(true, said) == pytest.approx(far, abs=0.7)
    for tolerance in TOLERANCES:
        found = surface_dice(true, said, tolerance=tolerance)
        assert near(tolerance - 1) <= found <= near(tolerance + 1)
        assert found == pytest.approx(near(tolerance), abs=0.05)


def test_masks_that_are_equal_and_masks_that_are_far_apart():
    true, _ = discs(0)
    far, near = theirs(true, true)
    assert (hausdorff_95(true, true), surface_dice(true, true, tolerance=1)) == (far, near(1)) == (0, 1)
    one, other = rectangle(0, 0, 5, 5), rectangle(60, 70, 5, 5)
    far, near = theirs(one, other)
    assert surface_dice(one, other, tolerance=8) == near(8) == 0
    assert hausdorff_95(one, other) == pytest.approx(far, abs=0.7)


def test_an_empty_mask_is_infinitely_far_there_and_the_diagonal_here():
    none, one = np.zeros((72, 80), dtype=bool), rectangle(10, 10)
    apart = surface_distance.compute_surface_distances(one, one, (1.0, 1.0))
    assert len(apart["distances_gt_to_pred"]) > 0
    nothing = surface_distance.compute_surface_distances(none, none, (1.0, 1.0))
    assert len(nothing["distances_gt_to_pred"]) == 0  # as here, where it is nan
    assert np.isnan(hausdorff_95(none, none))
    assert hausdorff_95(one, none) == np.hypot(72, 80)
