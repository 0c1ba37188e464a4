"""Boundary scores against a brute force over all pairs of pixels, and by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from foldwise.metrics.boundary import boundary, cap, distances, nearness, of_image


def surface_dice(true, said, *, tolerance):
    return nearness(true, said, tolerance=tolerance)[0]


def hausdorff_95(true, said):
    return nearness(true, said, tolerance=1)[1]


def brute(true, said):
    """Both sets of distances, from the definition: a pixel is boundary if one of its four neighbours is not its own."""
    points = []
    for mask in (true, said):
        height, width = mask.shape
        edge = [
            (y, x)
            for y, x in np.argwhere(mask)
            for b, a in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            if not (0 <= b < height and 0 <= a < width and mask[b, a])
        ]
        points.append(np.array(sorted(set(edge))))
    apart = cdist(*points)
    return apart.min(axis=1), apart.min(axis=0)


def blobs(seed, shape=(18, 25)):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        mask = rng.random(shape) < 0.05
        for _ in range(2):
            mask |= np.roll(mask, 1, axis=0) | np.roll(mask, 1, axis=1)
        made.append(mask)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_all_pairs_of_pixels_say_the_same(seed):
    true, said = blobs(seed)
    expected = brute(true, said)
    for found, wanted in zip(distances(true, said), expected, strict=True):
        np.testing.assert_allclose(np.sort(found), np.sort(wanted))
    both = np.concatenate(expected)
    for tolerance in (0.0, 1.0, 2.0):
        share = surface_dice(true, said, tolerance=tolerance)
        assert share == pytest.approx((both <= tolerance).mean())
        assert surface_dice(said, true, tolerance=tolerance) == share
    far = max(np.percentile(part, 95) for part in expected)
    assert hausdorff_95(true, said) == pytest.approx(far)


def square(top, left, side=8, shape=(32, 40)):
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_boundary_of_a_square_is_its_rim_also_at_the_edge_of_the_image():
    assert boundary(square(3, 4)).sum() == boundary(square(0, 0)).sum() == 4 * 8 - 4
    assert boundary(np.ones((5, 6), dtype=bool)).sum() == 2 * 5 + 2 * 6 - 4


def test_shifted_squares_by_hand():
    one = square(10, 10)
    assert surface_dice(one, one, tolerance=0) == 1
    assert hausdorff_95(one, one) == 0
    other = square(10, 13)  # three to the right
    assert surface_dice(one, other, tolerance=3) == 1
    # Shared are the five columns of both upper and of both lower sides; of the rims 28 pixels each.
    assert surface_dice(one, other, tolerance=0) == pytest.approx(2 * 10 / 56)
    assert hausdorff_95(one, other) == 3


def test_a_mask_of_one_pixel():
    one, other = square(4, 5, 1), square(7, 9, 1)
    assert hausdorff_95(one, other) == 5
    assert surface_dice(one, other, tolerance=5) == 1
    assert surface_dice(one, other, tolerance=4.99) == 0


def test_the_tolerance_includes_its_own_distance():
    one, other = square(0, 0, 1), square(1, 1, 1)
    assert surface_dice(one, other, tolerance=float(np.sqrt(2))) == 1


def test_empty_masks():
    one, none = square(3, 3), np.zeros((32, 40), dtype=bool)
    assert np.isnan(surface_dice(none, none, tolerance=2))
    assert np.isnan(hausdorff_95(none, none))
    for pair in ((one, none), (none, one)):
        assert surface_dice(*pair, tolerance=2) == 0
        assert hausdorff_95(*pair) == cap((32, 40)) == np.hypot(32, 40)


def test_one_image_class_by_class_without_the_pixels_that_do_not_count():
    target, said = np.zeros((2, 32, 40), dtype=np.uint8)
    target[square(10, 10)], said[square(10, 13)] = 1, 1
    target[square(20, 20)] = 2
    said[28:, 30:] = 3
    target[28:, 30:] = 255  # so class 3 is neither there nor said
    near, far = of_image(target, said, 4, tolerance_px=3)
    np.testing.assert_allclose(near, [np.nan, 1, 0, np.nan])
    np.testing.assert_allclose(far, [np.nan, 3, np.hypot(32, 40), np.nan])
