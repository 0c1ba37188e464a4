"""Pictures drawn with a pen: letters, and grey scenes that are no gels.

Letters are shifted and bent, under blur and noise: the plainest thing to segment, for questions of robustness. Their
font is the one that Pillow brings, Aileron, which its makers gave to the public domain (CC0).

Scenes are landscapes, portraits, pages, flowers and plain objects; and charts, houses and blinds, which have the lanes
and bars of a gel: the harder, the more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from string import ascii_uppercase

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from foldwise.data.phantoms.canvas import Drawn, Plane, averaged, between, clouds, generator, slope

LETTER_FINE = 4  # drawn at this many times the size, and averaged
TURN_DEG, SHIFT, SMALLEST, SHEAR = 10.0, 0.1, 0.8, 0.1


def draw_letters(
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
    ink = _ink_of(rng, ascii_uppercase[index % 26], size)
    blur = between(0.003, 0.03, difficulty) * size if blur_px is None else blur_px
    level = between(0.05, 0.5, difficulty) if noise is None else noise
    light = ndimage.gaussian_filter(1 - ink, blur) + level * rng.normal(size=ink.shape)
    light = (light - light.min()) / max(float(np.ptp(light)), 1e-6)
    image = np.asarray(light * 255 + 0.5).astype(np.uint8)
    return Drawn(image, f"letter-{index:04d}", mask=(ink > 0.5).astype(np.uint8))


def _ink_of(rng: np.random.Generator, letter: str, size: int) -> Plane:
    """How much of every pixel (size, size) is ink, 0 to 1, after a random affine change."""
    side = LETTER_FINE * size
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
    return averaged(bent, LETTER_FINE)


SCENE_FINE = 2  # scenes are drawn this many times finer, and averaged

Painter = Callable[[np.random.Generator, ImageDraw.ImageDraw, int], None]


def scene(rng: np.random.Generator, size: int, difficulty: float) -> Plane:
    """Light of a random scene (size, size), 0 to 1."""
    look_alike = rng.random() < between(0.25, 0.85, difficulty)
    painters = LOOK_ALIKES if look_alike else SCENES
    paint = painters[list(painters)[int(rng.integers(len(painters)))]]
    side = size * SCENE_FINE
    canvas = Image.new("L", (side, side), int(rng.integers(60, 220)))
    paint(rng, ImageDraw.Draw(canvas), side)
    light = averaged(canvas, SCENE_FINE)
    light *= 1 + 0.03 * clouds(rng, size, size / 12) + 0.10 * slope(rng, size)
    light += 0.012 * clouds(rng, size, 2)
    return np.clip(light, 0, 1).astype(np.float32)


def _landscape(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Sky, perhaps a sun, and ridges that darken towards the front."""
    sky, horizon = rng.uniform(120, 235), rng.uniform(0.35, 0.65) * side
    for row in range(side):
        pen.line((0, row, side, row), fill=int(min(250, sky + 35 * row / horizon)))
    if rng.random() < 0.6:
        x, y, radius = _lengths(rng, side, (0, 1), (0.05, 0.3), (0.03, 0.08))
        _oval(pen, (x, y), (radius, radius), 250)
    num_ridges = int(rng.integers(2, 5))
    for ridge in range(num_ridges):
        base = horizon + ridge * (side - horizon) / num_ridges
        rough = np.cumsum(rng.normal(0, 1, 33)) * side * rng.uniform(0.008, 0.022)
        heights = base - np.abs(rough - np.linspace(rough[0], rough[-1], 33))
        points = [(side * step / 32, float(height)) for step, height in enumerate(heights)]
        shade = int(sky * (0.75 - 0.5 * (ridge + 1) / num_ridges))
        pen.polygon([*points, (side, side), (0, side)], fill=shade)
    for _ in range(int(rng.integers(0, 9))):
        x, y, height = _lengths(rng, side, (0, 1), (0.75, 1), (0.08, 0.2))
        tree = [(x, y - height), (x - 0.25 * height, y), (x + 0.25 * height, y)]
        pen.polygon(tree, fill=int(rng.integers(15, 60)))


def _portrait(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Head and shoulders before a plain wall."""
    skin, hair, dress = (int(rng.integers(*span)) for span in ((110, 230), (10, 160), (20, 230)))
    x, y, face = _lengths(rng, side, (0.38, 0.62), (0.36, 0.5), (0.13, 0.21))
    _oval(pen, (x, y + 3.4 * face), (2.3 * face, 2 * face), dress)
    long_hair = rng.uniform(0, 1.2) if rng.random() < 0.5 else 0.0
    top = y - 0.25 * face + 0.5 * long_hair * face
    _oval(pen, (x, top), (1.25 * face, (1.45 + 0.6 * long_hair) * face), hair)
    pen.rectangle((x - 0.42 * face, y + 0.8 * face, x + 0.42 * face, y + 1.7 * face), fill=int(0.85 * skin))
    _oval(pen, (x, y), (face, 1.3 * face), skin)
    look = rng.normal(0, 0.1) * face
    for side_of_nose in (-0.4, 0.4):
        eye = x + side_of_nose * face + look
        _oval(pen, (eye, y - 0.2 * face), (0.17 * face, 0.09 * face), min(255, skin + 40))
        _oval(pen, (eye, y - 0.2 * face), (0.085 * face, 0.085 * face), 20)
        brow = _box(eye, y - 0.42 * face, 0.22 * face, 0)
        pen.line(brow, fill=hair, width=max(1, int(0.08 * face)))
    nose = (x + look, y - 0.1 * face, x + 1.4 * look, y + 0.28 * face)
    pen.line(nose, fill=int(0.75 * skin), width=max(1, int(0.1 * face)))
    _oval(pen, (x + look, y + 0.62 * face), (0.36 * face, rng.uniform(0.05, 0.14) * face), int(0.55 * skin))


def _page(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """A printed page: a heading and lines of made-up words."""
    pen.rectangle((0, 0, side, side), fill=int(rng.integers(200, 250)))
    margin, height = rng.uniform(0.05, 0.12) * side, rng.uniform(0.06, 0.10) * side
    letters = np.array(list("aaabcdeeeefghiiklmnnooprrsssttuvwy"))
    y = margin
    while y < side - margin - height:
        x, tall = margin, height * (1.5 if y == margin else 1.0)
        while x < side - margin:
            word = "".join(rng.choice(letters, int(rng.integers(2, 9))))
            x += _write(pen, (x, y), word, tall, ink=int(rng.integers(15, 70))) + 0.35 * tall
            if rng.random() < 0.04:
                break
        y += 1.15 * tall


def _write(
    pen: ImageDraw.ImageDraw, corner: tuple[float, float], word: str, height: float, *, ink: int
) -> float:
    """Write a word in a bitmap font, which looks the same on every machine; its width in pixels is returned."""
    font = ImageFont.load_default_imagefont()
    width, tall = (round(length) for length in font.getbbox(word)[2:])
    stamp = Image.new("1", (width, tall))
    ImageDraw.Draw(stamp).text((0, 0), word, fill=1, font=font)
    wide = max(1, round(width * height / tall))
    enlarged = stamp.convert("L").resize((wide, max(1, round(height))))
    pen.bitmap((round(corner[0]), round(corner[1])), enlarged, fill=ink)
    return wide


def _flower(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Blossoms over dark leaves."""
    pen.rectangle((0, 0, side, side), fill=int(rng.integers(20, 80)))
    for _ in range(14):
        x, y, wide, tall = _lengths(rng, side, (0, 1), (0, 1), (0.05, 0.2), (0.03, 0.1))
        _oval(pen, (x, y), (wide, tall), int(rng.integers(30, 110)))
    for _ in range(int(rng.integers(1, 4))):
        x, y, reach = _lengths(rng, side, (0.25, 0.75), (0.25, 0.75), (0.14, 0.32))
        petals, bright = int(rng.integers(5, 14)), int(rng.integers(140, 235))
        for turn in np.linspace(0, 2 * np.pi, petals, endpoint=False) + rng.random():
            middle = (x + 0.6 * reach * np.cos(turn), y + 0.6 * reach * np.sin(turn))
            half = 0.45 * reach, 1.7 * reach / petals
            _petal(pen, middle, half, turn, bright + int(rng.integers(-25, 20)))
        _oval(pen, (x, y), (0.28 * reach, 0.28 * reach), int(rng.integers(60, 200)))


def _petal(
    pen: ImageDraw.ImageDraw, middle: tuple[float, float], half: tuple[float, float], turn: float, fill: int
) -> None:
    round_ = np.linspace(0, 2 * np.pi, 20)
    along, across = half[0] * np.cos(round_), half[1] * np.sin(round_)
    x = middle[0] + along * np.cos(turn) - across * np.sin(turn)
    y = middle[1] + along * np.sin(turn) + across * np.cos(turn)
    pen.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=fill, outline=int(0.7 * fill))


def _objects(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """A few balls and boxes on a table before a wall that darkens to one side."""
    wall, table = rng.uniform(70, 220), rng.uniform(0.5, 0.75) * side
    for column in range(side):
        pen.line((column, 0, column, side), fill=int(wall * (0.7 + 0.4 * column / side)))
    pen.rectangle((0, table, side, side), fill=int(0.55 * wall))
    for _ in range(int(rng.integers(1, 5))):
        (x, reach), shade = _lengths(rng, side, (0.15, 0.85), (0.06, 0.18)), int(rng.integers(40, 235))
        _oval(pen, (x + 0.6 * reach, table + 0.5 * reach), (1.3 * reach, 0.3 * reach), int(0.35 * wall))
        if rng.random() < 0.5:
            pen.rectangle((x - reach, table - 1.2 * reach, x + reach, table + 0.5 * reach), fill=shade)
            continue
        for step in range(6):
            centre = (x - 0.06 * step * reach, table - 0.4 * reach - 0.07 * step * reach)
            radius = reach * (1 - step / 7)
            _oval(pen, centre, (radius, radius), min(250, shade + 14 * step))


def _chart(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Bars, stacked or plain, over an axis with ticks."""
    pen.rectangle((0, 0, side, side), fill=int(rng.integers(205, 250)))
    left, bottom = 0.12 * side, 0.88 * side
    bars = int(rng.integers(4, 12))
    pitch = (0.94 * side - left) / bars
    for row in np.linspace(0.1, 0.88, 6) * side:
        pen.line((left, row, 0.95 * side, row), fill=170, width=1)
        pen.line((left - 0.02 * side, row, left, row), fill=40, width=SCENE_FINE)
    stacked = int(rng.integers(1, 5))
    for bar in range(bars):
        low = bottom
        for part in range(stacked):
            high = max(0.08 * side, low - rng.uniform(0.05, 0.75 / stacked) * side)
            x = left + pitch * (bar + 0.2)
            pen.rectangle((x, high, x + 0.65 * pitch, low), fill=40 + 150 * part // stacked)
            low = high
    pen.line((left, 0.06 * side, left, bottom, 0.95 * side, bottom), fill=30, width=2 * SCENE_FINE)


def _house(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """The front of a house: rows of windows, some lit, under a roof and a sky."""
    front, top = int(rng.integers(60, 200)), rng.uniform(0.02, 0.25) * side
    left, right = rng.uniform(-0.1, 0.15) * side, rng.uniform(0.85, 1.1) * side
    pen.rectangle((left, top, right, side), fill=front)
    eaves, ridge = top, top - 0.12 * side
    roof = [(left - 6, eaves), (right + 6, eaves), (right - 0.1 * side, ridge), (left + 0.1 * side, ridge)]
    pen.polygon(roof, fill=front // 2)
    rows, columns = rng.integers(4, 9, 2)
    wide, tall = (right - left) / columns, (side - top) / rows
    lit = rng.uniform(0.1, 0.9)
    for row in range(rows):
        for column in range(columns):
            x, y = left + wide * (column + 0.5), top + tall * (row + 0.5)
            fill = int(rng.integers(190, 245)) if rng.random() < lit else int(0.4 * front)
            pen.rectangle(_box(x, y, 0.28 * wide, 0.3 * tall), fill=fill)


def _blinds(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Shelves, steps or blinds: level bars between upright posts."""
    pen.rectangle((0, 0, side, side), fill=int(rng.integers(30, 110)))
    posts = np.sort(rng.uniform(0, side, int(rng.integers(1, 5))))
    edges = [-0.05 * side, *posts.tolist(), 1.05 * side]
    for left, right in pairwise(edges):
        y, pitch = rng.uniform(0, 0.1) * side, rng.uniform(0.06, 0.17) * side
        tilt, shade = rng.normal(0, 0.03) * side, int(rng.integers(110, 230))
        while y < 1.05 * side:
            pen.line((left, y, right, y + tilt), fill=shade, width=max(2, int(0.35 * pitch)))
            y += pitch
        pen.line((right, 0, right, side), fill=int(rng.integers(20, 200)), width=max(2, int(0.025 * side)))


def _lengths(rng: np.random.Generator, side: int, *spans: tuple[float, float]) -> list[float]:
    """A random length in pixels from every span, which are parts of the side."""
    return [rng.uniform(*span) * side for span in spans]


def _box(x: float, y: float, half_wide: float, half_tall: float) -> tuple[float, float, float, float]:
    return x - half_wide, y - half_tall, x + half_wide, y + half_tall


def _oval(
    pen: ImageDraw.ImageDraw, middle: tuple[float, float], half: tuple[float, float], fill: int
) -> None:
    pen.ellipse(_box(*middle, *half), fill=fill)


SCENES: dict[str, Painter] = {
    "landscape": _landscape,
    "portrait": _portrait,
    "page": _page,
    "flower": _flower,
    "objects": _objects,
}
LOOK_ALIKES: dict[str, Painter] = {"chart": _chart, "house": _house, "blinds": _blinds}
