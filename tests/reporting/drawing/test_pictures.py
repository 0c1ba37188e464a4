"""Images of any kind as small pictures, and what is drawn over them."""

from base64 import b64decode
from io import BytesIO
from itertools import combinations, product

import numpy as np
import pytest
from PIL import Image

from foldwise.reporting.drawing.pictures import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    WRONG_CLASS,
    class_colour,
    data_uri,
    displayed,
    displayed_alike,
    edges,
    enlarged,
    error_picture,
    hatched,
    mask_picture,
    outlined,
    tinted,
)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_kind_of_image_can_be_looked_at(channels, dtype):
    rng = np.random.default_rng(0)
    image = (rng.random((channels, 20, 30)) * (1 if dtype == "float32" else 200)).astype(dtype)
    shown = displayed(image)
    assert shown.shape == (20, 30, 3)
    assert shown.dtype == np.uint8
    assert shown.max() > 100


def test_8_bit_pictures_are_shown_as_they_are():
    image = np.array([[[7, 9]]], dtype=np.uint8)
    assert displayed(image).tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_16_bit_pictures_are_stretched_and_one_hot_pixel_does_not_darken_them():
    image = np.linspace(1000, 1400, 10_000).reshape(1, 100, 100).astype(np.uint16)
    image[0, 50, 50] = 65535
    shown = displayed(image)
    assert shown[0, 0, 0] == 0
    assert shown[-1, -1, 0] == 255
    assert 100 < shown[50, 0, 0] < 150


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 5.0])
def test_a_constant_or_empty_image_does_no_harm(value):
    assert displayed(np.full((2, 4, 4), value, np.float32)).shape == (4, 4, 3)


def test_errors_have_the_colour_of_their_kind_and_ignored_pixels_are_grey():
    truth = np.array([[0, 1, 1, 255, 1]], dtype=np.uint8)
    said = np.array([[1, 0, 2, 1, 1]], dtype=np.uint8)
    shown = error_picture(np.zeros((1, 5, 3), np.uint8), truth, said)[0].astype(int)
    for pixel, colour in zip(shown, (FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS), strict=False):
        assert np.abs(pixel - np.array(colour) * 0.85).max() <= 1
    assert shown[3].tolist() == [96, 96, 96]
    assert shown[4].tolist() == [0, 0, 0]


def test_a_mask_has_a_colour_per_class():
    mask = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    assert len({tuple(pixel) for pixel in mask_picture(mask, binary=False)[0].tolist()}) == 4


def test_a_large_picture_is_made_small_and_a_small_one_is_left():
    def stored(shape):
        uri = data_uri(np.zeros((*shape, 3), np.uint8), longest_px=100)
        assert uri.startswith("data:image/webp;base64,")
        return Image.open(BytesIO(b64decode(uri.split(",")[1]))).size

    assert stored((400, 200)) == (50, 100)
    assert stored((20, 30)) == (30, 20)
    assert stored((1000, 1)) == (1, 100)


def test_edges_are_the_innermost_pixels_of_a_class():
    labels = np.zeros((7, 7), np.uint8)
    labels[2:5, 2:5] = 1
    labels[:, 6] = 255
    expected = labels == 1
    expected[3, 3] = False
    assert np.array_equal(edges(labels), expected)
    assert not edges(np.ones((4, 4), np.uint8)).any()
    drawn = outlined(np.zeros((7, 7, 3), np.uint8), labels, coloured=True)
    assert (drawn[expected] == class_colour(1)).all()
    assert not drawn[~expected].any()


def test_tints_and_hatches_leave_the_rest_alone():
    picture = np.full((6, 6, 3), 100, np.uint8)
    labels = np.zeros((6, 6), np.uint8)
    labels[0, 0], labels[1, 1] = 2, 255
    tint = tinted(picture, labels)
    assert (tint[labels == 0] == 100).all()
    assert (tint[1, 1] == 100).all()
    assert tint[0, 0].tolist() == [int(100 * 0.55 + 0.45 * part) for part in class_colour(2)]
    assert (hatched(picture, labels == 255)[labels != 255] == 100).all()


def test_pictures_are_enlarged_by_whole_pixels():
    small = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(enlarged(small, 7), np.kron(small, np.ones((3, 3), np.uint8)))
    assert enlarged(small, 3) is not None
    assert enlarged(small, 2).shape == (2, 3)


def test_images_of_16_bit_are_stretched_alike():
    dark, bright = (np.full((1, 4, 5), level, np.uint16) for level in (100, 900))
    dark[0, 0, 0], bright[0, 0, 0] = 0, 1000
    first, second = displayed_alike([dark, bright[:, :3]])
    assert (first.shape, second.shape) == ((4, 5, 3), (3, 5, 3))
    assert first[2, 2, 0] < 40
    assert second[2, 2, 0] > 210


def lab(colour):
    """CIE L*a*b* of an sRGB colour, at D65."""
    linear = np.array(colour) / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    return lab_of_linear(linear)


def lab_of_linear(linear):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    scaled = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def as_deuteranope(colour):
    """L*a*b* as a reader without green cones sees it (Machado, Oliveira and Fernandes 2009)."""
    sees = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    linear = np.array(colour) / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    return lab_of_linear(np.clip(np.array(sees) @ linear, 0, 1))


@pytest.mark.parametrize(("seen", "least"), [(lab, 30), (as_deuteranope, 13)])
def test_class_colours_are_never_those_of_errors_nor_one_another(seen, least):
    classes = [class_colour(index) for index in range(1, 8)]
    errors = [FALSE_POSITIVE, FALSE_NEGATIVE, WRONG_CLASS]
    for first, second in [*product(classes, errors), *combinations(classes, 2)]:
        assert np.linalg.norm(seen(first) - seen(second)) >= least, (first, second)


def test_dark_images_are_stretched_and_keep_their_colours():
    grey = np.linspace(0, 70, 400).reshape(1, 20, 20).astype(np.uint8)
    assert (displayed(grey).min(), displayed(grey).max()) == (0, 255)
    blue = np.concatenate([grey // 4, grey // 4, grey])
    drawn = displayed(blue).astype(int)
    assert drawn[..., 2].max() == 255
    assert abs(drawn[-1, -1, 0] - 255 / 4) < 5  # the proportions of the channels stay
    bright = np.concatenate([grey, grey, grey])
    bright[:, :2] = 200  # a tenth of the values
    np.testing.assert_array_equal(displayed(bright), bright.transpose(1, 2, 0))
    flat = np.full((1, 4, 4), 7, np.uint8)
    assert (displayed(flat) == 7).all()
