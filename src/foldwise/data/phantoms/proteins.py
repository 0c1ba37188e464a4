"""Four-channel fluorescence of cells: where in the cell is the protein? Several labels per picture.

After the pictures of the Human Protein Atlas: three channels show the cell (nucleus, microtubules, endoplasmic
reticulum), the fourth the protein, which may be in several of seven locations, or of the 28 that the atlas names.
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
    averaged,
    axes,
    between,
    camera,
    clouds,
    generator,
    slope,
    soft,
    spot,
    uniform,
    wavy,
)

CHANNELS = ("nucleus", "microtubules", "reticulum", "protein")
# The files of the Human Protein Atlas are named by colours, and networks get them in this order.
COLOURS = {"red": "microtubules", "green": "protein", "blue": "nucleus", "yellow": "reticulum"}
FIELDS_PER_WELL = 3
NUM_ATLAS_IMAGES = 31072  # for training, in the competition of 2018
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

    def near_nucleus(self, reach_px: float) -> Plane:
        """1 in the nucleus, falling off around it."""
        return as_plane(np.exp(-np.clip(self.nucleus, 0, None) / reach_px))


Paint = Callable[[Cell, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Location:
    """A place in the cell a protein can be at: how often it is, and what it looks like."""

    frequency: float
    paint: Paint


def draw_proteins(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: (4, size, size) in the order of CHANNELS; three in a row are of one well."""
    return drawn_with(LOCATIONS, index, size=size, difficulty=difficulty, seed=seed)


def draw_organelles(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """The same with the 28 labels of the Human Protein Atlas."""
    return drawn_with(ORGANELLES, index, size=size, difficulty=difficulty, seed=seed)


def drawn_with(
    locations: Mapping[str, Location], index: int, *, size: int, difficulty: float, seed: int
) -> Drawn:
    """Picture number `index` of proteins that can be in these locations."""
    number = index // FIELDS_PER_WELL
    shared = generator(seed, "proteins", "well", number)
    sizes = uniform(shared, radius=(17, 22), stretch=(1.1, 1.7), nucleus=(0.42, 0.52), crowding=(0.7, 1.2))
    well = Well(**sizes, gains=tuple(shared.uniform(0.7, 1.0, 4).tolist()))
    rng = generator(seed, "proteins", "field", index)
    labels = labels_of(index, seed, locations)
    paints = [list(locations.values())[label].paint for label in labels]
    weights = [rng.uniform(between(0.75, 0.4, difficulty), 1.0) for _ in labels]
    light = np.zeros((4, size, size), np.float32)
    for outline in _settle(rng, well, size):
        part = outline.around(size, 3)
        cell = _cell(rng, outline, well, size, part)
        bright = rng.uniform(0.7, 1.0)
        # Unspecific staining: a cell takes up a little wherever its protein is.
        protein = between(0.03, 0.20, difficulty) * soft(cell.body, 1)
        for paint, weight in zip(paints, weights, strict=True):
            protein = protein + weight * as_plane(paint(cell, rng))
        for channel, layer in enumerate((*_reference(cell), 0.75 * protein)):
            light[channel][part] = np.maximum(light[channel][part], bright * layer)
    return Drawn(_photograph(rng, light, well, difficulty), f"well-{number:03d}", labels=labels)


def labels_of(index: int, seed: int, locations: Mapping[str, Location]) -> tuple[int, ...]:
    """The labels of picture `index`: at least one, each as often as its row in `locations` says.

    Golden-ratio-like steps spread every label evenly over the pictures, so that small sets have all of them.
    """
    starts = generator(seed, "proteins", "labels").random(len(locations))
    turns = (starts + np.sqrt(PRIMES)[: len(locations)] * index) % 1
    frequencies = np.array([row.frequency for row in locations.values()])
    chosen = np.flatnonzero(turns < frequencies)
    # Where none is due, the one that is most nearly so by its own measure: rare ones stay rare.
    return tuple(chosen.tolist()) or (int(np.argmin(turns / frequencies)),)


def _settle(rng: np.random.Generator, well: Well, size: int) -> list[Outline]:
    """Outlines of cells that touch, but do not cover one another's nuclei."""
    num_cells = max(2, round(6 * well.crowding * (size / 96) ** 2))
    placed: list[Outline] = []
    for _ in range(15 * num_cells):
        y, x = rng.uniform(0, size, 2)
        radius = well.radius * rng.uniform(0.85, 1.15)
        if all(np.hypot(y - other.y, x - other.x) > 0.85 * (radius + other.radius) for other in placed):
            stretch = float(1 + (well.stretch - 1) * rng.uniform(0.4, 1.6))
            placed.append(wavy(rng, (float(y), float(x)), radius=float(radius), stretch=stretch, rough=0.13))
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
        points = [tuple(point) for point in (fine * (line - corner)).tolist()]
        pen.line(points, fill=int(rng.integers(120, 255)), width=fine)
    return averaged(canvas, fine)


def _reference(cell: Cell) -> tuple[Plane, Plane, Plane]:
    """The three channels that show the cell itself."""
    nucleus = soft(cell.nucleus, 0.7) * (0.85 + 0.09 * cell.grain) * (1 - 0.45 * cell.nucleoli)
    tubules = 0.95 * cell.fibres + 0.10 * cell.cytoplasm()
    reticulum = (
        cell.cytoplasm() * (0.25 + 0.75 * cell.near_nucleus(6)) * np.clip(0.75 + 0.3 * cell.grain, 0.1, None)
    )
    return nucleus, tubules, reticulum


def _scattered(
    room: np.ndarray,
    rng: np.random.Generator,
    number: int,
    *,
    radius: tuple[float, float],
    height: tuple[float, float],
    scale: float = 1.0,
) -> Plane:
    """So many spots at random pixels of `room` (h, w), their radius in units of `scale` pixels; none where it has none."""
    # Square, as `spot` draws on.
    plane = np.zeros(2 * (max(room.shape),), np.float32)
    pixels = np.argwhere(room)
    for y, x in pixels[rng.integers(len(pixels), size=number)] if len(pixels) else []:
        spot(plane, (float(y), float(x)), radius=scale * rng.uniform(*radius), height=rng.uniform(*height))
    return plane[: room.shape[0], : room.shape[1]]


def _photograph(rng: np.random.Generator, light: np.ndarray, well: Well, difficulty: float) -> np.ndarray:
    """The four channels as the camera sees them: with leaks into the protein channel, uneven light, noise."""
    leak = between(0.0, 0.10, difficulty) * (light[1] + light[2])
    ground = between(0.015, 0.06, difficulty) * (1 + 0.4 * slope(rng, light.shape[1]))
    lights = [
        gain * (plane + (leak if name == "protein" else 0)) + ground
        for name, plane, gain in zip(CHANNELS, light, well.gains, strict=True)
    ]
    settings = {"blur": (0.35, 1.2), "read": (0.008, 0.035), "shot": (0.03, 0.16)}
    return np.stack([camera(rng, channel, difficulty, **settings) for channel in lights])


def _vesicles(cell: Cell, rng: np.random.Generator) -> Plane:
    room = ZONES["cytoplasm"](cell)
    number = int(rng.integers(16, 34)) if room.any() else 0
    return _scattered(room, rng, number, radius=(0.6, 1.0), height=(0.6, 1.0))


def _plasma_membrane(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    rim = np.exp(-(((cell.body + 0.8) / 1.0) ** 2)) * np.clip(0.85 + 0.2 * cell.grain, 0.2, None)
    return np.asarray(rim + 0.08 * soft(cell.body, 0.8))


# Where spots may lie, by the distances from the rims of the nucleus and of the cell.
ZONES: dict[str, Callable[[Cell], np.ndarray]] = {
    "nucleus": lambda cell: cell.nucleus < -1.5,
    "beside": lambda cell: (cell.nucleus > 0.5) & (cell.nucleus < 4) & (cell.body < -1.5),
    "cytoplasm": lambda cell: (cell.nucleus > 1.5) & (cell.body < -1.5),
    "rim": lambda cell: (cell.body > -2.5) & (cell.body < 0),
}

LOCATIONS = {
    "nucleoplasm": Location(
        0.40, lambda cell, _: soft(cell.nucleus, 0.7) * (1 - 0.9 * cell.nucleoli) * (0.72 + 0.07 * cell.grain)
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


def _spots(number: int, radius_px: float, zone: str) -> Paint:
    """So many spots of about this radius."""
    return lambda cell, rng: _scattered(
        ZONES[zone](cell), rng, number, radius=(0.85, 1.15), height=(0.75, 1), scale=radius_px
    )


def _junctions(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    side = np.linspace(-1, 1, cell.body.shape[1], dtype=np.float32)[None, :] * rng.choice([-1, 1]) > 0
    return np.asarray(side * np.exp(-((cell.body / 1.5) ** 2)))


def _actin(cell: Cell, _: np.random.Generator) -> np.ndarray:
    outer_fibres = 0.6 * cell.fibres * soft(-cell.nucleus - 4, 1)
    return np.asarray(outer_fibres + 0.8 * np.exp(-((cell.body / 1.5) ** 2)))


# On how many of the images of the atlas each label is: the frequencies are as unequal here. A location is drawn so that
# it can be told from the others, not so that a biologist would take it for one.
_COUNTED: dict[str, tuple[int, Paint]] = {
    "Nucleoplasm": (12885, LOCATIONS["nucleoplasm"].paint),
    "Nuclear membrane": (1254, LOCATIONS["nuclear_membrane"].paint),
    "Nucleoli": (3621, LOCATIONS["nucleoli"].paint),
    "Nucleoli fibrillar center": (1561, lambda cell, _: cell.nucleoli**4 * soft(cell.nucleus, 0.7)),
    "Nuclear speckles": (1858, _spots(22, 0.8, "nucleus")),
    "Nuclear bodies": (2513, _spots(4, 1.3, "nucleus")),
    "Endoplasmic reticulum": (1008, lambda cell, _: cell.cytoplasm() * cell.near_nucleus(3)),
    "Golgi apparatus": (2822, _spots(9, 1.5, "beside")),
    "Peroxisomes": (53, _spots(40, 0.5, "cytoplasm")),
    "Endosomes": (45, _spots(7, 1.1, "cytoplasm")),
    "Lysosomes": (28, _spots(14, 1.3, "cytoplasm")),
    "Intermediate filaments": (1093, lambda cell, _: cell.fibres * cell.near_nucleus(4)),
    "Actin filaments": (688, _actin),
    "Focal adhesion sites": (537, _spots(12, 1.1, "rim")),
    "Microtubules": (1066, LOCATIONS["microtubules"].paint),
    "Microtubule ends": (21, _spots(24, 0.6, "rim")),
    "Cytokinetic bridge": (530, _spots(1, 2.6, "rim")),
    "Mitotic spindle": (210, lambda cell, _: np.clip(cell.fibres * 3, 0, 1) * soft(cell.nucleus - 2, 0.8)),
    "Microtubule organizing center": (902, _spots(1, 2.0, "beside")),
    "Centrosome": (1482, _spots(2, 1.0, "beside")),
    "Lipid droplets": (172, _spots(10, 1.9, "cytoplasm")),
    "Plasma membrane": (3777, LOCATIONS["plasma_membrane"].paint),
    "Cell junctions": (802, _junctions),
    "Mitochondria": (2965, lambda cell, _: cell.cytoplasm() * (cell.grain > 0.4)),
    "Aggresome": (322, _spots(1, 3.4, "beside")),
    "Cytosol": (8228, LOCATIONS["cytosol"].paint),
    "Cytoplasmic bodies": (328, _spots(3, 1.5, "cytoplasm")),
    "Rods & rings": (11, _spots(2, 2.4, "cytoplasm")),
}
ORGANELLES = {name: Location(number / NUM_ATLAS_IMAGES, paint) for name, (number, paint) in _COUNTED.items()}
