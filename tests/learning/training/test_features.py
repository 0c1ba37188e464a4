"""Shared features: the very numbers of the straight frozen run, at a fraction of its work."""

import json

import numpy as np
import pytest
import torch
from fits_to_try import fit, share_features, tiny

from foldwise.data.batches.batches import CachedFeatures
from foldwise.data.batches.sampling import step_generators
from foldwise.errors import RunError
from foldwise.learning.checkpoints.saved import Encoder, read_weights
from foldwise.study.training import DRAWN, Training

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


def shared(folder, packed, **stated):
    share_features(folder, packed, model=MODEL, **stated)
    return np.load(folder / "features.npy")


def test_rows_are_in_the_order_of_the_cases_whatever_their_sizes(tmp_path):
    sizes = ((32, 32), (48, 32), (32, 32), (64, 64)) * 6
    packed = tiny(TASK, num_channels=3, sizes=sizes)
    features_NF = shared(tmp_path / "all", packed)
    for case in (0, 1, 3, 23):
        own = shared(tmp_path / f"{case}", packed, images=[case, 24])
        np.testing.assert_allclose(features_NF[case], own[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "sizes", [((32, 32),) * 24, ((32, 32), (48, 32), (64, 64)) * 8], ids=["alike", "mixed"]
)
def test_parts_of_a_pass_are_put_together_again(tmp_path, sizes):
    packed = tiny(TASK, num_channels=3, sizes=sizes)
    whole = {view: shared(tmp_path / f"{view}", packed, view=view) for view in (0, 2)}
    inputs = {}
    for view, part in ((2, 1), (0, 4), (0, 0), (2, 0), (2, 4), (2, 3), (0, 2), (2, 2), (0, 1), (0, 3)):
        folder = inputs[f"features-{view}{part}"] = tmp_path / f"features-{view}{part}"
        shared(folder, packed, view=view, images=[part, 5])
    encoder = Encoder.among(inputs)
    assert (encoder.item, encoder.views) == ("features-00", (0, 2))
    assert [(folder / "encoder.safetensors").exists() for folder in inputs.values()] == [
        item == encoder.item for item in inputs
    ]
    np.testing.assert_allclose(encoder.features_VNF, np.stack(list(whole.values())), rtol=1e-4, atol=1e-5)
    spent = [
        json.loads((folder / "encoder.json").read_text())["cost"]["features_s"] for folder in inputs.values()
    ]
    assert encoder.cost["features_s"] == pytest.approx(sum(spent))
    assert encoder.cost["parameters"] > 0


def test_features_normalised_by_a_training_part_give_the_very_numbers_of_its_fold(tmp_path, packed):
    of_fold = {"normalize": "train", "split": "s", "repeat": 0, "fold": 0}
    shared(tmp_path / "features-1", packed, **of_fold)
    asked = {"model": MODEL, "freeze": "encoder", "normalize": "train", "epochs": 3, "packed": packed}
    straight, scores = fit(tmp_path / "straight", TASK, seeds=(2**62 + 5, 2**62 + 5), **asked)
    inputs = {"features-1": tmp_path / "features-1"}
    stored, stored_scores = fit(tmp_path / "stored", TASK, inputs=inputs, **asked)
    losses = [[epoch["train_loss"] for epoch in result["epochs"]] for result in (straight, stored)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for name, values in scores.items():
        np.testing.assert_allclose(values, stored_scores[name], atol=1e-5)


def test_a_latency_is_of_a_shared_device_where_that_of_its_encoder_is(tmp_path, packed):
    shared(tmp_path / "features-1", packed)
    asked = {"model": MODEL, "freeze": "encoder", "normalize": "imagenet", "packed": packed}
    inputs = {"features-1": tmp_path / "features-1"}
    alone, _ = fit(tmp_path / "alone", TASK, inputs=inputs, **asked)
    path = tmp_path / "features-1" / "encoder.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"cost": record["cost"] | {"sharers": 3}}))
    beside, _ = fit(tmp_path / "beside", TASK, inputs=inputs, **asked)
    assert (alone["cost"]["sharers"], beside["cost"]["sharers"]) == (1, 3)


STANDARD = Training(model=MODEL, augment="standard").augment.model_dump(mode="json")
FLIPS = Training(model=MODEL, augment="flips").augment.model_dump(mode="json")


def test_a_fixed_view_of_an_image_hangs_on_nothing_but_seed_image_and_number(tmp_path, packed):
    about = {"augment": STANDARD, "draw_seed": 3}
    first = shared(tmp_path / "1", packed, view=DRAWN, **about)
    alone = shared(tmp_path / "2", packed, view=DRAWN, images=[5, 24], **about)
    np.testing.assert_allclose(first[5], alone[0], rtol=1e-4, atol=1e-5)
    for name, other in {"view": {"view": DRAWN + 1}, "seed": {"draw_seed": 4}, "plain": {"view": 0}}.items():
        features_NF = shared(tmp_path / name, packed, **({"view": DRAWN} | about | other))
        assert (np.abs(features_NF - first).max(axis=1) > 1e-4).all()


def test_fixed_views_of_flips_and_turns_are_all_there_are_before_any_comes_again(tmp_path, packed):
    exact = np.stack([shared(tmp_path / f"{view}", packed, view=view) for view in range(8)])
    about = {"augment": FLIPS, "draw_seed": 3}
    drawn = np.stack(
        [shared(tmp_path / f"{view}", packed, view=view, **about) for view in range(DRAWN, DRAWN + 9)]
    )
    distances = np.abs(drawn[:, None] - exact[None]).max(axis=-1)
    views_DN = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-4
    np.testing.assert_array_equal(np.sort(views_DN[:8], axis=0), np.arange(8)[:, None].repeat(24, axis=1))
    np.testing.assert_array_equal(views_DN[8], views_DN[0])


def test_a_fit_draws_its_fixed_views_evenly_and_says_that_they_are_fixed(tmp_path, packed):
    about = {"augment": STANDARD, "draw_seed": 3}
    inputs = {"features-0": tmp_path / "features-0"}
    shared(inputs["features-0"], packed)
    for view in (DRAWN, DRAWN + 1, DRAWN + 2):
        inputs[f"features-{view}"] = tmp_path / f"features-{view}"
        shared(inputs[f"features-{view}"], packed, view=view, **about)
    encoder = Encoder.among(inputs)
    stored = CachedFeatures(packed, torch.from_numpy(encoder.features_VNF), encoder.views)
    cases, counts = np.arange(24), np.zeros((4, 24), int)
    for batch in stored.training([cases] * 300, augment=None, generators=step_generators(1, 1)):
        shown = (np.abs(encoder.features_VNF - batch.inputs.numpy()).max(axis=-1) == 0).astype(int)
        counts += shown
    assert counts[0].sum() == 0
    assert counts[1:].sum() == 300 * 24
    assert counts[1:].sum(axis=1).min() > 2200  # of 2,400 for each view, with a deviation of 40
    asked = {
        "model": MODEL,
        "freeze": "encoder",
        "normalize": "imagenet",
        "packed": packed,
        "augment": "standard",
    }
    result, _ = fit(tmp_path / "fit", TASK, inputs=inputs, cache_views=3, **asked)
    assert result["views"] == "3 fixed views in place of fresh ones each epoch"
    fresh, _ = fit(tmp_path / "fresh", TASK, **asked)
    assert "views" not in fresh


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
