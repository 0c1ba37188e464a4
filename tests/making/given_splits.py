"""Small data sets that come with a split, as public ones do: folders train, val and test, or train and test."""

import csv

import numpy as np
from PIL import Image


def picture(path, rng, *, bright=0, size=24):
    """A noisy grey picture, brighter for one class; no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 150, (size, size)) + bright * (np.arange(size) > size // 2) * 100
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def chests(root, *, train=10, val=4, test=8, seed=0):
    """Class folders in parts, as a set of chest radiographs has them: ``train/NORMAL/NORMAL-0.png``; so many of each class."""
    rng = np.random.default_rng(seed)
    for part, number in (("train", train), ("val", val), ("test", test)):
        for bright, name in enumerate(("NORMAL", "PNEUMONIA")):
            for k in range(number):
                picture(root / part / name / f"{name}-{k}.png", rng, bright=bright)
    return root


def retinas(root, *, train=9, test=5, seed=0, size=32):
    """Images and masks in parts, as a set of retinas has them: ``train/Original`` with ``train/Ground truth``."""
    rng = np.random.default_rng(seed)
    for part, number in (("train", train), ("test", test)):
        for k in range(number):
            mask = np.zeros((size, size), np.uint8)
            row, column = rng.integers(4, size - 12, 2)
            mask[row : row + 8, column : column + 8] = 255
            pixels = rng.integers(0, 90, (size, size)) + mask // 2
            for folder, values in (("Original", pixels), ("Ground truth", mask)):
                path = root / part / folder / f"{k + 1}_A.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values.astype(np.uint8)).save(path)
    return root


def listed(root, parts, *, column="part", classes=("a", "b"), groups=None, file=None, seed=1, size=24):
    """``images/`` with ``labels.csv``, whose column says the part of every image; or `file` beside it does."""
    rng = np.random.default_rng(seed)
    names = [f"{k}.png" for k in range(len(parts))]
    for k, name in enumerate(names):
        picture(root / "images" / name, rng, bright=k % len(classes), size=size)
    rows = [{"image": name, "label": classes[k % len(classes)]} for k, name in enumerate(names)]
    if groups is not None:
        rows = [row | {"patient": group} for row, group in zip(rows, groups, strict=True)]
    own = [{"image": name, column: part} for name, part in zip(names, parts, strict=True)]
    if file is None:
        rows = [row | {column: part} for row, part in zip(rows, parts, strict=True)]
    else:
        write(root / file, [row for row in own if row[column] is not None])
    write(root / "labels.csv", rows)
    return root


def write(path, rows):
    """A CSV file of dictionaries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as out:
        table = csv.DictWriter(out, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
