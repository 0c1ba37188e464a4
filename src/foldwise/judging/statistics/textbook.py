"""Textbook tests of paired scores, each by its name; what they say in a verdict is in `sections/textbook.py`.

A test gives a dict of plain numbers: its ``statistic`` and ``p``, or what its docstring names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest, f, friedmanchisquare, rankdata, studentized_range, t, wilcoxon

from foldwise.metrics.outputs import Floats

Numbers = dict[str, Any]


def _t(differences: Floats, share: float) -> tuple[float, float, float]:
    """Mean, standard error and t of differences whose mean has `share` of their variance."""
    mean, error = float(differences.mean()), float(np.sqrt(share * differences.var(ddof=1)))
    if error > 0:
        return mean, error, mean / error
    return mean, error, 0.0 if mean == 0 else float(np.copysign(np.inf, mean))


def _two_sided(differences: Floats, share: float) -> Numbers:
    statistic = _t(differences, share)[2]
    return {"statistic": statistic, "p": float(2 * t.sf(abs(statistic), len(differences) - 1))}


def corrected_t(differences: Floats, *, num_folds: int) -> Numbers:
    """``statistic`` and two-sided ``p`` of the t test corrected for training sets that overlap.

    Without scatter t is 0 where all differences are 0, else infinite, with a p of 0.

    Args:
        differences: (J,) of the scores of every fold of every repeat, J >= 2.
        num_folds: K; a test fold is 1 / (K - 1) of what the learner gets, its validation part included.

    Source: Nadeau & Bengio 2003, Machine Learning 52:239.
    """
    return _two_sided(differences, 1 / len(differences) + 1 / (num_folds - 1))


def correlated_t(differences: Floats, *, num_folds: int, margin: float) -> Numbers:
    """``worse``, ``equivalent``, ``better``: the posterior probability below, within and above the margin; sum 1.

    Without scatter all of it lies at the mean.

    Args:
        differences: (J,) as for `corrected_t`.
        num_folds: K.
        margin: a difference of at most this is of no consequence.

    Source: Corani & Benavoli 2015, Machine Learning 100:285, with the correlation 1 / K of equal folds.
    """
    J = len(differences)
    mean, error, _ = _t(differences, 1 / J + 1 / (num_folds - 1))
    if error == 0:
        worse, better = float(mean < -margin), float(mean > margin)
    else:
        worse, better = (float(t.sf((margin + side * mean) / error, J - 1)) for side in (1, -1))
    return {"worse": worse, "equivalent": 1 - worse - better, "better": better}


def paired_t(differences: Floats) -> Numbers:
    """``statistic`` and two-sided ``p`` of Student's t test; without scatter as `corrected_t`."""
    return _two_sided(differences, 1 / len(differences))


def signed_rank(differences: Floats) -> Numbers:
    """``statistic`` (the smaller sum of ranks) and two-sided ``p``; exact for few differences without ties, else normal.

    1 where all differences are 0.

    Source: Wilcoxon 1945, Biometrics Bulletin 1:80.
    """
    if not differences.any():
        return {"statistic": 0.0, "p": 1.0}
    test = wilcoxon(differences)
    return {"statistic": float(test.statistic), "p": float(test.pvalue)}


def mcnemar(right: Floats, other: Floats) -> Numbers:
    """How many images are right in the one or the other only (``only_winner``, ``only_other``), and the exact ``p``.

    1 where there is none.

    Args:
        right, other: (n,) 1 where an image is right, else 0.

    Source: McNemar 1947, Psychometrika 12:153; exact by the binomial distribution.
    """
    winner, rival = int((right > other).sum()), int((right < other).sum())
    p = binomtest(winner, winner + rival).pvalue if winner + rival else 1.0
    return {"only_winner": winner, "only_other": rival, "p": float(p)}


def friedman(scores_CG: Floats, *, alpha: float) -> Numbers:
    """``mean_ranks`` (1 is best), ``chi2`` and its ``p``, ``F`` and ``p_F``, and ``critical_difference`` of two mean ranks.

    Chi-square is corrected for ties. F is infinite where every unit ranks alike. Where all scores of every unit are
    equal both are 0.

    Args:
        scores_CG: higher is better; three or more configurations, two or more units.
        alpha: of the critical difference, which holds for all pairs together.

    Source: Demsar 2006, Journal of Machine Learning Research 7:1.
    """
    C, n = scores_CG.shape
    ranks = rankdata(-scores_CG, axis=0).mean(axis=1)
    differ = (scores_CG != scores_CG[0]).any()
    chi2, p = friedmanchisquare(*scores_CG) if differ else (0.0, 1.0)
    ratio = iman_davenport(float(chi2), C, n)
    quantile = studentized_range.ppf(1 - alpha, C, np.inf) / np.sqrt(2)
    return {
        "mean_ranks": ranks.tolist(),
        "chi2": float(chi2),
        "p": float(p),
        "F": ratio,
        "p_F": float(f.sf(ratio, C - 1, (C - 1) * (n - 1))),
        "critical_difference": float(quantile * np.sqrt(C * (C + 1) / (6 * n))),
    }


def iman_davenport(chi2: float, C: int, n: int) -> float:
    """Friedman's chi-square of C configurations and n units as F with C - 1 and (C - 1)(n - 1) degrees of freedom."""
    left = n * (C - 1) - chi2
    return (n - 1) * chi2 / left if left > 1e-9 else float("inf")


def holm(p: Floats) -> Floats:
    """(m,) p values that hold for all m tests together, by Holm's steps, each at most 1.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
    """
    order = np.argsort(p)
    # An adjusted value is never below that of a smaller p, or the order of the tests would change.
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
