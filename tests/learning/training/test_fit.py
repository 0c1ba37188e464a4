"""A fit from its settings to its folder: the same every time, the test fold seen once, trouble said aloud."""

import json

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, TASKS, fit, settings, tiny
from jobs import job

from foldwise.data.batches.batches import Pictures
from foldwise.errors import FoldwiseError, MissingExtra
from foldwise.learning.checkpoints.saved import read_model, read_weights
from foldwise.learning.training import train as loop
from foldwise.learning.training.fit import fit_item
from foldwise.learning.training.scoring import ForwardPass, evaluate
from foldwise.learning.training.train import outputs_of
from foldwise.metrics.confusion import pooled_confusion


@pytest.mark.parametrize("task", TASKS)
def test_the_same_settings_give_the_same_bytes(tmp_path, task):
    for name in ("one", "two"):
        torch.rand(13)  # whatever was drawn before
        fit(tmp_path / name, task, augment="strong")
    names = ["scores.npz", "weights.safetensors", "model.json"]
    names += ["predictions.npz", "watched.npz"] if task.endswith("segmentation") else []
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


@pytest.mark.parametrize("task", TASKS)
def test_what_a_fit_leaves(tmp_path, task):
    result, scores = fit(tmp_path / "fit", task)
    json.dumps(result)
    assert {
        "epochs",
        "best_epoch",
        "select",
        "loss",
        "weights",
        "cost",
        "warnings",
        "versions",
    } <= result.keys()
    assert [record["epoch"] for record in result["epochs"]] == [1, 2]
    known = {
        "epoch",
        "train_loss",
        "val_loss",
        "val_score",
        "val_steady",
        "accuracy",
        "confidence",
        "lr",
        "seconds",
    }
    assert known | ({"iou"} if task.endswith("segmentation") else set()) == result["epochs"][0].keys()
    cost = result["cost"]
    assert cost["parameters"] == cost["trainable_parameters"] > 0
    assert cost["train_s"] > 0
    assert cost["latency_ms"] > 0
    assert (cost["device"], cost["precision"], cost["batch_halvings"]) == ("cpu", "fp32", 0)
    assert (cost["memory_layout"], cost["fused_optimizer"]) == ("channels_last", True)
    assert scores["case"].tolist() == SPLIT.test.tolist()
    classes = TASKS[task][0]
    if task.endswith("segmentation"):
        assert scores["confusion"].shape == (6, classes, classes)
        assert scores["confusion"].sum((1, 2)).tolist() == scores["pixels"].tolist() == [256] * 6
        with np.load(tmp_path / "fit" / "predictions.npz", allow_pickle=False) as maps:
            assert sorted(maps.files) == [str(case) for case in SPLIT.test]
            assert maps["20"].shape == (16, 16)
            assert maps["20"].dtype == np.uint8
    else:
        assert not (tmp_path / "fit" / "watched.npz").exists()
        assert scores["probabilities"].shape == (6, classes)
        assert scores["validation_case"].tolist() == SPLIT.validation.tolist()
    assert "best epoch" in (tmp_path / "fit" / "log.txt").read_text()


@pytest.mark.parametrize("task", TASKS)
def test_of_the_training_part_as_many_images_are_scored_as_validate(tmp_path, task):
    packed = tiny(task)
    _, scores = fit(tmp_path / "fit", task, packed=packed)
    drawn = scores["train_case"]
    assert len(set(drawn.tolist()) & set(SPLIT.train.tolist())) == len(drawn) == len(SPLIT.validation)
    _, of_another = fit(tmp_path / "other", task, packed=packed, optimizer="sgd")
    assert of_another["train_case"].tolist() == drawn.tolist()
    model = read_model(tmp_path / "fit")
    network = model.rebuild(read_weights(tmp_path / "fit" / "weights.safetensors"))
    cpu = torch.device("cpu")
    batches = Pictures(packed, model.normalization, cpu).whole(drawn, batch_size=4)
    again = evaluate(network, batches, ForwardPass(task, TASKS[task][0], cpu))
    assert scores["train_confusion"].tolist() == pooled_confusion(outputs_of(again, task)).tolist()


def test_an_aa_fit_scores_no_training_image(tmp_path):
    asked = settings("multiclass_classification")
    fit_item(job(asked, tmp_path, packed=tiny("multiclass_classification"), split=SPLIT, kind="aa_test"))
    with np.load(tmp_path / "scores.npz") as arrays:
        assert {"train_case", "train_confusion"}.isdisjoint(arrays.files)
        assert "validation_confusion" in arrays.files


@pytest.mark.parametrize("task", ["multiclass_classification", "binary_segmentation"])
def test_the_saved_model_says_the_very_scores(tmp_path, task):
    packed = tiny(task)
    _, scores = fit(tmp_path / "fit", task, packed=packed)
    model = read_model(tmp_path / "fit")
    network = model.rebuild(read_weights(tmp_path / "fit" / "weights.safetensors"))
    cpu = torch.device("cpu")
    batches = Pictures(packed, model.normalization, cpu).whole(SPLIT.test, batch_size=4)
    again = evaluate(network, batches, ForwardPass(task, TASKS[task][0], cpu), fully=True)
    for name, values in again.arrays.items():
        np.testing.assert_allclose(
            values, scores[name], atol=1e-5 if values.dtype.kind == "f" else 3, rtol=1e-4
        )


def test_training_learns_what_is_to_be_seen(tmp_path):
    _, scores = fit(tmp_path / "classes", "multiclass_classification", epochs=15)
    truth = tiny("multiclass_classification").labels[SPLIT.test]
    assert (scores["probabilities"].argmax(1) == truth).all()
    _, scores = fit(tmp_path / "pixels", "binary_segmentation", epochs=15, optimizer={"adamw": {"lr": 0.01}})
    assert np.einsum("nkk->n", scores["confusion"]).sum() / scores["pixels"].sum() > 0.95


def test_the_test_fold_is_asked_once_and_after_everything_else(tmp_path, monkeypatch):
    asked = []
    gather = Pictures.gather
    monkeypatch.setattr(
        Pictures,
        "gather",
        lambda self, cases, **more: asked.append(set(cases.tolist())) or gather(self, cases, **more),
    )
    fit(tmp_path / "fit", "multiclass_classification", epochs=3)
    test = set(SPLIT.test.tolist())
    touched = [number for number, cases in enumerate(asked) if cases & test]
    first = touched[0]
    assert sorted(case for number in touched for case in asked[number]) == sorted(test)
    later = set().union(*asked[first:]) - test
    assert later <= {0}  # one image, to measure the latency
    assert set().union(*asked[:first]) == set(SPLIT.train.tolist()) | set(SPLIT.validation.tolist())


def test_changing_test_images_changes_no_weight(tmp_path):
    changed = tiny("multiclass_classification")
    for case in SPLIT.test:
        changed._images[case] = 255 - changed._images[case]
    fit(tmp_path / "as they are", "multiclass_classification")
    fit(tmp_path / "changed", "multiclass_classification", packed=changed)
    one, other = (tmp_path / name / "weights.safetensors" for name in ("as they are", "changed"))
    assert one.read_bytes() == other.read_bytes()


def test_the_best_epoch_is_kept_and_patience_ends(tmp_path):
    told = []
    result, scores = fit(
        tmp_path / "fit",
        "multiclass_classification",
        epochs=40,
        patience_epochs=2,
        optimizer={"sgd": {"lr": 0.5}},
        beat=told.append,
    )
    values = [record["val_score"] for record in result["epochs"]]
    assert result["best_epoch"] == 1 + int(np.argmin(values))
    assert len(values) == result["best_epoch"] + 2 < 40
    labels = tiny("multiclass_classification").labels[SPLIT.validation]
    p = scores["validation_probabilities"][np.arange(4), labels].astype(float)
    assert -np.log(p.clip(1e-7)).mean() == pytest.approx(min(values), rel=1e-5)
    assert told[-1]["epochs"] == 40
    assert told[0] == {"epoch": 1, "epochs": 40, "metric": "log_loss", "score": values[0]}


def test_a_frozen_encoder_does_not_move(tmp_path):
    packed = tiny("multiclass_classification", num_channels=3)
    options = {"model": "timm:test_resnet", "freeze": "encoder", "packed": packed}
    one, _ = fit(tmp_path / "one", "multiclass_classification", epochs=1, **options)
    fit(tmp_path / "three", "multiclass_classification", epochs=3, **options)
    before, after = (read_weights(tmp_path / name / "weights.safetensors") for name in ("one", "three"))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head"}
    assert one["cost"]["trainable_parameters"] < one["cost"]["parameters"]


def test_memory_that_runs_out_halves_the_batch_and_is_told(tmp_path, monkeypatch):
    straight = ForwardPass.logits
    seen = []

    def small(self, network, inputs):
        seen.append(len(inputs))
        if len(inputs) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return straight(self, network, inputs)

    monkeypatch.setattr(ForwardPass, "logits", small)
    result, scores = fit(tmp_path / "fit", "multiclass_classification", batch_size=8)
    assert result["cost"]["batch_halvings"] == 2
    assert result["cost"]["batch_size"] == 8
    assert result["warnings"] == [
        "memory ran out: each batch of 8 was worked in parts of 2, their gradients summed"
    ]
    assert len(scores["case"]) == 6
    assert max(seen[seen.index(2) :]) == 2


def test_memory_that_is_out_for_one_image_is_an_error(tmp_path, monkeypatch):
    def never(self, network, inputs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(ForwardPass, "logits", never)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        fit(tmp_path / "fit", "multiclass_classification")


def test_other_errors_are_not_taken_for_memory(tmp_path, monkeypatch):
    tries = []

    def broken(self, network, inputs):
        tries.append(1)
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(ForwardPass, "logits", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        fit(tmp_path / "fit", "multiclass_classification")
    assert len(tries) == 1


def test_divergence_is_an_error_with_its_cause(tmp_path, monkeypatch):
    step = loop.step
    monkeypatch.setattr(loop, "step", lambda *asked: step(*asked) * float("inf"))
    with pytest.raises(FoldwiseError, match="the training loss became inf in epoch 1"):
        fit(tmp_path / "fit", "multiclass_classification")


def test_a_device_that_is_not_here_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    asked = settings("multiclass_classification", device="cuda")
    packed = tiny("multiclass_classification")
    with pytest.raises(MissingExtra, match="the device 'cuda' was asked for"):
        fit_item(job(asked, tmp_path, packed=packed, split=SPLIT))


def test_mixed_sizes_and_crops(tmp_path):
    packed = tiny("binary_segmentation", sizes=((40, 24), (32, 32)) * 12)
    result, scores = fit(
        tmp_path / "fit", "binary_segmentation", packed=packed, crop_px=16, steps_per_epoch=3
    )
    assert len(result["epochs"]) == 2
    assert scores["pixels"].tolist() == [960, 1024] * 3
    fit(tmp_path / "padded", "binary_segmentation", packed=packed, augment="standard")


@pytest.mark.gpu
def test_on_a_gpu_it_gives_nearly_the_numbers_of_a_cpu(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    packed, found = tiny("binary_segmentation"), {}
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        asked = settings("binary_segmentation", device=device, precision="fp32", augment="standard")
        fit_item(job(asked, tmp_path / device, packed=packed, split=SPLIT, device=device))
        with np.load(tmp_path / device / "scores.npz") as arrays:
            found[device] = arrays["log_loss_sum"] / arrays["pixels"]
    np.testing.assert_allclose(found["cpu"], found["cuda"], atol=0.02)


def test_balanced_sampling_draws_from_the_training_part_and_changes_the_fit(tmp_path):
    task = "multilabel_classification"
    plain, _ = fit(tmp_path / "plain", task, steps_per_epoch=2)
    balanced, _ = fit(tmp_path / "balanced", task, sampling="balanced", steps_per_epoch=2)
    losses = [[epoch["train_loss"] for epoch in result["epochs"]] for result in (plain, balanced)]
    assert losses[0] != losses[1]


def test_the_latency_is_measured_by_the_first_fit_of_a_configuration(tmp_path):
    first, _ = fit(tmp_path / "first", "binary_classification", epochs=1)
    later, _ = fit(tmp_path / "later", "binary_classification", epochs=1, fold=1)
    assert first["cost"]["latency_ms"] > 0
    assert later["cost"]["latency_ms"] is None
