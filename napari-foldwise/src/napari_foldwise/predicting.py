"""What a model says of a layer of images, as layers; nothing here needs Qt or napari."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Model(Protocol):
    """What `foldwise.load` gives, as far as it is used here."""

    classes: tuple[str, ...]
    task: str

    def __call__(self, images: Sequence[np.ndarray]) -> Sequence[Any]:
        """What it says of each image."""


@dataclass(frozen=True)
class Layer:
    """A layer as napari adds it: its data, what is set of it, and its kind, ``labels`` or ``image``."""

    data: np.ndarray
    settings: dict[str, Any]
    kind: str


@dataclass(frozen=True)
class Answer:
    """The layers of a prediction, and a sentence for each image or about all of them."""

    layers: tuple[Layer, ...]
    sentences: tuple[str, ...]


def planes_of(data: np.ndarray, *, rgb: bool) -> tuple[list[np.ndarray], tuple[int, ...]]:
    """The images of a layer, (H, W) or with colours (H, W, C), and the shape of the axes before them.

    Raises:
        ValueError: the layer has no plane of pixels.
    """
    inner = 3 if rgb else 2
    if data.ndim < inner:
        raise ValueError(f"the layer has {data.ndim} axes; an image has {inner} at least")
    before = data.shape[: data.ndim - inner]
    return list(data.reshape(-1, *data.shape[data.ndim - inner :])), before


def predicted(
    model: Model,
    data: np.ndarray,
    *,
    name: str,
    rgb: bool,
    scale: Sequence[float],
    probabilities: bool = True,
) -> Answer:
    """What a model says of every plane of a layer: labels and probabilities of masks, sentences of classes.

    Args:
        data: (..., H, W), or with `rgb` (..., H, W, C); values as the files of such images hold them.
        name: of the layer.
        scale: of its axes, without that of colours; layers of the prediction lie on it.
        probabilities: whether those of every class but the background become a layer each.
    """
    planes, before = planes_of(np.asarray(data), rgb=rgb)
    answers = model([np.asarray(plane) for plane in planes])
    warnings = tuple(f"{where}{warning}" for where, answer in _named(answers) for warning in answer.warnings)
    if answers[0].mask is None:
        return Answer(
            (), (*(where + _classes(model, answer) for where, answer in _named(answers)), *warnings)
        )
    masks = np.stack([answer.mask for answer in answers])
    size = masks.shape[1:]
    settings = {"scale": tuple(scale), "name": f"{name}: {', '.join(model.classes[1:])}"}
    layers = [Layer(masks.reshape(*before, *size).astype(np.int32), settings, "labels")]
    for index, title in enumerate(model.classes):
        if not probabilities or index == 0:
            continue
        p = np.stack([answer.probabilities[index] for answer in answers]).reshape(*before, *size)
        shown = {"scale": tuple(scale), "name": f"{name}: p({title})", "contrast_limits": (0, 1)}
        layers.append(Layer(p, {**shown, "visible": False, "colormap": "magma"}, "image"))
    shares = [f"{title} {(masks == index).mean():.1%}" for index, title in enumerate(model.classes) if index]
    return Answer(tuple(layers), (f"Of all pixels: {', '.join(shares)}.", *warnings))


def _named(answers: Sequence[Any]) -> list[tuple[str, Any]]:
    several = len(answers) > 1
    return [(f"{number}: " if several else "", answer) for number, answer in enumerate(answers)]


def _classes(model: Model, answer: Any) -> str:
    p = answer.probabilities if answer.calibrated is None else answer.calibrated
    told = [f"{label} {p[model.classes.index(label)]:.0%}" for label in answer.labels]
    return ", ".join(told) or "none of " + ", ".join(model.classes)
