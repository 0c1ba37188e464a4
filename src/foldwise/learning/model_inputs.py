"""New images as a model knows them: their channels, value type and size; or why it cannot be asked about one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.formats.pixels import Pixels, plane, resize_image
from foldwise.data.formats.reading import as_image, read_pixels
from foldwise.data.formats.steps import refuse_doubtful
from foldwise.data.formats.windows import large_image, resize_bands
from foldwise.errors import DataError

if TYPE_CHECKING:
    from foldwise.learning.checkpoints.saved import Winner

CHANNELS = {1: "gray", 3: "rgb"}  # new files are brought to these; other counts must match as they are


def as_fed(winner: Winner, image_CHW: np.ndarray) -> np.ndarray:
    """The image at the size that the networks work at."""
    model = winner.model
    return resize_image(image_CHW, model.size_hw) if model.resized and model.size_hw else image_CHW


def read_as_trained_on(root: Path, file: str, winner: Winner, name: str) -> tuple[Pixels, np.ndarray]:
    """The image with the channels, the value type and the size that the model knows, and the file that it is made of."""
    return as_trained_on(read_pixels(root, file, winner.decoding), winner, file=file, name=name)


def read_resized(root: Path, file: str, winner: Winner, name: str) -> tuple[Pixels, np.ndarray]:
    """The same of a large image for a model that resizes images, and so at its size: read band by band."""
    with large_image(root / file, winner.decoding) as windows:
        if windows is None or winner.model.size_hw is None:
            raise DataError("the image was changed meanwhile", where=name, cure="Predict it again.")
        pixels: list[Pixels] = []

        def bands() -> Iterator[np.ndarray]:
            for band in windows.bands(winner.decoding):
                seen, image_CHW = as_trained_on(band, winner, file=file, name=name)
                pixels[:] = [seen]
                yield image_CHW

        fed = resize_bands(bands(), winner.model.size_hw)
    return pixels[0], fed


def as_trained_on(pixels: Pixels, winner: Winner, *, file: str, name: str) -> tuple[Pixels, np.ndarray]:
    """The decoded image (C, H, W) with the channels that the model knows; DataError where it cannot be used."""
    model = winner.model
    if winner.channels:
        alone = len(winner.channels) == 1
        image_CHW = plane(pixels, where=file) if alone else pixels.values
    else:
        channels = CHANNELS.get(model.num_channels, "native")
        pixels, image_CHW = as_image(pixels, channels, where=file)
    refuse_doubtful(pixels.steps, winner.decoding, where=name)
    num_channels, height, width = image_CHW.shape
    if num_channels != model.num_channels:
        what = f"the image has {num_channels} channels, the model was trained on {model.num_channels}"
        raise DataError(what, where=name, cure="Save it with the channels of the training images.")
    if str(image_CHW.dtype) != model.dtype:
        raise DataError(
            f"the image holds {image_CHW.dtype} values, the model was trained on {model.dtype}",
            where=name,
            cure="Save it with the bit depth of the training images.",
        )
    if not np.isfinite(image_CHW).all():
        what = "the image holds values that are not finite (NaN or infinite)"
        raise DataError(what, where=name, cure="Replace them by numbers, such as 0, and save it again.")
    segments = model.task.endswith("segmentation")
    if not segments and not model.resized and model.size_hw and (height, width) != model.size_hw:
        size = f"{model.size_hw[1]}×{model.size_hw[0]}"
        raise DataError(
            f"the image is {width}×{height} pixels, the model was trained on images of {size} as they were",
            where=name,
            cure="Bring it to that scale and size first; or state data.size in the study, and sizes are adjusted.",
        )
    return pixels, image_CHW
