"""Whether two images show the same picture: their detail decides, as thumbnails, less what the whole set has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from foldwise.data.cache.measures import NUM_TURNS, FloatArray, thumbnail, turned

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

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
_COMPARED_AT_ONCE, _MULTIPLIED_AT_ONCE = 256, 1024
_PRODUCTS_A_PAIR = 64
# Pairs that look alike and are no copies, and whose shifts are all tried, for every image: seconds for thousands.
_MAX_IN_VAIN = 50


class Likeness:
    """Compares packed images as 64 × 64 thumbnails, which are made when they are first needed.

    Whole thumbnails agree wherever the lighting does: all fundus photographs are discs. So what is compared is detail,
    which is the thumbnail less its blur, over its local contrast; less what all images of the set have in common,
    such as the rim of that disc; and with up to two pixels of shift, since copies are often cut out anew.

    Attributes:
        cut_short: whether so many pairs look alike without being copies that the shifts of some were not tried.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        # Memory is taken only for the images that are looked at; in half precision half a million details are 4 GB.
        self._whole = np.empty((len(packed), _WHOLE_PX, _WHOLE_PX), np.float16)
        self._detail = np.empty((len(packed), _SIZE_PX, _SIZE_PX), np.float16)
        self._loaded = np.zeros(len(packed), bool)
        self._shifts_left, self.cut_short = _MAX_IN_VAIN * len(packed), False
        self._small = np.array([min(each.width, each.height) < _SMALL_PX for each in packed.measures], bool)
        sample = np.unique(np.linspace(0, len(packed) - 1, min(len(packed), _NUM_COMMON)).astype(np.int64))
        self._load(sample)
        detail = _of(self._detail, sample)
        self._common: FloatArray = np.mean(
            [turned(detail, turn).mean(axis=0) for turn in range(NUM_TURNS)], axis=0
        )

    def likely(self, first: IntArray, second: IntArray, turn: IntArray) -> BoolArray:
        """Of every pair, whether `second`, turned by `turn`, may be a copy of `first`: all but the shifts."""
        return self._by_turn(self._likely, first, second, turn)

    def same(self, first: IntArray, second: IntArray, turn: IntArray) -> BoolArray:
        """Of every pair that is `likely`, whether `second`, turned by `turn`, is a copy of `first`; see `measures.turned`."""
        return self._by_turn(self._same, first, second, turn)

    def _by_turn(
        self,
        compare: Callable[[IntArray, IntArray, int], BoolArray],
        first: IntArray,
        second: IntArray,
        turn: IntArray,
    ) -> BoolArray:
        self._load(np.unique(np.concatenate([first, second])))
        result = np.zeros(len(first), bool)
        for each_turn in np.unique(turn).tolist():
            rows = np.flatnonzero(turn == each_turn)
            result[rows] = compare(first[rows], second[rows], each_turn)
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

    def _likely(self, first: IntArray, second: IntArray, turn: int) -> BoolArray:
        small = self._small[first] | self._small[second]
        whole = _correlations(lambda rows, turn: turned(_of(self._whole, rows), turn), first, second, turn)
        result: BoolArray = whole >= np.where(small, _MIN_SMALL_WHOLE, MIN_WHOLE)
        first, second, small = first[result], second[result], small[result]
        detail = _correlations(
            lambda rows, turn: self._own(turned(_of(self._detail, rows), turn)), first, second, turn
        )
        result[result] = detail >= np.where(small, _MIN_SMALL_DETAIL, _MIN_UNSHIFTED)
        return result

    def _same(self, first: IntArray, second: IntArray, turn: int) -> BoolArray:
        result: BoolArray = self._small[first] | self._small[second]  # of which all is said that can be
        rows = np.flatnonzero(~result)
        if self._shifts_left <= 0:
            self.cut_short |= len(rows) > 0
            return result
        for start in range(0, len(rows), _COMPARED_AT_ONCE):
            block = rows[start : start + _COMPARED_AT_ONCE]
            first_detail = self._own(_of(self._detail, first[block]))
            second_detail = self._own(turned(_of(self._detail, second[block]), turn))
            result[block] = _best_shifted(first_detail, second_detail) >= MIN_DETAIL
        self._shifts_left -= int((~result).sum())
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


def _correlations(
    images: Callable[[IntArray, int], FloatArray], first: IntArray, second: IntArray, turn: int
) -> FloatArray:
    """(N,) Pearson correlations of pairs of `images`, which are asked for by number and turn; 0 where one is flat."""
    result: FloatArray = np.zeros(len(first), np.float32)
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    if len(rows) * len(columns) > _PRODUCTS_A_PAIR * len(first):
        for start in range(0, len(first), _COMPARED_AT_ONCE):
            block = slice(start, start + _COMPARED_AT_ONCE)
            pair = _normed(images(first[block], 0)), _normed(images(second[block], turn))
            result[block] = np.einsum("np,np->n", *pair)
        return result
    # Where most images are compared with most others, all products of many at once are a hundred times as fast.
    for right in range(0, len(columns), _MULTIPLIED_AT_ONCE):
        within = (column >= right) & (column < right + _MULTIPLIED_AT_ONCE)
        others = _normed(images(columns[right : right + _MULTIPLIED_AT_ONCE], turn)).T
        for down in range(0, len(rows), _MULTIPLIED_AT_ONCE):
            part = np.flatnonzero(within & (row >= down) & (row < down + _MULTIPLIED_AT_ONCE))
            products = _normed(images(rows[down : down + _MULTIPLIED_AT_ONCE], 0)) @ others
            result[part] = products[row[part] - down, column[part] - right]
    return result


def _normed(images_NHW: FloatArray) -> FloatArray:
    """(N, pixels) of mean 0 and length 1; all 0 where an image is flat."""
    flat = images_NHW.reshape(len(images_NHW), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.sqrt(np.einsum("np,np->n", centred, centred))[:, None]
    result: FloatArray = centred / np.maximum(length, 1e-6)
    return result


def _best_shifted(first_NHW: FloatArray, second_NHW: FloatArray) -> FloatArray:
    """The largest correlation over all shifts of up to two pixels, each over what overlaps."""
    best: FloatArray = np.full(len(first_NHW), -1, np.float32)
    moments = [_window_moments(images) for images in (first_NHW, second_NHW)]
    shifts = range(-_SHIFT_PX, _SHIFT_PX + 1)
    for down in shifts:
        for right in shifts:
            windows = (_stretch(down), _stretch(right)), (_stretch(-down), _stretch(-right))
            product = np.einsum("nhw,nhw->n", first_NHW[:, *windows[0]], second_NHW[:, *windows[1]])
            size = (_SIZE_PX - abs(down)) * (_SIZE_PX - abs(right))
            (sum_a, square_a), (sum_b, square_b) = (
                of_window(*window) for of_window, window in zip(moments, windows, strict=True)
            )
            spread = (square_a - sum_a**2 / size) * (square_b - sum_b**2 / size)
            correlation = (product - sum_a * sum_b / size) / np.maximum(np.sqrt(np.maximum(spread, 0)), 1e-6)
            best = np.maximum(best, correlation.astype(np.float32))
    return best


def _window_moments(images_NHW: FloatArray) -> Callable[[slice, slice], tuple[FloatArray, FloatArray]]:
    """What gives the (N,) sums and sums of squares of a window that lacks a few rows and columns at the edges."""
    by_column = [(powers, powers.sum(axis=1)) for powers in (images_NHW, images_NHW**2)]

    def of_window(rows: slice, columns: slice) -> tuple[FloatArray, FloatArray]:
        first, second = (
            (whole - powers[:, : rows.start].sum(axis=1) - powers[:, rows.stop :].sum(axis=1))[
                :, columns
            ].sum(axis=1)
            for powers, whole in by_column
        )
        return first, second

    return of_window


def _stretch(shift: int) -> slice:
    return slice(max(shift, 0), _SIZE_PX + min(shift, 0))
