"""Pictures of organs: photographs of a retina with its vessels, and slices of a brain under X-rays.

A retina has a round field, an optic disc, and branching and tapering vessels (binary masks); two pictures in a row are
the left and the right eye of one person, who is their group. A slice has background, blood vessels, cells and axons,
and twelve in a row are of one region, drawn in three dimensions, because what matters of slices is that neighbours
look alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from foldwise.data.phantoms.canvas import (
    Drawn,
    Plane,
    as_plane,
    averaged,
    axes,
    between,
    camera,
    clouds,
    generator,
    slope,
    soft,
    specks,
    uniform,
)

FINE = 4  # vessels are drawn this many times finer, and averaged
SEGMENT = 0.022  # of the picture's side, per segment of a vessel
# A branch ends when it is thinner; in parts of the side.
THINNEST = 0.0058
SLICES_PER_PLACE = 12
BACKGROUND, VESSEL, CELL, AXON = range(4)
SLICE_STEP = 1 / 48  # from one slice to the next, as a part of a side


@dataclass(frozen=True)
class Person:
    """What the two eyes of one person share: pigment, and how their vessels wind."""

    colour: tuple[float, float, float]
    winding: float
    thickness: float
    disc: float
    pigment: float


@dataclass(frozen=True)
class Tip:
    """The growing end of a vessel: place and width in parts of the side, heading in radians."""

    y: float
    x: float
    heading: float
    width: float
    bend: float
    depth: int


def draw_vessels(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: RGB, with mask 1 on vessels; even numbers are left eyes."""
    number, left = index // 2, index % 2 == 0
    person = _person(generator(seed, "vessels", "person", number))
    rng = generator(seed, "vessels", "eye", index)
    disc = (0.5 + float(rng.normal(0, 0.02)), 0.5 + (-1 if left else 1) * float(rng.uniform(0.10, 0.19)))
    y, x = axes(size)
    # 1 inside the round field of view, 0 outside.
    radius = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2)
    field = as_plane(np.clip(0.475 * size - radius + 0.5, 0, 1))
    arteries, veins = (_tree(rng, person, disc, left=left, wide=wide, size=size) for wide in (0.75, 1.0))
    cover = np.maximum(arteries, veins)
    light = _fundus(rng, person, disc, size, difficulty)
    strength = between(1.0, 0.55, difficulty)
    light *= _absorb(arteries, (0.10, 0.38, 0.28), strength) * _absorb(veins, (0.24, 0.55, 0.38), strength)
    light *= (field * between(1.0, 0.9, difficulty))[..., None]
    image = camera(
        rng, as_plane(light), difficulty, blur=(0.3, 0.75), read=(0.004, 0.012), shot=(0.010, 0.048)
    )
    # Outside the field the sensor is nearly black, but not noise-free.
    image[field < 0.02] //= 6
    mask = ((cover >= 0.36) & (field > 0.5)).astype(np.uint8)
    return Drawn(image, f"person-{number:03d}", mask=mask)


def _person(rng: np.random.Generator) -> Person:
    red = rng.uniform(0.72, 0.98)
    colour = float(red), float(red * rng.uniform(0.40, 0.56)), float(red * rng.uniform(0.12, 0.24))
    sizes = uniform(
        rng, winding=(0.08, 0.2), thickness=(0.024, 0.031), disc=(0.060, 0.078), pigment=(0.03, 0.08)
    )
    return Person(colour, **sizes)


def _macula(disc: tuple[float, float]) -> tuple[float, float]:
    """The place of sharpest sight (y, x), on the other side of the middle from the disc, in parts of the side."""
    return disc[0] + 0.02, disc[1] + (0.29 if disc[1] < 0.5 else -0.29)


def _fundus(
    rng: np.random.Generator, person: Person, disc: tuple[float, float], size: int, difficulty: float
) -> NDArray[np.float32]:
    """The ground of the eye without vessels, (size, size, 3): pigment, optic disc, macula, lighting, spots."""
    y, x = axes(size)
    bright = 1 + person.pigment * (0.5 * clouds(rng, size, size / 5) + 0.35 * clouds(rng, size, size / 28))
    bright *= 1.05 - between(0.35, 0.5, difficulty) * (((y / size - 0.5) ** 2 + (x / size - 0.5) ** 2) / 0.25)
    bright *= 1 + between(0.04, 0.26, difficulty) * slope(rng, size)
    macula = _macula(disc)
    away = np.hypot(y / size - macula[0], x / size - macula[1])
    bright *= 1 - 0.28 * np.exp(-((away / 0.085) ** 2))
    light = bright[..., None] * np.array(person.colour, np.float32)
    near = np.hypot((y / size - disc[0]) * 0.92, x / size - disc[1])
    rim = 1 / (1 + np.exp((near - person.disc) / 0.009))
    cup = np.exp(-((near / (0.55 * person.disc)) ** 2))
    glow = (0.75 * rim + 0.25 * cup)[..., None] * np.array([0.16, 0.46, 0.30], np.float32)
    return as_plane(light + glow + _lesions(rng, size, difficulty))


def _lesions(rng: np.random.Generator, size: int, difficulty: float) -> NDArray[np.float32]:
    """Bright deposits and dark bleedings, which are no vessels, (size, size, 3)."""
    bright, dark = np.zeros((2, size, size), np.float32)
    for plane in (bright, dark):
        often, look = 9 * difficulty**2, {"radius": (0.006, 0.015), "height": (0.3, 0.9)}
        specks(rng, plane, often, **look, scale=size, within=(0.15, 0.85))
    yellow, red = np.array([0.15, 0.35, 0.12], np.float32), np.array([0.12, 0.22, 0.06], np.float32)
    return bright[..., None] * yellow - dark[..., None] * red


def _absorb(cover: Plane, colour: tuple[float, float, float], strength: float) -> NDArray[np.float32]:
    """The part of red, green and blue light that comes back through vessels covering `cover` of a pixel."""
    return as_plane(1 - strength * cover[..., None] * np.array(colour, np.float32))


def _tree(
    rng: np.random.Generator, person: Person, disc: tuple[float, float], *, left: bool, wide: float, size: int
) -> Plane:
    """The part of every pixel that vessels cover: four arcades from the disc and all their branches."""
    canvas = Image.new("L", (size * FINE, size * FINE))
    pen = ImageDraw.Draw(canvas)
    tips = _arcades(rng, person, disc, left=left, wide=wide)
    while tips:
        tips.extend(_extend(rng, tips.pop(), pen, (size * FINE, person.winding), _macula(disc)))
    return averaged(canvas, FINE)


def _arcades(
    rng: np.random.Generator, person: Person, disc: tuple[float, float], *, left: bool, wide: float
) -> list[Tip]:
    """Upper and lower trunks: the outer ones bow around the macula, the inner ones leave more straight."""
    tips = []
    toward_macula = 0.0 if left else np.pi
    for up in (-1, 1):
        for away, bend in ((1.25, -0.062), (2.25, 0.012)):
            turn = up * (1 if left else -1)
            heading = toward_macula + turn * (away + rng.normal(0, 0.16))
            width = person.thickness * wide * rng.uniform(0.8, 1.0) * (1.0 if away < 2 else 0.75)
            tips.append(Tip(disc[0], disc[1], float(heading), float(width), float(turn * bend), 0))
    for _ in range(2):
        heading = toward_macula + rng.normal(0, 0.4) + rng.choice([0, np.pi])
        tips.append(Tip(disc[0], disc[1], float(heading), 0.4 * person.thickness * wide, 0.0, 2))
    return tips


def _extend(
    rng: np.random.Generator,
    tip: Tip,
    pen: ImageDraw.ImageDraw,
    scale: tuple[int, float],
    macula: tuple[float, float],
) -> list[Tip]:
    """Draw one vessel to its end, and return the branches that leave it.

    Args:
        scale: the side of the canvas in pixels, and how much a vessel winds.
        macula: no vessel grows into this place.
    """
    side, winding = scale
    branches: list[Tip] = []
    y, x, heading, width, bow = tip.y, tip.x, tip.heading, tip.width, 0.0
    while (
        width > THINNEST
        and np.hypot(y - 0.5, x - 0.5) < 0.5
        and np.hypot(y - macula[0], x - macula[1]) > 0.075
    ):
        bow = 0.5 * bow + rng.normal(0, winding)
        heading += tip.bend + 0.6 * bow
        next_y, next_x = y + SEGMENT * np.sin(heading), x + SEGMENT * np.cos(heading)
        pen.line(
            (x * side, y * side, next_x * side, next_y * side), fill=255, width=max(1, round(width * side))
        )
        y, x = next_y, next_x
        # A round end, so that bends have no notches.
        radius = width * side / 2
        pen.ellipse((x * side - radius, y * side - radius, x * side + radius, y * side + radius), fill=255)
        width *= 0.975
        if tip.depth < 4 and rng.random() < 0.15:
            # Murray 1926: the cubes of the daughters' widths add up to the cube of the mother's.
            share = rng.uniform(0.2, 0.5)
            turn = rng.choice([-1, 1]) * rng.uniform(0.5, 1.05)
            branches.append(Tip(y, x, heading + turn, width * share ** (1 / 3), 0.0, tip.depth + 1))
            width *= (1 - share) ** (1 / 3)
            heading -= 0.25 * turn
    return branches


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


def draw_tissue(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: a grey slice; mask 0 background, 1 blood vessel, 2 cell, 3 axon; twelve a region."""
    number, slice_ = divmod(index, SLICES_PER_PLACE)
    region = _region(number, size, seed)
    look = generator(seed, "tissue", number, "look")  # of the place, so that it goes on from slice to slice
    rng = generator(seed, "tissue", number, "slice", slice_)
    edge = between(0.6, 1.6, difficulty)
    vessels, cells = _vessel_distance(region, slice_, size), _cell_distance(region, slice_, size)
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
    depth = SLICES_PER_PLACE * SLICE_STEP
    # Some cells at every depth, so that no slice lacks them.
    cells = [
        (z, *rng.uniform(0.05, 0.95, 2), rng.uniform(0.055, 0.095))
        for z in np.arange(-SLICE_STEP, depth + SLICE_STEP, 0.05)
        for _ in range(rng.integers(1, 4))
    ]
    vessels = []
    for _ in range(rng.integers(2, 5)):
        start, direction = rng.uniform(0.15, 0.85, 2), rng.normal(0, 0.6, 2)
        vessels.append((*start, *direction, rng.uniform(0.04, 0.075), rng.uniform(0, 2 * np.pi)))
    # As smooth across slices as within them.
    blur = size * np.array([0.09 / (SLICE_STEP * size), 0.09, 0.09])
    noise = rng.standard_normal((SLICES_PER_PLACE, size, size), dtype=np.float32)
    tracts = ndimage.gaussian_filter(noise, blur, mode="reflect")
    tracts = as_plane(tracts / tracts.std())
    return Region(
        np.array(cells), np.array(vessels), tracts, **uniform(rng, share=(0.22, 0.54), angle=(0, np.pi))
    )


def _cell_distance(region: Region, slice_: int, size: int) -> Plane:
    """Distance in pixels to the rim of the nearest cell that the slice cuts, negative inside."""
    y, x = axes(size)
    nearest = np.full((size, size), float(size), np.float32)
    for z, row, column, radius in region.cells:
        cut = radius**2 - (z - slice_ * SLICE_STEP) ** 2
        if cut > 0:
            here = np.hypot(y - row * size, x - column * size) - np.sqrt(cut) * size
            nearest = np.minimum(nearest, as_plane(here))
    return nearest


def _vessel_distance(region: Region, slice_: int, size: int) -> Plane:
    """Distance in pixels to the wall of the nearest vessel, negative inside; slanted ones are cut as ellipses."""
    y, x = axes(size)
    nearest = np.full((size, size), float(size), np.float32)
    for row, column, down, right, radius, phase in region.vessels:
        far = slice_ * SLICE_STEP
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
