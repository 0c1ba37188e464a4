"""Letters, shifted and bent, under blur and noise: the plainest thing to segment, for questions of robustness.

The font is the one that Pillow brings, Aileron, which its makers gave to the public domain (CC0).
"""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from foldwise.data.phantoms.canvas import Drawn, Plane, averaged, between, generator

FINE = 4  # drawn at this many times the size, and averaged
TURN_DEG, SHIFT, SMALLEST, SHEAR = 10.0, 0.1, 0.8, 0.1


def draw(
    index: int,
    *,
    size: int,
    difficulty: float,
    seed: int,
    blur_px: float | None = None,
    noise: float | None = None,
) -> Drawn:
    """Picture number `index`, of letter `index` modulo 26: dark on light; every picture is a group of its own.

    Args:
        blur_px: deviation of the Gaussian blur; by default 0.3 to 3 % of `size`, with the difficulty.
        noise: standard deviation of the noise, where paper is 1 and ink 0; by default 0.05 to 0.5.
    """
    rng = generator(seed, "letters", index)
    ink = _letter(rng, ascii_uppercase[index % 26], size)
    blur = between(0.003, 0.03, difficulty) * size if blur_px is None else blur_px
    level = between(0.05, 0.5, difficulty) if noise is None else noise
    light = ndimage.gaussian_filter(1 - ink, blur) + level * rng.normal(size=ink.shape)
    light = (light - light.min()) / max(float(np.ptp(light)), 1e-6)
    image = np.asarray(light * 255 + 0.5).astype(np.uint8)
    return Drawn(image, f"letter-{index:04d}", mask=(ink > 0.5).astype(np.uint8))


def _letter(rng: np.random.Generator, letter: str, size: int) -> Plane:
    """How much of every pixel (size, size) is ink, 0 to 1, after a random affine change."""
    side = FINE * size
    page = Image.new("L", (side, side))
    font = ImageFont.load_default(0.8 * side)
    pen, middle = ImageDraw.Draw(page), (side / 2, side / 2)
    pen.text(middle, letter, fill=255, font=font, anchor="mm", stroke_width=side // 60)
    turn = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG))
    shear, scale = rng.uniform(-SHEAR, SHEAR), rng.uniform(SMALLEST, 1)
    shift_xy = rng.uniform(-SHIFT, SHIFT, 2) * side
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    back = np.linalg.inv(scale * turned @ np.array([[1, shear], [0, 1]]))
    offset = side / 2 - back @ (side / 2 + shift_xy)
    rows = (*back[0], offset[0], *back[1], offset[1])
    bent = page.transform(page.size, Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)
    return averaged(bent, FINE)
