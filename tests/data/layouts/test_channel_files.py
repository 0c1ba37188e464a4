"""Channels in files of their own: joined in the stated order, and none lost or mixed up without a word."""

import numpy as np
import pytest
from PIL import Image

from foldwise.data.audit.audit import audit
from foldwise.data.cache.packing import pack
from foldwise.data.formats.reading import channel_files
from foldwise.data.layouts.channel_files import join_channels, suspected_channels
from foldwise.data.layouts.layouts import read_dataset
from foldwise.data.phantoms import proteins
from foldwise.data.phantoms.catalogue import PHANTOMS, make
from foldwise.errors import DataError
from foldwise.study.spec import DataSpec, PhantomData, Validation

LEVELS = {"red": 10, "green": 20, "blue": 30, "yellow": 40}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDWISE_CACHE", str(tmp_path / "cache"))


def write(path, value, size=(20, 24), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 5, size)
    Image.fromarray((noise + value).astype(dtype)).save(path)


def table_set(root, colours=LEVELS, ids=("a", "b", "c", "d"), pattern="train/{id}_{colour}.png"):
    for k, name in enumerate(ids):
        for colour in colours:
            write(root / pattern.format(id=name, colour=colour), LEVELS[colour] + 100 * (k % 2))
    targets = "\n".join(f"{name},{k % 3} {3}" for k, name in enumerate(ids))
    (root / "train.csv").write_text(f"Id,Target\n{targets}\n")
    return root


def read(root, **data):
    spec = DataSpec(path=str(root), **data)
    dataset = read_dataset(spec, base=root)
    return dataset, pack(dataset, spec)


@pytest.mark.parametrize("order", [("red", "green", "blue", "yellow"), ("yellow", "blue", "green", "red")])
@pytest.mark.parametrize("pattern", ["train/{id}_{colour}.png", "train/{colour}/{id}.png"])
def test_a_table_of_ids_reads_the_channels_in_the_stated_order(tmp_path, order, pattern):
    root = table_set(tmp_path / "set", pattern=pattern)
    dataset, packed = read(root, images="train", channels=order, task="multilabel_classification")
    assert [case.name for case in dataset.cases] == [f"train/{name}.png" for name in "abcd"]
    assert dataset.channels == order
    assert any(f"in this order: {', '.join(order)}" in said for said in dataset.statements)
    for k in range(4):
        levels = packed.image(k).reshape(4, -1).min(axis=1) - 100 * (k % 2)
        assert levels.tolist() == [LEVELS[colour] for colour in order]
    assert [case.labels for case in dataset.cases] == [(0, 3), (1, 3), (2, 3), (0, 3)]


def test_a_channel_that_is_not_asked_for_is_a_warning_and_not_silence(tmp_path):
    root = table_set(tmp_path / "set")
    dataset, packed = read(
        root, images="train", channels=("red", "blue", "yellow"), task="multilabel_classification"
    )
    assert packed.num_channels == 3
    assert dataset.channels_left_out == ("green",)
    assert "Files of other channels were left out: green (4)." in dataset.statements[1]
    found = {finding.code: finding for finding in audit(dataset, packed, Validation(folds=2)).findings}
    assert found["channels_left_out"].severity == "warning"
    assert found["channels_left_out"].message == (
        "There are files of channels that no network will see: green. Read are red, blue, yellow, in this order."
    )


def test_every_missing_channel_file_is_named(tmp_path):
    root = table_set(tmp_path / "set")
    (root / "train/b_yellow.png").unlink()
    (root / "train/d_red.png").unlink()
    with pytest.raises(DataError) as error:
        read(root, images="train", channels=tuple(LEVELS), task="multilabel_classification")
    assert "2 channel files are not there: train/b_yellow.png, train/d_red.png" in str(error.value)


def test_a_channel_file_of_another_size_or_depth_is_named(tmp_path):
    root = table_set(tmp_path / "set")
    write(root / "train/b_blue.png", 30, size=(20, 25))
    write(root / "train/c_green.png", 30, dtype=np.uint16)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8)).save(
        root / "train/d_red.png"
    )
    with pytest.raises(DataError) as error:
        read(root, images="train", channels=tuple(LEVELS), task="multilabel_classification")
    said = str(error.value)
    assert "train/b_blue.png is 25×20 of uint8, train/b_red.png is 24×20 of uint8" in said
    assert "train/c_green.png is 24×20 of uint16, train/c_red.png is 24×20 of uint8" in said
    assert "a channel file has one channel, train/d_red.png has 3" in said


def test_one_channel_of_several_can_be_asked_for(tmp_path):
    dataset, packed = read(
        table_set(tmp_path / "set"), images="train", channels=("green",), task="multilabel_classification"
    )
    assert packed.num_channels == 1
    assert packed.image(0).min() == LEVELS["green"]
    assert dataset.cases[0].image == "train/a_green.png"


def test_files_that_belong_to_no_channel_are_refused():
    with pytest.raises(DataError, match=r"1 file belongs to no channel: notes\.png"):
        join_channels(["a_red.png", "a_blue.png", "notes.png"], ["red", "blue"], where="set")
    with pytest.raises(DataError, match="no file belongs to a channel called rot or blau"):
        join_channels(["a_red.png"], ["rot", "blau"], where="set")


def test_unstated_channels_are_suspected_by_their_names(tmp_path):
    root = table_set(tmp_path / "set")
    with pytest.raises(DataError) as error:
        read(root, images="train", task="multilabel_classification")
    assert "State data.channels: [blue, green, red, yellow]" in str(error.value)
    for label in ("one", "two"):
        for name in "abcd":
            for colour in ("red", "green"):
                write(tmp_path / "folders" / label / f"{name}_{colour}.png", LEVELS[colour] + ord(name))
    dataset, packed = read(tmp_path / "folders", layout="class_folders")
    codes = [finding.code for finding in audit(dataset, packed, Validation(folds=2)).findings]
    assert "channels_in_names" in codes
    assert suspected_channels(["1_left.png", "1_right.png"]) == ()
    assert suspected_channels(["1_red.png", "1_green.png", "2_red.png"]) == ()


def test_class_folders_of_channel_files(tmp_path):
    for k, label in enumerate(("one", "two")):
        for name in "abc":
            for colour in ("red", "green"):
                write(tmp_path / "set" / label / f"{name}-{colour}.png", LEVELS[colour] + 100 * k)
    dataset, packed = read(tmp_path / "set", channels=("green", "red"))
    assert [case.name for case in dataset.cases] == [
        f"{label}/{name}.png" for label in ("one", "two") for name in "abc"
    ]
    assert packed.image(5).reshape(2, -1).min(axis=1).tolist() == [120, 110]


@pytest.mark.parametrize(
    "pattern", ["images/{id}_{colour}.png", "images/{colour}/{id}.png", "{colour}/{id}.png"]
)
def test_masks_of_channel_files(tmp_path, pattern):
    root = tmp_path / "set"
    for name in "abc":
        for colour in ("red", "green"):
            write(root / pattern.format(id=name, colour=colour), LEVELS[colour])
        mask = np.zeros((20, 24), np.uint8)
        mask[:5, : ord(name) - 90] = 255
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    dataset, packed = read(root, channels=("red", "green"))
    assert [case.mask for case in dataset.cases] == [f"masks/{name}.png" for name in "abc"]
    assert packed.image(0).reshape(2, -1).min(axis=1).tolist() == [10, 20]
    assert [int(packed.target(k).sum()) for k in range(3)] == [35, 40, 45]


def test_a_change_of_order_or_of_one_file_is_another_data_set(tmp_path):
    root = table_set(tmp_path / "set")
    told = {"images": "train", "task": "multilabel_classification"}
    first = read(root, channels=("red", "green"), **told)[1].digest
    assert read(root, channels=("red", "green"), **told)[1].digest == first
    assert read(root, channels=("green", "red"), **told)[1].digest != first
    write(root / "train/a_green.png", 77)
    assert read(root, channels=("red", "green"), **told)[1].digest != first


def test_the_protein_phantom_is_laid_out_as_the_protein_atlas(tmp_path):
    make("proteins", tmp_path / "set", images=7, size=40, difficulty=0.3, seed=0)
    files = sorted(path.name for path in (tmp_path / "set" / "train").iterdir())
    assert files[:4] == [f"proteins_000_{colour}.png" for colour in ("blue", "green", "red", "yellow")]
    lines = (tmp_path / "set" / "train.csv").read_text().splitlines()
    assert lines[0] == "Id,Target"
    assert lines[1] == "proteins_000," + " ".join(map(str, proteins.labels_of(0, 0, proteins.LOCATIONS)))

    spec = DataSpec(phantom=PhantomData(kind="proteins", images=7, size=40, difficulty=0.3))
    dataset = read_dataset(spec, base=tmp_path)
    assert dataset.channels == ("red", "green", "blue", "yellow")
    assert [case.labels for case in dataset.cases] == [
        proteins.labels_of(k, 0, proteins.LOCATIONS) for k in range(7)
    ]
    assert [case.group for case in dataset.cases] == ["well-000"] * 3 + ["well-001"] * 3 + ["well-002"]
    drawn = PHANTOMS["proteins"].draw(4, size=40, difficulty=0.3, seed=0).image
    order = [proteins.CHANNELS.index(stain) for stain in ("microtubules", "protein", "nucleus", "reticulum")]
    np.testing.assert_array_equal(pack(dataset, spec).image(4), drawn[order])


def test_places_are_spelled_with_their_channels():
    assert channel_files("a/b_{red,green}.png") == ["a/b_red.png", "a/b_green.png"]
    assert channel_files("a/{b}.png") == ["a/{b}.png"]
