"""Shared features: the very numbers of the straight frozen run, at a fraction of its work."""

import numpy as np
import pytest
import torch
from fits_to_try import fit, share_features, tiny

from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import Encoder, read_weights

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
    assert encoder.features_NF.shape[0] == len(packed)
    assert encoder.features_NF.dtype == np.float32
    assert len(np.unique(encoder.features_NF.round(4), axis=0)) == len(packed)
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
        _ = Encoder("features-1", tmp_path).features_NF
