"""A split that is given, by somebody else or by the groups of the images: its folds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from foldwise.data.cases import Dataset
from foldwise.data.folds.strata import group_numbers
from foldwise.study.spec import LEAVE_ONE_OUT, Validation

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2}


def given_folds(dataset: Dataset, groups: Sequence[str], validation: Validation) -> list[np.ndarray]:
    """Of every fold the part of every case, (n,) of 0 train, 1 validation and 2 test; empty where folds are dealt.

    Args:
        groups: of every case.
        validation: who divides the images.
    """
    if not validation.is_given:
        return []
    parts = [case.part for case in dataset.cases]
    if validation.split == LEAVE_ONE_OUT:
        fold_N = group_numbers(groups)
    elif isinstance(parts[0], int):
        fold_N = np.array(parts, np.int64)
    else:
        return [np.array([PLACES[str(part)] for part in parts], np.int64)]
    return [np.where(fold_N == fold, 2, 0) for fold in range(int(fold_N.max()) + 1)]
