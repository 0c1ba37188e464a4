"""Whether two images show the same picture: their hashes make them candidates, their pixels decide."""

from __future__ import annotations

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
_MIN_UNSHIFTED = (
    0.35  # below it no shift of two pixels brought any pair up to MIN_DETAIL; it saves the shifts
)
_SIZE_PX, _WHOLE_PX, _BLUR_PX, _SHIFT_PX = 64, 32, 13, 2
_NUM_COMMON = 128  # images that the common detail is taken from
_PAIRS_AT_ONCE = 256


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
            for start in range(0, len(rows), _PAIRS_AT_ONCE):
                block = rows[start : start + _PAIRS_AT_ONCE]
                result[block] = self._same(first[block], second[block], each_turn)
        return result

    def whole(self, index: int) -> FloatArray:
        """The 32 × 32 thumbnail of an image, with mean 0 and standard deviation 1; all 0 where it is flat."""
        self._load(np.array([index]))
        return _of(self._whole, np.int64(index))

    def _load(self, indices: IntArray) -> None:
        new = indices[~self._loaded[indices]]
        for start in range(0, len(new), _PAIRS_AT_ONCE):
            block = new[start : start + _PAIRS_AT_ONCE]
            small = np.stack([thumbnail(self._packed.image(int(index)), _SIZE_PX) for index in block])
            small = standardised(small)
            half = small.reshape(-1, _WHOLE_PX, 2, _WHOLE_PX, 2).mean(axis=(2, 4))
            self._whole[block], self._detail[block] = standardised(half), _detail(small)
        self._loaded[new] = True

    def _same(self, first: IntArray, second: IntArray, turn: int) -> BoolArray:
        whole = _correlations(_of(self._whole, first), turned(_of(self._whole, second), turn))
        result: BoolArray = whole >= MIN_WHOLE
        first_detail = self._own(_of(self._detail, first[result]))
        second_detail = self._own(turned(_of(self._detail, second[result]), turn))
        near = _correlations(first_detail, second_detail) >= _MIN_UNSHIFTED
        alike = np.zeros(len(first_detail), bool)
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
    first_centred = first_NHW - first_NHW.mean(axis=(1, 2), keepdims=True)
    second_centred = second_NHW - second_NHW.mean(axis=(1, 2), keepdims=True)
    product = np.einsum("nhw,nhw->n", first_centred, second_centred)
    norm = np.sqrt(
        np.einsum("nhw,nhw->n", first_centred, first_centred)
        * np.einsum("nhw,nhw->n", second_centred, second_centred)
    )
    result: FloatArray = product / np.maximum(norm, 1e-6)
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
