"""Slices of a brain under X-rays: background, blood vessels, cells and axons, twelve in a row from one region.

Drawn in three dimensions, because what matters of slices is that neighbours look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from foldwise.data.phantoms.canvas import (
    Drawn,
    Plane,
    as_plane,
    axes,
    between,
    camera,
    clouds,
    generator,
    soft,
    uniform,
)

SLICES_PER_PLACE = 12
BACKGROUND, VESSEL, CELL, AXON = range(4)
STEP = 1 / 48  # from one slice to the next, as a part of a side


@dataclass(frozen=True)
class Region:
    """What the slices of one place share. Lengths are parts of a side, z counts from the first slice.

    Attributes:
        cells: (N, 4) z, y, x and radius of round cells.
        vessels: (N, 6) y and x where a vessel crosses the first slice, how far both go a slice, its radius, and the
            phase of its bends.
        tracts: (SLICES_PER_PLACE, H, W) soft noise of deviation 1; axons run where it is highest.
        share: of the pixels that axons take.
        angle: of the axons, in radians.
    """

    cells: NDArray[np.float64]
    vessels: NDArray[np.float64]
    tracts: Plane
    share: float
    angle: float


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: a grey slice; mask 0 background, 1 blood vessel, 2 cell, 3 axon; twelve a region."""
    number, slice_ = divmod(index, SLICES_PER_PLACE)
    region = _region(number, size, seed)
    look = generator(seed, "tissue", number, "look")  # of the place, so that it goes on from slice to slice
    rng = generator(seed, "tissue", number, "slice", slice_)
    edge = between(0.6, 1.6, difficulty)
    vessels, cells = _vessels(region, slice_, size), _cells(region, slice_, size)
    tracts = region.tracts[slice_]
    axons = as_plane((np.quantile(region.tracts, 1 - region.share) - tracts) * 0.12 * size)
    contrast = between(1.0, 0.4, difficulty)
    light = np.full((size, size), 0.42, np.float32)
    light += contrast * soft(axons, edge) * (0.17 + 0.07 * _fibres(look, region.angle, size))
    for distance, height in ((cells, 0.30), (vessels, -0.30)):  # in front of what they lie in
        inside = soft(distance, edge)
        light = light * (1 - inside) + inside * (0.42 + contrast * height)
    # The nucleus of a cell is darker than its body.
    light -= contrast * 0.10 * soft(cells + 0.035 * size, edge)
    light += between(0.01, 0.035, difficulty) * clouds(look, size, size / 6)
    mask = np.where(axons < 0, AXON, BACKGROUND)
    mask = np.where(cells < 0, CELL, mask)
    mask = np.where(vessels < 0, VESSEL, mask).astype(np.uint8)
    image = camera(rng, as_plane(light), difficulty, blur=(0.5, 0.5), read=(0.02, 0.07), shot=(0.02, 0.07))
    return Drawn(image, f"place_{number:03d}", mask=mask)


@lru_cache(maxsize=4)
def _region(number: int, size: int, seed: int) -> Region:
    rng = generator(seed, "tissue", number)
    depth = SLICES_PER_PLACE * STEP
    # Some cells at every depth, so that no slice lacks them.
    cells = [
        (z, *rng.uniform(0.05, 0.95, 2), rng.uniform(0.055, 0.095))
        for z in np.arange(-STEP, depth + STEP, 0.05)
        for _ in range(rng.integers(1, 4))
    ]
    vessels = []
    for _ in range(rng.integers(2, 5)):
        start, direction = rng.uniform(0.15, 0.85, 2), rng.normal(0, 0.6, 2)
        vessels.append((*start, *direction, rng.uniform(0.04, 0.075), rng.uniform(0, 2 * np.pi)))
    # As smooth across slices as within them.
    blur = size * np.array([0.09 / (STEP * size), 0.09, 0.09])
    noise = rng.standard_normal((SLICES_PER_PLACE, size, size), dtype=np.float32)
    tracts = ndimage.gaussian_filter(noise, blur, mode="reflect")
    tracts = as_plane(tracts / tracts.std())
    return Region(
        np.array(cells), np.array(vessels), tracts, **uniform(rng, share=(0.22, 0.54), angle=(0, np.pi))
    )


def _cells(region: Region, slice_: int, size: int) -> Plane:
    """Distance in pixels to the rim of the nearest cell that the slice cuts, negative inside."""
    y, x = axes(size)
    nearest = np.full((size, size), float(size), np.float32)
    for z, row, column, radius in region.cells:
        cut = radius**2 - (z - slice_ * STEP) ** 2
        if cut > 0:
            here = np.hypot(y - row * size, x - column * size) - np.sqrt(cut) * size
            nearest = np.minimum(nearest, as_plane(here))
    return nearest


def _vessels(region: Region, slice_: int, size: int) -> Plane:
    """Distance in pixels to the wall of the nearest vessel, negative inside; slanted ones are cut as ellipses."""
    y, x = axes(size)
    nearest = np.full((size, size), float(size), np.float32)
    for row, column, down, right, radius, phase in region.vessels:
        far = slice_ * STEP
        centre = row + down * far + 0.02 * np.sin(8 * far + phase), column + right * far
        away = y - centre[0] * size, x - centre[1] * size
        slant = np.hypot(down, right)
        along = (away[0] * down + away[1] * right) / max(slant, 1e-9)
        across = (away[1] * down - away[0] * right) / max(slant, 1e-9)
        here = np.hypot(along / np.sqrt(1 + slant**2), across) - radius * size
        nearest = np.minimum(nearest, as_plane(here))
    return nearest


def _fibres(rng: np.random.Generator, angle: float, size: int) -> Plane:
    """Stripes along `angle`, within -1 to 1: axons side by side."""
    y, x = axes(size)
    across = x * np.sin(angle) - y * np.cos(angle) + 1.5 * clouds(rng, size, size / 5)
    return as_plane(np.sin(2 * np.pi * across / max(4.0, size / 14)))
