"""Influence values: how they scatter, groups, and what is left out."""

import numpy as np
import pytest
from outputs_to_score import alone, classifier, n, segmented
from sklearn import metrics as oracle

from foldwise.metrics.influence import Units, unit_scores, value_of
from foldwise.metrics.outputs import Outputs
from foldwise.metrics.table import METRICS

FOUR = segmented((900, 50, 50), (5, 5, 5), (0, 0, 0), (0, 3, 0))


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1_macro", "precision_macro", "auroc_macro"])
def test_values_scatter_as_a_bootstrap_says(name):
    outputs = classifier("multiclass")
    rng = np.random.default_rng(0)
    found = unit_scores(METRICS[name], outputs, alone())
    resampled = []
    for _ in range(300):
        chosen = rng.integers(0, n, n)
        again = Outputs(
            "multiclass",
            np.arange(n),
            outputs.fold[chosen],
            outputs.truth[chosen],
            outputs.probabilities[chosen],
        )
        resampled.append(value_of(METRICS[name], again))
    assert found.values.std(ddof=1) / np.sqrt(n) == pytest.approx(np.std(resampled), rel=0.2)


def test_groups_count_once_in_a_mean():
    said = np.array([[0.9, 0.1]] * 4)
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=bool)
    outputs = Outputs("binary", np.arange(4), np.zeros(4, dtype=int), truth, said)
    assert unit_scores(METRICS["accuracy"], outputs, Units.from_groups(["a", "a", "a", "b"])).estimate == 0.5


def test_an_absent_class_is_left_out_and_counted():
    outputs = classifier("multiclass")
    kept = outputs.truth[:, 3] == 0
    fewer = Outputs(
        "multiclass",
        np.arange(kept.sum()),
        outputs.fold[kept],
        outputs.truth[kept],
        outputs.probabilities[kept],
    )
    found = unit_scores(METRICS["balanced_accuracy"], fewer, alone(int(kept.sum())))
    truth, said = fewer.truth.argmax(axis=1), fewer.probabilities.argmax(axis=1)
    assert found.num_undefined == 1
    assert found.estimate == pytest.approx(
        oracle.recall_score(truth, said, labels=[0, 1, 2], average="macro")
    )


def test_excluded_images_are_counted():
    found = unit_scores(METRICS["dice_img_macro"], FOUR, alone(4))
    assert found.num_undefined == 1


def test_an_image_that_is_left_out_has_no_influence():
    values = unit_scores(METRICS["dice_img_macro"], FOUR, alone(4)).values
    assert values[2] == pytest.approx(values.mean())
