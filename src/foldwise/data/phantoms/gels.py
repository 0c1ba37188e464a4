"""Photographs of electrophoresis gels, against other pictures: two classes, all grey and of one size.

Some photographs show the same gel, or the same scene, again: mirrored, shifted and exposed anew. They share a group.
"""

from __future__ import annotations

import numpy as np
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
    slope,
    specks,
)
from foldwise.data.phantoms.drawings import scene

GEL, OTHER = range(2)
# Which of five things each of eight photographs of a class shows.
SHOWS = (0, 1, 2, 2, 3, 4, 4, 4)


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: grey; even numbers are gels (label 0), odd ones other pictures (label 1)."""
    kind, photograph = index % 2, index // 2
    step = photograph % len(SHOWS)
    number = (photograph // len(SHOWS)) * (SHOWS[-1] + 1) + SHOWS[step]
    again = step - SHOWS.index(SHOWS[step])
    name = ("gel", "other")[kind]
    thing = generator(seed, "gels", name, number)
    light = (_gel if kind == GEL else scene)(thing, size, difficulty)
    light = _expose(thing, light)
    rng = generator(seed, "gels", "photograph", index)
    if again:
        light = _photograph_again(rng, light)
    image = camera(rng, light, difficulty, blur=(0.35, 1.1), read=(0.010, 0.06), shot=(0.010, 0.06))
    return Drawn(image, f"{name}-{number:03d}", labels=(kind,))


def _expose(rng: np.random.Generator, light: Plane) -> Plane:
    """Darker or brighter, softer or harder, at times inverted: both classes alike, so that exposure tells nothing."""
    unit = (light - np.median(light)) / (float(light.std()) + 1e-6)
    if rng.random() < 0.25:
        unit = -unit
    level, spread = rng.uniform(0.18, 0.62), rng.uniform(0.06, 0.17)
    return as_plane(level + spread * unit)


def _photograph_again(rng: np.random.Generator, light: Plane) -> Plane:
    """The same thing mirrored or not, moved by up to 0.6 % of its side, a little darker or brighter."""
    if rng.random() < 0.5:
        light = light[:, ::-1]
    moved: Plane = ndimage.shift(light, 0.006 * len(light) * rng.uniform(-1, 1, 2), order=1, mode="nearest")
    return as_plane(moved * rng.uniform(0.85, 1.12) + rng.uniform(-0.03, 0.03))


def _gel(rng: np.random.Generator, size: int, difficulty: float) -> Plane:
    """Light of a gel under ultraviolet: lanes with wells, bands and smears, and a ladder or two."""
    light = 0.14 + between(0.03, 0.12, difficulty) * slope(rng, size) + 0.02 * clouds(rng, size, size / 3)
    num_lanes = int(rng.integers(5, 13))
    edge = rng.uniform(0.03, 0.13, 2) * size
    centres = np.linspace(edge[0], size - 1 - edge[1], num_lanes + 2)[1:-1]
    half = 0.5 * rng.uniform(0.6, 0.82) * (centres[1] - centres[0])
    top, front = rng.uniform(0.05, 0.14) * size, rng.uniform(0.75, 0.95) * size
    smile = rng.normal(0, 0.03) * size
    ladders = {0} if rng.random() < 0.65 else {num_lanes - 1} if rng.random() < 0.6 else {0, num_lanes - 1}
    shared = rng.uniform(top + 0.2 * (front - top), front, 3)
    faint = between(1.0, 0.33, difficulty)
    for lane, centre in enumerate(centres):
        bend = smile * (2 * centre / size - 1) ** 2
        rows, bright = _ladder(rng, top, front) if lane in ladders else _sample(rng, shared, top, front)
        span = float(centre), float(half)
        _add_bands(light, rng, span, rows + bend, faint * bright)
        if lane not in ladders and rng.random() < between(0.25, 0.6, difficulty):
            _add_smear(light, rng, span, (top, front))
        _add_well(light, span, top + bend, -0.06 if rng.random() < 0.8 else 0.10)
    often = between(1, 9, difficulty)
    specks(rng, light, often, radius=(0.004, 0.012), height=(0.1, 0.5), scale=size)
    return np.clip(light, 0, None).astype(np.float32)


def _ladder(rng: np.random.Generator, top: float, front: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and brightness of the bands of a size marker: dense near the top, as distance goes with log size."""
    steps = np.linspace(0, 1, int(rng.integers(8, 13)))
    rows = top + (front - top) * (0.16 + 0.84 * steps ** rng.uniform(1.1, 1.7))
    bright = rng.uniform(0.3, 0.5) + 0.15 * rng.random(len(rows))
    # Two reference bands are brighter, as on real markers.
    bright[rng.integers(len(rows), size=2)] *= 1.6
    return rows, bright


def _sample(
    rng: np.random.Generator, shared: np.ndarray, top: float, front: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and brightness of the bands of a sample lane: products that lanes share, and some of its own."""
    rows = shared[rng.random(len(shared)) < 0.55] + rng.normal(0, 0.003) * (front - top)
    own = rng.uniform(top + 0.15 * (front - top), front, int(rng.integers(0, 3)))
    rows = np.concatenate([rows, own])
    return rows, rng.uniform(0.25, 0.85, len(rows))


def _add_bands(
    light: Plane, rng: np.random.Generator, lane: tuple[float, float], rows: np.ndarray, bright: np.ndarray
) -> None:
    """Add bands to one lane, in place: flat across, sharp along, sagging a little at the ends."""
    size, (centre, half) = len(light), lane
    low, high = max(0, int(centre - 1.6 * half)), min(size, int(centre + 1.6 * half) + 2)
    across = (np.arange(low, high) - centre) / half
    profile = np.exp(-(np.abs(across) ** 6))
    sag = rng.normal(0.004, 0.004) * size * across**2
    y = np.arange(size)[:, None]
    for row, height in zip(rows, bright, strict=True):
        thick = size * (0.006 + 0.006 * height + 0.006 * row / size)
        light[:, low:high] += as_plane(height * profile * np.exp(-0.5 * ((y - row - sag) / thick) ** 2))


def _add_smear(
    light: Plane, rng: np.random.Generator, lane: tuple[float, float], span: tuple[float, float]
) -> None:
    """Add degraded material to a lane, in place: a long streak with a soft head."""
    size = len(light)
    y, x = axes(size)
    start, length = rng.uniform(*span), rng.uniform(0.15, 0.5) * size
    along = np.exp(-np.clip(y - start, 0, None) / (0.4 * length)) / (1 + np.exp((start - y) / (0.02 * size)))
    light += as_plane(rng.uniform(0.06, 0.25) * along * np.exp(-(((x - lane[0]) / lane[1]) ** 4)))


def _add_well(light: Plane, lane: tuple[float, float], row: float, height: float) -> None:
    """Add the loading well of a lane, in place: a narrow dark (or, with left-over DNA, bright) slot."""
    size = len(light)
    low, high = max(0, round(lane[0] - lane[1])), min(size, round(lane[0] + lane[1]) + 1)
    first = max(0, round(row - 0.012 * size))
    light[first : first + max(1, round(0.024 * size)), low:high] += np.float32(height)
