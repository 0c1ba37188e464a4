"""Pictures of dishes, three of each: bacteria under phase contrast, and fluorescent cells in culture.

Bacteria are dark rods with bright halos on uneven grey ground, with binary masks. Of cells there are nuclei alone
(grey, binary masks), and nuclei with cytoplasm (RGB, three classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from foldwise.data.phantoms.canvas import (
    Drawn,
    Outline,
    Plane,
    as_plane,
    axes,
    between,
    camera,
    clouds,
    generator,
    slope,
    soft,
    specks,
    spot,
    uniform,
    wavy,
    window,
)

FIELDS_PER_DISH = 3
BACKGROUND, CYTOPLASM, NUCLEUS = range(3)
# Farther than any halo reaches, in pixels.
FAR = 99.0


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


def draw_bacteria(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: grey, with mask 1 on bacteria. Three pictures in a row are of one dish."""
    shared, rng, group = _dish_and_field("bacteria", index, seed)
    strain = uniform(
        shared, width=(4.2, 6.0), length=(12, 20), ground=(0.44, 0.60), halo=(0.45, 0.85), crowding=(0.7, 1.3)
    )
    dish = Dish(**strain, lighting=int(shared.integers(1 << 30)))
    distance, depth = _grow(rng, dish, size, difficulty)
    lighting = slope(generator(seed, "bacteria", "lamp", dish.lighting), size)
    light = dish.ground + between(0.04, 0.17, difficulty) * lighting
    light += between(0.010, 0.045, difficulty) * clouds(rng, size, 14)
    light += _phase(distance, depth, contrast=between(0.36, 0.15, difficulty), halo=dish.halo)
    light += _dirt(rng, size, difficulty)
    image = camera(
        rng, as_plane(light), difficulty, blur=(0.45, 1.3), read=(0.012, 0.075), shot=(0.012, 0.075)
    )
    return Drawn(image, group, mask=(distance <= 0).astype(np.uint8))


def _grow(rng: np.random.Generator, dish: Dish, size: int, difficulty: float) -> tuple[Plane, Plane]:
    """Distance from the nearest wall and darkness of the nearest rod, each (size, size)."""
    y, x = axes(size)
    distance, depth = np.full((size, size), FAR, np.float32), np.ones((size, size), np.float32)
    num_rods = max(3, round(dish.crowding * (size / 96) ** 2 * between(15, 26, difficulty)))
    gap = between(3.5, 0.3, difficulty)
    rods: list[Rod] = []
    for _ in range(6 * num_rods):
        if rods and rng.random() < 0.65:
            rod = _daughter(rng, dish, rods, gap)
        else:
            y_x = rng.uniform(-2, size + 2, 2)
            rod = _rod(rng, dish, (float(y_x[0]), float(y_x[1])), float(rng.uniform(0, np.pi)))
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


@dataclass(frozen=True)
class Culture:
    """What the pictures of one dish share: cell line and staining. Lengths in pixels."""

    radius: float
    stretch: float
    crowding: float
    stain: float
    haze: float
    cytoplasm: float


def draw_nuclei(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index` of stained nuclei: grey, mask 1 on nuclei. Three in a row are of one dish."""
    culture, rng, group = _culture("nuclei", index, seed)
    nuclei = _settle(
        rng, culture, size, gap=between(4.0, -1.5, difficulty), often=between(10, 19, difficulty)
    )
    stain, inside = _stain_nuclei(rng, nuclei, size, spread=between(0.15, 0.5, difficulty))
    light = culture.stain * between(1.0, 0.42, difficulty) * stain
    light += _glow(rng, stain, culture, size, difficulty)
    return Drawn(_photograph(rng, light, difficulty), group, mask=inside.astype(np.uint8))


def draw_cells(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index` of whole cells: RGB, mask 0 ground, 1 cytoplasm, 2 nucleus; three per dish.

    Blue is the nuclear stain; green fills the cytoplasm; red is its fibres and leaks from green.
    """
    culture, rng, group = _culture("cells", index, seed)
    apart = culture.radius * between(1.1, 0.25, difficulty)
    nuclei = _settle(rng, culture, size, gap=apart, often=between(7, 12, difficulty))
    stain, inside = _stain_nuclei(rng, nuclei, size, spread=between(0.15, 0.4, difficulty))
    body, covered = _fill_bodies(rng, nuclei, culture, size)
    fibres = np.abs(clouds(rng, size, 4)) * body
    blue = culture.stain * between(1.0, 0.45, difficulty) * stain + between(0.03, 0.16, difficulty) * body
    nucleus = as_plane(ndimage.gaussian_filter(inside.astype(np.float32), 0.8))  # a rim one pixel soft
    green = body * (1 - between(0.7, 0.35, difficulty) * nucleus) * between(0.62, 0.34, difficulty)
    red = 0.35 * green + 0.10 * fibres
    haze = _glow(rng, stain + 0.5 * body, culture, size, difficulty)
    light = np.stack([red + 0.5 * haze, green + 0.8 * haze, blue + haze], -1)
    mask = np.where(inside, NUCLEUS, np.where(covered, CYTOPLASM, BACKGROUND)).astype(np.uint8)
    return Drawn(_photograph(rng, light.astype(np.float32), difficulty), group, mask=mask)


def _dish_and_field(kind: str, index: int, seed: int) -> tuple[np.random.Generator, np.random.Generator, str]:
    """Random numbers for the dish of a picture and for the picture itself, and the name of the dish."""
    number = index // FIELDS_PER_DISH
    return generator(seed, kind, "dish", number), generator(seed, kind, "field", index), f"dish-{number:03d}"


def _culture(kind: str, index: int, seed: int) -> tuple[Culture, np.random.Generator, str]:
    shared, rng, group = _dish_and_field(kind, index, seed)
    shape = uniform(shared, radius=(7.0, 9.5), stretch=(1.15, 1.55), crowding=(0.75, 1.25))
    stains = uniform(shared, stain=(0.62, 0.85), haze=(0.6, 1.4), cytoplasm=(1.9, 2.4))
    return Culture(**shape, **stains), rng, group


def _settle(
    rng: np.random.Generator, culture: Culture, size: int, *, gap: float, often: float
) -> list[Outline]:
    """Nuclei that keep `gap` pixels between their rims, `often` of them per 96 x 96 pixels where there is room."""
    num_cells = max(2, round(culture.crowding * often * (size / 96) ** 2))
    placed: list[Outline] = []
    for _ in range(12 * num_cells):
        # Centres a little outside give nuclei that the border of the picture cuts.
        y, x = rng.uniform(-2, size + 2, 2)
        radius = culture.radius * rng.uniform(0.75, 1.25)
        stretch = 1 + (culture.stretch - 1) * rng.uniform(0.3, 1.7)
        nucleus = wavy(rng, (float(y), float(x)), radius=float(radius), stretch=float(stretch), rough=0.07)
        if all(np.hypot(y - other.y, x - other.x) > radius + other.radius + gap for other in placed):
            placed.append(nucleus)
        if len(placed) == num_cells:
            break
    return placed


def _stain_nuclei(
    rng: np.random.Generator, nuclei: list[Outline], size: int, *, spread: float
) -> tuple[Plane, NDArray[np.bool_]]:
    """Brightness of the nuclear stain, and where nuclei are, each (size, size)."""
    y, x = axes(size)
    stain, inside = np.zeros((size, size), np.float32), np.zeros((size, size), bool)
    grain = 1 + 0.13 * clouds(rng, size, 3.2) + 0.08 * clouds(rng, size, 7)
    for nucleus in nuclei:
        part = nucleus.around(size, 4)
        if 0 in y[part].shape:
            continue
        distance = nucleus.distance(y[part], x[part])
        bright = 1 - spread * rng.random()
        dome = soft(distance, 0.7) * (0.82 + 0.18 * np.clip(-distance / nucleus.radius, 0, 1))
        for _ in range(int(rng.integers(1, 4))):  # nucleoli take up little stain
            reach, turn = nucleus.radius * rng.uniform(0.1, 0.55), rng.uniform(0, 2 * np.pi)
            hole_y, hole_x = nucleus.y + reach * np.sin(turn), nucleus.x + reach * np.cos(turn)
            away = (y[part] - hole_y) ** 2 + (x[part] - hole_x) ** 2
            dome *= 1 - 0.3 * np.exp(-away / (2 * (0.14 * nucleus.radius) ** 2))
        stain[part] = np.maximum(stain[part], bright * dome * grain[part])
        inside[part] |= distance <= 0
    return stain, inside


def _fill_bodies(
    rng: np.random.Generator, nuclei: list[Outline], culture: Culture, size: int
) -> tuple[Plane, NDArray[np.bool_]]:
    """Brightness of the cytoplasm stain, and where cells are, each (size, size)."""
    y, x = axes(size)
    body, covered = np.zeros((size, size), np.float32), np.zeros((size, size), bool)
    grain = 1 + 0.16 * clouds(rng, size, 5) + 0.10 * clouds(rng, size, 2.2)
    for nucleus in nuclei:
        radius = nucleus.radius * culture.cytoplasm * rng.uniform(0.85, 1.15)
        stretch = nucleus.stretch * rng.uniform(1.0, 1.4)
        shift = rng.normal(0, 0.12 * nucleus.radius, 2)
        centre = nucleus.y + float(shift[0]), nucleus.x + float(shift[1])
        outline = wavy(rng, centre, radius=radius, stretch=stretch, rough=0.16)
        part = outline.around(size, 4)
        if 0 in y[part].shape:
            continue
        distance = outline.distance(y[part], x[part])
        # A cell is thick around its nucleus and thin at its rim, which makes the rim hard to see.
        thick = 0.38 + 0.62 * np.clip(-distance / (0.6 * radius), 0, 1)
        bright = rng.uniform(0.7, 1.0)
        body[part] = np.maximum(body[part], bright * thick * soft(distance, 0.7) * grain[part])
        covered[part] |= distance <= 0
    return body, covered


def _glow(rng: np.random.Generator, stain: Plane, culture: Culture, size: int, difficulty: float) -> Plane:
    """Light that is no cell: the ground, uneven lighting, the glow of cells out of focus, specks of dye."""
    level = between(0.04, 0.13, difficulty) * culture.haze
    lamp = between(0.2, 0.7, difficulty) * slope(rng, size) + 0.15 * clouds(rng, size, 20)
    plane = as_plane(level * (1 + lamp))
    plane += between(0.06, 0.20, difficulty) * culture.haze * ndimage.gaussian_filter(stain, 6)
    often = between(0.3, 6, difficulty) * (size / 96) ** 2
    specks(rng, plane, often, radius=(0.7, 1.8), height=(0.15, 0.4))
    return as_plane(np.clip(plane, 0, None))


def _photograph(rng: np.random.Generator, light: Plane, difficulty: float) -> NDArray[np.uint8]:
    return camera(rng, light, difficulty, blur=(0.4, 1.3), read=(0.012, 0.045), shot=(0.03, 0.17))
