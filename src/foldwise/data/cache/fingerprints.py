"""Perceptual hashes of images, and the pairs of images whose hashes are close under any flip or right-angle turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
HashArray = npt.NDArray[np.uint64]
# (first, second, turn) of candidate pairs -> which of them are copies; `turn` is what `turned` takes.
Confirm = Callable[[IntArray, IntArray, IntArray], BoolArray]

NUM_TURNS = 8
FLAT = "0" * 16  # the hash of an image without any structure: it looks like nothing, so it is like no other
# Nineteen known pairs of gel photographs lie within 7 bits (15 at 2 or less), the nearest other pair at 16.
WITHIN_BITS = 8
_PAIRS_AT_ONCE = 1 << 21


def turned(array: npt.NDArray[Any], turn: int) -> npt.NDArray[Any]:
    """The array (..., H, W) turned by ``turn // 2`` right angles, then mirrored where `turn` is odd."""
    rotated = np.rot90(array, turn // 2, axes=(-2, -1))
    return rotated[..., ::-1] if turn % 2 else rotated


def thumbnail(image_CHW: npt.NDArray[Any], size_px: int) -> FloatArray:
    """The mean over channels, averaged over areas to (size_px, size_px); the aspect ratio is dropped, NaN counts as 0."""
    gray_HW = np.nan_to_num(image_CHW.mean(axis=0, dtype=np.float32), posinf=0.0, neginf=0.0)
    height, width = gray_HW.shape
    small: FloatArray = _averages(height, size_px) @ gray_HW @ _averages(width, size_px).T
    return small


@lru_cache(maxsize=256)
def _averages(length: int, parts: int) -> FloatArray:
    """(parts, length): row p averages the p-th of `parts` equal stretches; pixels on a border count by their share."""
    edges = np.linspace(0, length, parts + 1)
    starts = np.arange(length)
    overlaps = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights = overlaps.clip(min=0)
    averages: FloatArray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return averages


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    """(8, 32): the eight lowest rows of the orthonormal DCT-II of 32 samples."""
    rows, samples = np.arange(8)[:, None], np.arange(32)[None]
    cosines: npt.NDArray[np.float64] = np.cos(np.pi * (samples + 0.5) * rows / 32) * np.sqrt(
        np.where(rows, 2, 1) / 32
    )
    return cosines


def fingerprint(image_CHW: npt.NDArray[Any]) -> tuple[str, ...]:
    """Eight 64-bit hashes as 16 hex digits each, one for every flip and right-angle turn of the image.

    A bit says whether one of the 64 slowest cosines of the 32 × 32 thumbnail is above their median; so the hash does
    not change with brightness, contrast or size. An image without structure has only `FLAT` hashes.
    """
    small = thumbnail(image_CHW, 32).astype(np.float64)
    spread, level = float(small.std()), float(np.abs(small).max())
    if spread <= 1e-6 * level:
        return (FLAT,) * NUM_TURNS
    small = (small - small.mean()) / spread
    return tuple(_hash(turned(small, turn)) for turn in range(NUM_TURNS))


def _hash(small: npt.NDArray[Any]) -> str:
    slow = (_cosines() @ small @ _cosines().T).ravel()
    # Rounded, so that mirror symmetry, which makes half of them zero, leaves no bits to rounding errors.
    bits = slow > np.median(slow[1:]) + 1e-9
    bits[0] = False  # the mean, which is zero
    return np.packbits(bits).tobytes().hex()


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
    num_bands = max(4, within_bits // 2 + 1)  # at most 16 bits each: a bucket for every value fits in memory
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
