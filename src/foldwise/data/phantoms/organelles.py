"""Cells as in `proteins`, with the 28 labels of the Human Protein Atlas and their unequal frequencies.

The frequencies are those of the 31,072 training images of the competition of 2018: the rarest label is on 11 of them.
A place is drawn so that it can be told from the others, not so that a biologist would take it for one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from foldwise.data.phantoms.canvas import Drawn, soft
from foldwise.data.phantoms.proteins import PLACES, Cell, Location, Paint, drawn_with, scattered

IMAGES = 31072
# Where spots may lie, by the distances from the rims of the nucleus and of the cell.
ZONES: dict[str, Callable[[Cell], np.ndarray]] = {
    "nucleus": lambda cell: cell.nucleus < -1.5,
    "beside": lambda cell: (cell.nucleus > 0.5) & (cell.nucleus < 4) & (cell.body < -1.5),
    "cytoplasm": lambda cell: (cell.nucleus > 1.5) & (cell.body < -1.5),
    "rim": lambda cell: (cell.body > -2.5) & (cell.body < 0),
}


def draw(index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
    """Picture number `index`: (4, size, size) in the order of `proteins.CHANNELS`; three in a row are of one well."""
    return drawn_with(ORGANELLES, index, size=size, difficulty=difficulty, seed=seed)


def _spots(number: int, radius: float, zone: str) -> Paint:
    """So many spots of about this radius in pixels."""
    return lambda cell, rng: scattered(
        ZONES[zone](cell),
        rng,
        number=number,
        radius=lambda: radius * rng.uniform(0.85, 1.15),
        heights=(0.75, 1),
    )


def _junctions(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    side = np.linspace(-1, 1, cell.body.shape[1], dtype=np.float32)[None, :] * rng.choice([-1, 1]) > 0
    return np.asarray(side * np.exp(-((cell.body / 1.5) ** 2)))


_COUNTED: dict[str, tuple[int, Paint]] = {
    "Nucleoplasm": (12885, PLACES["nucleoplasm"].paint),
    "Nuclear membrane": (1254, PLACES["nuclear_membrane"].paint),
    "Nucleoli": (3621, PLACES["nucleoli"].paint),
    "Nucleoli fibrillar center": (1561, lambda cell, _: cell.nucleoli**4 * soft(cell.nucleus, 0.7)),
    "Nuclear speckles": (1858, _spots(22, 0.8, "nucleus")),
    "Nuclear bodies": (2513, _spots(4, 1.3, "nucleus")),
    "Endoplasmic reticulum": (
        1008,
        lambda cell, _: cell.cytoplasm() * np.exp(-np.clip(cell.nucleus, 0, None) / 3),
    ),
    "Golgi apparatus": (2822, _spots(9, 1.5, "beside")),
    "Peroxisomes": (53, _spots(40, 0.5, "cytoplasm")),
    "Endosomes": (45, _spots(7, 1.1, "cytoplasm")),
    "Lysosomes": (28, _spots(14, 1.3, "cytoplasm")),
    "Intermediate filaments": (
        1093,
        lambda cell, _: cell.fibres * np.exp(-np.clip(cell.nucleus, 0, None) / 4),
    ),
    "Actin filaments": (
        688,
        lambda cell, _: (
            0.6 * cell.fibres * soft(-cell.nucleus - 4, 1) + 0.8 * np.exp(-((cell.body / 1.5) ** 2))
        ),
    ),
    "Focal adhesion sites": (537, _spots(12, 1.1, "rim")),
    "Microtubules": (1066, PLACES["microtubules"].paint),
    "Microtubule ends": (21, _spots(24, 0.6, "rim")),
    "Cytokinetic bridge": (530, _spots(1, 2.6, "rim")),
    "Mitotic spindle": (210, lambda cell, _: np.clip(cell.fibres * 3, 0, 1) * soft(cell.nucleus - 2, 0.8)),
    "Microtubule organizing center": (902, _spots(1, 2.0, "beside")),
    "Centrosome": (1482, _spots(2, 1.0, "beside")),
    "Lipid droplets": (172, _spots(10, 1.9, "cytoplasm")),
    "Plasma membrane": (3777, PLACES["plasma_membrane"].paint),
    "Cell junctions": (802, _junctions),
    "Mitochondria": (2965, lambda cell, _: cell.cytoplasm() * (cell.grain > 0.4)),
    "Aggresome": (322, _spots(1, 3.4, "beside")),
    "Cytosol": (8228, PLACES["cytosol"].paint),
    "Cytoplasmic bodies": (328, _spots(3, 1.5, "cytoplasm")),
    "Rods & rings": (11, _spots(2, 2.4, "cytoplasm")),
}
ORGANELLES = {name: Location(number / IMAGES, paint) for name, (number, paint) in _COUNTED.items()}
