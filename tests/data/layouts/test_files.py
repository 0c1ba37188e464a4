"""Nothing that was meant as an image disappears: every kind of name, link and folder is read, refused or counted."""

import itertools
import random
import shutil
import unicodedata

import numpy as np
import pytest
from small_sets import blob, labelled, pairs, picture, save, two_classes

from foldwise.data.layouts.files import hidden_images, image_files_below, subfolders
from foldwise.data.layouts.layouts import read_dataset
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec
from foldwise.text import natural

NFC, NFD = (unicodedata.normalize(form, "Präparat") for form in ("NFC", "NFD"))


def read(root, group="auto", **data):
    return read_dataset(DataSpec(path=str(root), **data), base=root.parent, group=group)


def refused(root, **data):
    with pytest.raises(DataError) as caught:
        read(root, **data)
    return str(caught.value)


def test_names_of_all_kinds_can_be_sorted():
    names = ["cell", "cell2", "cell10", "", "2", "10", "a.png", "a.png2.png", "٣", "01", "1", "9" * 5000, "Ä"]
    in_order = sorted(names, key=natural)
    assert in_order == sorted(random.Random(0).sample(names, len(names)), key=natural)
    assert in_order[0] == ""
    for first, second in (("cell", "cell2"), ("cell2", "cell10"), ("2", "10"), ("a.png", "a.png2.png")):
        assert in_order.index(first) < in_order.index(second)
    letters = ["a", "1", "20", ".", "ä", ""]
    sorted(("".join(parts) for parts in itertools.product(letters, repeat=3)), key=natural)


def test_classes_of_which_one_has_a_number_are_two_classes(tmp_path):
    for name in ("cell", "cell2", "cell10"):
        save(tmp_path / name / "a.png")
    assert read(tmp_path).classes == ("cell", "cell2", "cell10")


@pytest.mark.parametrize("link", ["gel/new.png", "gel/new", "third", "gel/new.tif", "gel/new.nii.gz"])
def test_links_that_lead_nowhere_are_refused_by_name(tmp_path, link):
    two_classes(tmp_path)
    (tmp_path / link).symlink_to(tmp_path / "annex" / "gone")
    said = refused(tmp_path)
    assert f"1 link leads nowhere: {link}" in said
    assert "git annex get" in said


def test_a_link_of_a_text_that_is_gone_does_no_harm(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "notes.txt").symlink_to(tmp_path / "gone")
    assert len(read(tmp_path).cases) == 6


def test_links_to_images_and_to_folders_are_followed_and_circles_are_not(tmp_path):
    two_classes(tmp_path / "set")
    save(tmp_path / "store" / "x.png")
    (tmp_path / "set" / "third").symlink_to(tmp_path / "store")
    (tmp_path / "set" / "third" / "round").symlink_to(tmp_path / "set")
    assert "third/x.png" in image_files_below(tmp_path / "set")
    assert len(image_files_below(tmp_path / "set")) == 7


@pytest.mark.parametrize(
    "pointer", [b"version https://git-lfs.github.com/spec/v1\noid", b"/annex/objects/MD5E"]
)
def test_a_pointer_to_an_image_that_was_not_fetched_says_so(tmp_path, pointer):
    pairs(tmp_path)
    (tmp_path / "masks" / "cell_0.png").write_bytes(pointer + b" abc")
    assert "pointer to an image that was not fetched" in refused(tmp_path)


@pytest.mark.parametrize("name", ["new.jfif", "new.jpe", "new", "new.dat", "new.png~", "new.2024-01-01"])
def test_images_are_read_whatever_their_suffix(tmp_path, name):
    two_classes(tmp_path)
    save(tmp_path / "gel" / "a.png")
    (tmp_path / "gel" / "a.png").rename(tmp_path / "gel" / name)
    assert f"gel/{name}" in [case.name for case in read(tmp_path).cases]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.mha", b""),
        ("a.avif", b""),
        ("a.NEF", b"II*\0"),
        ("a", b"8BPS"),
        ("a.bin", b"\0\0\0\x0cjP  "),
        ("scan", b"NRRD0004"),
        ("a.0", b"\0\0\0\x18ftypheic"),
        ("a.dat", b"\x89HDF\r\n\x1a\n"),
        ("rest.zip", b"PK"),
        ("rest.TAR.GZ", b"\x1f\x8b"),
    ],
)
@pytest.mark.parametrize("layout", ["class_folders", "image_mask", "table"])
def test_images_of_other_kinds_are_an_error_that_names_them(tmp_path, name, head, layout):
    folder = "gel" if layout == "class_folders" else "images"
    if layout == "class_folders":
        two_classes(tmp_path)
    elif layout == "image_mask":
        pairs(tmp_path)
    else:
        labelled(tmp_path, "image,label\ni0.png,a\ni1.png,b\ni2.png,a\n")
    (tmp_path / folder / name).write_bytes(head + b"\0" * 64)
    assert f"1 file is of kinds that cannot be read: {folder}/{name}" in refused(tmp_path)
    # Beside the set they are counted and named.
    shutil.move(tmp_path / folder / name, tmp_path / name)
    assert any(name in line and "passed over" in line for line in read(tmp_path).statements)


def test_a_class_that_holds_other_kinds_only_is_not_taken_for_an_empty_folder(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "a.oib").write_bytes(b"x")
    np.savez(tmp_path / "third" / "b.npz", picture())
    assert "third/a.oib, third/b.npz" in refused(tmp_path)


@pytest.mark.parametrize("suffix", [".oib", ".npz", ".heic"])
def test_a_folder_that_holds_other_kinds_only_names_them(tmp_path, suffix):
    for name in ("gel/a", "gel/b", "other/a", "other/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}{suffix}").write_bytes(b"x")
    assert f"4 files are of kinds that cannot be read: gel/a{suffix}, " in refused(tmp_path)


def test_names_that_begin_with_a_line_are_read_and_hidden_ones_are_counted(tmp_path):
    two_classes(tmp_path)
    for name in ("__new/_a.png", "__new/__b.png", "gel/_c.png", "gel/.d.png", ".old/e.png", "__MACOSX/f.png"):
        save(tmp_path / name)
    (tmp_path / "gel" / "._gel_0.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "gel" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    dataset = read(tmp_path)
    assert dataset.classes == ("__new", "gel", "other")
    assert len(dataset.cases) == 9
    assert hidden_images(tmp_path) == [".old/e.png", "gel/.d.png"]
    assert any("2 images were passed over" in line and "gel/.d.png" in line for line in dataset.statements)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    two_classes(tmp_path)
    listed = type(tmp_path).iterdir

    def denied(path):
        if path.name == "gel":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", denied)
    assert "the folder cannot be read (Permission denied)" in refused(tmp_path)


def test_a_class_may_be_called_like_a_file(tmp_path):
    for name in ("v1.0", "cells.tif"):
        save(tmp_path / name / f"{name}_1.png")
    assert subfolders(tmp_path) == ["cells.tif", "v1.0"]
    assert read(tmp_path).classes == ("cells.tif", "v1.0")


@pytest.mark.parametrize(("on_disk", "written"), [(NFC, NFD), (NFD, NFC)])
def test_names_match_whatever_their_form_of_unicode(tmp_path, on_disk, written):
    rows = "image,label,Tier_ä\n".replace("ä", unicodedata.normalize("NFD", "ä"))
    for k in range(3):
        save(tmp_path / "images" / f"{on_disk}_{k}.png")
        rows += f"{written}_{k}.png,{(on_disk, written, 'b')[k]},m{k}\n"
    (tmp_path / f"{on_disk}.csv").write_text(rows)
    dataset = read(tmp_path, table=f"{written}.csv", group="Tier_ä")
    assert dataset.classes == ("b", NFC)
    assert [case.labels for case in dataset.cases] == [(1,), (1,), (0,)]
    assert [case.group for case in dataset.cases] == ["m0", "m1", "m2"]


def test_images_masks_folders_and_classes_match_whatever_their_form(tmp_path):
    for k in range(2):
        save(tmp_path / "pairs" / NFD / f"{NFD}_{k}.png")
        save(tmp_path / "pairs" / "masks" / f"{NFC}_{k}.png", blob())
        save(tmp_path / "classes" / NFD / f"{k}.png")
        save(tmp_path / "classes" / "other" / f"{k}.png")
    assert len(read(tmp_path / "pairs", images=NFC).cases) == 2
    assert [case.labels for case in read(tmp_path / "classes", classes=("other", NFC)).cases] == [
        (0,),
        (0,),
        (1,),
        (1,),
    ]


@pytest.mark.parametrize("cell", ["", "O", "2", "yes"])
def test_one_bad_cell_does_not_take_a_label_from_the_set(tmp_path, cell):
    rows = ["image,rust,scab,mildew"] + [f"i{k}.png,{k % 2},{k % 3 // 2},{k // 5}" for k in range(6)]
    rows[4] = f"i3.png,{cell},0,0"
    labelled(tmp_path, "\n".join(rows), num_images=6)
    said = refused(tmp_path)
    assert f"labels.csv, line 5, column rust: {cell!r} is neither 0 nor 1" in said
    assert "data.label_columns" in said


def test_a_table_labels_images_in_folders_of_any_depth(tmp_path):
    names = [f"p{k % 3}/{k % 2}/{k}.png" for k in range(12)]
    for name in names:
        save(tmp_path / name)
    assert "add labels.csv with the columns image" in refused(tmp_path)
    rows = "".join(f"{name},{'ab'[k % 2]},p{k % 3}\n" for k, name in enumerate(names))
    (tmp_path / "labels.csv").write_text(f"image,label,patient\n{rows}")
    dataset = read(tmp_path, group="patient")
    assert dataset.layout == "table"
    assert sorted(case.name for case in dataset.cases) == sorted(names)
    assert len({case.group for case in dataset.cases}) == 3


def test_another_table_beside_deep_folders_is_no_table_of_labels(tmp_path):
    for k in range(4):
        save(tmp_path / f"{k}" / f"more{k % 2}" / "a.png")
    (tmp_path / "boxes.csv").write_text("what,where\nx,1\n")
    assert "0/, 1/, 2/, 3/ hold images in further folders (more0, more1)" in refused(tmp_path)


@pytest.mark.parametrize("name", ["labels.xlsx", "train.XLS", "labels.ods", "labels.tsv"])
@pytest.mark.parametrize("folder", ["images", "."])
def test_tables_of_other_kinds_are_named_with_what_to_do(tmp_path, name, folder):
    for k in range(4):
        save(tmp_path / folder / f"{k}.png")
    (tmp_path / name).write_text("image\tlabel\n" + "".join(f"{k}.png\t{'ab'[k % 2]}\n" for k in range(4)))
    error = refused(tmp_path)
    assert f"{name} may be the table of labels" in error
    assert ("state data.table" in error) == name.endswith("tsv")
    if name.endswith("tsv"):
        assert read(tmp_path, table=name).classes == ("a", "b")


def test_tables_of_the_parts_of_a_split_are_to_be_one(tmp_path):
    for k in range(4):
        save(tmp_path / "images" / f"{k}.png")
    for name in ("train.csv", "Test.csv"):
        (tmp_path / name).write_text("image,label\n0.png,a\n")
    assert "with a column split, and validate.split: split" in refused(tmp_path)


def test_folders_below_images_and_masks_have_a_cure_that_loses_no_file(tmp_path):
    for k, part in enumerate(("train", "train", "val")):
        save(tmp_path / "parts" / "images" / part / f"{k % 2}.png")
        save(tmp_path / "parts" / "masks" / part / f"{k % 2}.png")
    assert "State validate.split: pooled_folders" in refused(tmp_path / "parts")
    stated = refused(tmp_path / "parts", images="images", masks="masks")
    assert "Make it train/masks/ and so on, for images and masks" in stated
    for k in range(2):
        save(tmp_path / "classes" / "images" / f"{k}.png")
        for name in ("disc", "cup"):
            save(tmp_path / "classes" / "masks" / name / f"{k}.png")
    assert "Draw the masks of one image (cup, disc) into one file" in refused(tmp_path / "classes")
    for k in range(2):
        save(tmp_path / "other" / "images" / f"p{k}" / "1.png")
        save(tmp_path / "other" / "masks" / f"{k}.png")
    assert "each under a name of its own" in refused(tmp_path / "other")
