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
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from foldwise.data.cache.measures import NUM_TURNS, FloatArray, thumbnail, turned

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.data.cases import Dataset

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
HashArray = npt.NDArray[np.uint64]
# (first, second, turn) of candidate pairs -> which of them are copies; `turn` is what `measures.turned` takes.
Confirm = Callable[[IntArray, IntArray, IntArray], BoolArray]

# Nineteen known pairs of gel photographs lie within 7 bits (15 at 2 or less), the nearest other pair at 16.
WITHIN_BITS = 8
_PAIRS_AT_ONCE = 1 << 21


@dataclass(frozen=True)
class Copies:
    """Which images are copies of which; indices of cases, in increasing order.

    Attributes:
        exact: clusters of two and more images with the same pixels before any resizing.
        near: pairs (i, j), i < j, of images that show the same picture; the exact ones are not among them.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[tuple[int, int], ...]

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
        confirm=lambda first, second, turn: likeness.same(numbers[first], numbers[second], turn),
    )
    exact = tuple(tuple(indices) for indices in by_digest.values() if len(indices) > 1)
    near = sorted((min(distinct[i], distinct[j]), max(distinct[i], distinct[j])) for i, j in pairs)
    return Copies(exact, tuple(near))


def clusters(links: Iterable[tuple[int, int]], *, total: int) -> list[list[int]]:
    """The sets of two and more of ``range(total)`` that the links join, each in order, by their first."""
    pairs = np.array(list(links), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(total, total))
    members: dict[int, list[int]] = {}
    for item, number in enumerate(connected_components(graph, directed=False)[1].tolist()):
        members.setdefault(number, []).append(item)
    return [items for items in members.values() if len(items) > 1]


def near_duplicates(
    fingerprints: Sequence[tuple[str, ...]], *, within_bits: int = WITHIN_BITS, confirm: Confirm | None = None
) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, where some turn of image j has a hash within `within_bits` of that of image i.

    Args:
        fingerprints: of every image, as `fingerprint` gives them; `FLAT` ones are linked to nothing.
        within_bits: largest number of differing bits, from 0 to 15.
        confirm: looks at the candidates, many at a time, and keeps those that are copies; None keeps all.
    """
    if not fingerprints:
        return []
    hashes_NT = np.array([[int(digits, 16) for digits in row] for row in fingerprints], dtype=np.uint64)
    num_images = len(hashes_NT)
    codes = _close_pairs(hashes_NT, within_bits)
    first, rest = np.divmod(codes, num_images * NUM_TURNS)
    second, turn = np.divmod(rest, NUM_TURNS)
    if confirm is not None:
        confirmed = confirm(first, second, turn)
        first, second = first[confirmed], second[confirmed]
    pairs = np.unique(first * num_images + second)
    return [(int(pair // num_images), int(pair % num_images)) for pair in pairs]


def _close_pairs(hashes_NT: HashArray, within_bits: int) -> IntArray:
    """Codes ``(i * num_images + j) * 8 + turn`` of all close pairs i < j, each once, sorted.

    The 64 bits are cut into bands, so many that two close hashes differ by at most one bit in some band: only images
    that share a band, or all but one bit of it, are compared.
    """
    num_images = len(hashes_NT)
    # At most 16 bits each: a bucket for every value fits in memory.
    num_bands = max(4, within_bits // 2 + 1)
    edges = np.linspace(0, 64, num_bands + 1).astype(int)
    codes = [np.empty(0, np.int64)]
    for low, high in pairwise(edges):
        for owner, flat in _sharing(hashes_NT, int(low), int(high - low)):
            other, turn = np.divmod(flat, NUM_TURNS)
            later = other > owner
            owner, other, turn = owner[later], other[later], turn[later]
            distance = np.bitwise_count(hashes_NT[owner, 0] ^ hashes_NT[other, turn])
            near = distance <= within_bits
            codes.append((owner[near] * num_images + other[near]) * NUM_TURNS + turn[near])
    return np.unique(np.concatenate(codes))


def _sharing(hashes_NT: HashArray, low: int, width: int) -> Iterator[tuple[IntArray, IntArray]]:
    """(i, 8 * j + turn) of hashes that agree in bits low .. low + width but for at most one, in blocks."""
    structured = np.flatnonzero(hashes_NT[:, 0] != 0)
    width_mask = np.uint64((1 << width) - 1)
    bands_NT = ((hashes_NT >> np.uint64(low)) & width_mask).astype(np.int64)
    bands_NT[hashes_NT[:, 0] == 0] = 1 << width  # a bucket of their own, which nothing asks for
    flat = bands_NT.ravel()
    by_band = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[by_band], np.arange((1 << width) + 1))
    for probe in [0, *(1 << bit for bit in range(width))]:
        bands = bands_NT[structured, 0] ^ probe
        counts = starts[bands + 1] - starts[bands]
        ends = np.cumsum(counts)
        begin = 0
        while begin < len(structured):
            done = ends[begin - 1] if begin else 0
            # At least one image a block, however full its bucket is.
            end = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
            block = counts[begin:end]
            owner = np.repeat(structured[begin:end], block)
            within = np.arange(len(owner)) - np.repeat(np.cumsum(block) - block, block)
            yield owner, by_band[np.repeat(starts[bands[begin:end]], block) + within]
            begin = end


# Measured on six real sets. Correlation of whole thumbnails of true copies: 0.935 and more. Of their detail: 0.75 and
# more in 19 pairs of gels, 0.77 in flipped and slightly turned blood smears, 0.80 in blood cells cut out twice; of
# pictures that only look alike, 0.73 at most (two fundus photographs of different eyes), 0.62 in blood smears.
MIN_WHOLE = 0.93
MIN_DETAIL = 0.74
# Below it no shift of two pixels brought any pair up to MIN_DETAIL; it saves the shifts.
_MIN_UNSHIFTED = 0.35
# Smaller images have too little detail to know a picture by: of 900 handwritten digits of 28 pixels 275 pairs pass the
# above, with correlations of up to 0.987. They count only where they are nearly exact; 24 pixels saved as JPEG of
# quality 85 still are (0.997 and 0.94).
_SMALL_PX, _MIN_SMALL_WHOLE, _MIN_SMALL_DETAIL = 64, 0.997, 0.93
_SIZE_PX, _WHOLE_PX, _BLUR_PX, _SHIFT_PX = 64, 32, 13, 2
_NUM_COMMON = 128  # images that the common detail is taken from
_COMPARED_AT_ONCE = 256


class Likeness:
    """Compares packed images as 64 × 64 thumbnails, which are made when they are first needed.

    Whole thumbnails agree wherever the lighting does: all fundus photographs are discs. So what is compared is detail,
    which is the thumbnail less its blur, over its local contrast; less what all images of the set have in common,
    such as the rim of that disc; and with up to two pixels of shift, since copies are often cut out anew.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        # Memory is taken only for the images that are looked at; in half precision half a million details are 4 GB.
        self._whole = np.empty((len(packed), _WHOLE_PX, _WHOLE_PX), np.float16)
        self._detail = np.empty((len(packed), _SIZE_PX, _SIZE_PX), np.float16)
        self._loaded = np.zeros(len(packed), bool)
        self._small = np.array([min(each.width, each.height) < _SMALL_PX for each in packed.measures], bool)
        sample = np.unique(np.linspace(0, len(packed) - 1, min(len(packed), _NUM_COMMON)).astype(np.int64))
        self._load(sample)
        detail = _of(self._detail, sample)
        self._common: FloatArray = np.mean(
            [turned(detail, turn).mean(axis=0) for turn in range(NUM_TURNS)], axis=0
        )

    def same(self, first: IntArray, second: IntArray, turn: IntArray) -> BoolArray:
        """Of every pair, whether `second`, turned by `turn`, is a copy of `first`; see `measures.turned`."""
        self._load(np.unique(np.concatenate([first, second])))
        result = np.zeros(len(first), bool)
        for each_turn in range(NUM_TURNS):
            rows = np.flatnonzero(turn == each_turn)
            for start in range(0, len(rows), _COMPARED_AT_ONCE):
                block = rows[start : start + _COMPARED_AT_ONCE]
                result[block] = self._same(first[block], second[block], each_turn)
        return result

    def whole(self, index: int) -> FloatArray:
        """The 32 × 32 thumbnail of an image, with mean 0 and standard deviation 1; all 0 where it is flat."""
        self._load(np.array([index]))
        return _of(self._whole, np.int64(index))

    def _load(self, indices: IntArray) -> None:
        new = indices[~self._loaded[indices]]
        for start in range(0, len(new), _COMPARED_AT_ONCE):
            block = new[start : start + _COMPARED_AT_ONCE]
            small = np.stack([thumbnail(self._packed.image(int(index)), _SIZE_PX) for index in block])
            small = standardised(small)
            half = small.reshape(-1, _WHOLE_PX, 2, _WHOLE_PX, 2).mean(axis=(2, 4))
            self._whole[block], self._detail[block] = standardised(half), _detail(small)
        self._loaded[new] = True

    def _same(self, first: IntArray, second: IntArray, turn: int) -> BoolArray:
        whole = _correlations(_of(self._whole, first), turned(_of(self._whole, second), turn))
        small = self._small[first] | self._small[second]
        result: BoolArray = whole >= np.where(small, _MIN_SMALL_WHOLE, MIN_WHOLE)
        first_detail = self._own(_of(self._detail, first[result]))
        second_detail = self._own(turned(_of(self._detail, second[result]), turn))
        unshifted, small = _correlations(first_detail, second_detail), small[result]
        near = (unshifted >= _MIN_UNSHIFTED) & ~small
        alike = small & (unshifted >= _MIN_SMALL_DETAIL)
        alike[near] = _best_shifted(first_detail[near], second_detail[near]) >= MIN_DETAIL
        result[result] = alike
        return result

    def _own(self, detail_NHW: FloatArray) -> FloatArray:
        """The detail that the images do not share with the rest of the set."""
        energy = float((self._common**2).sum())
        if not energy:
            return detail_NHW
        shares = np.einsum("nhw,hw->n", detail_NHW, self._common) / energy
        own: FloatArray = detail_NHW - shares[:, None, None] * self._common
        return own


def _of(saved: np.ndarray, rows: IntArray | np.int64) -> FloatArray:
    return np.asarray(saved[rows], dtype=np.float32)


def standardised(images_NHW: FloatArray) -> FloatArray:
    """Each image less its mean, over its standard deviation; all 0 where it is flat."""
    centred = images_NHW - images_NHW.mean(axis=(1, 2), keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    flat = spread <= 1e-5 * np.abs(images_NHW).max(axis=(1, 2), keepdims=True)
    result: FloatArray = np.where(flat, 0, centred / np.where(flat, 1, spread)).astype(np.float32)
    return result


def _detail(small_NHW: FloatArray) -> FloatArray:
    """What is finer than the blur, over the local contrast; a tenth of the image's contrast keeps noise small."""
    size = (0, _BLUR_PX, _BLUR_PX)
    fine = small_NHW - uniform_filter(small_NHW, size, mode="nearest")
    contrast = np.sqrt(np.maximum(uniform_filter(fine**2, size, mode="nearest"), 0))
    result: FloatArray = fine / (contrast + 0.1)
    return result


def _correlations(first_NHW: FloatArray, second_NHW: FloatArray) -> FloatArray:
    """(N,) Pearson correlations; 0 where an image is flat."""
    first, second = (images - images.mean(axis=(1, 2), keepdims=True) for images in (first_NHW, second_NHW))
    product, *squares = (
        np.einsum("nhw,nhw->n", *pair) for pair in ((first, second), (first, first), (second, second))
    )
    result: FloatArray = product / np.maximum(np.sqrt(squares[0] * squares[1]), 1e-6)
    return result


def _best_shifted(first_NHW: FloatArray, second_NHW: FloatArray) -> FloatArray:
    """The largest correlation over all shifts of up to two pixels, each over what overlaps."""
    best: FloatArray = np.full(len(first_NHW), -1, np.float32)
    shifts = range(-_SHIFT_PX, _SHIFT_PX + 1)
    for down in shifts:
        for right in shifts:
            first_part = first_NHW[:, _stretch(down), _stretch(right)]
            second_part = second_NHW[:, _stretch(-down), _stretch(-right)]
            best = np.maximum(best, _correlations(first_part, second_part))
    return best


def _stretch(shift: int) -> slice:
    return slice(max(shift, 0), _SIZE_PX + min(shift, 0))


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
