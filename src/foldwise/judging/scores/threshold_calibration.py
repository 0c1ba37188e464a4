"""Probabilities of many labels made honest together: one slope for all labels, and an offset for each, held small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from foldwise.metrics.outputs import CLIP, Bools, Floats

RIDGE = (
    1.0  # holds the offset of a rare label near the common one: a normal prior of variance 1 on the log-odds
)
HOLD = 1e-3  # holds the slope at 1 where nothing tells it, as where all probabilities are the same
FLATTEST, STEEPEST = 0.02, 50.0  # slopes; a negative one would turn the ranking round


@dataclass(frozen=True)
class Calibration:
    """log-odds of a label = slope * (log-odds the network gave) + its offset.

    Attributes:
        slope: positive, the same for all labels.
        offsets: (K,) the common offset plus the label's own.
    """

    slope: float
    offsets: Floats

    def applied(self, probabilities: Floats) -> Floats:
        """(n, K) calibrated probabilities."""
        return np.asarray(expit(self.slope * log_odds(probabilities) + self.offsets))

    def undone(self, calibrated: Floats) -> Floats:
        """(K,) what the network gave where the calibrated probability of each label is `calibrated`."""
        return np.asarray(expit((log_odds(calibrated) - self.offsets) / self.slope))


def log_odds(probabilities: Floats) -> Floats:
    """log(p / (1 - p)), of probabilities clipped at `CLIP` from both ends."""
    return np.asarray(logit(np.clip(probabilities, CLIP, 1 - CLIP)))


def calibrate(probabilities: Floats, truth: Bools) -> Calibration:
    """The logistic regression of all labels at once, with a ridge on what sets a label apart from the others.

    Args:
        probabilities: (n, K) as the network gave them.
        truth: (n, K).

    Returns:
        Of the least log-loss plus ridge / 2 * (sum of squares of the labels' own offsets). The slope lies between
        `FLATTEST` and `STEEPEST`.
    """
    log_odds_nK, true = log_odds(probabilities), truth.astype(float)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, common, own = parameters[0], parameters[1], parameters[2:]
        fitted = slope * log_odds_nK + common + own
        wrong = expit(fitted) - true
        value = np.logaddexp(0, fitted).sum() - (fitted * true).sum()
        value += (RIDGE * (own**2).sum() + HOLD * ((slope - 1) ** 2 + common**2)) / 2
        uphill = (wrong * log_odds_nK).sum() + HOLD * (slope - 1), wrong.sum() + HOLD * common
        return float(value), np.concatenate([uphill, wrong.sum(axis=0) + RIDGE * own])

    K = truth.shape[1]
    bounds = [(FLATTEST, STEEPEST), *[(None, None)] * (K + 1)]
    start = np.concatenate([[1.0, 0.0], np.zeros(K)])
    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Calibration(float(best[0]), np.asarray(best[1] + best[2:]))
