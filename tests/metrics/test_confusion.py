"""Functions of a confusion matrix: numbers worked by hand, and where they are undefined."""

import numpy as np
import pytest
from outputs_to_score import drawn_outputs

from foldwise.metrics.confusion import cells, kappa, mcc, pooled_confusion

EVERY = [mcc, kappa(0), kappa(1), kappa(2)]
TABLE = np.array([[20.0, 5.0], [10.0, 15.0]])


def test_a_table_by_hand():
    # (20 x 15 - 5 x 10) / sqrt(25 x 25 x 30 x 20), and 1 - (15 / 50) / 0.5
    assert mcc(TABLE)[0] == pytest.approx(250 / np.sqrt(25 * 25 * 30 * 20))
    for power in (0, 1, 2):  # of two classes all errors are one class off
        assert kappa(power)(TABLE)[0] == pytest.approx(0.4)


def test_an_error_by_two_classes_counts_twice_or_four_times():
    far = np.diag([8.0, 8.0, 8.0])
    far[0, 2] = 1  # one error, two classes off
    near = np.diag([8.0, 8.0, 8.0])
    near[0, 1] = 1
    assert [of(near)[0] > of(far)[0] for of in EVERY[2:]] == [True, True]
    # 25 images; true 9, 8, 8 and decided 8, 8, 9; chance: sum of true x decided x weight.
    assert kappa(1)(far)[0] == pytest.approx(1 - 25 * 2 / (9 * (8 + 2 * 9) + 8 * (8 + 9) + 8 * (2 * 8 + 8)))
    assert kappa(2)(far)[0] == pytest.approx(1 - 25 * 4 / (9 * (8 + 4 * 9) + 8 * (8 + 9) + 8 * (4 * 8 + 8)))


@pytest.mark.parametrize("of", EVERY)
def test_one_true_class_is_undefined_and_one_decision_is_worth_nothing(of):
    assert np.isnan(of(np.array([[7.0, 3.0], [0.0, 0.0]]))[0])
    assert of(np.array([[7.0, 0.0], [3.0, 0.0]]))[0] == pytest.approx(0)


@pytest.mark.parametrize("of", EVERY)
def test_a_class_that_nothing_has_or_is_said_to_have_changes_nothing(of):
    wider = np.zeros((3, 3))
    wider[:2, :2] = TABLE
    assert of(wider)[0] == pytest.approx(of(TABLE)[0])


@pytest.mark.parametrize("family", ["binary", "multiclass", "segmentation"])
def test_values_of_cells_sum_to_those_of_the_pooled_matrix(family):
    outputs = drawn_outputs(family)
    total_KK, of_case = cells(outputs)
    value_KK = np.random.default_rng(0).random(total_KK.shape)
    assert of_case(value_KK).sum() == pytest.approx((value_KK * total_KK).sum())
    assert pooled_confusion(outputs).tolist() == total_KK.tolist()
