"""Sampling by rarity: chances against counting, draws that follow them, and only training images."""

from itertools import islice, product
from types import SimpleNamespace

import numpy as np
import pytest

from foldwise.data.batches.sampling import (
    balanced_order,
    epoch_order,
    presence,
    rarity,
    smallest_batch,
    step_seed,
    step_seeds,
    stratified_sample,
)
from foldwise.study.training import Training

LABELS = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=np.uint8)


def packed(task, **parts):
    return SimpleNamespace(task=task, classes=("a", "b", "c"), **parts)


def test_presence_of_labels_classes_and_masks():
    several = presence(packed("multilabel_classification", labels=LABELS), np.array([2, 4]))
    assert several.tolist() == [[True, True, False, False], [False, False, False, True]]
    one = presence(packed("multiclass_classification", labels=np.array([0, 2, 1])), np.array([1, 2]))
    assert one.tolist() == [[False, False, True, False], [False, True, False, False]]
    measures = [SimpleNamespace(class_pixels=pixels) for pixels in ([9, 0, 0], [5, 4, 0])]
    masks = presence(packed("multiclass_segmentation", measures=measures), np.array([0, 1]))
    assert masks.tolist() == [[False, False, False, True], [False, True, False, False]]


def test_the_rarest_label_of_an_image_says_how_often_it_is_drawn():
    there = presence(packed("multilabel_classification", labels=LABELS), np.arange(6))
    weights = np.array([1 / 4, 1 / 4, 1, 1 / 4, 1, 1])  # label 0 is in four images, the others in one
    assert rarity(there) == pytest.approx(weights / weights.sum())


def test_of_one_label_an_image_every_class_is_drawn_as_often():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    chances = rarity(presence(packed("multiclass_classification", labels=labels), np.arange(100)))
    order = balanced_order(np.arange(100), chances, batch_size=50, seed=1, epoch=1, steps=60)
    drawn = np.bincount(labels[np.concatenate(order)], minlength=3) / 3000
    assert drawn == pytest.approx([1 / 3] * 3, abs=0.03)


def test_batches_are_whole_follow_the_seed_and_hold_training_cases_only():
    train = np.array([3, 5, 8, 13, 21])
    chances = np.full(5, 0.2)
    how = {"batch_size": 2, "seed": 4}
    first = balanced_order(train, chances, epoch=1, **how)
    assert [len(batch) for batch in first] == [2, 2, 2]
    assert set(np.concatenate(first)) <= set(train)
    assert np.array_equal(first, balanced_order(train, chances, epoch=1, **how))
    assert not np.array_equal(first, balanced_order(train, chances, epoch=2, **how))
    assert len(balanced_order(train, chances, epoch=1, steps=7, **how)) == 7


def test_the_smallest_batch_is_the_one_that_is_dealt():
    """Against every order there is of a few images: last batches, one that is left out, more steps than images, balance."""
    for num, size, steps, sampling in product(
        range(1, 20), range(1, 12), (None, 1, 3), ("shuffled", "balanced")
    ):
        asked = Training(model="conv", batch_size=size, steps_per_epoch=steps, sampling=sampling)
        how = {"batch_size": size, "seed": 0, "epoch": 1, "steps": steps}
        chances = np.full(num, 1 / num)
        train = np.arange(num)
        order = epoch_order(train, **how) if sampling == "shuffled" else balanced_order(train, chances, **how)
        assert smallest_batch(num, asked) == min(map(len, order)), asked


@pytest.mark.parametrize("first", [0, 1, 5, 1000])
def test_the_seed_of_a_step_is_its_own_wherever_one_begins(first):
    seeds = list(islice(step_seeds(7, 2, first=first, use=3), 300))
    assert seeds == [step_seed(7, 2, step, use=3) for step in range(first, first + 300)]
    assert len(set(seeds)) == 300


@pytest.mark.parametrize("num", [1, 7, 20, 33, 99, 100, 140])
def test_a_sample_has_every_class_in_its_proportion_and_no_image_twice(num):
    labels = np.random.default_rng(num).permutation(np.repeat([0, 1, 2], [70, 27, 3]))
    there = presence(packed("multiclass_classification", labels=labels), np.arange(100))
    drawn = stratified_sample(there, num, seed=num)
    assert drawn.tolist() == stratified_sample(there, num, seed=num).tolist()
    assert (np.diff(drawn) > 0).all()
    assert len(drawn) == min(num, 100)
    share = min(num, 100) / 100
    assert np.abs(np.bincount(labels[drawn], minlength=3) - share * np.array([70, 27, 3])).max() < 1 + 1e-9


def test_every_image_is_sampled_as_often():
    there = presence(packed("multilabel_classification", labels=LABELS), np.arange(6))
    times = np.bincount(np.concatenate([stratified_sample(there, 4, seed=seed) for seed in range(3000)]))
    assert times == pytest.approx([2000] * 6, rel=0.05)
    assert len({tuple(stratified_sample(there, 4, seed=seed)) for seed in range(100)}) > 3
