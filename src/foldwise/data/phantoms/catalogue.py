"""The kinds of phantoms, and how one is written as an ordinary folder."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from foldwise.data.phantoms import bacteria, cells, gels, proteins, vessels
from foldwise.data.phantoms.canvas import Drawn
from foldwise.errors import DataError, SpecError, choose
from foldwise.study.spec import Task

SMALLEST = 24  # pixels: below this nothing is to be seen in any of them
VERSION = 1  # raised when a picture of a given seed changes, so that folders kept for reuse are made anew


class Draw(Protocol):
    """Draws picture number `index`, the same whatever was drawn before."""

    def __call__(self, index: int, *, size: int, difficulty: float, seed: int) -> Drawn:
        """The picture with its truth; `size` in pixels, `difficulty` 0 to 1."""
        ...


@dataclass(frozen=True)
class Phantom:
    """One kind of built-in data set.

    Attributes:
        classes: names in the order of the class indices; for masks the first is the background.
        write: how its pictures are laid out in a folder.
        summary: one sentence for people.
    """

    draw: Draw
    task: Task
    classes: tuple[str, ...]
    write: Callable[[Path, tuple[str, ...], list[tuple[str, Drawn]]], None]
    summary: str


def make(kind: str, folder: Path, *, images: int, size: int, difficulty: float, seed: int) -> None:
    """Draw a phantom data set and write it to `folder`, whole or not at all.

    The folder is an ordinary one: class folders, or ``images/`` with ``masks/``, each with a ``metadata.csv``
    of the columns image and group; or ``images/`` with a ``labels.csv`` of image, group and one 0/1 column per label.

    Args:
        folder: is made; may exist when it is empty.
        images: how many pictures, at least 1.
        size: their height and width in pixels, at least 24.
        difficulty: 0 (clear) to 1 (hard to see even for a person).

    Raises:
        SpecError: there is no such kind, or a number is out of range.
        DataError: the folder holds something already.
    """
    phantom = choose(PHANTOMS, kind, "phantom")
    _check(images, size, difficulty)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(
            f"the folder {folder} is not empty", cure="Name a new folder for the phantom pictures."
        )
    digits = max(3, len(str(images - 1)))
    drawn = [
        (f"{kind}_{index:0{digits}d}", phantom.draw(index, size=size, difficulty=difficulty, seed=seed))
        for index in range(images)
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        scratch.mkdir()
        phantom.write(scratch, phantom.classes, drawn)
        if folder.exists():
            folder.rmdir()
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check(images: int, size: int, difficulty: float) -> None:
    if images < 1:
        raise SpecError(
            f"a phantom needs at least 1 image, got {images}", cure="Ask for a positive number of images."
        )
    if size < SMALLEST:
        raise SpecError(
            f"a phantom image of {size} pixels is too small", cure=f"Ask for {SMALLEST} pixels or more."
        )
    if not 0 <= difficulty <= 1:
        raise SpecError(f"the difficulty {difficulty} is out of range", cure="Ask for a number from 0 to 1.")


def _write_masks(folder: Path, classes: tuple[str, ...], drawn: list[tuple[str, Drawn]]) -> None:
    """``images/`` and ``masks/``: masks of two classes hold 0 and 255, of more the class index."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    scale = np.uint8(255 if len(classes) == 2 else 1)
    for name, picture in drawn:
        if picture.mask is None:
            raise AssertionError(f"{name} was drawn without a mask")
        Image.fromarray(picture.image).save(folder / "images" / f"{name}.png")
        Image.fromarray(picture.mask * scale).save(folder / "masks" / f"{name}.png")
    rows = [[f"{name}.png", picture.group] for name, picture in drawn]
    _write_table(folder / "metadata.csv", ["image", "group"], rows)


def _write_classes(folder: Path, classes: tuple[str, ...], drawn: list[tuple[str, Drawn]]) -> None:
    """One folder per class."""
    rows = []
    for name, picture in drawn:
        path = f"{classes[picture.labels[0]]}/{name}.png"
        (folder / path).parent.mkdir(exist_ok=True)
        Image.fromarray(picture.image).save(folder / path)
        rows.append([path, picture.group])
    _write_table(folder / "metadata.csv", ["image", "group"], rows)


def _write_labels(folder: Path, classes: tuple[str, ...], drawn: list[tuple[str, Drawn]]) -> None:
    """``images/`` of multi-channel TIFF, and ``labels.csv`` with one 0/1 column per label."""
    (folder / "images").mkdir()
    rows = []
    for name, picture in drawn:
        _write_channels(folder / "images" / f"{name}.tif", picture.image)
        rows.append(
            [f"{name}.tif", picture.group, *(str(int(k in picture.labels)) for k in range(len(classes)))]
        )
    _write_table(folder / "labels.csv", ["image", "group", *classes], rows)


def _write_channels(path: Path, image: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, image, photometric="minisblack", metadata={"axes": "CYX"})


def _write_table(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


PHANTOMS: dict[str, Phantom] = {
    "bacteria": Phantom(
        bacteria.draw,
        "binary_segmentation",
        ("background", "bacteria"),
        _write_masks,
        "rod-shaped bacteria under phase contrast, three pictures per dish",
    ),
    "vessels": Phantom(
        vessels.draw,
        "binary_segmentation",
        ("background", "vessel"),
        _write_masks,
        "colour photographs of a retina with its vessels, two eyes per person",
    ),
    "nuclei": Phantom(
        cells.draw_nuclei,
        "binary_segmentation",
        ("background", "nucleus"),
        _write_masks,
        "fluorescent cell nuclei, three pictures per dish",
    ),
    "cells": Phantom(
        cells.draw_cells,
        "multiclass_segmentation",
        ("background", "cytoplasm", "nucleus"),
        _write_masks,
        "fluorescent cells with nucleus and cytoplasm, three pictures per dish",
    ),
    "gels": Phantom(
        gels.draw,
        "binary_classification",
        ("gel", "other"),
        _write_classes,
        "photographs of electrophoresis gels against other pictures, some shown twice or thrice",
    ),
    "proteins": Phantom(
        proteins.draw,
        "multilabel_classification",
        tuple(proteins.PLACES),
        _write_labels,
        "four-channel cells with a protein in one place or several, three pictures per well",
    ),
}
