import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_packed import texture

from foldwise.data.audit.copies import near_duplicates
from foldwise.data.cache.measures import FLAT, NUM_TURNS, fingerprint, thumbnail, turned


def bits_between(first, second):
    return (int(first, 16) ^ int(second, 16)).bit_count()


def hashes(numbers):
    return [tuple(f"{number:016x}" for number in row) for row in numbers.tolist()]


def every_pair(fingerprints, within_bits):
    count = len(fingerprints)
    return [
        (i, j)
        for i in range(count)
        for j in range(i + 1, count)
        if FLAT not in (fingerprints[i][0], fingerprints[j][0])
        and any(bits_between(fingerprints[i][0], turn) <= within_bits for turn in fingerprints[j])
    ]


@pytest.mark.parametrize("turn", range(NUM_TURNS))
@pytest.mark.parametrize("size", [(64, 64), (50, 91)])
def test_hashes_of_the_turns_are_those_of_the_turned_images(turn, size):
    image = texture(1, size, channels=3)
    assert bits_between(fingerprint(turned(image, turn))[0], fingerprint(image)[turn]) <= 2


def test_the_eight_turns_are_all_different_and_a_group():
    image = np.arange(6).reshape(1, 2, 3)
    seen = {turned(image, turn).tobytes() + bytes(turned(image, turn).shape) for turn in range(NUM_TURNS)}
    assert len(seen) == NUM_TURNS
    again = {
        turned(turned(image, turn), 5).tobytes() + bytes(turned(turned(image, turn), 5).shape)
        for turn in range(8)
    }
    assert again == seen


def test_a_hash_keeps_through_size_brightness_and_depth():
    image = texture(2, (128, 128), scale=8.0)
    first = fingerprint(image)[0]
    assert bits_between(first, fingerprint(image[:, ::2, ::2])[0]) <= 2
    assert bits_between(first, fingerprint((image // 2 + 20).astype(np.uint16) * 257)[0]) <= 2
    assert bits_between(first, fingerprint(image.astype(np.float32) / 255 - 3)[0]) == 0
    assert bits_between(first, fingerprint(texture(3, (128, 128), scale=8.0))[0]) > 12


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_image_is_like_no_other(value):
    flat = np.full((1, 40, 40), value, np.uint8)
    assert set(fingerprint(flat)) == {FLAT}
    assert near_duplicates([fingerprint(flat)] * 3) == []


def test_nan_does_not_break_the_hash():
    image = texture(4).astype(np.float32)
    image[0, 3, 3] = np.nan
    assert bits_between(fingerprint(image)[0], fingerprint(texture(4))[0]) <= 4


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (32, 32), (33, 100)])
def test_a_thumbnail_keeps_the_mean(shape):
    image = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
    assert thumbnail(image, 32).shape == (32, 32)
    assert thumbnail(image, 32).mean() == pytest.approx(image.mean(), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10), st.integers(0, 2**32), st.integers(1, 30))
def test_the_index_finds_just_the_pairs_that_a_full_comparison_finds(within_bits, seed, count):
    rng = np.random.default_rng(seed)
    centres = rng.integers(1, 2**63, (3, 8), dtype=np.uint64)
    flips = np.packbits(rng.random((count, 8, 64)) < 0.07, axis=-1).view(np.uint64)[..., 0]
    found = hashes(centres[rng.integers(0, 3, count)] ^ flips)
    if count > 2:
        found[2] = (FLAT,) * 8
    assert near_duplicates(found, within_bits=within_bits) == every_pair(found, within_bits)


def test_confirm_sees_each_candidate_and_decides():
    images = [texture(seed) for seed in range(3)]
    prints = [fingerprint(image) for image in [*images, turned(images[0], 3), turned(images[1], 4)]]
    asked = []

    def confirm(first, second, turn):
        asked.extend(zip(first.tolist(), second.tolist(), strict=True))
        assert all(
            bits_between(prints[i][0], prints[j][t]) <= 8 for i, j, t in zip(first, second, turn, strict=True)
        )
        return first == 0

    assert near_duplicates(prints, confirm=confirm) == [(0, 3)]
    assert set(asked) == {(0, 3), (1, 4)}
    assert near_duplicates(prints) == [(0, 3), (1, 4)]


def test_no_images_have_no_pairs():
    assert near_duplicates([]) == []


def test_a_pair_is_found_among_thirty_thousand_images():
    numbers = np.random.default_rng(0).integers(1, 2**63, (30_000, 8), dtype=np.uint64)
    numbers[29_999, 5] = numbers[17, 0] ^ np.uint64(0b1011)
    pairs = near_duplicates(hashes(numbers))
    assert (17, 29_999) in pairs
    assert len(pairs) < 10  # chance alone makes about one
