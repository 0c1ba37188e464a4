"""Which configurations are far less steady than the others from fold to fold and from seed to seed."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

from foldwise.judging.inference import run_moments
from foldwise.judging.outputs import Bools, Floats, Ints

FEWEST = 3  # configurations: of two, nobody knows which one is the odd one
TIMES = 4.0  # the median variance between runs
RARE = 0.99  # how seldom the scatter of fold means of an equal would be as large


def unsteady(scores_CRn: Floats, folds_Rn: Ints) -> Bools:
    """(C,) whether the variance between runs is that of no equal of the others.

    It is more than `TIMES` the median, and the scatter of fold means, which is about a chi-square of
    d = folds - 1 or (repeats - 1) * folds degrees of freedom, is beyond the `RARE` quantile of an equal of the median.

    Args:
        scores_CRn: higher is better; no nan.
        folds_Rn: the test fold of every unit in every repeat.
    """
    C, R, _ = scores_CRn.shape
    num_folds = len(np.unique(folds_Rn))
    d = num_folds - 1 if R == 1 else (R - 1) * num_folds
    if FEWEST > C or d < 1:
        return np.zeros(C, dtype=bool)
    own, between = run_moments(scores_CRn, folds_Rn)
    far = chi2.ppf(RARE, d) / chi2.ppf(0.5, d)
    usual = np.median(np.maximum(own, 0.0))
    return np.asarray((own > TIMES * usual) & (between > far * np.median(between)))
