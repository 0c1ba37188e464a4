"""Rod-shaped bacteria under phase contrast: dark rods, bright halos, uneven grey ground; binary masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foldwise.data.phantoms.canvas import (
    Drawn,
    Plane,
    as_plane,
    axes,
    between,
    camera,
    clouds,
    generator,
    slope,
    soft,
    spot,
    window,
)

FIELDS_PER_DISH = 3
FAR = 99.0  # pixels: farther than any halo reaches


@dataclass(frozen=True)
class Dish:
    """What the pictures of one dish share: strain and microscope setting."""

    width: float
    length: float
    ground: float
    halo: float
    crowding: float
    lighting: int


@dataclass(frozen=True)
class Rod:
    """A bent capsule, pinched in the middle when it divides; lengths in pixels, angles in radians."""

    y: float
    x: float
    angle: float
    length: float
    width: float
    bend: float
    pinch: float

    def distance(self, y: Plane, x: Plane) -> Plane:
        """Distance in pixels from the wall, negative inside."""
        along = (x - self.x) * np.cos(self.angle) + (y - self.y) * np.sin(self.angle)
        across = (y - self.y) * np.cos(self.angle) - (x - self.x) * np.sin(self.angle)
        across = across - self.bend * (along**2 / self.length - self.length / 12)
        beyond = np.maximum(np.abs(along) - (self.length - self.width) / 2, 0)
        half = self.width / 2 * (1 - self.pinch * np.exp(-((along / 2) ** 2)))
        return as_plane(np.hypot(beyond, across) - half)


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: grey, with mask 1 on bacteria. Three pictures in a row are of one dish."""
    number = index // FIELDS_PER_DISH
    dish = _dish(generator(seed, "bacteria", "dish", number))
    rng = generator(seed, "bacteria", "field", index)
    distance, depth = _grow(rng, dish, size, difficulty)
    lighting = slope(generator(seed, "bacteria", "lamp", dish.lighting), size)
    light = dish.ground + between(0.04, 0.17, difficulty) * lighting
    light += between(0.010, 0.045, difficulty) * clouds(rng, size, 14)
    light += _phase(distance, depth, contrast=between(0.36, 0.15, difficulty), halo=dish.halo)
    light += _dirt(rng, size, difficulty)
    blur, noise = between(0.45, 1.3, difficulty), between(0.012, 0.075, difficulty)
    image = camera(rng, light.astype(np.float32), blur=blur, read=noise, shot=noise)
    return Drawn(image, f"dish-{number:03d}", mask=(distance <= 0).astype(np.uint8))


def _dish(rng: np.random.Generator) -> Dish:
    return Dish(
        width=rng.uniform(4.2, 6.0),
        length=rng.uniform(12, 20),
        ground=rng.uniform(0.44, 0.60),
        halo=rng.uniform(0.45, 0.85),
        crowding=rng.uniform(0.7, 1.3),
        lighting=int(rng.integers(1 << 30)),
    )


def _grow(rng: np.random.Generator, dish: Dish, size: int, difficulty: float) -> tuple[Plane, Plane]:
    """Distance from the nearest wall and darkness of the nearest rod, each (size, size)."""
    y, x = axes(size)
    distance, depth = np.full((size, size), FAR, np.float32), np.ones((size, size), np.float32)
    num_rods = max(3, round(dish.crowding * (size / 96) ** 2 * between(15, 26, difficulty)))
    gap = between(3.5, 0.3, difficulty)
    rods: list[Rod] = []
    for _ in range(6 * num_rods):
        rod = _daughter(rng, dish, rods, gap) if rods and rng.random() < 0.65 else _stray(rng, dish, size)
        part = window(rod.y, rod.x, rod.length / 2 + 14, size)
        wall = rod.distance(y[part], x[part])
        # Midway between two walls both distances are half the gap: less than that means too close.
        if wall.size == 0 or wall.min() > 0 or np.maximum(wall, distance[part]).min() < gap / 2:
            continue
        nearer = wall < distance[part]
        depth[part] = np.where(nearer, rng.uniform(0.75, 1.1), depth[part])
        distance[part] = np.where(nearer, wall, distance[part])
        rods.append(rod)
        if len(rods) == num_rods:
            break
    return distance, depth


def _stray(rng: np.random.Generator, dish: Dish, size: int) -> Rod:
    y, x = rng.uniform(-2, size + 2, 2)
    return _rod(rng, dish, (float(y), float(x)), float(rng.uniform(0, np.pi)))


def _daughter(rng: np.random.Generator, dish: Dish, rods: list[Rod], gap: float) -> Rod:
    """A rod beside or behind one that is there, nearly parallel, as rods lie after dividing."""
    mother = rods[int(rng.integers(len(rods)))]
    beside = rng.random() < 0.6
    step = mother.width + gap + 0.4 if beside else mother.length + gap + 0.4
    turn = mother.angle + (np.pi / 2 if beside else 0.0)
    side = rng.choice([-1, 1])
    shift = rng.normal(0, 0.15) * mother.length
    y = mother.y + side * step * np.sin(turn) + shift * np.sin(mother.angle)
    x = mother.x + side * step * np.cos(turn) + shift * np.cos(mother.angle)
    return _rod(rng, dish, (float(y), float(x)), mother.angle + float(rng.normal(0, 0.15 if beside else 0.4)))


def _rod(rng: np.random.Generator, dish: Dish, centre: tuple[float, float], angle: float) -> Rod:
    length = dish.length * float(rng.uniform(0.65, 1.45))
    dividing = length > 1.15 * dish.length
    width, bend = dish.width * float(rng.uniform(0.92, 1.08)), float(rng.normal(0, 0.16))
    return Rod(*centre, angle, length, width, bend, float(rng.uniform(0.2, 0.5)) if dividing else 0.0)


def _phase(distance: Plane, depth: Plane, *, contrast: float, halo: float) -> Plane:
    """What phase contrast adds to the ground: dark inside, a bright rim outside, a faint glow around."""
    inside = -contrast * depth * soft(distance, 0.5) * (1 - 0.12 * np.exp(-((distance / 1.2) ** 2)))
    rim = contrast * halo * np.exp(-(((distance - 1.9) / 1.5) ** 2)) * (distance > 0)
    glow = 0.18 * contrast * halo * np.exp(-np.clip(distance, 0, None) / 6) * (distance > 0)
    return as_plane(inside + rim + glow)


def _dirt(rng: np.random.Generator, size: int, difficulty: float) -> Plane:
    """Specks of dust and blurred bodies out of focus, which are no bacteria."""
    plane = np.zeros((size, size), np.float32)
    for _ in range(rng.poisson(between(0.5, 7, difficulty) * (size / 96) ** 2)):
        y, x = rng.uniform(0, size, 2)
        radius, depth = rng.uniform(0.8, 2.6), rng.uniform(0.06, 0.18)
        spot(plane, (y, x), radius=2 * radius, height=0.5 * depth)
        spot(plane, (y, x), radius=radius, height=-1.5 * depth)
    return plane
