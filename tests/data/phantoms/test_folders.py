"""Phantoms on disk: ordinary folders, the same from the same seed, that the layouts read as they are."""

import csv
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foldwise.data.phantoms import proteins
from foldwise.data.phantoms.catalogue import PHANTOMS, make
from foldwise.errors import DataError, SpecError


def files_of(folder: Path):
    """The digest of every file; of a stack that of every slice."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".npy":
            stack = np.load(path)
            found |= {
                f"{path.stem}/{i}": sha256(plane.tobytes()).hexdigest() for i, plane in enumerate(stack)
            }
        elif path.is_file():
            found[name] = sha256(path.read_bytes()).hexdigest()
    return found


def rows_of(path: Path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mode_of(path: Path):
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize("kind", PHANTOMS)
def test_same_seed_same_files_whatever_the_number_of_images(kind, tmp_path):
    for name, images, seed in (("one", 5, 0), ("two", 5, 0), ("more", 9, 0), ("other", 5, 1)):
        make(kind, tmp_path / name, images=images, size=48, difficulty=0.4, seed=seed)
    one, two, more, other = (files_of(tmp_path / name) for name in ("one", "two", "more", "other"))
    pictures = {name: digest for name, digest in one.items() if not name.endswith(".csv")}
    assert one == two
    assert pictures.items() <= more.items()
    assert all(
        other.get(name) != digest for name, digest in pictures.items() if not name.startswith("masks/")
    )


def test_mask_folder_on_disk(tmp_path):
    make("cells", tmp_path / "cells", images=4, size=48, difficulty=0.2, seed=0)
    make("bacteria", tmp_path / "bacteria", images=4, size=48, difficulty=0.2, seed=0)
    for kind, values in (("cells", {0, 1, 2}), ("bacteria", {0, 255})):
        folder = tmp_path / kind
        rows = rows_of(folder / "metadata.csv")
        assert [row["image"] for row in rows] == sorted(path.name for path in (folder / "images").iterdir())
        assert [row["group"] for row in rows] == ["dish-000"] * 3 + ["dish-001"]
        for row in rows:
            assert set(np.unique(np.asarray(Image.open(folder / "masks" / row["image"])))) == values


def test_class_folders_on_disk(tmp_path):
    make("gels", tmp_path / "gels", images=6, size=48, difficulty=0.2, seed=0)
    rows = rows_of(tmp_path / "gels" / "metadata.csv")
    assert [row["image"] for row in rows[:3]] == [
        "gel/gels_000.png",
        "other/gels_001.png",
        "gel/gels_002.png",
    ]
    assert {mode_of(tmp_path / "gels" / row["image"]) for row in rows} == {"L"}


def test_table_on_disk(tmp_path):
    make("proteins", tmp_path / "proteins", images=6, size=48, difficulty=0.2, seed=0)
    rows = rows_of(tmp_path / "proteins" / "train.csv")
    assert list(rows[0]) == ["Id", "Target"]
    for colour in proteins.COLOURS:
        path = tmp_path / "proteins" / "train" / f"{rows[0]['Id']}_{colour}.png"
        assert np.asarray(Image.open(path)).shape == (48, 48)
    said = [tuple(int(k) for k in row["Target"].split()) for row in rows]
    assert said == [proteins.labels_of(index, 0, proteins.LOCATIONS) for index in range(6)]


@pytest.mark.parametrize("kind", PHANTOMS)
def test_read_as_an_ordinary_folder(kind, tmp_path):
    layouts = pytest.importorskip("foldwise.data.layouts.layouts")
    spec = pytest.importorskip("foldwise.study.spec")
    make(kind, tmp_path / kind, images=8, size=48, difficulty=0.2, seed=0)
    told = dict(PHANTOMS[kind].reading)
    if told:  # numbers in place of names, and not all of them occur
        told |= {"classes": PHANTOMS[kind].classes, "task": PHANTOMS[kind].task}
    dataset = layouts.read_dataset(spec.DataSpec(path=kind, **told), base=tmp_path, group="group")
    expected = [PHANTOMS[kind].draw(index, size=48, difficulty=0.2, seed=0) for index in range(8)]
    assert dataset.task == PHANTOMS[kind].task
    assert len(dataset.classes) == len(PHANTOMS[kind].classes)
    by_number = sorted(dataset.cases, key=lambda case: case.name.split("_")[-1])
    assert [case.group for case in by_number] == [picture.group for picture in expected]
    assert [case.labels for case in by_number] == [picture.labels for picture in expected]


def test_existing_empty_folder_is_used_and_a_full_one_refused(tmp_path):
    (tmp_path / "set").mkdir()
    make("nuclei", tmp_path / "set", images=1, size=32, difficulty=0, seed=0)
    with pytest.raises(DataError, match="is not empty"):
        make("nuclei", tmp_path / "set", images=1, size=32, difficulty=0, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "bacterium"}, r"no phantom is called 'bacterium'\n  → Did you mean 'bacteria'\?"),
        ({"images": 0}, "a phantom needs at least 1 image, got 0"),
        ({"size": 8}, "a phantom image of 8 pixels is too small"),
        ({"difficulty": 1.5}, "the difficulty 1.5 is out of range"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message, tmp_path):
    asked = {"kind": "nuclei", "images": 1, "size": 32, "difficulty": 0.0, **change}
    with pytest.raises(SpecError, match=message):
        make(asked.pop("kind"), tmp_path / "set", seed=0, **asked)
    assert not (tmp_path / "set").exists()


def test_options_of_a_phantom_are_checked_and_change_the_pictures(tmp_path):
    told = {"images": 3, "size": 32, "difficulty": 0.2, "seed": 0}
    with pytest.raises(SpecError, match="no option of the phantom letters is called 'blur'"):
        make("letters", tmp_path / "letters", options={"blur": 2}, **told)
    with pytest.raises(SpecError, match="the phantom gels has no options"):
        make("gels", tmp_path / "gels", options={"blur_px": 2}, **told)
    with pytest.raises(SpecError, match="noise must be at least 0, got -1"):
        make("letters", tmp_path / "letters", options={"noise": -1}, **told)
    make("letters", tmp_path / "sharp", options={"blur_px": 0, "noise": 0}, **told)
    make("letters", tmp_path / "dim", options={"blur_px": 2, "noise": 0}, **told)
    sharp, dim = files_of(tmp_path / "sharp"), files_of(tmp_path / "dim")
    assert all((sharp[name] == dim[name]) == ("images/" not in name) for name in sharp)
