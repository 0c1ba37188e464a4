"""Four-channel fluorescence of cells: where in the cell is the protein? Several labels per picture.

After the pictures of the Human Protein Atlas: three channels show the cell (nucleus, microtubules, endoplasmic
reticulum), the fourth the protein, which may be in several places at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

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

CHANNELS = ("nucleus", "microtubules", "reticulum", "protein")
# The files of the Human Protein Atlas are named by colours, and networks get them in this order.
COLOURS = {"red": "microtubules", "green": "protein", "blue": "nucleus", "yellow": "reticulum"}
FIELDS_PER_WELL = 3
PRIMES = (
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
)  # fmt: skip


@dataclass(frozen=True)
class Well:
    """What the pictures of one well share: cell line, staining, exposure. Lengths in pixels."""

    radius: float
    stretch: float
    nucleus: float
    crowding: float
    gains: tuple[float, ...]


@dataclass(frozen=True)
class Cell:
    """One cell, in the part of the picture around it; all planes have that part's shape.

    Attributes:
        body, nucleus: distance in pixels from the cell's and the nucleus's rim, negative inside.
        nucleoli, fibres: brightness, 0 to 1, of the nucleoli and of the microtubules.
        grain: soft noise, mean 0, deviation 1.
    """

    body: Plane
    nucleus: Plane
    nucleoli: Plane
    fibres: Plane
    grain: Plane

    def cytoplasm(self) -> Plane:
        """1 between the two rims, thinner towards the outer one."""
        thick = 0.35 + 0.65 * np.clip(-self.body / 9, 0, 1)
        return as_plane(soft(self.body, 0.8) * (1 - soft(self.nucleus, 0.8)) * thick)


Paint = Callable[[Cell, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Location:
    """A place in the cell a protein can be at: how often it is, and what it looks like."""

    frequency: float
    paint: Paint


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: (4, size, size) in the order of CHANNELS; three in a row are of one well."""
    return drawn_with(PLACES, index, size=size, difficulty=difficulty, seed=seed)


def drawn_with(
    places: Mapping[str, Location], index: int, *, size: int, difficulty: float, seed: int
) -> Drawn:
    """Picture number `index` of proteins that can be in these places."""
    number = index // FIELDS_PER_WELL
    well = _well(generator(seed, "proteins", "well", number))
    rng = generator(seed, "proteins", "field", index)
    labels = places_of(index, seed, places)
    weights = {name: rng.uniform(between(0.75, 0.4, difficulty), 1.0) for name in labels}
    light = np.zeros((4, size, size), np.float32)
    paints = list(places.values())
    for outline in _settle(rng, well, size):
        part = outline.around(size, 3)
        cell = _cell(rng, outline, well, size, part)
        bright = rng.uniform(0.7, 1.0)
        protein = between(0.03, 0.20, difficulty) * soft(cell.body, 1)  # unspecific staining
        for name, weight in weights.items():
            protein = protein + weight * as_plane(paints[name].paint(cell, rng))
        for channel, layer in enumerate((*_reference(cell), 0.75 * protein)):
            light[channel][part] = np.maximum(light[channel][part], bright * layer)
    return Drawn(_photograph(rng, light, well, difficulty), f"well-{number:03d}", labels=labels)


def places_of(index: int, seed: int, places: Mapping[str, Location] | None = None) -> tuple[int, ...]:
    """The labels of picture `index`: at least one, each as often as its row in `places` (PLACES) says.

    Golden-ratio-like steps spread every label evenly over the pictures, so that small sets have all of them.
    """
    table = PLACES if places is None else places
    starts = generator(seed, "proteins", "labels").random(len(table))
    steps = np.sqrt(PRIMES)[: len(table)]
    turns = (starts + steps * index) % 1
    frequencies = np.array([row.frequency for row in table.values()])
    chosen = np.flatnonzero(turns < frequencies)
    # Where none is due, the one that is most nearly so by its own measure: rare ones stay rare.
    return tuple(int(k) for k in chosen) or (int(np.argmin(turns / frequencies)),)


def _well(rng: np.random.Generator) -> Well:
    return Well(
        radius=float(rng.uniform(17, 22)),
        stretch=float(rng.uniform(1.1, 1.7)),
        nucleus=float(rng.uniform(0.42, 0.52)),
        crowding=float(rng.uniform(0.7, 1.2)),
        gains=tuple(float(gain) for gain in rng.uniform(0.7, 1.0, 4)),
    )


def _settle(rng: np.random.Generator, well: Well, size: int) -> list[Outline]:
    """Outlines of cells that touch, but do not cover one another's nuclei."""
    num_cells = max(2, round(6 * well.crowding * (size / 96) ** 2))
    placed: list[Outline] = []
    for _ in range(15 * num_cells):
        y, x = rng.uniform(0, size, 2)
        radius = well.radius * rng.uniform(0.85, 1.15)
        if all(np.hypot(y - other.y, x - other.x) > 0.85 * (radius + other.radius) for other in placed):
            stretch = 1 + (well.stretch - 1) * rng.uniform(0.4, 1.6)
            placed.append(
                wavy(rng, (float(y), float(x)), radius=float(radius), stretch=float(stretch), rough=0.13)
            )
        if len(placed) == num_cells:
            break
    return placed


def _cell(
    rng: np.random.Generator, outline: Outline, well: Well, size: int, part: tuple[slice, slice]
) -> Cell:
    rows, columns = axes(size)
    y, x = rows[part], columns[part]
    shift = rng.normal(0, 0.08 * outline.radius, 2)
    centre = (outline.y + float(shift[0]), outline.x + float(shift[1]))
    nucleus = wavy(rng, centre, radius=well.nucleus * outline.radius, stretch=1.25, rough=0.05)
    nucleoli = np.zeros(y.shape, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        reach, turn = nucleus.radius * rng.uniform(0.15, 0.55), rng.uniform(0, 2 * np.pi)
        away = np.hypot(y - nucleus.y - reach * np.sin(turn), x - nucleus.x - reach * np.cos(turn))
        nucleoli = np.maximum(nucleoli, soft(away - nucleus.radius * rng.uniform(0.15, 0.26), 0.5))
    grain = clouds(rng, max(y.shape), 2.5)[: y.shape[0], : y.shape[1]]
    body, core = outline.distance(y, x), nucleus.distance(y, x)
    fibres = _fibres(rng, nucleus, outline, y, x) * soft(body + 1, 0.8) * (1 - 0.75 * soft(core, 0.8))
    return Cell(body, core, nucleoli, fibres.astype(np.float32), grain)


def _fibres(rng: np.random.Generator, nucleus: Outline, body: Outline, y: Plane, x: Plane) -> Plane:
    """Microtubules: bent lines from a centre beside the nucleus to all sides, 0 to 1."""
    fine, height, width = 3, *y.shape
    canvas = Image.new("L", (fine * width, fine * height))
    pen = ImageDraw.Draw(canvas)
    turn = rng.uniform(0, 2 * np.pi)
    start = np.array([nucleus.x + nucleus.radius * np.cos(turn), nucleus.y + nucleus.radius * np.sin(turn)])
    corner = np.array([x[0, 0], y[0, 0]])
    steps = np.linspace(0, 1, 7)[:, None]
    for angle in np.linspace(0, 2 * np.pi, 34) + rng.normal(0, 0.12, 34):
        reach = body.radius * np.sqrt(body.stretch) * rng.uniform(0.7, 1.25)
        end = np.array([body.x + reach * np.cos(angle), body.y + reach * np.sin(angle)])
        side = np.array([-(end - start)[1], (end - start)[0]]) * rng.normal(0, 0.16)
        line = start + (end - start) * steps + side * np.sin(np.pi * steps)
        pen.line(
            [tuple(point) for point in (fine * (line - corner)).tolist()],
            fill=int(rng.integers(120, 255)),
            width=fine,
        )
    return as_plane(canvas.reduce(fine)) / np.float32(255)


def _reference(cell: Cell) -> tuple[Plane, Plane, Plane]:
    """The three channels that show the cell itself."""
    nucleus = soft(cell.nucleus, 0.7) * (0.85 + 0.09 * cell.grain) * (1 - 0.45 * cell.nucleoli)
    tubules = 0.95 * cell.fibres + 0.10 * cell.cytoplasm()
    near = np.exp(-np.clip(cell.nucleus, 0, None) / 6)
    reticulum = cell.cytoplasm() * (0.25 + 0.75 * near) * np.clip(0.75 + 0.3 * cell.grain, 0.1, None)
    return nucleus, tubules, reticulum


def scattered(
    room: np.ndarray,
    rng: np.random.Generator,
    *,
    number: int,
    radius: Callable[[], float],
    heights: tuple[float, float],
) -> Plane:
    """So many spots at random pixels of `room` (h, w); none where it has none."""
    plane = np.zeros(2 * (max(room.shape),), np.float32)  # square, as `spot` draws on
    pixels = np.argwhere(room)
    for y, x in pixels[rng.integers(len(pixels), size=number)] if len(pixels) else []:
        spot(plane, (float(y), float(x)), radius=radius(), height=rng.uniform(*heights))
    return plane[: room.shape[0], : room.shape[1]]


def _photograph(rng: np.random.Generator, light: np.ndarray, well: Well, difficulty: float) -> np.ndarray:
    """The four channels as the camera sees them: with leaks into the protein channel, uneven light, noise."""
    leak = between(0.0, 0.10, difficulty) * (light[1] + light[2])
    ground = between(0.015, 0.06, difficulty) * (1 + 0.4 * slope(rng, light.shape[1]))
    noise = between(0.008, 0.035, difficulty), between(0.03, 0.16, difficulty)
    blur = between(0.35, 1.2, difficulty)
    seen = [
        camera(
            rng,
            gain * (plane + (leak if name == "protein" else 0)) + ground,
            blur=blur,
            read=noise[0],
            shot=noise[1],
        )
        for name, plane, gain in zip(CHANNELS, light, well.gains, strict=True)
    ]
    return np.stack(seen)


def _vesicles(cell: Cell, rng: np.random.Generator) -> Plane:
    room = (cell.body < -1.5) & (cell.nucleus > 1.5)
    number = int(rng.integers(16, 34)) if room.any() else 0
    return scattered(room, rng, number=number, radius=lambda: rng.uniform(0.6, 1.0), heights=(0.6, 1.0))


def _plasma_membrane(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    rim = np.exp(-(((cell.body + 0.8) / 1.0) ** 2)) * np.clip(0.85 + 0.2 * cell.grain, 0.2, None)
    return np.asarray(rim + 0.08 * soft(cell.body, 0.8))


PLACES = {
    "nucleoplasm": Location(
        0.40,
        lambda cell, _: soft(cell.nucleus, 0.7) * (1 - 0.9 * cell.nucleoli) * (0.72 + 0.07 * cell.grain),
    ),
    "cytosol": Location(0.32, lambda cell, _: cell.cytoplasm() * (0.70 + 0.06 * cell.grain)),
    "plasma_membrane": Location(0.22, _plasma_membrane),
    "vesicles": Location(0.20, _vesicles),
    "nucleoli": Location(0.17, lambda cell, _: cell.nucleoli * soft(cell.nucleus, 0.7)),
    "microtubules": Location(0.14, lambda cell, _: 0.95 * cell.fibres),
    "nuclear_membrane": Location(
        0.12, lambda cell, _: np.exp(-((cell.nucleus / 1.0) ** 2)) + 0.10 * soft(cell.nucleus, 0.7)
    ),
}
