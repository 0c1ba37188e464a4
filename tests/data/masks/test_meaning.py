"""Mask values get the one meaning they allow, or the one that is stated."""

import numpy as np
import pytest
from PIL import Image
from small_sets import SIDE, blob, pairs, save

from foldwise.data.cache.decoding import class_indices
from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, SpecError
from foldwise.study.ranges import IGNORE
from foldwise.study.spec import DataSpec

RED, BLACK, WHITE = (255, 0, 0), (0, 0, 0), (255, 255, 255)


def read(root, **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root)
    return dataset, pack(dataset, spec)


def painted(low, high):
    mask = np.full((SIDE, SIDE, 3), low, np.uint8)
    mask[4:9, 4:9] = high
    return mask


TRUTH = blob(0, 1)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        (blob(0, 255), {0: 0, 255: 1}),
        (blob(0, 1), {0: 0, 1: 1}),
        (painted(BLACK, WHITE), {0: 0, 255: 1}),
        (painted(BLACK, RED), {BLACK: 0, RED: 1}),
    ],
    ids=["0 and 255", "0 and 1", "white on black", "red on black"],
)
def test_two_classes(tmp_path, mask, values):
    pairs(tmp_path, [mask, mask * 0])
    dataset, packed = read(tmp_path)
    assert (dataset.task, dataset.mask_values) == ("binary_segmentation", values)
    np.testing.assert_array_equal(packed.target(0), TRUTH)
    np.testing.assert_array_equal(packed.target(1), TRUTH * 0)
    assert packed.measures[0].class_pixels == (SIDE * SIDE - 25, 25)


def test_classes_from_0_up_and_16_bit_masks(tmp_path):
    pairs(tmp_path, [blob(0, 1).astype(np.uint16), blob(0, 2).astype(np.uint16), blob(0, 3)])
    dataset, packed = read(tmp_path)
    assert (dataset.task, len(dataset.classes)) == ("multiclass_segmentation", 4)
    assert packed.target(2).max() == 3


def test_stated_classes_allow_one_that_never_appears(tmp_path):
    pairs(tmp_path, [blob(0, 2)])
    dataset, packed = read(tmp_path, classes=("background", "a", "b"))
    assert dataset.classes == ("background", "a", "b")
    assert packed.measures[0].class_pixels == (SIDE * SIDE - 25, 0, 25)


def test_a_stated_value_is_not_counted(tmp_path):
    pairs(tmp_path, [blob(0, 1, 255), blob(0, 2)])
    dataset, packed = read(tmp_path, ignore_value=255)
    assert len(dataset.classes) == 3
    assert packed.target(0)[0, 0] == IGNORE
    assert packed.measures[0].class_pixels == (SIDE * SIDE - 26, 25, 0)


def test_stated_values_ranges_and_ignore(tmp_path):
    pairs(tmp_path, [blob(3, 200, 128), blob(0, 250)])
    dataset, packed = read(tmp_path, mask_values={"0-100": "background", "180-255": "cell", "128": "ignore"})
    assert (dataset.task, dataset.classes) == ("binary_segmentation", ("background", "cell"))
    expected = TRUTH.copy()
    expected[0, 0] = IGNORE
    np.testing.assert_array_equal(packed.target(0), expected)


def test_stated_colours(tmp_path):
    pairs(tmp_path, [painted((0, 0, 255), (0, 255, 0))])
    dataset, packed = read(tmp_path, mask_values={"#0000ff": "background", "0,255,0": "cell"})
    assert dataset.classes == ("background", "cell")
    np.testing.assert_array_equal(packed.target(0), TRUTH)


def palette_mask(path, indices, colours):
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette([part for colour in colours for part in colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def test_palettes_that_agree_count_as_indices(tmp_path):
    for place in range(2):
        save(tmp_path / "images" / f"a{place}.png")
        palette_mask(tmp_path / "masks" / f"a{place}.png", blob(0, 1, 2), [BLACK, RED, (0, 255, 0)])
    dataset, packed = read(tmp_path)
    assert dataset.mask_values == {0: 0, 1: 1, 2: 2}
    np.testing.assert_array_equal(packed.target(0), blob(0, 1, 2))


def test_palettes_that_differ_count_as_colours(tmp_path):
    for place in range(2):
        save(tmp_path / "images" / f"a{place}.png")
    palette_mask(tmp_path / "masks" / "a0.png", blob(0, 1), [BLACK, RED])
    palette_mask(tmp_path / "masks" / "a1.png", blob(1, 0), [RED, BLACK])
    dataset, packed = read(tmp_path)
    assert dataset.mask_values == {BLACK: 0, RED: 1}
    np.testing.assert_array_equal(packed.target(0), TRUTH)
    np.testing.assert_array_equal(packed.target(1), TRUTH)
    assert any("their colours count" in said for said in dataset.statements)


def test_a_palette_with_white_first_is_read_by_its_colours(tmp_path):
    save(tmp_path / "images" / "a.png")
    palette_mask(tmp_path / "masks" / "a.png", blob(1, 0), [WHITE, BLACK])
    dataset, packed = read(tmp_path)
    np.testing.assert_array_equal(packed.target(0), TRUTH)
    stated, packed = read(
        tmp_path, mask_values={"0": "cell", "1": "background"}, classes=("background", "cell")
    )
    assert stated.mask_values == {0: 1, 1: 0}
    np.testing.assert_array_equal(packed.target(0), TRUTH)
    assert dataset.classes == ("background", "foreground")


def test_a_task_that_does_not_fit_the_masks(tmp_path):
    pairs(tmp_path, [blob(0, 1), blob(0, 2)])
    with pytest.raises(SpecError, match="the masks hold 3 classes"):
        read(tmp_path, task="binary_segmentation")


def test_values_without_a_meaning_are_refused():
    with pytest.raises(DataError, match="values without a meaning: 7"):
        class_indices(blob(0, 7), {0: 0, 1: 1}, where="m.png")
    with pytest.raises(DataError, match="coloured"):
        class_indices(painted(BLACK, RED), {0: 0, 1: 1}, where="m.png")
