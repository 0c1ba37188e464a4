"""The section on pretraining: every network once, all its folds, and pictures that are stretched alike."""

import base64
import io
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from foldwise.reporting.report_data import ReportData
from foldwise.reporting.sections.training.before_training import (
    MAX_NETWORKS,
    augmentation_section,
    pretraining_section,
)
from foldwise.runs.auxiliary import AuxiliaryItem
from foldwise.study.training import Training

EVIL = "own:<script>"


def item(model, *, fold=0, folder=None, by="denoise", kind="pretrain"):
    epochs = [{"epoch": n, "train_loss": 1 / n, "val_loss": 2 / n + fold, "lr": 0.001} for n in (1, 2, 4)]
    settings = {"training": {"model": {"name": model, "options": {}}}, "repeat": 0, "fold": fold}
    return AuxiliaryItem(kind, settings, {"by": by, "epochs": epochs}, folder)


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "pictures").mkdir()
    clean = np.linspace(0, 500, 64, dtype=np.float32).reshape(1, 8, 8)
    np.savez(tmp_path / "pictures" / "pictures.npz", damaged=clean / 2, restored=clean / 4, clean=clean)
    return tmp_path / "plain", tmp_path / "pictures"


def data(items):
    return ReportData(None, None, (), {}, {}, "", auxiliary=items)


def test_nothing_where_nothing_was_pretrained(folders):
    assert pretraining_section(data([])) is None
    assert pretraining_section(data([item("unet", folder=folders[0], kind="features")])) is None


def test_a_network_is_shown_once_with_all_its_folds(folders):
    plain, pictured = folders
    items = [
        item("unet", folder=pictured),
        item("vit", by="mask", folder=pictured),
        item("unet", fold=1, folder=plain),
    ]
    panels = pretraining_section(data(items))["pretraining"]["panels"]
    assert [panel["name"] for panel in panels] == ["unet · denoise", "vit · mask"]
    assert [str(panel["drawing"]).count("learn train") for panel in panels] == [2, 1]
    assert panels[0]["note"] == "validation error 2.500 after the first epoch, 1.000 after the last"
    assert [picture["words"] for picture in panels[0]["pictures"]] == ["damaged", "given back", "as it was"]


def test_the_three_pictures_have_one_scale(folders):
    panel = pretraining_section(data([item("unet", folder=folders[1])]))["pretraining"]["panels"][0]
    brightest = []
    for picture in panel["pictures"]:
        stored = base64.b64decode(picture["source"].partition(",")[2])
        brightest.append(int(np.asarray(Image.open(io.BytesIO(stored)).convert("L")).max()))
    assert brightest[2] > 225
    np.testing.assert_allclose(
        [brightest[0] / brightest[2], brightest[1] / brightest[2]], [0.5, 0.25], atol=0.06
    )


def test_names_are_escaped_and_what_is_left_out_is_said(folders):
    items = [item(f"{EVIL}{n}", folder=folders[0]) for n in range(MAX_NETWORKS + 2)]
    environment = Environment(
        loader=PackageLoader("foldwise.reporting"), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("sections/pretraining.html.j2").render(**pretraining_section(data(items)))
    assert "<script>" not in html
    assert html.count("<figure>") == MAX_NETWORKS
    assert "2 more are not drawn" in html
    assert not re.findall("<img", html)


def test_fixed_views_are_said_of_the_configurations_that_have_them(tmp_path):
    np.savez(tmp_path / "preview.npz", case=np.zeros(0, int))
    stated = {"fresh": 0, "four": 4, "eight": 8}
    trainings = {
        name: Training.model_validate({"model": "conv", "augment": "standard", "cache_views": number})
        for name, number in stated.items()
    }
    preview = {"augment": trainings["fresh"].augment.model_dump(mode="json"), "crop_px": None}
    shown = [AuxiliaryItem("preview", preview, {}, tmp_path)]

    def fixed(*names):
        verdict = SimpleNamespace(
            configurations=[SimpleNamespace(id=name, name=name) for name in names], task=None
        )
        report = replace(data(shown), verdict=verdict, trainings=trainings, audit={"classes": []})
        section = augmentation_section(report)["augmentation"]
        return section["fixed"], section["panels"][0]["fixed"]

    assert fixed("fresh") == (False, "")
    assert fixed("eight") == (True, "8 fixed views in place of fresh ones each epoch")
    assert fixed("fresh", "four", "eight") == (
        True,
        "4 fixed views in place of fresh ones each epoch: four; 8 fixed views in place of fresh ones each epoch: eight",
    )
