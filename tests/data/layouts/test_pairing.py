"""Images and their masks find each other by name, and two folders of pairs are not taken for two classes."""

import re

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image
from small_sets import blob, channel_files_of_nnunet, folders_that_pair, picture, save

from foldwise.data.cache.packing import pack
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.layouts.pairing import channel_words, match
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec

NUM = 12


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def read(root, **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root.parent)


def refused(root, **data):
    with pytest.raises(DataError) as caught:
        read(root, **data)
    return str(caught.value)


def objects(k):
    """(64, 64) uint8: a mask of twenty objects, each with a number of its own."""
    mask = np.zeros((64, 64), np.uint8)
    for number in range(20):
        mask[3 * number : 3 * number + 2, k : k + 30] = number + 1
    return mask


MASKS = {
    "0 and 255": lambda k: blob(),
    "0 and 1": lambda k: blob(0, 1),
    "classes": lambda k: blob(0, 1, 2),
    "empty but for one": lambda k: blob(0, 255 * (k == 4)),
    "wide": lambda k: blob(0, 1).astype(np.uint16),
    "grey saved as colour": lambda k: np.stack([blob()] * 3, -1),
}
IMAGES = {
    "grey": lambda k: picture(k),
    "colour": lambda k: picture(k, 3),
    "16 bit": lambda k: picture(k).astype(np.uint16) * 200,
}
# Folder of images, folder of masks, and what files in them are called.
NAMES = {
    "nnU-Net": ("imagesTr", "labelsTr", "{}.png", "{}.png"),
    "names that say nothing": ("a", "b", "{}.png", "{}.png"),
    "the other way round": ("b", "a", "{}.png", "{}.png"),
    "a part of a split": ("train", "GT", "{}.png", "{}.png"),
    "suffixes": ("x", "y", "{}.tif", "{}.png"),
    "an ending of masks": ("pics", "truth", "{}.png", "{}_mask.png"),
    "an ending of images": ("imagesTr", "labelsTr", "case_{:03}_0000.png", "case_{:03}.png"),
    "endings of both": ("one", "two", "{:02}_training.png", "{:02}_manual1.png"),
    "beginnings of both": ("one", "two", "image-{:02}.png", "seg-{:02}.png"),
}


def two_folders(root, names="names that say nothing", image="grey", mask="0 and 255"):
    images, masks, image_name, mask_name = NAMES[names]
    for k in range(1, NUM + 1):
        save_any(root / images / image_name.format(k), IMAGES[image](k))
        save_any(root / masks / mask_name.format(k), MASKS[mask](k))
    return images, masks


def save_any(path, array):
    if path.suffix == ".tif":
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array)
    else:
        save(path, array)


@pytest.mark.parametrize(
    ("names", "image", "mask"),
    [(names, "grey", "0 and 255") for names in NAMES]
    + [("names that say nothing", image, mask) for image in IMAGES for mask in MASKS],
)
def test_two_folders_of_pairs_are_images_and_masks(tmp_path, names, image, mask):
    images, masks = two_folders(tmp_path / "set", names, image, mask)
    dataset = read(tmp_path / "set")
    assert (dataset.layout, dataset.task.split("_")[1], len(dataset.cases)) == (
        "image_mask",
        "segmentation",
        NUM,
    )
    number = re.compile(r"\d+")
    for case in dataset.cases:
        assert case.image.startswith(f"{images}/")
        assert case.mask.startswith(f"{masks}/")
        assert number.search(case.image)[0] == number.search(case.mask)[0]
    same = NAMES[names][2].split(".")[0] == NAMES[names][3].split(".")[0]
    said = " ".join(dataset.statements)
    assert ("of the same name" in said) is same
    by_name = masks == "labelsTr"
    assert (f"What is in {masks}/ has few values and no colour" in said) is not by_name


def test_masks_of_many_objects_are_no_class_either(tmp_path):
    for k in range(NUM):
        save(tmp_path / "a" / f"{k}.png", picture(k, size=(64, 64)))
        save(tmp_path / "b" / f"{k}.png", objects(k))
    stated = {"0": "background", "other": "cell"}  # what their values mean is another question
    assert read(tmp_path, mask_values=stated).layout == "image_mask"


def test_masks_with_a_palette_are_no_class_either(tmp_path):
    for k in range(NUM):
        save(tmp_path / "a" / f"{k}.png", picture(k, 3))
        mask = Image.fromarray(blob(0, 1)).convert("P")
        mask.putpalette([0, 0, 0, 200, 0, 0])
        mask.save((tmp_path / "b").mkdir(exist_ok=True) or tmp_path / "b" / f"{k}.png")
    assert read(tmp_path).layout == "image_mask"


def test_where_contents_do_not_tell_it_is_asked_and_both_answers_work(tmp_path):
    folders_that_pair(tmp_path / "photographs")
    said = refused(tmp_path / "photographs")
    assert "are a/ and b/ images and their masks, or classes?" in said
    assert (
        "State data.images: a with data.masks: b (or the other way round), or data.layout: class_folders."
        in said
    )
    assert read(tmp_path / "photographs", layout="class_folders").classes == ("a", "b")
    assert read(tmp_path / "photographs", classes=("b", "a")).classes == ("b", "a")
    assert read(tmp_path / "photographs", task="binary_classification").classes == ("a", "b")
    for k in range(3):
        for folder in ("a", "b"):
            save(tmp_path / "drawings" / folder / f"{k}.png", blob())
    assert "images and their masks, or classes?" in refused(tmp_path / "drawings")
    assert read(tmp_path / "drawings", images="b", masks="a").cases[0].mask == "a/0.png"
    # One of few values beside one of many is no mask where its colours differ.
    for k in range(3):
        coloured = np.zeros((16, 16, 3), np.uint8)
        coloured[4:9, 4:9] = 200, 0, 0
        save(tmp_path / "colours" / "a" / f"{k}.png", picture(k))
        save(tmp_path / "colours" / "b" / f"{k}.png", coloured)
    assert "images and their masks, or classes?" in refused(tmp_path / "colours")
    assert read(tmp_path / "colours", images="a", masks="b").classes == ("background", "#c80000")


def test_names_that_do_not_quite_pair_are_told(tmp_path):
    for k in range(3):
        save(tmp_path / "case" / "a" / f"{'Cc'[k % 2]}ell{k}.png", picture(k))
        save(tmp_path / "case" / "b" / f"cell{k}.png", blob())
        save(tmp_path / "digits" / "photographs" / f"{k:03}.png", picture(k))
        save(tmp_path / "digits" / "masks_drawn" / f"{k}.png", blob())
    assert "Some names differ only in upper and lower case" in refused(tmp_path / "case")
    said = refused(tmp_path / "digits")
    assert "State data.images: photographs with data.masks: masks_drawn" in said
    assert read(tmp_path / "digits", layout="class_folders").classes == ("masks_drawn", "photographs")
    for path in (tmp_path / "digits" / "masks_drawn").iterdir():
        path.rename(path.with_stem(f"{int(path.stem):03}"))
    assert len(read(tmp_path / "digits", images="photographs", masks="masks_drawn").cases) == 3


def test_classes_that_only_look_a_little_like_pairs_are_not_asked_about(tmp_path):
    for name in ("gel", "not_gel"):  # called after their folders
        for k in range(4):
            save(tmp_path / "called" / name / f"{name}_{k}.png", picture(k))
    assert read(tmp_path / "called").classes == ("gel", "not_gel")
    for digit in range(10):  # numbered in each of many folders
        for k in range(3):
            save(tmp_path / "many" / str(digit) / f"{k}.png", picture(10 * k + digit))
    assert len(read(tmp_path / "many").classes) == 10
    for k in range(6):  # one more in one of them
        save(tmp_path / "uneven" / "a" / f"{k}.png", picture(k))
        save(tmp_path / "uneven" / "b" / f"{k + k // 5}.png", picture(k))
    assert read(tmp_path / "uneven").classes == ("a", "b")
    folders_that_pair(tmp_path / "table")
    rows = "".join(f"{folder}/{k}.png,{folder}\n" for folder in "ab" for k in range(3))
    (tmp_path / "table" / "labels.csv").write_text(f"image,label\n{rows}")
    assert read(tmp_path / "table").classes == ("a", "b")


def test_a_table_beside_pairs_is_asked_about_and_each_answer_works(tmp_path):
    two_folders(tmp_path)
    (tmp_path / "labels.csv").write_text(
        "image,label\n" + "".join(f"{k}.png,{'xy'[k % 2]}\n" for k in range(1, NUM + 1))
    )
    assert "a/ could be segmented (b/) or classified (labels.csv)" in refused(tmp_path)
    for stated in ({"task": "binary_classification"}, {"table": "labels.csv"}, {"layout": "table"}):
        dataset = read(tmp_path, **stated)
        assert (dataset.classes, len(dataset.cases)) == (("x", "y"), NUM)
        assert "Folders that were not used: b." in dataset.statements
    assert read(tmp_path, task="binary_segmentation").cases[0].mask == "b/1.png"


@pytest.mark.parametrize("split", ["folders", "pooled_folders"])
def test_pairs_in_the_parts_of_a_split_are_images_and_masks(tmp_path, split):
    for part in ("train", "test"):
        two_folders(tmp_path / part)
    dataset = read_dataset(DataSpec(path=str(tmp_path)), base=tmp_path, split=split)
    assert (dataset.layout, len(dataset.cases)) == ("image_mask", 2 * NUM)
    assert {case.mask for case in dataset.cases if case.image == "test/a/3.png"} == {"test/b/3.png"}


def test_one_mask_too_few_is_named_and_makes_no_classes(tmp_path):
    two_folders(tmp_path / "same")
    (tmp_path / "same" / "b" / "3.png").unlink()
    assert "1 image has no mask of the same name: a/3.png" in refused(tmp_path / "same")
    two_folders(tmp_path / "ending", "an ending of images")
    (tmp_path / "ending" / "labelsTr" / "case_003.png").unlink()
    said = refused(tmp_path / "ending", images="imagesTr", masks="labelsTr")
    assert "1 image has no mask of the same name (without '_0000' at the end of images)" in said
    assert "imagesTr/case_003_0000.png" in said


def test_a_third_folder_is_asked_about_and_the_answer_works(tmp_path):
    two_folders(tmp_path / "others", "a part of a split")
    for k in range(1, NUM + 1):
        save(tmp_path / "others" / "new" / f"n{k}.png", picture(k))
    said = refused(tmp_path / "others")
    assert "and there is new/" in said
    assert "State data.images: train with data.masks: GT, or data.layout: class_folders." in said
    dataset = read(tmp_path / "others", images="train", masks="GT")
    assert len(dataset.cases) == NUM
    assert "Folders that were not used: new." in dataset.statements


@pytest.mark.parametrize("stated", [{}, {"images": "imagesTr", "masks": "labelsTr"}])
def test_several_files_for_each_mask_are_channels_and_the_cure_joins_them(tmp_path, stated):
    channel_files_of_nnunet(tmp_path / "set")
    said = refused(tmp_path / "set", **stated)
    channels = tuple(yaml.safe_load(re.search(r"channels: (\[.*?\])", said)[1]))
    assert channels == ("0000", "0001")
    spec = DataSpec(path=str(tmp_path / "set"), channels=channels, **stated)
    dataset = read_dataset(spec, base=tmp_path)
    assert [(case.name, case.mask) for case in dataset.cases] == [
        (f"imagesTr/case_{k}.png", f"labelsTr/case_{k}.png") for k in range(3)
    ]
    np.testing.assert_array_equal(pack(dataset, spec).image(2), np.stack([picture(4), picture(5)]))


def test_a_channel_file_too_few_makes_no_classes_and_is_named(tmp_path):
    channel_files_of_nnunet(tmp_path)
    (tmp_path / "imagesTr" / "case_1_0001.png").unlink()
    assert 'State data.channels: ["0000", "0001"]' in refused(tmp_path)
    said = refused(tmp_path, channels=("0000", "0001"))
    assert "1 channel file is not there: imagesTr/case_1_0001.png" in said


def test_masks_among_the_images_of_a_class_are_no_images_of_it(tmp_path):
    for name in ("benign", "malignant"):
        for k in range(4):
            save(tmp_path / name / f"{name} ({k}).png", picture(k + 10 * (name == "benign")))
            save(tmp_path / name / f"{name} ({k})_mask.png", blob())
    said = refused(tmp_path)
    assert (
        "4 files in benign/ are called as others are, with '_mask' at the end, and look like their masks"
        in said
    )
    assert len(read(tmp_path, layout="class_folders").cases) == 16
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for path in sorted(tmp_path.glob("*/*.png")):
        path.rename(tmp_path / ("masks" if "_mask" in path.name else "images") / path.name)
    assert len(read(tmp_path, images="images", masks="masks").cases) == 8
    for name in ("a", "b"):  # pictures of one thing, called alike
        for k in range(4):
            save(tmp_path / "views" / name / f"{name}{k}.png", picture(k))
            save(tmp_path / "views" / name / f"{name}{k}_side.png", picture(k + 5))
    assert len(read(tmp_path / "views").cases) == 16


def test_names_are_cut_where_a_word_ends():
    def paired(images, masks):
        matched = match(images, masks)
        return matched and matched.masks

    assert paired(["a_1.png", "a_2.png"], ["b_1.png", "b_2.png"]) == {"a_1": "b_1.png", "a_2": "b_2.png"}
    assert paired(["10.png", "20.png"], ["1.png", "2.png"]) is None
    assert paired(["x1.png", "x2.png"], ["y21.png", "y22.png"]) is None
    assert paired(["cat.png", "hat.png"], ["cot.png", "hot.png"]) is None
    assert paired(["x.png"], ["y.png"]) is None
    assert paired(["x_0000.png"], ["x.png"]) == {"x_0000": "x.png"}
    assert paired(["cell1.png", "cell2.png"], ["cell1mask.png", "cell2mask.png"]) == {
        "cell1": "cell1mask.png",
        "cell2": "cell2mask.png",
    }
    assert paired(["a.png", "b.png"], ["a.png"]) is None
    assert paired([], []) is None


def test_whatever_names_are_given_the_partner_of_each_is_its_own():
    random = np.random.default_rng(0)
    words = ["", "_mask", "-seg", "_0000", " manual1", ".gt"]
    for _ in range(300):
        numbers = random.choice(2000, random.integers(2, 30), replace=False)
        stems = [f"{k:0{random.integers(0, 2) * 4}}" for k in numbers]
        stems = [f"{k:04}" for k in numbers] if len(set(map(len, stems))) > 1 else stems
        start, end = random.choice(["", "case_", "im", "IMG-"]), random.choice(words)
        other_start, other_end = random.choice([start, "m_"]), random.choice(words)
        images = [f"{start}{k}{end}.png" for k in stems]
        masks = [f"{other_start}{k}{other_end}.tif" for k in stems]
        matched = match(images, list(random.permutation(masks)))
        assert matched is not None, (images, masks)
        assert [matched.masks[name.removesuffix(".png")] for name in images] == masks


def test_files_of_every_mask_end_in_the_same_words():
    images = [f"c{k}_{word}.png" for k in range(3) for word in ("dapi", "gfp")]
    assert channel_words(images, ["c0.png", "c1.png", "c2.png"]) == ("dapi", "gfp")
    assert channel_words(images[:-1], ["c0.png", "c1.png", "c2.png"]) == ("dapi", "gfp")  # one is missing
    assert channel_words(images, ["c0.png", "c1.png"]) == ()
    assert channel_words(["c0_a.png", "c1_a.png"], ["c0.png", "c1.png"]) == ()


@pytest.mark.parametrize("names", [["img", "label", "label_viz"], ["image"], ["IMAGE", "MASK"]])
def test_a_folder_for_each_image_is_not_taken_for_a_class(tmp_path, names):
    for k in range(8):
        for name in names:
            save(tmp_path / f"im{k}_json" / f"{name}.png", picture(k))
    assert "is it a folder an image, or a class?" in refused(tmp_path)
    assert len(read(tmp_path, layout="class_folders").classes) == 8


@pytest.mark.parametrize(("folders", "names"), [(8, ["1", "2"]), (4, ["a"]), (5, list("abcdef"))])
def test_classes_whose_images_are_called_alike_are_classes(tmp_path, folders, names):
    for k in range(folders):
        for name in names:
            save(tmp_path / f"class{k}" / f"{name}.png", picture(k))
    assert len(read(tmp_path).classes) == folders


@pytest.mark.parametrize("ending", ["-labelled", "_mask", ".seg"])
def test_one_folder_of_images_with_their_masks_says_so(tmp_path, ending):
    for k in range(6):
        save(tmp_path / "tiles" / f"t{k}.png", picture(k, channels=3))
        save(tmp_path / "tiles" / f"t{k}{ending}.png", blob())
    assert f"with {ending!r} at the end, and look like their masks" in refused(tmp_path)


def test_masks_whose_numbers_have_other_zeros_are_explained(tmp_path):
    for k in range(4):
        save(tmp_path / "images" / f"{k}.png")
        save(tmp_path / "masks" / f"{k:03}.png", blob())
    assert "only in zeros before a number: images/0.png and masks/000.png" in refused(tmp_path)
