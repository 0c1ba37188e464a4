"""Folds of several labels beside those of iterative-stratification: every label as level, and the rarest not worse."""

import numpy as np
import pytest
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from foldwise.data.folds.strata import deal


def labels(seed, images=400, classes=12):
    """(n, K) labels that overlap, the rarest some dozen times; every image has one at least, as both need."""
    rng = np.random.default_rng(seed)
    shares = np.geomspace(0.5, 0.03, classes)
    hard = rng.normal(size=(images, 1))  # what makes labels come together
    drawn = rng.normal(size=(images, classes)) * 0.8 + hard * 0.6 < np.quantile(rng.normal(size=5000), shares)
    drawn[~drawn.any(axis=1), 0] = True
    return drawn


def ours(drawn, folds, seed):
    """(folds, K) images of every label in every fold."""
    sizes = np.ones(len(drawn), dtype=np.int64)
    rng = np.random.default_rng(seed)
    fold = deal(drawn.astype(np.int64), sizes, shares=[1 / folds] * folds, rng=rng)
    return np.array([drawn[fold == part].sum(axis=0) for part in range(folds)])


def theirs(drawn, folds, seed):
    split = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    return np.array([drawn[test].sum(axis=0) for _, test in split.split(drawn, drawn.astype(int))])


def spread(counts):
    """(K,) images of a label between the fold that has most and the one that has least."""
    return counts.max(axis=0) - counts.min(axis=0)


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("seed", range(6))
def test_the_rarest_label_is_no_less_level(seed, folds):
    drawn = labels(seed)
    rarest = drawn.sum(axis=0).argmin()
    own, known = (spread(make(drawn, folds, seed)) for make in (ours, theirs))
    assert own[rarest] <= min(known[rarest], 1)


@pytest.mark.parametrize("folds", [3, 5])
def test_all_labels_are_as_level_on_the_whole(folds):
    own, known = (
        np.mean([spread(make(labels(seed), folds, seed)).mean() for seed in range(6)])
        for make in (ours, theirs)
    )
    assert own <= 1.1 * known


def test_every_image_is_dealt_once_by_both():
    drawn = labels(0)
    for make in (ours, theirs):
        assert (make(drawn, 5, 0).sum(axis=0) == drawn.sum(axis=0)).all()
