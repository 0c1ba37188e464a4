"""Variances that are each known from few units, steadied by what all of them together say is usual.

Of the many pairs of a study some have by luck far too small a variance, and the largest of many t values is one of
theirs: with seven groups of images, a test of all pairs that believed them called equals different in one study of seven.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from foldwise.metrics.outputs import Floats

ENOUGH = 500.0  # degrees of freedom: from here on variances are known well by themselves
FEWEST = 3  # variances: from fewer nobody knows what is usual
NONE = 1e-12  # of the largest variance: there is none, two configurations are the same


def at_least_moderated(variances: Floats, df: float) -> Floats:
    """The variances, each at least what it is after moderation; those without any stay as they are.

    Moderation takes the average of a variance and the usual one, weighted with its degrees of freedom and with those that
    the usual one is worth: few where variances differ by more than luck, and without end where they do not.

    Args:
        variances: any shape; 0 or more, each about a chi-square of `df` degrees of freedom.
        df: of every one.

    Source: Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3:3, section 6.
    """
    there = variances > NONE * variances.max(initial=0.0)
    if df >= ENOUGH or df <= 0 or there.sum() < FEWEST:
        return variances
    logs = np.log(variances[there]) - digamma(df / 2) + np.log(df / 2)
    beyond_luck = float(logs.var(ddof=1) - polygamma(1, df / 2))
    worth = _inverse_trigamma(beyond_luck)
    if np.isinf(worth):
        moderated = np.full_like(variances, np.exp(logs.mean()))
    else:
        usual = np.exp(logs.mean() + digamma(worth) - np.log(worth))
        moderated = (2 * worth * usual + df * variances) / (2 * worth + df)
    return np.where(there, np.maximum(variances, moderated), variances)


def _inverse_trigamma(value: float) -> float:
    """Where trigamma is `value`; infinite where that is 0 or less, or next to it."""
    low, high = 1e-4, 1e6
    if value <= polygamma(1, high):
        return float("inf")
    return low if value >= polygamma(1, low) else float(brentq(lambda x: polygamma(1, x) - value, low, high))
