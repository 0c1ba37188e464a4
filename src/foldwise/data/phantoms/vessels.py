"""Photographs of a retina: round field, optic disc, branching and tapering vessels; binary masks.

Two pictures in a row are the left and the right eye of one person, who is their group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

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
    specks,
    uniform,
)

FINE = 4  # vessels are drawn this many times finer, and averaged
STEP = 0.022  # of the picture's side, per segment of a vessel
THINNEST = 0.0058  # of the side: a branch ends when it is thinner


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


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
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
        next_y, next_x = y + STEP * np.sin(heading), x + STEP * np.cos(heading)
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
