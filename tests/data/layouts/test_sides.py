"""Sets whose parts lie within images and masks, as those of Ultralytics, mmsegmentation and nnU-Net do: each is read as it is."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from foldwise.data.cache.packing import pack
from foldwise.data.external_set import read_external
from foldwise.data.layouts.files import part_in, part_named
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import FoldwiseError
from foldwise.study.spec import DataSpec, Validation

# Where the images and the masks of a part lie; `nnU-Net` has ends of its own.
PLACES = {
    "Ultralytics": ("images/{}", "labels/{}"),
    "masks": ("images/{}", "masks/{}"),
    "annotations": ("images/{}", "annotations/{}"),
    "mmsegmentation": ("img_dir/{}", "ann_dir/{}"),
    "words first": ("{}_images", "{}_masks"),
    "words last": ("images_{}", "labels_{}"),
    "words joined": ("{}Images", "{}Masks"),
    "parts outside": ("{}/images", "{}/masks"),
    "in words of the outer": ("{} set/images", "{} set/masks"),
}
LONG = {"train": "training", "val": "validation", "test": "testing"}


def save(folder, names, *, is_mask=False, ending=""):
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        pixels = np.random.default_rng([k, *map(ord, str(folder)[-12:])]).integers(0, 250, (12, 14))
        if is_mask:
            pixels = np.pad(np.ones((4, 5)), ((2, 6), (3, 6))) * 255
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}{ending}.png")


def made(root, place, parts=("train", "val", "test")):
    for part in parts:
        names = [f"{part}{k}" for k in range(3)]
        for folder, is_mask in zip(place, (False, True), strict=True):
            save(root / folder.format(part), names, is_mask=is_mask)
    return root


def read(root, split="folders", **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root, split=split)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_parts_are_found_wherever_their_names_stand(place, tmp_path):
    root = made(tmp_path / "set", place)
    dataset = read(root)
    expected = [
        (f"{place[0].format(part)}/{part}{k}.png", f"{place[1].format(part)}/{part}{k}.png", word)
        for part, word in (("train", "train"), ("val", "validation"), ("test", "test"))
        for k in range(3)
    ]
    assert [(case.image, case.mask, case.part) for case in dataset.cases] == expected
    assert ".." not in " ".join(dataset.statements)
    assert len(read(root, "pooled_folders").cases) == 9
    with pytest.raises(FoldwiseError, match="are the parts of a split") as question:
        read(root, "auto")
    for choice in question.value.choices:  # the cure works
        assert read(root, choice.partition("=")[2]).cases


def test_long_names_of_parts_and_years_are_parts_too(tmp_path):
    for part, name in LONG.items():
        (made(tmp_path, PLACES["masks"], [part]) / f"images/{part}").rename(tmp_path / f"images/{name}")
        (tmp_path / f"masks/{part}").rename(tmp_path / f"masks/{part}2017")
    assert [case.part for case in read(tmp_path).cases] == ["train"] * 3 + ["validation"] * 3 + ["test"] * 3


def test_two_parts_without_one_to_score_are_pooled(tmp_path):
    root = made(tmp_path, PLACES["Ultralytics"], ("train", "val"))
    with pytest.raises(FoldwiseError, match=r"State validate.split: pooled_folders") as question:
        read(root, "auto")
    assert question.value.choices == ("validate.split=pooled_folders",)
    assert len(read(root, "pooled_folders").cases) == 6
    with pytest.raises(FoldwiseError, match="no image is for test") as refusal:
        read(root)
    assert "pooled_folders" in refusal.value.cure


def test_a_part_without_labels_is_left_out_and_said(tmp_path):
    root = made(tmp_path, PLACES["Ultralytics"], ("train", "test"))
    save(root / "images/val", ["v0", "v1"])
    dataset = read(root)
    assert {case.part for case in dataset.cases} == {"train", "test"}
    assert "Folders that were not used: images/val." in dataset.statements


def test_folders_of_a_part_may_be_links(tmp_path):
    root = made(tmp_path / "set", PLACES["masks"])
    for kind in ("images", "masks"):
        (tmp_path / "disk" / kind).mkdir(parents=True)
        (root / kind / "train").rename(tmp_path / "disk" / kind / "here")
        os.symlink(tmp_path / "disk" / kind / "here", root / kind / "train")
    dataset = read(root)
    assert len(dataset.cases) == 9
    assert all((root / case.mask).is_file() for case in dataset.cases)


def nnunet(root, *, test_labels=False):
    save(root / "imagesTr", ["case_0", "case_1", "case_2"], ending="_0000")
    save(root / "labelsTr", ["case_0", "case_1", "case_2"], is_mask=True)
    save(root / "imagesTs", ["case_8", "case_9"], ending="_0000")
    if test_labels:
        save(root / "labelsTs", ["case_8", "case_9"], is_mask=True)
    return root


def test_nnunet_without_labels_of_its_test_images_is_one_set_and_with_them_a_split(tmp_path):
    alone = read(nnunet(tmp_path / "alone"), "auto")
    assert [case.mask for case in alone.cases] == [f"labelsTr/case_{k}.png" for k in range(3)]
    assert alone.statements.count("Folders that were not used: imagesTs.") == 1
    both = read(nnunet(tmp_path / "both", test_labels=True))
    assert [case.part for case in both.cases] == ["train"] * 3 + ["test"] * 2


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ({"background": 0, "cell": 255}, ("background", "cell")),
        ({"0": "background", "255": "cell"}, ("background", "cell")),  # of its first version
        ({"cell": 255, "background": 0, "ignore": 7}, ("background", "cell")),
        ({"background": 0, "whole": [1, 255]}, ("background", "foreground")),  # regions are no classes
        ({"background": 0, "cell": 1}, ("background", "foreground")),  # of other masks
        (["background", "cell"], ("background", "foreground")),
    ],
)
def test_dataset_json_names_the_classes(labels, classes, tmp_path):
    root = nnunet(tmp_path)
    (root / "dataset.json").write_text(json.dumps({"labels": labels, "channel_names": {"0": "DAPI"}}))
    dataset = read(root, "auto")
    assert dataset.classes == classes
    assert ("The values of the masks are those of dataset.json." in dataset.statements) == ("cell" in classes)
    assert read(root, "auto", classes=("a", "b")).classes == ("a", "b")  # what is stated counts


def test_images_in_parts_without_labels_are_refused_with_what_is_missing(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / "images" / part, ["a", "b"])
    with pytest.raises(FoldwiseError, match="nothing says what they show") as refusal:
        read(tmp_path)
    assert "masks/test/" in refusal.value.cure
    for part in ("train", "test"):
        save(tmp_path / "masks" / part, ["a", "b"], is_mask=True)
    assert len(read(tmp_path).cases) == 4


def test_classes_in_parts_in_images_are_pointed_to(tmp_path):
    for part in ("train", "test"):
        for name in ("gel", "other"):
            save(tmp_path / "images" / part / name, [f"{name}-1", f"{name}-2"])
    with pytest.raises(FoldwiseError, match=r"point data.path at images/ itself"):
        read(tmp_path)
    assert read(tmp_path / "images").classes == ("gel", "other")


def test_all_parts_of_an_external_set_are_scored(tmp_path):
    """Nothing is trained on any of them, so that nobody has to say what becomes of its split."""
    made(tmp_path / "ours", PLACES["words first"])
    made(tmp_path / "theirs", PLACES["Ultralytics"])
    data = DataSpec(path=str(tmp_path / "ours"), external=str(tmp_path / "theirs"))
    dataset = read_dataset(data, base=tmp_path, split="folders")
    external = read_external(data, dataset, pack(dataset, data), base=tmp_path, validation=Validation())
    assert len(external.dataset.cases) == 9
    assert {case.part for case in external.dataset.cases} == {None}


def test_years_are_no_classes(tmp_path):
    """train2017/ beside val2017/ was once read as two classes."""
    for part in ("train2017", "val2017"):
        save(tmp_path / part, ["a", "b", "c"])
    with pytest.raises(FoldwiseError, match="parts of a split"):
        read(tmp_path, "auto")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("images/train", "train"),
        ("imagesTs", "test"),
        ("val2017", "validation"),
        ("Test Images", "test"),
        ("strains", None),
        ("contest", None),
        ("train/test", None),
        ("ts_images", None),
    ],
)
def test_the_part_of_a_folder(path, part):
    assert part_in(path) == part


def test_only_years_may_follow_the_name_of_a_part():
    assert [part_named(name) for name in ("train2017", "test_2012", "test1", "train-1", "trainer")] == [
        "train",
        "test",
        None,
        None,
        None,
    ]
