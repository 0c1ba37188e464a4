"""Random changes of a whole batch of tensors, image and mask together, in one resampling.

Every image of a batch draws its own flip, turn, rotation, zoom and shift; their product is one affine map, and
pixels are looked up once. The code is the same on a CPU and on a GPU, for any number of channels. The draws come
from a generator on the CPU, so a device does not change what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from foldwise.data.batches.windows import on_device
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Augment


def augment_batch(
    images_NCHW: Tensor,
    masks_NHW: Tensor | None,
    augment: Augment,
    *,
    generator: torch.Generator,
    size_hw: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The batch, changed at random; pixels from outside the image become 0, and `IGNORE` in the mask.

    Args:
        images_NCHW: normalised float images, so that 0 is the mean.
        masks_NHW: class indices (int64), or None for classification.
        augment: what to change and how strongly.
        generator: a CPU generator; equal states give equal changes.
        size_hw: size of the result, cut from the middle; that of the batch where None. With crops, the batch comes
            larger (see `reach`), so that a turned crop has no empty corners.
    """
    size_hw = size_hw or (images_NCHW.shape[2], images_NCHW.shape[3])
    if _is_exact(augment) and size_hw == tuple(images_NCHW.shape[2:]):
        images_NCHW, masks_NHW = _dihedral(images_NCHW, masks_NHW, augment, generator)
    elif _moves(augment):
        maps_N23 = _affine_maps(images_NCHW.shape[0], augment, _is_square(size_hw), generator)
        images_NCHW, masks_NHW = warp(images_NCHW, masks_NHW, maps_N23, size_hw=size_hw)
    return _tones(images_NCHW, augment, generator), masks_NHW


def reach(augment: Augment) -> float:
    """How many times larger a window must be than its crop, so that no turn, zoom or shift leaves it."""
    angle = math.radians(min(augment.rotate_deg, 45))
    turned = math.cos(angle) + math.sin(angle)
    return (turned + 2 * augment.shift) / (1 - augment.scale)


def _moves(augment: Augment) -> bool:
    return bool(augment.flip or augment.turn or augment.rotate_deg or augment.scale or augment.shift)


def _is_exact(augment: Augment) -> bool:
    """Whether only flips and right-angle turns are asked: these move pixels and mix none."""
    return (augment.flip or augment.turn) and not (augment.rotate_deg or augment.scale or augment.shift)


def _is_square(size_hw: Sequence[int]) -> bool:
    return size_hw[0] == size_hw[1]


def _flips_and_turns(
    num: int, augment: Augment, square: bool, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is mirrored (0 or 1), and its quarter turns (0..3; 0 or 2 where sides differ)."""
    drawn = (torch.randint(0, most, (num,), generator=generator).numpy() for most in (2, 4, 2))
    mirrored, turns, halves = drawn
    turns = turns * augment.turn
    # Without `turn`, flips still go both ways: mirrored left-right and turned by 180° is mirrored up-down.
    return mirrored * augment.flip, (turns if square else turns // 2 * 2) + halves * (
        2 * (augment.flip and not augment.turn)
    )


def _dihedral(
    images_NCHW: Tensor, masks_NHW: Tensor | None, augment: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Flips and right-angle turns by moving pixels."""
    codes = drawn_views(len(images_NCHW), augment, generator, square=_is_square(images_NCHW.shape[2:]))
    return _as_drawn(images_NCHW, codes), None if masks_NHW is None else _as_drawn(masks_NHW, codes)


def _as_drawn(pixels: Tensor, codes_N: Tensor) -> Tensor:
    """Each row in its own of `Augment.views`."""
    if pixels.device.type != "cpu":
        return looked_up(pixels, on_device(codes_N, pixels.device))
    moved = torch.empty_like(pixels)
    # A view of numpy may run backwards, so each image is copied once, to where it belongs.
    for source, to, code in zip(pixels.numpy(), moved.numpy(), codes_N.tolist(), strict=True):
        to[...] = _view(source, code)
    return moved


def looked_up(pixels: Tensor, codes_N: Tensor) -> Tensor:
    """The same by a table of where each pixel comes from: two kernels of a GPU, whatever the batch and its codes."""
    places_NP = _places(pixels.shape[-2:], pixels.device)[codes_N]
    flat = pixels.flatten(-2)
    places = places_NP.reshape(len(pixels), *[1] * (flat.ndim - 2), -1).expand(flat.shape)
    return flat.gather(-1, places).reshape(pixels.shape)


@lru_cache(maxsize=16)
def _places(size_hw: torch.Size, device: torch.device) -> Tensor:
    """Which pixel each is, (8, H x W), in each of `Augment.views`; where sides differ, odd turns are not there."""
    numbers = torch.arange(size_hw.numel(), device=device).reshape(size_hw)
    square = _is_square(size_hw)
    return torch.stack([as_viewed(numbers, code if square else code // 2 * 2).flatten() for code in range(8)])


def _view(pixels: np.ndarray, code: int) -> np.ndarray:
    """As `as_viewed`, and nothing is copied."""
    mirrored = pixels[..., ::-1] if code >= 4 else pixels
    turned = mirrored.swapaxes(-2, -1) if code % 2 else mirrored
    return turned[..., :: -1 if code % 4 in (1, 2) else 1, :: -1 if code % 4 in (2, 3) else 1]


def drawn_views(num: int, augment: Augment, generator: torch.Generator, *, square: bool) -> Tensor:
    """A view (num,) for each image, of `Augment.views`: the draws by which a batch is flipped and turned."""
    mirrored, turns = _flips_and_turns(num, augment, square, generator)
    return torch.from_numpy(mirrored * 4 + turns)


def as_viewed(pixels_nHW: Tensor, view: int) -> Tensor:
    """Images or masks, of any leading dimensions, in one of `Augment.views`."""
    flipped = pixels_nHW.flip(-1) if view >= 4 else pixels_nHW
    return flipped.rot90(view % 4, (-2, -1))


def _affine_maps(num: int, augment: Augment, square: bool, generator: torch.Generator) -> Tensor:
    """Maps (N, 2, 3) from a pixel of the result to one of the source, both from their middles, x before y.

    The first two columns are pixel to pixel; the last is a shift in parts of the result's sides.
    """
    mirrored, turns = _flips_and_turns(num, augment, square, generator)
    tilt, zoom, *shift = (_uniform(num, generator) for _ in range(4))
    # In float32 as the draws are, and by numpy: of so few numbers torch takes twice as long.
    angle = tilt * math.radians(augment.rotate_deg) + turns.astype(np.float32) * (math.pi / 2)
    zoom, sign = 1 + zoom * augment.scale, (1 - 2 * mirrored).astype(np.float32)
    cos, sin = (part(torch.from_numpy(angle)).numpy() / zoom for part in (torch.cos, torch.sin))
    maps = [[sign * cos, -sign * sin, shift[0] * augment.shift], [sin, cos, shift[1] * augment.shift]]
    return torch.from_numpy(np.array(maps).transpose(2, 0, 1))


def _uniform(num: int, generator: torch.Generator) -> np.ndarray:
    """Draws from -1 to 1, float32."""
    return torch.rand(num, generator=generator).numpy() * 2 - 1


def warp(
    images_NCHW: Tensor, masks_NHW: Tensor | None, maps_N23: Tensor, *, size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor | None]:
    """Image (bilinear) and mask (nearest) looked up through the same maps; see `_affine_maps` for their form."""
    height, width = images_NCHW.shape[2:]
    out_height, out_width = size_hw
    # grid_sample measures in half sides, so a map in pixels is scaled by the sides it leads from and to.
    maps, into = maps_N23.numpy(), np.array([2 / width, 2 / height], np.float32)[:, None]
    theta = np.empty_like(maps)
    theta[:, :, :2] = maps[:, :, :2] * into * np.array([out_width / 2, out_height / 2], np.float32)
    theta[:, :, 2:] = maps[:, :, 2:] * into * np.array([out_width, out_height], np.float32)[:, None]
    grid = _grid(on_device(torch.from_numpy(theta), images_NCHW.device), size_hw)
    images = F.grid_sample(images_NCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if masks_NHW is None:
        return images, None
    # Zeros are filled in from outside: counting from IGNORE makes them IGNORE. Exact, as whole floats are.
    counted = masks_NHW[:, None].float().sub_(IGNORE)
    looked_up = F.grid_sample(counted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return images, looked_up[:, 0].add_(IGNORE).to(masks_NHW.dtype)


def _grid(theta_N23: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Where each pixel of a result looks, (N, h, w, 2), as `F.affine_grid` has it but for rounding.

    That is a product of matrices with three columns, and takes 7 times as long: 2.6 times as long as the lookup itself.
    """
    y_h, x_w = (_middles(side, theta_N23.device) for side in size_hw)
    grid = torch.empty((len(theta_N23), *size_hw, 2), device=theta_N23.device)
    for axis in (0, 1):
        by_x, by_y, middle = theta_N23[:, axis, :, None, None].unbind(1)
        # All but the last sum is of numbers that lie one behind the other.
        torch.add(by_x * x_w + by_y * y_h[:, None], middle, out=grid[..., axis])
    return grid


@lru_cache(maxsize=64)
def _middles(side: int, device: torch.device) -> Tensor:
    """Of the pixels of a side, in half sides from its middle."""
    return (
        torch.linspace(-1, 1, side, device=device) * (side - 1) / side
        if side > 1
        else torch.zeros(1, device=device)
    )


def _tones(images_NCHW: Tensor, augment: Augment, generator: torch.Generator) -> Tensor:
    """Contrast about the mean of each image, brightness, blur and noise, in units of the normalised values."""
    device = images_NCHW.device

    def each(num: int) -> Tensor:
        return on_device(torch.from_numpy(_uniform(num, generator)), device)[:, None, None, None]

    num = len(images_NCHW)
    if augment.contrast:
        middle = images_NCHW.mean((2, 3), keepdim=True)
        images_NCHW = (images_NCHW - middle).mul_(1 + each(num) * augment.contrast).add_(middle)
    if augment.brightness:
        images_NCHW = images_NCHW + each(num) * augment.brightness
    if augment.blur_px:
        sigma_N = torch.rand(num, generator=generator) * augment.blur_px
        images_NCHW = blurred(images_NCHW, sigma_N)
    if augment.noise:
        drawn = on_device(torch.rand(num, generator=generator), device)
        strength = drawn[:, None, None, None] * augment.noise
        images_NCHW = normal_like(images_NCHW, generator).mul_(strength).add_(images_NCHW)
    return images_NCHW


def normal_like(images_NCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise, drawn on the device of the images: too much of it to send there."""
    seed = int(torch.randint(0, 2**62, (1,), generator=generator).item())
    there = torch.Generator(images_NCHW.device).manual_seed(seed)
    return torch.randn(images_NCHW.shape, generator=there, device=images_NCHW.device)


def blurred(images_NCHW: Tensor, sigma_N: Tensor) -> Tensor:
    """Each image under its own Gaussian of `sigma_N` pixels (0: as it was); the edge pixels are repeated outward."""
    num, channels, height, width = images_NCHW.shape
    radius = max(1, math.ceil(3 * float(sigma_N.max())))
    sigma_N = on_device(sigma_N, images_NCHW.device)  # only now: reading it there would wait for the device
    steps = torch.arange(-radius, radius + 1, device=images_NCHW.device, dtype=torch.float32)
    kernels = torch.exp(-(steps**2) / (2 * sigma_N.clamp(min=1e-3)[:, None] ** 2))
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    stacked = images_NCHW.reshape(1, num * channels, height, width)
    padded = F.pad(stacked, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernels[:, :, None, :], groups=num * channels)
    return F.conv2d(across, kernels[:, :, :, None], groups=num * channels).reshape(images_NCHW.shape)
