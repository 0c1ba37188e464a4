"""What the axes of an array in a file mean: one picture, or images in a row. Every reader and every layout asks here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from foldwise.data.formats.pixels import Pixels

MAX_CHANNELS = 16  # an unnamed axis this short is taken as channels; no picture side is
# Axes as tifffile calls them; slices are Z, T, and what a program may invent.
CHANNELS, UNNAMED = frozenset("CS"), frozenset("QI")
OTHERS = CHANNELS | UNNAMED | frozenset("YX?")


@dataclass(frozen=True)
class Axes:
    """One way to read an array.

    Attributes:
        shape: without axes of length 1, but for those of a picture; of images in a row the first counts them.
        channel: the axis of channels in it; None for grey.
        is_named: whether the file says so, not only the lengths.
    """

    shape: tuple[int, ...]
    channel: int | None = None
    is_named: bool = True

    @property
    def num_images(self) -> int:
        """How many images are in a row: channels come before them in (C, N, H, W) only."""
        return self.shape[1 if self.channel == 0 else 0]


def axes_of_array(num_axes: int) -> str:
    """The names of the axes of a plain array, which has none: one more than a picture counts slices or channels."""
    return "QQYX"[4 - num_axes :] if 2 <= num_axes <= 4 else "?" * num_axes


def channel_axis(first: int, last: int) -> int | None:
    """0 if `first`, -1 if `last` is the length that must be channels: short, and shorter than the other; else None."""
    if min(first, last) > MAX_CHANNELS or first == last:
        return None
    return 0 if first < last else -1


def as_picture(shape: tuple[int, ...], axes: str) -> Axes | None:
    """How an array is one picture (H, W), (C, H, W) or (H, W, C); None where it is not, or lengths leave it open."""
    lengths, names = _long(shape, axes)
    if names == "YX":
        return Axes(lengths)
    other = "".join(name for name in names if name not in "YX")
    if len(names) != 3 or len(other) != 1:
        return None
    if other in CHANNELS:
        return Axes(lengths, names.index(other))
    # Of (H, W, C) that was written as pages, each page is a row of the picture, and the names are wrong.
    channel = channel_axis(lengths[0], lengths[-1]) if other in UNNAMED else None
    return None if channel is None else Axes(lengths, channel % 3, is_named=False)


def as_stack(shape: tuple[int, ...], axes: str) -> Axes | None:
    """How an array is images in a row: (N, H, W), (N, H, W, C), (N, C, H, W) or (C, N, H, W); None where it is not.

    One picture is a row of one. Channels are slices where nothing else is: `layout: arrays` may state that.
    """
    # A single image in a row of (1, C, H, W) keeps its axis, as its channels would become slices without.
    lengths, names = _long(shape, axes, keep_first=len(shape) == 4 and axes[1] in UNNAMED)
    if names == "YX":
        return Axes((1, *lengths))
    if names in ("YXS", "YXC", "SYX"):
        return Axes((1, *lengths), 1 if names == "SYX" else 3)
    # Two axes of slices that are named, as those of a film of volumes, are one row.
    if len(names) > 2 and not set(names[:2]) & OTHERS:
        lengths, names = (lengths[0] * lengths[1], *lengths[2:]), names[1:]
    first, others = names[:1], names[1:]
    is_named = first not in OTHERS
    if others == "YX":
        return Axes(lengths, is_named=is_named)
    if first in CHANNELS and len(others) == 3 and others[0] not in OTHERS and others[1:] == "YX":
        return Axes(lengths, 0)
    if len(others) != 3 or first in CHANNELS:
        return None
    if others in ("CYX", "SYX"):
        return Axes(lengths, 1, is_named=is_named)
    if others in ("YXS", "YXC"):
        return Axes(lengths, 3, is_named=is_named)
    channel = channel_axis(lengths[1], lengths[3]) if others in ("QYX", "IYX") else None
    return None if channel is None else Axes(lengths, channel % 4 or 1, is_named=False)


def _long(shape: tuple[int, ...], axes: str, *, keep_first: bool = False) -> tuple[tuple[int, ...], str]:
    """Lengths and names of the axes that say something: those of length 1 do not, but for the sides of a picture."""
    keep = [k for k, n in enumerate(shape) if n > 1 or axes[k] in "YX" or (k == 0 and keep_first)]
    return tuple(shape[k] for k in keep), "".join(axes[k] for k in keep)


@dataclass(frozen=True)
class Stack:
    """Images in a row, as a file stores them.

    Attributes:
        values: (N, H, W), (N, H, W, C), (N, C, H, W) or (C, N, H, W), read-only, and mapped where the file allows it.
        channel: the axis of the channels; None where there is none.
        like: what every slice is, without values: format, bit depth, palette, and the steps that the file asks for.
    """

    values: np.ndarray
    channel: int | None
    like: Pixels

    def __len__(self) -> int:
        """How many images; a plain array (H, W) is one."""
        return 1 if self.values.ndim == 2 else self.values.shape[1 if self.channel == 0 else 0]

    def row(self, index: int) -> np.ndarray:
        """The values of one image, with its channels where they are stored."""
        if self.values.ndim == 2:
            return np.asarray(self.values)
        return np.asarray(self.values[:, index] if self.channel == 0 else self.values[index])

    def slice(self, index: int) -> Pixels:
        """One image, as it is stored, and what the file asks for."""
        array = self.row(index)
        image_CHW = array[None] if self.channel is None else np.moveaxis(array, max(0, self.channel - 1), 0)
        modes = {1: "P" if self.like.has_palette(1) else "L", 3: "RGB"}
        mode = modes.get(len(image_CHW), f"C{len(image_CHW)}")
        return replace(self.like, values=np.ascontiguousarray(image_CHW), mode=mode)

    def marks(self) -> str:
        """What the file says of its values beyond themselves, as text; empty where nothing is. For digests."""
        palette = "" if self.like.palette is None else self.like.palette.tobytes().hex()
        steps = [f"{step.kind} {step.detail}" for step in self.like.steps]
        return "; ".join([*steps, *([palette] if palette else [])])
