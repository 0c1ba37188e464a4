"""Folders of classes in which there are folders, or which lie in folders: of patients, of a split, or of nothing."""

import numpy as np
import pytest
from sets_read import read, refused
from small_sets import blob, picture, save

from foldwise.errors import SpecError


def groups_of(dataset):
    return {case.name: case.group for case in dataset.cases}


@pytest.fixture
def patients(tmp_path):
    """Two classes, four patients, one of whom is in both."""
    for place, folder in enumerate(["cat/p1", "cat/p2", "cat/p10", "dog/p2", "dog/p4"]):
        for k in range(2):
            save(tmp_path / folder / f"{place}_{k}.png")
    return tmp_path


def test_folders_of_patients_within_classes_are_asked_about(patients):
    error = refused(patients)
    assert error.what == "cat/, dog/ hold images in further folders (p1, p2, p10, p4)"
    assert error.cure.startswith(
        "State validate.group: folders if each is a patient, an animal or the like, whose images belong together;"
        " or validate.group: none if they mean nothing. If the classes lie deeper, "
    )
    assert error.choices == ("validate.group=folders", "validate.group=none")


def test_folders_as_groups(patients):
    save(patients / "dog" / "alone.png")
    save(patients / "cat" / "p1" / "slide" / "deep.png")
    dataset = read(patients, group="folders")
    assert dataset.classes == ("cat", "dog")
    assert groups_of(dataset) == {
        **{f"cat/p1/0_{k}.png": "p1" for k in range(2)},
        "cat/p1/slide/deep.png": "p1",
        **{f"cat/p2/1_{k}.png": "p2" for k in range(2)},
        **{f"cat/p10/2_{k}.png": "p10" for k in range(2)},
        **{f"dog/p2/3_{k}.png": "p2" for k in range(2)},
        **{f"dog/p4/4_{k}.png": "p4" for k in range(2)},
        "dog/alone.png": "dog/alone.png",
    }
    assert [dataset.classes[case.labels[0]] == case.name[:3] for case in dataset.cases] == [True] * 12
    said = " ".join(dataset.statements)
    assert "5 groups of 12 images come from the folders p1, p2, p10, p4." in said
    assert "1 image lies in none of them and is a group of its own: dog/alone.png." in said


@pytest.mark.parametrize("group", ["none", "near-duplicates", r"pattern:^(\d)_"])
def test_folders_that_mean_nothing(patients, group):
    dataset = read(patients, group=group)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.cases) == 10
    assert not {"p1", "p2"} & set(groups_of(dataset).values())


def test_folders_of_one_name_in_every_class_are_no_groups(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / name / "pictures" / "raw" / f"{name}.png")
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert set(groups_of(dataset).values()) == {None}
    assert "All images lie in folders called pictures/raw/, which tell no groups." in dataset.statements


def test_one_folder_for_some_images_is_asked_about(tmp_path):
    for path in ("cat/old/a.png", "cat/b.png", "dog/c.png"):
        save(tmp_path / path)
    error = refused(tmp_path)
    assert error.choices == ("validate.group=none",)
    assert error.cure.startswith("State validate.group: none if they mean nothing. ")


def test_a_folder_of_its_own_for_each_class_is_no_group_at_first(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / name / f"{name}_pictures" / "a.png")
    error = refused(tmp_path)
    assert error.choices == ("validate.group=none", "validate.group=folders")
    assert "(A class of one patient cannot be both learned and tested.)" in error.cure


@pytest.fixture
def slides(tmp_path):
    """Two classes, in each a folder that all have, two sites, and two patients of the same names at each."""
    for name in ("cat", "dog"):
        for site in ("s1", "s2"):
            for patient in ("p1", "p2"):
                save(tmp_path / name / "stained" / site / patient / f"{name}{site}{patient}.png")
    return tmp_path


def test_folders_of_several_depths_are_asked_about(slides):
    error = refused(slides)
    assert error.what == "cat/, dog/ hold images in further folders (stained)"
    assert error.choices == ("validate.group=folders:2", "validate.group=folders:3", "validate.group=none")
    assert error.cure.startswith(
        "State validate.group: folders:2 if each of those within (s1, s2) is a patient, an animal or the like, whose images"
        " belong together; or validate.group: folders:3 if each of those within (p1, p2) is; or validate.group: none if"
    )


@pytest.mark.parametrize(("group", "at"), [("folders:2", 2), ("folders:3", 3)])
def test_folders_of_some_depth_as_groups(slides, group, at):
    dataset = read(slides, group=group)
    assert groups_of(dataset) == {case.name: case.name.split("/")[at] for case in dataset.cases}


def test_folders_within_groups_are_spoken_of(slides):
    assert (
        "Folders called p1, p2 lie in several groups and may go to different folds; if each name is of one patient or the"
        " like, state validate.group: folders:3." in read(slides, group="folders:2").statements
    )
    save(slides / "cat" / "stained" / "s1" / "p1" / "left" / "a.png")
    assert (
        "Folders within those of groups are parts of these: left."
        in read(slides, group="folders:3").statements
    )


def test_names_of_folders_that_differ_in_spelling_are_one_group(tmp_path):
    for folder in ("cat/Patient 1", "cat/P2", "dog/patient1", "dog/P3"):
        save(tmp_path / folder / f"{folder[:3]}{folder[-1]}.png")
    dataset = read(tmp_path, group="folders")
    assert list(groups_of(dataset).values()).count("Patient 1") == 2
    assert (
        "Folders that differ in spelling only are one group: 'Patient 1' and 'patient1'."
        in dataset.statements
    )


@pytest.mark.parametrize("folders", ["{patient}/{part}", "{part}/{patient}"])
@pytest.mark.parametrize("group", ["auto", "none", "folders"])
def test_parts_of_a_split_at_any_depth_are_asked_about_whatever_the_groups(tmp_path, folders, group):
    for name in ("cat", "dog"):
        for part in ("train", "test"):
            place = folders.format(part=part, patient=f"{part}1")
            save(tmp_path / name / place / f"{name}.png")
    error = refused(tmp_path, group=group)
    assert error.choices == ("validate.split=folders", "validate.split=pooled_folders")
    dataset = read(tmp_path, split="folders", group="folders")
    assert {(case.part, case.group) for case in dataset.cases} == {("train", "train1"), ("test", "test1")}


@pytest.mark.parametrize("group", ["auto", "none", "folders"])
def test_masks_in_folders_within_those_of_patients_are_no_images(tmp_path, group):
    for name in ("cat", "dog"):
        for patient in ("p1", "p2"):
            for kind in ("images", "masks"):
                save(tmp_path / name / patient / kind / f"{kind}{name}.png")
    assert refused(tmp_path, group=group).what == "cat/, dog/ hold images in further folders (images, masks)"


def test_masks_among_the_images_of_patients_are_no_images(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    for folder in ("cat/p1", "cat/p2", "dog/p3", "dog/p4"):
        for k in range(2):
            save(tmp_path / folder / f"{k}.png", np.arange(64, dtype=np.uint8).reshape(8, 8) + k)
            save(tmp_path / folder / f"{k}_mask.png", mask)
    assert refused(tmp_path, group="folders").choices == ("data.layout=masks_beside",)


def test_classes_within_folders_of_patients(tmp_path):
    for patient in ("8863", "8864", "8865"):
        for name in ("0", "1"):
            save(tmp_path / patient / name / f"{patient}_{name}.png")
    error = refused(tmp_path)
    assert error.cure.startswith(
        'State data.classes: ["0", "1"] if these are the classes; or validate.group: folders if'
    )
    assert error.choices == ('data.classes=["0", "1"]', "validate.group=folders", "validate.group=none")
    error = refused(tmp_path, classes=["0", "1"])
    assert error.what == "8863/, 8864/, 8865/ hold images in further folders (0, 1)"
    assert error.choices == ("validate.group=folders", "validate.group=none")
    save(tmp_path / "8863" / "overview.png")
    dataset = read(tmp_path, classes=["0", "1"], group="folders")
    assert dataset.classes == ("0", "1")
    assert {name: (group, name.split("/")[1]) for name, group in groups_of(dataset).items()} == {
        f"{p}/{c}/{p}_{c}.png": (p, c) for p in ("8863", "8864", "8865") for c in ("0", "1")
    }
    assert [dataset.classes[case.labels[0]] for case in dataset.cases] == [
        case.name.split("/")[1] for case in dataset.cases
    ]
    assert any(
        "1 image beside the class folders was ignored: 8863/overview.png" in line
        for line in dataset.statements
    )


def test_parts_of_a_split_within_classes(tmp_path):
    for name in ("cat", "dog"):
        for part in ("train", "test"):
            for patient in ("p1", "p2"):
                save(tmp_path / name / part / f"{part}{patient}" / f"{name}.png")
    assert refused(tmp_path).choices == ("validate.split=folders", "validate.split=pooled_folders")
    assert refused(tmp_path, split="folders").choices == ("validate.group=folders", "validate.group=none")
    dataset = read(tmp_path, split="folders", group="folders")
    assert {case.name: (case.part, case.group) for case in dataset.cases} == {
        f"{name}/{part}/{part}{patient}/{name}.png": (part, f"{part}{patient}")
        for name in ("cat", "dog")
        for part in ("train", "test")
        for patient in ("p1", "p2")
    }


def test_patients_within_classes_within_parts(tmp_path):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            save(tmp_path / part / name / f"{part}1" / f"{name}.png")
    dataset = read(tmp_path, split="folders", group="folders")
    assert dataset.classes == ("cat", "dog")
    assert {case.group for case in dataset.cases} == {"train1", "test1"}


def test_masks_among_the_images_of_a_patient_are_no_images(patients):
    for path in list(patients.rglob("*.png")):
        save(path, picture(int(path.stem[0]) + 1))
        save(path.with_name(f"{path.stem}_mask.png"), blob())
    for group in ("folders", "none"):
        error = refused(patients, group=group)
        assert "2 files in cat/p1/ are called as others are, with '_mask' at the end" in error.what
        assert error.choices == ("data.layout=masks_beside",)
    assert len(read(patients, group="folders", layout="masks_beside").cases) == 10


def test_folders_of_channels_are_no_groups(tmp_path):
    for patient in ("p1", "p2"):
        for name in ("cat", "dog"):
            for channel in ("red", "green"):
                save(tmp_path / name / patient / channel / f"{patient}{name}.png")
    dataset = read(tmp_path, group="folders", channels=["red", "green"])
    assert {case.name: case.group for case in dataset.cases} == {
        f"{name}/{patient}/{patient}{name}.png": patient
        for name in ("cat", "dog")
        for patient in ("p1", "p2")
    }


def test_folders_as_groups_of_a_table(tmp_path):
    names = [f"images/p{k % 3}/{k}.png" for k in range(6)]
    for name in names:
        save(tmp_path / name)
    (tmp_path / "labels.csv").write_text(
        "image,label\n" + "".join(f"{n},{'ab'[k % 2]}\n" for k, n in enumerate(names))
    )
    assert groups_of(read(tmp_path, group="folders")) == {name: name.split("/")[1] for name in names}


def test_folders_as_groups_where_there_are_none(tmp_path):
    for name in ("cat", "dog"):
        save(tmp_path / name / f"{name}.png")
    with pytest.raises(SpecError, match="no image lies in a folder within that of its class") as caught:
        read(tmp_path, group="folders")
    assert caught.value.where == "validate.group"


def test_folders_and_a_column_are_not_both_the_groups(patients):
    with pytest.raises(SpecError, match="State only one of them"):
        read(patients, group="folders", group_column="patient")
