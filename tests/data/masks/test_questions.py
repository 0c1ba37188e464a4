"""Masks that leave two readings open: numbered objects or classes, one class written twice or two; every cure offered works."""

import re

import numpy as np
import pytest
import tifffile
import yaml
from small_sets import save

from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

SIDE = 32


def read(root, **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root)
    return dataset, pack(dataset, spec)


def squares(*values, rim=None):
    """(H, W) uint16: one square of 5 x 5 pixels of each value, apart from each other, with a rim where one is asked for."""
    mask = np.zeros((SIDE, SIDE), np.uint16)
    for place, value in enumerate(values):
        top, left = 1 + 6 * (place // 5), 1 + 6 * (place % 5)
        if rim is not None:
            mask[top - 1 : top + 6, left - 1 : left + 6] = rim
        mask[top : top + 5, left : left + 5] = value
    return mask


def discs(side, values, seed, wander=9):
    """(H, W) uint8: one disc of each value of its own radius, at places that wander from mask to mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: 6 * side, : 6 * side]
    mask = np.zeros(y.shape, np.uint8)
    places = rng.permutation(len(values)) if wander > 1 else np.arange(len(values))
    for (value, radius), place in zip(values, places, strict=True):
        row, column = rng.integers(20, 20 + wander, 2)
        radius += int(rng.integers(0, 2))
        mask[
            (y - row - 3 * wander * (place % 2)) ** 2 + (x - column % 9 - 9 - 18 * place) ** 2 <= radius**2
        ] = value
    return mask


def write(root, masks, folders=("",)):
    """Images and masks; masks above 255 as TIFF of 16 bit. In several folders in turn where they are asked for."""
    for k, mask in enumerate(masks):
        inside = root / folders[k % len(folders)]
        save(
            inside / "images" / f"c{k:02}.png",
            np.random.default_rng(k).integers(0, 255, mask.shape[:2], np.uint8),
        )
        (inside / "masks").mkdir(exist_ok=True)
        if mask.dtype == bool or mask.max() > 255 or mask.ndim == 3:
            tifffile.imwrite(
                inside / "masks" / f"c{k:02}.tif", mask, photometric="rgb" if mask.ndim == 3 else "minisblack"
            )
        else:
            save(inside / "masks" / f"c{k:02}.png", mask.astype(np.uint8))


def cures(error):
    """The settings of `data` that a message offers, each as the study file would have it."""
    found = [{"mask_values": yaml.safe_load(text)} for text in re.findall(r"\{[^{}]*\}", error.cure)]
    found += [
        {"classes": tuple(yaml.safe_load(text))}
        for text in re.findall(r"data\.classes: (\[[^\]]*\])", error.cure)
    ]
    return found + [
        {"ignore_value": int(text)} for text in re.findall(r"data\.ignore_value: (\d+)", error.cure)
    ]


def refused(root, **data):
    with pytest.raises(DataError) as caught:
        read(root, **data)
    return caught.value


def in_colour(mask, seed=0):
    """Numbers of objects as colours that were drawn by chance, as viewers write them."""
    colours = np.random.default_rng(seed).integers(30, 255, (int(mask.max()) + 1, 3)).astype(np.uint8)
    colours[0] = 0
    return colours[mask]


def split_in_thousands(mask):
    """The number of an object as red + 256 green + 65536 blue."""
    return np.stack([mask % 256, mask // 256, mask * 0], -1).astype(np.uint8)


NUMBERED = [range(1, 4 + k % 5) for k in range(12)]
OBJECTS = {
    "1 to n": [squares(*own) for own in NUMBERED],
    "in any order": [squares(*reversed(own)) for own in NUMBERED],
    "few objects": [squares(*range(1, 2 + k % 3)) for k in range(12)],
    "with images of none": [squares(*range(1, 4 + k % 5)) if k % 12 else squares() for k in range(24)],
    "some cut in two": [np.where(np.arange(SIDE) == 3, 0, squares(*own)) if k == 0 else squares(*own) for k, own in enumerate(NUMBERED)],
    "numbers with gaps": [squares(*(v for v in range(1, 14) if (v + k) % 3)) for k in range(10)],
    "one numbering of the whole set": [squares(*range(1 + 3 * k, 4 + 3 * k)) for k in range(8)],
    "more than 32": [squares(*range(1, 20 + k)) for k in range(6)] + [squares(*range(20, 40))],
    "16 bit": [squares(*(300 * v for v in own)) for own in NUMBERED],
    "by chance": [squares(*np.random.default_rng(k).choice(np.arange(1, 60000), 5)) for k in range(8)],
    "rims of 255": [squares(*own, rim=255) for own in NUMBERED],
    "as many in every image": [discs(10, [(v, 4) for v in (1, 2, 3)], k) for k in range(12)],
    "as many, by rows": [squares(1, 2, 3, 4) for k in range(10)],
    "colours of their own": [in_colour(squares(*own), k) for k, own in enumerate(NUMBERED)],
    "colours of a palette": [in_colour(squares(*own)) for own in NUMBERED],
    "numbers in two bytes": [split_in_thousands(squares(*(200 * v for v in own))) for own in NUMBERED],
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_numbered_objects_are_asked_about_and_every_answer_that_is_offered_is_taken(name, tmp_path):
    masks = OBJECTS[name]
    write(tmp_path, masks)
    error = refused(tmp_path)
    assert "look like numbered objects, not classes" in error.what
    first, *others = cures(error)
    for choice in error.choices:  # what init offers is what the message says
        key, _, value = choice.removeprefix("data.").partition("=")
        stated = yaml.safe_load(value)
        assert {key: tuple(stated) if key == "classes" else stated} in [first, *others]
    assert error.choices
    dataset, packed = read(tmp_path, **first)
    assert dataset.task == "binary_segmentation"
    for k, mask in enumerate(masks):
        foreground = (mask.reshape(*mask.shape[:2], -1).max(-1) > 0) & (
            mask.reshape(*mask.shape[:2], -1).max(-1) != 255
        )
        if name.startswith(("colours", "numbers in")):
            foreground = mask.max(-1) > 0
        assert packed.measures[k].class_pixels[1] == foreground.sum()
    for cure in others:
        assert read(tmp_path, **cure)[0].task == "multiclass_segmentation"


def test_names_of_two_classes_are_kept_for_numbered_objects(tmp_path):
    write(tmp_path, OBJECTS["1 to n"])
    error = refused(tmp_path, classes=("empty", "cell"))
    assert read(tmp_path, classes=("empty", "cell"), **cures(error)[0])[0].classes == ("empty", "cell")
    assert "data.classes" not in refused(tmp_path, task="binary_segmentation").cure


def test_classes_in_one_piece_are_read_once_they_have_names(tmp_path):
    write(tmp_path, OBJECTS["1 to n"])
    names = tuple("abcdefgh")
    assert read(tmp_path, classes=names)[0].classes == names


@pytest.mark.parametrize(
    "masks",
    [
        [discs(10, [(1, 3), (2, 5), (3, 7)], k) for k in range(10)],
        [discs(10, [(1, 4), (2, 4), (3, 4)], k, wander=1) for k in range(10)],
        [squares(*((1, 2, 3), (2, 3), (3,), (3, 1))[k % 4]) for k in range(12)],
        [squares(1 + k % 3) for k in range(12)],
        [squares(*range(1, 3 + k % 3)) + squares(*[0] * 10, *range(1, 3 + k % 3)) for k in range(12)],
    ],
    ids=["of sizes of their own", "of places of their own", "none falls off", "one of several in a mask", "in two pieces"],
)  # fmt: skip
def test_classes_are_not_asked_about(masks, tmp_path):
    write(tmp_path, masks)
    assert read(tmp_path)[0].task == "multiclass_segmentation"


def halves(first, second):
    return [squares(*(second if k % 2 else first,) * (1 + k % 3)) for k in range(10)]


TWICE = {
    "1 and 255": halves(1, 255),
    "true and 255": [mask > 0 if k % 2 else mask for k, mask in enumerate(halves(255, 255))],
    "1 and 65535": halves(1, 65535),
    "255 and 65535": halves(255, 65535),
    "with empty ones": [*halves(1, 255), squares(), squares()],
}


@pytest.mark.parametrize("name", TWICE)
def test_two_ways_to_write_yes_are_one_class_and_this_is_said(name, tmp_path):
    write(tmp_path, TWICE[name])
    dataset, packed = read(tmp_path)
    assert (dataset.task, dataset.classes) == ("binary_segmentation", ("background", "foreground"))
    for measure, mask in zip(packed.measures, TWICE[name], strict=True):
        assert measure.class_pixels == ((mask == 0).sum(), (mask > 0).sum())
    is_told = any("never share a mask, so they are one class" in line for line in dataset.statements)
    assert is_told == (name != "true and 255")  # files of one bit are decoded to 0 and 255


def test_parts_of_a_split_that_write_yes_in_two_ways(tmp_path):
    write(tmp_path, TWICE["1 and 255"], ("train", "test"))
    spec = DataSpec(path=str(tmp_path))
    dataset = read_dataset(spec, base=tmp_path, split="folders")
    assert {measure.class_pixels[1] for measure in pack(dataset, spec).measures} == {25, 50, 75}


@pytest.mark.parametrize("values", [(128, 255), (1, 128), (100, 200), (3, 7, 9)])
def test_other_values_that_never_meet_are_asked_about_and_no_answer_loses_an_object(values, tmp_path):
    masks = [squares(*[values[k % len(values)]] * 2) for k in range(9)]
    write(tmp_path, masks)
    error = refused(tmp_path)
    assert "never share a mask: are they one class, or one each? Values: " in error.what
    one, several = cures(error)
    for cure, number in ((one, 2), (several, len(values) + 1)):
        dataset, packed = read(tmp_path, **cure)
        assert len(dataset.classes) == number
        assert all(sum(measure.class_pixels[1:]) == 50 for measure in packed.measures)


def test_halves_of_which_one_is_inverted_are_asked_about(tmp_path):
    whole = [
        255 * (squares(*[1] * (1 + k % 3)) == 0) if k % 2 else squares(*[1] * (1 + k % 3)) for k in range(10)
    ]
    write(tmp_path, whole)
    error = refused(tmp_path)
    assert "masks with 255 look inverted" in error.what
    assert "5 masks inverted (masks/c01.png" in error.cure
    (as_it_is,) = cures(error)
    assert read(tmp_path, **as_it_is)[0].classes == ("background", "foreground")


def test_255_beside_classes_is_offered_as_uncounted_and_255_alone_is_not(tmp_path):
    write(tmp_path / "beside", [squares(1, 255), squares(2, 255), squares(1, 2)])
    assert {"ignore_value": 255} in cures(refused(tmp_path / "beside"))
    write(tmp_path / "alone", [squares(1, 2), squares(255), squares(2, 1), squares(255)])
    error = refused(tmp_path / "alone")
    assert "255 may be a class of its own" in error.what
    (stated,) = cures(error)
    assert read(tmp_path / "alone", **stated)[1].measures[1].class_pixels[1:] != (0, 0, 0)


def test_all_other_values_may_be_stated_in_one_word(tmp_path):
    write(tmp_path, [squares(7, 9, 255), squares(11)])
    stated = {"0": "background", "255": "ignore", "other": "cell", "9": "nucleus"}
    dataset, packed = read(tmp_path, mask_values=stated)
    assert dataset.classes == ("background", "cell", "nucleus")
    assert [measure.class_pixels[1:] for measure in packed.measures] == [(25, 25), (25, 0)]


@pytest.mark.parametrize("value", [254, 1, 7])
def test_a_few_stray_pixels_are_offered_as_uncounted_and_not_as_a_class(value, tmp_path):
    masks = [255 * squares(*[1] * (1 + k % 3)) for k in range(12)]
    masks[5][31, 31] = value
    write(tmp_path, masks)
    (stated,) = cures(refused(tmp_path))
    dataset, packed = read(tmp_path, **stated)
    assert len(dataset.classes) == 2
    assert sum(packed.measures[5].class_pixels) == SIDE**2 - 1


@pytest.mark.parametrize("value", [0, 255, 3])
def test_masks_of_one_value_are_refused_without_a_setting_that_would_be_refused_too(value, tmp_path):
    write(tmp_path, [np.full((SIDE, SIDE), value, np.uint16)] * 3)
    error = refused(tmp_path)
    assert "mask_values" not in error.cure
    assert "state data.masks" in error.cure


@pytest.mark.parametrize("top", [100, 255, 65535])
def test_masks_with_smooth_edges_are_offered_as_two_halves(top, tmp_path):
    masks = [(squares(*[1] * 9) * top).astype(np.uint16) for _ in range(4)]
    rng = np.random.default_rng(0)
    for mask in masks:
        mask[0] = rng.integers(1, top, SIDE)  # what resizing leaves between the two
    write(tmp_path, masks)
    (stated,) = cures(refused(tmp_path))
    dataset, packed = read(tmp_path, **stated)
    assert dataset.classes == ("background", "foreground")
    assert all(225 <= measure.class_pixels[1] <= 225 + SIDE for measure in packed.measures)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_pictures_in_place_of_masks_are_told_and_no_meaning_of_their_values_is_offered(channels, tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path, [rng.integers(0, 255, (SIDE, SIDE, *channels)).astype(np.uint8) for _ in range(4)])
    error = refused(tmp_path)
    assert "mask_values" not in error.cure
    assert "State data.masks: the folder of the masks" in error.cure
