"""Shared features: the very numbers of the straight frozen run, at a fraction of its work."""

import json

import numpy as np
import pytest
import torch
from fits_to_try import fit, share_features, tiny

from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import Encoder, read_weights
from foldwise.study.training import Training

TASK = "multiclass_classification"
MODEL = "timm:test_resnet"


@pytest.fixture
def packed():
    return tiny(TASK, num_channels=3, sizes=((32, 32),) * 24)


@pytest.mark.parametrize(
    "head", ["linear", {"mlp": {"hidden": [8], "dropout": [0.3]}}], ids=["linear", "mlp"]
)
def test_cached_features_give_the_very_numbers_of_the_straight_run(tmp_path, packed, head):
    share_features(tmp_path / "features-1", packed, model=MODEL)
    asked = {
        "model": MODEL,
        "freeze": "encoder",
        "normalize": "imagenet",
        "head": head,
        "epochs": 4,
        "packed": packed,
    }
    straight, straight_scores = fit(tmp_path / "straight", TASK, **asked)
    cached, cached_scores = fit(
        tmp_path / "cached", TASK, inputs={"features-1": tmp_path / "features-1"}, **asked
    )
    for one, other in zip(straight["epochs"], cached["epochs"], strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-6)
        assert one["val_score"] == pytest.approx(other["val_score"], rel=1e-6)
    assert straight["best_epoch"] == cached["best_epoch"]
    for name, values in straight_scores.items():
        np.testing.assert_allclose(values, cached_scores[name], atol=1e-6)
    for name in ("parameters", "trainable_parameters"):
        assert straight["cost"][name] == cached["cost"][name]
    assert cached["cost"]["shared_features_s"] > 0
    assert straight["cost"]["shared_features_s"] is None


@pytest.mark.parametrize("sides", [((32, 32),), ((32, 48),)], ids=["square", "wide"])
@pytest.mark.parametrize("augment", ["flips", {"flip": True}, {"turn": True}], ids=str)
def test_stored_views_give_the_very_numbers_of_images_flipped_and_turned(tmp_path, augment, sides):
    packed = tiny(TASK, num_channels=3, sizes=sides * 24)
    asked = {"model": MODEL, "freeze": "encoder", "normalize": "imagenet", "epochs": 4, "packed": packed}
    views = Training(model=MODEL, augment=augment).augment.views(square=sides[0][0] == sides[0][1])
    folders = {f"features-{view}": tmp_path / f"features-{view}" for view in views}
    for view, folder in zip(views, folders.values(), strict=True):
        share_features(folder, packed, model=MODEL, view=view)
    straight, straight_scores = fit(tmp_path / "straight", TASK, augment=augment, **asked)
    # Whatever the order in which the items are handed over.
    inputs = dict(sorted(folders.items(), reverse=True))
    stored, stored_scores = fit(tmp_path / "stored", TASK, inputs=inputs, augment=augment, **asked)
    losses = [[epoch["train_loss"] for epoch in result["epochs"]] for result in (straight, stored)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    for name, values in straight_scores.items():
        np.testing.assert_allclose(values, stored_scores[name], atol=1e-6)
    plain, _ = fit(tmp_path / "plain", TASK, **asked)
    assert plain["epochs"][0]["train_loss"] != pytest.approx(losses[0][0], rel=1e-5)
    costs = [json.loads((folder / "encoder.json").read_text())["cost"] for folder in folders.values()]
    assert stored["cost"]["shared_features_s"] == pytest.approx(sum(cost["features_s"] for cost in costs))
    assert [(folder / "encoder.safetensors").exists() for folder in folders.values()] == [
        view == 0 for view in views
    ]


def test_a_frozen_random_encoder_is_the_same_in_every_fold(tmp_path, packed):
    asked = {"model": MODEL, "freeze": "encoder", "packed": packed, "epochs": 1}
    weights = {}
    for seed in (1, 2):
        fit(tmp_path / str(seed), TASK, seeds=(seed, 7), **asked)
        weights[seed] = read_weights(tmp_path / str(seed) / "weights.safetensors")
    same = {name.split(".")[0] for name in weights[1] if torch.equal(weights[1][name], weights[2][name])}
    assert same == {"encoder"}


def test_a_features_item_leaves_one_row_per_case(tmp_path, packed):
    result = share_features(tmp_path / "features-1", packed, model=MODEL)
    encoder = Encoder("features-1", tmp_path / "features-1")
    assert encoder.features_VNF[0].shape[0] == len(packed)
    assert encoder.features_VNF[0].dtype == np.float32
    assert len(np.unique(encoder.features_VNF[0].round(4), axis=0)) == len(packed)
    assert result["cost"]["parameters"] > 0
    assert result["cost"]["latency_ms"] > 0


def test_the_same_features_every_time(tmp_path, packed):
    for name in ("one", "two"):
        share_features(tmp_path / name, packed, model=MODEL)
    for name in ("features.npy", "encoder.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_normalisation_that_differs_between_folds_cannot_be_shared(tmp_path, packed):
    with pytest.raises(RunError, match="normalisation would differ from fold to fold"):
        share_features(tmp_path / "features-1", packed, model=MODEL, normalize="train")


def test_features_that_are_gone_are_said_to_be(tmp_path, packed):
    with pytest.raises(RunError, match="the file is gone"):
        _ = Encoder("features-1", tmp_path).features_VNF
