"""Images too large for one pass, seen through overlapping tiles that are blended where they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

LARGEST_PX = 1024  # longest side that is passed through a network whole
TILE_PX, OVERLAP_PX = 512, 64


def is_large(images_NCHW: Tensor, largest_px: int = LARGEST_PX) -> bool:
    """Whether a side is longer than is passed through a network whole."""
    return max(images_NCHW.shape[2:]) > largest_px


def tiled(
    function: Callable[[Tensor], Tensor],
    images_NCHW: Tensor,
    *,
    tile_px: int = TILE_PX,
    overlap_px: int = OVERLAP_PX,
) -> Tensor:
    """The output (N, K, H, W) of `function`, from tiles weighted down towards the edges they share.

    Args:
        function: takes (N, C, h, w), gives (N, K, h, w); for example images to probabilities.
        images_NCHW: the images, any size.
        tile_px: side of a tile; smaller images are one tile.
        overlap_px: pixels two neighbours share at least.
    """
    height, width = images_NCHW.shape[2:]
    total: Tensor | None = None
    weight_HW = torch.zeros(height, width, device=images_NCHW.device)
    for top, bottom in _spans(height, tile_px, overlap_px):
        for left, right in _spans(width, tile_px, overlap_px):
            output = function(images_NCHW[:, :, top:bottom, left:right]).float()
            if total is None:
                total = output.new_zeros(output.shape[0], output.shape[1], height, width)
            ramps = [_ramp(length, overlap_px).to(output.device) for length in (bottom - top, right - left)]
            weight_hw = ramps[0][:, None] * ramps[1][None]
            total[:, :, top:bottom, left:right] += output * weight_hw
            weight_HW[top:bottom, left:right] += weight_hw
    assert total is not None  # an image has at least one tile
    return total / weight_HW


def _spans(length: int, tile_px: int, overlap_px: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of evenly spread tiles that cover `length`."""
    if length <= tile_px:
        yield 0, length
        return
    num = -(-(length - overlap_px) // (tile_px - overlap_px))
    for number in range(num):
        start = round(number * (length - tile_px) / (num - 1))
        yield start, start + tile_px


def _ramp(length: int, overlap_px: int) -> Tensor:
    """Weights that rise from both ends over the overlap; never 0, so that the image's own edge counts too."""
    from_edge = torch.minimum(torch.arange(1, length + 1), torch.arange(length, 0, -1))
    return (from_edge / (overlap_px + 1)).clamp(max=1.0)
