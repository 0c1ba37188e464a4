"""Image and mask stay together whatever is drawn; what is filled counts for nothing."""

import pytest
import torch
from torch.nn import functional as F

from foldwise.data.batches.augment import (
    as_viewed,
    augment_batch,
    blurred,
    drawn_views,
    looked_up,
    reach,
    warp,
)
from foldwise.study.ranges import IGNORE
from foldwise.study.training import AUGMENTS, Augment

GEOMETRIES = {
    "flip": Augment(flip=True),
    "turn": Augment(turn=True),
    "flip and turn": Augment(flip=True, turn=True),
    "rotate": Augment(rotate_deg=180),
    "scale": Augment(scale=0.4),
    "shift": Augment(shift=0.2),
    "all": Augment(flip=True, turn=True, rotate_deg=30, scale=0.2, shift=0.1),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def patches(num=6, height=48, width=48):
    """Masks of large blocks, and the same as float images: where a pixel is far from an edge both must agree."""
    coarse = torch.randint(0, 4, (num, height // 8, width // 8), generator=seeded(1))
    masks = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    return masks[:, None].float(), masks


@pytest.mark.parametrize("augment", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("size", [(48, 48), (48, 32)])
def test_mask_and_image_move_together(augment, size):
    images, masks = patches(16, *size)
    moved_images, moved_masks = augment_batch(images + 1, masks, augment, generator=seeded())
    inside = moved_masks != IGNORE
    agree = (moved_images[:, 0].round() - 1 == moved_masks)[inside]
    # Bilinear and nearest look-up differ only along edges of blocks; one pixel off would disagree on a fifth more.
    assert agree.float().mean() > 0.93
    assert not torch.equal(moved_masks, masks)
    shifted = moved_masks.roll(3, -1)
    assert (moved_images[:, 0].round() - 1 == shifted)[inside].float().mean() < agree.float().mean() - 0.15


@pytest.mark.parametrize("name", ["flip", "turn", "flip and turn"])
def test_flips_and_turns_move_pixels_and_change_none(name):
    images, masks = patches(32)
    moved_images, moved_masks = augment_batch(images, masks, GEOMETRIES[name], generator=seeded())
    assert torch.equal(moved_images[:, 0].long(), moved_masks)
    assert torch.equal(moved_images.flatten(1).sort(1).values, images.flatten(1).sort(1).values)


def test_all_eight_symmetries_are_drawn_and_only_four_where_sides_differ():
    square, oblong = torch.arange(16.0).reshape(1, 1, 4, 4), torch.arange(8.0).reshape(1, 1, 2, 4)
    both = Augment(flip=True, turn=True)
    for image, wanted in ((square, 8), (oblong, 4)):
        drawn, _ = augment_batch(image.expand(300, -1, -1, -1), None, both, generator=seeded())
        assert len({tuple(row) for row in drawn.flatten(1).tolist()}) == wanted
    flipped, _ = augment_batch(square.expand(300, -1, -1, -1), None, Augment(flip=True), generator=seeded())
    assert len({tuple(row) for row in flipped.flatten(1).tolist()}) == 4


@pytest.mark.parametrize("size", [(20, 20), (20, 12)])
def test_warp_by_a_right_angle_is_rot90(size):
    height, width = size
    images = torch.rand(2, 3, height, width, generator=seeded())
    masks = torch.randint(0, 5, (2, height, width), generator=seeded())
    # From a pixel of the result to one of the source: x' = -y, y' = x is a quarter turn.
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]).expand(2, 2, 3)
    turned, turned_masks = warp(images, masks, quarter, size_hw=(width, height))
    torch.testing.assert_close(turned, images.rot90(1, (2, 3)), atol=1e-4, rtol=0)
    assert torch.equal(turned_masks, masks.rot90(1, (1, 2)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("size", "into"), [((32, 32), (32, 32)), ((40, 27), (24, 24)), ((1, 9), (5, 3))])
def test_a_warp_looks_where_the_grid_of_torch_does(size, into, seed):
    """But for rounding: how torch sums a product of matrices is another matter on every processor."""
    (height, width), (to_height, to_width) = size, into
    images = torch.rand(3, 2, height, width, generator=seeded(seed))
    masks = torch.randint(0, 5, (3, height, width), generator=seeded(seed))
    maps = torch.randn(3, 2, 3, generator=seeded(seed))
    theta = maps * torch.tensor([2 / width, 2 / height])[:, None]
    theta *= torch.tensor([[to_width / 2, to_height / 2, to_width], [to_width / 2, to_height / 2, to_height]])
    grid = F.affine_grid(theta, [3, 1, to_height, to_width], align_corners=False)
    looked_up = F.grid_sample((masks[:, None] - IGNORE).float(), grid, mode="nearest", align_corners=False)
    moved, moved_masks = warp(images, masks, maps, size_hw=into)
    torch.testing.assert_close(moved, F.grid_sample(images, grid, align_corners=False), atol=1e-4, rtol=0)
    assert (
        moved_masks != looked_up[:, 0].long() + IGNORE
    ).float().mean() < 1e-3  # halfway between two pixels


@pytest.mark.parametrize("size", [(12, 12), (12, 7)])
def test_flips_are_the_views_that_are_drawn(size):
    images, both = torch.rand(40, 3, *size, generator=seeded()), Augment(flip=True, turn=True)
    masks = torch.randint(0, 5, (40, *size), generator=seeded())
    moved, moved_masks = augment_batch(images, masks, both, generator=seeded(3))
    views = drawn_views(40, both, seeded(3), square=size[0] == size[1]).tolist()
    assert set(views) == set(both.views(square=size[0] == size[1]))
    for row, view in enumerate(views):
        assert torch.equal(moved[row], as_viewed(images[row], view))
        assert torch.equal(moved_masks[row], as_viewed(masks[row], view))
    # As on other devices than a CPU.
    assert torch.equal(looked_up(images, torch.tensor(views)), moved)
    assert torch.equal(looked_up(masks, torch.tensor(views)), moved_masks)


def test_warp_by_a_shift_fills_zero_and_ignore():
    images, masks = torch.ones(1, 1, 8, 8), torch.ones(1, 8, 8, dtype=torch.long)
    right = torch.tensor([[[1.0, 0.0, -0.25], [0.0, 1.0, 0.0]]])  # looks a quarter of the width to the left
    moved, moved_masks = warp(images, masks, right, size_hw=(8, 8))
    assert (moved[0, 0, :, :2] == 0).all()
    assert (moved_masks[0, :, :2] == IGNORE).all()
    assert (moved[0, 0, :, 2:] == 1).all()
    assert (moved_masks[0, :, 2:] == 1).all()


def test_ignored_pixels_stay_ignored():
    masks = torch.full((4, 16, 16), IGNORE)
    _, moved = augment_batch(torch.zeros(4, 1, 16, 16), masks, AUGMENTS["strong"], generator=seeded())
    assert (moved == IGNORE).all()


@pytest.mark.parametrize("name", AUGMENTS)
def test_equal_generators_give_equal_batches(name):
    images, masks = patches()
    one, one_masks = augment_batch(images, masks, AUGMENTS[name], generator=seeded(3))
    again, again_masks = augment_batch(images, masks, AUGMENTS[name], generator=seeded(3))
    assert torch.equal(one, again)
    assert torch.equal(one_masks, again_masks)
    other, _ = augment_batch(images, masks, AUGMENTS[name], generator=seeded(4))
    assert torch.equal(one, other) == (name == "none")


@pytest.mark.parametrize("channels", [1, 2, 3, 7])
def test_any_number_of_channels(channels):
    images, _ = augment_batch(torch.rand(3, channels, 24, 24), None, AUGMENTS["strong"], generator=seeded())
    assert images.shape == (3, channels, 24, 24)
    assert images.isfinite().all()


def test_brightness_and_contrast_are_as_strong_as_stated():
    images = torch.randn(500, 1, 8, 8, generator=seeded())
    brighter, _ = augment_batch(images, None, Augment(brightness=0.3), generator=seeded())
    offsets = (brighter - images).mean((1, 2, 3))
    assert 0.25 < offsets.abs().max() <= 0.3
    torch.testing.assert_close(brighter - images, offsets[:, None, None, None].expand_as(images))
    stronger, _ = augment_batch(images, None, Augment(contrast=0.2), generator=seeded())
    torch.testing.assert_close(stronger.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5, rtol=0)
    ratios = stronger.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.8 <= ratios.min() < 0.83
    assert 1.17 < ratios.max() <= 1.2001


def test_noise_has_the_strength_stated():
    noisy, _ = augment_batch(torch.zeros(200, 1, 32, 32), None, Augment(noise=0.5), generator=seeded())
    assert 0.45 < noisy.std((1, 2, 3)).max() < 0.52
    assert noisy.std((1, 2, 3)).min() < 0.05


def test_blur_is_a_gaussian_of_the_stated_width():
    spot = torch.zeros(2, 2, 41, 41)
    spot[:, :, 20, 20] = 1
    soft = blurred(spot, torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(soft.sum((2, 3)), torch.ones(2, 2))
    place = torch.arange(41.0) - 20
    assert (soft[0, 0].sum(0) * place**2).sum().sqrt() == pytest.approx(2, abs=0.05)
    torch.testing.assert_close(soft[1], spot[1])


def test_a_window_reaches_far_enough_that_no_crop_has_empty_corners():
    augment = AUGMENTS["strong"]
    side = 32
    window = int(side * reach(augment)) + 1
    masks = torch.zeros(200, window, window, dtype=torch.long)
    _, cut = augment_batch(
        torch.zeros(200, 1, window, window), masks, augment, generator=seeded(), size_hw=(side, side)
    )
    assert cut.shape == (200, side, side)
    assert (cut == 0).all()
    assert reach(Augment()) == 1
