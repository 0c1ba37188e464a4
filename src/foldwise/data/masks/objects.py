"""Whether the values of masks number objects (1 for the first cell, 2 for the second ...) rather than classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.ndimage import find_objects, label

from foldwise.data.formats.pixels import MaskKey
from foldwise.data.masks.census import Census, MaskValues, as_code, show
from foldwise.text import count

# A pair is a value in a mask. Below this many there is too little to tell: two masks of two classes make four.
_MIN_PAIRS = 6
_CONNECTED = 0.9  # of the pairs: objects are now and then cut in two by another one that lies over them
_IN_ONE_PIECE = 0.9  # of the pixels of a value: stray pixels at the rim of an object make it no two
# Of the masks with objects: so many hold the first, and all values where each is a class of its own.
_EVERYWHERE = 0.9
_FALLEN = 0.8  # of the masks that hold the first value: objects are not as many in every image
_MANY = 6  # from so many values on, all of them in one piece, numbers need not fall off: tracks, numbers of a whole set
_MIN_EXCHANGED, _MIN_MASKS = 3, 8  # values and masks, from which on sizes and places are compared
# Of the variance of sizes, or of places, by which value it is: numbers say nothing of either.
_MAX_EXPLAINED = 0.1
_STEADY = 0.75  # of the masks hold every value, where the number of objects hardly varies
_MAX_MASKS = 40  # that are decoded again, spread over the set
_MAX_VALUES = 200  # that are looked at in a mask


def numbered_objects(census: Census, values: Sequence[MaskKey]) -> str | None:
    """Why the foreground `values`, in their order, look like numbers of objects; None where they do not.

    Numbers of objects are connected; and either fewer masks hold each than hold the one before it, or there are many of
    them and they are not in every mask, or no value has a size and a place of its own.
    """
    with_objects = [mask for mask in census.masks if any(value in mask.pixels for value in values)]
    files = [census.files[value] for value in values]
    if len(values) < 2 or sum(files) < _MIN_PAIRS:
        return None
    num_masks = len(with_objects)
    falls_off = _falls_off(files, num_masks)
    is_many = len(values) >= _MANY and (num_masks == 1 or min(files) < _EVERYWHERE * num_masks)
    is_steady = (
        len(values) >= _MIN_EXCHANGED and num_masks >= _MIN_MASKS and min(files) >= _STEADY * num_masks
    )
    if not (falls_off or is_many or is_steady):
        return None
    chosen = np.unique(np.linspace(0, num_masks - 1, _MAX_MASKS).astype(int))
    pieces = _pieces(census, [with_objects[k] for k in chosen], values)
    connected = "nearly every value is one connected piece of its mask"
    if pieces is not None and falls_off:
        first, last = (f"{count(files[k], 'mask holds', 'masks hold')} {show(values[k])}" for k in (0, -1))
        return f"{connected}, and {first}, {last}"
    if pieces is not None and is_many:
        return f"{connected}, and most values are in some of the {census.num_masks} masks only"
    if pieces is not None and is_steady and _are_exchangeable(pieces):
        return f"{connected}, and none has a size and a place of its own"
    return None


def _falls_off(files: Sequence[int], num_masks: int) -> bool:
    """Whether nearly all masks hold the first value, and fewer and fewer the next ones."""
    slack = max(1, num_masks // 20)
    is_falling = all(after <= before + slack for before, after in pairwise(files))
    return is_falling and files[0] >= _EVERYWHERE * num_masks and files[-1] <= _FALLEN * files[0]


class _Piece(NamedTuple):
    """Where one value of one mask is: its pixels, its centre in shares of height and width, and its first pixel."""

    value: MaskKey
    mask: int
    size: int
    row: float
    column: float
    first: int


def _pieces(census: Census, masks: Sequence[MaskValues], values: Sequence[MaskKey]) -> list[_Piece] | None:
    """The pieces of the values in some masks; None as soon as too many of them are not connected."""
    number_of = {as_code(value): value for value in values}
    total = sum(min(_MAX_VALUES, len(mask.pixels.keys() & set(values))) for mask in masks)
    allowed, apart, pieces = (1 - _CONNECTED) * total, 0, []
    for k, mask in enumerate(masks):
        codes, ranks = _ranked(census.codes(mask.location))
        boxes = find_objects(ranks + 1)  # which takes 0 for nothing
        own = [rank for rank, code in enumerate(codes.tolist()) if code in number_of][:_MAX_VALUES]
        for rank in own:
            rows, columns = boxes[rank]
            area = ranks[rows, columns] == rank
            apart += not _is_one_piece(area)
            if apart > allowed:
                return None
            height, width = ranks.shape
            row, column = (float(where.mean()) for where in np.nonzero(area))
            first = rows.start * width + columns.start + int(area[0].argmax())
            centre = (row + rows.start) / height, (column + columns.start) / width
            pieces.append(_Piece(number_of[int(codes[rank])], k, int(area.sum()), *centre, first))
    return pieces


def _ranked(codes_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a mask in order, and the place of each pixel's value among them (H, W)."""
    if codes_HW.max() > 65535:
        codes, ranks_HW = np.unique(codes_HW, return_inverse=True)
        return codes, ranks_HW
    # A table in place of sorting: a tenth of the time.
    codes = np.flatnonzero(np.bincount(codes_HW.ravel()))
    rank_of = np.zeros(65536, np.int32)
    rank_of[codes] = np.arange(len(codes))
    return codes, rank_of[codes_HW]


def _are_exchangeable(pieces: Sequence[_Piece]) -> bool:
    """Whether no value has a size of its own, nor a place, unless numbers follow the rows of each mask."""
    values = sorted({piece.value for piece in pieces}, key=as_code)
    group_N = np.array([values.index(piece.value) for piece in pieces])
    if _explained([np.log(piece.size) for piece in pieces], group_N) > _MAX_EXPLAINED:
        return False
    by_mask: dict[int, list[_Piece]] = {}
    for piece in pieces:
        by_mask.setdefault(piece.mask, []).append(piece)
    in_rows = [
        own == sorted(own, key=lambda piece: piece.first)
        for own in (sorted(own, key=lambda piece: as_code(piece.value)) for own in by_mask.values())
    ]
    if np.mean(in_rows) >= _CONNECTED:
        return True
    coordinates = [[piece.row for piece in pieces], [piece.column for piece in pieces]]
    return all(_explained(numbers, group_N) <= _MAX_EXPLAINED for numbers in coordinates)


def _explained(numbers: Sequence[float], group_N: np.ndarray) -> float:
    """The share of the variance of numbers that lies between groups, less what chance gives (epsilon squared); 0 of equal ones."""
    number_N = np.asarray(numbers, float)
    counts_K = np.bincount(group_N)
    means_K = np.bincount(group_N, number_N) / np.maximum(counts_K, 1)
    total = float(((number_N - number_N.mean()) ** 2).sum())
    within = float(((number_N - means_K[group_N]) ** 2).sum())
    free = len(number_N) - len(counts_K)
    if total == 0 or free <= 0:
        return 0.0
    return (total - within - (len(counts_K) - 1) * within / free) / total


def _is_one_piece(area: np.ndarray) -> bool:
    pieces, number = label(area, np.ones((3, 3), int))
    return number == 1 or bool(np.bincount(pieces[area]).max() >= _IN_ONE_PIECE * area.sum())
