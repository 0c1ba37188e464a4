"""What a fit records of every epoch, which epoch it keeps, what it counts at the end, and the images it watches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fits_to_try import SPLIT, TASKS, fit, settings, tiny
from jobs import job
from sklearn import metrics

from foldwise.data.batches.batches import Pictures
from foldwise.learning.checkpoints.saved import read_model, read_weights
from foldwise.learning.objectives.losses import losses_to_map, make_loss
from foldwise.learning.training.fit import fit_item
from foldwise.learning.training.fit_files import WatchedImages, epochs_to_keep, images_to_watch, loss_maps
from foldwise.learning.training.scoring import ForwardPass, Scores, evaluate
from foldwise.learning.training.train import outputs_of, recorded, selector
from foldwise.metrics.confusion import pooled_confusion
from foldwise.study.ranges import IGNORE
from foldwise.study.training import Choice

CPU = torch.device("cpu")


def said(folder, packed, cases):
    """Probabilities of these cases by the saved network, with their truth: independent of what the fit wrote."""
    model = read_model(folder)
    network = model.rebuild(read_weights(folder / "weights.safetensors")).eval()
    batches = list(Pictures(packed, model.normalization, CPU).whole(cases, batch_size=64))
    with torch.no_grad():
        logits = torch.cat([network(batch.inputs) for batch in batches])
    several = packed.task == "multilabel_classification"
    p = logits.sigmoid() if several else logits.softmax(1)
    return p.numpy().astype(float), torch.cat([batch.targets for batch in batches]).numpy()


@pytest.mark.parametrize("task", TASKS)
def test_the_record_of_the_chosen_epoch_is_what_the_saved_network_says(tmp_path, task):
    packed = tiny(task)
    result, _ = fit(tmp_path / "fit", task, packed=packed, epochs=3)
    record = result["epochs"][result["best_epoch"] - 1]
    p, true = said(tmp_path / "fit", packed, SPLIT.validation)
    classes = range(p.shape[1])
    if task == "multilabel_classification":
        right = [metrics.accuracy_score(true[:, k], p[:, k] >= 0.5) for k in classes]
        sure = [p[true[:, k] > 0.5, k].mean() if true[:, k].any() else None for k in classes]
    elif task.endswith("segmentation"):
        pred = p.argmax(1)
        right = [metrics.accuracy_score(t.ravel(), q.ravel()) for t, q in zip(true, pred, strict=True)]
        sure = [p[:, k][true == k].mean() for k in classes]
        overlap = [
            np.mean(
                [
                    metrics.jaccard_score((t == k).ravel(), (q == k).ravel())
                    for k in classes[1:]
                    if (t == k).any() or (q == k).any()
                ]
            )
            for t, q in zip(true, pred, strict=True)
        ]
        assert record["iou"] == pytest.approx(np.mean(overlap), abs=2e-3)
    else:
        right = [metrics.accuracy_score(true, p.argmax(1))]
        sure = [p[true == k, k].mean() if (true == k).any() else None for k in classes]
    assert record["accuracy"] == pytest.approx(np.mean(right), abs=2e-3)
    assert record["confidence"] == pytest.approx(sure, abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_counts_of_training_and_inner_validation_are_those_of_scikit_learn(tmp_path, task):
    packed = tiny(task)
    _, scores = fit(tmp_path / "fit", task, packed=packed, epochs=2)
    # Of the training part, as many as the validation part has.
    assert len(scores["train_case"]) == len(SPLIT.validation)
    for part, cases in (("train", scores["train_case"]), ("validation", SPLIT.validation)):
        p, true = said(tmp_path / "fit", packed, cases)
        got = scores[f"{part}_confusion"]
        assert got.dtype == np.int64
        if task == "multilabel_classification":
            wanted = metrics.multilabel_confusion_matrix(true > 0.5, p >= 0.5)
        else:
            labels = range(p.shape[1])
            wanted = metrics.confusion_matrix(true.ravel(), p.argmax(1).ravel(), labels=labels)
        assert got.sum() == wanted.sum()
        assert np.abs(got - wanted).sum() <= (4 if task.endswith("segmentation") else 0)  # ties of rounding


def test_a_class_that_no_case_has_is_of_no_confidence():
    none = Scores(
        np.arange(1),
        {"probabilities": np.array([[0.25, 0.5, 0.25]], np.float32)},
        np.array([1]),
        0.0,
        {},
    )
    task = "multiclass_classification"
    assert recorded(none, task) == {"accuracy": 1.0, "confidence": [None, 0.5, None]}
    pixels = {"confusion": np.zeros((1, 2, 2), np.int64), "pixels": np.zeros(1, np.int64)}
    empty = Scores(np.arange(1), pixels | {"confidence_sum": np.zeros((1, 2))}, None, 0.0, {})
    assert recorded(empty, "binary_segmentation") == {
        "accuracy": None,
        "iou": None,
        "confidence": [None, None],
    }
    assert pooled_confusion(outputs_of(none, task)).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def chosen(values, by):
    """The epoch that is kept: the earliest that is better than all before it."""
    best, kept = None, 0
    for number in range(1, len(values) + 1):
        value = by.steadied(values[:number])
        if by.is_better(value, best):
            best, kept = value, number
    return kept


def test_of_a_segmentation_the_median_of_three_epochs_chooses_and_of_images_the_epoch_itself():
    dice, log_loss = selector("auto", "binary_segmentation"), selector("auto", "binary_classification")
    lucky = [0.5, 0.6, 0.95, 0.6, 0.7, 0.72, 0.71]
    assert chosen(lucky, dice) == 7  # medians 0.5, 0.55, 0.6, 0.6, 0.7, 0.7, 0.71
    assert chosen([-value for value in lucky], log_loss) == 3
    assert chosen([0.8, 0.9, 0.1, 0.1], dice) == 2  # of two epochs, the median of those there are
    assert chosen([0.7, 0.7, 0.7, 0.7], dice) == 1
    assert chosen([float("nan"), 0.5, float("nan"), 0.4], dice) == 2
    assert chosen([float("nan"), float("nan")], dice) == 1


def test_the_kept_epoch_is_itself_no_worse_than_the_median_that_chose_it():
    drawn = np.random.default_rng(0).random((300, 12)).round(1)
    dice = selector("auto", "binary_segmentation")
    for values in drawn.tolist():
        kept = chosen(values, dice)
        assert values[kept - 1] >= dice.steadied(values[:kept])


def test_a_fit_keeps_the_epoch_of_the_best_median_and_patience_counts_from_it(tmp_path):
    options = {"optimizer": {"sgd": {"lr": 0.3}}, "epochs": 40, "patience_epochs": 3}
    result, _ = fit(tmp_path / "fit", "binary_segmentation", **options)
    values = [record["val_score"] for record in result["epochs"]]
    medians = [np.median(values[max(0, n - 3) : n]) for n in range(1, len(values) + 1)]
    assert [record["val_steady"] for record in result["epochs"]] == pytest.approx(medians)
    assert result["best_epoch"] == 1 + int(np.argmax(medians))
    assert len(values) == min(40, result["best_epoch"] + 3)


@pytest.mark.parametrize("select", ["nsd", "pixel_auroc", "pixel_mcc_pooled"])
def test_masks_may_be_chosen_by_boundaries_rankings_and_correlations(tmp_path, select):
    task = "binary_segmentation"
    chosen = settings(task) | {"select": select, "tolerance_px": 1.0}
    result = fit_item(job(chosen, tmp_path, packed=tiny(task), split=SPLIT))
    assert result["select"].startswith(select)
    assert all(-1 <= record["val_score"] <= 1 for record in result["epochs"])


def test_training_and_validation_loss_are_one_formula(tmp_path):
    """Without dropout, augmentation or a step that moves anything, both are the mean over the same images."""
    packed = tiny("binary_segmentation")
    still = {"optimizer": {"sgd": {"lr": 1e-12, "momentum": 0}}, "loss": "cross_entropy", "epochs": 1}
    model = {"unet": {"width": 4, "norm": "none"}}
    result, _ = fit(
        tmp_path / "fit", "binary_segmentation", packed=packed, model=model, batch_size=4, **still
    )
    saved = read_model(tmp_path / "fit")
    network = saved.rebuild(read_weights(tmp_path / "fit" / "weights.safetensors"))
    batches = Pictures(packed, saved.normalization, CPU).whole(SPLIT.train, batch_size=5)
    forward = ForwardPass("binary_segmentation", 2, CPU)
    loss = evaluate(network, batches, forward, loss=lambda p, t: torch.nn.functional.cross_entropy(p, t)).loss
    assert (
        len(SPLIT.train) % 4
    )  # the last batch is smaller, so that a sum over batches would be another number
    assert result["epochs"][0]["train_loss"] == pytest.approx(loss, rel=1e-5)


def test_watched_images_are_of_the_inner_validation_and_spread_over_the_foreground():
    packed = tiny("binary_segmentation")
    inner = np.arange(4, 16)
    share = [packed.measures[case].class_pixels[1] / 256 for case in range(24)]
    watched = list(images_to_watch(packed, inner))
    assert set(watched) <= set(inner.tolist())
    ordered = sorted(inner.tolist(), key=lambda case: (share[case], case))
    assert watched == [ordered[2], ordered[6], ordered[10]]
    assert list(images_to_watch(packed, inner[::-1])) == watched
    assert len(images_to_watch(packed, inner[:2])) == 2


def test_large_images_and_many_classes_are_watched_at_a_coarser_grid():
    sizes = ((1000, 300),) * 24
    assert set(images_to_watch(tiny("binary_segmentation", sizes=sizes), SPLIT.validation).values()) == {4}
    packed = tiny("binary_segmentation", sizes=((256, 256),) * 24)
    packed.classes = tuple(map(str, range(100)))
    assert set(images_to_watch(packed, SPLIT.validation).values()) == {3}


@pytest.mark.parametrize(("epochs", "ended"), [(30, 30), (30, 11), (1, 1), (2, 2), (1000, 700)])
def test_the_first_the_chosen_and_the_last_epoch_are_kept_and_six_at_most(tmp_path, epochs, ended):
    watch, best = WatchedImages({5: 1}, epochs), max(1, ended // 2 + 1)
    for epoch in range(1, ended + 1):
        seen = {5: np.full((2, 1, 1), epoch, np.float16)}
        watch.keep(epoch, seen, is_best=epoch in (1, 2, best))
        assert len(watch._kept) <= 7
    one_pixel = SimpleNamespace(target=lambda case: np.zeros((1, 1), np.uint8))
    losses = losses_to_map(
        Choice(name="dice"), task="binary_segmentation", num_classes=2, class_counts=np.ones(2)
    )
    watch.write(tmp_path / "watched.npz", one_pixel, losses=losses, class_pixels=np.array([3, 4]))
    with np.load(tmp_path / "watched.npz", allow_pickle=False) as arrays:
        kept = arrays["epochs"].tolist()
        assert arrays["5"][:, 0, 0, 0].tolist() == kept
    assert {1, best, ended} <= set(kept) <= epochs_to_keep(epochs) | {best, ended}
    assert len(kept) <= 6


def test_watched_probabilities_are_those_of_the_network_at_that_epoch(tmp_path):
    sizes = ((20, 300),) * 24
    packed = tiny("multiclass_segmentation", sizes=sizes)
    result, _ = fit(tmp_path / "fit", "multiclass_segmentation", packed=packed, crop_px=16)
    with np.load(tmp_path / "fit" / "watched.npz", allow_pickle=False) as arrays:
        watched = dict(arrays)
    assert watched["epochs"].tolist() == [1, 2]
    assert watched["strides"].tolist() == [2, 2, 2]
    assert (
        watched["class_pixels"].tolist()
        == np.sum([packed.measures[case].class_pixels for case in SPLIT.train], 0).tolist()
    )
    cases = watched["cases"]
    assert set(cases.tolist()) <= set(SPLIT.validation.tolist())
    p, _ = said(tmp_path / "fit", packed, cases)
    for case, wanted in zip(cases.tolist(), p, strict=True):
        got = watched[str(case)]
        assert (got.shape, got.dtype) == ((2, 3, 10, 150), np.float16)
        np.testing.assert_allclose(got[result["best_epoch"] - 1], wanted[:, ::2, ::2], atol=2e-3)


def test_maps_of_losses_are_those_of_the_watched_images(tmp_path):
    sizes = ((20, 300),) * 24
    packed = tiny("binary_segmentation", sizes=sizes)
    result, _ = fit(tmp_path / "fit", "binary_segmentation", packed=packed, crop_px=16)
    assert result["loss"] == "dice_cross_entropy"
    with np.load(tmp_path / "fit" / "watched.npz", allow_pickle=False) as arrays:
        watched = dict(arrays)
    names = watched["losses"].tolist()
    assert names[0] == "dice_cross_entropy"
    assert {"focal", "binary_focal"} < set(names)
    case = int(watched["cases"][0])
    p, target = watched[str(case)].astype(np.float32), packed.target(case)[::2, ::2].astype(np.int64)
    maps, means = watched[f"loss_maps_{case}"], watched[f"image_losses_{case}"]
    # 10 x 150 watched pixels are drawn as 5 x 75: a map is no longer than 128.
    assert (maps.shape, maps.dtype) == ((len(names), 2, 5, 75), np.float16)
    for name, of_image in zip(names, means, strict=True):
        loss = make_loss(Choice(name=name), task="binary_segmentation", num_classes=2)
        for epoch in (0, 1):
            logits = torch.from_numpy(p[epoch : epoch + 1]).clamp(min=1e-7).log()
            wanted = float(loss(logits, torch.from_numpy(target)[None]))
            assert of_image[epoch] == pytest.approx(wanted, rel=1e-4)
    np.testing.assert_allclose(maps.astype(float).mean((2, 3)), means, rtol=1e-3)


def test_blocks_of_a_map_are_means_of_what_counts():
    logits = np.log(np.array([0.5, 0.25]))
    p = np.full((1, 2, 1, 130), 0.5, np.float16)
    truth = np.zeros((1, 130), np.uint8)
    p[0, :, 0, 0] = (0.25, 0.75)
    truth[0, 1], truth[0, 2:4] = IGNORE, IGNORE
    loss = make_loss(Choice(name="cross_entropy"), task="binary_segmentation", num_classes=2)
    maps, _ = loss_maps(p, truth, {"cross_entropy": loss})
    assert maps.shape == (1, 1, 1, 65)
    assert maps[0, 0, 0, 0] == pytest.approx(-logits[1], rel=1e-3)  # the pixel beside it does not count
    assert np.isnan(maps[0, 0, 0, 1])
    assert maps[0, 0, 0, 2:] == pytest.approx(-logits[0], rel=1e-3)


@pytest.mark.parametrize(("loss", "drawn"), [("dice", False), ("cross_entropy", True)])
def test_the_curve_of_a_loss_is_written_where_it_has_one(tmp_path, loss, drawn):
    fit(tmp_path / "fit", "binary_segmentation", loss=loss, epochs=1)
    assert (tmp_path / "fit" / "loss_curve.npz").exists() == drawn


@pytest.mark.parametrize("place", [{"fold": 1}, {"repeat": 1}])
def test_other_folds_watch_nothing(tmp_path, place):
    asked = settings("binary_segmentation", epochs=1) | place
    packed = tiny("binary_segmentation")
    fit_item(job(asked, tmp_path, packed=packed, split=SPLIT))
    assert not (tmp_path / "watched.npz").exists()
