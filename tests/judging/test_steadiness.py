"""Which configurations are unsteady: found where one is, rarely where all are equal, and never where nobody can know."""

import numpy as np
import pytest

from foldwise.judging.inference import run_moments, run_variances
from foldwise.judging.steadiness import unsteady


def drawn(sds, *, n=200, folds=5, repeats=1, seed=0):
    """Scores of images with noise of every run: (C, R, n), and the folds (R, n)."""
    rng = np.random.default_rng(seed)
    fold = np.stack([rng.permutation(n) % folds for _ in range(repeats)])
    image = rng.normal(0.7, 0.1, n)
    runs = rng.normal(size=(len(sds), repeats, folds)) * np.array(sds)[:, None, None]
    own = np.stack([[runs[c, r, fold[r]] for r in range(repeats)] for c in range(len(sds))])
    return image + own + rng.normal(0, 0.05, own.shape), fold


@pytest.mark.parametrize("repeats", [1, 3])
def test_one_that_jumps_from_run_to_run_is_found(repeats):
    found = np.mean(
        [unsteady(*drawn([0.2, *[0.01] * 7], repeats=repeats, seed=s)) for s in range(60)], axis=0
    )
    assert found[0] > 0.85
    assert found[1:].max() < 0.1


@pytest.mark.parametrize("repeats", [1, 3])
def test_equals_are_rarely_called_unsteady(repeats):
    found = np.mean([unsteady(*drawn([0.03] * 8, repeats=repeats, seed=s)) for s in range(150)])
    assert found < 0.04


def test_of_two_nobody_knows_which_and_one_run_says_nothing():
    assert not unsteady(*drawn([0.3, 0.01])).any()
    scores, _ = drawn([0.3, 0.01, 0.01])
    assert not unsteady(scores, np.zeros((1, 200), int)).any()


def test_the_moments_are_those_the_variance_is_made_from():
    scores, fold = drawn([0.05] * 6, repeats=2)
    own, between = run_moments(scores, fold)
    np.testing.assert_array_equal(own, run_variances(scores, fold))
    assert (between > 0).all()
