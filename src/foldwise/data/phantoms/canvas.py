"""What every phantom family draws with: seeds, soft noise, outlines and a camera.

Lengths are pixels, brightness runs from 0 to 1 until `camera` turns it into 8 bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Plane = NDArray[np.float32]  # (H, W)


@dataclass(frozen=True)
class Drawn:
    """One picture with its truth.

    Attributes:
        image: uint8, (H, W) grey, (H, W, 3) colour or (4, H, W) channels.
        group: which dish, person or photograph it is of; pictures of one group share its style.
        mask: uint8 class index (H, W); None for classification.
        labels: class indices; empty for segmentation.
    """

    image: NDArray[np.uint8]
    group: str
    mask: NDArray[np.uint8] | None = None
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outline:
    """A closed, star-shaped outline: an ellipse with a wavy rim.

    Attributes:
        y, x: the centre, in pixels.
        radius: geometric mean of the half axes, in pixels.
        stretch: ratio of the half axes, at least 1.
        angle: of the long axis, in radians.
        waves: (order, height as a part of the radius, phase) of each wave of the rim.
    """

    y: float
    x: float
    radius: float
    stretch: float = 1.0
    angle: float = 0.0
    waves: tuple[tuple[int, float, float], ...] = ()

    def distance(self, y: Plane, x: Plane) -> Plane:
        """Distance in pixels from the rim, negative inside; near the rim only approximately Euclidean."""
        along = (x - self.x) * np.cos(self.angle) + (y - self.y) * np.sin(self.angle)
        across = (y - self.y) * np.cos(self.angle) - (x - self.x) * np.sin(self.angle)
        root = np.sqrt(self.stretch)
        along, across = along / root, across * root
        turn = np.arctan2(across, along)
        rim = np.full_like(turn, self.radius)
        for order, height, phase in self.waves:
            rim += self.radius * height * np.cos(order * turn + phase)
        return as_plane(np.hypot(along, across) - rim)

    def around(self, size: int, margin: float) -> tuple[slice, slice]:
        """The part of a size x size picture within `margin` pixels of the outline; may be empty."""
        reach = (
            self.radius * np.sqrt(self.stretch) * (1 + sum(height for _, height, _ in self.waves)) + margin
        )
        return window(self.y, self.x, reach, size)


def as_plane(values: Any) -> Plane:
    """The values as 32-bit floats."""
    return np.asarray(values, np.float32)


def wavy(
    rng: np.random.Generator, centre: tuple[float, float], *, radius: float, stretch: float, rough: float
) -> Outline:
    """An outline at `centre` (y, x) with waves of orders 2 to 5, of height `rough` falling with the order."""
    phases = rng.uniform(0, 2 * np.pi, 4)
    heights = rng.normal(0, rough, 4) / np.arange(1, 5)
    waves = tuple(
        (order, float(abs(h)), float(p)) for order, h, p in zip(range(2, 6), heights, phases, strict=True)
    )
    return Outline(*centre, radius, stretch, float(rng.uniform(0, np.pi)), waves)


def generator(seed: int, *words: str | int) -> np.random.Generator:
    """Random numbers for one named thing, whatever was drawn before it."""
    text = "/".join(str(word) for word in (seed, *words))
    return np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:16], "big"))


def between(easy: float, hard: float, difficulty: float) -> float:
    """The value at `difficulty` (0 to 1) on the straight line from `easy` to `hard`."""
    return easy + (hard - easy) * difficulty


def axes(size: int) -> tuple[Plane, Plane]:
    """The row and the column number of every pixel, each (size, size)."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    return rows, columns


def window(y: float, x: float, reach: float, size: int) -> tuple[slice, slice]:
    """Slices of the pixels within `reach` of (y, x), cut at the border; empty when all is outside."""
    low_y, high_y = max(0, int(y - reach)), min(size, int(y + reach) + 2)
    low_x, high_x = max(0, int(x - reach)), min(size, int(x + reach) + 2)
    return slice(low_y, max(low_y, high_y)), slice(low_x, max(low_x, high_x))


def clouds(rng: np.random.Generator, size: int, scale: float) -> Plane:
    """Soft noise (size, size) with structures of about `scale` pixels; mean about 0, deviation about 1."""
    knots = int(np.ceil(size / scale)) + 3
    field = rng.normal(size=(knots, knots)).astype(np.float32)
    steps = rng.uniform(0, 1, 2)[:, None] + np.arange(size) / scale + 1
    rows, columns = np.meshgrid(steps[0], steps[1], indexing="ij")
    smooth = ndimage.map_coordinates(field, [rows, columns], order=3, mode="nearest")
    # Cubic splines between the knots shrink the deviation to about 0.86.
    return as_plane(smooth / 0.86)


def slope(rng: np.random.Generator, size: int) -> Plane:
    """Uneven lighting (size, size), within about -1 to 1: a tilt in a random direction and a bow."""
    y, x = (2 * axis / size - 1 for axis in axes(size))
    angle, bow = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.5)
    return as_plane(0.8 * (x * np.cos(angle) + y * np.sin(angle)) - bow * (x * x + y * y - 0.67))


def soft(distance: Plane, edge: float) -> Plane:
    """1 inside (negative distance), 0 outside, with a rim about `edge` pixels wide."""
    return as_plane(0.5 - 0.5 * np.tanh(distance / (2 * edge)))


def spot(plane: Plane, centre: tuple[float, float], *, radius: float, height: float) -> None:
    """Add a Gaussian spot to `plane`, in place."""
    part = window(*centre, 3 * radius, len(plane))
    rows = np.exp(-0.5 * ((np.arange(part[0].start, part[0].stop) - centre[0]) / radius) ** 2)
    columns = np.exp(-0.5 * ((np.arange(part[1].start, part[1].stop) - centre[1]) / radius) ** 2)
    plane[part] += (height * rows[:, None] * columns[None, :]).astype(np.float32)


def specks(
    rng: np.random.Generator,
    plane: Plane,
    often: float,
    *,
    radius: tuple[float, float],
    height: tuple[float, float],
    scale: float = 1.0,
    within: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Add random Gaussian spots to `plane`, in place.

    Args:
        often: how many there are on average.
        radius: from least to most, in units of `scale` pixels.
        within: where their centres lie, in parts of the side.
    """
    for _ in range(rng.poisson(often)):
        y, x = rng.uniform(*within, 2) * len(plane)
        spot(plane, (y, x), radius=scale * rng.uniform(*radius), height=rng.uniform(*height))


def uniform(rng: np.random.Generator, **spans: tuple[float, float]) -> dict[str, float]:
    """One number by name from every span, drawn in this order."""
    return {name: float(rng.uniform(*span)) for name, span in spans.items()}


def averaged(canvas: Image.Image, fine: int) -> Plane:
    """What was drawn `fine` times too large as brightness, 0 to 1, so that edges are soft as those of a photograph."""
    return as_plane(canvas.reduce(fine)) / np.float32(255)


def camera(
    rng: np.random.Generator,
    light: Plane,
    difficulty: float,
    *,
    blur: tuple[float, float],
    read: tuple[float, float],
    shot: tuple[float, float],
) -> NDArray[np.uint8]:
    """The picture a camera makes of `light`: blurred, with read and shot noise, 8 bit.

    Each setting is the pair of its values at difficulty 0 and 1.

    Args:
        light: (H, W) or (H, W, 3), 0 to 1.
        blur: deviation of the point spread, pixels.
        read: deviation of the noise that is there in the dark.
        shot: deviation of the noise added at brightness 1; it grows with the root of the light.
    """
    blur_px, dark, bright = (between(*setting, difficulty) for setting in (blur, read, shot))
    sigma = (blur_px, blur_px, 0)[: light.ndim]
    sharp = np.clip(ndimage.gaussian_filter(light, sigma), 0, None)
    deviation = np.sqrt(dark**2 + bright**2 * sharp)
    noisy = sharp + deviation * rng.normal(size=light.shape).astype(np.float32)
    return np.asarray(np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8)
