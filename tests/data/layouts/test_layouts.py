"""Folders are recognised and said back; each of the corpus of faulty ones is refused in words that help."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from malformed_data import FAULTS, IMAGES
from small_sets import blob, labelled, pairs, picture, save, stacks, two_classes

from foldwise.data.cache.packing import pack
from foldwise.data.layouts import groups
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError, FoldwiseError, SpecError
from foldwise.study.spec import DataSpec


def read(root, group="auto", **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root.parent, group=group)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_refused_in_clear_words(name, tmp_path):
    fault = FAULTS[name]
    root = tmp_path / "set"
    root.mkdir()
    fault.make(root)
    spec = DataSpec(**{"path": None if "phantom" in fault.data else str(root), **fault.data})
    with pytest.raises(FoldwiseError) as caught:
        pack(read_dataset(spec, base=tmp_path, group=fault.group), spec)
    assert type(caught.value) is fault.error, str(caught.value)
    for words in fault.words:
        assert words in str(caught.value)


def test_class_folders(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "gel" / "notes.txt").write_text("x")
    (tmp_path / "gel" / ".hidden.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    dataset = read(tmp_path)
    assert (dataset.task, dataset.classes, dataset.layout) == (
        "binary_classification",
        ("gel", "other"),
        "class_folders",
    )
    assert [case.name for case in dataset.cases][:2] == ["gel/gel_0.png", "gel/gel_1.png"]
    assert [case.labels for case in dataset.cases] == [(0,)] * 3 + [(1,)] * 3
    assert [case.index for case in dataset.cases] == list(range(6))
    assert dataset.mask_values is None
    said = " ".join(dataset.statements)
    assert "gel 3, other 3" in said
    assert "Folders without images were ignored: empty" in said
    assert "gel/notes.txt" in said


def test_images_are_in_natural_order_and_classes_as_stated(tmp_path):
    two_classes(tmp_path, num_each=11)
    dataset = read(tmp_path, classes=("other", "gel"))
    assert [case.name for case in dataset.cases][9:13] == [
        "other/other_9.png",
        "other/other_10.png",
        "gel/gel_0.png",
        "gel/gel_1.png",
    ]


def test_quotes_and_spaces_in_names_of_class_folders(tmp_path):
    for name in ("gel", "gel ", "'other'", "third  kind"):
        for place in range(2):
            save(tmp_path / name / f"{len(name)}_{place}.png")
    dataset = read(tmp_path)
    assert dataset.classes == ("gel", "other", "third kind")
    assert [case.labels for case in dataset.cases] == [(0,)] * 4 + [(1,)] * 2 + [(2,)] * 2
    assert (
        "nor of its folder's: \"'other'\" is 'other', 'gel ' is 'gel', 'third  kind'"
        in dataset.statements[-1]
    )
    assert read(tmp_path, classes=("other", "gel")).classes == ("other", "gel")


def test_classes_that_are_not_stated_are_left_out_and_said(tmp_path):
    two_classes(tmp_path)
    save(tmp_path / "third" / "a.png")
    assert read(tmp_path).task == "multiclass_classification"
    dataset = read(tmp_path, classes=("gel", "third"))
    assert dataset.classes == ("gel", "third")
    assert "Folders left out because data.classes does not name them: other." in dataset.statements


def test_a_table_that_agrees_with_class_folders_is_said_and_may_bring_groups(tmp_path):
    two_classes(tmp_path, num_each=2)
    rows = "".join(f"{c}/{c}_{i}.png,{c},p{i}\n" for c in ("gel", "other") for i in range(2))
    (tmp_path / "labels.csv").write_text("image,label,patient_id\n" + rows)
    dataset = read(tmp_path)
    assert "labels.csv says the same" in dataset.statements[0]
    assert dataset.cases[0].group is None
    assert [(column.name, column.kind) for column in dataset.columns] == [("patient_id", "bearer")]
    for grouped in (read(tmp_path, group="patient_id"), read(tmp_path, group_column="patient_id")):
        assert [case.group for case in grouped.cases] == ["p0", "p1", "p0", "p1"]
    assert read(tmp_path, layout="table").layout == "table"


@pytest.mark.parametrize(
    ("images", "masks"), [("images", "masks"), ("image", "label"), ("Images", "Mask"), ("imgs", "labels")]
)
def test_image_and_mask_folders_by_usual_names(tmp_path, images, masks):
    for place in range(2):
        save(tmp_path / images / f"c{place}.jpg", picture(place, 3))
        save(tmp_path / masks / f"c{place}.png", blob())
    save(tmp_path / "masks_observer2" / "c0.png", blob())
    save(tmp_path / "fov" / "c0.png", blob())
    dataset = read(tmp_path)
    assert (dataset.task, dataset.layout, dataset.mask_values) == (
        "binary_segmentation",
        "image_mask",
        {0: 0, 255: 1},
    )
    assert dataset.cases[1].mask == f"{masks}/c1.png"
    assert "Folders that were not used: fov, masks_observer2." in dataset.statements


def test_stated_folders_and_a_stated_task_settle_what_is_ambiguous(tmp_path):
    pairs(tmp_path)
    labelled_names = "".join(f"cell_{i}.png,{'ab'[i % 2]}\n" for i in range(3))
    (tmp_path / "labels.csv").write_text("image,label\n" + labelled_names)
    assert read(tmp_path, task="binary_segmentation").layout == "image_mask"
    assert read(tmp_path, masks="masks").layout == "image_mask"
    assert read(tmp_path, task="binary_classification").layout == "table"
    assert read(tmp_path, table="labels.csv").cases[1].labels == (1,)


def test_one_label_column_whatever_else_the_table_holds(tmp_path):
    labelled(tmp_path, "image,label,patient_id,width\ni0.png,cat,1,16\ni1,dog,1,16\nimages/i2.png,cat,2,16\n")
    dataset = read(tmp_path, group="patient_id")
    assert (dataset.task, dataset.classes, dataset.layout) == (
        "binary_classification",
        ("cat", "dog"),
        "table",
    )
    assert [(c.name, c.labels, c.group) for c in dataset.cases] == [
        ("images/i0.png", (0,), "1"),
        ("images/i1.png", (1,), "1"),
        ("images/i2.png", (0,), "2"),
    ]
    assert "Columns of labels.csv that are not used: width." in dataset.statements


def test_a_column_that_is_stated_as_groups_holds_no_labels_whatever_it_is_called(tmp_path):
    labelled(tmp_path, "image,kind,hospital\ni0.png,cat,a\ni1.png,dog,a\ni2.png,cat,b\n")
    with pytest.raises(DataError, match="which columns are the labels is not clear among kind, hospital"):
        read(tmp_path)
    dataset = read(tmp_path, group="hospital")
    assert (dataset.classes, [case.group for case in dataset.cases]) == (("cat", "dog"), ["a", "a", "b"])
    assert not [said for said in dataset.statements if "not used" in said]


def test_several_columns_of_0_and_1(tmp_path):
    labelled(
        tmp_path,
        "image,patient_id,eye,a,b,c,eye_keywords\ni0.png,0,left,0,0,0,x\ni1.png,1,left,1,0,1,x\ni2.png,1,right,0,1,0,x\n",
    )
    dataset = read(tmp_path)
    assert (dataset.task, dataset.classes) == ("multilabel_classification", ("a", "b", "c"))
    assert [case.labels for case in dataset.cases] == [(), (0, 2), (1,)]


@pytest.mark.parametrize(
    ("cells", "separator"),
    [(("b|a", "c", "a|c"), "'|'"), (("b; a", "c", "a;c"), "';'"), (("1 0", "2", "0 2"), "space")],
)
def test_one_column_of_separated_labels(tmp_path, cells, separator):
    labelled(tmp_path, "image,label\n" + "".join(f"i{i}.png,{cell}\n" for i, cell in enumerate(cells)))
    dataset = read(tmp_path)
    assert dataset.task == "multilabel_classification"
    assert [case.labels for case in dataset.cases] == [(0, 1), (2,), (0, 2)]
    assert any(f"separated by {separator}" in said for said in dataset.statements)


def test_names_of_several_words_and_several_names_are_told_apart_by_the_task(tmp_path):
    labelled(tmp_path, "image,label\ni0.png,red cell\ni1.png,cell\ni2.png,red\n")
    assert read(tmp_path, task="multiclass_classification").classes == ("cell", "red", "red cell")
    several = read(tmp_path, task="multilabel_classification")
    assert (several.classes, several.cases[0].labels) == (("cell", "red"), (0, 1))


def test_numbers_are_places_in_the_stated_classes(tmp_path):
    labelled(tmp_path, "image,label\ni0.png,1\ni1.png,0\ni2.png,1\n")
    dataset = read(tmp_path, classes=("cat", "dog", "fox"))
    assert [case.labels for case in dataset.cases] == [(1,), (0,), (1,)]
    assert dataset.classes == ("cat", "dog", "fox")
    assert any("0 is 'cat'" in said for said in dataset.statements)


def test_semicolon_tables_and_images_in_the_root(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / name)
    (tmp_path / "truth.csv").write_bytes("\ufefffile;label\r\na.png;x\r\nb.png;y\r\n".encode())
    dataset = read(tmp_path)
    assert (dataset.layout, dataset.classes, dataset.cases[0].name) == ("table", ("x", "y"), "a.png")


def test_groups_by_metadata_and_by_pattern(tmp_path):
    pairs(tmp_path)
    (tmp_path / "metadata.csv").write_text("image,dish\ncell_0.png,A\ncell_1.png,A\ncell_2.png,B\n")
    assert [case.group for case in read(tmp_path, group="dish").cases] == ["A", "A", "B"]
    assert [case.group for case in read(tmp_path, group=r"pattern:_(\d)").cases] == ["0", "1", "2"]
    assert all(case.group is None for case in read(tmp_path, group="none").cases)


def test_arrays_with_masks(tmp_path):
    stacks(tmp_path, images=np.stack([IMAGES] * 3, 1), masks=np.stack([blob(0, 1)] * 4))
    dataset = read(tmp_path)
    assert (dataset.task, dataset.layout) == ("binary_segmentation", "arrays")
    assert (dataset.cases[3].image, dataset.cases[3].mask) == ("images.npy[3]", "masks.npy[3]")


@pytest.mark.parametrize(
    ("labels", "task", "expected"),
    [
        (np.array([0, 1, 1, 0]), "binary_classification", [(0,), (1,), (1,), (0,)]),
        (np.array(["x", "z", "y", "x"]), "multiclass_classification", [(0,), (2,), (1,), (0,)]),
        (np.array([[0, 0], [1, 1], [1, 0], [0, 1]]), "multilabel_classification", [(), (0, 1), (0,), (1,)]),
    ],
)
def test_arrays_with_labels(tmp_path, labels, task, expected):
    stacks(tmp_path, images=IMAGES, labels=labels)
    dataset = read(tmp_path)
    assert dataset.task == task
    assert [case.labels for case in dataset.cases] == expected


def test_a_phantom_is_read_as_the_folder_it_is_with_its_true_groups(tmp_path):
    spec = DataSpec(phantom={"kind": "gels", "images": 8, "size": 32})
    dataset = read_dataset(spec, base=tmp_path)
    assert (dataset.layout, dataset.task, dataset.classes) == (
        "phantom",
        "binary_classification",
        ("gel", "other"),
    )
    assert all(case.group for case in dataset.cases)
    assert replace(read_dataset(spec, base=Path("/")), statements=()) == replace(dataset, statements=())


@pytest.mark.parametrize(
    ("name", "data", "task", "num_images", "num_groups"),
    [
        ("gel_binary", {"group_column": "near_duplicate_group"}, "binary_classification", 92, 82),
        ("blood_cells_4class", {}, "multiclass_classification", 1200, 1),
        ("wbc_nucleus_cytoplasm", {"task": "multiclass_segmentation"}, "multiclass_segmentation", 400, 1),
        (
            "wbc_nucleus_cytoplasm",
            {"task": "multiclass_classification", "label_columns": ("wbc_type",)},
            "multiclass_classification",
            400,
            1,
        ),
        ("isbi2012_em_membrane", {}, "binary_segmentation", 30, 1),
        ("chase_db1_vessels", {"group_column": "child_id"}, "binary_segmentation", 28, 14),
        ("odir_multilabel", {"group_column": "patient_id"}, "multilabel_classification", 247, 130),
        ("hpa_multilabel_mini", {"label_columns": ("target_indices",)}, "multilabel_classification", 50, 1),
    ],
)
def test_real_sets(shared_data, name, data, task, num_images, num_groups):
    dataset = read(shared_data / name, **data)
    assert (dataset.task, len(dataset.cases)) == (task, num_images)
    assert len({case.group for case in dataset.cases}) == num_groups


@pytest.mark.parametrize(
    ("name", "words"),
    [("wbc_nucleus_cytoplasm", "State data.task"), ("hpa_multilabel_mini", "State data.label_columns")],
)
def test_real_sets_that_are_ambiguous(shared_data, name, words):
    with pytest.raises(FoldwiseError, match=words):
        read(shared_data / name)


def test_images_in_the_root_beside_their_masks(tmp_path):
    for place in range(2):
        save(tmp_path / f"c{place}.png")
        save(tmp_path / "truth" / f"c{place}.png", blob())
    dataset = read(tmp_path, images=".", masks="truth")
    assert [(case.image, case.mask) for case in dataset.cases] == [
        ("c0.png", "truth/c0.png"),
        ("c1.png", "truth/c1.png"),
    ]


def test_a_pattern_that_tries_without_end_is_refused_with_the_name_it_does_so_on(tmp_path, monkeypatch):
    pairs(tmp_path)
    monkeypatch.setattr(groups, "PATTERN_S", 2.0)
    for folder in ("images", "masks"):
        (tmp_path / folder / "cell_2.png").rename(tmp_path / folder / f"{'a' * 60}.png")
    with pytest.raises(SpecError) as refused:
        read(tmp_path, group=r"pattern:^(?:cell_\d|(a+)+!)")
    assert f"took longer than 2 s on the file name '{'a' * 60}.png'" in refused.value.what
    assert refused.value.where == "validate.group"
    assert "a repetition within a repetition" in refused.value.cure
