"""The kinds of phantoms, and how one is written as an ordinary folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from foldwise.data.phantoms import dishes, drawings, gels, organs, proteins
from foldwise.data.phantoms.canvas import Drawn
from foldwise.errors import DataError, RunError, SpecError, choose, unknown
from foldwise.sealed import digest_of_folder, read_json
from foldwise.storage import (
    CACHE_CURE,
    cache_root,
    folder_replaced,
    remove_damaged,
    write_array,
    write_json,
    write_table,
)
from foldwise.study.spec import PhantomData
from foldwise.study.training import Task

SMALLEST = 24  # pixels: below this nothing is to be seen in any of them
VERSION = 2  # raised when a picture of a given seed changes, so that folders kept for reuse are made anew

# Draws picture number `index`, the same whatever was drawn before: draw(index, size=, difficulty=, seed=), and
# the options of its kind.
Draw = Callable[..., Drawn]


@dataclass(frozen=True)
class Phantom:
    """One kind of built-in data set.

    Attributes:
        classes: names in the order of the class indices; for masks the first is the background.
        write: lays its pictures out in a folder, and returns what they are called there.
        summary: one sentence for people.
        options: what can be set beside the difficulty.
        reading: keys of `data` that its folder is read with, where the study does not state them.
    """

    draw: Draw
    task: Task
    classes: tuple[str, ...]
    write: Callable[[Path, tuple[str, ...], Mapping[str, Drawn]], list[str]]
    summary: str
    reading: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def make(
    kind: str,
    folder: Path,
    *,
    images: int,
    size: int,
    difficulty: float,
    seed: int,
    options: Mapping[str, float] | None = None,
) -> None:
    """Draw a phantom data set and write it to `folder`, whole or not at all.

    The folder is an ordinary one, with a ``metadata.csv`` of the columns image and group: class folders; ``images/``
    with ``masks/``; the stacks ``images.npy`` and ``masks.npy``; or ``train/`` with a file per channel and a
    ``train.csv`` of label numbers.

    Args:
        folder: is made; may exist when it is empty.
        images: how many pictures, at least 1.
        size: their height and width in pixels, at least 24.
        difficulty: 0 (clear) to 1 (hard to see even for a person).
        options: what the kind has beside it, such as the blur of letters.

    Raises:
        SpecError: there is no such kind or option, or a number is out of range.
        DataError: the folder holds something already.
    """
    phantom = choose(PHANTOMS, kind, "phantom")
    _check(images, size, difficulty)
    _check_options(kind, phantom, options or {})
    if folder.exists() and any(folder.iterdir()):
        cure = "Name a new folder for the phantom pictures."
        raise DataError(f"the folder {folder} is not empty", cure=cure)
    digits = max(3, len(str(images - 1)))
    draw = partial(phantom.draw, size=size, difficulty=difficulty, seed=seed, **(options or {}))
    drawn = {f"{kind}_{index:0{digits}d}": draw(index) for index in range(images)}
    with folder_replaced(folder) as scratch:
        names = phantom.write(scratch, phantom.classes, drawn)
        groups = zip(names, drawn.values(), strict=True)
        rows = ({"image": name, "group": picture.group} for name, picture in groups)
        write_table(scratch / "metadata.csv", rows)


def cached(spec: PhantomData) -> Path:
    """The folder of a phantom in the cache, whose name holds all that changes a pixel; drawn where it is not there, or damaged.

    Raises:
        RunError: the cache cannot be written.
    """
    name = f"{spec.kind}-{spec.images}-{spec.size}-{spec.difficulty:g}-{spec.seed}-v{VERSION}"
    name += "".join(f"-{option}-{value:g}" for option, value in sorted(spec.options.items()))
    folder = cache_root() / "phantoms" / name
    record = folder.with_name(f"{name}.json")

    def is_whole(drawn: Path) -> bool:
        # Of other pixels the study would be another one, without a word.
        with suppress(RunError):
            return bool(read_json(record)["sha256"] == digest_of_folder(drawn))
        return False

    if folder.is_dir() and record.exists():
        if is_whole(folder):
            return folder
        remove_damaged(folder, whole=is_whole)
    try:
        if not folder.is_dir():
            make(folder=folder, **spec.model_dump())
        write_json(record, {"sha256": digest_of_folder(folder)})
    except OSError as error:
        # Another process may have drawn the very same folder meanwhile.
        if not folder.is_dir():
            problem = f"the phantom cannot be written ({error.strerror})"
            raise RunError(problem, where=str(folder), cure=CACHE_CURE) from None
    return folder


def _check(images: int, size: int, difficulty: float) -> None:
    if images < 1:
        cure = "Ask for a positive number of images."
        raise SpecError(f"a phantom needs at least 1 image, got {images}", cure=cure)
    if size < SMALLEST:
        cure = f"Ask for {SMALLEST} pixels or more."
        raise SpecError(f"a phantom image of {size} pixels is too small", cure=cure)
    if not 0 <= difficulty <= 1:
        raise SpecError(f"the difficulty {difficulty} is out of range", cure="Ask for a number from 0 to 1.")


def _check_options(kind: str, phantom: Phantom, options: Mapping[str, float]) -> None:
    where = "data.phantom.options"
    for name, value in options.items():
        if not phantom.options:
            raise SpecError(f"the phantom {kind} has no options", where=where, cure="Remove the line.")
        if name not in phantom.options:
            raise unknown(name, phantom.options, f"option of the phantom {kind}", where=where)
        if value < 0:
            raise SpecError(f"{name} must be at least 0, got {value:g}", where=where)


def _write_masks(folder: Path, classes: tuple[str, ...], drawn: Mapping[str, Drawn]) -> list[str]:
    """``images/`` and ``masks/``: masks of two classes hold 0 and 255, of more the class index."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    scale = np.uint8(255 if len(classes) == 2 else 1)
    for name, picture in drawn.items():
        assert picture.mask is not None
        Image.fromarray(picture.image).save(folder / "images" / f"{name}.png")
        Image.fromarray(picture.mask * scale).save(folder / "masks" / f"{name}.png")
    return [f"{name}.png" for name in drawn]


def _write_stacks(folder: Path, classes: tuple[str, ...], drawn: Mapping[str, Drawn]) -> list[str]:
    """``images.npy`` and ``masks.npy``, a slice after the other; masks hold the class index."""
    images = [picture.image for picture in drawn.values()]
    masks = [picture.mask for picture in drawn.values() if picture.mask is not None]
    write_array(folder / "images.npy", np.stack(images))
    write_array(folder / "masks.npy", np.stack(masks))
    return [f"images.npy[{k}]" for k in range(len(images))]


def _write_classes(folder: Path, classes: tuple[str, ...], drawn: Mapping[str, Drawn]) -> list[str]:
    """One folder per class."""
    pictures = {f"{classes[picture.labels[0]]}/{name}.png": picture for name, picture in drawn.items()}
    for path, picture in pictures.items():
        (folder / path).parent.mkdir(exist_ok=True)
        Image.fromarray(picture.image).save(folder / path)
    return list(pictures)


def _write_atlas(folder: Path, classes: tuple[str, ...], drawn: Mapping[str, Drawn]) -> list[str]:
    """As the Human Protein Atlas: ``train.csv`` of Id and label numbers, and ``train/`` with a file per channel."""
    (folder / "train").mkdir()
    order = {colour: proteins.CHANNELS.index(stain) for colour, stain in proteins.COLOURS.items()}
    for name, picture in drawn.items():
        for colour, channel in order.items():
            Image.fromarray(picture.image[channel]).save(folder / "train" / f"{name}_{colour}.png")
    targets = ({"Id": name, "Target": " ".join(map(str, picture.labels))} for name, picture in drawn.items())
    write_table(folder / "train.csv", targets)
    return list(drawn)


_ATLAS_READING = {"images": "train", "table": "train.csv", "channels": tuple(proteins.COLOURS)}
PHANTOMS: dict[str, Phantom] = {
    "bacteria": Phantom(
        dishes.draw_bacteria, "binary_segmentation", ("background", "bacteria"), _write_masks,
        "rod-shaped bacteria under phase contrast, three pictures per dish",
    ),
    "vessels": Phantom(
        organs.draw_vessels, "binary_segmentation", ("background", "vessel"), _write_masks,
        "colour photographs of a retina with its vessels, two eyes per person",
    ),
    "nuclei": Phantom(
        dishes.draw_nuclei, "binary_segmentation", ("background", "nucleus"), _write_masks,
        "fluorescent cell nuclei, three pictures per dish",
    ),
    "cells": Phantom(
        dishes.draw_cells, "multiclass_segmentation", ("background", "cytoplasm", "nucleus"), _write_masks,
        "fluorescent cells with nucleus and cytoplasm, three pictures per dish",
    ),
    "tissue": Phantom(
        organs.draw_tissue, "multiclass_segmentation", ("background", "blood vessel", "cell", "axon"), _write_stacks,
        "slices of a brain under X-rays, one stack, twelve slices in a row from each place",
    ),
    "letters": Phantom(
        drawings.draw_letters, "binary_segmentation", ("background", "letter"), _write_masks,
        "letters, shifted and bent, under blur and noise", options=("blur_px", "noise"),
    ),
    "gels": Phantom(
        gels.draw, "binary_classification", ("gel", "other"), _write_classes,
        "photographs of electrophoresis gels against other pictures, some shown twice or thrice",
    ),
    "organelles": Phantom(
        proteins.draw_organelles, "multilabel_classification", tuple(proteins.ORGANELLES), _write_atlas,
        "four-channel cells with a protein in some of 28 places, as unequal as in the Human Protein Atlas", _ATLAS_READING,
    ),
    "proteins": Phantom(
        proteins.draw_proteins, "multilabel_classification", tuple(proteins.LOCATIONS), _write_atlas,
        "four-channel cells with a protein in one place or several, three pictures per well", _ATLAS_READING,
    ),
}  # fmt: skip
