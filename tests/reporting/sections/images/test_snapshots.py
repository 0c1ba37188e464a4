"""How far configurations differ at every pixel of a watched image, through training."""

import numpy as np
import pytest

from foldwise.reporting.sections.images.snapshots import minority, most_possible, through_training
from foldwise.study.spec import IGNORE


def written(path, epochs, said_EHW, classes=2):
    """A file of one watched image, number 3, in which these classes are the likeliest."""
    p = np.eye(classes)[np.asarray(said_EHW)].transpose(0, 3, 1, 2)
    np.savez(path, epochs=np.array(epochs), cases=np.array([3]), **{"3": p.astype(np.float16)})
    return path


def test_the_minority_is_who_does_not_say_what_most_say():
    said = np.array([[0, 1, 2], [0, 1, 1], [0, 0, 0], [0, 1, 2]])
    assert minority(said).tolist() == [0, 0.25, 0.5]
    every = np.random.default_rng(0).integers(0, 3, (7, 40))
    counted = [1 - max(column.tolist().count(k) for k in range(3)) / 7 for column in every.T]
    assert minority(every) == pytest.approx(np.array(counted))


@pytest.mark.parametrize(("num", "classes", "most"), [(2, 2, 0.5), (3, 2, 1 / 3), (5, 2, 0.4), (3, 4, 2 / 3), (9, 4, 2 / 3)])  # fmt: skip
def test_the_scale_ends_where_they_can_differ_no_more(num, classes, most):
    assert most_possible(num, classes) == pytest.approx(most)
    spread = np.arange(num) % classes
    assert minority(spread[:, None]).tolist() == pytest.approx([most])


def test_one_that_stopped_says_what_it_said_and_what_does_not_count_is_left_out(tmp_path):
    truth = np.array([[0, 1], [1, IGNORE]], np.uint8)
    files = [
        written(tmp_path / "a.npz", [1, 2, 4], [[[0, 0], [0, 0]], [[0, 1], [0, 0]], [[0, 1], [1, 1]]]),
        written(tmp_path / "b.npz", [1, 2], [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]),
    ]
    num, found = through_training(files, 3, truth)
    assert num == 2
    assert [epoch for epoch, _ in found] == [1, 2, 4]
    wanted = ([[0.5, 0], [0, np.nan]], [[0, 0.5], [0, np.nan]], [[0, 0.5], [0.5, np.nan]])
    for (_, share), expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(share, expected)


def test_epochs_that_few_watched_are_left_out_but_not_the_last(tmp_path):
    truth, said = np.zeros((1, 1), np.uint8), [[[0]], [[0]]]
    files = [
        written(tmp_path / f"{n}.npz", epochs, said) for n, epochs in enumerate([(1, 5), (1, 6), (1, 9)])
    ]
    assert [epoch for epoch, _ in through_training(files, 3, truth)[1]] == [1, 9]


def test_a_single_configuration_and_other_sizes_are_not_compared(tmp_path):
    one = written(tmp_path / "a.npz", [1], [[[0, 1]]])
    other = written(tmp_path / "b.npz", [1], [[[0, 1, 1]]])
    truth = np.zeros((1, 2), np.uint8)
    assert through_training([one], 3, truth) == (1, [])
    assert through_training([one, other], 3, truth) == (1, [])
    assert through_training([one, one], 4, truth) == (0, [])
