"""`foldwise predict --probabilities`: what the model says of every pixel, in files that others read, of large images too."""

import csv
import json

import numpy as np
import pytest
import tifffile
import torch
from fits_to_try import fit, tiny
from PIL import Image

from foldwise.data.formats import windows
from foldwise.errors import DataError, SpecError
from foldwise.learning import large_images, probability_files
from foldwise.learning.checkpoints.saved import load_winner
from foldwise.learning.checkpoints.winner import make_winner
from foldwise.learning.on_arrays import Model
from foldwise.learning.predict import predict_images
from foldwise.learning.prediction_files import LeftOut, images_to_predict
from foldwise.learning.probability_files import PROBABILITIES
from foldwise.learning.runtimes import TorchRuntime

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def winner(tmp_path_factory):
    root, task = tmp_path_factory.mktemp("probabilities"), "multiclass_segmentation"
    fit(root / "done" / "fit-3", task, packed=tiny(task), epochs=2)
    return make_winner([root / "done" / "fit-3"], root / "winner")


@pytest.fixture
def images(tmp_path):
    pictures = {
        name: RNG.integers(0, 256, shape).astype(np.uint8)
        for name, shape in {"a": (40, 50), "b": (33, 41)}.items()
    }
    (tmp_path / "new").mkdir()
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / "new" / f"{name}.png")
    return pictures


def read(path):
    return np.load(path) if path.suffix == ".npy" else tifffile.imread(path)


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_they_are_those_of_the_model_at_the_size_of_the_file(winner, images, tmp_path, kind):
    out = predict_images(winner, tmp_path / "new", tmp_path / "out", device="cpu", probabilities=kind)
    loaded = load_winner(winner, CPU)
    model = Model(loaded, TorchRuntime(loaded, CPU), CPU)
    row = PROBABILITIES[kind]
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for line in rows:
        picture = images[line["image"][0]]
        stored, wanted = read(out / line["probabilities"]), model(picture).probabilities
        assert stored.shape == (len(model.classes), *picture.shape)
        assert stored.dtype == np.dtype(row.dtype)
        np.testing.assert_allclose(
            stored / row.scale, wanted, atol=1e-6 if row.scale == 1 else 0.5 / 65535 + 1e-6
        )
    stated = json.loads((out / "predictions.json").read_text())["probabilities"]
    assert stated == {"kind": kind, "one_is": row.scale, "classes": list(model.classes)}
    if row.suffix != ".npy":
        with tifffile.TiffFile(out / rows[0]["probabilities"]) as tiff:
            assert tiff.series[0].axes == "CYX"
            for name in model.classes:
                assert f'Name="{name}"' in tiff.ome_metadata


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_those_of_a_large_image_are_written_part_by_part_and_are_the_same(
    winner, tmp_path, monkeypatch, kind
):
    picture = RNG.integers(0, 256, (1300, 1100)).astype(np.uint8)
    (tmp_path / "new").mkdir()
    sized = {"resolution": (2e4, 4e4), "resolutionunit": "CENTIMETER"}  # 0.5 µm across, 0.25 µm down
    tifffile.imwrite(tmp_path / "new/a.tif", picture, tile=(256, 256), compression="zlib", **sized)
    whole = predict_images(winner, tmp_path / "new", tmp_path / "whole", device="cpu", probabilities=kind)
    monkeypatch.setattr(windows, "LARGE_PX", 2**12)
    monkeypatch.setattr(large_images, "MAX_SIDE_PX", 1024)  # four tiles
    parts = predict_images(winner, tmp_path / "new", tmp_path / "parts", device="cpu", probabilities=kind)
    assert tifffile.imread(parts / "masks/a.tif").shape == picture.shape
    name = f"probabilities/a{PROBABILITIES[kind].suffix}"
    first, second = read(whole / name), read(parts / name)
    assert first.shape == second.shape
    for out in (whole, parts) if name.endswith(".tif") else ():
        with tifffile.TiffFile(out / name) as tiff:
            assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
            assert 'PhysicalSizeY="0.25"' in tiff.ome_metadata
    scale = PROBABILITIES[kind].scale
    allowed = 1e-5 if scale == 1 else 1
    assert np.abs(first.astype(float) - second).max() <= allowed
    assert first.sum(0).min() > 0.999 * scale


def test_what_the_disk_has_no_room_for_is_left_out_before_it_is_written(winner, tmp_path, monkeypatch):
    (tmp_path / "new").mkdir()
    tifffile.imwrite(tmp_path / "new/a.tif", np.zeros((300, 300), np.uint8), tile=(256, 256))
    monkeypatch.setattr(windows, "LARGE_PX", 2**12)
    monkeypatch.setattr(probability_files, "disk_usage", lambda _: type("Free", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"GiB, and 0\.0 are free on the disk") as refused:
        predict_images(winner, tmp_path / "new", tmp_path / "out", device="cpu", probabilities="npy")
    assert not isinstance(refused.value, LeftOut)
    assert "as uint16" in refused.value.cure
    assert not list((tmp_path / "out/probabilities").iterdir())


def test_they_are_asked_for_again_where_they_are_gone_or_of_another_kind(winner, images, tmp_path):
    how = {"device": "cpu"}
    out = predict_images(winner, tmp_path / "new", tmp_path / "out", probabilities="uint16", **how)
    path = out / "probabilities/a.ome.tif"
    before, kept = path.read_bytes(), (out / "probabilities/b.ome.tif").stat().st_mtime_ns
    path.unlink()
    predict_images(winner, tmp_path / "new", out, probabilities="uint16", **how)
    assert len(path.read_bytes()) == len(before)
    assert (out / "probabilities/b.ome.tif").stat().st_mtime_ns == kept
    predict_images(winner, tmp_path / "new", out, probabilities="float32", **how)
    assert tifffile.imread(path).dtype == np.float32
    # They are no images to predict, where somebody asks about the folder above.
    names, _ = images_to_predict(tmp_path)
    assert sorted(names) == ["new/a.png", "new/b.png"]


def test_a_kind_that_is_none_and_a_model_without_masks_are_refused(winner, images, tmp_path):
    with pytest.raises(SpecError, match="no kind of probabilities is called 'unit16'"):
        predict_images(winner, tmp_path / "new", tmp_path / "out", probabilities="unit16")
    task = "multiclass_classification"
    fit(tmp_path / "done" / "fit-3", task, packed=tiny(task), epochs=1)
    classifier = make_winner([tmp_path / "done" / "fit-3"], tmp_path / "winner")
    with pytest.raises(SpecError, match="says one thing of an image") as refused:
        predict_images(classifier, tmp_path / "new", tmp_path / "out", probabilities="uint16")
    assert "predictions.csv" in refused.value.cure
