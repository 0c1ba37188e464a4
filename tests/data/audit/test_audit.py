import json
import os
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from small_packed import SmallPacked, dataset, segmentation, texture

from foldwise.data.audit.audit import Audit, audit
from foldwise.data.audit.copies import Copies, clusters, find_copies, join_groups
from foldwise.data.cache.measures import turned
from foldwise.data.folds.splits import make_splits
from foldwise.study.spec import DataSpec, Decoding, Validation


def images(count, channels=1):
    return [texture(seed, channels=channels) for seed in range(count)]


def squares(count, side=64):
    """Targets with a square of class 1 whose side grows."""
    targets = [np.zeros((side, side), np.uint8) for _ in range(count)]
    for place, target in enumerate(targets):
        target[5 : 20 + place % 11, 5:30] = 1
    return targets


def said(found: Audit, code):
    listed = [finding for finding in found.findings if finding.code == code]
    assert len(listed) == 1, [finding.code for finding in found.findings]
    return listed[0]


def codes(found: Audit):
    return [finding.code for finding in found.findings]


def two_classes(count=20):
    return dataset([place % 2 for place in range(count)]), SmallPacked(images(count))


def test_a_sound_set_has_no_findings():
    assert audit(*two_classes(), Validation()) == Audit((), tuple(f"i{place:05d}.png" for place in range(20)))


def test_findings_can_be_saved_and_come_with_a_cure():
    data, packed = (
        dataset([0] * 18 + [1, 1]),
        SmallPacked([*images(18), np.zeros((1, 64, 64), np.uint8), texture(0)]),
    )
    found = audit(data, packed, Validation(folds=2)).findings
    assert all(finding.cure and finding.message.endswith(".") for finding in found)
    assert [finding.severity for finding in found] == sorted(
        (finding.severity for finding in found), key=["error", "warning", "note"].index
    )
    assert json.dumps([vars(finding) for finding in found])


# ---- copies


def changed(image, kind):
    if kind == "turned":
        return turned(image, 6)
    if kind == "mirrored":
        return turned(image, 1)
    if kind == "darker":
        return (image // 2 + 9).astype(np.uint8)
    if kind == "shifted":
        return np.roll(image, (1, -1), axis=(1, 2))
    if kind == "noisy":
        return (image + np.random.default_rng(0).integers(0, 6, image.shape)).astype(np.uint8)
    return image.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize("kind", ["turned", "mirrored", "darker", "shifted", "noisy", "larger"])
def test_a_changed_copy_is_found_and_grouped(kind):
    pictures = [np.clip(texture(seed, scale=6.0), 10, 240) for seed in range(10)]
    pictures[7] = changed(pictures[3], kind)
    found = audit(dataset([0, 1] * 5), SmallPacked(pictures), Validation())
    finding = said(found, "near_duplicates")
    assert finding.severity == "note"
    assert finding.message == "1 pair of images looks like the same picture: i00003.png ~ i00007.png."
    assert finding.cases == ("i00003.png", "i00007.png")
    assert finding.alike == (("i00003.png", "i00007.png"),)
    assert found.groups[7] == found.groups[3] == "i00003.png"
    assert len(set(found.groups)) == 9


def test_copies_that_are_not_grouped_are_a_warning():
    data, packed = dataset([0, 1] * 5), SmallPacked([*images(9), turned(texture(1), 3)])
    found = audit(data, packed, Validation(near_duplicates="ignore"))
    assert said(found, "near_duplicates").severity == "warning"
    assert "validate.near_duplicates: group" in said(found, "near_duplicates").cure
    assert len(set(found.groups)) == 10


def test_exact_copies_are_named_even_where_they_are_flat():
    flat = np.full((1, 64, 64), 9, np.uint8)
    found = audit(dataset([0] * 6), SmallPacked([*images(3), flat, flat, texture(1)]), Validation(folds=2))
    finding = said(found, "exact_duplicates")
    assert finding.message == (
        "2 pictures are in the data more than once, pixel for pixel: i00001.png = i00005.png, i00003.png = i00004.png."
    )
    assert "near_duplicates" not in codes(found)
    assert said(found, "constant_images").cases == ("i00003.png", "i00004.png")


def test_a_thousand_exact_copies_are_one_cluster_not_half_a_million_pairs():
    packed = SmallPacked([texture(0)] * 2)
    packed.measures = [replace(packed.measures[0], index=index) for index in range(1000)]
    packed._images = [texture(0)] * 1000
    assert find_copies(packed) == Copies((tuple(range(1000)),), ())


def small_cells(count, side, seed=0):
    """Bright round cells in the middle of small dark pictures: all alike, and no two the same."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side - 0.5
    made = []
    for _ in range(count):
        (y, x), radius = rng.normal(0, 0.02, 2), rng.uniform(0.25, 0.33)
        cell = 1 / (1 + np.exp((np.hypot(rows - y, 1.1 * (columns - x)) - radius) * 40))
        spots = gaussian_filter(rng.standard_normal((side, side)), side / 12)
        picture = 30 + 160 * cell * (1 + 0.15 * spots / spots.std())
        made.append(np.clip(picture, 0, 255).astype(np.uint8)[None])
    return made


@pytest.mark.parametrize("side", [24, 28, 48, 63])
def test_small_images_are_copies_only_where_they_are_nearly_exact(side):
    cells = small_cells(60, side)
    assert find_copies(SmallPacked(cells)).near == ()
    stored = BytesIO()
    Image.fromarray(cells[3][0]).save(stored, "JPEG", quality=90)
    saved_anew = np.asarray(Image.open(stored))[None]
    copies = [saved_anew, turned(cells[5], 3), (cells[7] // 2 + 20)]
    near = find_copies(SmallPacked([*cells, *copies])).near
    assert near == ((3, 60), (5, 61), (7, 62))


def test_handwritten_digits_of_28_pixels_are_no_copies():
    digits = load_digits().images[:300]
    small = [np.asarray(Image.fromarray((d * 15.9).astype(np.uint8)).resize((28, 28), Image.BICUBIC))[None] for d in digits]  # fmt: skip
    assert find_copies(SmallPacked(small)).near == ()


def test_flat_and_merely_alike_images_are_not_linked():
    rows = np.linspace(0, 200, 64)[None, :, None] * np.ones((1, 1, 64))
    disc = (np.hypot(*np.mgrid[-32:32, -32:32]) < 30) * 120.0
    alike = [disc[None] + 0.25 * texture(seed, scale=2.0) for seed in range(12)]
    alike += [rows + 0.25 * texture(100 + seed, scale=2.0) for seed in range(6)]
    flat = [np.full((1, 64, 64), value, np.uint8) for value in (1, 2, 3)]
    assert (
        find_copies(SmallPacked([np.clip(image, 0, 255).astype(np.uint8) for image in [*alike, *flat]])).near
        == ()
    )


@pytest.mark.parametrize(
    ("task", "severity"), [("binary_classification", "error"), ("multilabel_classification", "warning")]
)
def test_equal_pixels_with_different_labels(task, severity):
    data = dataset([0, 1] * 5, task=task)
    finding = said(
        audit(data, SmallPacked([*images(9), texture(0)]), Validation()), "exact_duplicates_disagree"
    )
    assert finding.severity == severity
    assert finding.message == (
        "1 pair of images has the same pixels but different labels: i00000.png (gel) and i00009.png (other)."
    )
    assert finding.cases == ("i00000.png", "i00009.png")


def test_a_turned_copy_with_another_label_is_a_warning():
    packed = SmallPacked([*images(9), turned(texture(0), 2)])
    finding = said(audit(dataset([0, 1] * 5), packed, Validation()), "near_duplicates_disagree")
    assert finding.severity == "warning"
    assert "looks like the same picture and has different labels" in finding.message
    assert "orrect" not in finding.cure  # two pictures may look alike and be of two classes
    assert "a person finds it so" in finding.cure


def test_one_image_with_two_masks():
    targets = squares(10)
    packed = SmallPacked([*images(9), texture(0)], targets, 2)
    assert "exact_duplicates_disagree" not in codes(
        audit(
            segmentation(10),
            SmallPacked([*images(9), texture(0)], [*targets[:9], targets[0]], 2),
            Validation(),
        )
    )
    finding = said(audit(segmentation(10), packed, Validation()), "exact_duplicates_disagree")
    assert "different masks: i00000.png and i00009.png" in finding.message


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_clusters_are_the_connected_parts(links):
    found = clusters(links, total=10)
    for first, second in links:
        assert first == second or any({first, second} <= set(cluster) for cluster in found)
    flat = [item for cluster in found for item in cluster]
    assert len(flat) == len(set(flat)) <= 2 * len(links)
    assert sum(len(cluster) - 1 for cluster in found) <= len(links)


# ---- groups


def test_copies_join_stated_groups():
    data = dataset([0, 1] * 5, groups=[f"p{place // 2}" for place in range(10)])
    found = audit(data, SmallPacked([*images(9), turned(texture(1), 4)]), Validation())
    assert found.groups[0] == found.groups[9] == found.groups[8] == "p0"
    assert said(found, "groups_joined").message.endswith("so these groups are one: p0 + p4.")


def test_groups_do_not_depend_on_the_order_of_the_cases():
    names = ["b.png", "a.png", "c.png"]
    forward = join_groups(dataset([0, 1, 0], names=names), Copies((), ((0, 1),)))
    backward = join_groups(dataset([0, 1, 0], names=names[::-1]), Copies((), ((1, 2),)))
    assert forward == backward[::-1] == ("a.png", "a.png", "c.png")


def test_a_group_that_is_larger_than_a_fold():
    data = dataset([0, 1] * 10, groups=["big"] * 8 + [f"p{place}" for place in range(12)])
    finding = said(audit(data, SmallPacked(images(20)), Validation()), "large_group")
    assert finding.message.startswith("The group 'big' holds 8 of 20 images, more than one of 5 folds should")


@pytest.mark.parametrize(
    ("name", "pattern_finds", "severity"),
    [
        ("Image_{0:02d}{1}.jpg", "Image_03", "warning"),
        ("{0}_{2}.jpg", "3", "warning"),
        ("scan_Patient{0}_{1}1.png", "Patient3", "warning"),
        ("p{0:03d}-{1}-tile.png", "p003", "warning"),
        ("slide_x{0}_{1}_7.png", "slide_x3", "note"),
    ],
)
def test_names_that_suggest_groups(name, pattern_finds, severity):
    names = [name.format(place // 2, "LR"[place % 2], ["left", "right"][place % 2]) for place in range(20)]
    data = dataset([place % 3 == 0 for place in range(20)], names=names)
    packed = SmallPacked(images(20))
    finding = said(audit(data, packed, Validation()), "groups_in_names")
    assert finding.severity == severity
    assert finding.message == f"The file names suggest 10 groups: {names[0]}, {names[1]} would be one."
    pattern = re.search(r"'pattern:(.*)'", finding.cure)[1]
    assert re.compile(pattern).groups == 1
    assert re.search(pattern, names[6])[1] == pattern_finds
    assert "groups_in_names" not in codes(audit(data, packed, Validation(group="none")))
    stated = dataset([0, 1] * 10, names=names, groups=[str(place // 2) for place in range(20)])
    assert "groups_in_names" not in codes(audit(stated, packed, Validation()))


def test_folders_of_the_images_of_a_table_suggest_groups():
    names = [f"images/p{place // 2}/{place % 2}.png" for place in range(20)]
    data = replace(dataset([place % 3 == 0 for place in range(20)], names=names), layout="table")
    finding = said(audit(data, SmallPacked(images(20)), Validation()), "groups_in_names")
    assert (
        finding.message
        == "The images lie in 10 folders (p0, p1, p2, p3, p4 and 5 more), and there are no groups."
    )
    assert finding.choices == ("validate.group=folders", "validate.group=none")
    grouped = replace(data, cases=tuple(replace(case, group=case.name[:9]) for case in data.cases))
    for other in (grouped, replace(data, layout="class_folders")):
        assert "groups_in_names" not in codes(audit(other, SmallPacked(images(20)), Validation()))


@pytest.mark.parametrize(
    "folder", [lambda k: "ab"[k % 3 == 0], lambda k: ["train", "test"][k % 2], lambda k: f"{k}"]
)
def test_folders_of_classes_of_parts_and_of_single_images_suggest_none(folder):
    names = [f"images/{folder(place)}/{place:x}9f-ab.png" for place in range(20)]
    data = replace(dataset([place % 3 == 0 for place in range(20)], names=names), layout="table")
    assert "groups_in_names" not in codes(audit(data, SmallPacked(images(20)), Validation()))


@pytest.mark.parametrize("name", ["gel_{0}.jpg", "d1_{0:03d}.png", "control{0}.png", "{0:x}9f-ab.png"])
def test_names_that_suggest_none(name):
    data = dataset([place % 3 == 0 for place in range(20)], names=[name.format(place) for place in range(20)])
    assert "groups_in_names" not in codes(audit(data, SmallPacked(images(20)), Validation()))


def slices(count, noise=0.7):
    """Each like the one before it."""
    rng, picture, made = np.random.default_rng(0), np.zeros((1, 64, 64)), []
    for place in range(count):
        picture = noise * picture + (texture(place, scale=3.0) - 128.0)
        made.append(np.clip(128 + picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    return made


def test_consecutive_slices_without_groups():
    names = [f"section_{place:02d}.png" for place in range(30)]
    packed = SmallPacked(slices(30), squares(30), 2)
    finding = said(audit(segmentation(30, names=names), packed, Validation()), "neighbours_alike")
    assert finding.severity == "warning"
    assert finding.message.startswith("Images with consecutive numbers look alike (mean correlation 0.")
    assert (
        r"state validate.group: 'pattern:(\d+)\d\.[^.]+$', which makes 3 groups of up to ten in a row"
        in finding.cure
    )
    assert finding.cases == tuple(names)
    stated = segmentation(30, names=names, groups=[str(place // 6) for place in range(30)])
    assert "neighbours_alike" not in codes(audit(stated, packed, Validation()))


def test_slices_of_several_volumes_are_grouped_by_volume():
    names = [f"v{volume}/vol{volume}_{place}.png" for volume in "abcd" for place in range(10)]
    packed = SmallPacked(slices(40), squares(40), 2)
    cure = said(audit(segmentation(40, names=names), packed, Validation()), "neighbours_alike").cure
    pattern = re.search(r"'pattern:(.*?)'", cure)[1]
    assert {re.search(pattern, name.split("/")[1])[1] for name in names} == {
        "vola_",
        "volb_",
        "volc_",
        "vold_",
    }


def test_numbered_images_that_are_no_series():
    data = dataset([place % 2 for place in range(20)], names=[f"cell_{place}.png" for place in range(20)])
    assert codes(audit(data, SmallPacked(images(20)), Validation())) == []


# ---- values, sizes


def test_nan_and_constant_images():
    pictures = [image.astype(np.float32) for image in images(20)]
    pictures[2][0, 5, 5] = np.nan
    pictures[3][0, 5, 5] = np.inf
    pictures[4][:] = 3.5
    found = audit(dataset([0, 1] * 10), SmallPacked(pictures), Validation())
    assert said(found, "nan_pixels").severity == "error"
    assert said(found, "nan_pixels").message == (
        "2 images have pixels that are NaN or infinite: i00002.png, i00003.png."
    )
    assert said(found, "constant_images").message == (
        "1 image has the same value in every pixel: i00004.png."
    )


def test_sizes_that_are_exceptions_tiny_or_squeezed():
    data, packed = two_classes()
    packed.measured(3, original_width=20, original_height=9)
    found = audit(data, packed, Validation())
    assert said(found, "unexpected_sizes").message == (
        "1 image is not 64 × 64 as the other 19 are: i00003.png (20 × 9)."
    )
    assert said(found, "tiny_images").cases == said(found, "squeezed_images").cases == ("i00003.png",)
    for place in range(20):
        packed.measured(place, original_width=60 + place, original_height=60 + place)
    assert codes(audit(data, packed, Validation())) == []


# ---- classes


def test_class_folders_that_differ_in_case_or_space():
    folders = replace(dataset([0, 1] * 10, classes=("Gel", "gel ")), layout="class_folders")
    found = audit(folders, SmallPacked(images(20)), Validation())
    assert said(found, "class_names_alike").message == "The classes 'Gel', 'gel ' differ in spelling only."
    assert said(found, "class_names_alike").severity == "error"


def test_a_class_with_no_image_and_one_in_a_single_group():
    data = dataset([0, 1] * 9 + [2, 2], classes=("a", "b", "c", "d"), groups=[*map(str, range(18)), "x", "x"])
    found = audit(data, SmallPacked(images(20)), Validation())
    messages = [finding.message for finding in found.findings if finding.severity == "error"]
    assert messages == [
        "class 'c' has 2 image(s), all in one group, and cannot be both learned and tested.",
        "class 'd' has no image and cannot be both learned and tested.",
    ]


def test_a_rare_class_is_not_scored_and_does_not_stop():
    labels = [place % 2 for place in range(16)] + [2] * 4
    data = dataset(labels, classes=("a", "b", "basophil"), groups=[*map(str, range(16)), "x", "x", "y", "z"])
    finding = said(audit(data, SmallPacked(images(20)), Validation()), "rare_class")
    assert finding.severity == "warning"
    assert finding.message == (
        "1 class is in fewer groups than there are folds (5): basophil (3 groups). Some fold cannot test it, so no score "
        "counts it."
    )
    assert (
        finding.cure == "State validate.folds: 3, merge it with another class, leave it out, or add images."
    )
    assert finding.cases == tuple(f"i{place:05d}.png" for place in range(16, 20))


def test_fewer_folds_are_advised_for_the_classes_that_they_help():
    labels = [place % 2 for place in range(14)] + [2] * 4 + [3] * 2
    data = dataset(labels, classes=("a", "b", "some", "few"))
    finding = said(audit(data, SmallPacked(images(20)), Validation()), "rare_class")
    assert "(5): some (4 images), few (2 images)." in finding.message
    assert finding.choices == ("validate.folds=4",)
    assert finding.cure == (
        "State validate.folds: 4 for some; and merge few with another class, leave it out, or add images."
    )
    finding = said(audit(data, SmallPacked(images(20)), Validation(folds=3)), "rare_class")
    assert finding.choices == ()
    assert finding.cure == "Merge it with another class, leave it out, or add images."


def test_accuracy_that_misleads():
    finding = said(
        audit(dataset([0] * 90 + [1] * 10), SmallPacked(images(100)), Validation()), "accuracy_misleads"
    )
    assert finding.message == "90% of the images are 'gel': answering that always has an accuracy of 90%."


# ---- masks


def test_masks_that_are_empty_full_or_uncounted():
    targets = squares(20)
    targets[1][:], targets[2][:], targets[3][:] = 0, 1, 255
    found = audit(segmentation(20), SmallPacked(images(20), targets, 2), Validation())
    assert said(found, "empty_masks").cases == ("i00001.png",)
    assert said(found, "full_masks").cases == ("i00002.png",)
    assert said(found, "uncounted_masks").cases == ("i00003.png",)
    assert said(found, "uncounted_masks").severity == "error"
    assert said(found, "accuracy_misleads").message.startswith("Foreground is 1")


@pytest.mark.parametrize("some", [range(20), range(0, 20, 5)])
def test_masks_that_look_inverted(some):
    targets = squares(20)
    for place in some:
        targets[place] = 1 - targets[place]
    found = said(audit(segmentation(20), SmallPacked(images(20), targets, 2), Validation()), "inverted_masks")
    assert found.cases == tuple(f"i{place:05d}.png" for place in some)
    assert found.message.startswith(f"{len(some)} of 20 masks are foreground for the most part")
    assert "white_is_zero" not in found.cure


def test_masks_that_look_inverted_since_the_study_inverts_them_name_that_key():
    targets = [1 - target for target in squares(20)]
    dataset = replace(segmentation(20), decoding=Decoding(white_is_zero="apply"))
    found = said(audit(dataset, SmallPacked(images(20), targets, 2), Validation()), "inverted_masks")
    assert "data.decoding.white_is_zero: ignore" in found.cure


def test_large_objects_are_not_taken_for_a_background():
    targets = [np.zeros((64, 64), np.uint8) for _ in range(20)]
    y, x = np.mgrid[:64, :64]
    for target in targets:
        target[(y - 32) ** 2 + (x - 32) ** 2 <= 33**2] = 1  # a disc over the whole picture
    assert targets[0].mean() > 0.75
    found = audit(segmentation(20), SmallPacked(images(20), targets, 2), Validation())
    assert "inverted_masks" not in codes(found)


@pytest.mark.parametrize("other", [255, 65535])
def test_floats_on_two_scales(other):
    pictures = [image.astype(np.float32) / 255 for image in images(20)]
    packed = SmallPacked([image if k % 4 else image * other for k, image in enumerate(pictures)])
    for place in range(20):
        packed.measured(place, bit_depth=32)
    found = said(audit(dataset([k % 2 for k in range(20)]), packed, Validation()), "scales_differ")
    assert len(found.cases) == 15
    assert "and 5 others reach up to" in found.message


def test_foreground_that_is_nearly_nothing():
    targets = [np.zeros((64, 64), np.uint8) for _ in range(20)]
    for target in targets:
        target[4:6, 4:8] = 1
    found = audit(segmentation(20), SmallPacked(images(20), targets, 2), Validation())
    assert said(found, "tiny_foreground").message == (
        "Foreground is 0.20% of the pixels: a mask that is all background is 99.80% accurate."
    )


@pytest.mark.parametrize("pixels", [8, 23, 41, 81])
def test_a_class_of_masks_that_has_hardly_any_pixels(pixels):
    targets = [np.ones((64, 64), np.uint8) for _ in range(20)]
    for target in targets:
        target[:32] = 0
        target.ravel()[:pixels] = 2
    data = segmentation(20, classes=("ground", "cell", "mitochondrion"))
    finding = said(audit(data, SmallPacked(images(20), targets, 3), Validation()), "rare_mask_classes")
    assert f"mitochondrion ({pixels / 4096:.2%} of them, in 20 of 20 images)" in finding.message
    assert "cell (" not in finding.message


def test_a_class_of_masks_that_has_enough_pixels():
    targets = squares(20)
    for target in targets:
        target[40:50, 40:50] = 2
    data = segmentation(20, classes=("ground", "cell", "mitochondrion"))
    assert "rare_mask_classes" not in codes(audit(data, SmallPacked(images(20), targets, 3), Validation()))


def test_labels_that_nearly_all_or_nearly_no_images_have():
    labels = [(0, *((1,) if place % 2 else ()), *((2,) if place == 7 else ())) for place in range(40)]
    data = several(labels)
    finding = said(audit(data, SmallPacked(images(40)), Validation()), "near_constant_labels")
    assert "nearly all images have a (100.0%); nearly no image has c (2.5%)" in finding.message
    varied = several([(place % 3,) for place in range(40)])
    assert "near_constant_labels" not in codes(audit(varied, SmallPacked(images(40)), Validation()))


def several(labels):
    """A data set of the labels a, b and c."""
    plain = dataset([0] * len(labels), task="multilabel_classification")
    cases = tuple(replace(case, labels=own) for case, own in zip(plain.cases, labels, strict=True))
    return replace(plain, cases=cases, classes=("a", "b", "c"))


def test_masks_without_any_foreground_are_an_error():
    targets = [np.zeros((64, 64), np.uint8)] * 20
    found = audit(segmentation(20), SmallPacked(images(20), targets, 2), Validation())
    assert said(found, "impossible_folds").severity == "error"


# ---- properties of files


def with_property(channels, **of_class_one):
    data, packed = dataset([place % 2 for place in range(60)]), SmallPacked(images(60, channels))
    for place in range(1, 60, 2):
        packed.measured(place, **of_class_one)
    return audit(data, packed, Validation())


def test_a_mode_that_gives_the_class_away():
    finding = said(with_property(3, mode="L"), "mode_gives_class_away")
    assert finding.severity == "warning"
    assert finding.message == (
        "The colour mode of a file alone tells the classes apart with a balanced accuracy of 1.00 (chance 0.50, n = 60): "
        "gel: RGB 30; other: L 30."
    )
    assert "data.channels: gray" in finding.cure


def test_the_mode_is_a_note_once_all_are_gray():
    finding = said(with_property(1, mode="RGB"), "mode_gives_class_away")
    assert finding.severity == "note"
    assert "all are decoded to gray" in finding.cure


@pytest.mark.parametrize(
    ("code", "change"),
    [("format", {"format": "JPEG"}), ("bit_depth", {"bit_depth": 16}), ("size", {"original_width": 70})],
)
def test_other_properties_that_give_the_class_away(code, change):
    assert said(with_property(1, **change), f"{code}_gives_class_away").severity == "warning"


def test_a_property_by_chance_is_no_finding():
    data, packed = dataset([place % 2 for place in range(60)]), SmallPacked(images(60))
    rng = np.random.default_rng(0)
    for place in range(60):
        packed.measured(
            place, format="JPEG" if rng.random() < 0.5 else "PNG", mode="P" if place == 0 else "L"
        )
        packed.measured(
            place, original_width=int(rng.integers(60, 70)), original_height=int(rng.integers(60, 70))
        )
    assert not [code for code in codes(audit(data, packed, Validation())) if "away" in code]


def test_a_property_that_goes_with_one_of_several_labels():
    labels = [((0,) if place % 2 else ()) + ((1,) if place % 3 else ()) for place in range(60)]
    data, packed = dataset(labels, task="multilabel_classification"), SmallPacked(images(60))
    for place in range(1, 60, 2):
        packed.measured(place, format="TIFF")
    assert (
        "not gel: PNG 30; gel: TIFF 30"
        in said(audit(data, packed, Validation()), "format_gives_class_away").message
    )


# ---- real data

REAL = {
    "gel_binary": {"layout": "class_folders", "channels": "gray", "size": 128},
    "blood_cells_4class": {"layout": "class_folders", "size": 128},
    "odir_multilabel": {"layout": "table", "size": 128},
    "isbi2012_em_membrane": {},
    "chase_db1_vessels": {},
    "wbc_nucleus_cytoplasm": {"layout": "image_mask"},
}


def real(folder: Path, name: str):
    from foldwise.data.cache.packing import pack
    from foldwise.data.layouts.layouts import read_dataset

    spec = DataSpec(path=os.fspath(folder / name), **REAL[name])
    data = read_dataset(spec, base=folder)
    return data, pack(data, spec)


GEL_PAIRS = (
    "1-11 31-46 16-4 19-33 27-45 28-37 17-6 12-7 26-40 2-9 20-25 18-34 30-44 24-42 29-41 10-15 13-8 3-5 36-43"
)


def test_gels_all_known_pairs_and_no_other(shared_data):
    data, packed = real(shared_data, "gel_binary")
    found = {
        frozenset(int(re.search(r"(\d+)\.", data.cases[index].name)[1]) for index in pair)
        for pair in find_copies(packed).near
    }
    assert found == {frozenset(map(int, pair.split("-"))) for pair in GEL_PAIRS.split()}
    outcome = audit(data, packed, Validation())
    assert said(outcome, "mode_gives_class_away").severity == "note"
    assert "gel: RGBA 29, RGB 17; not_gel: L 46" in said(outcome, "mode_gives_class_away").message
    splits = make_splits(data, packed, groups=outcome.groups, validation=Validation(repeats=2), seed=3)
    assert len(splits) == 10


@pytest.mark.parametrize("name", ["odir_multilabel", "chase_db1_vessels", "isbi2012_em_membrane"])
def test_eyes_and_sections_look_alike_and_are_no_copies(shared_data, name):
    data, packed = real(shared_data, name)
    assert find_copies(packed) == Copies((), ())
    expected = "neighbours_alike" if name.startswith("isbi") else "columns_not_used"
    assert said(audit(data, packed, Validation()), expected).severity == "warning"


def test_blood_smears_only_true_copies_are_linked(shared_data):
    data, packed = real(shared_data, "blood_cells_4class")
    near = find_copies(packed).near
    assert 5 <= len(near) <= 15  # copies turned by free angles are out of reach
    assert all(data.cases[i].labels == data.cases[j].labels for i, j in near)


def test_white_cells_cut_out_twice(shared_data):
    data, packed = real(shared_data, "wbc_nucleus_cytoplasm")
    found = find_copies(packed)
    assert [tuple(data.cases[index].name for index in pair) for pair in found.exact] == [
        ("images/d1_112.png", "images/d1_139.png")
    ]
    names = {tuple(data.cases[index].name[7:13] for index in pair) for pair in found.near}
    assert {("d1_157", "d1_158"), ("d1_166", "d1_171"), ("d1_167", "d1_169")} <= names
    assert len(names) <= 5
