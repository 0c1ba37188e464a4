"""Which training images an epoch sees: all of them shuffled, or more often those of rare classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from foldwise.data.cache.packed import Packed
    from foldwise.study.training import Training

DAMAGE, PICTURES, NETWORK = 1, 2, 3  # what random numbers of a step are used for


def epoch_order(
    train: np.ndarray, *, batch_size: int, seed: int, epoch: int, steps: int | None = None
) -> list[np.ndarray]:
    """The case indices of every batch of one epoch: shuffled by seed and epoch alone.

    Args:
        train: case indices of the training part.
        batch_size: cases of a batch; the last may be smaller.
        steps: batches of an epoch. Beyond one pass over the cases, they are shuffled and dealt again; None for
            exactly one pass.

    Returns:
        At least one batch. A last batch of one case is left out where there are others: batch statistics of one
        sample are none, and its gradient would weigh as much as a whole batch.
    """
    shuffler = np.random.default_rng([seed, epoch])
    num_cases = len(train) if steps is None else steps * batch_size
    dealt = np.concatenate([shuffler.permutation(train) for _ in range(math.ceil(num_cases / len(train)))])[
        :num_cases
    ]
    batches = [dealt[start : start + batch_size] for start in range(0, len(dealt), batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches.pop()
    return batches


def smallest_batch(num_train: int, training: Training) -> int:
    """How many images the smallest batch of an epoch has, as `epoch_order` and `balanced_order` deal them."""
    size = training.batch_size
    if training.sampling == "balanced":
        return min(size, num_train)
    if training.steps_per_epoch is not None or num_train % size == 0:
        return size
    left_out = num_train % size == 1 and num_train > size
    return size if left_out else num_train % size


def step_seed(*numbers: int, use: int) -> int:
    """A seed of 63 bits that follows from these numbers, such as fit, epoch and step, and from what it is used for.

    Every step draws from a stream of its own. So whoever goes on with a training in its middle needs no state of any
    generator, and nothing that is drawn elsewhere, or in an earlier step, can change what is drawn here.
    """
    return int(np.random.SeedSequence([*numbers, use]).generate_state(1, np.uint64)[0]) >> 1


def step_seeds(*numbers: int, first: int, use: int) -> Iterator[int]:
    """`step_seed` of these numbers and of each step from the `first` on, without end."""
    # Several together: between two steps of a network, whose work empties the caches, one takes 70 us in place of 9.
    together = 4
    while True:
        yield from [step_seed(*numbers, step, use=use) for step in range(first, first + together)]
        first, together = first + together, min(2 * together, 64)


def step_generators(seed: int, epoch: int, first: int = 0) -> Iterator[torch.Generator]:
    """For crops and augmentation of each step of an epoch from the `first` on, without end; on the CPU, whatever the device."""
    for drawn in step_seeds(seed, epoch, first=first, use=PICTURES):
        yield torch.Generator().manual_seed(drawn)


def presence(packed: Packed, cases: np.ndarray) -> np.ndarray:
    """(n, K + 1) bool: which of the classes each case has, and last whether it has none.

    Of masks, a class is there where any pixel is of it; the background does not count.
    """
    if packed.task.endswith("segmentation"):
        present = np.array([packed.measures[case].class_pixels for case in cases]) > 0
        present[:, 0] = False
    elif packed.task == "multilabel_classification":
        present = packed.labels[cases] > 0
    else:
        present = packed.labels[cases][:, None] == np.arange(len(packed.classes))
    return np.column_stack([present, ~present.any(axis=1)])


def rarity(present: np.ndarray) -> np.ndarray:
    """(n,) the chance of each case to be drawn, one over the number of cases that have its rarest class; its sum is 1.

    Args:
        present: (n, K) which classes each case has, at least one.
    """
    counts = present.sum(axis=0)
    weights = (present / np.maximum(counts, 1)).max(axis=1)
    return np.asarray(weights / weights.sum())


def stratified_sample(present: np.ndarray, num: int, *, seed: int) -> np.ndarray:
    """So many of the cases, ascending, or all where there are no more; drawn by the seed, each with the same chance.

    Of the cases of every rarest class there are as many as its share of all cases makes, give or take one.

    Args:
        present: (n, K) which classes each case has, at least one; see `presence`.
    """
    if num >= len(present):
        return np.arange(len(present))
    drawn = np.random.default_rng([seed, 0, 2])  # epochs, which begin with 1, are shuffled by others
    rarest = (present / np.maximum(present.sum(axis=0), 1)).argmax(axis=1)
    in_order = np.lexsort((drawn.random(len(present)), rarest))
    # Every so manieth of them, from a place between the first two on.
    return np.sort(in_order[(np.arange(num) * len(present) + drawn.integers(len(present))) // num])


def balanced_order(
    train: np.ndarray,
    chances: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    steps: int | None = None,
) -> list[np.ndarray]:
    """As `epoch_order`, drawn with replacement; `chances` are of each training case, see `rarity`.

    By default there are as many batches as one pass over the cases takes, all of one size.
    """
    drawn = np.random.default_rng([seed, epoch, 1])
    steps = -(-len(train) // batch_size) if steps is None else steps
    # Whole batches, as a last one of a single case would have no batch statistics.
    dealt = drawn.choice(train, size=(steps, min(batch_size, len(train))), p=chances)
    return list(dealt)
