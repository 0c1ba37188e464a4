"""The plugin of napari, as far as it needs no Qt: what it predicts, which images it shows, and what it writes down."""

import csv
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ruamel.yaml import YAML
from small_sets import pairs, two_classes

import foldwise
from foldwise.data.layouts.layouts import read_dataset
from foldwise.study.spec import DataSpec

PLUGIN = Path(__file__).parents[1] / "napari-foldwise"
PROJECT = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MANIFEST = PLUGIN / "src/napari_foldwise/napari.yaml"


@pytest.fixture(autouse=True)
def _in_reach(monkeypatch):
    monkeypatch.syspath_prepend(str(PLUGIN / "src"))


def write(path, rows):
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def judged(tmp_path, make, scores):
    """A folder of images, and what the plugin reads of a run on it: scores by image, configuration and class."""
    data, run = tmp_path / "data", tmp_path / "runs/cells"
    run.mkdir(parents=True)
    make(data)
    dataset = read_dataset(DataSpec(path=str(data)), base=tmp_path)
    (run / "study.json").write_text(json.dumps({"data": {"path": str(data)}}))
    cases = [
        {
            "name": case.name,
            "image": case.image,
            "mask": case.mask or "",
            "labels": "|".join(map(str, case.labels)),
        }
        for case in dataset.cases
    ]
    write(run / "cases.csv", cases)
    write(
        run / "scores.csv",
        [
            {"configuration": configuration, "repeat": 0, "image": image, "class": number, **cells}
            for (image, configuration), classes in scores.items()
            for number, cells in enumerate(classes)
        ],
    )
    return data, run


def dice(value):
    return [{"dice": 0.99}, {"dice": value}]


MASKS = {
    ("images/cell_0.png", "a"): dice(0.9), ("images/cell_0.png", "b"): dice(0.8),
    ("images/cell_1.png", "a"): dice(0.3), ("images/cell_1.png", "b"): dice(0.2),
    ("images/cell_2.png", "a"): dice(0.95), ("images/cell_2.png", "b"): dice(0.1),
}  # fmt: skip


def test_the_worst_come_first_or_the_most_disputed(tmp_path):
    from napari_foldwise.reviewing import Candidate, candidates

    _, run = judged(tmp_path, pairs, MASKS)
    names = [row.image for row in candidates(run)]
    assert names == [f"images/cell_{k}.png" for k in (1, 2, 0)]
    assert candidates(run)[0] == Candidate("images/cell_1.png", pytest.approx(0.25), pytest.approx(0.1))
    assert candidates(run, disputed=True)[0].image == "images/cell_2.png"
    assert len(candidates(run, limit=2)) == 2
    with pytest.raises(ValueError, match="choose the folder of a run that has ended"):
        candidates(tmp_path)


def test_of_classes_the_probability_of_what_the_label_says_counts(tmp_path):
    from napari_foldwise.reviewing import candidates

    def row(true, p):
        return {"true": true, "predicted": int(p > 0.5), "probability": p}

    scores = {
        ("gel/gel_0.png", "a"): [row(1, 0.2), row(0, 0.8)],
        ("gel/gel_1.png", "a"): [row(1, 0.7), row(0, 0.3)],
    }
    several = {
        ("gel/gel_2.png", "a"): [row(1, 0.9), row(1, 0.8)],
        ("other/other_0.png", "a"): [row(0, 0.4), row(0, 0.2)],
    }
    _, run = judged(tmp_path, two_classes, scores | several)
    by_name = {row.image: row.score for row in candidates(run)}
    assert by_name == {
        "gel/gel_0.png": pytest.approx(0.2),
        "gel/gel_1.png": pytest.approx(0.7),
        "gel/gel_2.png": pytest.approx(0.85),
        "other/other_0.png": pytest.approx(0.7),
    }


def test_decisions_are_written_at_once_and_check_reads_them(tmp_path):
    from napari_foldwise.reviewing import Review

    data, run = judged(tmp_path, pairs, MASKS)
    review = Review(run)
    assert review.next_undecided() == 0
    review.decide("images/cell_1.png", "flag", " =of the next slice ")
    assert review.next_undecided(0) == 1
    review.decide("images/cell_2.png", "accept")
    again = Review(run)
    assert again.decisions == {
        "images/cell_1.png": ("flag", "=of the next slice"),
        "images/cell_2.png": ("accept", ""),
    }
    assert again.next_undecided() == 2
    dataset = read_dataset(DataSpec(path=str(data)), base=tmp_path)
    assert dataset.flagged == {"images/cell_1.png": "=of the next slice"}
    assert "review.csv: 1 label accepted, 1 flagged." in dataset.statements
    again.decide("images/cell_1.png", "")
    assert read_dataset(DataSpec(path=str(data)), base=tmp_path).flagged == {}
    with pytest.raises(ValueError, match="is no decision"):
        again.decide("images/cell_1.png", "perhaps")


def test_images_and_masks_are_shown_as_the_files_hold_them(tmp_path):
    from napari_foldwise.reviewing import Review

    _, run = judged(tmp_path, pairs, MASKS)
    picture = Review(run).picture("images/cell_1.png")
    assert (picture.pixels.shape, picture.rgb) == ((16, 16), False)
    assert np.unique(picture.mask).tolist() == [0, 1]
    assert picture.mask.sum() == 25


def test_a_run_on_built_in_images_is_refused(tmp_path):
    from napari_foldwise.reviewing import Review

    _, run = judged(tmp_path, pairs, MASKS)
    (run / "study.json").write_text(json.dumps({"data": {"path": None}}))
    with pytest.raises(ValueError, match="built into foldwise"):
        Review(run)


class Masks:
    """A model that calls bright pixels nuclei."""

    classes, task = ("background", "nucleus"), "binary_segmentation"

    def __call__(self, images):
        return [
            SimpleNamespace(
                labels=(), mask=(image > 100).astype(np.uint8), calibrated=None, warnings=("too small",),
                probabilities=np.stack([image <= 100, image > 100]).astype(np.float32),
            )
            for image in images
        ]  # fmt: skip


def test_every_plane_of_a_layer_is_predicted_and_lies_where_it_was():
    from napari_foldwise.predicting import predicted

    data = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 9), np.uint8)
    answer = predicted(Masks(), data, name="cells", rgb=False, scale=(1, 2, 0.5, 0.5))
    labels, p = answer.layers
    assert (labels.kind, p.kind) == ("labels", "image")
    np.testing.assert_array_equal(labels.data, data > 100)
    np.testing.assert_array_equal(p.data, data > 100)
    assert labels.settings["scale"] == p.settings["scale"] == (1, 2, 0.5, 0.5)
    assert p.settings["name"] == "cells: p(nucleus)"
    assert answer.sentences[0] == f"Of all pixels: nucleus {(data > 100).mean():.1%}."
    assert answer.sentences[-1] == "5: too small"
    assert (
        len(predicted(Masks(), data[0, 0], name="", rgb=False, scale=(1, 1), probabilities=False).layers) == 1
    )


def test_classes_are_said():
    from napari_foldwise.predicting import predicted

    class Classes:
        classes, task = ("gel", "other"), "binary_classification"

        def __call__(self, images):
            p = np.array([0.9, 0.1])
            return [
                SimpleNamespace(labels=("gel",), mask=None, probabilities=p, calibrated=None, warnings=())
                for _ in images
            ]

    answer = predicted(Classes(), np.zeros((8, 8, 3), np.uint8), name="x", rgb=True, scale=(1, 1))
    assert (answer.layers, answer.sentences) == ((), ("gel 90%",))
    with pytest.raises(ValueError, match="axes"):
        predicted(Classes(), np.zeros(8), name="x", rgb=False, scale=(1,))


def test_what_stands_in_for_a_model_is_like_one():
    from foldwise.learning.on_arrays import Predicted

    fields = {"labels", "mask", "probabilities", "calibrated", "warnings", "unlike_training_p"}
    assert fields == set(Predicted.__dataclass_fields__)
    assert callable(foldwise.load)


def test_the_manifest_names_what_is_there():
    manifest = YAML(typ="safe").load(MANIFEST.read_text(encoding="utf-8"))
    assert manifest["name"] == PROJECT["name"]
    assert PROJECT["entry-points"]["napari.manifest"] == {
        manifest["name"]: f"napari_foldwise:{MANIFEST.name}"
    }
    commands = {row["id"]: row["python_name"] for row in manifest["contributions"]["commands"]}
    assert [row["command"] for row in manifest["contributions"]["widgets"]] == list(commands)
    source = (MANIFEST.parent / "widgets.py").read_text(encoding="utf-8")
    assert all(f"class {name.partition(':')[2]}(" in source for name in commands.values())
    npe2 = pytest.importorskip("npe2", reason="npe2 validates manifests of napari")
    assert npe2.PluginManifest.from_file(MANIFEST).name == manifest["name"]


def test_the_panel_takes_a_layer_as_napari_hands_it_to_plugins(monkeypatch):
    # A plugin gets its viewer in a proxy, whose layers are proxies, too: their type is not that of a layer.
    components = pytest.importorskip("napari.components", reason="needs napari, which is no dependency")
    from napari.utils._proxies import PublicOnlyProxy
    from qtpy.QtWidgets import QApplication

    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    from napari_foldwise.widgets import PredictWidget

    _ = QApplication.instance() or QApplication([])
    viewer = components.ViewerModel()
    panel = PredictWidget(PublicOnlyProxy(viewer))
    panel.folder.setText("nowhere")
    panel.predict()
    assert panel.text.text() == "Choose a layer of images in the list of layers."
    viewer.add_image(np.zeros((8, 8)), name="cells")
    viewer.layers.selection.active = viewer.layers["cells"]
    panel.predict()
    assert "nowhere" in panel.text.text()
