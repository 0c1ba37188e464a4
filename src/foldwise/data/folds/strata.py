"""What the folds are balanced by, classes and for masks the share of foreground; how groups are dealt; folds that are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.errors import DataError
from foldwise.study.spec import LEAVE_ONE_OUT, Validation

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset


MAX_SHARE_BINS = 5
PLACES: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2}


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
    counts: np.ndarray = group_presence(presence_NK, group_numbers(groups)).sum(axis=0)
    return counts


def group_presence(presence_NK: np.ndarray, group_N: np.ndarray) -> np.ndarray:
    """(G, K) bool: whether any image of a group holds class k."""
    present_GK = np.zeros((int(group_N.max(initial=-1)) + 1, presence_NK.shape[1]), bool)
    np.logical_or.at(present_GK, group_N, presence_NK)
    return present_GK


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
        problem = f"{folds} folds need at least {folds} {kind}, and there are {num_groups}"
        cure = f"{allowed}dd images{' of other groups' if kind == 'groups' else ''}."
        return [DataError(problem, where="validate.folds", cure=cure, choices=_folds(num_groups))]
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
    return [DataError(what, where="validate.folds", cure=f"{cure}dd images.", choices=_folds(max_folds))]


def _too_rare(
    dataset: Dataset, presence_NK: np.ndarray, counts_K: np.ndarray, *, rare: tuple[int, ...], folds: int
) -> list[DataError]:
    """Single labels: a class in one group cannot be both learned and tested, and a comparison needs two classes."""
    errors = []
    for k in rare:
        name, images = dataset.classes[k], int(presence_NK[:, k].sum())
        if counts_K[k] < 2:
            images_held = f"{images} image(s), all in one group," if images else "no image"
            problem = f"class {name!r} has {images_held} and cannot be both learned and tested"
            cure = "Add images of it, merge it with another class, or leave it out (its folder, or its rows)."
            errors.append(DataError(problem, where="data", cure=cure))
    if not errors and len(dataset.classes) - len(rare) < 2:
        max_folds = int(np.sort(counts_K)[-2])
        scarce = ", ".join(f"{dataset.classes[k]!r} ({counts_K[k]})" for k in rare)
        problem = (
            f"fewer than two classes are in {folds} groups of images or more; too rare (groups): {scarce}"
        )
        cure = f"State validate.folds: {max_folds}, or add images."
        choices = _folds(max_folds)
        errors.append(DataError(problem, where="validate.folds", cure=cure, choices=choices))
    return errors


def _folds(number: int) -> list[str]:
    return [f"validate.folds={number}"] if number >= 2 else []


# All pairs of groups are weighed; more groups than this come out level by themselves.
_MOST_SWAPPED = 500
# Far above the rounding below, so that the steps end.
_LEAST_GAIN = 1e-6


def deal(
    counts_GS: np.ndarray, sizes_G: np.ndarray, *, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """(G,) int64: the part of every group, by greedy iterative stratification.

    The rarest stratum that still waits is dealt first, its largest groups before the smaller ones. A single image
    goes to the part that lacks most of that stratum, among equals to the one with most room; a group to the part
    that lacks most of all it holds, and in the end a few groups are exchanged where that levels the parts. Where every
    group is one image and the shares are equal, the parts differ by at most one image of the rarest stratum.

    Args:
        counts_GS: images of stratum s in group g; a group may be in several strata or in none.
        sizes_G: images of group g, at least 1.
        shares: of every part, with sum 1.
        rng: shuffles the groups; what is equal is dealt by chance.

    Source: Sechidis, Tsoumakas & Vlahavas 2011, On the Stratification of Multi-Label Data; the groups are ours.
    """
    dealer = _Dealer(counts_GS, sizes_G, shares)
    order_G = rng.permutation(len(sizes_G))
    waiting_S = counts_GS.sum(axis=0)
    while waiting_S.any():
        stratum = int(np.where(waiting_S > 0, waiting_S, np.iinfo(np.int64).max).argmin())
        free_G = order_G[(dealer.part_G[order_G] < 0) & (counts_GS[order_G, stratum] > 0)]
        largest_first = np.lexsort((-sizes_G[free_G], -counts_GS[free_G, stratum]))
        dealer.deal(free_G[largest_first], stratum, rng.permutation(len(shares)))
        waiting_S = waiting_S - counts_GS[free_G].sum(axis=0)
    free_G = order_G[dealer.part_G[order_G] < 0]
    largest_first = np.argsort(-sizes_G[free_G], kind="stable")
    dealer.deal(free_G[largest_first], None, rng.permutation(len(shares)))
    if 1 < len(sizes_G) <= _MOST_SWAPPED and sizes_G.max() > 1:
        return level(dealer.part_G, np.column_stack([counts_GS, sizes_G]), shares)
    return dealer.part_G


class _Dealer:
    """What every part still lacks, in plain lists: half a million groups are dealt one by one, and numpy is slow at one."""

    def __init__(self, counts_GS: np.ndarray, sizes_G: np.ndarray, shares: Sequence[float]) -> None:
        self.part_G = np.full(len(sizes_G), -1, np.int64)
        self._counts_GS, self._sizes_G = counts_GS, sizes_G
        self._totals: list[int] = counts_GS.sum(axis=0).tolist()
        self._num_images = int(sizes_G.sum())
        self._lacks = [[share * total for total in self._totals] for share in shares]
        self._room = [share * self._num_images for share in shares]

    def deal(self, groups: np.ndarray, stratum: int | None, parts: np.ndarray) -> None:
        """Give each of the groups, in turn, to the part that lacks most; `parts` in the order that breaks ties."""
        room, lacks, order = self._room, self._lacks, parts.tolist()
        for group, size, contents in zip(
            groups.tolist(), self._sizes_G[groups].tolist(), self._contents(groups), strict=True
        ):
            if stratum is None:
                best = max(order, key=room.__getitem__)
            elif size == 1:
                best = max(order, key=lambda part: (lacks[part][stratum], room[part]))
            else:
                needs = [self._need(part, size, contents) for part in range(len(room))]
                best = max(order, key=needs.__getitem__)
            self.part_G[group] = best
            room[best] -= size
            for other, count in contents:
                lacks[best][other] -= count

    def _need(self, part: int, size: int, contents: list[tuple[int, int]]) -> float:
        """How much of what a group holds is lacking in a part; rare strata weigh more."""
        lacks = self._lacks[part]
        lacking: float = sum(count * lacks[stratum] / self._totals[stratum] for stratum, count in contents)
        return lacking + size * self._room[part] / self._num_images

    def _contents(self, groups: np.ndarray) -> list[list[tuple[int, int]]]:
        """Of every group, the (stratum, count) pairs that are not 0."""
        counts = self._counts_GS[groups]
        contents: list[list[tuple[int, int]]] = [[] for _ in groups]
        rows, strata = np.nonzero(counts)
        for row, stratum, count in zip(
            rows.tolist(), strata.tolist(), counts[rows, strata].tolist(), strict=True
        ):
            contents[row].append((stratum, count))
        return contents


def level(part_G: np.ndarray, counts_GS: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The parts after the groups that level them most are moved, or exchanged in pairs, one step after the other.

    What falls in each step, and so ends the steps, is the sum over parts and strata of (images too many or too
    few)² / images of the stratum.
    """
    part_G = part_G.copy()
    totals_S = counts_GS.sum(axis=0)
    weighted_GS = counts_GS / np.maximum(totals_S, 1)
    overlap_GG = (weighted_GS @ counts_GS.T).round(9)
    own_G = np.diag(overlap_GG)
    excess_PS = np.eye(len(shares))[part_G].T @ counts_GS - np.outer(shares, totals_S)
    everyone = np.arange(len(part_G))
    while True:
        load_GP = (weighted_GS @ excess_PS.T).round(9)  # the last digits differ between processors
        stay_G = load_GP[everyone, part_G]
        moved_GP = load_GP - stay_G[:, None] + own_G[:, None]
        moved_GP[everyone, part_G] = 0
        there_GG = load_GP[:, part_G] - stay_G[:, None] + own_G[:, None]
        swapped_GG = there_GG + there_GG.T - 2 * overlap_GG
        swapped_GG[part_G[:, None] == part_G] = 0
        if min(moved_GP.min(), swapped_GG.min()) > -_LEAST_GAIN:
            return part_G
        if swapped_GG.min() < moved_GP.min():
            first, second = np.unravel_index(swapped_GG.argmin(), swapped_GG.shape)
            moves = [(first, part_G[second]), (second, part_G[first])]
        else:
            group, target = np.unravel_index(moved_GP.argmin(), moved_GP.shape)
            moves = [(group, target)]
        for group, target in moves:
            excess_PS[part_G[group]] -= counts_GS[group]
            excess_PS[target] += counts_GS[group]
            part_G[group] = target


def given_folds(dataset: Dataset, groups: Sequence[str], validation: Validation) -> list[np.ndarray]:
    """Of every fold the part of every case, (n,) of 0 train, 1 validation and 2 test; empty where folds are dealt.

    Args:
        groups: of every case.
        validation: who divides the images.
    """
    if not validation.is_given:
        return []
    parts = [case.part for case in dataset.cases]
    if validation.split == LEAVE_ONE_OUT:
        fold_N = group_numbers(groups)
    elif isinstance(parts[0], int):
        fold_N = np.array(parts, np.int64)
    else:
        return [np.array([PLACES[str(part)] for part in parts], np.int64)]
    return [np.where(fold_N == fold, 2, 0) for fold in range(int(fold_N.max()) + 1)]
