"""What the folds are balanced by: which classes an image holds and, for masks, how much of it is foreground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.cases import Dataset
from foldwise.errors import DataError

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

MAX_SHARE_BINS = 5


def class_presence(dataset: Dataset, packed: Packed) -> np.ndarray:
    """(n, K) bool: whether image i holds class k; of a mask, whether any pixel does."""
    if is_segmentation(dataset):
        return _class_pixels(packed) > 0
    presence_NK = np.zeros((len(dataset.cases), len(dataset.classes)), bool)
    for row, case in enumerate(dataset.cases):
        presence_NK[row, list(case.labels)] = True
    return presence_NK


def make_strata(dataset: Dataset, packed: Packed, *, folds: int) -> np.ndarray:
    """(n, S) int64 of 0 and 1: the properties whose shares every fold is to have, never one that a model measured.

    Classification: the classes, and "none of them" where several labels are possible. Segmentation: the classes that
    are present, and quantiles of the foreground share, at most five and of at least two images per fold.
    """
    presence_NK = class_presence(dataset, packed)
    if not is_segmentation(dataset):
        none_N1 = ~presence_NK.any(axis=1, keepdims=True)
        return np.hstack([presence_NK, none_N1]).astype(np.int64)
    share_N = foreground_shares(packed)
    # Two images per bin and fold at least: finer bins could not be dealt evenly anyway.
    num_bins = int(np.clip(len(share_N) // (2 * folds), 1, MAX_SHARE_BINS))
    edges = np.quantile(share_N, np.arange(1, num_bins) / num_bins)
    bin_N = np.searchsorted(edges, share_N, side="right")
    return np.hstack([presence_NK[:, 1:], np.eye(num_bins, dtype=bool)[bin_N]]).astype(np.int64)


def foreground_shares(packed: Packed) -> np.ndarray:
    """(n,) share of the pixels that count which are not background; 0 where none count."""
    pixels_NK = _class_pixels(packed)
    shares: np.ndarray = pixels_NK[:, 1:].sum(axis=1) / np.maximum(pixels_NK.sum(axis=1), 1)
    return shares


def _class_pixels(packed: Packed) -> np.ndarray:
    return np.array([measure.class_pixels for measure in packed.measures], np.int64)


def is_segmentation(dataset: Dataset) -> bool:
    """Whether every image has a mask."""
    return dataset.task.endswith("segmentation")


def is_single_label(dataset: Dataset) -> bool:
    """Whether every image has exactly one class."""
    return dataset.task in {"binary_classification", "multiclass_classification"}


def group_numbers(groups: Sequence[str]) -> np.ndarray:
    """(n,) int64: the place of every image's group among the sorted names, so that the order on disk does not matter."""
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1].astype(np.int64)


def groups_per_class(presence_NK: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """(K,) int64: how many groups hold each class."""
    number_N = group_numbers(groups)
    present_GK = np.zeros((int(number_N.max(initial=-1)) + 1, presence_NK.shape[1]), bool)
    np.logical_or.at(present_GK, number_N, presence_NK)
    counts: np.ndarray = present_GK.sum(axis=0)
    return counts


def rare_classes(
    dataset: Dataset, presence_NK: np.ndarray, groups: Sequence[str], *, folds: int
) -> tuple[int, ...]:
    """Classes in fewer groups than there are folds: some fold cannot test them. The background is not among them."""
    # The background is in nearly every image, so it is never the class that is lacking.
    first = 1 if is_segmentation(dataset) else 0
    counts_K = groups_per_class(presence_NK, groups)
    return tuple(k for k in range(first, len(counts_K)) if counts_K[k] < folds)


def impossible_folds(
    dataset: Dataset, presence_NK: np.ndarray, groups: Sequence[str], *, folds: int
) -> list[DataError]:
    """Why the folds that are asked for cannot be made, each with its cure; empty where they can."""
    num_groups = len(set(groups))
    if num_groups < folds:
        kind = "groups" if num_groups < len(groups) else "images"
        allowed = f"State validate.folds: {num_groups}, or a" if num_groups >= 3 else "A"
        return [
            DataError(
                f"{folds} folds need at least {folds} {kind}, and there are {num_groups}",
                where="validate.folds",
                cure=f"{allowed}dd images{' of other groups' if kind == 'groups' else ''}.",
            )
        ]
    rare = rare_classes(dataset, presence_NK, groups, folds=folds)
    counts_K = groups_per_class(presence_NK, groups)
    if is_single_label(dataset):
        return _too_rare(dataset, presence_NK, counts_K, rare=rare, folds=folds)
    first = 1 if is_segmentation(dataset) else 0
    if len(rare) < len(dataset.classes) - first:
        return []
    max_folds = int(counts_K[first:].max())
    cure = f"State validate.folds: {max_folds}, or a" if max_folds >= 2 else "A"
    what = f"no class is in as many as {folds} groups of images, so that no fold could test any class of the others"
    return [DataError(what, where="validate.folds", cure=f"{cure}dd images.")]


def _too_rare(
    dataset: Dataset, presence_NK: np.ndarray, counts_K: np.ndarray, *, rare: tuple[int, ...], folds: int
) -> list[DataError]:
    """Single labels: a class in one group cannot be both learned and tested, and a comparison needs two classes."""
    errors = []
    for k in rare:
        name, images = dataset.classes[k], int(presence_NK[:, k].sum())
        if counts_K[k] < 2:
            images_held = f"{images} image(s), all in one group," if images else "no image"
            errors.append(
                DataError(
                    f"class {name!r} has {images_held} and cannot be both learned and tested",
                    where="data",
                    cure="Add images of it, merge it with another class, or leave it out (its folder, or its rows).",
                )
            )
    if not errors and len(dataset.classes) - len(rare) < 2:
        max_folds = int(np.sort(counts_K)[-2])
        scarce = ", ".join(f"{dataset.classes[k]!r} ({counts_K[k]})" for k in rare)
        errors.append(
            DataError(
                f"fewer than two classes are in {folds} groups of images or more; too rare (groups): {scarce}",
                where="validate.folds",
                cure=f"State validate.folds: {max_folds}, or add images.",
            )
        )
    return errors
