"""Fluorescent cells in culture: nuclei alone (grey, binary masks), and cells with cytoplasm (RGB, three classes)."""

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
    spot,
    wavy,
)

FIELDS_PER_DISH = 3
BACKGROUND, CYTOPLASM, NUCLEUS = range(3)


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
    culture, rng, group = _start("nuclei", index, seed)
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
    culture, rng, group = _start("cells", index, seed)
    apart = culture.radius * between(1.1, 0.25, difficulty)
    nuclei = _settle(rng, culture, size, gap=apart, often=between(7, 12, difficulty))
    stain, inside = _stain_nuclei(rng, nuclei, size, spread=between(0.15, 0.4, difficulty))
    body, covered = _fill_bodies(rng, nuclei, culture, size)
    fibres = np.abs(clouds(rng, size, 4)) * body
    blue = culture.stain * between(1.0, 0.45, difficulty) * stain + between(0.03, 0.16, difficulty) * body
    green = (
        body * (1 - between(0.7, 0.35, difficulty) * soft_inside(inside)) * between(0.62, 0.34, difficulty)
    )
    red = 0.35 * green + 0.10 * fibres
    haze = _glow(rng, stain + 0.5 * body, culture, size, difficulty)
    light = np.stack([red + 0.5 * haze, green + 0.8 * haze, blue + haze], -1)
    mask = np.where(inside, NUCLEUS, np.where(covered, CYTOPLASM, BACKGROUND)).astype(np.uint8)
    return Drawn(_photograph(rng, light.astype(np.float32), difficulty), group, mask=mask)


def soft_inside(inside: NDArray[np.bool_]) -> Plane:
    """The mask with a rim one pixel soft."""
    smooth: Plane = ndimage.gaussian_filter(inside.astype(np.float32), 0.8)
    return smooth


def _start(kind: str, index: int, seed: int) -> tuple[Culture, np.random.Generator, str]:
    number = index // FIELDS_PER_DISH
    return (
        _culture(generator(seed, kind, "dish", number)),
        generator(seed, kind, "field", index),
        f"dish-{number:03d}",
    )


def _culture(rng: np.random.Generator) -> Culture:
    return Culture(
        radius=float(rng.uniform(7.0, 9.5)),
        stretch=float(rng.uniform(1.15, 1.55)),
        crowding=float(rng.uniform(0.75, 1.25)),
        stain=float(rng.uniform(0.62, 0.85)),
        haze=float(rng.uniform(0.6, 1.4)),
        cytoplasm=float(rng.uniform(1.9, 2.4)),
    )


def _settle(
    rng: np.random.Generator, culture: Culture, size: int, *, gap: float, often: float
) -> list[Outline]:
    """Nuclei that keep `gap` pixels between their rims, `often` of them per 96 x 96 pixels where there is room."""
    num_cells = max(2, round(culture.crowding * often * (size / 96) ** 2))
    placed: list[Outline] = []
    for _ in range(12 * num_cells):
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
        outline = wavy(
            rng,
            (nucleus.y + float(shift[0]), nucleus.x + float(shift[1])),
            radius=radius,
            stretch=stretch,
            rough=0.16,
        )
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
    for _ in range(rng.poisson(between(0.3, 6, difficulty) * (size / 96) ** 2)):
        y, x = rng.uniform(0, size, 2)
        spot(plane, (y, x), radius=rng.uniform(0.7, 1.8), height=rng.uniform(0.15, 0.4))
    return as_plane(np.clip(plane, 0, None))


def _photograph(rng: np.random.Generator, light: Plane, difficulty: float) -> NDArray[np.uint8]:
    noise = between(0.012, 0.045, difficulty), between(0.03, 0.17, difficulty)
    return camera(rng, light, blur=between(0.4, 1.3, difficulty), read=noise[0], shot=noise[1])
