"""PNG, JPEG, BMP, GIF and WebP files: one picture each, as it is stored, and the steps that it asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from foldwise.data.formats.pixels import (
    MODES,
    TURNS,
    VARIES,
    Pixels,
    PixelUm,
    Step,
    full_palette,
    pixel_of_resolution,
)
from foldwise.errors import DataError

ORIENTATION = 0x0112  # the EXIF tag


def _decode(path: Path, *, kind: str) -> Pixels:
    with Image.open(path, formats=[kind]) as image:
        steps = _steps_of(image)
        if kind == "PNG" and _png_bit_depth(path) == 16:
            # Pillow reads 16-bit colour as 8 bit without a word.
            return _of_array(imagecodecs.png_decode(path.read_bytes()), kind, 16, steps)
        if image.mode == "P":
            # The indices are kept: in a mask they may be class numbers, whatever colours they stand for.
            colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            return Pixels(np.asarray(image)[None], "P", kind, 8, full_palette(colours), steps)
        if image.mode == "1":
            return Pixels(np.asarray(image.convert("L"))[None], "1", kind, 1, steps=steps)
        if image.mode not in MODES.values():
            problem = f"the colour mode {image.mode} is not supported"
            raise DataError(problem, where=str(path), cure="Save it as grey or RGB.")
        return _of_array(np.asarray(image), kind, 8, steps)


def _steps_of(image: Image.Image) -> tuple[Step, ...]:
    """What an image that Pillow has opened asks for, beyond its pixels."""
    orientation, frames = int(image.getexif().get(ORIENTATION, 1)), int(getattr(image, "n_frames", 1))
    steps = [Step("turned", str(orientation))] if orientation in TURNS else []
    steps += [Step("first", f"of {frames}")] if frames > 1 else []
    if (clear := image.info.get("transparency")) is None:
        return tuple(steps)
    # Some colours stand for transparent: of a palette by their index or an alpha for each, else the one that is named.
    if image.mode == "P":
        alpha = np.full(256, 255, np.uint8)
        alpha[clear if isinstance(clear, int) else slice(len(clear))] = (
            0 if isinstance(clear, int) else list(clear)
        )
        varies = len(set(alpha[np.unique(np.asarray(image))].tolist())) > 1
    else:
        pixels = np.asarray(image).reshape(image.height * image.width, -1)
        varies = bool((pixels == np.atleast_1d(clear)).all(1).any())
    return (*steps, Step("alpha", VARIES)) if varies else tuple(steps)


def _png_bit_depth(path: Path) -> int:
    """Bits per sample: byte 24, in the header chunk that every PNG begins with."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _of_array(array: np.ndarray, kind: str, bit_depth: int, steps: tuple[Step, ...]) -> Pixels:
    """Pixels of an (H, W) or (H, W, C) array whose channels mean L, LA, RGB or RGBA."""
    values = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return Pixels(values, MODES[len(values)], kind, bit_depth, steps=steps)


def png_pixel_um(path: Path) -> PixelUm | None:
    """What the resolution of a PNG means, where it is none for printing."""
    with Image.open(path, formats=["PNG"]) as image:
        across, down = image.info.get("dpi", (0, 0))
    return pixel_of_resolution(down / 2.54, across / 2.54)


decode_png = partial(_decode, kind="PNG")
decode_jpeg = partial(_decode, kind="JPEG")
decode_bmp = partial(_decode, kind="BMP")
decode_gif = partial(_decode, kind="GIF")
decode_webp = partial(_decode, kind="WEBP")
