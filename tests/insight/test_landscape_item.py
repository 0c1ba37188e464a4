"""A look inside training: the same training again, figures that agree with each other, and nothing of the test fold."""

from shutil import copytree

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, UNET, pretrain, share_features, tiny
from killed_fits import Killing, assert_same, to_fit, undisturbed
from looks_to_try import ABOUT, fitted, looked
from safetensors.torch import load_file, save_file

from foldwise.insight import landscape_item as look
from foldwise.learning.training import setup

SEGMENT, CLASSIFY, SEVERAL = "binary_segmentation", "multiclass_classification", "multilabel_classification"


@pytest.fixture(autouse=True)
def _few_products(monkeypatch):
    """Curvature has tests of its own; here it need not be near."""
    monkeypatch.setattr(look, "LANCZOS_STEPS", 3)
    monkeypatch.setattr(look, "HUTCHINSON_DRAWS", 2)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """A fit of masks and one with another seed, and the look into the first with a line to the second."""
    root = tmp_path_factory.mktemp("segmented")
    training = {"epochs": 3, "model": {"unet": {"width": 4, "depth": 2}}}
    fit = fitted(root / "fit", SEGMENT, **training)
    fitted(root / "other", SEGMENT, seeds=(7, None), **training)
    inputs = {"fit-a": root / "fit", "fit-b": root / "other"}
    about = {"others": ["fit-b"], "points": 5, "directions": 2, "images": 6}
    return fit, *looked(root / "look", SEGMENT, inputs=inputs, about=about, **training)


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A fit of labels, the folder of it, the look into it that may not see its test fold, and what it told."""
    root, heard = tmp_path_factory.mktemp("classified"), []
    fitted(root / "fit", CLASSIFY)
    before = torch.are_deterministic_algorithms_enabled()
    result, arrays = looked(
        root / "look",
        CLASSIFY,
        packed=Guarded(tiny(CLASSIFY)),
        inputs={"fit-a": root / "fit"},
        beat=lambda progress: heard.append(progress["doing"]),
    )
    assert torch.are_deterministic_algorithms_enabled() == before
    return root / "fit", result, arrays, heard


def test_the_training_comes_out_the_same(segmented):
    fit, result, _ = segmented
    assert result["replay"] == {"equal": True, "largest_difference": 0.0}
    assert (result["chosen_epoch"], result["last_epoch"]) == (fit["best_epoch"], 3)
    assert result["warnings"] == []


def test_the_shapes_are_those_of_the_page(segmented):
    _, result, arrays = segmented
    made = arrays["surfaces"]
    epochs, criteria = len(made["epochs"]), len(result["criteria"])
    steps = len(made["path_epochs"])
    shapes = {
        "epochs": (epochs,), "alpha": (5,), "line_alpha": (11,), "surface": (epochs, criteria, 5, 5),
        "lines": (epochs, 2, criteria, 11), "centre": (epochs, criteria), "trivial": (criteria,), "stale": (criteria, 11),
        "path_epochs": (steps,), "path": (steps, 2), "path_residual": (steps,), "path_true": (steps, criteria),
        "path_projected": (steps, criteria), "shares": (2,), "null_shares": (2,), "plane_x": (5,), "plane_y": (5,),
        "plane": (criteria, 5, 5), "walk_t": (11,), "walk": (criteria, 11), "between_t": (11,), "between": (1, criteria, 11),
    }  # fmt: skip
    assert {name: values.shape for name, values in made.items()} == shapes
    integers = {name for name, values in made.items() if values.dtype == np.int32}
    assert integers == {"epochs", "path_epochs"}
    assert all(made[name].dtype == np.float32 for name in made.keys() - integers)
    assert np.array(result["direction_spread"]).shape == (epochs, criteria)
    assert np.array(result["rises"]).shape == (epochs, criteria, 3)
    assert result["noticed"][-1].startswith("The gradient of the whole network goes from")
    assert [one["epoch"] for one in result["curvature"]] == made["epochs"].tolist()


def test_the_figures_agree_where_they_show_the_same_weights(segmented):
    fit, _, arrays = segmented
    made = arrays["surfaces"]
    at = {epoch: place for place, epoch in enumerate(made["epochs"].tolist())}
    steps = {epoch: place for place, epoch in enumerate(made["path_epochs"].tolist())}
    chosen = made["centre"][at[fit["best_epoch"]]]
    assert {0, fit["best_epoch"], 3} <= at.keys()
    same = {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(made["surface"][:, :, 2, 2], made["centre"], **same)
    np.testing.assert_allclose(made["lines"][:, :, :, 5], np.repeat(made["centre"][:, None], 2, 1), **same)
    np.testing.assert_allclose(made["surface"][:, :, 2, ::2], made["lines"][:, 0, :, ::5], **same)
    for epoch, place in at.items():
        np.testing.assert_allclose(made["path_true"][steps[epoch]], made["centre"][place], **same)
    np.testing.assert_allclose(made["path_projected"][-1], made["path_true"][-1], **same)
    np.testing.assert_allclose(made["between"][0][:, 0], chosen, **same)
    assert made["path"][-1].tolist() == [0, 0]
    assert made["plane_x"].min() < made["path"][:, 0].min() < made["path"][:, 0].max() < made["plane_x"].max()


def test_the_walk_leads_from_the_start_to_the_chosen_weights(segmented):
    fit, _, arrays = segmented
    made = arrays["surfaces"]
    place = made["epochs"].tolist().index(fit["best_epoch"])
    for t, values in ((0, made["centre"][0]), (1, made["centre"][place])):
        around = [np.interp(t, made["walk_t"], row) for row in made["walk"]]
        near = np.abs(made["walk_t"] - t).argsort()[:2]
        low, high = made["walk"][:, near].min(1), made["walk"][:, near].max(1)
        assert ((low - 1e-6 <= around) & (around <= high + 1e-6)).all()
        assert np.allclose(around, values, atol=0.1)


def test_the_criteria_are_those_of_the_study_then_standard_ones_then_the_error(segmented):
    _, result, arrays = segmented
    names = [one["name"] for one in result["criteria"]]
    assert names == ["dice_cross_entropy", "cross_entropy", "focal", "dice", "1 - dice_img_macro"]
    assert [one["kind"] for one in result["criteria"]] == ["loss"] * 4 + ["error"]
    assert result["trained_with"] == 0
    centre = arrays["surfaces"]["centre"]
    np.testing.assert_allclose(
        centre[:, 0], centre[:, 1] + centre[:, 3], rtol=1e-5
    )  # a sum is the sum of its parts
    assert (centre[:, -1] >= 0).all()
    assert (centre[:, -1] <= 1).all()


def test_a_barrier_is_the_rise_above_the_chord(segmented):
    _, result, arrays = segmented
    t, values = arrays["surfaces"]["between_t"], arrays["surfaces"]["between"][0]
    rises = [
        max(value - (row[0] * (1 - t_) + row[-1] * t_) for t_, value in zip(t, row, strict=True))
        for row in values
    ]
    (told,) = result["between"]
    assert (told["repeat"], told["fold"]) == (0, 0)
    assert told["barrier"] == pytest.approx(rises, abs=1e-5)


def test_another_training_is_told_with_how_far_it_is_off(tmp_path, classified):
    fit = copytree(classified[0], tmp_path / "fit")
    path = fit / "weights.safetensors"
    weights = load_file(path)
    name = next(iter(weights))
    weights[name] = weights[name] + 0.25
    save_file(weights, path)
    result, _ = looked(tmp_path / "look", CLASSIFY, inputs={"fit-a": fit})
    assert result["replay"]["equal"] is False
    assert result["replay"]["largest_difference"] == pytest.approx(0.25)
    assert result["warnings"][0].startswith(
        "the training did not come out as the fit's did: weights differ by up to 0.25"
    )


class Guarded:
    """A data set whose test fold must not be touched."""

    def __init__(self, packed):
        self.packed = packed

    def __getattr__(self, name):
        return getattr(self.packed, name)

    def __len__(self):
        return len(self.packed)

    def image(self, index):
        assert index not in SPLIT.test, "the test fold was looked at"
        return self.packed.image(index)

    def target(self, index):
        assert index not in SPLIT.test, "the test fold was looked at"
        return self.packed.target(index)


def test_the_test_fold_is_never_looked_at(tmp_path, classified):
    assert (classified[1]["images"], classified[1]["images_from"]) == (4, "training part")
    fitted(tmp_path / "fit", SEGMENT, model=UNET)
    guarded = Guarded(tiny(SEGMENT))
    with pytest.raises(AssertionError, match="the test fold was looked at"):
        guarded.image(int(SPLIT.test[0]))
    inputs = {"fit-a": tmp_path / "fit"}
    result, _ = looked(tmp_path / "look", SEGMENT, packed=guarded, inputs=inputs, model=UNET)
    assert (result["images"], result["images_from"]) == (4, "training part")


def test_several_labels_in_groups(tmp_path):
    asked = {"label_groups": 2, "loss": {"binary_cross_entropy": {"pos_weight": "balanced"}}}
    fitted(tmp_path / "fit", SEVERAL, **asked)
    result, arrays = looked(tmp_path / "look", SEVERAL, inputs={"fit-a": tmp_path / "fit"}, **asked)
    assert result["replay"]["equal"]
    assert [one["name"] for one in result["criteria"]] == [
        "binary_cross_entropy (pos_weight balanced)",
        "binary_focal",
        "1 - label_accuracy",
    ]
    assert "divided among several networks" in result["attention_absent"]
    assert "attention" not in arrays


def test_a_shared_encoder_leaves_a_look_at_the_head(tmp_path):
    packed = tiny(CLASSIFY, sizes=((32, 32),) * 24)
    features = tmp_path / "features"
    share_features(features, packed, model="timm:test_resnet")
    asked = {"model": "timm:test_resnet", "freeze": "encoder", "normalize": "imagenet", "packed": packed}
    fitted(tmp_path / "fit", CLASSIFY, inputs={"features-x": features}, **asked)
    inputs = {"fit-a": tmp_path / "fit", "features-x": features}
    result, arrays = looked(tmp_path / "look", CLASSIFY, inputs=inputs, **asked)
    assert result["replay"]["equal"]
    assert result["only_head"]
    assert "only the head was trained" in result["attention_absent"]
    assert result["warnings"] == [
        "the encoder is frozen and shared, so that this is a look at the head alone"
    ]
    assert arrays["layers"]["names"].tolist() == [arrays["layers"]["names"][0]]
    assert "stale" not in arrays["surfaces"]
    assert result["norm"] == "none"


@pytest.mark.parametrize("freeze", ["none", "encoder"])
def test_a_pretrained_network_is_trained_again_from_what_pretraining_left(tmp_path, freeze):
    pretrain(tmp_path / "pretrain-1")
    asked = {"model": UNET, "pretrain": "denoise", "freeze": freeze}
    fitted(tmp_path / "fit", SEGMENT, inputs={"pretrain-1": tmp_path / "pretrain-1"}, **asked)
    inputs = {"fit-a": tmp_path / "fit", "pretrain-1": tmp_path / "pretrain-1"}
    result, arrays = looked(tmp_path / "look", SEGMENT, inputs=inputs, **asked)
    assert result["replay"] == {"equal": True, "largest_difference": 0.0}
    learning = [name for name in arrays["layers"]["names"] if "encoder" in name]
    assert bool(learning) == (freeze == "none")


def test_steps_an_epoch_and_patience_are_as_in_the_fit(tmp_path):
    asked = {
        "epochs": 6,
        "patience_epochs": 1,
        "steps_per_epoch": 2,
        "augment": "flips",
        "optimizer": {"adamw": {"lr": 0.5}},
    }
    fit = fitted(tmp_path / "fit", CLASSIFY, **asked)
    assert len(fit["epochs"]) < 6
    result, _ = looked(tmp_path / "look", CLASSIFY, inputs={"fit-a": tmp_path / "fit"}, **asked)
    assert result["replay"]["equal"]
    assert result["last_epoch"] == len(fit["epochs"])


def test_a_batch_that_was_halved_in_the_fit_is_halved_again(tmp_path, monkeypatch):
    real, refused = setup.set_up, []

    def too_large(asked):
        if not asked.halvings:
            refused.append(asked)
            raise RuntimeError("CUDA out of memory")
        return real(asked)

    monkeypatch.setattr("foldwise.learning.training.fit.set_up", too_large)
    fit = fitted(tmp_path / "fit", CLASSIFY)
    assert fit["cost"]["batch_halvings"] == 1
    assert refused
    result, _ = looked(tmp_path / "look", CLASSIFY, inputs={"fit-a": tmp_path / "fit"})
    assert result["replay"]["equal"]


def test_where_memory_runs_out_the_same_images_are_seen_in_smaller_parts(tmp_path, monkeypatch, classified):
    fit, _, whole, _ = classified
    real, sizes = look.surfaces_of, []

    def too_large(landscape, *rest):
        sizes.append([len(batch.cases) for batch in landscape.batches])
        if len(sizes) == 1:
            raise RuntimeError("CUDA out of memory")
        return real(landscape, *rest)

    monkeypatch.setattr(look, "surfaces_of", too_large)
    result, parts = looked(tmp_path / "parts", CLASSIFY, inputs={"fit-a": fit})
    assert sizes == [[4], [2, 2]]
    assert result["images"] == 4
    error = [one["kind"] for one in result["criteria"]].index("error")
    same = {"atol": 0.5}  # statistics of batch norm are those of smaller batches
    np.testing.assert_allclose(
        parts["surfaces"]["centre"][:, error], whole["surfaces"]["centre"][:, error], **same
    )


def test_it_tells_how_far_it_is(classified):
    heard = classified[3]
    assert heard[0] == "epoch 1 of 2 trained again"
    assert "curvature and layers: 0 of 3" in heard
    last = [line for line in heard if line.startswith("points of surfaces")][-1]
    done, total = (int(number) for number in last.removeprefix("points of surfaces: ").split(" of "))
    assert done == total


def test_a_training_that_is_killed_while_it_is_trained_again_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(look.time, "perf_counter", lambda: 0.0)  # the look itself took
    training = {"epochs": 3, "model": UNET, "augment": "strong"}
    fitted(tmp_path / "fit", SEGMENT, **training)
    asked, packed = to_fit(SEGMENT, **training)
    asked |= {"landscape": ABOUT | {"losses": [asked["training"]["loss"]]}}
    about = {"packed": packed, "inputs": {"fit-a": tmp_path / "fit"}, "task": look.landscape_item}
    whole = undisturbed(tmp_path / "whole", asked, **about)
    killing = Killing(monkeypatch)
    made = killing.until_done(tmp_path / "run", [1] * 6 + [3] * 2, asked, item="landscape-1", **about)
    assert_same(whole, made)
    assert sum("goes on in epoch" in line for line in killing.lines) > 5
