"""Worse images: as bad as asked, in stated units, and the same whoever asks."""

import numpy as np
import pytest
from scipy.ndimage import convolve1d
from tiny_packed import TinyPacked

from foldwise.data.corruptions import Corrupted, as_stored, corrupted, key_of

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 40, 50)).astype(np.uint8)


def test_nothing_is_done_where_nothing_is_asked():
    assert corrupted(IMAGE, blur_px=0, noise=0, key="a") is IMAGE


def test_the_blur_is_a_gaussian_of_so_many_pixels_with_repeated_edges():
    steps = np.arange(-8, 9)
    weights = np.exp(-(steps**2) / (2 * 2.0**2))
    weights /= weights.sum()
    expected = convolve1d(
        convolve1d(IMAGE.astype(float), weights, axis=1, mode="nearest"), weights, axis=2, mode="nearest"
    )
    np.testing.assert_allclose(corrupted(IMAGE, blur_px=2, noise=0, key="a"), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_noise_is_in_units_of_the_range_of_each_channel(dtype):
    image = np.stack(
        [np.tile(np.linspace(10, 60, 200), (200, 1)), np.tile(np.linspace(0, 200, 200), (200, 1))]
    ).astype(dtype)
    image[:, 0, 0] = 250  # an outlier does not count
    noise = corrupted(image, blur_px=0, noise=0.1, key="a") - image.astype(np.float32)
    assert noise[0].std() == pytest.approx(5, rel=0.03)
    assert noise[1].std() == pytest.approx(20, rel=0.03)
    assert abs(noise[0].mean()) < 0.1


def test_few_pixels_in_an_empty_image_still_have_a_range_and_a_constant_one_has_none():
    image = np.zeros((2, 100, 100), np.uint8)
    image[0, 0, :3] = 100
    made = corrupted(image, blur_px=0, noise=0.1, key="a")
    assert made[0].std() == pytest.approx(10, rel=0.05)
    assert not made[1].any()


def test_the_same_key_gives_the_same_noise_and_another_another():
    keys = [
        key_of(5, 3, 1.0, 0.2),
        key_of(5, 3, 1, 0.2),
        key_of(5, 4, 1, 0.2),
        key_of(6, 3, 1, 0.2),
        key_of(5, 3, 2, 0.2),
    ]
    first, same, *others = [corrupted(IMAGE, blur_px=1, noise=0.2, key=key) for key in keys]
    assert np.array_equal(first, same)
    assert not any(np.allclose(first, other) for other in others)


def test_what_is_looked_at_is_what_a_file_would_hold():
    assert as_stored(np.array([-3.0, 1.5, 2.5, 300.0]), np.dtype(np.uint8)).tolist() == [0, 2, 2, 255]
    assert as_stored(np.array([-0.25]), np.dtype(np.float32)).tolist() == [-0.25]


def test_a_worse_data_set_is_the_same_in_all_else():
    packed = TinyPacked(task="binary_segmentation", num_classes=2)
    worse = Corrupted(packed, blur_px=1, noise=0, seed=1)
    assert (worse.task, worse.classes, len(worse)) == (packed.task, packed.classes, len(packed))
    assert worse.target(2) is packed.target(2)
    assert worse.image(2).std() < packed.image(2).std()
