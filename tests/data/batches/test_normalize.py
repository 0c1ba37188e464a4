"""Normalisation: by the training part, by ImageNet, or by each image; never by a test image."""

import numpy as np
import pytest
import torch
from tiny_packed import TinyPacked

from foldwise.data.batches.batches import Pictures
from foldwise.data.batches.normalize import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    WHITE,
    Normalization,
    normalization,
)


def inputs(packed, norm, cases):
    return Pictures(packed, norm, torch.device("cpu")).gather(cases).inputs


def asked(packed, name, *, pretrained=False, train=None):
    train = np.arange(12) if train is None else train
    return normalization(name, pretrained=pretrained, packed=packed, train=train)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_training_part_gets_mean_0_and_std_1_and_the_rest_has_no_say(dtype):
    packed = TinyPacked(num_channels=2, dtype=np.dtype(dtype))
    norm = asked(packed, "auto")
    values = inputs(packed, norm, np.arange(12))
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std((0, 2, 3)), torch.ones(2), atol=1e-3, rtol=0)
    packed._images[20] = packed._images[20] * 0  # a test image
    assert asked(packed, "train") == norm


def test_imagenet_is_that_of_the_libraries_for_three_channels():
    packed = TinyPacked(num_channels=3)
    values = inputs(packed, asked(packed, "auto", pretrained=True), np.array([4]))[0]
    raw = packed.image(4).astype(np.float32) / 255
    wanted = (raw - np.float32(IMAGENET_MEAN)[:, None, None]) / np.float32(IMAGENET_STD)[:, None, None]
    np.testing.assert_allclose(values.numpy(), wanted, atol=1e-5)


def test_a_grey_image_gets_the_mean_of_the_three():
    norm = asked(TinyPacked(), "imagenet")
    assert norm.mean == pytest.approx((255 * np.mean(IMAGENET_MEAN),))
    assert norm.std == pytest.approx((255 * np.mean(IMAGENET_STD),))


def test_pretrained_networks_get_each_image_by_itself_where_white_is_not_known():
    assert asked(TinyPacked(dtype=np.dtype(np.uint16)), "auto", pretrained=True).kind == "image"
    assert (
        asked(TinyPacked(dtype=np.dtype(np.float32)), "auto", pretrained=True).kind == "fixed"
    )  # all within 0..1


def test_image_normalises_each_and_a_constant_one_becomes_zero():
    packed = TinyPacked(num_channels=2)
    packed._images[1] = np.full_like(packed._images[1], 7)
    values = inputs(packed, asked(packed, "image"), np.arange(3))
    torch.testing.assert_close(values.mean((2, 3)), torch.zeros(3, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(values[0].std((1, 2), correction=0), torch.ones(2), atol=1e-4, rtol=0)
    assert (values[1] == 0).all()


def test_a_crop_is_normalised_as_its_whole_image_is():
    packed = TinyPacked(task="binary_segmentation", num_classes=2, sizes=((40, 40),) * 3)
    source = Pictures(packed, asked(packed, "image", train=np.arange(2)), torch.device("cpu"))
    whole = source.gather(np.array([0])).inputs[0, 0]
    crop = source.gather(np.array([0]), corners=np.array([[10, 5]]), window=8).inputs[0, 0]
    assert torch.equal(crop, whole[10:18, 5:13])


def test_none_only_divides_by_full_brightness():
    packed = TinyPacked(dtype=np.dtype(np.uint16))
    values = inputs(packed, asked(packed, "none"), np.array([0]))
    np.testing.assert_allclose(values[0].numpy(), packed.image(0) / 65535, rtol=1e-6)


def test_it_is_the_same_after_a_file():
    for name in ("train", "image"):
        norm = asked(TinyPacked(), name)
        assert Normalization.load(norm.dump()) == norm


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_half_brings_black_to_minus_one_and_full_brightness_to_one(dtype):
    white = WHITE[np.dtype(dtype).name]
    norm = asked(TinyPacked(dtype=np.dtype(dtype)), "half")
    ends = (np.array([0.0, white]) - norm.mean[0]) / norm.std[0]
    assert ends.tolist() == [-1.0, 1.0]
