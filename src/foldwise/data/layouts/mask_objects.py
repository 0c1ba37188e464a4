"""Whether the values of masks number objects (1 for the first cell, 2 for the second ...) rather than classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.ndimage import find_objects, label

from foldwise.data.formats.pixels import MaskKey
from foldwise.data.layouts.census import Census, show
from foldwise.text import count

# A pair is a value in a mask. Below this many there is too little to tell: two masks of two classes make four.
_MIN_PAIRS = 6
_CONNECTED = 0.9  # of the pairs: objects are now and then cut in two by another one that lies over them
_IN_ONE_PIECE = 0.9  # of the pixels of a value: stray pixels at the rim of an object make it no two
_EVERYWHERE = (
    0.9  # of the masks with objects: so many hold the first, and all values where each is a class of its own
)
_FALLEN = 0.8  # of the masks that hold the first value: objects are not as many in every image
_MANY = 6  # from so many values on, all of them in one piece, numbers need not fall off: tracks, numbers of a whole set
_MAX_MASKS = 40  # that are decoded again, spread over the set
_MAX_VALUES = 200  # that are looked at in a mask


def numbered_objects(census: Census, values: Sequence[MaskKey]) -> str | None:
    """Why the foreground `values`, in their order, look like numbers of objects; None where they do not.

    Numbers of objects are connected, and either fewer masks hold each than hold the one before it, or there are many
    of them and they are not in every mask.
    """
    with_objects = [mask for mask in census.masks if any(value in mask.pixels for value in values)]
    files = [census.files[value] for value in values]
    if len(values) < 2 or sum(files) < _MIN_PAIRS:
        return None
    falls_off = _falls_off(files, len(with_objects))
    in_all = len(with_objects) > 1 and min(files) >= _EVERYWHERE * len(with_objects)
    if not falls_off and (len(values) < _MANY or in_all):
        return None
    chosen = np.unique(np.linspace(0, len(with_objects) - 1, _MAX_MASKS).astype(int))
    if not _all_connected(census, [with_objects[k].location for k in chosen], set(values)):
        return None
    pieces = "nearly every value is one connected piece of its mask"
    if not falls_off:
        return f"{pieces}, and most values are in some of the {census.num_masks} masks only"
    first, last = (f"{count(files[k], 'mask holds', 'masks hold')} {show(values[k])}" for k in (0, -1))
    return f"{pieces}, and {first}, {last}"


def _falls_off(files: Sequence[int], num_masks: int) -> bool:
    """Whether nearly all masks hold the first value, and fewer and fewer the next ones."""
    slack = max(1, num_masks // 20)
    is_falling = all(after <= before + slack for before, after in pairwise(files))
    return is_falling and files[0] >= _EVERYWHERE * num_masks and files[-1] <= _FALLEN * files[0]


def _all_connected(census: Census, locations: Sequence[str], values: set[MaskKey]) -> bool:
    """Whether nearly every value is one piece in every mask; ends as soon as too many are not."""
    numbers = {
        value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2] for value in values
    }
    looked_at = {mask.location: mask for mask in census.masks}
    total = sum(min(_MAX_VALUES, len(values & looked_at[name].pixels.keys())) for name in locations)
    allowed, apart = (1 - _CONNECTED) * total, 0
    for name in locations:
        codes, ranks = np.unique(census.codes(name), return_inverse=True)
        ranks = ranks + 1  # find_objects takes 0 for nothing
        boxes = find_objects(ranks)
        own = [k for k, code in enumerate(codes.tolist()) if code in numbers][:_MAX_VALUES]
        for k in own:
            apart += not _is_one_piece(ranks[boxes[k]] == k + 1)
            if apart > allowed:
                return False
    return True


def _is_one_piece(area: np.ndarray) -> bool:
    pieces, number = label(area, np.ones((3, 3), int))
    return number == 1 or bool(np.bincount(pieces[area]).max() >= _IN_ONE_PIECE * area.sum())
