"""Scores against plain counting and scikit-learn; the epoch chosen."""

import numpy as np
import pytest
import torch
from numpy_bins import bins_of
from sklearn import metrics
from torch import nn

from foldwise.data.batches.batches import Batch
from foldwise.errors import SpecError
from foldwise.learning.training import scoring
from foldwise.learning.training.scoring import ForwardPass, Scores, decided, evaluate
from foldwise.learning.training.train import outputs_of, selector
from foldwise.metrics.boundary import of_image
from foldwise.metrics.outputs import FAMILIES
from foldwise.metrics.pixel_bins import NUM_BINS, bin_edges
from foldwise.metrics.table import METRICS, metrics_of
from foldwise.study.ranges import IGNORE

CPU = torch.device("cpu")


class Says(nn.Module):
    """A network that says what is written in its images."""

    def forward(self, inputs):
        return inputs


def pixel_batches(classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for size, cases in (((12, 10), [7, 3]), ((9, 14), [5])):
        logits = torch.randn(len(cases), classes, *size, generator=generator) * 2
        target = torch.randint(0, classes, (len(cases), *size), generator=generator)
        target[:, :2] = IGNORE
        yield Batch(logits, target, np.array(cases))


@pytest.mark.parametrize("classes", [2, 4])
def test_pixel_scores_are_what_counting_gives(classes):
    forward = ForwardPass("multiclass_segmentation", classes, CPU)
    scores = evaluate(Says(), pixel_batches(classes), forward, fully=True)
    assert scores.case.tolist() == [3, 5, 7]
    for batch in pixel_batches(classes):
        for logits, target, case in zip(batch.inputs, batch.targets, batch.cases.tolist(), strict=True):
            row = scores.case.tolist().index(case)
            p = logits.softmax(0).numpy().astype(np.float64)
            counted = target.numpy() != IGNORE
            true, pred = target.numpy()[counted], p.argmax(0)[counted]
            got = {name: values[row] for name, values in scores.arrays.items()}
            np.testing.assert_array_equal(
                got["confusion"], metrics.confusion_matrix(true, pred, labels=range(classes))
            )
            assert got["pixels"] == counted.sum()
            p_counted = p[:, counted]
            assert got["log_loss_sum"] == pytest.approx(
                -np.log(p_counted[true, np.arange(len(true))]).sum(), rel=1e-5
            )
            sure = [p_counted[k, true == k].sum() for k in range(classes)]
            np.testing.assert_allclose(got["confidence_sum"], sure, rtol=1e-5)
            errors = ((p_counted.T - np.eye(classes)[true]) ** 2).sum()
            assert got["brier_sum"] == pytest.approx(errors / (2 if classes == 2 else 1), rel=1e-5)
            for k in range(classes):
                said = logits.softmax(0).numpy()
                bins = bins_of(said[k][counted], np.delete(said, k, 0).sum(0)[counted])
                for of_class in (0, 1):
                    wanted = np.bincount(bins[(true == k) == of_class], minlength=NUM_BINS)
                    np.testing.assert_array_equal(got["histogram"][k, of_class], wanted)
            np.testing.assert_array_equal(scores.maps[case], p.argmax(0))


def test_bins_of_torch_are_those_of_numpy():
    generator = torch.Generator().manual_seed(0)
    p = (torch.rand(200_000, generator=generator) * 180 - 90).sigmoid()
    p = torch.cat([p, torch.from_numpy(bin_edges()).float(), torch.rand(200_000, generator=generator)])
    for rest in (1 - p, (1 - p) * 0.999):
        wanted = bins_of(p.numpy(), rest.numpy())
        np.testing.assert_array_equal(scoring.bins_of(p, rest).numpy(), wanted)


@pytest.mark.parametrize("classes", [2, 3])
def test_pixels_surer_than_a_float32_keep_their_order(classes):
    logits = torch.full((1, classes, 1, 60), -90.0)
    logits[0, 0], logits[0, 1] = torch.linspace(0, 60, 60)[None], 0.0
    batch = Batch(logits, torch.zeros(1, 1, 60, dtype=torch.long), np.array([0]))
    forward = ForwardPass("multiclass_segmentation", classes, CPU)
    counted = evaluate(Says(), [batch], forward, fully=True).arrays["histogram"][0]
    assert (logits.softmax(1)[0, 0] == 1).sum() > 40
    assert np.count_nonzero(counted[0, 1]) > 40
    np.testing.assert_array_equal(counted[0, 1, 128:], counted[1, 0, 125::-1])


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_decision_is_the_first_of_the_likeliest_classes(classes):
    p = torch.randint(0, 4, (3, classes, 9, 11), generator=torch.Generator().manual_seed(0)) / 4  # many ties
    assert torch.equal(decided(p), p.argmax(1))


def test_contract_of_the_arrays():
    scores = evaluate(Says(), pixel_batches(3), ForwardPass("multiclass_segmentation", 3, CPU), fully=True)
    kinds = {name: (values.shape, str(values.dtype)) for name, values in scores.arrays.items()}
    assert kinds == {
        "confusion": ((3, 3, 3), "int64"),
        "confidence_sum": ((3, 3), "float64"),
        "histogram": ((3, 3, 2, NUM_BINS), "int32"),
        "log_loss_sum": ((3,), "float64"),
        "brier_sum": ((3,), "float64"),
        "pixels": ((3,), "int64"),
    }
    assert scores.case.dtype == np.int32
    assert (
        "histogram"
        not in evaluate(Says(), pixel_batches(3), ForwardPass("multiclass_segmentation", 3, CPU)).arrays
    )


def test_an_image_of_ignored_pixels_only_counts_nothing():
    batch = Batch(torch.randn(1, 2, 4, 4), torch.full((1, 4, 4), IGNORE), np.array([0]))
    scores = evaluate(Says(), [batch], ForwardPass("binary_segmentation", 2, CPU), fully=True)
    assert all((values == 0).all() for values in scores.arrays.values())


def class_scores(task, seed=0, n=40, classes=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator) * 2
    several = task == "multilabel_classification"
    target = (
        torch.randint(0, 2, (n, classes), generator=generator).float()
        if several
        else torch.randint(0, classes, (n,), generator=generator)
    )
    batches = [
        Batch(logits[i : i + 16], target[i : i + 16], np.arange(n)[::-1][i : i + 16]) for i in range(0, n, 16)
    ]
    loss = nn.BCEWithLogitsLoss() if several else nn.CrossEntropyLoss()
    return evaluate(Says(), batches, ForwardPass(task, classes, CPU), loss=loss), logits, target, loss


def test_probabilities_are_ordered_by_case_and_the_loss_is_the_mean_over_cases():
    scores, logits, target, loss = class_scores("multiclass_classification")
    assert scores.case.tolist() == list(range(40))
    np.testing.assert_allclose(scores.arrays["probabilities"], logits.softmax(1).numpy()[::-1])
    np.testing.assert_array_equal(scores.truth, target.numpy()[::-1])
    assert scores.loss == pytest.approx(float(loss(logits, target)), rel=1e-6)
    several, logits, _, _ = class_scores("multilabel_classification")
    np.testing.assert_allclose(several.arrays["probabilities"], logits.sigmoid().numpy()[::-1])


def by(name, task, scores, **options):
    """The value of an epoch by a metric; masks are those of `pixel_batches`."""
    targets = {
        case: target.numpy().astype(np.uint8)
        for batch in pixel_batches(3)
        for case, target in zip(batch.cases.tolist(), batch.targets, strict=True)
    }
    return selector(name, task, **options).value(scores, targets.__getitem__)


def test_classes_are_scored_as_scikit_learn_does():
    scores, *_ = class_scores("multiclass_classification")
    p, true = scores.arrays["probabilities"].astype(float), scores.truth
    pred = p.argmax(1)
    wanted = {
        "log_loss": metrics.log_loss(true, p / p.sum(1, keepdims=True)),
        "brier": ((p - np.eye(3)[true]) ** 2).sum(1).mean(),
        "accuracy": metrics.accuracy_score(true, pred),
        "balanced_accuracy": metrics.balanced_accuracy_score(true, pred),
        "auroc": metrics.roc_auc_score(true, p / p.sum(1, keepdims=True), multi_class="ovr"),
    }
    got = {name: by(name, "multiclass_classification", scores) for name in wanted}
    assert got == pytest.approx(wanted, rel=1e-5)


def test_labels_are_scored_as_means_over_labels():
    scores, *_ = class_scores("multilabel_classification")
    p, true = scores.arrays["probabilities"].astype(float), scores.truth
    columns = [(true[:, k], p[:, k]) for k in range(3)]
    wanted = {
        "log_loss": np.mean([metrics.log_loss(t, q) for t, q in columns]),
        "brier": np.mean([metrics.brier_score_loss(t, q) for t, q in columns]),
        "label_accuracy": np.mean([metrics.accuracy_score(t, q >= 0.5) for t, q in columns]),
        "balanced_accuracy": np.mean([metrics.balanced_accuracy_score(t, q >= 0.5) for t, q in columns]),
        "f1": np.mean([metrics.f1_score(t, q >= 0.5) for t, q in columns]),
    }
    got = {name: by(name, "multilabel_classification", scores) for name in wanted}
    assert got == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("task", FAMILIES)
def test_an_epoch_may_be_chosen_by_any_metric_of_the_task(task):
    if task.endswith("segmentation"):
        batches = [Batch(b.inputs, b.targets.clamp(max=IGNORE), b.cases) for b in pixel_batches(3)]
        scores = evaluate(Says(), batches, ForwardPass("multiclass_segmentation", 3, CPU), fully=True)
    else:
        scores, *_ = class_scores(task, classes=2 if task.startswith("binary") else 3)
    for name in metrics_of(FAMILIES[task]):
        value = by(name, task, scores, tolerance_px=1.0)
        # Every image has every class: none may be free of it, and nothing be undefined else.
        assert np.isfinite(value) == (name != "false_positive_image_rate_macro"), name


def test_only_what_needs_it_asks_for_masks_and_histograms():
    wanted = {name for name in metrics_of("segmentation") if selector(name, "binary_segmentation").fully}
    assert wanted == {"nsd_img_macro", "pixel_auroc_img_macro", "pixel_ap_img_macro"}


def test_boundary_scores_of_an_epoch_are_those_of_its_masks():
    task = "multiclass_segmentation"
    scores = evaluate(Says(), pixel_batches(3), ForwardPass(task, 3, CPU), fully=True)
    wanted = []
    for batch in pixel_batches(3):
        for target, case in zip(batch.targets.numpy().astype(np.uint8), batch.cases.tolist(), strict=True):
            wanted.append(np.nanmean(of_image(target, scores.maps[case], 3, tolerance_px=1.0)[0]))
    assert by("nsd", task, scores, tolerance_px=1.0) == pytest.approx(np.mean(wanted))


def test_dice_leaves_out_what_is_in_neither_truth_nor_prediction():
    confusion = np.zeros((3, 3, 3), np.int64)
    confusion[0] = [[80, 5, 0], [5, 10, 0], [0, 0, 0]]  # class 2 is nowhere: Dice of class 1 alone, 20 / 30
    confusion[1] = [[99, 0, 1], [0, 0, 0], [0, 0, 0]]  # class 2 only predicted: 0
    confusion[2] = [[100, 0, 0], [0, 0, 0], [0, 0, 0]]  # all background, rightly: left out
    losses = {"log_loss_sum": np.array([10.0, 20.0, 0.0]), "brier_sum": np.zeros(3)}
    task = "multiclass_segmentation"
    scores = Scores(np.arange(3), {"confusion": confusion, **losses}, None, 0.0, {})
    assert by("dice_img_macro", task, scores) == pytest.approx((2 / 3 + 0) / 2)
    assert by("iou_img_macro", task, scores) == pytest.approx((1 / 2 + 0) / 2)
    assert by("log_loss_img", task, scores) == pytest.approx(0.1)
    confusion[2] = 0  # an image without a pixel that counts
    assert by("log_loss_img", task, scores) == pytest.approx(0.15)
    empty = Scores(np.arange(1), {"confusion": confusion[2:]}, None, 0.0, {})
    assert np.isnan(by("dice_img_macro", task, empty))


def test_the_earliest_of_equals_stays_and_a_number_beats_none():
    up, down = selector("auto", "binary_segmentation"), selector("auto", "binary_classification")
    assert up.is_better(0.0, None)
    assert not up.is_better(0.5, 0.5)
    assert up.is_better(0.6, 0.5)
    assert down.is_better(0.4, 0.5)
    assert not down.is_better(0.5, 0.5)
    assert up.is_better(0.0, float("nan"))
    assert not up.is_better(float("nan"), float("nan"))
    assert not up.is_better(float("nan"), 0.1)


def test_auto_and_unknown_selectors():
    assert selector("auto", "binary_classification").metric is METRICS["log_loss"]
    assert selector("auto", "binary_segmentation").metric is METRICS["dice_img_macro"]
    with pytest.raises(SpecError, match="no metric for segmentation tasks is called 'dice_img_marco'"):
        selector("dice_img_marco", "binary_segmentation")


def test_outputs_of_an_epoch_are_in_one_fold_and_ascending():
    scores, *_ = class_scores("multilabel_classification")
    outputs = outputs_of(scores, "multilabel_classification")
    assert set(outputs.fold) == {0}
    assert outputs.case.tolist() == list(range(40))
    assert outputs.truth.dtype == bool


def test_evaluating_leaves_the_mode_and_makes_no_gradients():
    network = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train()
    batch = Batch(torch.randn(6, 4), torch.zeros(6, dtype=torch.long), np.arange(6))
    forward = ForwardPass("multiclass_classification", 3, CPU)
    one, again = (evaluate(network, [batch], forward).arrays["probabilities"] for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert network.training
