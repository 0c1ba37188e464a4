"""Public data sets by name: fetched whole, refused in words that help, laid out without losing what they state."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from small_originals import original, protein_atlas, rows

from foldwise.data.formats.reading import read_pixels
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.public import catalogue, volumes
from foldwise.data.public.catalogue import Web
from foldwise.data.public.getting import RECORD, get, verify
from foldwise.errors import DataError, RunError, SpecError
from foldwise.study.spec import DataSpec


def stated(source):
    """The data part and the group that the study lines of a source state."""
    lines = YAML(typ="safe").load(source.study) or {}
    return lines.get("data", {}), lines.get("validate", {}).get("group", "auto")


# Every row


@pytest.mark.parametrize("source", catalogue.SOURCES.values(), ids=lambda source: source.name)
def test_every_source_is_laid_out_so_that_foldwise_reads_it(source, tmp_path):
    root = original(source.name, tmp_path)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    folder = get(source.name, tmp_path / "out" / source.name, local=root)

    data, group = stated(source)
    dataset = read_dataset(DataSpec(path=str(folder), **data), base=tmp_path, group=group)
    assert dataset.task == source.task
    assert len(dataset.cases) == len(rows(folder))
    if group == "group":
        assert all(case.group for case in dataset.cases)
    assert verify(source.name, folder).whole
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == [source.name], "no scratch is left"


@pytest.mark.parametrize("source", catalogue.SOURCES.values(), ids=lambda source: source.name)
def test_every_source_says_what_is_missing_of_a_copy(source, tmp_path):
    (tmp_path / "original").mkdir()
    with pytest.raises(DataError, match="not found; there is nothing") as caught:
        get(source.name, tmp_path / "out", local=tmp_path / "original")
    assert "--local" in str(caught.value)
    assert not (tmp_path / "out").exists()


# Facts kept


def test_fives_keeps_the_official_split_and_the_disease_in_names_and_table(tmp_path):
    folder = get("fives", tmp_path / "fives", local=original("fives", tmp_path))
    found = {row["image"]: (row["split"], row["disease"]) for row in rows(folder)}
    assert found == {
        "images/train_1_A.png": ("train", "A"),
        "images/train_2_D.png": ("train", "D"),
        "images/train_3_G.png": ("train", "G"),
        "images/train_10_N.png": ("train", "N"),
        "images/test_1_A.png": ("test", "A"),
        "images/test_2_N.png": ("test", "N"),
    }
    top = next((tmp_path / "original").iterdir())
    for part in ("train", "test"):  # the two images called 1_A are not mixed up, nor are their masks
        for kind, was in (("images", "Original"), ("masks", "Ground truth")):
            copied = (folder / kind / f"{part}_1_A.png").read_bytes()
            assert copied == (top / part / was / "1_A.png").read_bytes()


def test_fives_names_an_image_without_its_mask(tmp_path):
    root = original("fives", tmp_path)
    next(root.rglob("train/Ground truth/2_D.png")).unlink()
    with pytest.raises(DataError, match=r"have no partner: 2_D"):
        get("fives", tmp_path / "fives", local=root)


def test_neurons_of_one_animal_are_one_group_however_it_is_written(tmp_path):
    folder = get("neurons", tmp_path / "neurons", local=original("neurons", tmp_path))
    assert {Path(row["image"]).stem: row["group"] for row in rows(folder)} == {
        "Mar31bS2C1R2_VLPAGr_200x_y": "mar31b",
        "MAR38S1C3R1_LHR_20_o": "mar38",
        "Mar38S2C1R1_DMl_200x_o": "mar38",
        "39": "39",
    }


def test_gels_of_the_test_set_are_told_apart_and_none_is_lost(tmp_path):
    folder = get("gels", tmp_path / "gels", local=original("gels", tmp_path))
    found = {row["image"]: row["split"] for row in rows(folder)}
    assert len(found) == 8
    assert found["gel/gel_1.jpg"] == "train"
    assert found["gel/test_gel_1.jpg"] == "test"
    assert found["not_gel/test_not_gel_11.jpg"] == "test"


def test_isbi_groups_are_neighbours_and_the_copied_test_masks_stay_out(tmp_path):
    folder = get("isbi2012", tmp_path / "isbi", local=original("isbi2012", tmp_path))
    table = rows(folder)
    assert len(table) == 30
    assert [row["group"] for row in table if row["split"] == "train"][5:7] == ["train-0", "train-1"]
    assert {row["group"] for row in table} == {*(f"train-{k}" for k in range(5)), "val-0"}
    assert table[10]["image"] == "images/train_10.png", "sections are in their natural order"


def test_optic_disc_is_cut_to_the_left_frame_and_masks_become_0_and_255(tmp_path):
    folder = get("optic_disc", tmp_path / "disc", local=original("optic_disc", tmp_path))
    with Image.open(folder / "images" / "train_b_1.png") as image:
        assert image.size == (1072, 20)
    drawn = np.asarray(Image.open(folder / "masks" / "train_a_1.png"))
    was = np.asarray(Image.open(tmp_path / "original" / "data" / "clean_masks" / "a_1.png"))
    np.testing.assert_array_equal(drawn, np.where(was > 20, 255, 0))
    assert [row["split"] for row in rows(folder)] == ["train", "train", "test"]


@pytest.mark.parametrize(("name", "counts"), [("mtneuro", (807, 87, 150)), ("mtneuro_zi", (1076, 116, 200))])
def test_mtneuro_slices_keep_their_region_and_place(name, counts, tmp_path):
    folder = get(name, tmp_path / name, local=original(name, tmp_path))
    table, images = rows(folder), np.load(folder / "images.npy")
    split = [row["split"] for row in table]
    assert tuple(split.count(part) for part in ("train", "val", "test")) == counts
    region_of = {10: "cortex", 20: "striatum", 30: "VP", 40: "ZI"}
    assert [row["region"] for row in table] == [region_of[value] for value in images[:, 0, 0].tolist()]
    labels = np.load(folder / "masks.npy")
    assert labels.dtype == np.uint8
    for part, (first, last) in volumes.SPLITS.items():
        where = [i for i, row in enumerate(table) if (row["split"], row["region"]) == (part, "striatum")]
        assert [int(table[i]["z"]) for i in where] == list(range(first, last))
        was = np.load(tmp_path / "original" / f"task2_2D_4class{part}labels.npy")
        np.testing.assert_array_equal(labels[where], was[last - first : 2 * (last - first)])


def test_mtneuro_of_another_length_is_refused(tmp_path):
    root = original("mtneuro", tmp_path)
    np.save(root / "task2_2D_4classvalimages.npy", np.zeros((7, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"val stacks have shapes 7×8×8 and 116×8×8; 116 slices"):
        get("mtneuro", tmp_path / "out", local=root)


def test_protein_atlas_joins_four_channels_in_a_stated_order(tmp_path):
    folder = get("protein_atlas", tmp_path / "atlas", local=original("protein_atlas", tmp_path))
    assert [row["Target"] for row in rows(folder, "train.csv")] == ["16 0", "7 1 2 0", "5", "27"]
    assert rows(folder)[0]["names"] == "Cytokinetic bridge|Nucleoplasm"
    data, _ = stated(catalogue.SOURCES["protein_atlas"])
    dataset = read_dataset(DataSpec(path=str(folder), **data), base=tmp_path)
    assert dataset.channels == ("red", "green", "blue", "yellow")
    image_CHW = read_pixels(folder, dataset.cases[1].image).values
    assert image_CHW.shape == (4, 16, 16)
    assert image_CHW[:, 0, 0].tolist() == [1, 51, 101, 151]  # red, green, blue, yellow
    assert [case.labels for case in dataset.cases] == [(0, 16), (0, 1, 2, 7), (5,), (27,)]


def test_protein_atlas_names_a_missing_channel(tmp_path):
    root = original("protein_atlas", tmp_path)
    next(root.glob("train/*_yellow.png")).unlink()
    with pytest.raises(DataError, match=r"1 of 16 channel files are not there: .*_yellow\.png"):
        get("protein_atlas", tmp_path / "out", local=root)


@pytest.mark.parametrize("target", ["28", "", "-1", "0 x"])
def test_protein_atlas_refuses_labels_it_does_not_know(target, tmp_path):
    protein_atlas(tmp_path / "original", ("0", target))
    with pytest.raises(DataError, match=r"train\.csv, line 3.*numbers from 0 to 27"):
        get("protein_atlas", tmp_path / "out", local=tmp_path / "original")


def test_protein_atlas_ids_cannot_lead_elsewhere(tmp_path):
    protein_atlas(tmp_path / "original", ("0",))
    table = tmp_path / "original" / "train.csv"
    table.write_text(table.read_text() + "../outside,1\n")
    with pytest.raises(DataError, match=r"train\.csv, line 3"):
        get("protein_atlas", tmp_path / "out", local=tmp_path / "original")


# What is there already


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(SpecError, match="is not empty"):
        get("gels", tmp_path / "out", local=tmp_path)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_verify_tells_what_changed_what_is_missing_and_what_was_added(tmp_path):
    folder = get("gels", tmp_path / "gels", local=original("gels", tmp_path))
    first = verify("gels", folder)
    assert first.whole
    (folder / "gel" / "gel_1.jpg").write_bytes(b"changed")
    (folder / "gel" / "gel_2.jpg").unlink()
    (folder / "gel" / "mine.jpg").write_bytes(b"added")
    found = verify("gels", folder)
    assert not found.whole
    assert (found.changed, found.missing, found.added) == (
        ("gel/gel_1.jpg",),
        ("gel/gel_2.jpg",),
        ("gel/mine.jpg",),
    )
    assert found.digest == first.digest
    first.require_whole()
    with pytest.raises(
        DataError, match=r"1 changed: gel/gel_1\.jpg; 1 missing: gel/gel_2\.jpg; 1 added: gel/mine"
    ):
        found.require_whole()
    with pytest.raises(SpecError, match="the folder holds gels, not fives"):
        verify("fives", folder)
    (folder / RECORD).unlink()
    with pytest.raises(RunError, match=r"there is no source\.json"):
        verify("gels", folder)


def test_an_unknown_source_is_told_the_nearest(tmp_path):
    with pytest.raises(SpecError, match=r"no data source is called 'five'\n.*Did you mean 'fives'"):
        get("five", tmp_path / "five")


def test_no_checksum_is_invented():
    for source in catalogue.SOURCES.values():
        if isinstance(source.origin, Web):
            assert source.origin.sha256 is None, "then `verify` may say that it is published"
