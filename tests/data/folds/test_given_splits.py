"""Splits that people already have: read as they are, checked, never mended; groups are left out one at a time."""

import re
import shutil

import given_splits as sets
import numpy as np
import pytest

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.folds.splits import cases_tested, check_splits, make_splits
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import FoldwiseError
from foldwise.study.spec import DataSpec, Validation

PARTS = ["train"] * 8 + ["val"] * 4 + ["test"] * 6


def read(root, *, group="auto", split="part", **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root.parent, group=group, split=split)


def divided(root, *, split="part", group="auto", seed=0, data=None, **validation):
    """The cases, the findings, and a function that makes the folds."""
    dataset = read(root, group=group, split=split, **(data or {}))
    packed = pack(dataset, DataSpec(path=str(root), **(data or {})))
    stated = Validation(split=split, group=group, **validation)
    audited = audit(dataset, packed, stated)

    def folds():
        return make_splits(dataset, packed, groups=audited.groups, validation=stated, seed=seed)

    return dataset, audited, folds


def names(dataset, cases):
    return {dataset.cases[case].name for case in cases}


def errors(audited):
    return [finding for finding in audited.findings if finding.severity == "error"]


def told(audited, code):
    return next(finding for finding in audited.findings if finding.code == code)


# ---- worked cases


def test_radiographs_with_train_val_and_test_folders(tmp_path):
    dataset, audited, folds = divided(sets.chests(tmp_path / "chest"), split="folders")
    (split,) = folds()
    assert dataset.classes == ("NORMAL", "PNEUMONIA")
    for part, role in (("train", split.train), ("val", split.validation), ("test", split.test)):
        assert {name.split("/")[0] for name in names(dataset, role)} == {part}
    assert [len(split.train), len(split.validation), len(split.test)] == [20, 8, 16]
    assert (
        dataset.statements[-1]
        == "The split is given by the folders of chest: train 20, validation 8, test 16."
    )
    assert not errors(audited)


def test_retinas_with_train_and_test_folders_get_an_inner_validation(tmp_path):
    data = {"images": "Original", "masks": "Ground truth"}
    dataset, audited, folds = divided(sets.retinas(tmp_path / "fives"), split="folders", data=data, repeats=2)
    first, second = folds()
    assert dataset.task == "binary_segmentation"
    assert (
        names(dataset, first.test)
        == names(dataset, second.test)
        == {f"test/Original/{k}_A.png" for k in range(1, 6)}
    )
    assert all(name.startswith("train/") for name in names(dataset, [*first.train, *first.validation]))
    assert 0 < len(first.validation) < len(first.train)
    assert not np.array_equal(first.validation, second.validation)  # cut anew in every repeat
    assert dataset.statements[-1].endswith(
        "train 9, test 5. No image is for validation: the share validate.inner of the training part is set aside to "
        "choose the epoch."
    )
    assert not errors(audited)


@pytest.mark.parametrize("maker", [sets.chests, sets.retinas])
def test_folders_of_parts_are_refused_until_the_study_says_what_becomes_of_them(tmp_path, maker):
    root = maker(tmp_path / "set")
    with pytest.raises(FoldwiseError) as caught:
        read(root, split="auto")
    assert "are the parts of a split" in str(caught.value)
    assert "validate.split: folders" in str(caught.value)
    assert "validate.split: pooled_folders" in str(caught.value)


def test_pooled_folders_are_divided_anew(tmp_path):
    dataset, audited, folds = divided(sets.chests(tmp_path / "chest"), split="pooled_folders", folds=4)
    splits = folds()
    assert len(splits) == 4
    assert len(cases_tested(splits)) == len(dataset.cases) == 44
    assert {case.part for case in dataset.cases} == {None}
    assert not errors(audited)


# ---- columns and files


@pytest.mark.parametrize(
    "write", [str, str.upper, lambda part: {"val": "validation", "test": "holdout"}.get(part, part)]
)
def test_a_column_says_the_part_in_the_usual_words(tmp_path, write):
    dataset, _, folds = divided(sets.listed(tmp_path / "a", [write(part) for part in PARTS]))
    (split,) = folds()
    assert names(dataset, split.test) == {f"images/{k}.png" for k in range(12, 18)}
    assert names(dataset, split.validation) == {f"images/{k}.png" for k in range(8, 12)}


@pytest.mark.parametrize("beside", ["data", "study"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_file_holds_fold_numbers_from_0_or_1(tmp_path, beside, first):
    numbers = [first + k // 2 % 3 for k in range(24)]
    root = sets.listed(tmp_path / "set", numbers, file="official.csv", column="fold")
    if beside == "study":
        shutil.move(root / "official.csv", tmp_path / "official.csv")
    dataset, audited, folds = divided(root, split="official.csv", repeats=2)
    splits = folds()
    assert [(split.repeat, split.fold) for split in splits] == [(r, k) for r in range(2) for k in range(3)]
    for split in splits:
        assert {numbers[int(name[7:-4])] - first for name in names(dataset, split.test)} == {split.fold}
        assert len(split.validation)
    assert not errors(audited)


WRONG = [
    (
        ["train"] * 8 + ["trian"] * 2 + ["test"] * 4,
        "2 cells are neither a part nor a fold: line 10 'trian', line 11 'trian'",
    ),
    (["train"] * 8 + [""] + ["test"] * 4, "1 image has no part: images/8.png"),
    (["train"] * 8 + ["test"] * 4 + [3], "some images have fold numbers and some have parts (line 14 '3')"),
    ([0, 0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3], "folds go from 0 to 3, and no image is in 2"),
    ([2, 2, 2, 2, 3, 3, 3, 3], "the first fold is 2"),
    ([1] * 8, "all images are in fold 1"),
    (["train"] * 8 + ["val"] * 4, "no image is for test (only train and validation)"),
    (["test"] * 8, "no image is for train (only test)"),
]


@pytest.mark.parametrize(("parts", "problem"), WRONG)
@pytest.mark.parametrize("file", [None, "official.csv"])
def test_what_is_wrong_with_a_column_is_said_with_its_place_and_its_cure(tmp_path, parts, problem, file):
    root = sets.listed(tmp_path / "set", parts, file=file)
    with pytest.raises(FoldwiseError) as caught:
        read(root, split=file or "part")
    message = str(caught.value)
    assert problem in message
    assert f"validate.split, column 'part' of {file or 'labels.csv'}: " in message
    assert re.search(r"\n  → \w.*\.", message)


def test_images_that_a_file_leaves_out_and_names_that_are_not_there_are_named(tmp_path):
    root = sets.listed(tmp_path / "set", ["train"] * 6 + ["test"] * 5 + [None], file="official.csv")
    with pytest.raises(FoldwiseError, match=r"1 image has no part: images/11\.png"):
        read(root, split="official.csv")
    (root / "images" / "3.png").unlink()
    sets.write(
        root / "labels.csv", [{"image": f"{k}.png", "label": "ab"[k % 2]} for k in range(12) if k != 3]
    )
    with pytest.raises(FoldwiseError, match=r"1 listed image is not there: line 5 '3\.png'"):
        read(root, split="official.csv")


def test_columns_and_files_that_are_not_there_are_refused(tmp_path):
    root = sets.listed(tmp_path / "set", PARTS)
    with pytest.raises(FoldwiseError) as caught:
        read(root, split="parts")
    assert str(caught.value) == (
        "validate.split: no column of labels.csv is called 'parts'\n"
        "  → Did you mean 'part'? Known: image, label, part. It may also be folders, pooled_folders, "
        "leave_one_group_out, or a CSV file of images and their parts."
    )
    with pytest.raises(FoldwiseError, match=r"validate\.split: there is no file official\.csv"):
        read(root, split="official.csv")
    sets.write(root / "two.csv", [{"image": "0.png", "x": "train", "y": "test"}])
    with pytest.raises(FoldwiseError, match=r"two\.csv: no one column says which part"):
        read(root, split="two.csv")


def test_an_image_in_no_folder_of_a_part_has_none(tmp_path):
    root = sets.listed(tmp_path / "set", ["train"] * 8)
    with pytest.raises(FoldwiseError, match=r"8 images have no part: images/0\.png"):
        read(root, split="folders")


# ---- guards


def test_a_group_on_both_sides_is_an_error_and_not_mended(tmp_path):
    groups = [f"p{k}" for k in range(17)] + ["p0"]
    root = sets.listed(tmp_path / "set", PARTS, groups=groups)
    _, audited, _ = divided(root, group="patient")
    finding = told(audited, "split_divides_groups")
    assert finding.severity == "error"
    assert finding.message == (
        "The split puts 1 group of images into more than one part: p0 (train images/0.png; test images/17.png)."
    )
    assert finding.cases == ("images/0.png", "images/17.png")


@pytest.mark.parametrize("parts", [PARTS, [k % 3 for k in range(18)]])
def test_a_copy_on_both_sides_is_an_error_unless_the_study_lives_with_it(tmp_path, parts):
    root = sets.listed(tmp_path / "set", parts)
    shutil.copy(root / "images" / "0.png", root / "images" / "16.png")
    _, audited, _ = divided(root)
    finding = told(audited, "split_divides_copies")
    assert finding.severity == "error"
    assert "images/0.png" in finding.message
    assert "images/16.png" in finding.message
    _, audited, folds = divided(root, near_duplicates="ignore")
    assert told(audited, "split_divides_copies").severity == "warning"
    assert not errors(audited)
    assert folds()  # as it is


def test_a_part_without_a_class_is_said(tmp_path):
    parts = ["test" if k in (1, 3, 5) else "train" for k in range(18)]
    _, audited, _ = divided(sets.listed(tmp_path / "set", parts))
    finding = told(audited, "split_lacks_class")
    assert finding.severity == "error"
    assert "the test part has no image of a" in finding.message
    parts = ["val" if k in (0, 2) else "test" if k > 11 else "train" for k in range(18)]
    _, audited, folds = divided(sets.listed(tmp_path / "other", parts))
    assert told(audited, "split_lacks_class").severity == "warning"
    assert folds()


def test_shares_that_differ_between_training_and_test_are_noted(tmp_path):
    parts = ["test" if (k % 2 and k > 20) or k == 0 else "train" for k in range(80)]
    _, audited, _ = divided(sets.listed(tmp_path / "set", parts))
    assert told(audited, "shifted_shares").severity == "warning"
    assert "97%" in told(audited, "shifted_shares").message


def test_another_number_of_folds_than_the_split_has_is_refused(tmp_path):
    root = sets.listed(tmp_path / "set", [k // 2 % 3 for k in range(24)])
    _, audited, _ = divided(root, folds=5)
    assert [finding.message for finding in errors(audited)] == [
        "validate.folds is 5, and the split that is given has 3 folds."
    ]
    assert not errors(divided(root, folds=3)[1])


# ---- leave one group out


def test_every_group_is_tested_alone_once(tmp_path):
    groups = [f"p{k // 4}" for k in range(24)]
    root = sets.listed(tmp_path / "set", PARTS[:1] * 24, groups=groups)
    dataset, audited, folds = divided(root, split="leave_one_group_out", group="patient")
    splits = folds()
    assert len(splits) == 6
    assert not errors(audited)
    for split in splits:
        (alone,) = {dataset.cases[case].group for case in split.test}
        assert alone not in {dataset.cases[case].group for case in [*split.train, *split.validation]}
    check_splits(splits, audited.groups, {})


def test_groups_of_one_class_each_can_be_left_out(tmp_path):
    groups = [f"p{k % 2}{k // 6}" for k in range(24)]  # of every group all images have one label
    root = sets.listed(tmp_path / "set", PARTS[:1] * 24, groups=groups)
    _, audited, folds = divided(root, split="leave_one_group_out", group="patient")
    assert not errors(audited)
    assert len(folds()) == 8


@pytest.mark.parametrize(
    ("group", "problem"),
    [("auto", "nothing says which images are one group"), ("patient", "there are 2 groups")],
)
def test_groups_are_needed_to_leave_one_out(tmp_path, group, problem):
    root = sets.listed(tmp_path / "set", PARTS[:1] * 12, groups=[f"p{k // 6}" for k in range(12)])
    _, audited, _ = divided(root, split="leave_one_group_out", group=group)
    (finding,) = errors(audited)
    assert problem in finding.message


# ---- the same split always


def test_a_given_split_does_not_depend_on_the_seed(tmp_path):
    root = sets.listed(tmp_path / "set", PARTS)
    (first,), (second,) = divided(root, seed=0)[2](), divided(root, seed=7)[2]()
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part), getattr(second, part))
