"""Images that are in the data set more than once: exactly, or flipped, turned, resized or saved anew.

Their hashes make two images candidates; their pixels decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from foldwise.data.audit.likeness import BoolArray, IntArray, Likeness
from foldwise.data.cache.measures import NUM_TURNS

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset

HashArray = npt.NDArray[np.uint64]
# (first, second, turn) of candidate pairs -> which of them are copies; `turn` is what `measures.turned` takes.
Confirm = Callable[[IntArray, IntArray, IntArray], BoolArray]

# Nineteen known pairs of gel photographs lie within 7 bits (15 at 2 or less), the nearest other pair at 16.
WITHIN_BITS = 8
_PAIRS_AT_ONCE, _CONFIRMED_AT_ONCE = 1 << 21, 1 << 9
# Pictures of up to so many copies have every pair of them compared. Beyond, as where a camera does not move, an image
# that is joined to others is compared with none of them again: of 5,000 images 12 million pairs are the same picture.
MAX_COMPARED = 32


@dataclass(frozen=True)
class Copies:
    """Which images are copies of which; indices of cases, in increasing order.

    Attributes:
        exact: clusters of two and more images with the same pixels before any resizing.
        near: pairs (i, j), i < j, of images that show the same picture; the exact ones are not among them. Of more
            than `MAX_COMPARED` images of one picture only so many that they join all of them.
        cut_short: from `Likeness`.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, int], ...]
    cut_short: bool = False

    def links(self) -> Iterator[tuple[int, int]]:
        """Pairs that join all images of one picture."""
        for cluster in self.exact:
            yield from ((cluster[0], other) for other in cluster[1:])
        yield from self.near


def find_copies(packed: Packed) -> Copies:
    """All copies in a packed data set; images without any structure are copies only where they are exactly equal."""
    by_digest: dict[str, list[int]] = {}
    for index, measure in enumerate(packed.measures):
        by_digest.setdefault(measure.pixel_digest, []).append(index)
    # One image stands for its exact copies, else a thousand of them would be half a million pairs.
    distinct = [indices[0] for indices in by_digest.values()]
    likeness = Likeness(packed)
    numbers = np.array(distinct, np.int64)
    pairs = near_duplicates(
        [packed.measures[index].fingerprints for index in distinct],
        likely=lambda first, second, turn: likeness.likely(numbers[first], numbers[second], turn),
        confirm=lambda first, second, turn: likeness.same(numbers[first], numbers[second], turn),
    )
    exact = tuple(tuple(indices) for indices in by_digest.values() if len(indices) > 1)
    near = sorted((min(distinct[i], distinct[j]), max(distinct[i], distinct[j])) for i, j in pairs)
    return Copies(exact, tuple(near), likeness.cut_short)


def clusters(links: Iterable[tuple[int, int]], *, total: int) -> list[list[int]]:
    """The sets of two and more of ``range(total)`` that the links join, each in order, by their first."""
    pairs = np.array(list(links), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(total, total))
    members: dict[int, list[int]] = {}
    for item, number in enumerate(connected_components(graph, directed=False)[1].tolist()):
        members.setdefault(number, []).append(item)
    return [items for items in members.values() if len(items) > 1]


def near_duplicates(
    fingerprints: Sequence[tuple[str, ...]],
    *,
    within_bits: int = WITHIN_BITS,
    likely: Confirm | None = None,
    confirm: Confirm | None = None,
) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, where some turn of image j has a hash within `within_bits` of that of image i.

    Args:
        fingerprints: of every image, as `fingerprint` gives them; `FLAT` ones are linked to nothing.
        within_bits: largest number of differing bits, from 0 to 15.
        likely: looks at the candidates, very many at a time, and keeps those that may be copies; None keeps all.
        confirm: looks at those, fewer at a time, and keeps those that are copies; of images that many join already, not
            every pair is asked about. None keeps all.
    """
    if not fingerprints:
        return []
    hashes_NT = np.array([[int(digits, 16) for digits in row] for row in fingerprints], dtype=np.uint64)
    joined, pairs = _Joined(len(hashes_NT)), [np.empty((0, 2), np.int64)]
    for first, second, turn in _close_pairs(hashes_NT, within_bits, joined):
        if likely is not None:
            unsettled = ~joined.settled(first, second)
            unsettled[unsettled] = likely(first[unsettled], second[unsettled], turn[unsettled])
            first, second, turn = first[unsettled], second[unsettled], turn[unsettled]
        if confirm is None:
            pairs.append(np.stack([first, second], axis=1))
            continue
        for start in range(0, len(first), _CONFIRMED_AT_ONCE):
            part = np.arange(start, min(start + _CONFIRMED_AT_ONCE, len(first)))
            part = part[~joined.settled(first[part], second[part])]
            part = part[confirm(first[part], second[part], turn[part])] if len(part) else part
            joined.join(first[part], second[part])
            pairs.append(np.stack([first[part], second[part]], axis=1))
    every = np.sort(np.concatenate(pairs), axis=1)
    return [(int(i), int(j)) for i, j in np.unique(every, axis=0)]


class _Joined:
    """Which images are joined to one picture: union-find, with the root of every image at hand."""

    def __init__(self, num_images: int) -> None:
        self._root = np.arange(num_images)
        self._many = np.zeros(num_images, bool)  # of a root: whether more than `MAX_COMPARED` images have it
        self._first: int | None = None  # an image of the first picture that had so many

    @property
    def crowd(self) -> BoolArray:
        """(N,) whether an image is of the first picture that had more than `MAX_COMPARED`; it only grows."""
        if self._first is None:
            return np.zeros(len(self._root), bool)
        return np.asarray(self._root == self._root[self._first])

    def settled(self, first: IntArray, second: IntArray) -> BoolArray:
        """Of every pair, whether it need not be compared: both are of one picture that has many."""
        roots = self._root[first]
        return np.asarray((roots == self._root[second]) & self._many[roots])

    def join(self, first: IntArray, second: IntArray) -> None:
        """Both images of every pair are of one picture."""
        if not (self._root[first] != self._root[second]).any():
            return
        pairs = self._root[np.stack([first, second])]
        graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(len(self._root),) * 2)
        numbers = connected_components(graph, directed=False)[1][self._root]
        _, begins, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        self._root = begins[inverse]
        self._many = np.bincount(self._root, minlength=len(self._root)) > MAX_COMPARED
        if self._first is None and self._many.any():
            self._first = int(self._many.argmax())


def _close_pairs(
    hashes_NT: HashArray, within_bits: int, joined: _Joined
) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """(i, j, turn) of all close pairs, in blocks; i < j, but where j is one of a crowd.

    The 64 bits are cut into bands, so many that two close hashes differ by at most one bit in some band: only images
    that share a band, or all but one bit of it, are compared. Images of a crowd look for no others: those which are
    not of it look for them. So of 5,000 images of one picture 5,000 pairs are listed, and not 12 million.
    """
    # At most 16 bits each: a bucket for every value fits in memory.
    num_bands = max(4, within_bits // 2 + 1)
    bands = [
        (int(low), int(high - low)) for low, high in pairwise(np.linspace(0, 64, num_bands + 1).astype(int))
    ]
    for number, (low, width) in enumerate(bands):
        for owner, flat in _sharing(hashes_NT, low, width, joined):
            other, turn = np.divmod(flat, NUM_TURNS)
            once = (other > owner) | joined.crowd[other]
            owner, other, turn = owner[once], other[once], turn[once]
            differing = hashes_NT[owner, 0] ^ hashes_NT[other, turn]
            near = np.bitwise_count(differing) <= within_bits
            for before, bits in bands[:number]:  # a pair was there already where an earlier band was as close
                near &= np.bitwise_count((differing >> np.uint64(before)) & np.uint64((1 << bits) - 1)) > 1
            yield owner[near], other[near], turn[near]


def _sharing(
    hashes_NT: HashArray, low: int, width: int, joined: _Joined
) -> Iterator[tuple[IntArray, IntArray]]:
    """(i, 8 * j + turn) of hashes that agree in bits low .. low + width but for at most one, in blocks."""
    width_mask = np.uint64((1 << width) - 1)
    bands_NT = ((hashes_NT >> np.uint64(low)) & width_mask).astype(np.int64)
    bands_NT[hashes_NT[:, 0] == 0] = 1 << width  # a bucket of their own, which nothing asks for
    flat = bands_NT.ravel()
    by_band = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[by_band], np.arange((1 << width) + 1))
    for probe in [0, *(1 << bit for bit in range(width))]:
        begin = 0
        while begin < len(hashes_NT):
            asking = begin + np.flatnonzero((hashes_NT[begin:, 0] != 0) & ~joined.crowd[begin:])
            bands = bands_NT[asking, 0] ^ probe
            counts = starts[bands + 1] - starts[bands]
            # At least one image a block, however full its bucket is.
            num = max(1, int(np.searchsorted(np.cumsum(counts), _PAIRS_AT_ONCE, side="right")))
            block, begin = counts[:num], int(asking[num]) if num < len(asking) else len(hashes_NT)
            owner = np.repeat(asking[:num], block)
            within = np.arange(len(owner)) - np.repeat(np.cumsum(block) - block, block)
            yield owner, by_band[np.repeat(starts[bands[:num]], block) + within]


def join_groups(dataset: Dataset, copies: Copies) -> tuple[str, ...]:
    """The group of every case; groups that hold copies of one picture are one, called by the first of their names."""
    names = [case.name if case.group is None else case.group for case in dataset.cases]
    first: dict[str, int] = {}
    links = [(first.setdefault(name, index), index) for index, name in enumerate(names)]
    joined = list(names)
    for members in clusters([*links, *copies.links()], total=len(names)):
        name = min(names[index] for index in members)
        for index in members:
            joined[index] = name
    return tuple(joined)
