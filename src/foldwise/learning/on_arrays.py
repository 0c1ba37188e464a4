"""A trained model that answers from Python: arrays in, labels or masks and probabilities out, as `predict` has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from foldwise.data.formats.pixels import MODES, Pixels, plain, resize_image
from foldwise.errors import DataError
from foldwise.learning.checkpoints.saved import Winner
from foldwise.learning.model_inputs import as_fed, as_trained_on, read_as_trained_on
from foldwise.learning.predict import ImagePrediction, answers, mask_of
from foldwise.learning.prediction_files import channel_places, images_to_predict, warnings_of
from foldwise.learning.runtimes import Runtime
from foldwise.learning.training.devices import steady


@dataclass(frozen=True)
class Predicted:
    """What a model says of one image.

    Attributes:
        labels: names of the classes that are said: one, or of several labels any number; none of a mask.
        mask: (H, W) uint8, indices of `Model.classes`, at the size of the image; None of a classification.
        probabilities: (K,), or (K, H, W) at the size of the image; of images that the model sees resized, enlarged.
        calibrated: (K,) the same at the temperature of the model; None where it has none, and of a mask.
        warnings: why not to rely on it, in a few words each.
        unlike_training_p: the smaller, the less the image is like those of the training; None where too few are known.
    """

    labels: tuple[str, ...]
    mask: np.ndarray | None
    probabilities: np.ndarray
    calibrated: np.ndarray | None
    warnings: tuple[str, ...]
    unlike_training_p: float | None = None


class Model:
    """The networks of a configuration, or one of them; called with images, it says what they are.

    Attributes:
        classes: their names; masks and probabilities are in this order.
        task: of its study.
        score: what it reached, and on what, in a sentence; empty where not recorded.
    """

    def __init__(self, winner: Winner, runtime: Runtime, device: torch.device) -> None:
        self._winner, self._runtime, self._device = winner, runtime, device
        self.classes, self.task = winner.model.classes, winner.model.task
        self.score = winner.score or ""

    @overload
    def __call__(self, images: np.ndarray) -> Predicted: ...

    @overload
    def __call__(self, images: Sequence[np.ndarray]) -> list[Predicted]: ...

    def __call__(self, images: Any) -> Any:
        """What it says of one image, or of each of a list of them, whose sizes may differ.

        Args:
            images: arrays (H, W), (H, W, C) or (C, H, W), with the values that the files of such images hold.

        Raises:
            DataError: an image has other channels or another type than those of the training.
        """
        alone = not isinstance(images, list | tuple)
        with steady(0, torch.get_num_threads(), self._device):
            read = [
                (name, self._as_file(np.asarray(image), name))
                for name, image in (
                    [("the image", images)]
                    if alone
                    else [(f"image {k}", each) for k, each in enumerate(images)]
                )
            ]
            predicted = [self._predicted(each) for each in answers(self._winner, self._runtime, read)]
        return predicted[0] if alone else predicted

    def __repr__(self) -> str:
        return f"Model of {', '.join(self.classes)}. {self.score}".strip()

    def _as_file(self, image: np.ndarray, name: str) -> np.ndarray:
        """(C, H, W), as a file with these pixels is decoded."""
        if image.dtype.kind not in "biuf":  # a path or a name, most often
            what = f"an image is to be an array of numbers, and this is of {image.dtype}"
            raise DataError(what, where=name, cure="Of files, or a folder of them, take foldwise.predict.")
        values = plain(self._channels_first(image, name))
        mode = MODES[len(values)] if len(values) in MODES else f"C{len(values)}"
        # Of as many channels as the model has, none is an alpha channel.
        mode = f"C{len(values)}" if len(values) == self._winner.model.num_channels not in (1, 3) else mode
        pixels = Pixels(values, mode, "array", 8 * values.dtype.itemsize)
        winner = self._winner
        if winner.channels and len(values) != len(winner.channels):
            what = f"the image has {len(values)} channels, the model takes {', '.join(winner.channels)}"
            raise DataError(what, where=name, cure="Stack them in this order.")
        if len(winner.channels) > 1:
            pixels = Pixels(values, f"C{len(values)}", "array", pixels.bit_depth)
        return as_trained_on(pixels, winner, file=name, name=name)[1]

    def _channels_first(self, image: np.ndarray, name: str) -> np.ndarray:
        if image.ndim == 2:
            return image[None]
        num = self._winner.model.num_channels
        # A grey picture may be one of three equal channels, and one of colours may have an alpha channel.
        usual = {num} | ({1, 3, 4} if num in (1, 3) else set())
        if image.ndim != 3 or not {image.shape[0], image.shape[2]} & usual:
            what = f"the array has the shape {image.shape}, and the model takes images of {num} channels"
            raise DataError(
                what, where=name, cure="Give (H, W), (H, W, C) or (C, H, W); several images as a list."
            )
        first, last = image.shape[0] in usual, image.shape[2] in usual
        if first and last and (image.shape[0] == num) == (image.shape[2] == num):
            what = f"of the shape {image.shape}, the first and the last axis can be the channels"
            raise DataError(what, where=name, cure="Give an image that is larger than that.")
        if last and not (first and image.shape[0] == num):
            return np.moveaxis(image, 2, 0)
        return image

    def _predicted(self, prediction: ImagePrediction) -> Predicted:
        winner, p, size_hw = self._winner, prediction.probabilities, prediction.image_CHW.shape[1:]
        novelty = winner.training_images.novelty(as_fed(winner, prediction.image_CHW))
        warnings = (*warnings_of(winner, p, size_hw), *novelty.warning)
        if p.ndim == 3:
            height, width = size_hw
            return Predicted(
                (), mask_of(prediction), resize_image(p, (height, width)), None, warnings, novelty.p
            )
        labels = tuple(self.classes[k] for k in winner.decided(p))
        return Predicted(labels, None, p, winner.calibrated(p), warnings, novelty.p)


def some_fed(winner: Winner, images: Path, most: int) -> list[np.ndarray]:
    """Up to `most` images of a folder, evenly from the first to the last, as they are fed to the networks (C, H, W).

    Raises:
        DataError: there is none, or one cannot be used.
    """
    places = channel_places(winner.channels, images, images_to_predict(images)[0])
    root, names = images.parent if images.is_file() else images, list(places)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    read = (read_as_trained_on(root, places[names[index]], winner, names[index])[1] for index in chosen)
    return [as_fed(winner, image_CHW) for image_CHW in read]
