"""Images of any size through a network: whole as far as memory allows, and beyond that in tiles that give the same.

A tile differs from the whole in two ways. Where it does not start at a multiple of the stride, the network halves
other pairs of pixels: of random networks a quarter to a half of the decisions change. And at its border a network
misses what it would have seen beyond: of encoders of 18 layers 2 % of the decisions 128 pixels inside, 0.005 % from
256 on. So tiles start at multiples of the stride, and what lies within `MARGIN_PX` of a border that is not the image's
is not used. Networks that look farther (at means of the whole image, as GroupNorm, squeeze-and-excitation and pyramid
pooling do, at every patch, or at the corners, as enlarging with `align_corners` does) cannot be had from tiles at
all: for these `BUDGET_BYTES` is as large as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from foldwise.learning.networks.tensor_memory import TensorMemory

LARGEST_PX = 1024  # longest side that is passed in batches, and the least side of a tile
BUDGET_BYTES = 4 * 2**30  # of one image; the same on every machine, as it decides what a network sees
MARGIN_PX, RAMP_PX = 256, 64  # of a tile at each inner border: not used, and blended with its neighbour
ROWS_PX = 256  # that are handed over together
STRIDE_PX = 32  # of most encoders; networks of users do not say theirs
_ASSUMED_BYTES_PER_PX = 1024.0  # of a network that cannot be followed; U-Nets of 32 feature maps need 952
# The smaller side of two that are followed; the state-space model takes a second from 64.
_FOLLOWED_PX = 64, 128


@dataclass(frozen=True)
class Need:
    """The memory that one image takes on its way through a network, by its number of pixels.

    Attributes:
        bytes_per_px: of all that is kept at the same time, in float32.
        bytes_per_px2: of the largest table of every place by every other one, as attention makes. Some devices never
            write it down; it counts all the same, as the work grows like it.
    """

    bytes_per_px: float
    bytes_per_px2: float = 0.0

    def bytes(self, height: int, width: int) -> float:
        """Of an image of this size."""
        return self.bytes_per_px * height * width + self.bytes_per_px2 * (height * width) ** 2

    def side_px(self, step: int) -> int:
        """The largest square within `BUDGET_BYTES`, in multiples of `step`; at least `LARGEST_PX`, and what tiles need."""
        side = max(-(-LARGEST_PX // step) * step, least_side_px(step))
        while self.bytes(side + step, side + step) <= BUDGET_BYTES:
            side += step
        return side


def is_large(images_NCHW: Tensor) -> bool:
    """Whether a side is longer than goes through a network in batches; such images go one by one."""
    return max(images_NCHW.shape[2:]) > LARGEST_PX


def each_alone(
    network: nn.Module,
    images_NCHW: Tensor,
    *,
    blended: Callable[[Tensor], Tensor] = nn.Identity(),  # noqa: B008  # without state
    back: Callable[[Tensor], Tensor] = nn.Identity(),  # noqa: B008
) -> Tensor:
    """What a network makes of large images, (N, K, H, W) float32: one by one, whole or in tiles.

    Args:
        network: (1, C, h, w) to (1, K, h, w).
        images_NCHW: the images, of any size.
        blended: outputs to what neighbouring tiles may be blended as, for example logits to probabilities.
        back: the reverse of it.
    """
    images = images_NCHW.split(1)
    side_px = tile_px(network, images_NCHW.shape)
    if side_px is None:
        return torch.cat([network(image).float() for image in images])
    step = step_of(network)
    return back(
        torch.cat(
            [
                tiled(lambda tile: blended(network(tile).float()), image, side_px=side_px, step=step)
                for image in images
            ]
        )
    )


def tile_px(network: nn.Module, shape_NCHW: tuple[int, ...]) -> int | None:
    """The side of the tiles that images of this shape go through a network in; None where they go whole."""
    channels, height, width = shape_NCHW[1:]
    if max(height, width) <= LARGEST_PX:
        return None
    need = need_of(network, channels)
    return None if need.bytes(height, width) <= BUDGET_BYTES else need.side_px(step_of(network))


def step_of(network: nn.Module) -> int:
    """What tiles start at multiples of, in pixels: a multiple of the network's stride."""
    return math.lcm(STRIDE_PX, int(getattr(network, "multiple", 1)))


def tiled(
    outputs_of: Callable[[Tensor], Tensor],
    image_1CHW: Tensor,
    *,
    side_px: int,
    step: int = STRIDE_PX,
    margin_px: int = MARGIN_PX,
    ramp_px: int = RAMP_PX,
) -> Tensor:
    """What `outputs_of` makes of an image, (1, K, H, W), put together from overlapping tiles.

    Args:
        outputs_of: (1, C, h, w) to (1, K, h, w).
        image_1CHW: the image, of any size.
        side_px: of a tile; more than twice the margin and the ramp. A smaller image is one tile.
        step: tiles start at multiples of it; the last one is up to `step` longer than the others.
        margin_px: what is not used at a border of a tile that is not the image's.
        ramp_px: over how many pixels beyond the margin one tile passes into the next.
    """
    parts = bands(
        lambda top, bottom, left, right: image_1CHW[:, :, top:bottom, left:right],
        outputs_of,
        (image_1CHW.shape[2], image_1CHW.shape[3]),
        side_px=side_px,
        step=step,
        margin_px=margin_px,
        ramp_px=ramp_px,
    )
    return torch.cat([part for _, _, part in parts], dim=2)


@dataclass(frozen=True)
class Carried:
    """What rows of tiles that are done leave to the next one.

    Attributes:
        rows: how many of tiles are done.
        first: the first row of pixels that was not given out.
        total, weight: sums (1, K, h, W) and weights (h, W) of the rows of pixels from there on.
    """

    rows: int
    first: int
    total: Tensor
    weight: Tensor


def bands(  # noqa: PLR0913 - each is a thing of its own
    window: Callable[[int, int, int, int], Tensor],
    outputs_of: Callable[[Tensor], Tensor],
    size_hw: tuple[int, int],
    *,
    side_px: int,
    step: int = STRIDE_PX,
    margin_px: int = MARGIN_PX,
    ramp_px: int = RAMP_PX,
    begun: Carried | None = None,
    carry: Callable[[Carried], None] = lambda _: None,
) -> Iterator[tuple[int, int, Tensor]]:
    """What `tiled` gives, from top to bottom: first row, the row after the last, and (1, K, rows, W).

    In memory are one row of tiles of the output, and one tile of the image.

    Args:
        window: the part (1, C, h, w) of the image from a top to before a bottom, and from a left to before a right.
        begun, carry: where to go on, by default from the top; called with where it could go on from, after each row.

    Raises:
        ValueError: the tiles are so small that nothing is left of them between their margins.
    """
    (height, width), overlap_px = size_hw, 2 * margin_px + ramp_px
    if side_px <= (least := overlap_px + step) and max(size_hw) > side_px:
        what = f"tiles of {side_px} pixels leave nothing between their margins"
        raise ValueError(f"{what}: at least {least + 1}")
    rows_of_tiles = list(_spans(height, side_px, overlap_px, step))
    done = begun.rows if begun else 0
    total, weight_HW, first = (begun.total, begun.weight, begun.first) if begun else (None, None, 0)
    spans = list(zip(rows_of_tiles, [*rows_of_tiles[1:], (height, height)], strict=True))
    for number, ((top, bottom), (after, _)) in enumerate(spans[done:], done + 1):
        for left, right in _spans(width, side_px, overlap_px, step):
            output = outputs_of(window(top, bottom, left, right)).float()
            if total is None or weight_HW is None:
                total, weight_HW = output.new_zeros(*output.shape[:2], 0, width), output.new_zeros(0, width)
            total, weight_HW = (_lengthened(part, bottom - first) for part in (total, weight_HW))
            rows = _weights(top, bottom, height, margin_px, ramp_px)
            weight_hw = (rows[:, None] * _weights(left, right, width, margin_px, ramp_px)).to(output.device)
            total[:, :, top - first : bottom - first, left:right] += output * weight_hw
            weight_HW[top - first : bottom - first, left:right] += weight_hw
        assert total is not None and weight_HW is not None  # noqa: PT018 - an image has at least one tile
        num = after - first  # rows that no other tile reaches
        for start in range(0, num, ROWS_PX):  # few at a time, as whoever takes them makes more of each
            stop = min(start + ROWS_PX, num)
            yield first + start, first + stop, total[:, :, start:stop] / weight_HW[start:stop]
        # Copies: a view would keep the rows above in memory.
        total, weight_HW, first = total[:, :, num:].clone(), weight_HW[num:].clone(), after
        if first < height:
            carry(Carried(number, first, total, weight_HW))


def num_tiles(size_hw: tuple[int, int], side_px: int, step: int) -> int:
    """How many tiles an image of this size is put together from."""
    overlap_px = 2 * MARGIN_PX + RAMP_PX
    return math.prod(sum(1 for _ in _spans(length, side_px, overlap_px, step)) for length in size_hw)


def _lengthened(part: Tensor, num: int) -> Tensor:
    """The same with zeros below, so that it has so many rows."""
    short = num - part.shape[-2]
    return nn.functional.pad(part, (0, 0, 0, short)) if short else part


def least_side_px(step: int) -> int:
    """The smallest tile, in multiples of `step`, of which something is left between its margins."""
    return ((2 * MARGIN_PX + RAMP_PX) // step + 2) * step


def even_side_px(size_hw: tuple[int, int], largest: int, step: int) -> int:
    """The smallest side, in multiples of `step`, of which no more tiles are needed than of the `largest`.

    Of 6,000 pixels square, 16 tiles of 1,984 in place of 2,048 pixels are 6 % less work.
    """
    overlap_px, sides = 2 * MARGIN_PX + RAMP_PX + step, []
    for length in size_hw:
        num = 1 if length <= largest else 1 + -(-(length - largest) // (largest - overlap_px))
        sides.append(-(-(length + (num - 1) * overlap_px) // num))
    return min(largest, -(-max(sides) // step) * step)


def _spans(length: int, side: int, overlap: int, step: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of tiles that cover `length`, evenly spread; starts are multiples of `step`."""
    if length <= side:
        yield 0, length
        return
    # Rounding a start down takes up to a step from an overlap.
    num = 1 + -(-(length - side) // (side - overlap - step))
    for number in range(num - 1):
        start = number * (length - side) // (num - 1) // step * step
        yield start, start + side
    yield (length - side) // step * step, length


def _weights(start: int, end: int, length: int, margin: int, ramp: int) -> Tensor:
    """Weights (end - start,) of a tile along one side: 0 in the margins, 1 in the middle and up to the image's border."""
    index = torch.arange(start, end)
    before = torch.full_like(index, ramp + 1) if start == 0 else index - start + 1 - margin
    after = torch.full_like(index, ramp + 1) if end == length else end - index - margin
    return (torch.minimum(before, after) / (ramp + 1)).clamp(0.0, 1.0)


def need_of(network: nn.Module, channels: int) -> Need:
    """The memory an image of so many channels takes, followed through the network on two small ones without numbers."""
    needs = _NEEDS.setdefault(network, {})
    if channels not in needs:
        needs[channels] = Need(_ASSUMED_BYTES_PER_PX)
        for side in _FOLLOWED_PX:
            # Not every network takes so small an image, and not every one can be asked without numbers.
            with suppress(Exception):
                needs[channels] = _followed(network, channels, side)
                break
    return needs[channels]


_NEEDS: WeakKeyDictionary[nn.Module, dict[int, Need]] = WeakKeyDictionary()


def _followed(network: nn.Module, channels: int, side: int) -> Need:
    step = step_of(network)
    side = -(-side // step) * step
    small, large = _follow(network, channels, side), _follow(network, channels, 2 * side)
    area = (2 * side) ** 2
    # Of four times the pixels four times the bytes; what grows faster is a table of places by places.
    steep = [num for name, num in large.largest.items() if num > 8 * small.largest.get(name, num)]
    return Need(large.most / area, max(steep, default=0) / area**2)


def _follow(network: nn.Module, channels: int, side: int) -> TensorMemory:
    state = [*network.named_parameters(), *network.named_buffers()]
    # Without numbers nothing is computed, and statistics of batch norm that may be moving are not moved.
    blank = {name: values.to("meta") for name, values in state}
    with torch.inference_mode(), TensorMemory() as memory:
        functional_call(network, blank, (torch.empty(1, channels, side, side, device="meta"),))
    return memory
