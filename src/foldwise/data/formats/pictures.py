"""PNG, JPEG and BMP files: one picture each, decoded by Pillow, and by imagecodecs where Pillow would lose bits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from foldwise.data.formats.pixels import MODES, Pixels, full_palette, plain, upright
from foldwise.errors import DataError

ORIENTATION = 0x0112  # the EXIF tag


def _decode(path: Path, *, kind: str) -> Pixels:
    with Image.open(path, formats=[kind]) as image:
        orientation = int(image.getexif().get(ORIENTATION, 1))
        if kind == "PNG" and _png_bit_depth(path) == 16:
            # Pillow reads 16-bit colour as 8 bit without a word.
            return _of_array(imagecodecs.png_decode(path.read_bytes()), kind, 16, orientation, path)
        if image.mode == "P":
            # The indices are kept: in a mask they may be class numbers, whatever colours they stand for.
            colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            indices = upright(np.asarray(image)[None], orientation)
            return Pixels(indices, "P", kind, 8, full_palette(colours))
        if image.mode == "1":
            return Pixels(upright(np.asarray(image.convert("L"))[None], orientation), "1", kind, 1)
        if image.mode not in MODES.values():
            raise DataError(
                f"the colour mode {image.mode} is not supported",
                where=str(path),
                cure="Save it as grey or RGB.",
            )
        return _of_array(np.asarray(image), kind, 8, orientation, path)


decode_png = partial(_decode, kind="PNG")
decode_jpeg = partial(_decode, kind="JPEG")
decode_bmp = partial(_decode, kind="BMP")


def _png_bit_depth(path: Path) -> int:
    """Bits per sample: byte 24, in the header chunk that every PNG begins with."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _of_array(array: np.ndarray, kind: str, bit_depth: int, orientation: int, path: Path) -> Pixels:
    """Pixels of an (H, W) or (H, W, C) array whose channels mean L, LA, RGB or RGBA."""
    values = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return Pixels(upright(plain(values, path), orientation), MODES[len(values)], kind, bit_depth)
