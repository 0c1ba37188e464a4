"""Many pictures of two phantoms, small enough that hundreds of networks are trained on them in a second."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foldwise.data.phantoms import dishes, gels

SIZE, SEED = 24, 11
GEL_SIDE = 8  # gels are averaged down to this side
REACH = 2  # a pixel is judged by itself and its neighbours up to this far: 5 x 5
EMPTY = 10  # pixels: pictures with fewer of a bacterium are left out, as their Dice is a lottery


@dataclass(frozen=True)
class Pool:
    """A population of N pictures, from which studies are sampled.

    Attributes:
        metric: that its networks are judged by.
        values: (N, L) what is known of every picture, in a row.
        places: (P,) where in the row each place begins that is classified; one, where the whole picture is.
        reach: (F,) what belongs to a place, from its beginning: the inputs of a network.
        truth: (N, P) 0 or 1.
        groups: (N,) the thing that is shown, or the dish.
    """

    metric: str
    values: np.ndarray
    places: np.ndarray
    reach: np.ndarray
    truth: np.ndarray
    groups: np.ndarray

    def alone(self) -> Pool:
        """One picture of every group: a population of independent pictures."""
        _, first = np.unique(self.groups, return_index=True)
        return replace(self, values=self.values[first], truth=self.truth[first], groups=self.groups[first])

    @property
    def shares(self) -> np.ndarray:
        """(N,) how much every picture counts in a mean over groups."""
        _, place, size = np.unique(self.groups, return_inverse=True, return_counts=True)
        return 1 / size[place]


def pool(name: str, folder: Path, *, pictures: int) -> Pool:
    """The population called ``gels`` (is it a gel?) or ``bacteria`` (which pixels?); drawn once, and kept in `folder`."""
    path = folder / f"{name}-{pictures}.npz"
    if not path.exists():
        images, truth, groups = POOLS[name](pictures)
        folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{os.getpid()}-{path.name}")
        np.savez_compressed(scratch, images=images, truth=truth, groups=groups)
        scratch.replace(path)
    kept = np.load(path)
    images = kept["images"].astype(np.float32) / 255
    truth, groups = kept["truth"].astype(np.float32), kept["groups"]
    if name == "gels":
        return Pool("accuracy", _shrunk(images), np.zeros(1, int), np.arange(GEL_SIDE**2), truth, groups)
    wide, row, column = SIZE + 2 * REACH, *np.divmod(np.arange(SIZE**2), SIZE)
    near = np.arange(2 * REACH + 1)
    reach = (near[:, None] * wide + near).ravel()
    return Pool("dice_img_macro", _widened(images), row * wide + column, reach, truth, groups)


def _gels(pictures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = [gels.draw(index, size=SIZE, difficulty=0.2, seed=SEED) for index in range(pictures)]
    images = np.stack([one.image for one in drawn])
    return images, np.array([one.labels for one in drawn]), np.array([one.group for one in drawn])


def _bacteria(pictures: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    every = range(0, dishes.FIELDS_PER_DISH * pictures, dishes.FIELDS_PER_DISH)  # one picture of every dish
    drawn = [dishes.draw_bacteria(index, size=SIZE, difficulty=0.6, seed=SEED) for index in every]
    kept = [one for one in drawn if one.mask is not None and one.mask.sum() >= EMPTY]
    masks = np.stack([one.mask for one in kept if one.mask is not None]).reshape(len(kept), -1)
    return np.stack([one.image for one in kept]), masks, np.array([one.group for one in kept])


def _shrunk(images: np.ndarray) -> np.ndarray:
    """(N, 64) means of squares, every picture of mean 0 and scatter 1."""
    step = SIZE // GEL_SIDE
    small = images.reshape(len(images), GEL_SIDE, step, GEL_SIDE, step).mean(axis=(2, 4))
    return _unit(small).reshape(len(images), -1)


def _widened(images: np.ndarray) -> np.ndarray:
    """(N, 28 * 28) pictures of mean 0 and scatter 1 with a mirrored border."""
    wide = np.pad(_unit(images), ((0, 0), (REACH, REACH), (REACH, REACH)), mode="reflect")
    return wide.reshape(len(images), -1)


def _unit(images: np.ndarray) -> np.ndarray:
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    return centred / (images.std(axis=(1, 2), keepdims=True) + 1e-3)


POOLS = {"gels": _gels, "bacteria": _bacteria}
