"""Every metric against an independent implementation: scikit-learn, or a formula written out."""

import numpy as np
import pytest
from outputs_to_score import alone, classifier, pixels, segmented
from sklearn import metrics as oracle

from foldwise.metrics.influence import unit_scores
from foldwise.metrics.outputs import Outputs, predicted
from foldwise.metrics.ratios import image_dice
from foldwise.metrics.table import METRICS, metrics_of


def value(name, outputs):
    return unit_scores(METRICS[name], outputs, alone(len(outputs.case))).estimate


def single(outputs):
    return outputs.truth.argmax(axis=1), outputs.probabilities.argmax(axis=1), outputs.probabilities


SINGLE = {
    "accuracy": lambda y, p, s: oracle.accuracy_score(y, p),
    "balanced_accuracy": lambda y, p, s: oracle.balanced_accuracy_score(y, p),
    "precision_macro": lambda y, p, s: oracle.precision_score(y, p, average="macro"),
    "f1_macro": lambda y, p, s: oracle.f1_score(y, p, average="macro"),
    "f1_micro": lambda y, p, s: oracle.f1_score(y, p, average="micro"),
    "f1_weighted": lambda y, p, s: oracle.f1_score(y, p, average="weighted"),
    "recall_macro": lambda y, p, s: oracle.recall_score(y, p, average="macro"),
    "recall_weighted": lambda y, p, s: oracle.recall_score(y, p, average="weighted"),
    "precision_weighted": lambda y, p, s: oracle.precision_score(y, p, average="weighted"),
    "log_loss": lambda y, p, s: oracle.log_loss(y, s),
    "mcc": lambda y, p, s: oracle.matthews_corrcoef(y, p),
    "kappa": lambda y, p, s: oracle.cohen_kappa_score(y, p),
}
BINARY = SINGLE | {
    "sensitivity": lambda y, p, s: oracle.recall_score(y, p),
    "specificity": lambda y, p, s: oracle.recall_score(y, p, pos_label=0),
    "precision": lambda y, p, s: oracle.precision_score(y, p),
    "f1": lambda y, p, s: oracle.f1_score(y, p),
    "auroc": lambda y, p, s: oracle.roc_auc_score(y, s[:, 1]),
    "average_precision": lambda y, p, s: oracle.average_precision_score(y, s[:, 1]),
    "brier": lambda y, p, s: oracle.brier_score_loss(y, s[:, 1]),
}
MULTICLASS = SINGLE | {
    "specificity_macro": lambda y, p, s: np.mean([oracle.recall_score(y != k, p != k) for k in range(4)]),
    "auroc_macro": lambda y, p, s: oracle.roc_auc_score(y, s, multi_class="ovr"),
    "average_precision_macro": lambda y, p, s: oracle.average_precision_score(
        np.eye(4)[y], s, average="macro"
    ),
    "brier": lambda y, p, s: ((s - np.eye(4)[y]) ** 2).sum(axis=1).mean(),
    "kappa_linear": lambda y, p, s: oracle.cohen_kappa_score(y, p, weights="linear"),
    "kappa_quadratic": lambda y, p, s: oracle.cohen_kappa_score(y, p, weights="quadratic"),
}
MULTILABEL = {
    "exact_match": lambda y, p, s: oracle.accuracy_score(y, p),
    "label_accuracy": lambda y, p, s: 1 - oracle.hamming_loss(y, p),
    "balanced_accuracy_macro": lambda y, p, s: np.mean(
        [oracle.balanced_accuracy_score(y[:, k], p[:, k]) for k in range(5)]
    ),
    "recall_macro": lambda y, p, s: oracle.recall_score(y, p, average="macro"),
    "specificity_macro": lambda y, p, s: oracle.recall_score(~y, ~p, average="macro"),
    "precision_macro": lambda y, p, s: oracle.precision_score(y, p, average="macro"),
    "f1_macro": lambda y, p, s: oracle.f1_score(y, p, average="macro"),
    "f1_micro": lambda y, p, s: oracle.f1_score(y, p, average="micro"),
    "f1_weighted": lambda y, p, s: oracle.f1_score(y, p, average="weighted"),
    "recall_weighted": lambda y, p, s: oracle.recall_score(y, p, average="weighted"),
    "precision_weighted": lambda y, p, s: oracle.precision_score(y, p, average="weighted"),
    "auroc_macro": lambda y, p, s: oracle.roc_auc_score(y, s, average="macro"),
    "average_precision_macro": lambda y, p, s: oracle.average_precision_score(y, s, average="macro"),
    "brier": lambda y, p, s: ((y - s) ** 2).mean(),
    "log_loss": lambda y, p, s: np.mean([oracle.log_loss(y[:, k], s[:, k]) for k in range(5)]),
}


@pytest.mark.parametrize("name", metrics_of("binary"))
def test_binary(name):
    outputs = classifier("binary")
    assert value(name, outputs) == pytest.approx(BINARY[name](*single(outputs)))


@pytest.mark.parametrize("name", metrics_of("multiclass"))
def test_multiclass(name):
    outputs = classifier("multiclass")
    assert value(name, outputs) == pytest.approx(MULTICLASS[name](*single(outputs)))


@pytest.mark.parametrize("name", metrics_of("multilabel"))
def test_multilabel(name):
    outputs = classifier("multilabel")
    assert value(name, outputs) == pytest.approx(
        MULTILABEL[name](outputs.truth, predicted(outputs), outputs.probabilities)
    )


def over_images(score):
    def mean(truth, chosen, said):
        images = zip(truth, chosen, said, strict=True)
        return np.mean([np.mean([score(t == k, c == k, s[:, k]) for k in (1, 2)]) for t, c, s in images])

    return mean


def pooled(score):
    return lambda t, c, s: np.mean([score((t == k).ravel(), (c == k).ravel()) for k in (1, 2)])


def rim(mask):
    """Pixels of a square mask that have a neighbour outside it."""
    whole = np.pad(mask.reshape(20, 20), 1)
    inside = whole[:-2, 1:-1] & whole[2:, 1:-1] & whole[1:-1, :-2] & whole[1:-1, 2:]
    return (mask.reshape(20, 20) & ~inside).ravel()


SEGMENTATION = {
    "dice_img_macro": over_images(lambda t, c, s: oracle.f1_score(t, c)),
    "dice_img_macro_empty_one": over_images(lambda t, c, s: oracle.f1_score(t, c)),
    "dice_img_macro_nonempty": over_images(lambda t, c, s: oracle.f1_score(t, c)),
    "dice_pooled_macro": pooled(oracle.f1_score),
    "iou_img_macro": over_images(lambda t, c, s: oracle.jaccard_score(t, c)),
    "iou_pooled_macro": pooled(oracle.jaccard_score),
    "nsd_img_macro": over_images(lambda t, c, s: oracle.f1_score(rim(t), rim(c))),  # at a tolerance of 0
    "pixel_accuracy_img": lambda t, c, s: (t == c).mean(),
    "pixel_accuracy_pooled": lambda t, c, s: (t == c).mean(),
    "pixel_sensitivity_pooled_macro": pooled(oracle.recall_score),
    "pixel_specificity_pooled_macro": pooled(lambda t, c: oracle.recall_score(~t, ~c)),
    "pixel_precision_pooled_macro": pooled(oracle.precision_score),
    "pixel_mcc_pooled": lambda t, c, s: oracle.matthews_corrcoef(t.ravel(), c.ravel()),
    "pixel_kappa_pooled": lambda t, c, s: oracle.cohen_kappa_score(t.ravel(), c.ravel()),
    "pixel_auroc_img_macro": over_images(lambda t, c, s: oracle.roc_auc_score(t, s)),
    "pixel_ap_img_macro": over_images(lambda t, c, s: oracle.average_precision_score(t, s)),
    "false_positive_image_rate_macro": lambda t, c, s: float("nan"),  # no image lacks a class
    "brier_img": lambda t, c, s: ((s - np.eye(3)[t]) ** 2).sum(axis=2).mean(),
    "log_loss_img": lambda t, c, s: oracle.log_loss(t.ravel(), s.reshape(-1, 3)),
}


@pytest.mark.parametrize("name", metrics_of("segmentation"))
def test_segmentation(name):
    outputs, *raw = pixels()
    near = 0.01 if name in ("pixel_auroc_img_macro", "pixel_ap_img_macro") else 1e-9  # histograms, not scores
    assert value(name, outputs) == pytest.approx(SEGMENTATION[name](*raw), abs=near, nan_ok=True)


FOUR = segmented((900, 50, 50), (5, 5, 5), (0, 0, 0), (0, 3, 0))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dice_pooled_macro", 0.941),
        ("dice_img_macro", 0.482),
        ("dice_img_macro_empty_one", 0.612),
        ("dice_img_macro_nonempty", 0.724),
        ("false_positive_image_rate_macro", 0.5),
    ],
)
def test_the_four_images_of_the_design(name, expected):
    assert value(name, FOUR) == pytest.approx(expected, abs=5e-4)


def test_macro_precision_of_the_gel_table():
    # 11 of 11 positives found, 1 negative called positive: row 16 of the seed.
    truth = np.repeat([1, 0], 11)
    said = np.concatenate([np.ones(12), np.zeros(10)]).astype(int)
    outputs = Outputs(
        "binary", np.arange(22), np.zeros(22, dtype=int), np.eye(2, dtype=bool)[truth], np.eye(2)[said]
    )
    assert value("precision_macro", outputs) == pytest.approx(0.95833, abs=5e-6)


def test_dice_of_half_overlap():
    assert image_dice(segmented((10, 5, 5)))[0, 1] == pytest.approx(2 / 3)


def test_an_accuracy_of_92_percent_leaves_dice_nearly_open():
    # 160 of 2000 pixels are wrong, and a tenth of all are foreground: each may be missed, or said where it is not.
    found = []
    for missed in range(0, 161, 10):
        image = segmented((200 - missed, 160 - missed, missed))
        assert value("pixel_accuracy_pooled", image) == pytest.approx(0.92)
        found.append(value("dice_pooled_macro", image))
    assert (min(found), max(found)) == pytest.approx((1 / 3, 0.7143), abs=5e-5)
